"""POST /api/v1/recommendations, as a storefront uses it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.config import Config
from engine.models import Contact
from recommender import training
from recommender.business import Rules
from recommender.sources.popular import FILLING
from tests.recommender.shop import add_contacts, add_items, add_order
from web.api import access
from web.api.placements import PlacementOut
from web.api.recommendations import AnswerOut, RecommendationsIn, _is_plain
from web.services import Services, utcnow

PATH = "/api/v1/recommendations"


@pytest.fixture
def shop(services: Services) -> None:
    """Tea and cup are bought together by most; Mei bought tea."""
    now = utcnow()
    with services.database.begin() as session:
        tea, cup, spoon, soap = add_items(session, 4, image_url="https://shop.example/i.png")
        tea.title, tea.price, cup.price, spoon.price, soap.price = "Tea", 85_000, None, 1, 70_000
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
def test_prices_keep_their_zeros(api: FlaskClient) -> None:
    """Storefronts print them as they are: two decimals, more where the price has them."""
    items = ask(api, placement="item", n=4)["items"]
    assert {item["id"]: item["price"] for item in items} == {"A0": "8.50", "A1": None, "A2": "0.0001", "A3": "7.00"}


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
    assert (found["source"], len(found["items"])) == ("rules", 2)


@pytest.mark.usefixtures("shop")
def test_what_a_question_may_set(api: FlaskClient) -> None:
    """Fewer fields, a narrower filter and its own exclusions, in place of what the placement says."""
    first = ask(api, placement="home", n=1, fields=["title"], explain=False)["items"][0]
    assert first == {"id": "A0", "score": first["score"], "rank": 1, "source": "popular", "title": "Tea"}
    hidden = {"exclude": {"items": ["A0"], "purchased": False}, "boost": {"margin": 1}, "diversity": 0.5}
    assert "A0" not in [item["id"] for item in ask(api, placement="home", contact="mei", **hidden)["items"]]
    mine = {"placement": "home", "contact": "mei", "n": 4}
    assert "A0" not in [item["id"] for item in ask(api, **mine)["items"]]
    assert "A0" in [item["id"] for item in ask(api, **mine, exclude={"purchased": False})["items"]]
    cart = {"placement": "cart", "context": {"cart": ["A3"]}, "n": 4}
    assert "A3" not in [item["id"] for item in ask(api, **cart)["items"]]
    assert "A3" in [item["id"] for item in ask(api, **cart, exclude={"cart": False})["items"]]
    assert [item["id"] for item in ask(api, **mine, filter={"price_max": 1})["items"]] == ["A2"]


@pytest.mark.parametrize(
    "body",
    [
        {"placement": "home"},
        {"placement": "item", "contact": "mei", "visitor": "v", "n": 100, "explain": False},
        {"placement": "item", "contact": "mei", "signature": "00", "strict": True},
        {"placement": "cart", "context": {"items": ["A0"], "cart": [], "session": ["x" * 128]}},
    ],
)
def test_what_is_plain_is_what_the_schema_takes(body: dict[str, Any]) -> None:
    """The short way in takes nothing else than the schema, and changes nothing."""
    assert _is_plain(body)
    loaded = RecommendationsIn().load(body)
    assert {name: loaded[name] for name in body if name != "context"} == {
        name: value for name, value in body.items() if name != "context"
    }
    for wrong in (
        {"n": 0},
        {"n": True},
        {"n": 1.0},
        {"placement": ""},
        {"contact": "x" * 129},
        {"explain": 1},
        {"strict": 0},
        {"signature": ""},
        {"m": 1},
    ):
        assert not _is_plain(body | wrong)
    for wrong in ({"items": "A0"}, {"items": [1]}, {"items": [""]}, {"cart": ["x"] * 101}, {"basket": []}):
        assert not _is_plain(body | {"context": wrong})


@pytest.mark.usefixtures("trained")
def test_strict(api: FlaskClient) -> None:
    """Rather fewer than best-sellers; a placement of best-sellers alone shows them; false is as always."""
    asked = {"placement": "cart", "context": {"cart": ["A0"]}, "n": 4}
    filled, strict = ask(api, **asked), ask(api, **asked, strict=True)
    knowing = [item["id"] for item in filled["items"] if item["source"] not in FILLING]
    assert [item["id"] for item in strict["items"]] == knowing
    assert 0 < len(knowing) < len(filled["items"])
    assert ask(api, **asked, strict=False)["items"] == filled["items"]
    api.put("/api/v1/placements/best", json={"name": "Best", "sources": ["popular"]})
    assert ask(api, placement="best", n=4, strict=True)["items"] == ask(api, placement="best", n=4)["items"] != []
    for wrong in (0, "true", None):
        refused = api.post(PATH, json=asked | {"strict": wrong})
        assert (refused.status_code, refused.get_json()["error"]["field"]) == (422, "strict")


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


@pytest.mark.usefixtures("trained")
def test_rows_of_one_page(api: FlaskClient) -> None:
    """distinct: what stands in a row stands in none below it; what a question keeps out itself stays out as well."""
    best = {"placement": "email", "n": 2}
    asked = [best, best | {"exclude": {"items": ["A3"]}}, {"placement": "item", "n": 4}]
    rows = [[one["id"] for one in answer["items"]] for answer in ask(api, requests=asked, distinct=True)["answers"]]
    shown = [key for row in rows for key in row]
    assert sorted(shown) == sorted(set(shown)) != []
    assert "A3" not in rows[1]
    twice = ask(api, requests=[best, best])["answers"]
    assert twice[0]["items"] == twice[1]["items"]


@pytest.mark.usefixtures("shop")
def test_before_the_first_training(api: FlaskClient) -> None:
    """Best-sellers answer and say that they do; nobody is told of an error."""
    found = ask(api, placement="home", visitor="stranger", filter={"price_max": "9.99", "categories": ["All"]})
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
        ({"placement": "home", "exclude": ["x"]}, "exclude"),
        ({"placement": "home", "exclude": {"items": ["x"] * 101}}, "exclude.items"),
        ({"placement": "home", "exclude": {"purchased": 1}}, "exclude.purchased"),
        ({"placement": "home", "boost": {"margin": 2}}, "boost.margin"),
        ({"placement": "home", "boost": {"margin": "0.5"}}, "boost.margin"),
        ({"placement": "home", "boost": {"sales": 1}}, "boost.sales"),
        ({"placement": "home", "diversity": -0.1}, "diversity"),
        ({"placement": "home", "fields": ["titel"]}, "fields.0"),
        ({"placement": "home", "filter": {"margin_min": 3}}, "filter.margin_min"),
        ({"placement": "home", "filter": {"price_min": 3, "price_max": 2}}, "filter.price_max"),
        ({"placement": "home", "filter": {"suppressed": ["x"]}}, "filter.suppressed"),
        ({"placement": "home", "explain": 0}, "explain"),
        ({"placement": "home", "contact": ""}, "contact"),
        ([{"placement": "home"}], None),
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


def test_distinct_rows_of_hundreds(api: FlaskClient, services: Services) -> None:
    """An item stands in the first row that has it, however many stand before."""
    with services.database.begin() as session:
        add_items(session, 130)
    body = {"requests": [{"placement": "home", "n": 60, "exclude": {"items": ["A0"]}}] * 3, "distinct": True}
    answers = ask(api, **body)["answers"]
    shown = [item["id"] for answer in answers for item in answer["items"]]
    assert [len(answer["items"]) for answer in answers] == [60, 60, 9]
    assert len(set(shown)) == 129


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
    written = api.put("/api/v1/placements/till", json=plan).get_json()
    assert (written["key"], written["name"], written["sources"]) == ("till", "Till", ["newest"])
    assert written["rules"] == Rules(in_stock=False).json()
    assert not PlacementOut().validate(written)
    assert {item["source"] for item in ask(api, placement="till")["items"]} == {"newest"}
    for wrong in (["populr"], ["newest", "newest"], []):
        assert api.put("/api/v1/placements/till", json=plan | {"sources": wrong}).status_code == 422
    assert api.put("/api/v1/placements/till", json=plan | {"rules": {"in_stock": 0}}).status_code == 422
    listed = api.get("/api/v1/placements").get_json()["placements"]
    assert [one["sources"] for one in listed if one["key"] == "till"] == [["newest"]]
    assert {"home", "item", "cart", "email"} < {one["key"] for one in listed}
