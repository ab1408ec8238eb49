"""Bundles: offered where their lead is looked at, for less than the items one by one, and what became of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text, update

from engine.database import Database, next_revision
from engine.errors import Invalid, NotFound
from engine.models import Item
from engine.warehouse import Warehouse
from recommender import bundles, placements
from recommender.answers import InSet, Recommended, Request
from recommender.bundles import Charged, Take
from recommender.placements import DEFAULTS
from recommender.serving import Recommender
from tests.recommender.shop import NOW, add_contacts, add_items, add_order

SET = {"name": "Starter set", "items": ["A0", "A1", "A3"], "discount": 0.1}


def make(database: Database, key: str = "starter", **given: Any) -> None:
    with database.begin() as session:
        bundles.edit(session, key, {**SET, **given}, NOW, "GBP")


def shown(recommender: Recommender, request: Request) -> list[Recommended]:
    """What the sets offer."""
    recommender.reload()
    with recommender.database.read() as session:
        answer = recommender.recommend(session, request, now=NOW)
    return [item for item in answer.items if item.source == "bundles"]


@pytest.mark.usefixtures("shop")
def test_completes_the_set(recommender: Recommender, database: Database) -> None:
    """On the page of the lead the others come first, each with the set and what it saves: 10% of 3 x 9.99."""
    make(database)
    found = shown(recommender, Request("item", items=["A0"], n=6))
    assert [(item.key, item.rank) for item in found] == [("A1", 1), ("A3", 2)]
    assert {item.bundle for item in found} == {InSet("starter", "Starter set", 269_700, 30_000)}
    assert found[0].reason
    assert found[0].reason.text == "in a set with Item 0"
    with database.read() as session:
        row = recommender.recommend(session, Request("item", items=["A0"], n=6), now=NOW).items
    assert len(row) == 6
    assert all(item.bundle is None for item in row[2:])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        (Request("cart", cart=["A0"], n=6), ["A1", "A3"]),
        (Request("cart", cart=["A0", "A3"], n=6), ["A1"]),
        (Request("cart", cart=["A0", "A1", "A3"], n=6), []),
        (Request("item", items=["A1"], n=6), []),
        (Request("item", items=["A0"], exclude=["A1"], n=6), []),
        (Request("item", items=["A0"], n=1), []),
        (Request("home", items=["A0"], n=6), []),
        (Request("item", items=["A5"], session=["A0"], n=6), []),
        (Request("item", items=["A0"], session=["A3"], rules={"exclude_viewed": False}, n=6), ["A1", "A3"]),
    ],
    ids=[
        *("cart", "one is in the cart", "all are", "not the lead", "one may not be offered", "no room", "elsewhere"),
        *("the lead was looked at before", "one was looked at before"),
    ],
)
def test_all_of_it_or_nothing(recommender: Recommender, database: Database, request_: Request, keys: list[str]) -> None:
    """What is missing of the set is offered together, where a placement names the source."""
    make(database)
    assert [item.key for item in shown(recommender, request_)] == keys


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"from": "2026-03-03"},
        {"until": "2026-03-01"},
    ],
    ids=["off", "later", "over"],
)
def test_only_on_its_days(recommender: Recommender, database: Database, change: dict[str, Any]) -> None:
    """Today is 2 March 2026."""
    make(database)
    asked = Request("item", items=["A0"], n=6)
    assert len(shown(recommender, asked)) == 2
    make(database, **change)
    assert shown(recommender, asked) == []
    make(database, **{"from": "2026-03-02", "until": "2026-03-02"})
    assert len(shown(recommender, asked)) == 2


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "change",
    [{"stock": 0}, {"active": False}, {"price": None}, {"price": 1_000}],
    ids=["sold out", "gone", "no price", "cheaper"],
)
def test_not_while_it_cannot_be_sold(recommender: Recommender, database: Database, change: dict[str, Any]) -> None:
    """A set of which one item is sold out, gone or without a price, or that is dearer than apart, is not offered."""
    make(database, discount=None, price="25")
    asked = Request("item", items=["A0"], n=6)
    assert len(shown(recommender, asked)) == 2
    with database.begin() as session:
        values = {**change, "revision": next_revision(session)}
        session.execute(update(Item).where(Item.key == "A3").values(values))
    assert shown(recommender, asked) == []


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("key", ["A0", "A3"], ids=["the lead", "another"])
def test_not_with_an_item_that_is_shown_nowhere(recommender: Recommender, database: Database, key: str) -> None:
    """A set of which one item is suppressed everywhere is neither offered nor charged, until it no longer is."""
    make(database)
    make(database, "other", items=["A1", "A2"])
    asked = Request("item", items=["A0"], n=6)
    for hidden, keys, charged in (([key], [], ["other"]), ([], ["A1", "A3"], ["starter", "other"])):
        with database.begin() as session:
            placements.suppress(session, hidden, NOW)
        assert [item.key for item in shown(recommender, asked)] == keys
        with database.read() as session:
            assert [one.key for one in bundles.charged(session, NOW.date())] == charged


@pytest.mark.usefixtures("shop")
def test_an_item_in_one_set_alone(recommender: Recommender, database: Database) -> None:
    """Of two sets that share an item the one that saves more is offered, and the other not in pieces."""
    make(database)
    make(database, "better", name="Better", items=["A0", "A3", "A5"], discount=0.3)
    found = shown(recommender, Request("item", items=["A0"], n=8))
    assert [(item.key, item.bundle.key if item.bundle else "") for item in found] == [
        ("A3", "better"),
        ("A5", "better"),
    ]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("better", "asked"),
    [
        (["A0", "A3", "A5"], Request("item", items=["A0"], exclude=["A5"], n=8)),
        (["A0", "A3", "A5", "A7"], Request("item", items=["A0"], n=2)),
    ],
    ids=["one may not be offered", "no room"],
)
def test_named_by_the_set_that_is_offered(
    recommender: Recommender, database: Database, better: list[str], asked: Request
) -> None:
    """The set that saves more is not offered: its name and price do not stand at what the other one offers."""
    make(database)
    make(database, "better", name="Better", items=better, discount=0.3)
    found = shown(recommender, asked)
    assert [(item.key, item.bundle.key if item.bundle else "") for item in found] == [
        ("A1", "starter"),
        ("A3", "starter"),
    ]


@pytest.mark.usefixtures("shop")
def test_a_part_of_a_set_is_no_set(recommender: Recommender, database: Database) -> None:
    """Where the placement's rules take an item out of the row, what is left does not promise the price of the set."""
    make(database)
    with database.begin() as session:
        plan = DEFAULTS["item"]
        placements.edit(
            session, "item", name=plan.name, sources=plan.sources, given={"buries": [{"item": "A3"}]}, now=NOW
        )
    [left] = shown(recommender, Request("item", items=["A0"], n=5))
    assert (left.key, left.bundle) == ("A1", None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, "name"),
        ({"items": ["A0"]}, "items"),
        ({"items": ["A0", "A0"]}, "items"),
        ({"items": ["A0", "A1", "A2", "A3", "A4"]}, "items"),
        ({"items": "A0"}, "items"),
        ({"items": ["A0", "nothing"]}, "items.1"),
        ({"discount": None}, "price"),
        ({"price": "20"}, "price"),
        ({"discount": None, "price": "29.97"}, "price"),
        ({"discount": None, "price": "0"}, "price"),
        ({"discount": None, "price": "cheap"}, "price"),
        ({"discount": 0.95}, "discount"),
        ({"discount": "10"}, "discount"),
        ({"from": "tomorrow"}, "from"),
        ({"from": "2026-03-03", "until": "2026-03-02"}, "until"),
    ],
)
def test_a_fault_is_named(database: Database, given: dict[str, Any], field: str) -> None:
    """And nothing is written."""
    with database.begin() as session:
        add_items(session, 5)
    with database.begin() as session, pytest.raises(Invalid) as fault:
        bundles.edit(session, "starter", {**SET, **given}, NOW, "GBP")
    assert fault.value.field == field
    with database.read() as session:
        assert bundles.read(session) == []


def test_other_currencies_and_keys(database: Database) -> None:
    """A set is sold in the shop's currency; a key is a name."""
    with database.begin() as session:
        add_items(session, 4, currency="EUR")
    for key, field in (("starter", "items.0"), ("Start er", "key"), ("new", "key")):
        with database.begin() as session, pytest.raises(Invalid) as fault:
            bundles.edit(session, key, SET, NOW, "GBP")
        assert fault.value.field == field
    with database.begin() as session, pytest.raises(NotFound):
        bundles.delete(session, "starter")


def test_what_became_of_it(database: Database, warehouse: Warehouse) -> None:
    """Orders of the whole set and of its lead, since it is offered and as long before; a second bundle beside it."""
    with database.begin() as session:
        items = add_items(session, 4)
        [who] = add_contacts(session, 1)
        whole, lead, rest = [items[0], items[1], items[3]], [items[0], items[2]], [items[1], items[3]]
        for days, baskets in {3: [whole, whole, lead], 15: [whole, lead, lead, rest], 25: [whole]}.items():
            for number, basket in enumerate(baskets):
                add_order(session, who if number else None, basket, NOW - timedelta(days=days))
        add_order(session, who, whole, NOW - timedelta(days=2), quantity=-1)
        bundles.edit(session, "starter", SET, NOW - timedelta(days=10), "GBP")
        bundles.edit(session, "pair", {**SET, "items": ["A0", "A2"]}, NOW - timedelta(days=30), "GBP")
        bundles.edit(session, "today", {**SET, "items": ["A2", "A3"]}, NOW, "GBP")
    warehouse.refresh()
    with database.read() as session:
        made = {one.key: one for one in bundles.read(session)}
        found = bundles.taken(warehouse, list(made.values()), NOW)
        assert found[made["starter"].id] == Take(since=2, lead_since=3, before=1, lead_before=3)
        assert found[made["pair"].id] == Take(since=3, lead_since=7)
        assert found[made["today"].id] == Take()
    assert bundles.taken(warehouse, [], NOW) == {}


def test_two_who_make_it_at_once(database: Database) -> None:
    """Who comes second waits for the first: one bundle, and no fault."""
    with database.begin() as session:
        add_items(session, 4)
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            bundles.edit(session, "starter", SET, NOW, "GBP")
            second = pool.submit(make, database, name="Second")
            if database.engine.dialect.name == "postgresql":  # SQLite has one writer
                _until_somebody_waits(database)
        second.result(30)
    with database.read() as session:
        assert [(bundle.key, bundle.name) for bundle in bundles.read(session)] == [("starter", "Second")]


def test_two_of_one_name_at_once(database: Database) -> None:
    """Both are kept, each under a key of its own."""
    with database.begin() as session:
        add_items(session, 4)

    def new(**given: Any) -> None:
        with database.begin() as session:
            bundles.make(session, SET | given, NOW, "GBP")

    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            bundles.make(session, SET, NOW, "GBP")
            second = pool.submit(new, items=["A2", "A3"])
            if database.engine.dialect.name == "postgresql":  # SQLite has one writer
                _until_somebody_waits(database)
        second.result(30)
    with database.read() as session:
        made = [(bundle.key, bundle.items) for bundle in bundles.read(session)]
    assert made == [("starter-set-2", ["A2", "A3"]), ("starter-set", SET["items"])]


def test_no_more_than_so_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that are made at once where there is room for one, one is refused."""
    monkeypatch.setattr(bundles, "MOST", 1)
    with database.begin() as session:
        add_items(session, 4)
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            bundles.edit(session, "starter", SET, NOW, "GBP")
            second = pool.submit(make, database, "other")
            if database.engine.dialect.name == "postgresql":
                _until_somebody_waits(database)
        with pytest.raises(Invalid, match="There are 1 bundles"):
            second.result(30)


def test_what_a_shop_charges(database: Database) -> None:
    """Sets on sale today of which all items are sold and dearer one by one, whatever is in stock."""
    with database.begin() as session:
        items = add_items(session, 6)
        bundles.edit(session, "starter", SET, NOW, "GBP")
        bundles.edit(session, "fixed", {**SET, "items": ["A2", "A4"], "discount": None, "price": "15"}, NOW, "GBP")
        bundles.edit(session, "later", {**SET, "items": ["A1", "A2"], "from": "2026-03-03"}, NOW, "GBP")
        bundles.edit(session, "gone", {**SET, "items": ["A1", "A5"]}, NOW, "GBP")
        items[1].stock, items[5].active = 0, False
    starter = Charged("starter", "Starter set", ("A0", "A1", "A3"), 269_700, 30_000, "GBP")
    with database.begin() as session:
        assert bundles.charged(session, NOW.date()) == [
            starter,
            Charged("fixed", "Starter set", ("A2", "A4"), 150_000, 49_800, "GBP"),
        ]
        session.execute(update(Item).where(Item.key == "A2").values(price=50_000, revision=next_revision(session)))
        assert bundles.charged(session, NOW.date()) == [starter], "cheaper one by one"


def _until_somebody_waits(database: Database) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND pg_stat_activity.datname = current_database()"
    )
    deadline = time.monotonic() + 30
    while True:
        with database.read() as session:
            if session.scalar(waiting):
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)


def test_its_first_day_begins_in_the_shop(database: Database, warehouse: Warehouse) -> None:
    """In Auckland 2 March begins at 11:00 UTC of the first: an order after it counts since, one before it before."""
    config = replace(warehouse.config, locale=replace(warehouse.config.locale, timezone="Pacific/Auckland"))
    zone = ZoneInfo("Pacific/Auckland")
    first = datetime(2026, 3, 2, tzinfo=zone)
    assert first.astimezone(UTC) == datetime(2026, 3, 1, 11, tzinfo=UTC)
    with database.begin() as session:
        items = add_items(session, 4)
        add_order(session, None, [items[0], items[1], items[3]], first + timedelta(hours=1))
        add_order(session, None, items[:1], first - timedelta(hours=1))
        bundles.edit(session, "starter", {**SET, "from": "2026-03-02"}, NOW - timedelta(days=10), "GBP")
    warehouse.refresh()
    warehouse.config = config
    with database.read() as session:
        [made] = bundles.read(session)
        assert made.since == date(2026, 3, 2)
        assert bundles.begins(made, zone) == first
        now = first + timedelta(hours=12)
        assert bundles.taken(warehouse, [made], now) == {made.id: Take(1, 1, 0, 1)}
