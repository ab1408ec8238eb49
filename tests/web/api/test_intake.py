"""POST /api/v1/contacts, items, orders and events."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import consent, intake, lists
from engine.intake import KINDS
from engine.models import Consent, Contact, Event, Item, Order, OrderLine
from engine.sources import forms
from web.api import access
from web.services import Services, utcnow

GOOD: dict[str, dict[str, Any]] = {
    "contacts": {
        "key": "C1",
        "email": "ANN@shop.example",
        "age": 46,
        "attributes": {"size": 42, "vip": True, "tags": ["red", " dry", "red"]},
    },
    "items": {"key": "wine", "title": "Wine", "price": 9.99, "cost": "4", "category": "Drinks>Wine"},
    "orders": {
        "order": "O1",
        "at": "2026-02-01T10:00:00Z",
        "contact": "C1",
        "lines": [
            {"item": "wine", "quantity": 2, "unit_price": 9.99, "discount": 0.98},
            {"item": "glass", "quantity": -1, "unit_price": "3", "unit_cost": 1},
        ],
    },
    "events": {"type": "item_view", "at": "2026-02-01T10:00:00Z", "contact": "C1", "properties": {"page": "a"}},
}


@pytest.mark.parametrize("kind", GOOD)
def test_sent_twice_is_there_once(api: FlaskClient, kind: str) -> None:
    """The first call creates, the second says that nothing changed."""
    for expected in ((1, 0), (0, 1)):
        answer = api.post(f"/api/v1/{kind}", json={kind: [GOOD[kind]]})
        assert answer.status_code == 200, answer.json
        assert answer.json == {"created": expected[0], "updated": 0, "unchanged": expected[1], "rejected": []}


@pytest.mark.parametrize("kind", GOOD)
def test_a_list_alone_is_told_its_wrapper(api: FlaskClient, kind: str) -> None:
    """What to send stands in the error."""
    answer = api.post(f"/api/v1/{kind}", json=[GOOD[kind]])
    assert answer.status_code == 422
    assert answer.json["error"] == {
        "code": "invalid",
        "message": f'Send the records in an object: {{"{kind}": [...]}}.',
        "field": kind,
    }


def test_what_is_stored(api: FlaskClient, services: Services) -> None:
    """Values are normalised and exact; items and contacts that orders name exist."""
    for kind, record in GOOD.items():
        api.post(f"/api/v1/{kind}", json={kind: [record]})
    with services.database.read() as session:
        contact, order = session.scalars(select(Contact)).one(), session.scalars(select(Order)).one()
        assert (contact.email, contact.attributes) == (
            "ann@shop.example",
            {"size": 42, "vip": True, "tags": ["red", "dry"]},
        )
        assert (order.contact_id, order.total, order.units) == (contact.id, 160_000, 1)
        assert order.margin == 160_000 - 2 * 40_000 + 10_000
        assert session.scalars(select(OrderLine.quantity).order_by(OrderLine.id)).all() == [2, -1]
        items = session.scalars(select(Item).order_by(Item.key)).all()
        assert [(item.key, item.category, item.price) for item in items] == [
            ("glass", None, None),
            ("wine", "Drinks > Wine", 99_900),
        ]
        assert session.scalars(select(Event)).one().properties == {"page": "a"}


def test_a_bad_record_is_named_and_the_others_are_taken(api: FlaskClient, services: Services) -> None:
    """Each with its position, field and reason; with on_error=refuse none is taken."""
    bad: list[Any] = [
        {"key": "C2", "email": "nobody"},
        {"email": "ann@shop.example"},
        {"key": "C3", "emial": "x"},
        7,
        {"key": "C4", "attributes": [1]},
        {"key": "C5", "attributes": {"a b": 1}},
        {"key": ["x"]},
        {"key": "C\ud800"},
        {"key": "x" * 129},
        {"key": "C6", "age": 1e300},
        {"key": "C7", "attributes": {"deep": {"a": 1}}},
        {"key": "C8", "attributes": {"tags": ["a", 1]}},
        {"key": "C9", "attributes": {"tags": ["a"] * 51}},
        {"key": True},
    ]
    call = {"contacts": [GOOD["contacts"], *bad]}
    refused = api.post("/api/v1/contacts?on_error=refuse", json=call)
    assert (refused.status_code, refused.json["created"]) == (422, 0)
    answer = api.post("/api/v1/contacts", json=call)
    assert (answer.status_code, answer.json["created"]) == (200, 1)
    assert [reject["row"] for reject in answer.json["rejected"]] == list(range(1, 15))
    fields = ["email", "key", "emial", None, "attributes", "attributes.a b", "key", "key", "key", "age"]
    assert [reject["field"] for reject in answer.json["rejected"]] == [
        *fields,
        "attributes.deep",
        *["attributes.tags"] * 2,
        "key",
    ]
    assert "Did you mean 'email'" in answer.json["rejected"][2]["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": "x"}, "lines"),
        ({"lines": [{"item": "wine", "quantity": 1, "unit_price": 1}, {"item": "wine"}]}, "lines[1].quantity"),
        ({"lines": [{"item": "wine", "quantity": 1, "unit_price": 1, "at": "2026-01-01"}]}, "at"),
        ({"lines": [3]}, None),
        ({"at": "soon"}, "at"),
        ({"item": "wine"}, "item"),
        ({"currency": "pounds"}, "currency"),
    ],
)
def test_an_order_is_taken_whole_or_not_at_all(api: FlaskClient, change: dict[str, Any], field: str | None) -> None:
    """One bad line refuses its order, and only that; the path names the line."""
    good = GOOD["orders"] | {"order": "O2"}
    answer = api.post("/api/v1/orders", json={"orders": [GOOD["orders"] | change, good]})
    assert (answer.status_code, answer.json["created"]) == (200, 1)
    (reject,) = answer.json["rejected"]
    assert (reject["row"], reject["field"]) == (0, field)


def test_the_last_of_two_orders_of_one_key_counts(api: FlaskClient, services: Services) -> None:
    """Their lines are not thrown together."""
    first, second = GOOD["orders"], GOOD["orders"] | {"lines": GOOD["orders"]["lines"][:1]}
    answer = api.post("/api/v1/orders", json={"orders": [first, second]})
    assert (answer.json["created"], answer.json["unchanged"]) == (1, 1)
    with services.database.read() as session:
        assert session.scalars(select(Order.units)).one() == 2


def test_nothing_taken_is_an_error(api: FlaskClient) -> None:
    """422 in the one shape of errors, with the list of what was refused beside it."""
    answer = api.post("/api/v1/events", json={"events": [{"type": "view", "at": "2026-01-01"}]})
    assert answer.status_code == 422
    assert (answer.json["error"]["code"], answer.json["error"]["field"]) == ("invalid", "contact")
    assert answer.json["rejected"][0]["message"].startswith("is missing, and so is card")


@pytest.mark.parametrize("body", [{}, {"contacts": None}, {"contacts": {}}, {"people": []}, [], "x", None])
def test_a_call_of_another_shape_is_refused(api: FlaskClient, body: Any) -> None:
    """Before anything is read."""
    answer = api.post("/api/v1/contacts", json=body)
    assert answer.status_code in (400, 422)
    assert answer.json["error"]["code"]


def test_too_many_records_are_refused(api: FlaskClient, services: Services) -> None:
    """5,000 in one call; an empty call is fine."""
    most = services.config.intake.max_request_rows
    assert api.post("/api/v1/contacts", json={"contacts": [{"key": "C1"}] * (most + 1)}).status_code == 413
    assert api.post("/api/v1/contacts", json={"contacts": []}).status_code == 200
    wide = [{"key": f"C{number}", "attributes": {f"a{number}": 1}} for number in range(300)]
    assert api.post("/api/v1/contacts", json={"contacts": wide}).status_code == 422


def test_each_kind_needs_its_scope(app: Any, services: Services) -> None:
    """A key for events cannot write contacts."""
    with services.database.begin() as session:
        secret = access.add_key(session, "shop", ["events:write"], now=utcnow())
    client, headers = app.test_client(), {"Authorization": f"Bearer {secret}"}
    assert client.post("/api/v1/contacts", json={"contacts": []}, headers=headers).status_code == 403
    assert client.post("/api/v1/events", json={"events": []}, headers=headers).status_code == 200
    assert client.post("/api/v1/events", json={"events": []}).status_code == 401


def test_the_description_names_every_column(api: FlaskClient) -> None:
    """The schemas are made from the table of columns; lines of an order are one level down."""
    schemas = api.get("/api/v1/openapi.json").json["components"]["schemas"]
    for kind in KINDS.values():
        record = schemas[f"{kind.name.title()}Record"]["properties"]
        line = schemas.get(f"{kind.name.title()}Line", {}).get("properties", {})
        for column in kind.columns:
            assert column.doc in (line if column.in_line else record)[column.name]["description"]
        assert kind.open is None or record[kind.open]["type"] == "object"


def test_null_takes_a_value_back(api: FlaskClient, services: Services) -> None:
    """A field that is absent or empty keeps what is known, null clears it; origin and consent are never cleared."""
    known = {"key": "C1", "email": "ann@shop.example", "city": "Dover", "age": 46, "origin": "survey",
             "email_consent": True, "attributes": {"size": 42, "vip": True}}  # fmt: skip
    changes: list[tuple[dict[str, Any], int]] = [
        (known, 0),
        ({"email": "", "attributes": None}, 0),
        ({"origin": None, "email_consent": None}, 0),
        ({"email": None, "attributes": {"size": None}}, 1),
        ({"email": None, "attributes": {"size": None}}, 0),
    ]
    for change, updated in changes:
        answer = api.post("/api/v1/contacts", json={"contacts": [{"key": "C1"} | change]})
        assert (answer.status_code, answer.json["updated"]) == (200, updated), change
    with services.database.read() as session:
        ann = session.scalars(select(Contact)).one()
        assert (ann.email, ann.city, ann.age, ann.origin) == (None, "Dover", 46, "survey")
        assert (ann.email_consent, ann.attributes) == (True, {"vip": True})
    assert api.post("/api/v1/contacts", json={"contacts": [{"key": None}]}).status_code == 422
    item = {"key": "wine", "title": None, "currency": None, "active": None}
    api.post("/api/v1/items", json={"items": [GOOD["items"]]})
    assert api.post("/api/v1/items", json={"items": [item]}).json["updated"] == 1
    assert api.post("/api/v1/orders", json={"orders": [GOOD["orders"] | {"store": None}]}).status_code == 200


def test_a_nightly_call_undoes_no_opt_out(api: FlaskClient, services: Services) -> None:
    """The same yes night after night: their no stays while the address is suppressed, in the row and in the ledger."""
    ann = {"key": "C1", "email": "ann@shop.example", "email_consent": True}
    api.post("/api/v1/contacts", json={"contacts": [ann]})
    with services.database.begin() as session:
        consent.suppress(session, "email", "ann@shop.example", "unsubscribe", utcnow())
        consent.record(session, 1, "email", False, origin="campaign", now=utcnow())

    def nightly() -> tuple[int, bool | None, list[bool]]:
        answer = api.post("/api/v1/contacts", json={"contacts": [ann]}).get_json()
        assert answer["rejected"] == []
        with services.database.read() as session:
            ledger = session.scalars(select(Consent.granted).order_by(Consent.id))
            return answer["unchanged"], session.get_one(Contact, 1).email_consent, list(ledger)

    assert nightly() == (1, False, [True, False])
    with services.database.begin() as session:
        consent.lift(session, "email", "ann@shop.example")
    assert nightly() == (0, True, [True, False, True])


def test_the_last_record_of_a_call_clears_or_gives(api: FlaskClient, services: Services) -> None:
    """Several records of one key in one call: the last word on each field."""
    api.post("/api/v1/contacts", json={"contacts": [{"key": "C1", "city": "Dover", "age": 46}]})
    records = [{"key": "C1", "city": None, "age": 47}, {"key": "C1", "city": "Deal", "age": None}]
    assert api.post("/api/v1/contacts", json={"contacts": records}).status_code == 200
    with services.database.read() as session:
        ann = session.scalars(select(Contact)).one()
        assert (ann.city, ann.age) == ("Deal", None)


def test_accept_leaves_the_commit_to_the_caller(services: Services) -> None:
    """Rolled back with the caller's transaction, and good for several calls within one."""
    call = {"now": utcnow(), "config": services.config}
    with services.database.begin() as session:
        assert intake.accept(session, "contacts", [GOOD["contacts"] | {"key": "C0"}], **call).created == 1
        session.rollback()
    with services.database.begin() as session:
        for expected in (1, 0):
            assert intake.accept(session, "orders", [GOOD["orders"]], **call).created == expected
    with services.database.read() as session:
        assert session.scalars(select(Contact.key)).all() == ["C1"]
        assert len(session.scalars(select(OrderLine)).all()) == 2


def test_contacts_go_onto_a_list(api: FlaskClient, client: FlaskClient, services: Services) -> None:
    """Good records only, also who was here; nothing is written when there is no such list, or the key may not."""
    with services.database.begin() as session:
        made = lists.save(session, None, "Old", {"field": "age", "operator": "at_least", "value": 99}, now=utcnow()).id
        key = access.add_key(session, "Shop", ["contacts:write"], now=utcnow())
    api.post("/api/v1/contacts", json={"contacts": [{"key": "C1"}]})
    records = {"contacts": [{"key": "C1"}, {"key": "C2"}, {"key": "C3", "age": "old"}]}
    assert api.post(f"/api/v1/contacts?list={made}", json=records).json["created"] == 1
    with services.database.read() as session:
        picked = [(contact.key, pick.added) for pick, contact in lists.picks(session, made)]
    assert picked == [("C1", True), ("C2", True)]
    late = {"contacts": [{"key": "C4"}]}
    assert api.post("/api/v1/contacts?list=0", json=late).status_code == 422
    assert api.post(f"/api/v1/contacts?list={made + 1}", json=late).status_code == 404
    lesser = {"Authorization": f"Bearer {key}"}
    assert client.post(f"/api/v1/contacts?list={made}", json=late, headers=lesser).status_code == 403
    with services.database.read() as session:
        assert session.scalar(select(Contact.id).where(Contact.key == "C4")) is None


def test_nobody_takes_the_key_of_an_answer(api: FlaskClient) -> None:
    """It would swallow the answer that comes later."""
    event = GOOD["events"] | {"key": forms.KEY + "n" * 20}
    answer = api.post("/api/v1/events", json={"events": [event]})
    assert (answer.status_code, answer.json["rejected"][0]["field"]) == (422, "key")
