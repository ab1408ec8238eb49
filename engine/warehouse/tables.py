"""Which tables the warehouse holds: mirrors of SQL tables, and tables computed from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, cast

import ibis
import pyarrow as pa
from sqlalchemy import JSON, Boolean, Column, Date, Float, Integer, String, Table
from sqlalchemy.types import TypeEngine

from engine import traits
from engine.config import Locale
from engine.database import UtcDateTime
from engine.errors import NotFound, nearest
from engine.models import Consent, Contact, Event, Item, Order, OrderLine, Suppression

ARROW_TYPES: tuple[tuple[type[TypeEngine[Any]], Any], ...] = (
    (UtcDateTime, pa.timestamp("us", "UTC")),
    (Integer, pa.int64()),
    (Boolean, pa.bool_()),
    (Date, pa.date32()),
    (Float, pa.float64()),
    (String, pa.string()),
    (JSON, pa.string()),  # as JSON text
)

PART = "part"  # column of the file a row is in, for `Warehouse.query`


@dataclass(frozen=True, eq=False)
class Mirror:
    """A SQL table with `id` and `revision` that the warehouse copies: all columns but `revision`, or those named; all
    rows, or those that the SQL condition `where` is true of. A row that leaves it counts as deleted.
    """

    table: Table
    columns: Sequence[str] = ()
    where: str = "true"

    @property
    def name(self) -> str:
        """The table's name, here and in SQL."""
        return self.table.name

    @property
    def fields(self) -> list[Column[Any]]:
        """The SQL columns copied, `id` among them."""
        return [
            column
            for column in self.table.columns
            if column.name != "revision" and (not self.columns or column.name in {"id", *self.columns})
        ]

    @cached_property
    def schema(self) -> pa.Schema:
        """The copy's columns; the first is `id`."""
        return pa.schema([(column.name, _arrow_type(column)) for column in self.fields])

    def shape(self, _locale: Locale) -> str:
        """Changes when the copy must be made anew."""
        return digest(str(self.schema))


@dataclass(frozen=True, eq=False)
class Derived:
    """A table computed from mirrors at every refresh that changed one of its `sources`, and written anew.
    The first column of `schema` is a whole number.
    """

    name: str
    sources: tuple[str, ...]
    schema: pa.Schema
    build: Callable[[Mapping[str, ibis.Table], Locale], ibis.Table]

    def shape(self, locale: Locale) -> str:
        """Changes with the columns and with the computation, settings included."""
        return digest(str(self.schema) + compiled(self, locale))


@cache
def compiled(table: Derived, locale: Locale) -> str:
    """The computation as DuckDB's SQL; Ibis takes 0.2 s to make the traits', DuckDB 0.02 s to run them for few."""
    expression = table.build({name: unbound(name) for name in table.sources}, locale)
    return str(ibis.to_sql(expression.cast(ibis.Schema.from_pyarrow(table.schema)), dialect="duckdb"))


TABLES: dict[str, Mirror | Derived] = {}


def register(table: Mirror | Derived) -> None:
    """Add a table; the next refresh fills it. Parents before children: tables are filled in this order."""
    TABLES[table.name] = table


def unbound(name: str) -> ibis.Table:
    """The table as a name with columns, tied to no connection: the same expression runs on DuckDB and on Spark."""
    if name not in TABLES:
        raise NotFound(f"The warehouse has no table '{name}'.{nearest(name, TABLES)}")
    return _unbound(name, TABLES[name].schema)


@cache
def _unbound(name: str, schema: pa.Schema) -> ibis.Table:
    """Reading the schema takes 1 ms."""
    return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)


def mirrors() -> list[Mirror]:
    """The copied tables, parents first."""
    return [table for table in TABLES.values() if isinstance(table, Mirror)]


def derived() -> list[Derived]:
    """The computed tables."""
    return [table for table in TABLES.values() if isinstance(table, Derived)]


def digest(text: str) -> str:
    """A short mark of a text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _arrow_type(column: Column[Any]) -> Any:
    return next(arrow for kind, arrow in ARROW_TYPES if isinstance(column.type, kind))


register(Mirror(cast(Table, Contact.__table__), where="merged_into IS NULL"))
for _model in (Item, Order, OrderLine, Event, Consent, Suppression):
    register(Mirror(cast(Table, _model.__table__)))
register(Derived("traits", traits.SOURCES, traits.SCHEMA, traits.expression))
