"""The demo shop into an empty database: the fast road of intake, table by table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import JSON, Boolean, Column, Date, Float, Integer, Table, text
from sqlalchemy.orm import Session

import engine.models  # noqa: F401
from engine.database import Base, Database, UtcDateTime, next_revision
from engine.intake import bulk
from web.demo.shop import Shop

CHUNK: Final = 50_000
Progress = Callable[[str, int, int], None]  # table, rows done, rows


def load(database: Database, shop: Shop, progress: Progress = lambda *_: None) -> dict[str, int]:
    """Insert everything, one transaction a table; rows of each. The tables must be empty."""
    counts = {}
    for name, frame in shop.tables():
        with database.begin() as session:
            insert(session, Base.metadata.tables[name], frame, progress)
        counts[name] = len(frame)
    return counts


def insert(session: Session, table: Table, frame: pd.DataFrame, progress: Progress = lambda *_: None) -> None:
    """Append the frame's rows to the table, ids included."""
    stamp = {"revision": next_revision(session)} if "revision" in table.c else {}
    for start in range(0, len(frame), CHUNK):
        part = frame.iloc[start : start + CHUNK]
        given = {str(name): _stored(session, table.c[str(name)], part[name]) for name in part}
        bulk.load(session, table, given | {name: [value] * len(part) for name, value in stamp.items()})
        progress(table.name, min(start + CHUNK, len(frame)), len(frame))
    if session.get_bind().dialect.name == "postgresql":
        number = f"pg_get_serial_sequence('{table.name}', 'id')"
        session.execute(text(f"SELECT setval({number}, (SELECT coalesce(max(id), 1) FROM {table.name}))"))


def _stored(session: Session, column: Column[Any], values: pd.Series[Any]) -> Sequence[Any]:
    """What the driver stores, with None for whatever is missing."""
    if isinstance(column.type, JSON):
        return [json.dumps(value, ensure_ascii=False) for value in values]
    missing = values.isna().to_numpy()
    return [None if gone else value for value, gone in zip(_plain(session, column, values), missing, strict=True)]


def _plain(session: Session, column: Column[Any], values: pd.Series[Any]) -> Iterator[Any]:
    if isinstance(column.type, UtcDateTime):
        moments = pd.to_datetime(values, utc=True).dt.as_unit("us")
        if session.get_bind().dialect.name == "postgresql":
            return iter(moments.dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"))
        return iter(moments.astype(np.int64).tolist())
    if isinstance(column.type, Date):
        return (value.isoformat() if isinstance(value, date) else None for value in values)
    if isinstance(column.type, Float) and session.get_bind().dialect.name == "postgresql":
        return iter(values.astype(str))
    if isinstance(column.type, Boolean):
        return (bool(value) if value in (True, False) else None for value in values)
    return (
        iter(values.tolist()) if not isinstance(column.type, Integer) else iter(values.fillna(0).astype(int).tolist())
    )
