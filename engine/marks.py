"""What was written since somebody last looked: a mark of this moment, and the rows that it did not see.

On PostgreSQL a lower transaction number can commit after a higher one was read, so a bare "largest number seen" would
lose rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, and_, cast, func, literal, not_, text, true
from sqlalchemy.orm import Session
from sqlalchemy.types import UserDefinedType


def snapshot_mark(session: Session) -> str:
    """What this moment sees, for `written_since` later: SQLite's change counter; PostgreSQL's snapshot and the server
    it is of.
    """
    statement = (
        "SELECT concat(pg_current_snapshot(), ':', system_identifier) FROM pg_control_system()"
        if session.get_bind().dialect.name == "postgresql"
        else "SELECT CAST(value AS TEXT) FROM revision"
    )
    return session.scalar(text(statement)) or "0"


def known_mark(session: Session, mark: str) -> str:
    """The mark, or "" when this database cannot have made it: a backup brings marks along, but on another server
    transactions are numbered anew, and all that is written there would long count as seen.
    """
    if not mark:
        return ""
    if session.get_bind().dialect.name == "postgresql":
        end, server = mark.split(":")[1], mark.rpartition(":")[2]
        made = text(
            "SELECT system_identifier::text = :server AND :end <= pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            " FROM pg_control_system()"
        ).bindparams(server=server, end=int(end))
    else:
        made = text("SELECT :end <= value FROM revision").bindparams(end=int(mark))
    return mark if session.scalar(made) else ""


def written_since(session: Session, mark: str, revision: ColumnElement[int]) -> ColumnElement[bool]:
    """Condition for rows that the snapshot `mark` did not see; "" sees nothing. A row of a transaction that was open
    then is among them, however low its number; one that a backup brought along with a number that this server has not
    reached is not, or it would be new at every look.
    """
    if not mark:
        return true()
    if session.get_bind().dialect.name != "postgresql":
        return revision > int(mark)
    snapshot = literal(mark.rpartition(":")[0], String)
    seen = func.pg_visible_in_snapshot(cast(cast(revision, String), _Xid), cast(snapshot, _Snapshot))
    reached = func.greatest(  # our own number may be beyond the snapshot's end
        _number(func.pg_snapshot_xmax(func.pg_current_snapshot())), _number(func.pg_current_xact_id_if_assigned())
    )
    return and_(revision >= int(mark.partition(":")[0]), revision <= reached, not_(seen))


def _number(xid: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(cast(xid, String), BigInteger)


class _Xid(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class _Snapshot(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "pg_snapshot"
