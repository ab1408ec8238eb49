"""Among the N most likely to buy: against the sums written out in plain Python."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from scipy import sparse
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import Catalogue, open_catalogue
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.models import Contact, Item, Order, OrderLine
from engine.warehouse import Warehouse
from engine.why import why
from recommender import training
from recommender.fitted import load, save
from recommender.interactions import HALF_LIFE_DAYS
from recommender.models import Published, Training
from recommender.sources.collaborative import Collaborative
from tests.recommender.shop import NOW, add_items, add_order

pytestmark = pytest.mark.usefixtures("shop")


def found(session: Session, warehouse: Warehouse, asked: dict[str, Any]) -> dict[int, int]:
    """Place of each contact among the best."""
    checked = criteria.parse(asked, open_catalogue(session, warehouse))
    people = criteria.people(checked, warehouse, NOW)
    rows = people.table.filter(people.truth(checked.root)).select("contact_id", place=people.value(checked.root))
    return {row["contact_id"]: row["place"] for row in warehouse.execute(rows).to_pylist()}


def expected(session: Session, config: Config, item: Item, *, new_only: bool = True) -> list[int]:
    """Contacts by falling score, each score a sum over what they hold."""
    learned = load(config.folder / "trainings" / "1")
    table = learned.sources["collaborative"].table.toarray()  # type: ignore[attr-defined]
    number = {int(one): place for place, one in enumerate(learned.item_ids)}
    held: dict[int, dict[int, Any]] = {}
    units: dict[tuple[int, int], int] = {}
    rows = session.query(Order, OrderLine).join(OrderLine, OrderLine.order_id == Order.id).order_by(Order.ordered_at)
    for order, line in rows:
        if order.contact_id is not None:
            pair = (order.contact_id, line.item_id)
            units[pair] = units.get(pair, 0) + line.quantity
            if line.quantity > 0:
                held.setdefault(order.contact_id, {})[line.item_id] = order.ordered_at
    scores = {}
    for contact, items in held.items():
        kept = {one: at for one, at in items.items() if units[contact, one] > 0}
        if new_only and item.id in kept:
            continue
        scores[contact] = sum(
            table[number[one], number[item.id]] * 0.5 ** ((NOW - at) / timedelta(days=HALF_LIFE_DAYS))
            for one, at in kept.items()
            if one in number
        )
    return sorted((who for who, score in scores.items() if score > 1e-9), key=lambda who: (-round(scores[who], 6), who))


def test_the_best_are_those_of_the_highest_sum(database: Database, warehouse: Warehouse, config: Config) -> None:
    """Everybody of the item's colour who lacks it, no one who holds it; returns and other items change nothing else."""
    with database.begin() as session:
        people = {contact.key: contact for contact in session.query(Contact)}
        things = {item.key: item for item in session.query(Item)}
        add_order(session, people["C3"], [things["A5"]], NOW - timedelta(days=3), quantity=-1)  # lacks A3, and A5 now
        add_order(session, people["C1"], [things["A4"], things["A6"]], NOW - timedelta(days=1))
    warehouse.refresh()
    with database.read() as session:
        for key in ("A0", "A3", "A5"):
            item = session.query(Item).filter_by(key=key).one()
            right = expected(session, config, item)
            places = found(session, warehouse, {"likely": {"item": key}, "top": 40})
            assert len(right) >= 2
            assert sorted(places, key=places.__getitem__) == right[:40]
            assert sorted(places.values()) == list(range(1, len(places) + 1))
            assert set(found(session, warehouse, {"likely": {"item": key}, "top": 1})) == {right[0]}


def test_buyers_may_be_among_them_and_then_go_first(database: Database, warehouse: Warehouse) -> None:
    """Of an item by wish, of a category unless it is wished otherwise."""
    warehouse.refresh()
    with database.read() as session:
        lacking = found(session, warehouse, {"likely": {"item": "A0"}, "top": 1000})
        everybody = found(session, warehouse, {"likely": {"item": "A0"}, "top": 1000, "new_only": False})
        assert lacking.keys() < everybody.keys()
        assert max(everybody[who] for who in everybody.keys() - lacking.keys()) <= len(everybody) - len(lacking)
        assert len(found(session, warehouse, {"likely": {"category": "all"}, "top": 1000})) == 40
        assert not found(session, warehouse, {"likely": {"category": "All"}, "top": 1000, "new_only": True})


def test_they_go_with_other_conditions_and_read_well(database: Database, warehouse: Warehouse) -> None:
    """The N best of all contacts, then the other conditions; the negation is everybody else."""
    warehouse.refresh()
    with database.read() as session:
        asked = {"likely": {"item": "A0"}, "top": 1}
        checked = criteria.parse({"not": asked}, open_catalogue(session, warehouse))
        assert lists.preview(warehouse, checked, now=NOW, language="en").count == 40 - 1
        assert criteria.to_json(checked) == {"not": asked}
        assert criteria.sentence(checked).startswith("People not among the 1 people most likely to buy “Item 0”")
        assert "最可能购买“Item 0”的1人" in criteria.sentence(checked, "zh")


def test_why_names_what_they_hold(database: Database, warehouse: Warehouse) -> None:
    """The items that say most, of those who are among the best."""
    warehouse.refresh()
    with database.read() as session:
        asked = {"likely": {"item": "A0"}, "top": 1}
        places = found(session, warehouse, asked)
        best, other = *places, next(iter({one.id for one in session.query(Contact)} - places.keys()))
        checked = criteria.parse({"all": [asked]}, open_catalogue(session, warehouse))
        told = {one.contact_id: one.root.nodes[0] for one in why(session, warehouse, checked, [best, other], NOW)}
        assert told[best].value
        assert told[best].value.en.startswith("for they hold “Item ")
        assert "“Item 0”" not in told[best].value.en
        assert told[other].value is None


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"likely": {}}, "likely", "Name an item or a category"),
        ({"likely": {"item": "A0", "category": "All"}}, "likely.category", "not both"),
        ({"likely": {"item": "nothing"}}, "likely.item", "no item 'nothing'"),
        ({"likely": {"category": "Food"}}, "likely.category", "No item is in"),
        ({"likely": {"item": "A0"}, "top": 0}, "top", "from 1 to"),
        ({"likely": {"item": "A0"}, "top": 2.5}, "top", "whole"),
        ({"likely": {"item": "A0"}, "tpo": 5}, "tpo", "Did you mean 'top'?"),
        ({"likely": {"itm": "A0"}}, "likely.itm", "Did you mean 'item'?"),
        ({"likely": "A0"}, "likely", "object"),
    ],
)
def test_a_fault_is_named_with_its_path(
    database: Database, warehouse: Warehouse, asked: dict[str, Any], field: str, words: str
) -> None:
    """And the remedy."""
    warehouse.refresh()
    with database.read() as session, pytest.raises(Invalid) as fault:
        criteria.parse({"all": [asked]}, open_catalogue(session, warehouse))
    assert fault.value.field == f"all[0].{field}"
    assert words in fault.value.message


def test_another_training_counts_at_once(database: Database, warehouse: Warehouse, config: Config) -> None:
    """Nothing that was found by the one before is shown again, though the data and the moment are the same."""
    warehouse.refresh()
    asked = {"likely": {"item": "A0"}, "top": 5, "new_only": False}

    def count() -> int:
        with database.read() as session:
            checked = criteria.parse(asked, open_catalogue(session, warehouse))
            return lists.preview(warehouse, checked, now=NOW, language="en").count

    assert count() == 5
    learned = load(config.folder / "trainings" / "1")
    known = learned.sources["collaborative"]
    assert isinstance(known, Collaborative)
    nothing = replace(known, table=sparse.csr_array(known.table.shape, dtype="float32"))
    blank = replace(learned, sources={**learned.sources, "collaborative": nothing})
    save(blank, config.folder / "trainings" / "2")
    with database.begin() as session:
        session.add(Training(status="ready", folder="trainings/2", started_at=NOW, finished_at=NOW))
        session.flush()
        training.publish(session, 2, NOW)
    asked["new_only"] = True
    assert count() == 0
    with database.begin() as session:
        training.publish(session, 1, NOW)
    assert count() == 2


def test_without_a_training_the_remedy_is_said_but_criteria_can_be_saved(
    database: Database, warehouse: Warehouse, config: Config
) -> None:
    """A list outlives a training that was taken away."""
    warehouse.refresh()
    with database.begin() as session:
        session.query(Published).delete()
    asked = {"likely": {"item": "A0"}, "top": 5}
    with database.read() as session:
        with pytest.raises(Invalid, match="rapport train"):
            criteria.parse(asked, open_catalogue(session, warehouse))
        criteria.parse(asked, Catalogue(session, None, config.locale.zone, "GBP"))


def test_an_item_nobody_had_bought_is_an_error(database: Database, warehouse: Warehouse) -> None:
    """Not an empty list."""
    with database.begin() as session:
        add_items(session, 1, key="new", title="New")
    warehouse.refresh()
    with database.read() as session, pytest.raises(Invalid, match="Train again"):
        criteria.parse({"likely": {"item": "new"}}, open_catalogue(session, warehouse))


def test_a_stranger_to_the_item_is_never_among_the_best(database: Database, warehouse: Warehouse) -> None:
    """There may be fewer than N."""
    with database.begin() as session:
        (nobody,) = add_contacts_named(session, "nobody")
        nobody_id = nobody.id
    warehouse.refresh()
    with database.read() as session:
        assert nobody_id not in found(session, warehouse, {"likely": {"category": "All"}, "top": 1000})


def add_contacts_named(session: Session, key: str) -> list[Contact]:
    """One contact of that key."""
    contact = Contact(key=key, attributes={}, created_at=NOW, updated_at=NOW)
    session.add(contact)
    session.flush()
    return [contact]
