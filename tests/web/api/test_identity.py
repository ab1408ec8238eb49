"""The report and the merges, for programs."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import identity, intake
from engine.models import Contact
from tests.conftest import HeaderClient
from web.api import access
from web.services import Services

LINES = [{"item": "tea", "quantity": 1, "unit_price": "5"}]
BUYERS = {"W": ("web",), "S": ("store",), "T": ("store",), "B": ("web", "store"), "P": ("phone", "web"), "N": ()}


@pytest.fixture
def shop(services: Services, now: datetime) -> None:
    """Buyers of each kind, T being W in truth, and two visitors of whom one is W."""
    with services.database.begin() as session:
        for key, channels in BUYERS.items():
            intake.accept(session, "contacts", [{"key": key}], now=now, config=services.config)
            for channel in channels:
                order = {
                    "order": key + channel,
                    "at": now.isoformat(),
                    "contact": key,
                    "channel": channel,
                    "lines": LINES,
                }
                assert not intake.accept(session, "orders", [order], now=now, config=services.config).rejected
        for visitor in ("v1", "v2"):
            seen = {"type": "search", "at": now.isoformat(), "visitor": visitor}
            intake.accept(session, "events", [seen], now=now, config=services.config)
        ids = {one.key: one.id for one in session.scalars(select(Contact))}
        identity.identify(session, "v1", ids["W"], now)
        identity.join(session, ids["T"], ids["W"], evidence="said so", author="mei", now=now)
    services.warehouse.refresh()


def test_report_and_merges(
    app: object, services: Services, shop: None, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each person once, however many names they have; a merge tells who, when and why."""
    monkeypatch.setattr("web.api.identity.utcnow", lambda: now)
    with services.database.begin() as session:
        key = access.add_key(session, "test", ["contacts:read"], now=now)
    client: FlaskClient = HeaderClient(app, app.response_class)  # type: ignore[attr-defined, arg-type]
    client.headers = {"Authorization": f"Bearer {key}"}  # type: ignore[attr-defined]
    told = client.get("/api/v1/identity").get_json()
    told.pop("as_of")
    assert told == {
        "contacts": 5, "web_only": 0, "store_only": 1, "both": 2, "elsewhere": 1, "no_orders": 1,
        "recognised": 1, "anonymous": 1, "merged_by_records": 0, "merged_by_hand": 1,
    }  # fmt: skip
    [merge] = client.get("/api/v1/merges").get_json()["merges"]
    assert (merge["merged"], merge["kept"], merge["how"], merge["evidence"], merge["author"], merge["undone_at"]) == (
        "T", "W", "manual", "said so", "mei", None,
    )  # fmt: skip
    assert client.get("/api/v1/contacts/T").get_json()["key"] == "W"
    assert [one["key"] for one in client.get("/api/v1/contacts").get_json()["contacts"]] == ["W", "S", "B", "P", "N"]
    first = client.get("/api/v1/merges?limit=1").get_json()
    assert client.get(f"/api/v1/merges?cursor={first['next']}").get_json() == {"merges": [], "next": None}
