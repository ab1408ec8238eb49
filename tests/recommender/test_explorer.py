"""The table of rules: measures by thought, searched, cut and sorted."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.models import Item, OrderLine
from engine.warehouse import Warehouse
from recommender import explorer
from recommender.criteria.published import serving
from recommender.explorer import Rule, Wanted
from recommender.fitted import Fitted
from tests.recommender.bakery import bake, change

Line = tuple[str, int, float, float]


@pytest.fixture
def trained(database: Database, warehouse: Warehouse, config: Config) -> Fitted:
    """The bakery; butter earns 4.00, jam 2.00, bread has no cost, and tea is paid in euros."""
    bake(database, warehouse, config)
    with database.begin() as session:
        for key, cost in (("A1", 59_900), ("A2", 79_900), ("A3", 10_000)):
            change(session, key, cost=cost)
        change(session, "A3", currency="EUR")
        change(session, "A2", category="Food > Sweet")
        session.flush()
        return serving(session, config)


def found(database: Database, trained: Fitted, **asked: object) -> list[Rule]:
    with database.read() as session:
        rules = explorer.find(session, trained, Wanted(**asked), "GBP")  # type: ignore[arg-type]
        return rules.of(session, 0, len(rules))


def name(rule: Rule) -> str:
    return "+".join(one.title for one in rule.antecedents) + ">" + rule.consequent.title


def test_measures(database: Database, trained: Fitted) -> None:
    """Nine rules; of 65 buyers 40 have bread, 30 butter, 20 jam, and whoever has jam has the others."""
    rules = {name(rule): rule for rule in found(database, trained)}
    assert len(rules) == 9
    jam = rules["Jam>Butter"]
    assert (jam.support, jam.holders, jam.confidence) == (20, 20, 1.0)
    assert jam.share == pytest.approx(20 / 65)
    assert jam.lift == pytest.approx(65 / 30)
    assert jam.leverage == pytest.approx(20 / 65 - 20 / 65 * 30 / 65)
    assert (jam.consequent.margin, jam.worth) == (40_000, 40_000)
    both = rules["Bread+Butter>Jam"]
    assert (both.support, both.holders) == (20, 30)
    assert both.worth == pytest.approx(20 / 30 * 20_000)
    assert (rules["Jam>Bread"].consequent.margin, rules["Jam>Bread"].worth) == (None, None)


@pytest.mark.parametrize("measure", [name for name in explorer.MEASURES if name not in ("margin", "worth")])
def test_sorted(database: Database, trained: Fitted, measure: str) -> None:
    """Up and down, by every measure."""
    falling = [getattr(rule, measure) for rule in found(database, trained, order=measure)]
    assert falling == sorted(falling, reverse=True)
    rising = [getattr(rule, measure) for rule in found(database, trained, order=measure, falling=False)]
    assert rising == falling[::-1]


def test_what_is_not_known_comes_last(database: Database, trained: Fitted) -> None:
    """Bread has no margin: its rules end the table in either direction, and no least margin lets them in."""
    for falling in (True, False):
        ordered = [rule.worth for rule in found(database, trained, order="worth", falling=falling)]
        assert ordered[-3:] == [None] * 3
        assert ordered[:-3] == sorted(ordered[:-3], key=lambda worth: worth or 0, reverse=falling)
    assert len(found(database, trained, least={"worth": -1e9})) == 6


def test_searched(database: Database, trained: Fitted) -> None:
    """By number, title or category, on one side or either; whatever case."""
    assert len(found(database, trained, words="jam")) == 7
    assert {name(rule) for rule in found(database, trained, words="JAM", side="to")} == {
        "Bread>Jam", "Butter>Jam", "Bread+Butter>Jam",
    }  # fmt: skip
    assert len(found(database, trained, words="a2", side="from")) == 4
    assert len(found(database, trained, words="sweet")) == 7
    assert found(database, trained, words="%") == []
    assert {name(rule) for rule in found(database, trained, items=2)} == {
        "Bread+Butter>Jam", "Bread+Jam>Butter", "Butter+Jam>Bread",
    }  # fmt: skip


def test_cut(database: Database, trained: Fitted) -> None:
    """All that is asked holds at once, the limits included."""
    kept = found(database, trained, least={"support": 20, "confidence": 1.0, "lift": 2})
    assert {name(rule) for rule in kept} == {"Jam>Butter", "Bread+Jam>Butter"}


def test_an_item_that_is_gone(database: Database, trained: Fitted) -> None:
    """A rule that names it is still told."""
    with database.begin() as session:
        jam = session.query(Item).filter_by(key="A2").one().id
        session.execute(delete(OrderLine).where(OrderLine.item_id == jam))
        session.execute(delete(Item).where(Item.id == jam))
    gone = [rule for rule in found(database, trained) if rule.consequent.gone]
    assert len(gone) == 3
    assert gone[0].consequent.margin is None


def test_pages(database: Database, trained: Fitted) -> None:
    """Parts of the whole, in its order; beyond its end there is nothing."""
    with database.read() as session:
        rules = explorer.find(session, trained, Wanted(), "GBP")
        whole = [rule.ids for rule in rules.of(session, 0, 9)]
        assert [rule.ids for rule in (*rules.of(session, 0, 4), *rules.of(session, 4, 8))] == whole[:8]
        assert rules.of(session, 9, 20) == []
        assert [rule.ids for rule in rules.pieces(session, 7, step=2)] == whole[:7]


def test_no_training(database: Database, config: Config) -> None:
    """It says how to get one."""
    with database.read() as session, pytest.raises(Invalid, match="rapport train"):
        serving(session, config)
