"""The placement of a step up, as the page of an item asks it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from engine.config import Config
from recommender import training
from tests.recommender.shop import add_contacts, add_items, add_order
from web.services import Services, utcnow

MUGS = (100_000, 104_000, 110_000, 150_000, 500_000)


@pytest.fixture
def shop(services: Services, config: Config) -> None:
    """Five mugs at 10, 10.40, 11, 15 and 50, and teapots at 12 which everybody buys, with a training that serves."""
    now = utcnow()
    with services.database.begin() as session:
        items = add_items(session, 8)
        for item, price in zip(items, (*MUGS, 120_000, 120_000, 120_000), strict=True):
            item.price, mug = price, price in MUGS
            item.title, item.category = ("Mug", "Table > Mugs") if mug else ("Pot", "Table > Teapots")
        for number, contact in enumerate(add_contacts(session, 12)):
            add_order(session, contact, [items[number % 5], *items[5:]], now - timedelta(days=2))
    training.train(services.database, services.warehouse, config, now=now)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("strict", [False, True])
def test_rather_fewer_than_what_is_no_step_up(api: FlaskClient, *, strict: bool) -> None:
    """Of its category, a tenth to four times as dear: no best-seller of another one, and none that costs as much. Its
    reasons hold no figures, for those of how often people take such a step are of no buyers.
    """
    asked = {"placement": "upsell", "context": {"items": ["A0"]}, "n": 4, "strict": strict}
    answer = api.post("/api/v1/recommendations", json=asked)
    assert answer.status_code == 200, answer.text
    items = answer.get_json()["items"]
    assert {item["id"] for item in items} == {"A2", "A3"}
    assert {item["source"] for item in items} == {"upsell"}
    for item in items:
        assert item["reason"] == {"kind": "upsell", "because": ["Mug"], "text": "a step up from Mug"}
