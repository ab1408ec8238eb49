"""Rows that an import changed get their former values, field by field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, bindparam, select, update

from engine import identity
from engine.database import next_revision
from engine.identity.rows import among
from engine.intake import journal
from engine.intake.journal import typed
from engine.intake.undo.work import CHANGED, TABLES, Work, held


def former_values(work: Work, name: str, rows: Mapping[int, Any]) -> dict[int, dict[str, Any]]:
    """id -> fields as they were, of those that nobody changed since; consent has its own ledger."""
    table, former = TABLES[name], dict[int, dict[str, Any]]()
    found = select(table).where(table.c.id.in_(among(work.session, rows)))
    own = identity.owners(work.session, name, rows)
    for there in work.session.execute(held(work, found)).mappings():
        row: Mapping[Any, Any] = {**there, "contact_id": own[there["id"]]} if there["id"] in own else there
        fields = {field_: pair for field_, pair in rows[row["id"]].items() if not field_.endswith("_consent")}
        back = {field_: was for field_, (was, then) in fields.items() if _now(row, field_) == then}
        if name in ("contacts", "items") and fields:
            kept = len(back) < len(fields)
            work.tally[name, "kept" if kept else "restored", CHANGED if kept else ""] += 1
        if back:
            former[row["id"]] = _patched(table, row, back)
    return former


def _now(row: Mapping[Any, Any], name: str) -> Any:
    column, dot, own = name.partition(".")
    return row[column].get(own) if dot else journal.plain(row[column])


def _patched(table: Table, row: Mapping[Any, Any], back: Mapping[str, Any]) -> dict[str, Any]:
    """Values to write; the shop's own fields are one column."""
    values: dict[str, Any] = {}
    for name, was in back.items():
        column, dot, own = name.partition(".")
        if not dot:
            values[column] = typed(table.c[column], was)
            continue
        values.setdefault(column, dict(row[column])).pop(own, None)
        if was is not None:
            values[column][own] = was
    return values


def write(work: Work, name: str, former: Mapping[int, dict[str, Any]]) -> None:
    """A statement for each set of fields."""
    table, alike = TABLES[name], defaultdict(list)
    stamps = {"revision": next_revision(work.session), "updated_at": work.now}
    given = {column: value for column, value in stamps.items() if column in table.c}
    for row_id, values in former.items():
        alike[tuple(values)].append(values | given | {"row_id": row_id})
    for rows in alike.values():
        statement = update(table).where(table.c.id == bindparam("row_id"))
        work.session.connection().execute(
            statement.values({name: bindparam(name) for name in rows[0] if name != "row_id"}), rows
        )
