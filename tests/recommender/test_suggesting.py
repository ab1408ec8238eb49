"""Bundles that suggest themselves: counts by thought, and the better set first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import sparse
from sqlalchemy.orm import Session

from engine.database import Database
from engine.models import Item
from engine.warehouse import Warehouse
from recommender import suggesting
from recommender.fitted import Fitted, fit
from recommender.interactions import load
from recommender.sources.base import Settings
from recommender.sources.rules import Rules
from recommender.suggesting import Suggestion, suggest
from tests.recommender.shop import NOW, add_contacts, add_items, add_order


@pytest.fixture
def training(database: Database, warehouse: Warehouse) -> Fitted:
    """Of 100 people 20 bought A0 to A3 together, 10 more A0 alone, 30 A4 and A5, of which A5 earns little, 40 A6."""
    with database.begin() as session:
        items = add_items(session, 7, cost=50_000)
        items[4].cost = items[5].cost = 99_000
        for number, who in enumerate(add_contacts(session, 100)):
            basket = (
                items[:4] if number < 20 else items[:1] if number < 30 else items[4:6] if number < 60 else items[6:]
            )
            add_order(session, who, basket, NOW - timedelta(days=1 + number % 50))
    warehouse.refresh()
    return fit(
        load(warehouse, NOW, 365), Settings(minimum_support=0.01, minimum_confidence=0.05), seed=1, names=["rules"]
    )


def keys(one: Suggestion) -> list[str]:
    return [part.key for part in one.items]


def found(session: Session, warehouse: Warehouse, training: Fitted, known: list[list[str]]) -> list[Suggestion]:
    return suggest(session, warehouse, training, known)


def test_counts_and_order(database: Database, warehouse: Warehouse, training: Fitted) -> None:
    """The set of four earns most: leverage .2 - .3 x .2^3, margin 4 x 4.99; 20 of the 30 buyers of its lead have it."""
    with database.read() as session:
        sets = found(session, warehouse, training, [])
    first = sets[0]
    assert keys(first) == ["A0", "A1", "A2", "A3"]
    assert (first.buyers, first.holders, first.rate) == (20, 30, pytest.approx(2 / 3))
    assert (first.low, first.high) == (pytest.approx(0.4878, abs=1e-4), pytest.approx(0.8077, abs=1e-4))
    assert first.leverage == pytest.approx(0.2 - 0.3 * 0.2**3)
    assert (first.apart, first.margin) == (4 * 99_900, 4 * 49_900)
    assert sum(one.items[0].key == "A0" for one in sets) == 3, "of one lead three at most"
    assert {len(one.items) for one in sets} == {2, 3, 4}
    pair = next(one for one in sets if keys(one) == ["A4", "A5"])
    assert (pair.buyers, pair.holders, pair.margin) == (30, 30, 1_800)
    assert pair is sets[-1], "much bought, but it earns next to nothing"


def test_not_what_is_made_or_cannot_be_sold(database: Database, warehouse: Warehouse, training: Fitted) -> None:
    """A set that is a bundle already, and what is not sold or has no price, is not suggested."""
    with database.begin() as session:
        sets = found(session, warehouse, training, [["A3", "A2", "A1", "A0"], ["A4", "A5"]])
        assert ["A0", "A1", "A2", "A3"] not in map(keys, sets)
        assert ["A4", "A5"] not in map(keys, sets)
        session.query(Item).filter_by(key="A3").update({"stock": 0})
        assert not any("A3" in keys(one) for one in found(session, warehouse, training, []))
        session.query(Item).filter_by(key="A3").update({"stock": 1})
        session.query(Item).filter_by(key="A1").update({"active": False})
        session.query(Item).filter_by(key="A2").update({"price": None})
        assert sorted(map(keys, found(session, warehouse, training, []))) == [["A0", "A3"], ["A4", "A5"]]


def test_the_best_of_many_pairs(training: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more pairs than are looked at those of the highest leverage, whichever item leads."""
    rng, count = np.random.default_rng(5), 60
    low, high = np.triu_indices(count, 1)
    support = rng.integers(2, 400, len(low)).astype(np.int32)
    table = sparse.csr_array((np.tile(support, 2), (np.r_[low, high], np.r_[high, low])), shape=(count, count))
    rules = training.sources["rules"]
    assert isinstance(rules, Rules)
    buyers = rng.integers(400, 900, count).astype(np.int32)
    many = replace(rules, pairs=table, together=table.data, buyers=buyers, total=1_000)
    many = replace(many, antecedents=rules.antecedents[:0], consequents=rules.consequents[:0], rule_support=support[:0])
    leverage = support / 1_000 - buyers[low] / 1_000 * buyers[high] / 1_000
    order = np.argsort(-leverage, kind="stable")[:50]
    monkeypatch.setattr(suggesting, "LOOKED_AT", 50)
    found = suggesting._sets(many)
    assert found == {(int(low[one]), int(high[one])): support[one] for one in order}
    looked = suggesting._best(table.tocoo().coords, many.together, many)
    assert len(looked) <= 100, "the others never become tuples"


def test_counted_once_for_a_training(
    database: Database, warehouse: Warehouse, training: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second look at the page counts nothing anew."""
    with database.read() as session:
        first = found(session, warehouse, training, [])
        monkeypatch.setattr(suggesting, "_sets", None)
        monkeypatch.setattr(suggesting, "_counted", None)
        assert found(session, warehouse, training, []) == first


def test_nothing_to_suggest(database: Database, warehouse: Warehouse, training: Fitted) -> None:
    """Without rules there is none."""
    with database.read() as session:
        assert found(session, warehouse, Fitted(training.item_ids, {}, training.settings, NOW), []) == []
