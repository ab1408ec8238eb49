"""What somebody did, read at the moment of the question: the same for one and for many, on both databases."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np

from engine.database import Database, microseconds
from engine.models import Event
from recommender import history
from recommender.history import LAST, History
from recommender.interactions import EVENT_WEIGHTS, Log, last_kept, tastes
from tests.recommender.shop import NOW, add_contacts, add_event, add_items, add_order

DAY = timedelta(days=1)


def same(one: History, other: History) -> None:
    assert one.items.tolist() == other.items.tolist()
    assert one.weights.tolist() == other.weights.tolist()
    assert one.bought.tolist() == other.bought.tolist()
    assert did(one) == did(other)


def did(past: History) -> list[tuple[int, int, float]]:
    return sorted(zip(past.done.at.tolist(), past.done.item.tolist(), past.done.amount.tolist(), strict=True))


def test_rows_are_weighed_as_training_weighs_them() -> None:
    """On random purchases, returns and views, what is kept and its weights are those of recommender.interactions."""
    draw = np.random.default_rng(1)
    for size in range(60):
        at = microseconds(NOW) - draw.integers(0, 400 * 86_400_000_000, size)
        items, units = draw.integers(1, 12, size), draw.choice([-2, -1, 1, 1, 2], size)
        lines = [(int(n) + 1, 7, int(items[n]), int(units[n]), int(at[n])) for n in range(size) if n % 3]
        seen = [(0, 7, int(items[n]), 0.2, int(at[n])) for n in range(size) if not n % 3]
        found = History.of([*lines, *seen], NOW)
        logs = [Log(*(np.array(column) for column in zip(*rows, strict=True))) for rows in (lines, seen) if rows]
        if len(logs) < 2:
            continue
        kept, _ = last_kept(logs[0])
        _, item, weight = tastes(kept, logs[1], NOW)
        assert found.items.tolist() == item.tolist()
        np.testing.assert_allclose(found.weights, weight)
        assert found.bought.tolist() == sorted(kept.item.tolist())
        assert set(found.done.item[found.done.amount == 1].tolist()) == set(kept.item.tolist())
        assert (np.diff(found.done.at) >= 0).all()


def test_one_and_many_agree(database: Database) -> None:
    """By one statement for one contact and by one for all; who did nothing has no history; the future is not known."""
    with database.begin() as session:
        contacts, items = add_contacts(session, 4), add_items(session, 5)
        for contact in contacts[:3]:
            add_order(session, contact, items[: contact.id % 3 + 2], NOW - 9 * DAY)
            add_event(session, contact, items[4], NOW - DAY)
            add_event(session, contact, items[3], NOW + DAY)
        add_order(session, contacts[0], items[:1], NOW - DAY, quantity=-1)
        ids = [contact.id for contact in contacts]
    many = history.of_contacts(database, ids, NOW)
    assert sorted(many) == ids[:3]
    assert history.of_contacts(database, [], NOW) == {}
    for contact_id in ids[:3]:
        same(History.read(history.of_contact(database, contact_id, NOW), NOW), many[contact_id])
    assert history.of_contact(database, ids[3], NOW) == history.NOTHING
    assert len(many[ids[0]].bought) == len(json.loads(history.of_contact(database, ids[0], NOW))) - 3


def test_the_last_ones_count(database: Database) -> None:
    """Of more than LAST events the newest, for one and for many."""
    with database.begin() as session:
        [contact], items = add_contacts(session, 1), add_items(session, 2)
        row = {"type": "item_view", "properties": {}, "contact_id": contact.id}
        older = [(items[0], NOW - DAY - timedelta(minutes=step)) for step in range(LAST)]
        newer = [(items[1], NOW - timedelta(minutes=step)) for step in range(LAST)]
        for step, (item, at) in enumerate([*older, *newer]):
            session.add(Event(key=str(step), item_id=item.id, occurred_at=at, **row))
        session.flush()
        contact_id, newest = contact.id, items[1].id
    past = History.read(history.of_contact(database, contact_id, NOW), NOW)
    assert past.items.tolist() == [newest]
    assert len(past.done) == LAST
    same(past, history.of_contacts(database, [contact_id], NOW)[contact_id])


def test_visitors(database: Database) -> None:
    """Of a visitor what nobody known did; other events and other visitors' are not theirs."""
    with database.begin() as session:
        [contact], items = add_contacts(session, 1), add_items(session, 3)
        add_event(session, None, items[0], NOW - DAY, visitor="v1", type="cart_add")
        add_event(session, None, items[1], NOW - DAY, visitor="v2")
        add_event(session, None, items[2], NOW - DAY, visitor="v1", type="search")
        add_event(session, contact, items[2], NOW - DAY, visitor="v1")
        first = items[0].id
    past = History.read(history.of_visitor(database, "v1", NOW), NOW)
    assert past.items.tolist() == [first]
    assert past.done.amount.tolist() == [EVENT_WEIGHTS["cart_add"]]


def test_browsers(database: Database) -> None:
    """Of a browser what was looked at in it, whoever that is now; no order, and nothing of the contact's elsewhere."""
    with database.begin() as session:
        [contact], items = add_contacts(session, 1), add_items(session, 4)
        add_event(session, None, items[0], NOW - DAY, visitor="v1")
        add_event(session, contact, items[1], NOW - DAY, visitor="v1")
        add_event(session, contact, items[2], NOW - DAY, visitor="v2")
        add_event(session, contact, items[3], NOW - DAY)
        add_order(session, contact, items, NOW - DAY)
        mine = [item.id for item in items[:2]]
    past = History.read(history.of_browser(database, "v1", NOW), NOW)
    assert (past.items.tolist(), past.bought.tolist()) == (mine, [])
    assert history.of_browser(database, "v3", NOW) == history.NOTHING
