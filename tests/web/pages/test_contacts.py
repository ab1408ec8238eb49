"""Pages about people: found, shown with their history, erased on purpose only."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import consent, intake
from engine.models import Consent, Contact
from web.services import Services, utcnow

RECORDS = {
    "contacts": [
        {"key": "C1", "email": "ann@shop.example", "first_name": "Ann", "last_name": "<b>Lee</b>", "age": 41},
        {"key": "C2", "email": "bo@shop.example", "first_name": "Bo", "last_name": "Chen", "email_consent": True},
    ],
    "orders": [{"order": "O1", "at": "2026-02-01T10:00:00Z", "contact": "C1",
                "lines": [{"item": "I1", "quantity": 2, "unit_price": "12.50"}]}],
    "items": [{"key": "I1", "title": "Tea <pot>", "url": "https://shop.example/I1?a=1&b=2"}, {"key": "I2"}],
    "events": [{"type": "search", "at": "2026-02-02T10:00:00Z", "contact": "C1", "properties": {"query": "red <tea>"}}],
}  # fmt: skip

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ann(services: Services, now: datetime) -> int:
    """Two people; Ann has ordered and searched."""
    with services.database.begin() as session:
        for kind, records in RECORDS.items():
            intake.accept(session, kind, records, now=now, config=services.config)
        return session.scalars(select(Contact.id).where(Contact.key == "C1")).one()


def test_the_total_is_shown(marketer: FlaskClient, services: Services, ann: int) -> None:
    """Of everybody, whatever is searched for, from the warehouse."""
    assert "Everybody you know" in marketer.get("/contacts").text
    services.warehouse.refresh()
    for path in ("/contacts", "/contacts?q=ann"):
        assert "<p>2 contacts</p>" in marketer.get(path).text
    assert ann


def test_search_finds_by_every_word(marketer: FlaskClient, ann: int) -> None:
    """All words must be met, in any of the fields; names are shown as text, never as HTML."""
    everybody = marketer.get("/contacts").text
    assert "Bo Chen" in everybody
    assert "&lt;b&gt;Lee&lt;/b&gt;" in everybody
    found = marketer.get("/contacts?q=ann+shop").text
    assert "ann@shop.example" in found
    assert "Bo Chen" not in found
    assert "Nobody found" in marketer.get("/contacts?q=nobody").text


def test_a_contact_shows_what_happened(services: Services, marketer: FlaskClient, ann: int) -> None:
    """Orders and events stand in one history, and the traits come from the warehouse."""
    services.warehouse.refresh()
    page = marketer.get(f"/contacts/{ann}").text
    assert "Order O1" in page
    assert "£25.00" in page
    assert "Searched" in page
    assert "red &lt;tea&gt;" in page
    assert marketer.get("/contacts/999999").status_code == 404


def test_consent_by_telephone_is_written_down(services: Services, marketer: FlaskClient, ann: int) -> None:
    """The word goes to the ledger with its evidence, and to the contact."""
    marketer.post(f"/contacts/{ann}/consent", data={"channel": "sms", "granted": "yes", "evidence": "called"})
    with services.database.read() as session:
        word = session.scalars(select(Consent).where(Consent.contact_id == ann)).one()
        assert (word.channel, word.granted, word.evidence) == ("sms", True, "called")
        assert session.get_one(Contact, ann).sms_consent is True


def test_a_yes_lifts_an_unsubscribe_with_evidence_only(
    services: Services, marketer: FlaskClient, ann: int, now: datetime
) -> None:
    """Who took back a no is written to again; who complained never is, whatever is written down."""
    address = "ann@shop.example"
    with services.database.begin() as session:
        consent.suppress(session, "email", address, "unsubscribe", now)
    yes = {"channel": "email", "granted": "yes"}
    assert marketer.post(f"/contacts/{ann}/consent", data=yes).status_code == 422
    assert marketer.post(f"/contacts/{ann}/consent", data=yes | {"evidence": "letter of 2 March"}).status_code == 303
    with services.database.begin() as session:
        assert not consent.is_suppressed(session, "email", address)
        consent.suppress(session, "email", address, "complaint", now)
    assert marketer.post(f"/contacts/{ann}/consent", data=yes | {"evidence": "letter"}).status_code == 409
    with services.database.read() as session:
        assert consent.suppression(session, "email", address) == "complaint"


def test_erasing_needs_the_number_typed(services: Services, admin: FlaskClient, ann: int) -> None:
    """A wrong number erases nobody; the right one erases and keeps the address silent."""
    assert admin.post(f"/contacts/{ann}/erase", data={"key": "C2"}).status_code == 422
    assert admin.post(f"/contacts/{ann}/erase", data={"key": "C1"}).status_code == 303
    with services.database.read() as session:
        assert session.get(Contact, ann) is None
        assert consent.is_suppressed(session, "email", "ann@shop.example")


def test_history_refuses_a_wrong_cursor(marketer: FlaskClient, ann: int) -> None:
    """A cursor that is none is a 422, not a traceback."""
    at = "2026-03-01T00:00:00"
    for wrong in (
        "yesterday",
        f"order.1@{at}",
        f"x.1@{at}Z",
        f"order.-1@{at}Z",
        f"order.{2**63}@{at}Z",
        f"order.²@{at}Z",
    ):
        for part, name in (("/history", "cursor"), ("/live", "after"), ("", "cursor")):
            answer = marketer.get(f"/contacts/{ann}{part}", query_string={name: wrong}, headers=HTMX)
            assert answer.status_code == 422
    asked = {"cursor": f"event.0@{at}+00:00"}
    page = marketer.get(f"/contacts/{ann}/history", query_string=asked, headers=HTMX).text
    assert "Order O1" in page


VISITOR = "browser-of-ann-0001"
SEEN = {"recommendation_id": "r1", "placement": "item", "source": "rules"}


@pytest.fixture
def visit(services: Services, ann: int, now: datetime) -> int:
    """Ann looks at a pot, is offered it, clicks, puts it in the cart and buys it; a mail was opened by a program."""
    told: list[tuple[float, str, dict[str, Any]]] = [
        (0, "page_view", {"url": "https://shop.example/", "referrer": "https://search.example/?q=tea"}),
        (1, "impression", {"item": "I1", **SEEN, "rank": 1}),
        (1.1, "impression", {"item": "I2", **SEEN, "source": "popular", "rank": 2}),
        (2, "recommendation_click", {"item": "I1", **SEEN}),
        (3, "item_view", {"item": "I1"}),
        (3, "item_view", {"item": "I2"}),
        (12, "cart_add", {"item": "I1"}),
    ]
    events = []
    for number, (minutes, kind, more) in enumerate(told):
        at = (now + timedelta(minutes=minutes)).isoformat()
        properties = {name: value for name, value in more.items() if name != "item"}
        item = {"item": more["item"]} if "item" in more else {}
        whose = {"contact": "C1", "visitor": VISITOR, "origin": "web"}
        events.append({"key": f"v{number}", "type": kind, "at": at, "properties": properties} | whose | item)
    order = {"order": "O2", "at": (now + timedelta(minutes=10)).isoformat(), "contact": "C1", "channel": "web",
             "lines": [{"item": "I1", "quantity": 1, "unit_price": "12.50"}]}  # fmt: skip
    opened = {"key": "m", "type": "open", "at": (now - timedelta(days=1)).isoformat(), "contact": "C1",
              "origin": "campaign", "properties": {"machine": True}}  # fmt: skip
    with services.database.begin() as session:
        for kind, records in {"events": [*events, opened], "orders": [order]}.items():
            taken = intake.accept(session, kind, records, now=now + timedelta(hours=1), config=services.config)
            assert not taken.rejected
    return ann


def _words(page: str) -> str:
    """What a page says, without its marks."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_a_visit_is_one_entry(marketer: FlaskClient, visit: int) -> None:
    """Told in a line, with titles that lead to the shop; its events are within, rows of recommendations together."""
    page = marketer.get(f"/contacts/{visit}").text
    words = _words(page)
    assert "Visit of 12 minutes from search.example" in words
    assert "looked at Tea <pot> , I2; put Tea <pot> in the cart; 2 recommendations seen, 1 clicked" in words
    assert 'href="https://shop.example/I1?a=1&amp;b=2"' in page
    assert "7 events" in words
    assert "Saw 2 recommendations Tea <pot> , I2 Item page: goes with it, often bought together, best-seller" in words
    assert "Clicked a recommendation Tea <pot> Item page: goes with it, often bought together" in words
    assert "Tea <pot>" not in page
    assert "by a program, not by a person" in words


def test_an_order_names_the_click_before_it(marketer: FlaskClient, visit: int) -> None:
    """And one without says nothing of the kind."""
    [followed, alone] = (
        _words(marketer.get(f"/contacts/{visit}?kind=orders").text).split("Order O2")[1].split("Order O1")
    )
    assert "After a click" in followed
    assert "Clicked Tea <pot> (Item page: goes with it, often bought together) 8 minutes before" in followed
    assert "After a click" not in alone


@pytest.mark.parametrize(
    ("kind", "there", "gone"),
    [
        ("orders", "Order O1", "Searched"),
        ("visits", "Visit of 12 minutes", "Order O1"),
        ("messages", "by a program", "Order O1"),
        ("answers", "Nothing of this kind happened yet", "Order O1"),
        ("consent", "Nothing of this kind happened yet", "Searched"),
        ("nonsense", "Order O1", "Nothing of this kind"),
    ],
)
def test_a_kind_is_chosen_in_the_address(marketer: FlaskClient, visit: int, kind: str, there: str, gone: str) -> None:
    """Of what happened only that."""
    words = _words(marketer.get(f"/contacts/{visit}?kind={kind}").text)
    assert there in words
    assert gone not in words


def test_the_next_page_keeps_the_kind(services: Services, marketer: FlaskClient, visit: int, now: datetime) -> None:
    """A link as well as a part for htmx."""
    orders = [{"order": f"P{n}", "at": (now - timedelta(days=n)).isoformat(), "contact": "C1",
               "lines": [{"item": "I1", "quantity": 1, "unit_price": "1"}]} for n in range(80)]  # fmt: skip
    with services.database.begin() as session:
        intake.accept(session, "orders", orders, now=now, config=services.config)
    page = marketer.get(f"/contacts/{visit}?kind=orders").text
    link = html.unescape(re.findall(r'href="([^"]*cursor=[^"]*)"', page)[0])
    part = html.unescape(re.findall(r'hx-get="([^"]*history[^"]*cursor=[^"]*)"', page)[0])
    shown = re.findall(r"Order (\w+)", _words(page))
    for address in (link, part):
        rest = _words(marketer.get(address, headers=HTMX).text)
        assert "Searched" not in rest
        keys = [f"P{n}" for n in range(80)]
        assert [*shown, *re.findall(r"Order (\w+)", rest)] == ["O2", *keys[:29], "O1", *keys[29:]]


def test_what_happens_meanwhile_is_told(services: Services, marketer: FlaskClient, ann: int) -> None:
    """Nothing while nothing is new; then the visit as it stands, for the page to put in place."""
    page = marketer.get(f"/contacts/{ann}").text
    address = html.unescape(re.findall(r'hx-get="([^"]*/live[^"]*)"', page)[0])
    assert marketer.get(address, headers=HTMX).status_code == 204
    looked = {"type": "item_view", "contact": "C1", "visitor": VISITOR, "item": "I1", "origin": "web"}
    for count in (1, 2):
        event = looked | {"key": f"live{count}", "at": utcnow().isoformat()}
        with services.database.begin() as session:
            intake.accept(session, "events", [event], now=utcnow(), config=services.config)
        answer = marketer.get(address, headers=HTMX)
        assert answer.status_code == 200
        assert "Searched" not in answer.text  # it stands in the page below
        address = html.unescape(re.findall(r'hx-get="([^"]*)"', answer.text)[0])
        assert marketer.get(address, headers=HTMX).status_code == 204
    assert "2 events" in answer.text
