"""Settings: what may be changed and what is only shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine.config import Mail, SendGridConfig, Sms
from tests.conftest import HeaderClient
from web import auth
from web.api import access
from web.app import create_app
from web.models import User
from web.services import Services, utcnow
from web.shell import translated


@pytest.fixture
def translations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of the translators' words, empty."""
    monkeypatch.setattr("web.shell.TRANSLATIONS", tmp_path)
    translated.cache_clear()
    yield tmp_path
    translated.cache_clear()


def test_only_what_is_translated_is_offered(marketer: FlaskClient, services: Services) -> None:
    """Pages without words in a language are not half in it, whatever was chosen before or the shop speaks."""
    with services.database.begin() as session:
        session.scalars(select(User)).one().language = "zh_Hans_CN"
    page = marketer.get("/settings").text
    assert ('<html lang="en"' in page, 'name="language"' in page) == (True, False)
    marketer.post("/settings/profile", data={"name": "Mei Lin"})
    with services.database.read() as session:
        assert session.scalars(select(User)).one().language == "zh_Hans_CN"  # kept until it is


def test_profile(marketer: FlaskClient, services: Services, translations: Path) -> None:
    """Name and language are kept; an unknown language is none."""
    (words := translations / "zh_Hans_CN" / "LC_MESSAGES" / "messages.mo").parent.mkdir(parents=True)
    words.touch()
    marketer.post("/settings/profile", data={"name": " Mei Lin ", "language": "zh_Hans_CN"})
    with services.database.read() as session:
        user = session.scalars(select(User)).one()
    assert (user.name, user.language) == ("Mei Lin", "zh_Hans_CN")
    assert 'lang="zh-Hans-CN"' in marketer.get("/settings").text
    marketer.post("/settings/profile", data={"name": "", "language": "tlh"})
    with services.database.read() as session:
        user = session.scalars(select(User)).one()
    assert (user.name, user.language) == (user.email, None)


def test_password_asks_for_the_old_one(marketer: FlaskClient) -> None:
    """A wrong old one and a weak new one are said at their fields; the right ones log other browsers out."""
    form = {"current": "wrong wrong wrong", "password": "another good password"}
    answer = marketer.post("/settings/password", data=form)
    assert (answer.status_code, "current-fault" in answer.text) == (422, True)
    answer = marketer.post("/settings/password", data={"current": "correct horse battery", "password": "short"})
    assert (answer.status_code, "password-fault" in answer.text) == (422, True)
    form["current"] = "correct horse battery"
    assert marketer.post("/settings/password", data=form).status_code == 303
    assert marketer.get("/settings").status_code == 200


def test_guessing_the_old_password_is_slowed_down(marketer: FlaskClient) -> None:
    """Who finds an open browser cannot try out passwords there."""
    form = {"current": "wrong wrong wrong", "password": "another good password"}
    statuses = [marketer.post("/settings/password", data=form).status_code for _ in range(6)]
    assert statuses == [422] * 5 + [429]


def test_other_browsers_can_be_logged_out(marketer: FlaskClient, services: Services) -> None:
    """This one stays."""
    with services.database.begin() as session:
        user = session.scalars(select(User)).one()
        other = auth.open_session(session, user, browser="Chrome/1 Windows", now=utcnow())
    assert "Chrome on Windows" in marketer.get("/settings").text
    marketer.post("/settings/sessions/end")
    assert auth.recognise(services.database, services.config.security, other, utcnow()) is None
    assert "Chrome on Windows" not in marketer.get("/settings").text


def test_key_faults_are_said_at_the_field(admin: FlaskClient) -> None:
    """No scope, no key."""
    answer = admin.post("/settings/keys", data={"name": "Till"})
    assert (answer.status_code, "at least one scope" in answer.text) == (422, True)


def test_secrets_are_never_shown(admin: FlaskClient, services: Services) -> None:
    """The page says that they are set."""
    config = replace(
        services.config,
        mail=Mail(transport="smtp", smtp_host="mx.shop.example", smtp_password="p4ssw0rd"),
        sms=Sms(transport="http", token="t0ken", account="AC1"),
        sendgrid=SendGridConfig(api_key="SG.k3y"),
    )
    app = create_app(replace(services, config=config))
    browser = HeaderClient(app, app.response_class)
    cookie = admin.get_cookie("rapport")
    assert cookie
    browser.headers = {}
    browser.set_cookie("rapport", cookie.value)
    text = browser.get("/settings/sending").text
    assert "mx.shop.example:25" in text
    assert not any(secret in text for secret in ("p4ssw0rd", "t0ken", "SG.k3y"))


def test_data_is_refreshed(admin: FlaskClient, services: Services) -> None:
    """The page shows rows and age, the button brings them up to now."""
    assert "Not filled yet" in admin.get("/settings/data").text
    assert admin.post("/settings/data/refresh").status_code == 303
    assert services.warehouse.as_of is not None
    assert "Shows everything up to" in admin.get("/settings/data").text


def test_a_key_of_web_pages(admin: FlaskClient, services: Services) -> None:
    """Made with its origins, it leads to what to write into the pages; where it works can be changed."""
    made = admin.post("/settings/keys/pages", data={"shop": "Shop", "origins": "https://shop.example\r\n"})
    assert made.status_code == 303
    where = made.headers["Location"]
    prefix = where.rpartition("/")[2]
    page = admin.get(where).text
    for words in (f"data-key=&#34;{prefix}&#34;", "/t.css", "data-rapport-placement=&#34;item&#34;", "Public",
                  "rapport(&#39;item&#39;", "rapport(&#39;sign&#39;", "hexdigest()"):  # fmt: skip
        assert words in page, words
    assert admin.post(where, data={"origins": "https://a.example https://b.example"}).status_code == 303
    with services.database.read() as session:
        assert access.browser_key(session, prefix).origins == ["https://a.example", "https://b.example"]
    page = admin.get("/settings/keys").text
    assert all(words in page for words in (prefix, where, "https://a.example, https://b.example"))
    admin.post(f"/settings/keys/{prefix}/revoke")
    assert admin.get(where).status_code == 404
    assert where not in admin.get("/settings/keys").text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"shop": "Shop", "origins": "https://*.shop.example"}, "wildcard"),
        ({"shop": "Shop", "origins": ""}, "at least one origin"),
        ({"shop": " ", "origins": "https://shop.example"}, "needs a name"),
    ],
)
def test_faults_of_a_key_of_web_pages(admin: FlaskClient, form: dict[str, str], words: str) -> None:
    """Said at the field, and what was typed stays."""
    answer = admin.post("/settings/keys/pages", data=form)
    assert (answer.status_code, words in answer.text, form["origins"] in answer.text) == (422, True, True)
    made = admin.post("/settings/keys/pages", data={"shop": "Shop", "origins": "https://shop.example"})
    answer = admin.post(made.headers["Location"], data={"origins": "http://shop.example"})
    assert (answer.status_code, "not encrypted" in answer.text) == (422, True)
