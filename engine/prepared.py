"""Statements of the hottest doors, compiled once and handed to the driver as they are.

SQLAlchemy takes 100 to 500 us of CPU for a statement, its types and its transaction when SQLite answers in 10 to 50;
`make bench NAME=recommend` asks some thousand times a second.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import CompoundSelect, Engine, Select
from sqlalchemy.sql.compiler import SQLCompiler

from engine.database import Database, microseconds

Rows = list[tuple[Any, ...]]


class Prepared:
    """A query whose parameters are numbers, texts and moments, none of them a list."""

    def __init__(self, query: Select[Any] | CompoundSelect[Any]) -> None:
        self._query: Final = query
        self._compiled: dict[str, tuple[str, dict[str, Any], list[str] | None]] = {}

    def rows(self, database: Database, **given: Any) -> Rows:
        """What is committed now, in a transaction of its own. Columns are as the driver gives them: a moment is a
        datetime on PostgreSQL, and microseconds since 1970 on SQLite.
        """
        text, usual, order = self._compiled.get(database.engine.name) or self._compile(database.engine)
        values = {**usual, **given}
        with database.driver() as connection:
            told = values if order is None else [_stored(values[name]) for name in order]
            found: Rows = connection.execute(text, told).fetchall()
        return found

    def _compile(self, engine: Engine) -> tuple[str, dict[str, Any], list[str] | None]:
        compiled = self._query.compile(engine)
        assert isinstance(compiled, SQLCompiler)
        order = compiled.positiontup
        found = str(compiled), dict(compiled.construct_params(_check=False)), list(order) if order is not None else None
        self._compiled[engine.name] = found
        return found


def _stored(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value
