"""Bundles through the API: written, offered, counted, deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine.config import Config
from engine.models import Item
from recommender import training
from tests.recommender.shop import add_contacts, add_items, add_order
from web.api.bundles import BundlesOut, OffersOut, SuggestionsOut
from web.services import Services, utcnow

PATH = "/api/v1/bundles/starter"
SET = {"name": "Starter set", "items": ["A0", "A1"], "discount": 0.1, "from": "2026-01-01"}


@pytest.fixture
def shop(services: Services, config: Config) -> None:
    """Eight of ten buyers of A0 bought A1 with it; a training of that."""
    now = utcnow()
    with services.database.begin() as session:
        first, second, other = add_items(session, 3, cost=50_000)
        for number, who in enumerate(add_contacts(session, 20)):
            basket = [first, second] if number < 8 else [first] if number < 10 else [other]
            add_order(session, who, basket, now - timedelta(days=2))
    training.train(services.database, services.warehouse, config, now=now)


@pytest.mark.usefixtures("shop")
def test_the_same_items_are_on_sale(api: FlaskClient) -> None:
    """Refused under another key while both sell them; who leads, other days and a switch tell two apart."""
    api.put(PATH, json=SET | {"items": ["A0", "A1", "A2"], "until": "2098-12-31"})
    other, same = "/api/v1/bundles/other", SET | {"items": ["A0", "A2", "A1"]}
    refused = api.put(other, json=same)
    assert refused.status_code == 409
    assert "“Starter set” (starter) sells the same items" in refused.get_json()["error"]["message"]
    assert refused.get_json()["error"]["field"] == "items"
    for apart in ({"items": ["A1", "A0", "A2"]}, {"from": "2099-01-01"}, {"active": False}):
        assert api.put(other, json=same | apart).status_code == 200
    assert api.put(other, json=same).status_code == 409
    api.put(PATH, json=SET | {"items": ["A0", "A1", "A2"], "until": "2026-01-02"})
    assert api.put(other, json=same).status_code == 200, "the first is over"


@pytest.mark.usefixtures("shop")
def test_a_set_is_written_offered_and_deleted(api: FlaskClient) -> None:
    """The other item carries the set, its price and what it saves."""
    written = api.put(PATH, json=SET).get_json()
    taken = {"since": 0, "lead_since": 0, "before": 0, "lead_before": 0}
    assert written == SET | {"key": "starter", "price": None, "until": None, "active": True, "taken": taken}
    body = {"placement": "item", "context": {"items": ["A0"]}, "n": 2}
    offered = api.post("/api/v1/recommendations", json=body).get_json()["items"]
    assert offered[0]["bundle"] == {"key": "starter", "name": "Starter set", "price": "17.98", "saves": "2.00"}
    assert (offered[0]["id"], offered[0]["source"], offered[0]["reason"]["text"]) == (
        "A1",
        "bundles",
        "in a set with Item 0",
    )
    assert "bundle" not in offered[1]
    charged = api.get("/api/v1/bundle-offers").get_json()
    assert not OffersOut().validate(charged)
    assert charged["offers"] == [
        {"key": "starter", "name": "Starter set", "items": ["A0", "A1"], "price": "17.98", "saves": "2.00",
         "currency": "GBP"}
    ]  # fmt: skip
    listed = api.get("/api/v1/bundles").get_json()
    assert [one["key"] for one in listed["bundles"]] == ["starter"]
    assert not BundlesOut().validate(listed)
    api.put("/api/v1/suppressed-items", json={"items": ["A1"]})
    assert api.get("/api/v1/bundle-offers").get_json() == {"offers": []}
    api.put("/api/v1/suppressed-items", json={"items": []})
    assert api.put(PATH, json=SET | {"discount": None, "price": "15.00"}).get_json()["price"] == "15.00"
    assert api.delete(PATH).status_code == 204
    assert api.delete(PATH).status_code == 404
    offered = api.post("/api/v1/recommendations", json=body).get_json()["items"]
    assert {item["source"] for item in offered}.isdisjoint({"bundles"})


def test_what_just_came_in_counts(api: FlaskClient, shop: None, services: Services) -> None:
    """Reading and writing tell of orders that the worker did not copy yet."""
    api.put(PATH, json=SET)
    for number in (1, 2):
        with services.database.begin() as session:
            items = list(session.scalars(select(Item).where(Item.key.in_(["A0", "A1"]))))
            add_order(session, None, items, utcnow())
        [one] = (
            api.get("/api/v1/bundles").get_json()["bundles"] if number == 1 else [api.put(PATH, json=SET).get_json()]
        )
        assert one["taken"]["since"] == number


@pytest.mark.usefixtures("shop")
def test_suggestions(api: FlaskClient) -> None:
    """With the expected take rate and its interval; not what is a bundle already."""
    found = api.get("/api/v1/bundle-suggestions").get_json()
    assert not SuggestionsOut().validate(found)
    [one] = found["suggestions"]
    assert (one["items"], one["buyers"], one["holders"], one["rate"]) == (["A0", "A1"], 8, 10, 0.8)
    assert 0.4 < one["low"] < 0.8 < one["high"] < 1
    assert (one["price"], one["margin"], one["leverage"]) == ("19.98", "9.98", pytest.approx(0.4 - 0.5 * 0.4))
    api.put(PATH, json=SET)
    assert api.get("/api/v1/bundle-suggestions").get_json() == {"suggestions": []}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"items": ["A0"]}, "items"),
        ({"items": ["A0", "nothing"]}, "items.1"),
        ({"discount": 2}, "discount"),
        ({"price": "1"}, "price"),
        ({"from": "soon"}, "from"),
        ({"active": "yes"}, "active"),
        ({"colour": "red"}, "colour"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_fault_is_named(api: FlaskClient, change: dict[str, Any], field: str) -> None:
    """422 with the path."""
    answer = api.put(PATH, json=SET | change)
    assert answer.status_code == 422, answer.text
    assert answer.get_json()["error"]["field"] == field


def test_suggestions_want_a_training(api: FlaskClient) -> None:
    """And say so."""
    answer = api.get("/api/v1/bundle-suggestions")
    assert answer.status_code == 422
    assert "train" in answer.get_json()["error"]["message"]
