"""Public addresses: what a stranger, a scanner and a mail program may and may not do."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from campaigns import content, feedback, tokens
from campaigns.models import Send
from campaigns.tokens import Signer
from engine import consent, intake
from engine.models import Contact, Event
from tests.campaigns import shop
from web.services import Services, utcnow

PERSON = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Thunderbird/140"}
PATHS = (("/o/", ".gif"), ("/c/", ""), ("/u/", ""), ("/v/", ""))
URL = "https://shop.example/sale?a=1&b=2"


@pytest.fixture
def signer(services: Services) -> Signer:
    """The workspace's signer."""
    return tokens.signer(services.config)


@pytest.fixture
def send_id(services: Services, now: datetime) -> int:
    """A mail that contact 1 has had for five minutes; link 1 leads to the sale."""
    with services.database.begin() as session:
        shop.contact(session, 1, now)
        shop.item(session, 5, now)
        found = shop.campaign(session, now)
        content.register_links(session, found.id, [URL])
        firing = shop.fire(session, found, [1], now)
        shop.accept(session, firing, now - timedelta(minutes=5))
        return session.scalars(select(Send.id)).one()


def events(services: Services) -> list[str]:
    """Types of all events, in order."""
    with services.database.read() as session:
        return list(session.scalars(select(Event.type).order_by(Event.id)))


def marks(services: Services) -> tuple[bool, bool, str | None]:
    """Opened, clicked, outcome of the send."""
    with services.database.read() as session:
        send = session.scalars(select(Send)).one()
        return send.opened_at is not None, send.clicked_at is not None, send.outcome


def test_the_pixel(client: FlaskClient, services: Services, signer: Signer, send_id: int) -> None:
    """A GET gives a picture that is never cached and notes an open; HEAD notes nothing."""
    address = f"/o/{signer.sign('open', send_id)}.gif"
    assert client.head(address, headers=PERSON).status_code == 200
    assert events(services) == []
    answer = client.get(address, headers=PERSON)
    assert answer.content_type == "image/gif"
    assert answer.data.startswith(b"GIF89a")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert events(services) == ["open"]
    assert marks(services) == (True, False, None)


def test_a_click_goes_on_to_the_stored_destination(
    client: FlaskClient, services: Services, signer: Signer, send_id: int
) -> None:
    """302 to exactly the address of the link; the click is noted."""
    answer = client.get(f"/c/{signer.sign('click', send_id, 1)}", headers=PERSON)
    assert (answer.status_code, answer.headers["Location"]) == (302, URL)
    assert events(services) == ["click"]
    assert marks(services) == (True, True, None)


def test_a_click_on_a_recommended_item(client: FlaskClient, services: Services, signer: Signer, send_id: int) -> None:
    """On to the item's page; the recommender hears of it, under the whole id of the recommendation, dots and all."""
    shown = "7.Zk-x_Q.12b"
    answer = client.get(f"/c/{signer.sign('click', send_id, 5, shown, 'basket')}", headers=PERSON)
    assert answer.headers["Location"] == "https://shop.example/items/5?from=mail&n=5"
    client.get(f"/o/{signer.sign('open', send_id, shown)}.gif", headers=PERSON)
    assert events(services) == ["click", "recommendation_click", "open", "impression"]
    with services.database.read() as session:
        told = session.scalars(select(Event.properties).where(Event.type.in_(("recommendation_click", "impression"))))
        assert {one["recommendation_id"] for one in told} == {shown}


def test_nobody_can_make_us_redirect_elsewhere(client: FlaskClient, signer: Signer, send_id: int) -> None:
    """An address in the query is ignored; another campaign's link, a link that is gone and other tokens are 404."""
    token = signer.sign("click", send_id, 1)
    assert client.get(f"/c/{token}?url=https://evil.example/").headers["Location"] == URL
    for wrong in (signer.sign("click", send_id, 99), signer.sign("open", send_id, 1), "https://evil.example/"):
        assert client.get(f"/c/{wrong}").status_code == 404


def test_a_redirect_even_when_nothing_can_be_noted(
    client: FlaskClient, services: Services, signer: Signer, send_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk keeps nobody from the shop."""

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(feedback, "click", fail)
    monkeypatch.setattr(feedback, "open", fail)
    assert client.get(f"/c/{signer.sign('click', send_id, 1)}", headers=PERSON).headers["Location"] == URL
    assert client.get(f"/o/{signer.sign('open', send_id)}.gif", headers=PERSON).status_code == 200
    assert events(services) == []


def test_a_scanner_that_follows_every_link_unsubscribes_nobody(
    client: FlaskClient, services: Services, signer: Signer, send_id: int
) -> None:
    """GET and HEAD of every public address leave consent and marks as they are; its click is flagged as a machine's."""
    scanner = {"User-Agent": "Mozilla/5.0 Proofpoint URL Defense"}
    for purpose, path in (("unsubscribe", "/u/{}"), ("view", "/v/{}"), ("open", "/o/{}.gif")):
        address = path.format(signer.sign(purpose, send_id))  # type: ignore[arg-type]
        for call in (client.head, client.get):
            assert call(address, headers=scanner).status_code == 200
    client.get(f"/c/{signer.sign('click', send_id, 1)}", headers=scanner)
    assert marks(services) == (False, False, None)
    with services.database.read() as session:
        assert session.get_one(Contact, 1).email_consent is True
        assert all(told["machine"] for told in session.scalars(select(Event.properties)))


def test_one_click(client: FlaskClient, services: Services, signer: Signer, send_id: int) -> None:
    """RFC 8058: a POST without cookies and CSRF token answers 200, no redirect, and silences at once, twice too."""
    address = f"/u/{signer.sign('unsubscribe', send_id)}"
    for _ in range(2):
        answer = client.post(address, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
    with services.database.read() as session:
        assert consent.is_suppressed(session, "email", "c1@x.example")
        assert session.get_one(Contact, 1).email_consent is False
        assert session.scalars(select(Event.properties)).one()["how"] == "one-click"
    assert events(services) == ["unsubscribe"]
    assert marks(services)[2] == "unsubscribed"


def test_the_page_asks_with_a_button(client: FlaskClient, services: Services, signer: Signer, send_id: int) -> None:
    """A person sees the address and a button that posts; after it, that it is done. No script, strict policy."""
    address = f"/u/{signer.sign('unsubscribe', send_id)}"
    page = client.get(address)
    assert "c1@x.example" in page.text
    assert re.search(r'<form method="post">\s*<button type="submit"', page.text)
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    done = client.post(address)
    assert "You are unsubscribed" in done.text
    with services.database.read() as session:
        assert session.scalars(select(Event.properties)).one()["how"] == "page"


def test_view_in_browser(client: FlaskClient, services: Services, signer: Signer, send_id: int) -> None:
    """The mail, in a sandbox, without the pixel, its way out included."""
    page = client.get(f"/v/{signer.sign('view', send_id)}")
    assert page.status_code == 200
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert "/o/" not in page.text
    assert f"/u/{signer.sign('unsubscribe', send_id)}" in page.text


def test_view_in_browser_is_of_today(client: FlaskClient, services: Services, signer: Signer, now: datetime) -> None:
    """No copy is kept: the content is that of the campaign, the name the one we know by now."""
    with services.database.begin() as session:
        shop.contact(session, 1, now, first_name="Jon")
        said = [{"type": "text", "text": "Dear {{ contact.first_name }}, the sale begins."}]
        shop.fire(session, shop.campaign(session, now, blocks=said), [1], now)
        session.get_one(Contact, 1).first_name = "John"
        send_id = session.scalars(select(Send.id)).one()
    assert "Dear John, the sale begins." in client.get(f"/v/{signer.sign('view', send_id)}").text


def test_nothing_keeps_finds_or_passes_on_what_is_personal(client: FlaskClient, signer: Signer, send_id: int) -> None:
    """Every public answer, also one that refuses: no cache, no search engine, no address told on; a page of ours says
    noindex itself.
    """
    calls = [
        ("GET", f"/o/{signer.sign('open', send_id)}.gif", 200),
        ("GET", f"/c/{signer.sign('click', send_id, 1)}", 302),
        ("GET", f"/v/{signer.sign('view', send_id)}", 200),
        ("GET", f"/u/{signer.sign('unsubscribe', send_id)}", 200),
        ("POST", f"/u/{signer.sign('unsubscribe', send_id)}", 200),
        *(("GET", f"{path}1.1.AAAAAAAAAAAAAAAAAAAAAA{end}", 404) for path, end in PATHS),
        ("POST", "/sms/inbound", 403),
        ("POST", "/hooks/sms/1.AAAAAAAAAAAAAAAAAAAAAA", 403),
        ("POST", "/hooks/sendgrid", 404),
    ]
    for method, address, status in calls:
        answer = client.open(address, method=method, headers=PERSON, data={})
        assert answer.status_code == status, address
        assert answer.headers["Cache-Control"] == "no-store", address
        assert answer.headers["Referrer-Policy"] == "no-referrer", address
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow", address
        assert "Set-Cookie" not in answer.headers, address
        if method == "GET" and address.startswith("/u/") and status == 200:
            assert '<meta name="robots" content="noindex">' in answer.text


def test_no_program_takes_the_place_of_what_people_do(
    client: FlaskClient, api: FlaskClient, services: Services, signer: Signer, send_id: int, tmp_path: Path
) -> None:
    """Who may write events cannot take the key of an open, a click or an opt-out beforehand, by call or by file."""

    def act() -> list[str]:
        client.get(f"/o/{signer.sign('open', send_id, 'r1')}.gif", headers=PERSON)
        client.get(f"/c/{signer.sign('click', send_id, 5, 'r1', 'basket')}", headers=PERSON)
        client.post(f"/u/{signer.sign('unsubscribe', send_id)}")
        return events(services)

    noted = act()
    assert noted == ["open", "impression", "click", "recommendation_click", "unsubscribe"]
    with services.database.begin() as session:
        keys = list(session.scalars(select(Event.key)))
        session.execute(delete(Event))
    taken = [{"key": key, "type": "call", "at": "2026-01-01T00:00:00Z", "contact": "c1"} for key in keys]
    answer = api.post("/api/v1/events", json={"events": taken})
    assert answer.status_code == 422
    assert {
        (refused["field"], "begins with 'rapport:'" in refused["message"]) for refused in answer.json["rejected"]
    } == {("key", True)}
    file = tmp_path / "taken.csv"
    file.write_text("".join(f"{','.join(row)}\n" for row in [taken[0].keys(), *(row.values() for row in taken)]))
    done = intake.import_file(services.database, services.config, "events", file, now=utcnow())
    assert (done.rejected, done.created) == (len(keys), 0)
    assert act() == noted


def test_altered_tokens_are_not_found(client: FlaskClient) -> None:
    """Guessed or mangled tokens are 404 on every address and method, never an error of ours."""
    for token in ("1.1", "1", "x.y.z", "1.1.AAAAAAAAAAAAAAAAAAAAAA", "%00", "1.1.é"):
        for path in ("/o/{}.gif", "/c/{}", "/u/{}", "/v/{}"):
            assert client.get(path.format(token)).status_code == 404
        assert client.post(f"/u/{token}").status_code == 404


def test_a_send_that_is_gone(client: FlaskClient, signer: Signer, services: Services) -> None:
    """A genuine token of an erased person: the page says so, the picture stays a picture."""
    assert client.get(f"/u/{signer.sign('unsubscribe', 77)}").status_code == 404
    assert client.get(f"/v/{signer.sign('view', 77)}").status_code == 404
    assert client.get(f"/c/{signer.sign('click', 77, 1)}").status_code == 404
    assert client.get(f"/o/{signer.sign('open', 77)}.gif", headers=PERSON).status_code == 200
