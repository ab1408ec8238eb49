"""Calls that wait for SQLite's one writer are written together: what each is told, and what is there then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from engine import intake
from engine.config import Config
from engine.database import Database
from engine.intake import Call
from engine.models import Contact, Event, Identity

AT = "2026-02-01T10:00:00Z"


def event(key: str, **given: Any) -> dict[str, Any]:
    return {"key": key, "type": "item_view", "at": AT, **given}


def read(kind: str, records: list[dict[str, Any]], now: datetime, config: Config) -> Call:
    return intake.read(kind, records, now=now, config=config)


def test_events_of_several_calls(database: Database, config: Config, now: datetime) -> None:
    """Each call is told of its own; of a key in two calls the first counts, and one that was there stays as it is."""
    calls = [
        [event("e3", visitor="v1", item="i1"), event("e1", contact="C1"), event("e1", contact="C9")],
        [event("e1", contact="C2"), event("e4", visitor="v1", value=3), {"key": "bad"}],
        [event("e0", contact="C3"), event("e3", visitor="v9")],
        [{"key": "worse"}],
    ]
    with database.begin() as session:
        intake.accept(session, "events", [event("e0", visitor="v0")], now=now, config=config)
        ready = [read("events", records, now, config) for records in calls]
        done = intake.write(session, [ready[0], read("contacts", [{"key": "C8"}], now, config), *ready[1:]])
    assert [(one.created, one.unchanged, len(one.rejected)) for one in done] == [
        (2, 1, 0),
        (1, 0, 0),
        (1, 1, 1),
        (0, 2, 0),
        (0, 0, 1),
    ]
    with database.read() as session:
        rows = session.execute(select(Event.key, Event.visitor, Contact.key).outerjoin(Contact).order_by(Event.key))
        there = [tuple(row) for row in rows]
        people = session.scalars(select(Contact.key).order_by(Contact.key)).all()
        value = session.scalar(select(Event.value).where(Event.key == "e4"))
    assert there == [("e0", "v0", None), ("e1", None, "C1"), ("e3", "v1", None), ("e4", "v1", None)]
    assert (people, value) == (["C1", "C8"], 30_000)


def test_a_visitor_makes_herself_known_in_another_call(database: Database, config: Config, now: datetime) -> None:
    """What one call tells counts for the events of the others."""
    known = {"key": "e2", "type": "identify", "at": AT, "visitor": "v1", "contact": "C1"}
    with database.begin() as session:
        calls = [read("events", [one], now, config) for one in (event("e1", visitor="v1"), known)]
        intake.write(session, [*calls, read("events", [event("e3", visitor="v1")], now, config)])
    with database.read() as session:
        assert session.scalars(select(Identity.value)).all() == ["v1"]
        rows = select(Contact.key).select_from(Event).outerjoin(Contact).order_by(Event.key)
        assert session.scalars(rows).all() == ["C1", "C1", "C1"]
