"""What somebody did, read at the moment of the question: the same for one and for many, on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.database import Database, microseconds
from engine.models import Event
from recommender import history
from recommender.history import LAST, Histories, History
from recommender.interactions import EVENT_WEIGHTS, Log, last_kept, tastes
from tests.recommender.shop import NOW, add_contacts, add_event, add_items, add_order

DAY = timedelta(days=1)


def same(one: History, other: History) -> None:
    assert one.items.tolist() == other.items.tolist()
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-14)
    assert one.bought.tolist() == other.bought.tolist()
    for name in ("order", "contact", "item", "amount", "at"):
        assert getattr(one.done, name).tolist() == getattr(other.done, name).tolist()


def of_row(many: Histories, row: int) -> History:
    own, held, done = (many.row == row, many.holder == row, many.done.contact == row)
    told = many.done.take(done)
    return History(many.items[own], many.weights[own], many.bought[held], replace(told, contact=told.contact * 0 - 1))


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


_MOMENTS = st.integers(-3, 400).map(lambda days: microseconds(NOW - days * DAY))
_LINES = st.tuples(st.integers(1, 5), st.integers(0, 2), st.integers(1, 5), st.integers(-2, 2), _MOMENTS)
_SEEN = st.tuples(st.just(0), st.integers(0, 2), st.integers(1, 5), st.sampled_from([0.2, 0.5]), _MOMENTS)


@given(st.lists(_LINES | _SEEN, max_size=40))
def test_many_as_arrays_are_those_of_each(rows: list[tuple[int, int, int, float, int]]) -> None:
    """What three contacts did, in the order in which the database tells it."""
    told = sorted(rows, key=lambda row: (row[0] == 0, row[1], -row[4]))
    columns = list(zip(*told, strict=True)) or [()] * 5
    kinds = (np.int64, np.int64, np.int64, np.float64, np.int64)
    log = Log(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))
    many = Histories.of(log, 3, NOW)
    for row in range(3):
        same(History.of([line for line in told if line[1] == row], NOW), of_row(many, row))


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
    assert set(many.row.tolist()) == {0, 1, 2}
    assert (many.count, history.of_contacts(database, [], NOW).count) == (4, 0)
    for row, contact_id in enumerate(ids):
        same(History.read(history.of_contact(database, contact_id, NOW), NOW), of_row(many, row))
    assert history.of_contact(database, ids[3], NOW) == history.NOTHING
    assert len(of_row(many, 0).bought) == len(json.loads(history.of_contact(database, ids[0], NOW))) - 3


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
    same(past, of_row(history.of_contacts(database, [contact_id], NOW), 0))


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
