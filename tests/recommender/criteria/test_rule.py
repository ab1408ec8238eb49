"""Holds what a rule starts from but not what it leads to: against every rule looked at one by one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from engine import criteria
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.models import Contact, Item
from engine.warehouse import Warehouse
from engine.why import why
from recommender import fitted
from tests.recommender.bakery import bake
from tests.recommender.shop import NOW

Rule = tuple[frozenset[str], str, int, int, float]  # antecedents, consequent, buyers of all, of the antecedents, lift


@pytest.fixture
def bakery(database: Database, config: Config, warehouse: Warehouse) -> None:
    """The rules of the bakery."""
    bake(database, warehouse, config)


def rules(session: Session, config: Config) -> list[Rule]:
    """Of the training, by item keys, with their textbook lift."""
    learned = fitted.load(config.folder / "trainings" / "1")
    keys = {item.id: item.key for item in session.query(Item)}
    name = [keys[int(one)] for one in learned.item_ids]
    source: Any = learned.sources["rules"]
    found = []
    for first in range(source.pairs.shape[0]):
        for at in range(source.pairs.indptr[first], source.pairs.indptr[first + 1]):
            end = int(source.pairs.indices[at])
            found.append((frozenset({name[first]}), name[end], int(source.together[at]), int(source.buyers[first])))
    for (one, two), end, support, n in zip(
        source.antecedents, source.consequents, source.rule_support, source.rule_buyers, strict=True
    ):
        found.append((frozenset({name[one], name[two]}), name[end], int(support), int(n)))
    share = {key: int(source.buyers[place]) / source.total for place, key in enumerate(name)}
    return [(*rule, rule[2] / rule[3] / share[rule[1]]) for rule in found]


def expected(session: Session, config: Config, held: dict[int, set[str]], **asked: Any) -> dict[int, float]:
    """The best lift of each contact who lacks something."""
    found: dict[int, float] = {}
    for start, end, support, _, lift in rules(session, config):
        if lift < asked.get("lift", 1) or support < asked.get("buyers", 10) or asked.get("item", end) != end:
            continue
        if asked.get("given") and asked["given"] not in start:
            continue
        for contact, items in held.items():
            if start <= items and end not in items:
                found[contact] = max(found.get(contact, 0), lift)
    return found


def holdings(session: Session) -> dict[int, set[str]]:
    """What everybody has, by thought."""
    people = {contact.key: contact.id for contact in session.query(Contact)}
    held = {}
    for number in range(65):
        items = (
            {"A3"} if number >= 40 else {"A0"} | ({"A1"} if number < 30 else set()) | ({"A2"} if number < 20 else set())
        )
        held[people[f"C{number}"]] = items - ({"A1"} if number == 0 else set())
    return held


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"rule": {}}, {}),
        ({"rule": {}, "lift": 1.5}, {"lift": 1.5}),
        ({"rule": {}, "lift": 1.5, "buyers": 2}, {"lift": 1.5, "buyers": 2}),
        ({"rule": {"item": "A2"}}, {"item": "A2"}),
        ({"rule": {"item": "A1", "given": "A2"}, "buyers": 2}, {"item": "A1", "given": "A2", "buyers": 2}),
        ({"rule": {"category": "All"}, "lift": 1.2}, {"lift": 1.2}),
    ],
)
@pytest.mark.usefixtures("bakery")
def test_the_value_is_the_best_lift_of_a_rule_that_is_not_met(
    database: Database, warehouse: Warehouse, config: Config, asked: dict[str, Any], given: dict[str, Any]
) -> None:
    """Rules of one and of two antecedents; what was taken back is not held."""
    with database.read() as session:
        checked = criteria.parse(asked, open_catalogue(session, warehouse))
        people = criteria.people(checked, warehouse, NOW)
        rows = people.table.filter(people.truth(checked.root)).select("contact_id", lift=people.value(checked.root))
        found = {row["contact_id"]: row["lift"] for row in warehouse.execute(rows).to_pylist()}
        assert found == pytest.approx(expected(session, config, holdings(session), **given))
        assert criteria.to_json(checked) == asked


@pytest.mark.usefixtures("bakery")
def test_the_shop_has_rules_of_two(database: Database, config: Config) -> None:
    """Or the test above would say less than it seems to."""
    with database.read() as session:
        assert {len(start) for start, *_ in rules(session, config)} == {1, 2}


@pytest.mark.usefixtures("bakery")
def test_why_names_the_rule(database: Database, warehouse: Warehouse) -> None:
    """With its counts."""
    with database.read() as session:
        checked = criteria.parse({"rule": {"item": "A1"}, "buyers": 2}, open_catalogue(session, warehouse))
        lacking = warehouse.execute(criteria.select(checked, warehouse, NOW))["contact_id"].to_pylist()
        here = session.query(Contact).filter_by(key="C35").one().id
        there = next(one.id for one in session.query(Contact) if one.id not in lacking)
        holder, other = (one.root for one in why(session, warehouse, checked, [here, there], NOW))
        assert (holder.met, other.met) == (True, False)
        assert holder.value
        assert holder.value.en == "“Bread” → “Butter”: lift 1.6, 30 / 40 buyers"
        assert "提升度1.6" in holder.value.zh
        assert other.value is None
        assert criteria.sentence(checked) == (
            "People who hold what a rule starts from but lack “Butter”, by a rule with a lift of at least 1"
        )


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"rule": {"item": "A0", "category": "All"}}, "rule.category"),
        ({"rule": {"given": "nothing"}}, "rule.given"),
        ({"rule": {}, "lift": 0.5}, "lift"),
        ({"rule": {}, "buyers": 1}, "buyers"),
    ],
)
def test_a_fault_is_named(database: Database, warehouse: Warehouse, asked: dict[str, Any], field: str) -> None:
    """By its path."""
    with database.read() as session, pytest.raises(Invalid) as fault:
        criteria.parse({"any": [asked]}, open_catalogue(session, warehouse))
    assert fault.value.field == f"any[0].{field}"
