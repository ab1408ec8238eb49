"""How a list differs from all contacts, and lies over other lists: against scipy, pandas and plain sets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import contingency
from sqlalchemy import select

from engine import lists
from engine.config import Config
from engine.database import Database
from engine.lists.profiles import LEAST, Part, Profile, Trait, cramers_v
from engine.models import Contact, Item, Order, OrderLine
from engine.warehouse import Warehouse
from tests.engine.copies import add

COUNT = 400


@pytest.fixture
def warehouse(config: Config, database: Database) -> Iterator[Warehouse]:
    """Over an empty database."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    yield warehouse
    warehouse.close()


@pytest.fixture
def shop(database: Database, warehouse: Warehouse, now: datetime) -> pd.DataFrame:
    """Contacts whose country goes with their age, whose shoe size goes with nothing, and who buy by country."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"age": rng.integers(18, 80, COUNT), "size": rng.choice(["s", "m", "l"], COUNT)})
    frame["country"] = np.where(frame["age"] + rng.normal(0, 8, COUNT) > 50, "UK", "FR")
    frame["country"] = frame["country"].astype(object).where(frame.index % 10 != 0, None)
    with database.begin() as session:
        items = {
            "UK": add(session, Item, now, key="tea", category="Pantry > Tea"),
            "FR": add(session, Item, now, key="pan", category="Kitchen > Pans"),
        }
        for number, row in enumerate(frame.itertuples()):
            contact = add(session, Contact, now, key=f"c{number}", age=int(row.age), country=row.country,
                          attributes={"size": row.size}, email_consent=bool(row.age > 50))  # fmt: skip
            if row.country:
                order = add(session, Order, now, key=f"o{number}", contact_id=contact, total=10_000)
                add(session, OrderLine, now, order_id=order, item_id=items[row.country])
                add(session, OrderLine, now, order_id=order, item_id=items[row.country])
    warehouse.refresh()
    return frame


def saved(database: Database, now: datetime, criteria: Any, name: str = "List") -> int:
    """A dynamic list."""
    with database.begin() as session:
        return lists.save(session, None, name, criteria, now=now).id


def older(age: int) -> dict[str, Any]:
    """Who is at least so old."""
    return {"all": [{"field": "age", "operator": "at_least", "value": age}]}


def profiled(database: Database, warehouse: Warehouse, list_id: int, now: datetime) -> tuple[Profile, dict[str, Trait]]:
    """The profile, and its traits by key."""
    with database.read() as session:
        found = lists.profile(session, warehouse, list_id, now)
    return found, {trait.key: trait for trait in found.traits}


def test_shares_are_those_of_pandas(
    database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime
) -> None:
    """Of every value, who it is unknown of among them; and the strength is that of the table they make."""
    on = shop["age"] >= 50
    found, traits = profiled(database, warehouse, saved(database, now, older(50)), now)
    assert (found.size, found.base) == (on.sum(), COUNT)
    parts = {part.value or part.kind: part for part in traits["country"].parts}
    for value in ("UK", "FR"):
        there = shop["country"] == value
        part = parts[value]
        assert (part.members, part.base) == ((there & on).sum(), there.sum())
        assert part.index == pytest.approx((there & on).sum() / on.sum() / (there.sum() / COUNT))
    assert parts["unknown"].base == 40
    table = pd.crosstab(shop["country"].fillna("?"), on).to_numpy()
    assert traits["country"].strength == pytest.approx(cramers_v(table.tolist()))
    assert (traits["attributes.size"].strength or 0) < 0.1 < (traits["country"].strength or 0)


def test_the_largest_differences_come_first(
    database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime
) -> None:
    """The field the list was made by is before one that follows from it, and that before one with no connection."""
    found, _ = profiled(database, warehouse, saved(database, now, older(50)), now)
    order = [trait.key for trait in found.traits]
    assert order.index("age") < order.index("country") < order.index("attributes.size")
    assert [trait.strength or 0 for trait in found.traits] == sorted(
        (trait.strength or 0 for trait in found.traits), reverse=True
    )


def test_bands_part_everybody(database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime) -> None:
    """Numbers in bands at round edges, each person in one of them; days are days, yes and no are two."""
    _, traits = profiled(database, warehouse, saved(database, now, older(50)), now)
    ages = traits["age"].parts
    assert sum(part.base for part in ages) == COUNT
    for part in ages:
        low, high = part.value or 0, part.high or 200
        assert part.base == shop["age"].between(low, high, inclusive="left").sum()
    assert [part.value for part in ages[1:]] == [part.high for part in ages[:-1]]
    assert {part.value for part in traits["email_consent"].parts} == {True, False}
    assert traits["email_consent"].strength == pytest.approx(1, abs=0.05)
    assert traits["created_at"].parts[0].value in (None, now.date())


def test_what_they_bought_counts_people(
    database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime
) -> None:
    """By the top of the category; two lines of one order are one buyer."""
    on = shop["age"] >= 50
    bought = profiled(database, warehouse, saved(database, now, older(50)), now)[1]["bought"]
    parts = {part.value: part for part in bought.parts}
    tea = shop["country"] == "UK"
    assert (parts["Pantry"].members, parts["Pantry"].base) == ((tea & on).sum(), tea.sum())
    table = pd.crosstab(tea, on).to_numpy().tolist()
    assert bought.several
    assert (bought.strength or 0) >= cramers_v(table) - 1e-9


@pytest.mark.parametrize("age", [0, 79])
def test_too_few_are_not_measured(
    database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime, age: int
) -> None:
    """Nearly everybody or nearly nobody: shares, and no measure."""
    found, traits = profiled(database, warehouse, saved(database, now, older(age)), now)
    assert min(found.size, found.base - found.size) < LEAST
    assert {trait.strength for trait in traits.values()} == {None}
    assert sum(part.members for part in traits["country"].parts) == found.size


def test_nobody_at_all(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """An empty shop has no differences."""
    warehouse.refresh()
    found, _ = profiled(database, warehouse, saved(database, now, older(1)), now)
    assert (found.size, found.base, found.traits) == (0, 0, ())
    assert Part("value", "x", None, 0, 0, 0.0, 0.0).index is None


def test_the_measure_is_cramers() -> None:
    """For many people that of scipy; none for independence, one for identity; chance alone is corrected away."""
    rng = np.random.default_rng(3)
    table = rng.integers(20_000, 60_000, (4, 2))
    assert cramers_v(table.tolist()) == pytest.approx(contingency.association(table, method="cramer"), abs=2e-3)
    assert cramers_v([[50, 0], [0, 50]]) == pytest.approx(1, abs=0.03)
    assert cramers_v([[50, 50], [50, 50]]) == 0
    assert cramers_v([[5, 0], [7, 0]]) == 0
    small = [
        cramers_v(stats.multinomial.rvs(60, [1 / 12] * 12, random_state=n).reshape(6, 2).tolist()) for n in range(40)
    ]
    assert float(np.mean(small)) < 0.15  # uncorrected 0.28


def test_overlap_is_that_of_sets(database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime) -> None:
    """Dynamic and frozen, with Jaccard; and how the list is divided by those it shares most with."""
    criteria = {
        "Old": older(50),
        "British": {"all": [{"field": "country", "operator": "is", "value": "UK"}]},
        "Small": {"all": [{"field": "attributes.size", "operator": "is", "value": "s"}]},
        "Nobody": older(200),
    }
    ids = {name: saved(database, now, data, name) for name, data in criteria.items()}
    sets = {
        "Old": set(shop.index[shop["age"] >= 50]),
        "British": set(shop.index[shop["country"] == "UK"]),
        "Small": set(shop.index[shop["size"] == "s"]),
        "Nobody": set(),
    }
    with database.begin() as session:
        lists.freeze(session, warehouse, ids["Small"], now)
    lists.follow(database, warehouse, now)
    unseen = saved(database, now, older(30), "New")
    with database.read() as session:
        found = lists.overlaps(session, warehouse, ids["Old"], now)
        assert (found.size, [one.id for one in found.unseen]) == (len(sets["Old"]), [unseen])
        for row in found.others:
            both, union = sets["Old"] & sets[row.one.name], sets["Old"] | sets[row.one.name]
            assert (row.size, row.both, row.union) == (len(sets[row.one.name]), len(both), len(union))
            assert row.jaccard == pytest.approx(len(both) / len(union))
        assert [row.both for row in found.others] == sorted((row.both for row in found.others), reverse=True)
        parts = {frozenset(one.name for one in part.lists): part.count for part in found.together}
        old, british, small = sets["Old"], sets["British"], sets["Small"]
        assert parts == {
            frozenset({"British", "Small"}): len(old & british & small),
            frozenset({"British"}): len(old & british - small),
            frozenset({"Small"}): len(old & small - british),
            frozenset(): len(old - british - small),
        }
        again = lists.overlaps(session, warehouse, unseen, now)
        assert (again.size, again.unseen) == (int((shop["age"] >= 30).sum()), [])


def test_times_are_days(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Bands of moments begin on days of the calendar."""
    with database.begin() as session:
        for number in range(100):
            add(session, Contact, now, key=f"c{number}", created_at=now - timedelta(days=number))
    warehouse.refresh()
    recent = {"all": [{"field": "created_at", "operator": "in_last", "value": 40}]}
    _, traits = profiled(database, warehouse, saved(database, now, recent), now)
    parts = traits["created_at"].parts
    assert [type(part.value) for part in parts[1:]] == [date] * (len(parts) - 1)
    with database.read() as session:
        for part in parts:
            days = [moment.date() for moment in session.scalars(select(Contact.created_at))]
            low, high = part.value or date.min, part.high or date.max
            assert part.base == sum(low <= day < high for day in days)


@pytest.mark.parametrize("word", ["NaN", "inf", "-Infinity"])
def test_what_is_no_finite_number_is_unknown(
    database: Database, warehouse: Warehouse, now: datetime, word: str
) -> None:
    """Text that databases read as a number though none can count with it: the profile stands, and nobody is found."""
    with database.begin() as session:
        for number in range(40):
            add(session, Contact, now, key=f"c{number}", attributes={"x": word if number < 20 else number})
    warehouse.refresh()
    found, traits = profiled(database, warehouse, saved(database, now, {"all": []}), now)
    assert found.size == 40
    assert traits["attributes.x"].type == "text"
    asked = {"all": [{"field": "attributes.x", "operator": "at_least", "value": -100}]}
    assert profiled(database, warehouse, saved(database, now, asked, "Large"), now)[0].size == 20


def test_a_profile_is_kept_while_nothing_moves(
    database: Database, warehouse: Warehouse, shop: pd.DataFrame, now: datetime
) -> None:
    """The same people and data: nothing is reckoned again; other data: all is."""
    list_id = saved(database, now, older(50))
    first, _ = profiled(database, warehouse, list_id, now)
    again, _ = profiled(database, warehouse, list_id, now + timedelta(minutes=1))
    assert again is first
    with database.begin() as session:
        add(session, Contact, now, key="young", age=20)
    warehouse.refresh()
    moved, _ = profiled(database, warehouse, list_id, now)
    assert (moved.size, moved.base) == (first.size, first.base + 1)
