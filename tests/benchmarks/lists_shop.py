"""The seeded shop of the lists benchmark, written into SQL in bulk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Table
from sqlalchemy.orm import Session

from engine.database import Database, microseconds, next_revision
from engine.models import BUCKETS, Contact, Event, Item, Order, OrderLine

NOW = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)  # the doors read the clock
DAYS = 1_095  # of history
ITEMS = 600
BATCH = 200_000
CATEGORIES = ["Food", "Food > Wine", "Food > Wine > Red", "Food > Tea", "Home", "Home > Table", "Toys"]
COUNTRIES = ["United Kingdom", "France", "Germany", "China", None]
TYPES = ["item_view", "page_view", "search", "cart_add"]
SECOND = 1_000_000


def fill(database: Database, contacts: int, events: int) -> None:
    """Contacts, items, an order for every ten events, and the events."""
    with database.begin() as session:
        rng = np.random.default_rng(1)
        _write(session, Item, _items(rng))
        for first in range(0, contacts, BATCH):
            add_contacts(session, rng, first, min(BATCH, contacts - first))
        for first in range(0, events // 10, BATCH):
            add_orders(session, rng, first, min(BATCH, events // 10 - first), contacts)
    for first in range(0, events, BATCH):
        with database.begin() as session:
            add_events(session, first, min(BATCH, events - first), contacts=contacts, seed=first)


def add_events(session: Session, first: int, count: int, *, contacts: int, seed: int) -> None:
    """Events with ids from `first` + 1."""
    rng = np.random.default_rng([2, seed])
    kind = rng.choice(len(TYPES), count, p=[0.5, 0.3, 0.1, 0.1])
    words = np.array(['{"q": "wine"}', '{"q": "tea"}', "{}"])
    columns = {
        "id": np.arange(first + 1, first + count + 1),
        "key": [f"e{number}" for number in range(first, first + count)],
        "contact_id": _people(rng, count, contacts),
        "type": np.array(TYPES)[kind],
        "occurred_at": _moments(rng, count),
        "item_id": rng.integers(1, ITEMS + 1, count),
        "value": rng.integers(1, 100, count) * 10_000,
        "properties": np.where(kind == 2, words[rng.integers(0, 2, count)], words[2]),
    }
    _write(session, Event, columns)


def _items(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "id": np.arange(1, ITEMS + 1),
        "key": [f"i{number}" for number in range(ITEMS)],
        "category": rng.choice(CATEGORIES, ITEMS),
        "currency": ["GBP"] * ITEMS,
        "active": [True] * ITEMS,
        "recommendable": [True] * ITEMS,
        **_born("{}", ITEMS),
    }


def _contacts(rng: np.random.Generator, first: int, count: int) -> dict[str, Any]:
    sizes = [f'{{"size": {size}}}' for size in range(30, 50)]
    return {
        "id": np.arange(first + 1, first + count + 1),
        "key": [f"c{number}" for number in range(first, first + count)],
        "bucket": rng.integers(0, BUCKETS, count),
        "age": [age if age < 80 else None for age in rng.integers(16, 100, count).tolist()],
        "birth_date": [f"{year}-06-15" if year > 1990 else None for year in rng.integers(1960, 2008, count).tolist()],
        "country": [COUNTRIES[place] for place in rng.integers(0, len(COUNTRIES), count).tolist()],
        "email_consent": [(None, False, True, True)[place] for place in rng.integers(0, 4, count).tolist()],
        **_born("{}", count),
        "attributes": [sizes[place] for place in rng.integers(0, len(sizes), count).tolist()],
    }


def add_contacts(session: Session, rng: np.random.Generator, first: int, count: int) -> None:
    """Contacts with ids from `first` + 1."""
    _write(session, Contact, _contacts(rng, first, count))


def add_orders(session: Session, rng: np.random.Generator, first: int, count: int, contacts: int) -> None:
    """Orders of two lines with ids from `first` + 1; their lines have those from 2 * `first` + 1."""
    amount = rng.integers(5, 100, (count, 2)) * 10_000
    ids = np.arange(first + 1, first + count + 1)
    orders = {
        "id": ids,
        "key": [f"o{number}" for number in range(first, first + count)],
        "contact_id": _people(rng, count, contacts),
        "ordered_at": _moments(rng, count),
        "currency": ["GBP"] * count,
        "total": amount.sum(axis=1) * np.where(rng.random(count) < 0.05, -1, 1),
        "units": [2] * count,
        "channel": rng.choice(["web", "store"], count),
        "digest": [""] * count,
    }
    _write(session, Order, orders)
    lines = {
        "id": np.arange(2 * first + 1, 2 * (first + count) + 1),
        "order_id": np.repeat(ids, 2),
        "item_id": rng.integers(1, ITEMS + 1, 2 * count),
        "quantity": [1] * (2 * count),
        "unit_price": amount.ravel(),
        "discount": [0] * (2 * count),
    }
    _write(session, OrderLine, lines)


def _people(rng: np.random.Generator, count: int, contacts: int) -> Any:
    """A few do much, most do little."""
    return 1 + np.minimum(rng.power(0.5, count) * contacts, contacts - 1).astype(int)


def _moments(rng: np.random.Generator, count: int) -> Any:
    """In order of time within a batch, as they come in; the last day is today."""
    end = microseconds(NOW) // SECOND
    return np.sort(rng.integers(end - DAYS * 86_400, end, count)) * SECOND


def _born(attributes: str, count: int) -> dict[str, Any]:
    start = [microseconds(NOW) - DAYS * 86_400 * SECOND] * count
    return {"attributes": [attributes] * count, "created_at": start, "updated_at": start}


def _write(session: Session, model: Any, columns: dict[str, Any]) -> None:
    """Rows as the SQLite file stores them: moments are whole microseconds, JSON is text."""
    table: Table = model.__table__
    names = [*columns, "revision"]
    values = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    revision = next_revision(session)
    rows = zip(*values, [revision] * len(values[0]), strict=True)
    places = ", ".join("?" * len(names))
    cursor = session.connection().connection.cursor()
    cursor.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", rows)
