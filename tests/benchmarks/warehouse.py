"""How fast the warehouse copies: `make bench NAME=warehouse ARGS="--events 20000000"`.

Measures on the database of `--url` (default: a SQLite file in a temporary folder): a rebuild, a refresh with nothing
new, after 10,000 new events, after a visitor became known (50 of their events move), and after an erasure.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy import delete, insert, literal, select, text, update
from sqlalchemy.orm import Session

import campaigns.models
import recommender.models
import web.models
from engine import config as settings
from engine import schema
from engine.database import Database, next_revision
from engine.models import Contact, Deletion, Event
from engine.warehouse import Warehouse

TABLES = (recommender.models, campaigns.models, web.models)  # migrations make all packages' tables
BATCH = 1_000_000


def main() -> None:
    """Make the data, measure, and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events")
    parser.add_argument("--url", default="", help="an empty PostgreSQL database")
    given = parser.parse_args()
    events = given.events // 10 if given.quick else given.events
    with tempfile.TemporaryDirectory() as folder:
        config = settings.build({"workspace": {"path": folder}, "database": {"url": given.url}})
        database = Database(config.database_url)
        schema.upgrade(database)
        _fill(database, events)
        figures = _measure(database, Warehouse(database, Path(folder) / "warehouse", config), events)
        database.close()
    print("warehouse:", *(f"{name}={value:.4g}" for name, value in {"events": events, **figures}.items()))


def _measure(database: Database, warehouse: Warehouse, events: int) -> dict[str, float]:
    figures = {"rebuild_s": _seconds(warehouse.rebuild), "nothing_s": min(_refreshes(warehouse, 5))}
    for name, change in CHANGES.items():
        seconds = []
        for attempt in range(3):
            with database.begin() as session:
                change(session, events + attempt * 10_000)
            seconds += _refreshes(warehouse, 1)
        figures[name] = float(np.median(seconds))
    return figures


def _identify(session: Session, first: int) -> None:
    ids = range(first // 2, first // 2 + 50)
    session.execute(update(Event).where(Event.id.in_(ids)).values(contact_id=7, revision=next_revision(session)))


def _change_contacts(session: Session, first: int) -> None:
    ids = range(1 + first // 10_000 % 500, 10_000, 500)
    session.execute(update(Contact).where(Contact.id.in_(ids)).values(age=44, revision=next_revision(session)))


def _erase(session: Session, first: int) -> None:
    whose = Event.contact_id == first // 10_000 % 500 * 2
    gone = select(literal("events"), Event.id, literal(next_revision(session))).where(whose)
    session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], gone))
    session.execute(delete(Event).where(whose))


CHANGES: dict[str, Callable[[Session, int], None]] = {
    "new_10000_s": lambda session, first: _add_rows(session, first, 10_000),
    "identified_s": _identify,
    "contacts_s": _change_contacts,
    "erased_s": _erase,
}


def _refreshes(warehouse: Warehouse, times: int) -> list[float]:
    return [_seconds(warehouse.refresh) for _ in range(times)]


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _fill(database: Database, events: int) -> None:
    for first in range(0, events, BATCH):
        with database.begin() as session:
            if first == 0:
                _add_contacts(session, events // 20)
            _add_rows(session, first, min(BATCH, events - first))


def _add_contacts(session: Session, count: int) -> None:
    _insert(
        session,
        "INSERT INTO contacts (key, email, age, attributes, bucket, created_at, updated_at, revision)"
        " SELECT 'c' || i, 'c' || i || '@shop.example', i % 80, '{}', i, {at}, {at}, :revision FROM n",
        0,
        count,
    )


def _add_rows(session: Session, first: int, count: int) -> None:
    """Events; every other one of a known contact,."""
    _insert(
        session,
        "INSERT INTO events (key, contact_id, visitor, type, occurred_at, value, origin, properties, revision)"
        " SELECT 'key-of-event-' || i, CASE WHEN i % 2 = 1 THEN 1 + (i * 7919) % 1000 END, 'v' || (i * 7919 % 1000),"
        " CASE i % 4 WHEN 0 THEN 'page_view' WHEN 1 THEN 'item_view' WHEN 2 THEN 'search' ELSE 'add_to_cart' END,"
        " {at}, CASE WHEN i % 4 = 3 THEN i % 100000 * 100 END, 'web', {page}, :revision FROM n",
        first,
        count,
    )


def _insert(session: Session, statement: str, first: int, count: int) -> None:
    sqlite = session.get_bind().dialect.name == "sqlite"
    words = {
        "at": "1772400000000000 + i * 1000000" if sqlite else "to_timestamp(1772400000 + i)",
        "page": """'{"page": "/p/' || (i % 997) || '"}'"""
        if sqlite
        else "jsonb_build_object('page', '/p/' || (i % 997))",
    }
    for name, word in words.items():
        statement = statement.replace(f"{{{name}}}", word)
    numbers = "WITH RECURSIVE n(i) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
    if sqlite:
        statement = numbers + statement
    else:
        head, _, select_part = statement.partition(" SELECT ")
        statement = f"{head} {numbers} SELECT {select_part}".replace("'{}'", "'{}'::jsonb")
    session.execute(text(statement), {"first": first, "last": first + count - 1, "revision": next_revision(session)})


if __name__ == "__main__":
    main()
