"""The door of the shop's pages, as a browser, a stranger and an attacker use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from engine import config as settings_of
from engine import identity, intake, website
from engine.config import Config
from engine.models import Contact, Event, Flyer, Identity, Item, Order
from engine.sources import flyers
from web import collect, visitor
from web.brake import Brake
from web.models import RefusedEvent
from web.services import Services, utcnow

ORIGIN, SITE, SECRET = "https://shop.example", "shop-1", "hush"
VISITOR = "v-0123456789abcdef"


@pytest.fixture
def config(config: Config) -> Config:
    """The door is open for one shop."""
    return settings_of.build(
        {
            "workspace": {"path": config.workspace.path},
            "database": {"url": config.database.url},
            "shop": {"origins": f"{ORIGIN} https://www.shop.example"},
            "tracking": {"site": SITE, "secret": SECRET},
        }
    )


@pytest.fixture(autouse=True)
def free() -> Iterator[None]:
    """Nobody has called before."""
    collect.brake = Brake()
    yield
    collect.brake = Brake()


def event(kind: str, number: int = 0, **said: Any) -> dict[str, Any]:
    """As the snippet makes it."""
    told = {"key": f"k-{kind}-{number:016}", "type": kind, "at": utcnow().timestamp() * 1000, "visitor": VISITOR}
    return told | said


def send(client: FlaskClient, *events: Any, origin: str = ORIGIN, **more: Any) -> TestResponse:
    """A beacon: text, from a page of the shop."""
    body = {"site": SITE, "sent": utcnow().timestamp() * 1000, "events": list(events)} | more
    return client.post("/collect", data=json.dumps(body), content_type="text/plain", headers={"Origin": origin})


def stored(services: Services, model: Any = Event) -> list[Any]:
    with services.database.read() as session:
        found = session.scalars(select(model).order_by(model.id)).all()
        session.expunge_all()
        return list(found)


def reasons(services: Services) -> list[str]:
    return [one.reason for one in stored(services, RefusedEvent)]


def test_events_come_in_once(client: FlaskClient, services: Services) -> None:
    """With their properties; the same call again changes nothing; the shop's page may read the status."""
    for _ in range(2):
        answer = send(
            client, event("page_view", url="https://shop.example/a", utm_source="x"), event("search", query="tea")
        )
        assert (answer.status_code, answer.data) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    found = {one.type: one for one in stored(services)}
    assert len(stored(services)) == 2
    assert found["page_view"].properties == {"url": "https://shop.example/a", "utm_source": "x"}
    assert {one.visitor for one in found.values()} == {VISITOR}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://shop.example.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"site": "other"}, 403),
        ({"site": None}, 403),
        ({"site": ["shop-1"]}, 403),
        ({"events": {}}, 422),
        ({"events": "x"}, 422),
    ],
)
def test_who_may_not_send(client: FlaskClient, services: Services, change: dict[str, Any], status: int) -> None:
    """Another page, another key, another shape: nothing is written, and a foreign page may not even read that."""
    answer = send(client, event("search", query="tea"), **change)
    assert answer.status_code == status
    assert ("Access-Control-Allow-Origin" in answer.headers) == ("origin" not in change)
    assert not stored(services)


def test_closed_unless_opened(services: Services, client: FlaskClient) -> None:
    """Without a key of the website nobody is let in."""
    closed = settings_of.build({"shop": {"origins": ORIGIN}})
    object.__setattr__(services, "config", closed)
    assert send(client, event("search", query="tea")).status_code == 403


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"type": "open"}, "There is no event 'open'"),
        ({"type": "unsubscribe"}, "There is no event"),
        ({"type": 7}, "says its type in words: page_view"),
        ({"type": {}}, "says its type in words"),
        ({"visitor": "short"}, "16 to 64"),
        ({"visitor": "x" * 65}, "16 to 64"),
        ({"key": "rapport:open:1"}, "16 to 64"),
        ({"contact": "C-1"}, "search has no 'contact'"),
        ({"query": ""}, "query: must be a text"),
        ({"query": "x" * 1001}, "must be a text"),
        ({"query": {"a": 1}}, "must be a text"),
        ({"results": True}, "results: must be a number"),
        ({"results": "x" * 2000}, "results"),
    ],
)
def test_what_is_refused_is_told_to_the_shop(
    client: FlaskClient, services: Services, bad: dict[str, Any], words: str
) -> None:
    """In the debugger with its reason, not to the browser; the good ones of the call are taken."""
    assert send(client, event("search", query="tea") | bad, event("search", 1, query="good")).status_code == 204
    assert [one.properties.get("query") for one in stored(services)] == ["good"]
    [reason] = reasons(services)
    assert words in reason


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("order", {"value": -99999}),
        ("order", {"value": "1e12"}),
        ("order", {"items": [{"item": "tea", "quantity": 1e9}]}),
        ("order", {"items": [{"item": "tea", "unit_price": -5}]}),
        ("cart_add", {"item": "tea", "quantity": 1e9}),
    ],
)
def test_no_amount_is_out_of_bounds(client: FlaskClient, services: Services, kind: str, said: dict[str, Any]) -> None:
    """One such value would turn every sum of them."""
    send(client, event(kind, **said), event(kind, 1, value=12, quantity=2) if kind == "cart_add" else event(kind, 1))
    assert len(stored(services)) == 1
    assert "must be from 0 to 1" in reasons(services)[0]


def test_what_is_no_event_is_told_in_plain_words(client: FlaskClient, services: Services) -> None:
    """Not in Python's."""
    send(client, None, event("search") | {"type": None})
    assert sorted(reason.split(" ")[2] for reason in reasons(services)) == ["is", "says"]
    assert not any("None" in reason for reason in reasons(services))


def test_times_are_put_right_and_kept_in_bounds(client: FlaskClient, services: Services) -> None:
    """A clock that is a day slow, a moment of long ago, one to come, none."""
    now = utcnow()
    slow = (now - timedelta(days=1)).timestamp() * 1000
    send(client, event("search", 1, query="a", at=slow - 60_000), sent=slow)
    for number, at in enumerate((0, -5, 1, 9e15, "x", None, True, now.timestamp() * 1000 + 9e8), start=2):
        send(client, event("search", number, query="a", at=at))
    found = [one.occurred_at for one in stored(services)]
    assert len(found) == 9
    assert abs(found[0] - (now - timedelta(minutes=1))) < timedelta(minutes=1)
    assert all(now - timedelta(days=7, minutes=1) < at <= datetime.now(UTC) for at in found)


def test_who_wants_no_tracking_is_not_tracked(client: FlaskClient, services: Services) -> None:
    """Global Privacy Control, also when somebody made the script forget it."""
    body = json.dumps({"site": SITE, "events": [event("search", query="tea")]})
    answer = client.post("/collect", data=body, headers={"Origin": ORIGIN, "Sec-GPC": "1"})
    assert (answer.status_code, stored(services)) == (204, [])


def test_no_key_of_ours_can_be_taken(client: FlaskClient, services: Services) -> None:
    """The key is a digest under a name of its own, of the visitor too: another's event cannot be forestalled."""
    send(client, event("search", query="a"), event("search", query="b", visitor="v-another-visitor"))
    keys = [one.key for one in stored(services)]
    assert len(set(keys)) == 2
    assert all(key.startswith("web:") and len(key) == 36 for key in keys)


def test_a_browser_adds_no_item_and_no_order(client: FlaskClient, services: Services) -> None:
    """Not to the catalogue, not to the orders; an order of the browser is an event that counts in no spend."""
    items = [{"item": "free", "quantity": 1, "unit_price": "0.01"}]
    send(client, event("item_view", item="nothing we sell"), event("order", order="W-1", value="12.50", items=items))
    found = {one.type: one for one in stored(services)}
    assert found["item_view"].properties == {"unknown_item": "nothing we sell"}
    assert (found["checkout"].value, found["checkout"].properties) == (125_000, {"order": "W-1", "items": 1})
    assert not stored(services, Item) + stored(services, Order)


def test_trusted_orders(client: FlaskClient, services: Services, config: Config) -> None:
    """Where the shop says so an order is one, the known visitor's; one that is there is never changed."""
    raw = {"workspace": {"path": config.workspace.path}, "database": {"url": config.database.url}}
    door = {"site": SITE, "secret": SECRET, "trust_orders": True}
    object.__setattr__(services, "config", settings_of.build(raw | {"shop": {"origins": ORIGIN}, "tracking": door}))
    _contact(services, "C-1", email="ann@shop.example")
    with services.database.begin() as session:
        intake.accept(session, "items", [{"key": "tea", "title": "Tea"}], now=utcnow(), config=services.config)
    send(client, event("identify", customer="C-1", signature=website.sign(SECRET, "customer", "C-1")))
    for number, price in enumerate(("4.50", "0.01")):
        lines = [{"item": "tea", "quantity": 2, "unit_price": price}]
        send(client, event("order", number, order="W-1", items=lines))
    [order] = stored(services, Order)
    [ann] = stored(services, Contact)
    assert (order.total, order.contact_id, order.channel) == (90_000, ann.id, "web")
    for number, (item, quantity) in enumerate((("none", 1), ("tea", 0), ("tea", -2), ("tea", "x"), ("tea", 1e300)), 5):
        lines = [{"item": "tea", "quantity": 1}, {"item": item, "quantity": quantity, "unit_price": "1"}]
        send(client, event("order", number, order=f"W-{number}", items=lines))
    told = reasons(services)
    assert [sum(words in reason for reason in told) for words in ("known items", "quantity: must be from 0 to")] == [
        3,
        2,
    ]
    send(client, event("order", 20, order="W-20", value="x", items=[{"item": "tea", "quantity": 1, "unit_price": "1"}]))
    assert (len(stored(services, Order)), len(stored(services, Item)), len(reasons(services))) == (1, 1, 6)


def _contact(services: Services, key: str, **facts: Any) -> None:
    with services.database.begin() as session:
        intake.accept(session, "contacts", [{"key": key, **facts}], now=utcnow(), config=services.config)


@pytest.fixture
def trusting(services: Services) -> None:
    """The shop lets any word count on who somebody is."""
    config = services.config
    object.__setattr__(services, "config", replace(config, tracking=replace(config.tracking, identify="any")))


@pytest.mark.parametrize("kind", ["customer", "email", "phone", "card"])
def test_an_unsigned_word_joins_nobody(client: FlaskClient, services: Services, kind: str) -> None:
    """Whoever knows somebody's name puts nothing into their history, not before and not after; the shop reads why."""
    names = {"email": "ann@shop.example", "phone": "+442071838750", "card": "4711"}
    _contact(services, "C-1", **names)
    send(client, event("search", 1, query="poison"))
    send(client, event("identify", 2, **{kind: ({"customer": "C-1"} | names)[kind]}), event("search", 3, query="more"))
    assert [(one.type, one.contact_id) for one in stored(services)] == [("search", None)] * 2
    assert not [one for one in stored(services, Identity) if one.kind == identity.VISITOR]
    [reason] = reasons(services)
    assert "must be signed by the shop's server" in reason


def test_the_shop_s_server_says_who_it_is(client: FlaskClient, services: Services) -> None:
    """By the cookie it reads at an order or a log-in: what the browser did before is the contact's."""
    _contact(services, "C-1", email="ann@shop.example")
    send(client, event("search", query="tea"))
    word = {"type": "identify", "at": utcnow().isoformat(), "contact": "C-1", "visitor": VISITOR}
    with services.database.begin() as session:
        intake.accept(session, "events", [word], now=utcnow(), config=services.config)
    [ann] = stored(services, Contact)
    assert {one.contact_id for one in stored(services)} == {ann.id}


@pytest.mark.usefixtures("trusting")
def test_where_any_word_counts_it_recognises_and_does_no_more(client: FlaskClient, services: Services) -> None:
    """It tells the same of everybody, makes nobody, and guesses nobody where several are so named."""
    _contact(services, "C-1", email="ann@shop.example")
    for key in ("C-2", "C-3"):
        _contact(services, key, email="home@shop.example")
    before = len(stored(services, Contact))
    answers = [
        send(client, event("identify", number, visitor=f"visitor-number-{number}", **{kind: value}))
        for number, (kind, value) in enumerate(
            [("email", "ann@shop.example"), ("email", "nobody@shop.example"), ("email", "home@shop.example"),
             ("customer", "C-9"), ("phone", "+442071838750"), ("card", "1")]
        )
    ]  # fmt: skip
    assert {(answer.status_code, answer.data) for answer in answers} == {(204, b"")}
    with services.database.read() as session:
        known = session.scalars(select(Identity)).all()
        assert [(one.value, session.get_one(Contact, one.contact_id).key) for one in known] == [
            ("visitor-number-0", "C-1")
        ]
    assert len(stored(services, Contact)) == before
    assert not reasons(services)


@pytest.mark.usefixtures("trusting")
def test_two_known_contacts_are_not_merged_by_a_browser(client: FlaskClient, services: Services) -> None:
    """A device that two people use belongs to the last; what the first did stays theirs."""
    for key in ("C-1", "C-2"):
        _contact(services, key, email=f"{key.lower()}@shop.example")
        send(client, event("search", int(key[-1]), query=key))
        send(client, event("identify", int(key[-1]), email=f"{key.lower()}@shop.example"))
    with services.database.read() as session:
        people = {one.key: one.id for one in session.scalars(select(Contact))}
        owners = {one.properties.get("query"): one.contact_id for one in session.scalars(select(Event))}
        assert (owners["C-1"], identity.contact_of_visitor(session, VISITOR)) == (people["C-1"], people["C-2"])
        assert session.scalar(select(func.count()).where(Contact.merged_into.is_not(None))) == 0


def test_signed(client: FlaskClient, services: Services) -> None:
    """The shop's word makes a contact; a false one, or one for somebody else, is refused."""
    good = website.sign(SECRET, "customer", "C-7")
    send(client, event("identify", 1, customer="C-8", signature=good))
    send(client, event("identify", 2, customer="C-7", signature=good, email="x@shop.example"))
    assert ["signature" in reasons(services)[0], "one of" in reasons(services)[1]] == [True, True]
    assert not stored(services, Contact)
    assert all(word not in one.body for one in stored(services, RefusedEvent) for word in ("C-7", "C-8", "@", good))
    send(client, event("identify", 3, customer="C-7", signature=good))
    assert [one.key for one in stored(services, Contact)] == ["C-7"]


def test_too_many_calls_and_too_much(client: FlaskClient, services: Services) -> None:
    """So many of one address in a minute, so many events in a call, so many bytes; and the debugger stays small."""
    assert send(client, event("search", query="x" * 70_000)).status_code == 413
    assert send(client, *[event("search", number, query="a") for number in range(60)]).status_code == 204
    assert len(stored(services)) == website.MOST
    assert len(reasons(services)) == 10
    for _ in range(5):
        send(client, *[7] * 50)
    assert len(reasons(services)) == collect.SHOWN
    collect.brake = Brake(2)
    assert [send(client, event("search", 99, query="a")).status_code for _ in range(3)] == [204, 204, 429]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted(
    {name for known in website.EVENTS.values() for name in known} | {"key", "type", "at", "visitor", "came_as"}
)
EVENTS = st.dictionaries(st.sampled_from(NAMES), JUNK | st.text(min_size=16, max_size=20)).flatmap(
    lambda said: st.sampled_from(
        [{}, *({"type": kind, "key": "k" * 20, "visitor": VISITOR} for kind in website.EVENTS)]
    ).map(lambda frame: said | frame)
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS | JUNK, max_size=4), sent=JUNK)
def test_nothing_that_comes_in_breaks_it(client: FlaskClient, services: Services, events: list[Any], sent: Any) -> None:
    """Any JSON: taken, or refused with a reason; never a fault."""
    collect.brake = Brake()
    assert send(client, *events, sent=sent).status_code in {204, 400, 422}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"events": [NaN], "site": "shop-1"}', b"[" * 60_000]
)
def test_no_json(client: FlaskClient, services: Services, body: bytes) -> None:
    """What is no JSON object is a clear refusal."""
    answer = client.post("/collect", data=body, content_type="text/plain", headers={"Origin": ORIGIN})
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("path", ["/t.js", "/t.css"])
def test_the_script_and_its_style(client: FlaskClient, path: str) -> None:
    """Each at one address, looked at anew, allowed on other sites."""
    with client.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
        assert len(answer.data) < 5_000
        assert "immutable" not in answer.headers["Cache-Control"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    known = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]}
    with client.get(path, headers=known) as again:
        assert again.status_code == 304


def test_a_handover_counts_once_and_for_minutes(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first visitor of a page takes what was done under the flyer's name; whoever has a copy, an old or a changed
    word, or just writes a name takes nothing.
    """
    name, others = "flyer-0123456789abc", [f"visitor-number-{number}" for number in range(5)]
    with services.database.begin() as session:
        key = flyers.scan(session, Flyer(code="YORK", name="York"), name, now=utcnow(), config=services.config)
    with client.application.app_context():
        word = visitor.hand(key, name)
    with monkeypatch.context() as patched:
        patched.setattr(visitor, "HANDOVER", -1)
        send(client, event("search", query="a", visitor=others[0], came_as=word))
    for wrong in (name, word + "x", word.replace("scan", "scat"), "\ud83d", {"a": 1}):
        send(client, event("search", 1, query="a", visitor=others[1], came_as=wrong))
    assert {one.visitor for one in stored(services) if one.type == "flyer_scan"} == {name}
    for one in others[2:]:
        send(client, event("search", 2, query="a", visitor=one, came_as=word))
    assert {one.visitor for one in stored(services) if one.type == "flyer_scan"} == {others[2]}
    assert not reasons(services)


@pytest.mark.parametrize(
    "said",
    [
        {"type": "identify", "email": "ann.lee@shop"},
        {"type": "identify", "phone": "+8750"},
        {"type": "identify", "customer": ["C-4711-secret"]},
        {"type": "identify", "customer": "C-4711-secret" * 90},
        {"type": "ann.lee@shop.example"},
        {"type": "search", "query": "ann.lee@shop.example", "results": True},
        {"type": "search", "query": "+44 20 7183 8750", "results": True},
        {"type": "page_view", "url": "https://shop.example/a?mail=ann.lee%40shop.example&p=02071838750", "title": ""},
        {"type": "search", "ann.lee@shop.example": "x"},
        {"type": "search", "query": {"a": ["ann.lee@shop.example"]}},
    ],
)
def test_the_debugger_masks_who_somebody_is(client: FlaskClient, services: Services, said: dict[str, Any]) -> None:
    """In the reason, the type and the event, wherever an address stands; the rest stays readable."""
    send(client, event("search") | said)
    [kept] = stored(services, RefusedEvent)
    for words in (kept.reason, kept.body, kept.type):
        for secret in ("ann", "C-4711", "8750", "12 34"):
            assert secret not in words, words
    assert VISITOR in kept.body
    assert "..." in kept.reason + kept.body
