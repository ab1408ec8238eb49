"""People over the REST API: found, told everything about, forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import consent
from engine.models import Contact, Event, Order
from tests.campaigns import shop
from tests.engine.copies import add
from web.api import access
from web.services import Services, utcnow

SECOND = timedelta(seconds=1)


@pytest.fixture
def ann(services: Services, now: datetime) -> str:
    """Ann, who bought once, got a message, clicked and looked at ten things in one moment; and somebody else."""
    with services.database.begin() as session:
        shop.contact(session, 1, now, key="A/1", email="ann@x.example", income=305_000, attributes={"size": 40})
        shop.contact(session, 2, now, email="ben@x.example")
        consent.suppress(session, "sms", "+447946000001", "complaint", now)
        shop.order(session, "O1", 1, now + SECOND, 25)
        campaign = shop.campaign(session, now, name="Spring")
        shop.fire(session, campaign, [1], now + 2 * SECOND)
        for number in range(10):
            add(session, Event, now, key=f"e{number}", type="item_view", contact_id=1, occurred_at=now)
        add(session, Event, now, key="late", type="search", contact_id=1, occurred_at=now + 3 * SECOND)
    services.warehouse.refresh()
    return "A/1"


def test_found_by_what_they_say(api: FlaskClient, ann: str) -> None:
    """By a part of an address, page by page; the key then opens the rest."""
    assert [one["key"] for one in api.get("/api/v1/contacts?words=ANN@x").json["contacts"]] == [ann]
    first = api.get("/api/v1/contacts?limit=1").json
    second = api.get(f"/api/v1/contacts?limit=1&cursor={first['next']}").json
    assert [one["key"] for one in first["contacts"] + second["contacts"]] == [ann, "c2"]
    assert api.get(f"/api/v1/contacts?cursor={second['next']}").json == {"contacts": [], "next": None}


def test_everything_known_is_told(api: FlaskClient, ann: str, now: datetime) -> None:
    """Facts, consent by channel, traits, history; a key with a slash is a key."""
    told = api.get(f"/api/v1/contacts/{ann}").json
    assert (told["key"], told["email"], told["income"]) == ("A/1", "ann@x.example", "30.5")
    assert told["attributes"] == {"size": 40}
    assert told["channels"] == [
        {"channel": "email", "address": "ann@x.example", "consent": True, "suppression": None},
        {"channel": "sms", "address": "+447946000001", "consent": True, "suppression": "complaint"},
    ]
    assert (told["traits"]["order_count"], told["traits"]["spend"]) == (1, "25")
    assert [moment["kind"] for moment in told["history"]][:3] == ["event", "send", "order"]
    assert (told["history"][2]["title"], told["history"][2]["amount"]) == ("O1", "25")
    assert api.get("/api/v1/contacts/c2").json["traits"] is None


def test_history_is_read_whole_in_parts(api: FlaskClient, ann: str) -> None:
    """Every moment once, also of those that happened together."""
    whole = api.get(f"/api/v1/contacts/{ann}").json["history"]
    assert len(whole) == 13
    for limit in (1, 2, 3, 12):
        parts: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            told = api.get(f"/api/v1/contacts/{ann}", query_string={"limit": limit, **cursor}).json
            parts += told["history"]
            if told["next"] is None:
                break
            cursor = {"cursor": told["next"]}
        assert parts == whole


@pytest.mark.parametrize("cursor", ["yesterday", "event.1@2026-03-01T00:00:00", "event.1@0001-01-01T00:00:00+23:59"])
def test_a_wrong_moment_is_refused(api: FlaskClient, ann: str, cursor: str) -> None:
    """With its field, before a database sees it."""
    answer = api.get(f"/api/v1/contacts/{ann}", query_string={"cursor": cursor})
    assert (answer.status_code, answer.json["error"]["field"]) == (422, "cursor")


def test_forgotten_for_good(api: FlaskClient, services: Services, ann: str) -> None:
    """The person is gone, the order stays without a name, the address stays silent; once more is a 404."""
    assert api.delete(f"/api/v1/contacts/{ann}").status_code == 204
    with services.database.read() as session:
        assert session.scalars(select(Contact.key)).all() == ["c2"]
        assert session.scalars(select(Order.contact_id)).all() == [None]
        assert consent.is_suppressed(session, "email", "ann@x.example")
    events = services.warehouse.table("events")
    assert services.warehouse.execute(events.count())[0][0].as_py() == 0
    for answer in (api.get(f"/api/v1/contacts/{ann}"), api.delete(f"/api/v1/contacts/{ann}")):
        assert answer.status_code == 404


def test_each_has_its_scope(client: FlaskClient, services: Services, ann: str) -> None:
    """Who may write contacts may neither read nor erase them."""
    with services.database.begin() as session:
        keys = {scope: access.add_key(session, scope, [scope], now=utcnow()) for scope in access.SCOPES}
    for scope, key in keys.items():
        headers = {"Authorization": f"Bearer {key}"}
        for method, address, needed in (
            ("GET", "/api/v1/contacts", "contacts:read"),
            ("GET", f"/api/v1/contacts/{ann}", "contacts:read"),
            ("DELETE", "/api/v1/contacts/nobody", "contacts:erase"),
        ):
            status = client.open(address, method=method, headers=headers).status_code
            assert (status == 403) == (scope != needed), (scope, method)
