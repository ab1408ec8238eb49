"""One thing after another -> Ibis, from the last step back: of each step those rows are kept that a kept row of the
next one follows in time. Exact, and linear in the rows: time is cut into stretches as long as the wait, so that what
follows a moment within the wait lies in its own stretch or in the one after it, whose last and first rows are all there
is to know. (A join by contact alone would pair every view with every order; a sort by contact and time takes three
times as long.)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import ibis
from ibis import _

from engine.criteria.nodes import Sequence, Step
from engine.criteria.rows import Tables, between, happened
from engine.database import microseconds as exact
from engine.dialect import microseconds
from engine.values import Clock


def followed(sequence: Sequence, warehouse: Tables, clock: Clock) -> Any:
    """Ibis table (contact_id, value): one row with true for each contact for whom all steps came one after another."""
    *earlier, (last, rows) = _moments(sequence, warehouse, clock)
    following = last
    for step, moments in reversed(earlier):
        rows = _before(moments, rows, following, clock)
        following = step
    return rows.select("contact_id").distinct().mutate(value=ibis.literal(True))


def _moments(sequence: Sequence, warehouse: Tables, clock: Clock) -> Iterator[tuple[Step, Any]]:
    """Each step with contact_id and microsecond of its rows, but those that are too early or too late to count."""
    start, end = sequence.window.bounds(clock) if sequence.window else (None, None)
    for step in sequence.steps:
        end = _latest(end, step) if step is not sequence.steps[0] else end
        rows = between(happened(step.happening, warehouse, clock), start, end)
        yield step, rows.select("contact_id", at=microseconds(rows.at))


def _latest(end: datetime | None, step: Step) -> datetime | None:
    return end + step.within.length if end and step.within else None


def _before(rows: Any, later: Any, step: Step, clock: Clock) -> Any:
    """The rows that one of the `later` follows as `step` says; or that none does, once the wait is over."""
    if step.within is None:
        last = later.group_by(later_id=later.contact_id).agg(last=_.at.max())
        return rows.inner_join(last, rows.contact_id == last.later_id).filter(_.last > _.at).select("contact_id", "at")
    wait = step.within.microseconds
    rows, ends = rows.mutate(stretch=rows.at // wait), _ends(later, wait)
    same = (rows.contact_id == ends.later_id, rows.stretch == ends.later_stretch)
    both = rows.left_join(ends, same) if step.absent else rows.inner_join(ends, same)
    is_followed = (both.last > both.at).fill_null(False) | (both.next < both.at + wait).fill_null(False)
    meant = both.filter(~is_followed, both.at + wait <= exact(clock.now)) if step.absent else both.filter(is_followed)
    return meant.select("contact_id", "at")


def _ends(rows: Any, wait: int) -> Any:
    """By contact and stretch: the last row in it, and the first in the one after it."""
    stretches = rows.mutate(stretch=rows.at // wait).group_by("contact_id", "stretch")
    known = stretches.agg(first=_.at.min(), last=_.at.max())
    none = ibis.null("int64")
    own = known.select("contact_id", "stretch", last=known.last, next=none)
    ahead = known.select("contact_id", stretch=known.stretch - 1, last=none, next=known.first)
    together = ibis.union(own, ahead).group_by(later_id=_.contact_id, later_stretch=_.stretch)
    return together.agg(last=_.last.max(), next=_.next.min())
