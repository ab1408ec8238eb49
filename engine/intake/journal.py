"""What an import did, written down in the transaction that does it, so that the import can be taken back as a whole.

For a batch of records a row for each table: ids of what was created, as ranges; before and after of what was changed,
field by field; orders that were replaced, with their lines. Compressed, 20,000 records in a row, kept for LIFE.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Column, Date, Table, delete, exists, func, select, update
from sqlalchemy.orm import Session

from engine.database import Database, UtcDateTime, next_revision
from engine.errors import Conflict
from engine.models import Contact, Import, ImportChange

LIFE: Final = timedelta(days=30)  # it holds people's data; a month is also what the law gives for erasing (GDPR 12(3))

_WHOLE: Final = {"synchronize_session": False}

How = Literal["created", "changed", "replaced"]
Fields = dict[str, Any]


class Journal:
    """What one transaction did."""

    def __init__(self) -> None:
        self.ids: defaultdict[str, set[int]] = defaultdict(set)
        self.changes: defaultdict[str, dict[int, Fields]] = defaultdict(dict)  # table -> id -> {field: [before, after]}
        self._replaced: dict[int, Fields] = {}

    def created(self, table: Table, ids: Iterable[int]) -> None:
        """These rows are new."""
        self.ids[table.name].update(ids)

    def changed(self, table: Table, row_id: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A row that was there; what is the same in both is left out."""
        for name, pair in _differences(before, after):
            self.changes[table.name].setdefault(row_id, {}).setdefault(name, pair)[1] = pair[1]

    def replaced(self, orders: Mapping[int, Fields]) -> None:
        """id -> {"order": its fields before, "lines": those before, "digest": the one it has now}."""
        self._replaced |= orders

    def save(self, session: Session, import_id: int) -> None:
        """Write it down. Raises Conflict when the import is being taken back."""
        began = select(Import.undo_started_at).where(Import.id == import_id).with_for_update()
        if session.scalar(began) is not None:
            raise Conflict("This import is being undone; it goes no further.")
        for table, ids in self.ids.items():
            self._add(session, import_id, (table, "created"), ids, list(ranges(ids)))
        for table, rows in self.changes.items():
            self._add(session, import_id, (table, "changed"), rows, list(rows.items()))
        self._add(session, import_id, ("orders", "replaced"), self._replaced, list(self._replaced.items()))

    @staticmethod
    def _add(session: Session, import_id: int, what: tuple[str, How], rows: Collection[Any], told: list[Any]) -> None:
        if not rows:
            return
        change = ImportChange(import_id=import_id, table_name=what[0], how=what[1], count=len(rows))
        change.revision, change.rows = next_revision(session), _packed(told)
        session.add(change)


def read(change: ImportChange) -> Any:
    """Ids of created rows; {id: {field: [before, after]}}; {id: replaced order}."""
    rows = json.loads(zlib.decompress(change.rows))
    if change.how == "created":
        return [row_id for first, last in rows for row_id in range(first, last + 1)]
    return dict(rows)


def counted(session: Session, import_id: int, table: str) -> tuple[int, int]:
    """How many rows of a table an import has made and changed so far."""
    rows = select(ImportChange.how, func.sum(ImportChange.count)).where(
        ImportChange.import_id == import_id, ImportChange.table_name == table
    )
    found = {row[0]: int(row[1]) for row in session.execute(rows.group_by(ImportChange.how))}
    return found.get("created", 0), found.get("changed", 0) + found.get("replaced", 0)


def sweep(database: Database, now: datetime) -> None:
    """Forget what is older than LIFE; when there is none, nothing is written."""
    old = ImportChange.import_id.in_(select(Import.id).where(Import.started_at < now - LIFE))
    with database.read() as session:
        found = session.scalar(select(exists().where(old)))
    if found:
        with database.begin() as session:
            session.execute(delete(ImportChange).where(old), execution_options=_WHOLE)


def forget(session: Session, contact_ids: Collection[int]) -> None:
    """Take out what erased people were before. Of them as buyers and visitors only their numbers stand here."""
    changed = ImportChange.table_name == Contact.__tablename__, ImportChange.how == "changed"
    marks = [f"[{contact_id},{{".encode() for contact_id in contact_ids]
    for change_id in session.scalars(select(ImportChange.id).where(*changed)).all():  # one at a time: each is megabytes
        text = zlib.decompress(session.scalars(select(ImportChange.rows).where(ImportChange.id == change_id)).one())
        if any(mark in text for mark in marks):  # no need to read the others
            kept = [row for row in json.loads(text) if row[0] not in contact_ids]
            values = {"rows": _packed(kept), "count": len(kept)}
            row = update(ImportChange).where(ImportChange.id == change_id).values(values)
            session.execute(row, execution_options=_WHOLE)


def ranges(ids: Collection[int]) -> Iterator[list[int]]:
    """[first, last] of each run of numbers."""
    run: list[int] = []
    for row_id in sorted(ids):
        if run and row_id == run[1] + 1:
            run[1] = row_id
            continue
        if run:
            yield run
        run = [row_id, row_id]
    if run:
        yield run


def plain(value: Any) -> Any:
    """As JSON holds it."""
    return value.isoformat() if isinstance(value, date) else value


def typed(column: Column[Any], value: Any) -> Any:
    """What `plain` made it of."""
    kind = {UtcDateTime: datetime, Date: date}.get(type(column.type))
    return kind.fromisoformat(value) if kind and value is not None else value


def _packed(told: list[Any]) -> bytes:
    return zlib.compress(json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=plain).encode(), 1)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """[before, after] by field; the shop's own fields one by one, None where there is none."""
    for name, was in before.items():
        now = after[name]
        if isinstance(was, dict):
            for own in was.keys() | now.keys():
                if was.get(own) != now.get(own):
                    yield f"{name}.{own}", [was.get(own), now.get(own)]
        elif was != now:
            yield name, [plain(was), plain(now)]
