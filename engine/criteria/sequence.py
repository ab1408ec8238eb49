"""One thing after another -> Ibis. Each step is one sort of its rows together with those of the step before, and a
look along it: exact, and linear in the rows. (A join of the two by contact would pair every view with every order.)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import ibis
from ibis import _

from engine.criteria.nodes import Sequence, Step
from engine.criteria.rows import DAY, Tables, between, happened
from engine.database import microseconds as exact
from engine.dialect import microseconds
from engine.values import Clock


def followed(sequence: Sequence, warehouse: Tables, clock: Clock) -> Any:
    """Ibis table (contact_id, value): one row with true for each contact for whom all steps came one after another."""
    start, end = sequence.window.bounds(clock) if sequence.window else (None, None)
    rows = _moments(sequence.steps[0], start, end, warehouse, clock)
    for step in sequence.steps[1:]:
        end = end + timedelta(days=step.days) if end and step.days else None  # nothing that is too late is sorted
        later = _moments(step, start, end, warehouse, clock)
        rows = _unfollowed(rows, later, step, clock) if step.absent else _following(rows, later, step)
    return rows.select("contact_id").distinct().mutate(value=ibis.literal(True))


def _moments(step: Step, start: datetime | None, end: datetime | None, warehouse: Tables, clock: Clock) -> Any:
    rows = between(happened(step.happening, warehouse, clock), start, end)
    return rows.select("contact_id", at=microseconds(rows.at))


def _following(rows: Any, later: Any, step: Step) -> Any:
    """The rows of a step whose last row before them is near enough."""
    both = _together(rows, later)
    known = both.mutate(before=ibis.ifelse(_.is_later, None, _.at))
    looked = known.mutate(last=known.before.max().over(_along(preceding=None, following=0)))
    near = looked.filter(looked.is_later, looked.last.notnull())
    near = near if step.days is None else near.filter(near.at < near.last + step.days * DAY)
    return near.select("contact_id", "at")


def _unfollowed(rows: Any, later: Any, step: Step, clock: Clock) -> Any:
    """The rows whose wait is over and that no later row ended."""
    assert step.days is not None
    both = _together(rows, later)
    known = both.mutate(after=ibis.ifelse(_.is_later, _.at, None))
    looked = known.mutate(next=known.after.min().over(_along(preceding=0, following=None)))
    waited = looked.at + step.days * DAY
    alone = looked.next.isnull() | (looked.next >= waited)
    return looked.filter(~looked.is_later, alone, waited <= exact(clock.now)).select("contact_id", "at")


def _together(rows: Any, later: Any) -> Any:
    return ibis.union(rows.mutate(is_later=ibis.literal(False)), later.mutate(is_later=ibis.literal(True)))


def _along(**frame: Any) -> Any:
    """In time; of rows of the same instant the later step's come first, so that neither follows the other."""
    return ibis.rows_window(group_by="contact_id", order_by=[_.at, ibis.desc(_.is_later)], **frame)
