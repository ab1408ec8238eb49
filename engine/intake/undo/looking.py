"""What goes, and what stays and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, Table, exists, or_, select

from engine.database import Base
from engine.identity.merging import MANUAL
from engine.identity.rows import among
from engine.intake.undo.former import former_values
from engine.intake.undo.work import CHANGED, TABLES, Work, held
from engine.models import Event, ListPick, Merge, MergedPlace, MergedRow, Order

FOLLOWING: Final = ("list_join", "list_leave")  # events of ours that only say what follows from the rest


def stays(work: Work, table: Table, ids: Sequence[int]) -> tuple[list[int], dict[int, str]]:
    """Which of the created rows are there, and why some have to stay."""
    rows = select(table.c.id).where(table.c.id.in_(among(work.session, ids)))
    if "revision" not in table.c or table.name in ("events", "consents"):  # nobody edits those
        return list(work.session.scalars(rows)), {}
    found = {row.id: row.revision for row in work.session.execute(held(work, rows.add_columns(table.c.revision)))}
    why = {row_id: CHANGED for row_id, revision in found.items() if revision not in work.revisions}
    for column in _references(table):
        for row_id in work.session.scalars(_referring(work, column, list(found))):
            why.setdefault(row_id, column.table.name)
    return list(found), why


def _references(table: Table) -> Iterator[Column[Any]]:
    """Columns of other tables that point to this one; what belongs to an order goes with it."""
    for other in Base.metadata.sorted_tables:
        for key in other.foreign_keys:
            own = table.name == "orders" and key.ondelete == "CASCADE"
            if key.column.table is table and not own and other.name not in (MergedPlace.__tablename__, "own_facts"):
                yield key.parent


def _referring(work: Work, column: Column[Any], ids: Sequence[int]) -> Any:
    """Those of `ids` that a row points to which is not gone, and is more than a trace of the rest."""
    other = column.table
    rows = select(column).where(column.in_(among(work.session, ids))).distinct()
    through = other.c.order_id if other.name == "order_lines" else other.c.get("id")
    gone = work.gone.get("orders" if other.name == "order_lines" else other.name)
    if gone and through is not None:
        rows = rows.where(through.not_in(among(work.session, gone)))
    if other.name == Event.__tablename__:
        rows = rows.where(or_(other.c.type.not_in(FOLLOWING), other.c.contact_id.is_(None)))
    if other.name == ListPick.__tablename__:  # the import's own
        rows = rows.where(other.c.at != work.began)
    if other.name == Merge.__tablename__:  # those of a record go with what the record said
        rows = rows.where(other.c.undone_at.is_(None), other.c.how == MANUAL)
    if other.name == MergedRow.__tablename__:
        for name, theirs in work.gone.items():
            rows = rows.where(or_(other.c.table_name != name, other.c.row_id.not_in(among(work.session, theirs))))
    elif "id" in other.c:
        marks = MergedRow.table_name == other.name, MergedRow.row_id == other.c.id, MergedRow.contact_id != column
        rows = rows.where(~exists().where(*marks))
    return rows


def unchanged(work: Work, orders: Mapping[int, Any]) -> list[int]:
    """Those that still are what the import made of them."""
    rows = select(Order.id, Order.digest).where(Order.id.in_(among(work.session, orders)))
    return [row.id for row in work.session.execute(held(work, rows)) if row.digest == orders[row.id]["digest"]]


def count(work: Work, name: str, there: Sequence[int], why: Mapping[int, str]) -> None:
    """Add to the tally what goes and what stays."""
    if name in ("identities", "consents"):
        return  # of no number that a person would know
    work.tally[name, "removed", ""] += len(there) - len(why)
    for reason, count in Counter(why.values()).items():
        work.tally[name, "kept", reason] += count


def _look_created(work: Work, name: str, ids: Sequence[int], gone: defaultdict[str, set[int]]) -> None:
    there, why = stays(work, TABLES[name], ids)
    gone[name].update(set(there) - why.keys())
    count(work, name, there, why)


def look_replaced(work: Work, name: str, orders: Mapping[int, Any], gone: defaultdict[str, set[int]]) -> None:
    """Orders that come back as they were; their lines of now count as gone."""
    back = unchanged(work, orders)
    gone[name].update(back)
    work.tally[name, "restored", ""] += len(back)
    work.tally[name, "kept", CHANGED] += len(orders) - len(back)


def _look_changed(work: Work, name: str, rows: Mapping[int, Any], gone: defaultdict[str, set[int]]) -> None:
    left = {row_id: change for row_id, change in rows.items() if row_id not in gone[name]}
    former_values(work, name, left)


LOOK: Final[dict[str, Callable[..., None]]] = {
    "created": _look_created,
    "replaced": look_replaced,
    "changed": _look_changed,
}
