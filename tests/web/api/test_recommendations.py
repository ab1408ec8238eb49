"""POST /api/v1/recommendations, as a storefront uses it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.config import Config
from engine.models import Contact
from recommender import training
from tests.recommender.shop import add_contacts, add_items, add_order
from web.api import access
from web.api.recommendations import AnswerOut
from web.services import Services, utcnow

PATH = "/api/v1/recommendations"


@pytest.fixture
def shop(services: Services) -> None:
    """Tea and cup are bought together by most; Mei bought tea."""
    now = utcnow()
    with services.database.begin() as session:
        tea, cup, spoon, soap = add_items(session, 4, image_url="https://shop.example/i.png")
        tea.title, cup.price, spoon.price = "Tea", None, 1
        people = add_contacts(session, 12)
        for number, contact in enumerate(people):
            mine = [tea, cup] if number < 6 else [spoon, soap]
            add_order(session, contact, mine, now - timedelta(days=2))
        mei = Contact(key="mei", attributes={}, created_at=now, updated_at=now)
        session.add(mei)
        session.flush()
        add_order(session, mei, [tea], now - timedelta(days=1))


@pytest.fixture
def trained(services: Services, config: Config, shop: None) -> None:
    """The shop with a training that serves."""
    training.train(services.database, services.warehouse, config, now=utcnow())


def ask(api: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = api.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.mark.usefixtures("trained")
def test_item_page(api: FlaskClient) -> None:
    """6 of 7 buyers of tea also bought a cup: item, source, numbers and reason; the shape is the documented one."""
    found = ask(api, placement="item", context={"items": ["A0", "unknown"]}, contact="nobody", n=2)
    assert not AnswerOut().validate(found)
    assert found["training"] == 1
    assert found["degraded"] is False
    assert found["missing_ids"] == ["unknown", "nobody"]
    assert len(found["recommendation_id"]) > 20
    first = found["items"][0]
    assert (first["id"], first["rank"], first["source"], first["price"]) == ("A1", 1, "rules", None)
    assert first["reason"] == {
        "kind": "rules",
        "because": ["Tea"],
        "support": 6,
        "n": 7,
        "confidence": pytest.approx(6 / 7),
        "lift": pytest.approx(6 / 7 / (6 / 13)),
        "text": "6 of 7 buyers of Tea also bought it",
    }
    assert found["items"][1]["source"] != "rules"


@pytest.mark.usefixtures("trained")
def test_known_contact(api: FlaskClient) -> None:
    """Mei, who bought tea, is offered the cup because of it."""
    first = ask(api, placement="home", contact="mei", n=1)["items"][0]
    assert (first["id"], first["reason"]["text"]) == ("A1", "because you bought Tea")


@pytest.mark.usefixtures("trained")
def test_several_questions(api: FlaskClient) -> None:
    """One call, several placements, answers in order and each with its own id."""
    asked = [{"placement": "home", "n": 1}, {"placement": "cart", "context": {"cart": ["A2"]}, "explain": False}]
    answers = ask(api, requests=asked)["answers"]
    assert [answer["placement"] for answer in answers] == ["home", "cart"]
    assert answers[0]["recommendation_id"] != answers[1]["recommendation_id"]
    assert "reason" not in answers[1]["items"][0]


@pytest.mark.usefixtures("shop")
def test_before_the_first_training(api: FlaskClient) -> None:
    """Best-sellers answer and say that they do; nobody is told of an error."""
    found = ask(api, placement="home", visitor="stranger", filter={"price_max": "9.99", "category": "All"})
    assert (found["degraded"], found["training"]) == (True, None)
    assert [item["id"] for item in found["items"]] == ["A0", "A3", "A2"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "placement"),
        ({"placement": "item", "requests": [{"placement": "home"}]}, "placement"),
        ({"placement": "nowhere"}, "placement"),
        ({"placement": "home", "n": 0}, "n"),
        ({"placement": "home", "n": "ten"}, "n"),
        ({"placement": "home", "context": {"items": "A0"}}, "context.items"),
        ({"placement": "home", "context": {"cart": [1]}}, "context.cart.0"),
        ({"placement": "home", "context": {"basket": []}}, "context.basket"),
        ({"placement": "home", "exclude": ["x"] * 101}, "exclude"),
        ({"placement": "home", "filter": {"price_min": "cheap"}}, "filter.price_min"),
        ({"placement": "home", "filter": {"price_min": "0.00001"}}, "filter.price_min"),
        ({"placement": "home", "contacts": "mei"}, "contacts"),
        ({"requests": []}, "requests"),
        ({"requests": [{"placement": "home"}, {"n": 3}]}, "requests.1.placement"),
        ({"requests": [{"placement": "home"}, {"placement": "hoem"}]}, "requests.1.placement"),
    ],
)
def test_malformed_names_the_field(api: FlaskClient, body: dict[str, Any], field: str) -> None:
    """A body that cannot be understood is 422 with the path to the fault."""
    answer = api.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.get_json()["error"]["field"] == field


def test_needs_its_scope(client: FlaskClient, services: Services) -> None:
    """A key without recommendations:read may not ask."""
    with services.database.begin() as session:
        made = access.add_key(session, "other", ["events:write"], now=utcnow())
    body = {"placement": "home"}
    assert client.post(PATH, json=body).status_code == 401
    assert client.post(PATH, json=body, headers={"Authorization": f"Bearer {made}"}).status_code == 403


@pytest.mark.usefixtures("trained")
def test_a_placement_of_ones_own(api: FlaskClient) -> None:
    """Written, listed and asked at once; an unknown or repeated source is refused and changes nothing."""
    plan = {"name": "Till", "sources": ["newest"], "rules": {"in_stock": False}}
    written = api.put("/api/v1/placements/till", json=plan)
    assert written.get_json() == {
        "key": "till", "name": "Till", "sources": ["newest"],
        "rules": {"exclude_purchased": False, "in_stock": False},
    }  # fmt: skip
    assert {item["source"] for item in ask(api, placement="till")["items"]} == {"newest"}
    for wrong in (["populr"], ["newest", "newest"], []):
        assert api.put("/api/v1/placements/till", json=plan | {"sources": wrong}).status_code == 422
    assert api.put("/api/v1/placements/till", json=plan | {"rules": {"in_stock": 0}}).status_code == 422
    listed = api.get("/api/v1/placements").get_json()["placements"]
    assert [one["sources"] for one in listed if one["key"] == "till"] == [["newest"]]
    assert {"home", "item", "cart", "email"} < {one["key"] for one in listed}
