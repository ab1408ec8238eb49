"""Pages about people: found, shown with their history, erased on purpose only."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from engine import config as settings
from engine import consent, intake, website
from engine.models import Consent, Contact, Event
from web import collect
from web.brake import Brake
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
SHOP = "https://shop.example"


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


def test_each_order_counts_its_own_items(services: Services, marketer: FlaskClient, visit: int, now: datetime) -> None:
    """One of 3,000 different items beside others, one of them twice: named are the first, and what was clicked."""
    whose = {"contact": "C1", "channel": "shop"}
    keys = [*(f"B{n}" for n in range(2999)), "B0", "I1"]
    lines = [{"item": key, "quantity": 1, "unit_price": "1"} for key in keys]
    big = {"order": "BIG", "at": (now + timedelta(minutes=5)).isoformat(), "lines": lines}
    late = {"order": "LATE", "at": (now + timedelta(minutes=20)).isoformat(), "lines": lines[2:3]}
    with services.database.begin() as session:
        for one in (big, late):
            taken = intake.accept(
                session, "orders", [one | whose], now=now + timedelta(hours=1), config=services.config
            )
            assert not taken.rejected
    words = _words(marketer.get(f"/contacts/{visit}?kind=orders").text)
    [last, followed, counted] = re.split(r"Order (?:LATE|O2|BIG)", words.split("Order O1")[0])[1:]
    assert "1 item: B2 " in last
    assert "After a click" not in last
    assert "1 item: Tea <pot>" in followed
    assert "After a click" in followed
    assert "3000 items: B0, B1 and 2998 more" in counted
    assert "Clicked Tea <pot> (Item page: goes with it, often bought together) 3 minutes before" in counted


HOSTILE = ("http://[x/", "//[", "http://[::1", "//\u2100/", "http://", "7", "true", '["http://[x/", "b"]', "%(items)s",
           "{{ 7 * 7 }}", "<script>", "\u202e", "//" + "x" * 998, "9" * 400)  # fmt: skip


@pytest.fixture
def tell(services: Services, marketer: FlaskClient, ann: int) -> Iterator[Callable[..., None]]:
    """The public door: a visitor whom the shop's server signed as Ann tells events, each a type and what it says."""
    given = {"workspace": {"path": services.config.workspace.path}, "database": {"url": services.config.database.url}}
    door = {"shop": {"origins": SHOP}, "tracking": {"site": "shop-1", "secret": "hush"}}
    object.__setattr__(services, "config", settings.build({**given, **door}))
    signed = ("identify", {"customer": "C1", "signature": website.sign("hush", "customer", "C1")})

    def tell(visitor: str, *told: tuple[str, dict[str, str]]) -> None:
        sent = utcnow().timestamp() * 1000
        plain = [{"key": f"key-of-event-{n:08}", "visitor": visitor, "at": sent - 1000 + n} for n in range(50)]
        events = [one | {"type": kind} | said for one, (kind, said) in zip(plain, [signed, *told], strict=False)]
        body = json.dumps({"site": "shop-1", "sent": sent, "events": events})
        assert marketer.post("/collect", data=body, headers={"Origin": SHOP}).status_code == 204
        with services.database.read() as session:
            taken = select(func.count()).select_from(Event).where(Event.visitor == visitor, Event.contact_id == ann)
            assert session.scalar(taken) == len(told) + 1

    collect.brake = Brake()
    yield tell
    collect.brake = Brake()


def looks(marketer: FlaskClient, ann: int) -> list[str]:
    """The history on each of the three doors that show it."""
    found = []
    for part, asked in {"": {}, "/history": {"cursor": "event.0@2999-01-01T00:00:00+00:00"}, "/live": {}}.items():
        answer = marketer.get(f"/contacts/{ann}{part}", query_string=asked, headers=HTMX if part else {})
        assert answer.status_code == 200, part
        found.append(answer.text if part else answer.text.partition('id="history"')[2])
    return found


@pytest.mark.parametrize("name", ["referrer", "utm_source"])
@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("http://[x/", "http://[x/"),
        ("//[", "//["),
        ("//\u2100/", "//\u2100/"),
        ("http://", "http://"),
        ("http://[::1]:80/a", "::1"),
    ],
)
def test_where_a_visit_came_from(
    marketer: FlaskClient, tell: Callable[..., None], ann: int, name: str, word: str, host: str
) -> None:
    """The host of an address; what is none is told as it stands, and the page does not fail for it."""
    tell("stranger-of-the-shop", ("page_view", {name: word}), ("page_view", {}))
    for page in looks(marketer, ann):
        assert f"Visit of less than a minute from {host} " in _words(page)


def test_no_word_of_a_stranger_breaks_the_page(marketer: FlaskClient, tell: Callable[..., None], ann: int) -> None:
    """Each under every name that a page of the shop, so anybody, may tell; the contact's page shows it as text."""
    for number, word in enumerate(HOSTILE):
        told = []
        for kind in ("page_view", "item_view", "search", "impression", "recommendation_click"):
            texts = [name for name in website.EVENTS[kind] if name not in ("value", "quantity", "results", "rank")]
            told += [(kind, {name: word}) for name in texts] + [(kind, dict.fromkeys(texts, word))]
        tell(f"stranger-of-the-shop-{number}", *told)
        assert not any("<script>" in page for page in looks(marketer, ann))


@pytest.mark.parametrize("value", [["1", "2"], True, 2**53 - 1, 1.5, -1, "9" * 400, "x" * 1000, "http://[x/"])
def test_any_value_under_any_name_is_shown(
    services: Services, marketer: FlaskClient, ann: int, now: datetime, value: Any
) -> None:
    """What the shop's own systems send in `properties` has no declared type: whatever it is, the page stands."""
    names = {"campaign_id", "placement", "source", "recommendation_id", "machine", "rank"}
    names |= {"url", "title", "referrer", "utm_source", "query", "unknown_item", "order", "link", "form", "subject"}
    whose = {"contact": "C1", "visitor": VISITOR, "origin": "web", "properties": dict.fromkeys(names, value)}
    kinds = ("page_view", "item_view", "search", "impression", "recommendation_click", "click", "survey", "own_word")
    events = [{"key": f"{kind}{n}", "type": kind, "at": now.isoformat()} | whose for kind in kinds for n in (1, 2)]
    with services.database.begin() as session:
        assert not intake.accept(session, "events", events, now=now, config=services.config).rejected
    assert all("10 events" in page for page in looks(marketer, ann))
