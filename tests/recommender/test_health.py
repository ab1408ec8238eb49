"""The health of a catalogue whose faults are known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database
from engine.models import Item, OrderLine
from engine.warehouse import Warehouse
from recommender import health, placements
from recommender.answers import Answer, Request
from recommender.criteria.published import serving
from recommender.health import Health
from recommender.placements import DEFAULTS
from recommender.serving import Recommender
from tests.engine.copies import remove
from tests.recommender.bakery import bake, change
from tests.recommender.shop import NOW, add_event, add_items


@pytest.fixture
def shop(database: Database, warehouse: Warehouse, config: Config) -> Config:
    """The bakery, trained: butter is sold out, jam has no category and no cost, tea is not sold any more; A9 came later
    and has no picture, no title and no price.
    """
    bake(database, warehouse, config)
    with database.begin() as session:
        change(session, image_url="https://shop.example/a.png", cost=50_000)
        change(session, "A1", stock=0)
        change(session, "A2", category=None, cost=None)
        change(session, "A3", active=False)
        add_items(session, 1, key="A9", title="", price=None, cost=1)
    warehouse.refresh()
    return config


def look(database: Database, warehouse: Warehouse, recommender: Recommender, config: Config) -> Health:
    warehouse.refresh()
    recommender.reload()
    with database.read() as session:
        learned = serving(session, config).item_ids
        return health.look(session, warehouse, recommender, learned, now=NOW, seed=1)


def keys(found: Health, check: str) -> list[str]:
    return [str(key) for key in found.goods.keys[found.rows(check)]]


def edit(database: Database, key: str, **rules: Any) -> None:
    plan = DEFAULTS[key]
    with database.begin() as session:
        placements.edit(session, key, name=plan.name, sources=plan.sources, given=plan.rules.json() | rules, now=NOW)


def test_findings(database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config) -> None:
    """Each names exactly the items that it is about; what is not sold is not asked to be complete."""
    found = look(database, warehouse, recommender, shop)
    assert {check: keys(found, check) for check in health.CHECKS} == {
        "never_offered": ["A9"],
        "never_seen": ["A0", "A2", "A9"],
        "sold_out_shown": [],
        "no_price": ["A9"],
        "no_cost": ["A2"],
        "no_category": ["A2"],
        "no_title": ["A9"],
        "no_picture": ["A9"],
        "unlearned": ["A9"],
        "not_sold": ["A3"],
    }
    assert found.lost == 0


def test_reach(database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config) -> None:
    """Only what may be shown is offered, the same to everybody at most ROW times, and each answer is counted."""
    found = look(database, warehouse, recommender, shop)
    ids = {str(key): int(number) for key, number in zip(found.goods.keys, found.goods.ids, strict=True)}
    assert set(found.offered) <= {ids["A0"], ids["A2"], ids["A9"]}
    assert found.reached == len(found.offered)
    for reach in found.reaches:
        # buyers and, except where nobody but a contact asks, strangers who look at what may be shown
        assert reach.asked == 65 + (0 if reach.plan.key in ("again", "next", "email") else 3)
        assert sum(reach.places.values()) == sum(reach.sources.values()) <= reach.asked * health.ROW
        assert reach.top_share == 1.0


def test_each_is_asked_in_its_own_context(
    database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item page with its item whoever asks, the cart with a cart and a visit, a mail for people alone; where history
    leads, an item of the visit is a stranger's; a source that lives on an item has one where there usually is none.
    """
    own = {"step": ["upsell", "popular"], "start": ["collaborative", "session"], "sets": ["bundles"], "next": ["rules"],
           "past": ["buy_again"], "best": ["popular"]}  # fmt: skip
    with database.begin() as session:
        for key, sources in own.items():
            placements.edit(session, key, name=key, sources=sources, given={}, now=NOW)
    asked: dict[str, list[Request]] = {}
    recommend = recommender.recommend

    def noted(session: Session, request: Request, **given: Any) -> Answer:
        asked.setdefault(request.placement, []).append(request)
        return recommend(session, request, **given)

    monkeypatch.setattr(recommender, "recommend", noted)
    look(database, warehouse, recommender, shop)
    page, cart, visit, nothing = (1, 0, 0), (0, 1, 1), (0, 0, 1), (0, 0, 0)
    assert {
        key: [{_held(one) for one in some if (one.contact_id is None) is stranger} for stranger in (False, True)]
        for key, some in asked.items()
    } == {
        "home": [{nothing}, {visit}], "item": [{page}, {page}], "similar": [{page}, {page}], "upsell": [{page}, {page}],
        "cart": [{cart}, {cart}], "again": [{nothing}, set()], "email": [{nothing}, set()], "next": [{visit}, {visit}],
        "step": [{visit}, {visit}], "start": [{nothing}, {visit}], "sets": [{page}, {page}], "past": [{nothing}, set()],
        "best": [{nothing}, set()],
    }  # fmt: skip


def _held(request: Request) -> tuple[int, int, int]:
    return len(request.items), len(request.cart), len(request.session)


def test_a_placement_that_lives_on_an_item_is_not_asked_without(
    database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config
) -> None:
    """Bread leads to jam and jam to bread: only the third page, of an item that nobody bought, has no answer."""
    with database.begin() as session:
        placements.edit(session, "item", name="Item", sources=["rules"], given={}, now=NOW)
    found = look(database, warehouse, recommender, shop)
    [reach] = [one for one in found.reaches if one.plan.key == "item"]
    assert reach.empty * 3 <= reach.asked + 3


def test_sold_out_but_shown(database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config) -> None:
    """Where a placement does not ask for stock."""
    edit(database, "home", in_stock=False)
    assert keys(look(database, warehouse, recommender, shop), "sold_out_shown") == ["A1"]


def test_dead_placement(database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config) -> None:
    """One whose rules leave nothing; who drops what is told with it."""
    edit(database, "cart", price_min="5000", boost_margin=0.5)
    found = look(database, warehouse, recommender, shop)
    assert [reach.plan.key for reach in found.dead] == ["cart"]
    assert "cart" in [plan.key for plan in found.dropped_by("no_price")]
    assert "cart" in [plan.key for plan in found.dropped_by("no_cost")]
    assert "home" not in [plan.key for plan in found.dropped_by("no_cost")]
    assert found.dropped_by("no_picture") == []


def test_idle_pins(database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config) -> None:
    """Each says why; one of other days is not looked at."""
    pins: list[dict[str, Any]] = [{"item": item, "position": 1} for item in ("A0", "A1", "A2", "A3", "gone")]
    edit(database, "home", pins=[*pins, {"item": "moon", "position": 1, "until": "2026-01-01"}], suppressed=["A2"])
    found = look(database, warehouse, recommender, shop)
    assert [(one.pin.item, one.why) for one in found.idle] == [
        ("A1", "sold out"), ("A2", "suppressed"), ("A3", "not sold"), ("gone", "unknown"),
    ]  # fmt: skip


def test_impressions_count_for_a_while(
    database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config
) -> None:
    """Of the last weeks, by item; older ones are not looked at."""
    with database.begin() as session:
        jam, bread = (session.scalars(select(Item).where(Item.key == key)).one() for key in ("A2", "A0"))
        for hours in (1, 2, 3):
            add_event(session, None, jam, NOW - timedelta(hours=hours), type="impression", visitor="v")
        add_event(session, None, bread, NOW - timedelta(days=health.DAYS + 1), type="impression", visitor="v")
        add_event(session, None, jam, NOW - timedelta(minutes=5), type="recommendation_click", visitor="v")
    found = look(database, warehouse, recommender, shop)
    assert (found.shown, found.clicked) == ({jam.id: 3}, {jam.id: 1})
    assert keys(found, "never_seen") == ["A0", "A9"]


def test_deleted_items(database: Database, warehouse: Warehouse, recommender: Recommender, shop: Config) -> None:
    """The training still knows them; they are counted and never offered."""
    with database.begin() as session:
        number = session.scalars(select(Item.id).where(Item.key == "A0")).one()
        for line in session.scalars(select(OrderLine.id).where(OrderLine.item_id == number)).all():
            remove(session, OrderLine, line)
        remove(session, Item, number)
    found = look(database, warehouse, recommender, shop)
    assert found.lost == 1
    assert number not in found.offered


def test_empty_shop(database: Database, warehouse: Warehouse, recommender: Recommender) -> None:
    """Nothing is found and nothing breaks; every placement is dead."""
    warehouse.refresh()
    with database.read() as session:
        found = health.look(session, warehouse, recommender, np.empty(0, np.int64), now=NOW, seed=1)
    assert (len(found.goods), found.asked, found.reached) == (0, len(found.reaches), 0)
    assert len(found.dead) == len(found.reaches)
    assert not any(len(found.rows(check)) for check in health.CHECKS)


def test_concentration() -> None:
    """Ten of twenty equal items take half; of three, all."""
    assert health.concentration(dict.fromkeys(range(20), 5)) == 0.5
    assert health.concentration({1: 7, 2: 1, 3: 1}) == 1.0
    assert health.concentration({}) == 0.0
