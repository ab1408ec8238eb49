"""The comparison of a placement through its API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine.models import Contact
from tests.recommender.shop import add_contacts, add_items, add_order
from web.api import access
from web.api.comparisons import ComparisonOut, ComparisonReadOut
from web.services import Services, utcnow

PATH = "/api/v1/placements/home/comparison"
B = {"label": "New first", "sources": ["newest"], "rules": {"price_min": "2"}}


@pytest.fixture
def shop(services: Services) -> None:
    """Four items, the last the newest, and 40 contacts, who bought the first."""
    with services.database.begin() as session:
        things = add_items(session, 4)
        for contact in add_contacts(session, 40):
            add_order(session, contact, things[:1], utcnow() - timedelta(days=2))


@pytest.mark.usefixtures("shop")
def test_from_start_to_undo(api: FlaskClient, services: Services) -> None:
    """Answers tell their variant, an impression is counted in its arm, a variant is adopted and taken back."""
    assert api.get(PATH).status_code == 404
    answer = api.post(PATH, json={"b": B, "holdout": 0.2, "days": 7})
    assert answer.status_code == 201, answer.text
    started = answer.get_json()
    assert not ComparisonOut().validate(started)
    assert (started["status"], started["days"]) == ("running", 7)
    assert "started_by" not in started  # the address of a colleague, where a page started it
    assert (started["b"]["sources"], started["b"]["rules"]["price_min"]) == (["newest"], "2")
    events, arms = [], []
    with services.database.read() as session:
        keys = session.scalars(select(Contact.key).order_by(Contact.id)).all()
    for key in keys:
        asked = {"placement": "home", "contact": key}
        shown = api.post("/api/v1/recommendations", json=asked).get_json()
        arms.append(shown["variant"])
        told = {"recommendation_id": shown["recommendation_id"], "placement": "home", "source": shown["source"]}
        event = {"key": f"i{key}", "type": "impression", "contact": key, "at": utcnow().isoformat()}
        events.append(event | {"properties": told})
    assert api.post("/api/v1/events", json={"events": events}).status_code == 200
    found = api.get(PATH).get_json()
    assert not ComparisonReadOut().validate(found)
    people = {arm: one["people"] for arm, one in found["readout"]["arms"].items()}
    assert people == {arm: arms.count(arm) for arm in ("a", "b", "holdout")}
    assert found["readout"]["verdict"]["code"] in {"few buyers", "broken"}  # by chance, one in a thousand
    edited = api.put("/api/v1/placements/home", json={"name": "Home", "sources": ["popular"]})
    assert (edited.status_code, edited.get_json()["error"]["code"]) == (409, "conflict")
    assert api.post(PATH, json={"b": B}).status_code == 409
    adopted = api.post(f"{PATH}/adopt", json={"variant": "b"}).get_json()
    assert (adopted["status"], adopted["adopted"]) == ("adopted", "b")
    home = next(one for one in api.get("/api/v1/placements").get_json()["placements"] if one["key"] == "home")
    assert home["sources"] == ["newest"]
    asked = {"placement": "home", "contact": keys[0]}
    assert api.post("/api/v1/recommendations", json=asked).get_json()["variant"] is None
    taken = api.post(f"{PATH}/undo").get_json()
    assert (taken["status"], taken["adopted"]) == ("stopped", None)
    home = next(one for one in api.get("/api/v1/placements").get_json()["placements"] if one["key"] == "home")
    assert home["sources"] == started["a"]["sources"]
    assert api.post(f"{PATH}/undo").status_code == 409
    assert api.post(f"{PATH}/stop").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "b"),
        ({"b": {}}, "b"),
        ({"b": {"sources": ["wizard"]}}, "b.sources.0"),
        ({"b": {"rules": {"price_mim": "1"}}}, "b.rules.price_mim"),
        ({"b": {"placement": "nowhere"}}, "b.placement"),
        ({"b": B, "a": {"rules": {"margin_min": 2}}}, "a.rules.margin_min"),
        ({"b": B, "holdout": 0.9}, "holdout"),
        ({"b": B, "holdout": "0.1"}, "holdout"),
        ({"b": B, "share_b": 1}, "share_b"),
        ({"b": B, "days": 1000}, "days"),
    ],
)
def test_what_cannot_be_compared(api: FlaskClient, body: dict[str, object], field: str) -> None:
    """422 that names the place; nothing runs."""
    answer = api.post(PATH, json=body)
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (422, field)
    assert api.get(PATH).status_code == 404


def test_reading_needs_one_scope_and_writing_the_other(client: FlaskClient, services: Services) -> None:
    """Revenue and margins are read with the scope of reports; a key that may only ask cannot read, start or adopt.

    There is no comparison yet, and nothing was learned that suggests a bundle.
    """
    with services.database.begin() as session:
        made = access.add_key(session, "shop", ["recommendations:read"], now=utcnow())
        reader = access.add_key(session, "reports", ["campaigns:read"], now=utcnow())
    headers = {"Authorization": f"Bearer {made}"}
    for path, there in ((PATH, 404), ("/api/v1/bundle-suggestions", 422)):
        assert client.get(path, headers=headers).status_code == 403
        assert client.get(path, headers={"Authorization": f"Bearer {reader}"}).status_code == there
    for path in (PATH, f"{PATH}/stop", f"{PATH}/adopt", f"{PATH}/undo"):
        assert client.post(path, headers=headers, json={}).status_code == 403
    assert client.post(PATH, json={"b": B}).status_code == 401
