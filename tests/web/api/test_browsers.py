"""Keys of web pages: public, so they open little, and only where they belong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from engine import config as settings_of
from engine import identity, website
from engine.config import Config
from engine.errors import Invalid, NotFound
from engine.models import Contact, Event
from recommender import training
from tests.recommender.shop import add_items, add_order
from web import origins
from web.api import access, browsers
from web.brake import Brake
from web.services import Services, utcnow

SHOP, SECRET, VISITOR = "https://shop.example", "hush", "v-0123456789abcdef"
ASK, TELL = "/api/v1/recommendations", "/api/v1/events"
Send = Callable[..., TestResponse]


@pytest.fixture
def config(config: Config) -> Config:
    """A shop whose server signs."""
    known = {"workspace": {"path": config.workspace.path}, "database": {"url": config.database.url}}
    return settings_of.build(known | {"tracking": {"secret": SECRET}})


@pytest.fixture(autouse=True)
def free() -> Iterator[None]:
    """Nobody has called before."""
    browsers.brake = Brake()
    yield
    browsers.brake = Brake()


@pytest.fixture
def public(services: Services) -> str:
    """A key of the shop's pages."""
    with services.database.begin() as session:
        return access.add_browser_key(session, "Shop", [SHOP], now=utcnow())


@pytest.fixture
def send(client: FlaskClient, public: str) -> Send:
    """A call of a page."""

    def call(path: str, body: Any = None, *, origin: str | None = SHOP, method: str = "POST", **headers: str) -> Any:
        known = {"Authorization": f"Bearer {public}"} | ({"Origin": origin} if origin else {}) | headers
        return client.open(path, method=method, json=body, headers=known)

    return call


@pytest.fixture
def trained(services: Services, config: Config) -> None:
    """Tea and cup are bought together; Mei bought both, and her browser is VISITOR."""
    now = utcnow()
    with services.database.begin() as session:
        items = add_items(session, 6)
        for number in range(12):
            contact = Contact(key=f"C-{number}", attributes={}, created_at=now, updated_at=now)
            session.add(contact)
            session.flush()
            add_order(session, contact, items[:2] if number < 8 else items[2:], now - timedelta(days=2))
        mei = session.scalars(select(Contact).where(Contact.key == "C-1")).one()
        identity.identify(session, VISITOR, mei.id, now)
    training.train(services.database, services.warehouse, config, now=now)


def test_origins_are_as_browsers_write_them() -> None:
    """In lower case, without the usual port or a last slash, each once."""
    given = ["HTTPS://Shop.Example/", "https://shop.example:443", "http://localhost:8080"]
    assert origins.read([*given, " "]) == [
        "https://shop.example",
        "http://localhost:8080",
    ]
    assert origins.one("http://[::1]:5000") == "http://[::1]:5000"
    assert origins.one("https://shop.example:8443") == "https://shop.example:8443"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("*", "wildcard"),
        ("https://*.shop.example", "wildcard"),
        ("https://shop.example/page", "path"),
        ("https://shop.example?x=1", "path"),
        ("https://shop.example#", "path"),
        ("http://shop.example", "not encrypted"),
        ("https://straße.example", "xn--"),  # strasse.example to Python, xn--strae-oqa.example to browsers
        ("https://\u212aey.example", "xn--"),  # the Kelvin sign, a small k in lower case
        ("shop.example", "no origin"),
        ("null", "no origin"),
        ("ftp://shop.example", "no origin"),
        ("https://me@shop.example", "no origin"),
        ("https://", "no origin"),
        ("https://shop.example:99999", "no address"),
        ("https://[::1", "no address"),
        ("https://sh op.example", "no origin"),
        ("https://localhost.evil_.example", "no origin"),
        ("http://localhost.evil.example", "not encrypted"),
        (f"https://{'a' * 64}.example", "no origin"),
    ],
)
def test_what_is_no_origin_is_refused(given: str, why: str) -> None:
    """With the remedy."""
    with pytest.raises(Invalid, match=why) as refused:
        origins.read([given])
    assert refused.value.field == "origins"


def test_how_many_origins() -> None:
    """One at least, not hundreds."""
    with pytest.raises(Invalid, match="at least one"):
        origins.read([" "])
    with pytest.raises(Invalid, match="at most 20"):
        origins.read([f"https://shop{number}.example" for number in range(21)])


@pytest.mark.usefixtures("trained")
def test_it_asks_and_tells_from_its_pages(send: Send, services: Services) -> None:
    """Both doors answer to the page that asks, and to no cookie."""
    for path, body in ((ASK, {"placement": "home"}), (TELL, {"events": [event()]})):
        answer = send(path, body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    with services.database.read() as session:
        told = session.scalars(select(Event).where(Event.type == "item_view")).one()
    assert (told.origin, told.visitor, told.key[:4]) == ("web", VISITOR, "web:")


def event(**said: Any) -> dict[str, Any]:
    return {"key": "k-0123456789abcdef", "type": "item_view", "visitor": VISITOR, "item": "A0"} | said


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "https://shop.example:8443", f"{SHOP}/", "http://shop.example"]
)
def test_elsewhere_it_opens_nothing(send: Send, origin: str | None) -> None:
    """Nor for a server, which sends no origin; and the other page may not even read that."""
    for path in (ASK, TELL):
        answer = send(path, {}, origin=origin)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "not_allowed")
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


def test_it_opens_no_other_door(app: APIFlask, send: Send) -> None:
    """None of the API, whatever its scopes are called, and not /metrics."""
    refused = 0
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/") or getattr(app.view_functions[rule.endpoint], "browser", False):
            continue
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(path[path.index("<") : path.index(">") + 1], "1", 1) if name else path
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} & set(rule.methods or ()):
            assert send(path, method=method).status_code == 403, (method, path)
            refused += 1
    assert refused > 40
    assert send("/metrics", method="GET").status_code in (401, 403)


def test_preflight(client: FlaskClient, services: Services, public: str) -> None:
    """A browser asks before it sends: on pages where a living key works, for these doors, and nowhere else."""

    def asks(path: str, origin: str) -> TestResponse:
        return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})

    for path in (ASK, TELL):
        answer = asks(path, SHOP)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, SHOP)
        assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert answer.headers["Vary"] == "Origin"
        refused = asks(path, "https://evil.example")
        assert (refused.status_code, "Access-Control-Allow-Origin" in refused.headers) == (403, False)
    assert asks("/api/v1/lists", SHOP).status_code == 401
    with services.database.begin() as session:
        access.revoke_key(session, public, now=utcnow())
    assert asks(ASK, SHOP).status_code == 403


@pytest.mark.usefixtures("trained")
def test_a_contact_is_told_of_only_when_signed(send: Send, services: Services) -> None:
    """Anybody can type anybody's key. Signed, they are told what they bought, and no figures of the shop."""
    body: dict[str, Any] = {"placement": "again", "contact": "C-1", "n": 2}
    signature = website.sign(SECRET, "customer", "C-1")
    for wrong in (
        {},
        {"signature": "0" * 64},
        {"signature": website.sign(SECRET, "customer", "C-2")},
        {"signature": "é"},
    ):
        for asked, field in ((body | wrong, "contact"), ({"requests": [body | wrong]}, "requests.0.contact")):
            error = send(ASK, asked).get_json()["error"]
            assert (error["code"], error["field"]) == ("not_allowed", field)
    found = send(ASK, body | {"signature": signature}).get_json()
    assert {one["reason"]["text"] for one in found["items"]} == {"you bought it before"}
    assert not {"support", "n", "confidence", "lift"} & found["items"][0]["reason"].keys()


@pytest.mark.usefixtures("trained")
def test_a_visitor_is_told_nothing_of_what_the_contact_did(send: Send, api: FlaskClient) -> None:
    """Neither by what is offered nor by what is hidden, with a comparison or without; why names only what the page
    named, without figures.
    """
    for compared in (False, True):
        if compared:
            for placement, is_hidden in (("again", False), ("home", True)):
                b = {"b": {"rules": {"exclude_purchased": is_hidden, "in_stock": False}}, "holdout": 0}
                assert api.post(f"/api/v1/placements/{placement}/comparison", json=b).status_code == 201
        again = {"placement": "again", "visitor": VISITOR, "n": 2, "strict": True}
        known = api.post(ASK, json=again).get_json()["items"]
        assert {one["reason"]["text"] for one in known} == {"you bought it before"}
        assert send(ASK, again).get_json()["items"] == []
        home = {"placement": "home", "visitor": VISITOR, "n": 6}
        theirs, ours = send(ASK, home).get_json()["items"], api.post(ASK, json=home).get_json()["items"]
        assert {"A0", "A1"}.isdisjoint(one["id"] for one in ours)
        assert {"A0", "A1"} < {one["id"] for one in theirs}
        assert not any("score" in one for one in theirs)  # a placement may put forward by margin
        stranger = send(ASK, home, **{"Sec-GPC": "1"}).get_json()["items"]
        assert [(one["id"], one["source"]) for one in stranger] == [(one["id"], one["source"]) for one in theirs]
        new = again | {"contact": "C-new", "signature": website.sign(SECRET, "customer", "C-new")}  # on Mei's browser
        for answer in (send(ASK, new).get_json(), api.post(ASK, json=new).get_json()):
            assert (answer["items"], answer["missing_ids"]) == ([], ["C-new"])
    beside = {"placement": "item", "visitor": VISITOR, "context": {"items": ["A0"]}, "n": 1}
    [cup] = send(ASK, beside).get_json()["items"]
    assert cup["reason"] == {"kind": "rules", "text": "often bought with Item 0", "because": ["Item 0"]}


@pytest.mark.usefixtures("trained")
def test_a_visitor_is_offered_what_suits_their_browser(send: Send) -> None:
    """What was looked at in it counts at once, though the visitor is a contact; why does not name it."""
    home = {"placement": "home", "visitor": VISITOR, "n": 6}
    before = send(ASK, home).get_json()["items"]
    assert send(TELL, {"events": [event(item="A3")]}).get_json()["created"] == 1
    after = send(ASK, home).get_json()["items"]
    assert [one["source"] for one in after] != [one["source"] for one in before]
    assert not any(one["reason"].get("because") for one in after)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"filter": {"margin_min": 0.3}}, "filter.margin_min"),
        ({"boost": {"margin": 1}}, "boost.margin"),
        ({"exclude": {"purchased": False}}, "exclude.purchased"),
        ({"visitor": "42"}, "visitor"),
        ({"visitor": "a guess of 16 letters"}, "visitor"),
    ],
)
def test_what_would_tell_too_much_is_refused(send: Send, said: dict[str, Any], field: str) -> None:
    """Margins, and what somebody bought, could be sifted out; names that can be guessed are nobody's proof."""
    for asked, path in (
        ({"placement": "home"} | said, field),
        ({"requests": [{"placement": "home"} | said]}, f"requests.0.{field}"),
    ):
        answer = send(ASK, asked)
        assert (answer.status_code, answer.get_json()["error"]["field"]) == (422, path)
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP  # so that the page can read why


def test_bounds(send: Send) -> None:
    """Rows of one call, bytes, and calls in a minute, preflights among them."""
    answer = send(ASK, {"requests": [{"placement": "home"}] * 11})
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (422, "requests")
    assert send(TELL, {"events": [event(url="x" * 70_000)]}).status_code == 413
    browsers.brake = Brake(2)
    answers = [send(ASK, {"placement": "home"}) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    asks = {"Access-Control-Request-Method": "POST"}
    for refused in (answers[-1], send(ASK, method="OPTIONS", **asks)):  # the page may read it
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert refused.headers["Access-Control-Allow-Origin"] == SHOP
        assert refused.headers["Access-Control-Expose-Headers"] == "Retry-After"
    elsewhere = send(ASK, {}, origin="https://evil.example")
    assert (elsewhere.status_code, "Access-Control-Allow-Origin" in elsewhere.headers) == (429, False)


def test_events_follow_the_rules_of_collect(send: Send, services: Services) -> None:
    """Only what a page may say, by the visitor; refused ones are named."""
    records = [
        event(properties={"url": "https://shop.example/a"}, at="2020-01-01T00:00:00Z"),
        event(key="k-1111111111111111", contact="C-1"),
        event(key="k-2222222222222222", type="purchase"),
        event(key="k-3333333333333333", visitor="short"),
        event(key="k-4444444444444444", type="identify", properties={"email": "mei@shop.example"}),
        7,
        event(
            key="k-5555555555555555",
            type="impression",
            properties={"recommendation_id": "1.x", "placement": "item", "rank": 1},
        ),
    ]
    answer = send(TELL, {"events": records}).get_json()
    assert answer["created"] == 2
    assert [one["row"] for one in answer["rejected"]] == [1, 2, 3, 4, 5]
    with services.database.read() as session:
        view, seen = session.scalars(select(Event).order_by(Event.id)).all()
        assert not session.scalars(select(Contact)).all()
    assert view.properties == {"url": "https://shop.example/a", "unknown_item": "A0"}
    assert utcnow() - view.occurred_at < timedelta(days=7, minutes=1)
    assert seen.properties == {"recommendation_id": "1.x", "placement": "item", "rank": 1, "unknown_item": "A0"}
    again = send(TELL, {"events": [records[0], event(key="k-7777777777777777")]}).get_json()
    assert (again["created"], again["unchanged"], again["rejected"]) == (1, 1, [])  # as a secret key is told
    assert send(TELL, {"events": [event(key="k-6666666666666666")]}, **{"Sec-GPC": "1"}).get_json()["created"] == 0


def test_one_that_is_revoked_is_dead(client: FlaskClient, services: Services, send: Send, public: str) -> None:
    """At its doors and at /collect; a secret key is no key of pages."""
    body = {"site": public, "sent": utcnow().timestamp() * 1000, "events": []}
    assert client.post("/collect", json=body, headers={"Origin": SHOP}).status_code == 204
    assert client.post("/collect", json=body, headers={"Origin": "https://evil.example"}).status_code == 403
    with services.database.begin() as session:
        secret = access.add_key(session, "Till", ["events:write"], now=utcnow())
        with pytest.raises(NotFound):
            access.browser_key(session, secret.partition(".")[0])
        assert access.browser_key(session, public).name == "Shop"
        access.revoke_key(session, public, now=utcnow())
        with pytest.raises(NotFound):
            access.browser_key(session, public)
    assert send(ASK, {"placement": "home"}).status_code == 401
    assert client.post("/collect", json=body, headers={"Origin": SHOP}).status_code == 403
