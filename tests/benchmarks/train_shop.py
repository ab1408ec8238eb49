"""The seeded shop of the training benchmark: a million contacts, 100,000 items, sixteen million interactions.

Two hundred kinds of items, each as uneven as shops are (Zipf); a contact keeps mostly to two kinds, an order or a visit
to one, and every four neighbours of a kind are bought together more often than by chance. Half of the interactions are
order lines, the other half views in visits, two of five of them of strangers.

Items, and the first KNOWN contacts with all they did, are written into SQL and copied by a refresh, so that the shop
can be served as well. All the rest goes straight into the files of the warehouse, in the columns and parts of a copy:
SQL would take minutes and is none of what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from sqlalchemy import DateTime

from engine import schema
from engine.config import Config
from engine.database import Database, microseconds, next_revision
from engine.models import Contact, Event, Item, Order, OrderLine
from engine.warehouse import Warehouse, current, parts, tables
from engine.warehouse.pipeline import ahead

NOW: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)  # the doors read the clock
DAYS: Final = 700
KINDS: Final = 200
KNOWN: Final = 2_000  # contacts in SQL
LINES, VIEWS = 3, 4  # in an order and in a visit, on average
BATCH: Final = 100_000  # orders or visits made at once
DAY: Final = 86_400_000_000
COLOURS: Final = ("red", "blue", "green", "black", "white", "grey", "brown", "yellow", "pink", "violet")
Columns = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large the shop is; interactions: order lines and views together, about."""

    contacts: int = 1_000_000
    items: int = 100_000
    interactions: int = 16_000_000

    @property
    def orders(self) -> int:
        """How many there are."""
        return self.interactions // 2 // LINES

    @property
    def visits(self) -> int:
        """How many there are."""
        return self.interactions // 2 // VIEWS


def fill(config: Config, size: Size) -> None:
    """Write the shop into an empty workspace."""
    database = Database(config.database_url)
    schema.upgrade(database)
    with database.begin() as session:
        cursor, revision = session.connection().connection.cursor(), next_revision(session)
        _insert(cursor, revision, Item, _items(size))
        _insert(cursor, revision, Contact, _contacts(min(KNOWN, size.contacts)))
        for first in range(0, size.orders, BATCH):
            orders, lines = _orders(size, first)
            _insert(cursor, revision, Order, _of(orders, _known(orders["contact_id"])))
            _insert(
                cursor, revision, OrderLine, _of(lines, _known(orders["contact_id"])[lines["order_id"] - first - 1])
            )
        for first in range(0, size.visits, BATCH):
            events = _events(size, first)
            _insert(cursor, revision, Event, _of(events, _known(events["contact_id"])))
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    warehouse.refresh()
    warehouse.close()
    database.close()
    _append(config.folder / "warehouse", size)


def _append(folder: Path, size: Size) -> None:
    """What SQL does not hold, as a refresh would have copied it."""
    present = current.read(folder)
    assert present
    made: dict[str, Callable[[int], Columns]] = {
        "orders": lambda first: _orders(size, first)[0],
        "order_lines": lambda first: _lines_of_strangers(size, first),
        "events": lambda first: _events(size, first),
    }
    states = dict(present.tables)
    for name, make in made.items():
        mirror, path = tables.TABLES[name], folder / present.generation / name
        change = parts.Change(DeltaTable(path), path, mirror.schema)
        count = size.visits if name == "events" else size.orders
        for _ in ahead(change.add, _batches(mirror.schema, make, count)):
            pass
        states[name] = replace(states[name], version=change.commit(count))
    current.write(folder, replace(present, tables=states))


def _batches(columns: pa.Schema, make: Callable[[int], Columns], count: int) -> Iterator[pa.Table]:
    for first in range(0, count, BATCH):
        made = make(first)
        if "contact_id" in made:
            made = _of(made, ~_known(made["contact_id"]))
        yield _table(columns, made)


def _lines_of_strangers(size: Size, first: int) -> Columns:
    orders, lines = _orders(size, first)
    return _of(lines, ~_known(orders["contact_id"])[lines["order_id"] - first - 1])


def _known(contact: Any) -> Any:
    """Whether SQL holds what they did; 0 is nobody."""
    return (contact > 0) & (contact <= KNOWN)


def _of(columns: Columns, rows: Any) -> Columns:
    return {name: column[rows] if isinstance(column, np.ndarray) else column for name, column in columns.items()}


def _orders(size: Size, first: int) -> tuple[Columns, Columns]:
    """Orders with ids from `first` + 1, and their lines."""
    random, count = np.random.default_rng([1, first]), min(BATCH, size.orders - first)
    contact = _people(random, count, size)
    contact[random.random(count) < 0.1] = 0
    units = np.minimum(random.geometric(1 / LINES, count), 30)
    order = np.repeat(np.arange(count), units)
    item = _chosen(random, contact, order, size)
    ids = np.arange(first + 1, first + count + 1)
    orders = {
        "id": ids,
        "key": ids,
        "contact_id": contact,
        "ordered_at": _moments(first, count, size.orders),
        "channel": "web",
        "currency": "GBP",
        "total": units * 100_000,
        "units": units,
        "digest": "",
    }
    lines = {
        "id": first * 30 + np.arange(1, len(order) + 1),
        "order_id": ids[order],
        "item_id": item,
        "quantity": np.where(random.random(len(order)) < 0.02, -1, 1),
        "unit_price": 100_000,
        "discount": 0,
    }
    return orders, lines


def _events(size: Size, first: int) -> Columns:
    """The views of visits from `first` on."""
    random, count = np.random.default_rng([2, first]), min(BATCH, size.visits - first)
    contact = _people(random, count, size)
    views = np.minimum(random.geometric(1 / VIEWS, count), 40)
    visit = np.repeat(np.arange(count), views)
    item = _chosen(random, contact, visit, size)
    stranger = random.random(count) < 0.4
    place = np.arange(len(visit)) - np.repeat(np.cumsum(views) - views, views)
    ids = first * 40 + np.arange(1, len(visit) + 1)
    return {
        "id": ids,
        "key": ids,
        "contact_id": np.where(stranger, 0, contact)[visit],
        "visitor": first + visit + 1,
        "type": np.where(random.random(len(visit)) < 0.1, "cart_add", "item_view"),
        "occurred_at": _moments(first, count, size.visits)[visit] + place * 40_000_000,
        "item_id": item,
        "origin": "web",
        "properties": "{}",
    }


def _people(random: np.random.Generator, count: int, size: Size) -> Any:
    """A few do much, most do little; contact ids."""
    place = np.minimum(random.power(0.5, count) * size.contacts, size.contacts - 1).astype(np.int64)
    return place * 7919 % size.contacts + 1  # so that the busy ones are not the first


def _moments(first: int, count: int, of: int) -> Any:
    """Evenly over the history, in the order of ids, as they come in."""
    return microseconds(NOW) - DAYS * DAY + (np.arange(first, first + count) * (DAYS * DAY // of))


def _chosen(random: np.random.Generator, contact: Any, row: Any, size: Size) -> Any:
    """An item id for each line: the kind goes with the contact, often the neighbour of the row's first item."""
    draw = random.random(len(contact))
    any_kind = np.searchsorted(_zipf(KINDS, 10, 0.6), random.random(len(contact)))
    kind = np.select([draw < 0.65, draw < 0.85], [contact % KINDS, contact * 31 % KINDS], any_kind)
    per = size.items // KINDS
    rank = np.searchsorted(_zipf(per, 5, 0.9), random.random(len(row)))
    begins = np.ones(len(row), bool)
    begins[1:] = np.diff(row) != 0
    head = rank[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    near = ~begins & (random.random(len(row)) < 0.5)
    rank = np.where(near, np.minimum(head // 4 * 4 + random.integers(0, 4, len(row)), per - 1), rank)
    return (rank * KINDS + kind[row]) * 7919 % size.items + 1  # so that ids say nothing


def _zipf(count: int, shift: int, power: float) -> Any:
    weight = (np.arange(count) + shift) ** -power
    return np.cumsum(weight / weight.sum())


def _items(size: Size) -> Columns:
    """Every item has a kind, and shares words with its neighbours."""
    place = np.argsort(np.arange(size.items) * 7919 % size.items)  # of `_chosen`, for ids in order
    kind, rank = place % KINDS, place // KINDS
    price = np.random.default_rng(3).lognormal(2.5, 0.8, size.items) * 10_000
    titles = [f"Kind{k} set{r // 4} {COLOURS[r % 10]} part{r % 4}" for k, r in zip(kind, rank, strict=True)]
    ids = np.arange(1, size.items + 1)
    return {
        "id": ids,
        "key": ids,
        "title": titles,
        "category": [f"Group {k // 10} > Kind {k}" for k in kind],
        "brand": [f"Brand {(k + r) % 300}" for k, r in zip(kind, rank, strict=True)],
        "price": price.astype(np.int64) + 1,
        "cost": (price * 0.6).astype(np.int64),
        "currency": "GBP",
        "active": True,
        "recommendable": True,
        **_born(),
    }


def _contacts(count: int) -> Columns:
    ids = np.arange(1, count + 1)
    return {"id": ids, "key": ids, "bucket": ids, "email_consent": True, **_born()}


def _born() -> Columns:
    start = microseconds(NOW) - DAYS * DAY
    return {"attributes": "{}", "created_at": start, "updated_at": start}


def _table(columns: pa.Schema, made: Columns) -> pa.Table:
    """In the columns of a copy; what was not made is unknown."""
    count = len(made["id"])
    arrays = []
    for field in columns:
        value = made.get(field.name)
        if not isinstance(value, np.ndarray):
            arrays.append(
                pa.nulls(count, field.type) if value is None else pa.repeat(pa.scalar(value, field.type), count)
            )
        elif field.name == "contact_id":
            arrays.append(pa.array(value, mask=value == 0))
        else:
            arrays.append(pc.cast(pa.array(value), field.type))
    return pa.table(arrays, schema=columns)


def _insert(cursor: Any, revision: int, model: Any, columns: Columns) -> None:
    """Rows as the SQLite file stores them: moments are whole microseconds, JSON is text."""
    table, count = model.__table__, len(columns["id"])
    values = [_sql(table.columns[name].type, name, column, count) for name, column in columns.items()]
    names = [*columns, "revision"]
    places = ", ".join("?" * len(names))
    rows = zip(*values, [revision] * count, strict=True)
    cursor.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", rows)


def _sql(kind: Any, name: str, column: Any, count: int) -> list[Any]:
    if not isinstance(column, (np.ndarray, list)):
        return [column] * count
    told = column if isinstance(column, list) else column.tolist()
    if name == "contact_id":
        return [one or None for one in told]
    if isinstance(kind, DateTime) or not hasattr(kind, "length"):
        return told
    return [str(one) for one in told]
