"""What contacts and visitors did, read from SQL at the moment of the request: an event counts at the next one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from pyarrow import csv
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    TableValuedAlias,
    Text,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal,
    or_,
    select,
    type_coerce,
    union_all,
)

from engine.database import Database, microseconds
from engine.models import Event, Order, OrderLine
from engine.prepared import Prepared
from recommender.arrays import DAY, Ints, ordered
from recommender.interactions import EVENT_WEIGHTS, HALF_LIFE_DAYS, NOBODY, Log, among, last_kept, numbers, tastes

LAST: Final = 200  # newest order lines and newest events of each contact that count
_EVENT: Final = 0  # stands where an order's id would

NOTHING: Final = "[]"

# Order or _EVENT, contact, item, units or weight, and the moment as the driver gives it.
Done = tuple[int, int, int, float, Any]


@dataclass(frozen=True)
class History:
    """items: item ids; weights: 1 for a purchase now, less for a view or an old one; bought: ids; done: every purchase
    of what was kept and every view, oldest first, amount 1 for a purchase and less for a view.
    """

    items: Ints
    weights: np.ndarray[Any, np.dtype[np.float64]]
    bought: Ints
    done: Log

    @classmethod
    def read(cls, told: str, now: datetime) -> History:
        """From a text of `of_contact` or `of_visitor`."""
        return cls.of(json.loads(told), now) if told != NOTHING else EMPTY

    @classmethod
    def of(cls, rows: Iterable[Done], now: datetime) -> History:
        """Of one contact or visitor. What went back as a whole counts for nothing (interactions.last_kept), weights are
        those of interactions.tastes: thirty rows take 25 us here, and 200 us as arrays.
        """
        units: dict[int, float] = {}
        last: dict[int, int] = {}
        lines, seen = [], []
        for order, _, item, amount, moment in rows:
            at = moment if type(moment) is int else microseconds(moment)
            if order == _EVENT:
                seen.append((at, order, item, amount))
                continue
            units[item] = units.get(item, 0) + amount
            if amount > 0:
                last[item] = max(last.get(item, at), at)
                lines.append((at, order, item, 1.0))
        kept = {item: at for item, at in last.items() if units[item] > 0}
        end = microseconds(now)
        weights = {item: _faded(end - at) for item, at in kept.items()}
        for at, _, item, amount in seen:
            weights[item] = weights.get(item, 0.0) + amount * _faded(end - at)
        items = sorted(weights)
        done = sorted([line for line in lines if line[2] in kept] + seen, key=itemgetter(0))
        return cls(
            np.array(items, np.int64),
            np.array([min(weights[item], 1.0) for item in items], np.float64),
            np.array(sorted(kept), np.int64),
            _log(done),
        )


def _faded(age: int) -> float:
    """What something so many microseconds ago still counts."""
    return float(2.0 ** (-max(age, 0) / (DAY * HALF_LIFE_DAYS)))


def _log(done: Sequence[tuple[int, int, int, float]]) -> Log:
    at, order, item, amount = zip(*done, strict=True) if done else ((), (), (), ())
    return Log(
        np.array(order, np.int64),
        np.full(len(done), NOBODY),  # whose it is stands beside it
        np.array(item, np.int64),
        np.array(amount, np.float64),
        np.array(at, np.int64),
    )


@dataclass(frozen=True)
class Histories:
    """Of `count` contacts what History tells of one, as arrays; their rows are numbered from 0. row, items and weights;
    holder (row) and bought; done, whose `contact` is the row: all by row, then as History has them.
    """

    count: int
    row: Ints
    items: Ints
    weights: np.ndarray[Any, np.dtype[np.float64]]
    holder: Ints
    bought: Ints
    done: Log

    @classmethod
    def of(cls, log: Log, count: int, now: datetime) -> Self:
        """From what was done by each row, the newest of each first, as History.of has it."""
        is_event = log.order == _EVENT
        lines, seen = log.take(~is_event), log.take(is_event)
        kept, gone = last_kept(lines)
        row, items, weights = tastes(kept, seen, now)
        lines = lines.take((lines.amount > 0) & ~among(lines, gone))
        names = ("order", "contact", "item", "at")
        order, contact, item, at = (np.concatenate([getattr(lines, name), getattr(seen, name)]) for name in names)
        amount = np.concatenate([np.ones(len(lines)), seen.amount])
        done = Log(order, contact, item, amount, at).take(ordered(at, contact))
        return cls(count, row, items, weights, kept.contact, kept.item, done)


EMPTY: Final = History(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), Log.of([]))


def of_contact(database: Database, contact_id: int, now: datetime) -> str:
    """What a contact did, as one text for History.read: equal texts are an equal history. One row is fetched without
    Python's lock; thirty give it away and wait for it thirty times.
    """
    [(told,)] = _DONE[database.engine.name].rows(database, contact=contact_id, now=now)
    return told or NOTHING


def of_visitor(database: Database, visitor: str, now: datetime) -> str:
    """What a visitor did whom nobody knows."""
    [(told,)] = _SEEN_BY_VISITOR[database.engine.name].rows(database, visitor=visitor, now=now)
    return told or NOTHING


def of_browser(database: Database, visitor: str, now: datetime) -> str:
    """What was looked at in one browser, whoever it belongs to: nothing that the contact bought or did elsewhere."""
    [(told,)] = _SEEN_IN_BROWSER[database.engine.name].rows(database, visitor=visitor, now=now)
    return told or NOTHING


def of_contacts(database: Database, contact_ids: Sequence[int], now: datetime) -> Histories:
    """The histories of contacts, each named once, in their order: by one statement, and one text that is read without
    Python's lock. As rows of Python they take 200 us for each contact, so 70.
    """
    contacts = json.dumps(list(contact_ids)) if database.is_sqlite else list(contact_ids)
    [(told,)] = _DONE_BY_MANY[database.engine.name].rows(database, contacts=contacts, now=now)
    log = _parsed(told or "")
    rows = numbers(np.array(contact_ids, np.int64), log.contact)
    return Histories.of(replace(log, contact=rows), len(contact_ids), now)


def _parsed(told: str) -> Log:
    """A text of lists of lists of numbers."""
    lines = told.encode().replace(b"],", b"\n").translate(None, b"[] ")
    if not lines.strip():
        return Log.of([])
    table = csv.read_csv(pa.BufferReader(lines), _COLUMNS, convert_options=_TYPES)
    return Log(*(column.to_numpy() for column in table.columns))


def _lines(*whose: ColumnElement[bool]) -> Select[Any]:
    orders, lines = Order.__table__.c, OrderLine.__table__.c
    rows = select(lines.order_id, orders.contact_id, lines.item_id, lines.quantity, orders.ordered_at.label("at"))
    return rows.add_columns(lines.id.label("row")).where(orders.id == lines.order_id, *whose)


def _events(*whose: ColumnElement[bool]) -> Select[Any]:
    events = Event.__table__.c
    weight = case(EVENT_WEIGHTS, value=events.type, else_=0.0)
    rows = select(literal(_EVENT), events.contact_id, events.item_id, weight, events.occurred_at.label("at"))
    what = events.item_id.is_not(None), or_(*(events.type == name for name in EVENT_WEIGHTS))
    return rows.add_columns(events.id.label("row")).where(*whose, *what)


def _newest(rows: Select[Any]) -> Select[Any]:
    """The LAST newest of all."""
    *_, at, row = rows.selected_columns
    newest = rows.where(at <= bindparam("now")).order_by(at.desc(), row.desc()).limit(LAST).subquery()
    return select(*list(newest.c)[:-1])


def _text(rows: Select[Any] | CompoundSelect[Any]) -> dict[str, Select[Any]]:
    """All rows as one text of JSON, by the kind of database; moments in microseconds since 1970."""
    *told, at = rows.subquery().c
    since = type_coerce(at, BigInteger)
    epoch = cast(extract("epoch", at) * 1_000_000, BigInteger)
    return {
        "sqlite": select(func.json_group_array(func.json_array(*told, since))),
        "postgresql": select(cast(func.json_agg(func.json_build_array(*told, epoch)), Text)),
    }


def _as_text(rows: Select[Any] | CompoundSelect[Any]) -> dict[str, Prepared]:
    return {name: Prepared(query) for name, query in _text(rows).items()}


def _as_text_of_each(name: str, contact: TableValuedAlias) -> Prepared:
    """The LAST newest lines and events of each contact, asked for one after the other in the database: 50 us, when it
    takes 95 to number those of all.
    """
    lines, events = _lines(contact.c.value == _ORDERED), _events(contact.c.value == _DID)
    texts = [_text(_newest(rows.correlate(contact)))[name].scalar_subquery() for rows in (lines, events)]
    told = union_all(*(select(text.label("told")).select_from(contact) for text in texts)).subquery()
    joined = {"sqlite": func.group_concat, "postgresql": func.string_agg}[name]
    return Prepared(select(joined(told.c.told, literal(","))))


# Built once: building them takes longer than running them.
_ORDERED, _DID = Order.__table__.c.contact_id, Event.__table__.c.contact_id
_ONE: Final[Any] = bindparam("contact")
_DONE: Final = _as_text(union_all(_newest(_lines(_ORDERED == _ONE)), _newest(_events(_DID == _ONE))))
_AMONG: Final = {  # however many, they are one parameter
    "sqlite": func.json_each(bindparam("contacts")).table_valued("value", name="asked"),
    "postgresql": func.unnest(bindparam("contacts", type_=ARRAY(BigInteger)))
    .table_valued("value", name="asked")
    .render_derived(),
}
_DONE_BY_MANY: Final = {name: _as_text_of_each(name, asked) for name, asked in _AMONG.items()}
_HERE: Final[Any] = Event.__table__.c.visitor == bindparam("visitor")
_SEEN_BY_VISITOR: Final = _as_text(_newest(_events(_HERE, _DID.is_(None))))
_SEEN_IN_BROWSER: Final = _as_text(_newest(_events(_HERE)))
_WHOLE: Final = dict.fromkeys(("order", "contact", "item", "at"), pa.int64())
_COLUMNS: Final = csv.ReadOptions(column_names=("order", "contact", "item", "amount", "at"), use_threads=False)
_TYPES: Final = csv.ConvertOptions(column_types=_WHOLE | {"amount": pa.float64()})
