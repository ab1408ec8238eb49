"""What contacts and visitors did, read from SQL at the moment of the request: an event counts at the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, Select, bindparam, case, func, literal, select, union_all
from sqlalchemy.orm import Session

from engine.models import Event, Order, OrderLine
from recommender.arrays import Ints
from recommender.interactions import EVENT_WEIGHTS, NOBODY, Log, among, last_kept, tastes

LAST: Final = 200  # newest order lines and newest events of each contact that count
_EVENT: Final = 0  # stands where an order's id would


@dataclass(frozen=True)
class History:
    """items: item ids; weights: 1 for a purchase now, less for a view or an old one; bought: ids; done: every purchase
    of what was kept and every view, oldest first, amount 1 for a purchase and less for a view.
    """

    items: Ints
    weights: np.ndarray[Any, np.dtype[np.float64]]
    bought: Ints
    done: Log


EMPTY: Final = History(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), Log.of([]))


def of_contacts(session: Session, contact_ids: Sequence[int], now: datetime) -> dict[int, History]:
    """The histories of contacts who have one, by one statement for all."""
    if not contact_ids:
        return {}
    rows = session.connection().execute(_DONE, {"contacts": list(contact_ids), "now": now}).all()
    bought, seen = ([row for row in rows if (row[0] == _EVENT) == event] for event in (False, True))
    return _histories(Log.of(bought), Log.of(seen), now)


def of_visitor(session: Session, visitor: str, now: datetime) -> History:
    """The history of a visitor nobody knows."""
    seen = Log.of(session.execute(_SEEN_BY_VISITOR, {"visitor": visitor, "now": now}).all())
    return _histories(Log.of([]), seen, now).get(NOBODY, EMPTY)


def _histories(lines: Log, seen: Log, now: datetime) -> dict[int, History]:
    kept = last_kept(lines)
    contact, item, weight = tastes(kept, seen, now)
    done = _done(lines, kept, seen)
    found = np.unique(contact)
    mine, had, did = (_spans(ordered, found) for ordered in (contact, kept.contact, done.contact))
    return {
        int(who): History(item[own], weight[own], kept.item[bought], done.take(all_of_it))
        for who, own, bought, all_of_it in zip(found, mine, had, did, strict=True)
    }


def _done(lines: Log, kept: Log, seen: Log) -> Log:
    """By contact, then in time: purchases of what was kept, each weighing 1, and views."""
    bought = lines.take((lines.amount > 0) & among(lines, kept))
    bought = replace(bought, amount=np.ones(len(bought)))
    both = Log(*(np.concatenate([getattr(log, one.name) for log in (bought, seen)]) for one in fields(Log)))
    return both.take(np.lexsort((both.at, both.contact)))


def _spans(ordered: Ints, wanted: Ints) -> list[slice]:
    """Where each of `wanted` stands in an ordered array."""
    first, last = (np.searchsorted(ordered, wanted, side=side) for side in ("left", "right"))
    return [slice(start, end) for start, end in zip(first, last, strict=True)]


def _newest(rows: Select[Any], at: Any, row: Any) -> Select[Any]:
    """The LAST newest of each contact; the contact stands second."""
    place = func.row_number().over(partition_by=rows.selected_columns[1], order_by=(at.desc(), row.desc()))
    ranked = rows.where(at <= bindparam("now")).add_columns(place.label("place")).subquery()
    return select(*list(ranked.c)[:-1]).where(ranked.c.place <= LAST)


def _lines() -> Select[Any]:
    orders, lines = Order.__table__.c, OrderLine.__table__.c
    rows = (
        select(lines.order_id, orders.contact_id, lines.item_id, lines.quantity, orders.ordered_at)
        .where(orders.id == lines.order_id)
        .where(orders.contact_id.in_(bindparam("contacts", expanding=True)))
    )
    return _newest(rows, orders.ordered_at, lines.id)


def _events(*whose: ColumnElement[bool]) -> Select[Any]:
    events = Event.__table__.c
    weight = case(EVENT_WEIGHTS, value=events.type, else_=0.0)
    rows = select(literal(_EVENT), events.contact_id, events.item_id, weight, events.occurred_at).where(
        *whose, events.item_id.is_not(None), events.type.in_(EVENT_WEIGHTS)
    )
    return _newest(rows, events.occurred_at, events.id)


# Built once: building them takes longer than running them.
_DONE: Final = union_all(_lines(), _events(Event.__table__.c.contact_id.in_(bindparam("contacts", expanding=True))))
_SEEN_BY_VISITOR: Final = _events(
    Event.__table__.c.visitor == bindparam("visitor"), Event.__table__.c.contact_id.is_(None)
)
