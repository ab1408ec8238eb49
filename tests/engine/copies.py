"""What the tests of the warehouse share: rows in SQL, and the same rows in the copy."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.orm import Session

from engine.database import Database, next_revision
from engine.models import Contact, Deletion, Event, Item, Order, OrderLine
from engine.warehouse import Warehouse
from engine.warehouse import current as switch

MODELS = (Contact, Item, Order, OrderLine, Event)


def add(session: Session, model: Any, now: datetime, **given: Any) -> int:
    """Insert one row with the least it needs; its id."""
    least = {
        Contact: {"attributes": {}, "bucket": 1, "created_at": now, "updated_at": now},
        Item: {"currency": "GBP", "attributes": {}, "created_at": now, "updated_at": now},
        Order: {"ordered_at": now, "currency": "GBP", "total": 0, "units": 1, "digest": ""},
        OrderLine: {"quantity": 1, "unit_price": 10_000, "discount": 0},
        Event: {"type": "item_view", "occurred_at": now, "properties": {}},
    }[model]
    row = {**least, "revision": next_revision(session), **given}
    return session.execute(insert(model).values(row).returning(model.id)).scalar_one()


def remove(session: Session, model: Any, row_id: int) -> None:
    """Delete one row and say so to the warehouse."""
    session.execute(delete(model).where(model.id == row_id))
    session.add(Deletion(table_name=model.__tablename__, row_id=row_id, revision=next_revision(session)))


def in_sql(database: Database, model: Any) -> list[dict[str, Any]]:
    """All rows of a table as SQL has them."""
    table: Table = model.__table__
    with database.read() as session:
        return [dict(row) for row in session.execute(select(table).order_by(table.c.id)).mappings()]


def copied(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    """All rows of a table as the warehouse has them, JSON read back."""
    rows = warehouse.execute(warehouse.table(name).order_by("id")).to_pylist()
    return [
        {key: json.loads(value) if key in {"attributes", "properties"} else value for key, value in row.items()}
        for row in rows
    ]


def assert_exact(warehouse: Warehouse, database: Database) -> None:
    """The copy has the rows of SQL, no more, no less, no other values."""
    for model in MODELS:
        expected = [{key: value for key, value in row.items() if key != "revision"} for row in in_sql(database, model)]
        assert copied(warehouse, model.__tablename__) == expected, model.__tablename__


def parquet(warehouse_folder: Path, table: str) -> list[Path]:
    """The Parquet files of a table in the present generation."""
    present = switch.read(warehouse_folder)
    assert present is not None
    return sorted((warehouse_folder / present.generation / table).glob("*.parquet"))
