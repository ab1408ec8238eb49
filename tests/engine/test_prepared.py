"""Statements handed to the driver: what is committed, with parameters kept apart from the text, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import bindparam, select

from engine.database import Database, microseconds
from engine.models import Contact
from engine.prepared import Prepared

NOW = datetime(2026, 3, 2, 9, 0, 0, 5, tzinfo=UTC)
ABOUT = Contact.__table__.c
BY_KEY = Prepared(select(ABOUT.id, ABOUT.created_at).where(ABOUT.key == bindparam("key")))
BEFORE = Prepared(select(ABOUT.key).where(ABOUT.created_at < bindparam("now")).order_by(ABOUT.key).limit(1))


def add(database: Database, *keys: str) -> None:
    with database.begin() as session:
        session.add_all(Contact(key=key, attributes={}, created_at=NOW, updated_at=NOW) for key in keys)


def test_sees_what_is_committed(database: Database) -> None:
    """Nothing of an open transaction, all of it once it ends, though the statement was asked before."""
    assert BY_KEY.rows(database, key="C1") == []
    with database.begin() as session:
        session.add(Contact(key="C1", attributes={}, created_at=NOW, updated_at=NOW))
        session.flush()
        assert BY_KEY.rows(database, key="C1") == []
    [(number, at)] = BY_KEY.rows(database, key="C1")
    assert number > 0
    assert (at if isinstance(at, int) else microseconds(at)) == microseconds(NOW)


def test_parameters_are_no_text(database: Database) -> None:
    """Quotes, percent signs and question marks are letters of a value."""
    strange = ["' OR 1=1 --", "100 %s", "%(key)s", "?", ":key"]
    add(database, *strange)
    for key in strange:
        assert len(BY_KEY.rows(database, key=key)) == 1


def test_moments_and_limits(database: Database) -> None:
    """A moment is compared to the microsecond; what the statement itself holds stays in it."""
    add(database, "C1", "C2")
    assert BEFORE.rows(database, now=NOW) == []
    assert BEFORE.rows(database, now=NOW.replace(microsecond=6)) == [("C1",)]
