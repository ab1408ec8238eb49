"""In and out of the pages."""

from __future__ import annotations

from flask.testing import FlaskClient

from web import auth
from web.services import Services, utcnow

PASSWORD = "correct horse battery"


def _user(services: Services, email: str = "mei@shop.example") -> None:
    with services.database.begin() as session:
        auth.add_user(session, email, "Mei", PASSWORD, now=utcnow())


def test_right_password_opens_the_page_asked_for(client: FlaskClient, services: Services) -> None:
    """After log-in the browser goes where it wanted to and stays logged in."""
    _user(services)
    answer = client.post("/login", data={"email": "Mei@shop.example", "password": PASSWORD, "next": "/?a=b"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?a=b")
    assert client.get("/").status_code == 200


def test_a_new_log_in_ends_the_old_one(client: FlaskClient, services: Services) -> None:
    """In the same browser: whoever copied the cookie of before is out. A wrong password ends nothing."""
    _user(services)
    form = {"email": "mei@shop.example", "password": PASSWORD}
    client.post("/login", data=form)
    copied = client.get_cookie("rapport")
    assert copied
    client.post("/login", data=form | {"password": "wrong wrong wrong"})
    now, settings = utcnow(), services.config.security
    assert auth.recognise(services.database, settings, copied.value, now)
    client.post("/login", data=form)
    assert auth.recognise(services.database, settings, copied.value, now) is None
    assert client.get("/").status_code == 200


def test_pages_ask_a_stranger_to_log_in(client: FlaskClient) -> None:
    """No page opens without a session."""
    answer = client.get("/?a=b")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/?a%3Db")


def test_a_logged_in_browser_can_log_out(marketer: FlaskClient) -> None:
    """The session is gone on the server, too."""
    assert marketer.get("/").status_code == 200
    assert marketer.post("/logout").status_code == 303
    assert marketer.get("/").status_code == 303
