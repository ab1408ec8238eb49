"""Places on lists: while contacts are merged, the kept one stands on every list that one of them stands on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.orm import Session

from engine.identity.rows import among
from engine.models import Contact, ListMember, ListPick, MergedPlace

PLACES: Final[tuple[Table, ...]] = (ListMember.__table__, ListPick.__table__)  # type: ignore[assignment]
_WHOLE = {"synchronize_session": False}
Row = dict[str, Any]


def unfold(session: Session, kept_id: int, merged: Collection[int]) -> None:
    """Give everybody their own places back. Who was taken off a list since the merge is off it for all of them; a
    list that came since is the kept one's.
    """
    for table in PLACES:
        saved = _saved(session, table, {kept_id, *merged})
        now = {row["list_id"]: row for row in _rows(session, table, {kept_id})}
        own = [row for row in saved if row["list_id"] in now]
        own += [row for list_id, row in now.items() if list_id not in {row["list_id"] for row in saved}]
        _clear(session, table, {kept_id, *merged})
        _write(session, table, own)


def fold(session: Session, kept_id: int, merged: Collection[int]) -> None:
    """Let the kept one stand for all; the merged ones vanish from lists."""
    for table in PLACES:
        rows = _rows(session, table, {kept_id, *merged})
        shared = {row["list_id"] for row in rows if row["contact_id"] != kept_id}
        rows = [row for row in rows if row["list_id"] in shared]
        if not rows:
            continue
        places = [
            {"table_name": table.name, "list_id": row["list_id"], "contact_id": row["contact_id"], "row": _plain(row)}
            for row in rows
        ]
        session.execute(insert(MergedPlace), places)
        theirs = table.c.contact_id.in_(among(session, {kept_id, *merged})), table.c.list_id.in_(shared)
        session.execute(delete(table).where(*theirs), execution_options=_WHOLE)
        _write(session, table, [_one([row for row in rows if row["list_id"] == on], kept_id) for on in sorted(shared)])


def held(session: Session, ids: Collection[int]) -> set[int]:
    """Who of these contacts stands on a list."""
    whose = among(session, ids)
    found = (session.scalars(select(table.c.contact_id).where(table.c.contact_id.in_(whose))) for table in PLACES)
    return {contact_id for some in found for contact_id in some}


def kept_apart(session: Session, ids: Collection[int]) -> set[int]:
    """Who of these contacts stands for others, places of whom are kept apart."""
    theirs = MergedPlace.contact_id.in_(among(session, ids))
    apart = select(Contact.id, Contact.merged_into).join(MergedPlace, MergedPlace.contact_id == Contact.id)
    return {one for row in session.execute(apart.where(theirs)) for one in row if one is not None}


def _one(rows: list[Row], kept_id: int) -> Row:
    """The place of several: off the list when one of them was taken off it, else the kept one's, else the first's."""
    ranked = sorted(rows, key=lambda row: (row.get("added", True), row["contact_id"] != kept_id, row["contact_id"]))
    return ranked[0] | {"contact_id": kept_id}


def _rows(session: Session, table: Table, ids: Collection[int]) -> list[Row]:
    found = session.execute(select(table).where(table.c.contact_id.in_(among(session, ids)))).mappings()
    return [dict(row) for row in found]


def _saved(session: Session, table: Table, ids: Collection[int]) -> list[Row]:
    theirs = MergedPlace.table_name == table.name, MergedPlace.contact_id.in_(among(session, ids))
    return [_read(row) for row in session.scalars(select(MergedPlace.row).where(*theirs))]


def _clear(session: Session, table: Table, ids: Collection[int]) -> None:
    whose = among(session, ids)
    session.execute(delete(table).where(table.c.contact_id.in_(whose)), execution_options=_WHOLE)
    theirs = MergedPlace.table_name == table.name, MergedPlace.contact_id.in_(whose)
    session.execute(delete(MergedPlace).where(*theirs), execution_options=_WHOLE)


def _write(session: Session, table: Table, rows: list[Row]) -> None:
    if rows:
        session.execute(insert(table), rows)


def _plain(row: Mapping[str, Any]) -> Row:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _read(row: Mapping[str, Any]) -> Row:
    return {name: datetime.fromisoformat(value) if name == "at" else value for name, value in row.items()}
