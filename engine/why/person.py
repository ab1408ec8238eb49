"""What a leaf says of one contact at any moment, in plain Python over their rows.

Of moments past only rows up to then count; attributes and traits are taken to have been what they are now.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from engine.criteria.expression import AnyLeaf
from engine.criteria.nodes import Deed, EventLeaf, Happening, Leaf, Since, Step, Window
from engine.criteria.nodes import Sequence as Steps
from engine.criteria.plain import truth
from engine.database import EPOCH
from engine.fields import DAY_SECONDS, IN_CURRENCY, Field
from engine.values import Clock
from engine.why.facts import MOVING, Asked, Row, Told, reading, source

SECOND: Final = timedelta(seconds=1)
MOVES: Final = {"days", "period"}  # what operators take whose verdict on a time moves with the clock


@dataclass(frozen=True)
class Rows:
    """Rows by time, the times, and which of their conditions have to be asked anew at each moment."""

    rows: Sequence[Row]
    times: Sequence[datetime]
    moving: Sequence[tuple[Leaf, Callable[[Row], Any]]] = ()

    def part(self, first: int, last: int) -> Rows:
        """Those from one place on, up to but not including another."""
        return Rows(self.rows[first:last], self.times[first:last], self.moving)

    def between(self, start: datetime | None, end: datetime | None) -> Rows:
        """Those from `start` on and before `end`; None is unbounded."""
        first = bisect_left(self.times, start) if start else 0
        return self.part(first, bisect_left(self.times, end) if end else len(self.rows))

    def known(self, moment: datetime, now: datetime) -> Rows:
        """Without what has happened since `moment`."""
        if moment >= now:
            return self
        before, rest = self.part(0, bisect_right(self.times, moment)), bisect_right(self.times, now)
        if rest == len(self.rows):
            return before
        return Rows([*before.rows, *self.rows[rest:]], [*before.times, *self.times[rest:]], self.moving)

    def met(self, clock: Clock) -> Rows:
        """Those that meet the conditions at that moment."""
        if not self.moving:
            return self
        return _rows([
            row for row in self.rows if all(truth(leaf.question, value(row), clock) for leaf, value in self.moving)
        ])  # fmt: skip


def _rows(rows: Sequence[Row], moving: Sequence[tuple[Leaf, Callable[[Row], Any]]] = ()) -> Rows:
    return Rows(rows, [row["at"] for row in rows], moving)


@dataclass
class Person:
    """One contact."""

    asked: Asked
    told: Told
    stored: Mapping[Leaf, Mapping[int, Any]]
    contact_id: int

    def __post_init__(self) -> None:
        self._rows: dict[tuple[Happening, Field | None], Rows] = {}

    def verdict(self, leaf: AnyLeaf, moment: datetime) -> bool:
        """Is the leaf true of them?"""
        if isinstance(leaf, Steps):
            return self._follows(leaf, Clock(moment, self.asked.criteria.zone))
        assert isinstance(leaf, Leaf | EventLeaf)
        return truth(leaf.question, self.value(leaf, moment), Clock(moment, self.asked.criteria.zone))

    def value(self, leaf: AnyLeaf, moment: datetime) -> Any:
        """What the leaf compares; None is unknown."""
        clock = Clock(moment, self.asked.criteria.zone)
        if isinstance(leaf, EventLeaf):
            return self._measured(leaf.deed, clock)
        assert isinstance(leaf, Leaf)
        found = self.stored[leaf][self.contact_id]
        return AGEING[leaf.field.key](found, clock) if leaf.field.key in MOVING else found

    def rows(self, happening: Happening, property_: Field | None = None) -> Rows:
        """The rows that meet the conditions which do not move with the clock."""
        if (happening, property_) not in self._rows:
            self._rows[happening, property_] = self._read(happening, property_)
        return self._rows[happening, property_]

    def _read(self, happening: Happening, property_: Field | None) -> Rows:
        place, clock = source(happening, property_), self.asked.clock
        rows = self.told.rows.get((place, self.contact_id), [])
        if happening.behaviour.rows in IN_CURRENCY and property_ and property_.type == "money":
            rows = [row for row in rows if row["currency"] == self.asked.criteria.currency]
        moving = []
        for leaf in happening.where:
            column = self.told.columns[place, leaf.field.key, leaf.question.type]
            if leaf.question.operator.takes in MOVES:
                moving.append((leaf, lambda row, column=column: row[column]))
            else:
                rows = [row for row in rows if truth(leaf.question, row[column], clock)]
        return _rows(rows, moving)

    def happened(self, happening: Happening, clock: Clock, property_: Field | None = None) -> Rows:
        """The rows that count at that moment."""
        return self.rows(happening, property_).known(clock.now, self.asked.now).met(clock)

    def windowed(self, deed: Deed, clock: Clock) -> Rows:
        """Those in the window of the deed."""
        rows = self.happened(deed.happening(), clock, deed.property)
        if isinstance(deed.window, Window):
            return rows.between(*deed.window.bounds(clock))
        return rows if deed.window is None else self._since(rows, deed.window, clock)

    def _since(self, rows: Rows, since: Since, clock: Clock) -> Rows:
        others = self.happened(since.happening, clock).times
        place = bisect_right(others, clock.now)
        if not place:
            return _rows([])
        last = others[place - 1]
        first = last + timedelta(microseconds=1)
        return rows.between(first, last + since.within.length if since.within else None)

    def _measured(self, deed: Deed, clock: Clock) -> Any:
        found = self._measure(deed, self.windowed(deed, clock), clock)
        if not deed.compared:
            return found
        assert isinstance(deed.window, Window)
        rows = self.happened(deed.happening(), clock, deed.property)
        before = self._measure(deed, rows.between(*deed.window.previous(clock)), clock)
        is_known = before is not None and before > 0 and found is not None
        return (float(found) - float(before)) * 100 / float(before) if is_known else None

    def _measure(self, deed: Deed, rows: Rows, clock: Clock) -> Any:
        if not rows.rows:
            return deed.measure.empty
        return MEASURED[deed.measure.key](rows, lambda: self._values(deed, rows.rows), clock)

    def _values(self, deed: Deed, rows: Sequence[Row]) -> list[Any]:
        assert deed.property
        line = f"line_{deed.property.key}"
        place = source(deed.happening(), deed.property)
        column = line if line in rows[0] else self.told.columns[place, deed.property.key, reading(deed)]
        return [row[column] for row in rows]

    def _follows(self, leaf: Steps, clock: Clock) -> bool:
        first, *steps = leaf.steps
        bounds = leaf.window.bounds(clock) if leaf.window else (None, None)
        moments = self.happened(first.happening, clock).between(*bounds).times
        *between, last = ((step, self.happened(step.happening, clock).times) for step in steps)
        for step, later in between:
            moments = list(_next(step, moments, later, clock))
        return any(True for _ in _next(last[0], moments, last[1], clock))


def _next(step: Step, moments: Sequence[datetime], later: Sequence[datetime], clock: Clock) -> Iterator[datetime]:
    """The moments that follow one of `moments` as the step says; of a step that must not come, those it spared."""
    wait = step.within.length if step.within else None
    reached = 0  # of `later`; a row that follows two moments counts once
    for at in moments:
        first = bisect_right(later, at)
        last = bisect_left(later, at + wait) if wait else len(later)
        if not step.absent:
            yield from later[max(first, reached) : last]
            reached = max(reached, last)
        elif wait and first >= last and at + wait <= clock.now:
            yield at


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return (moment - EPOCH) // SECOND


def _since(moment: datetime, clock: Clock) -> int:
    return max(seconds(clock.now) - seconds(moment), 0)


def _age(found: Mapping[str, Any], clock: Clock) -> int | None:
    born, today = found["birth_date"], clock.today
    if born is None or born > today:
        return found["age"]  # type: ignore[no-any-return]
    return int(today.year - born.year - ((born.month, born.day) > (today.month, today.day)))


def _recency(found: Mapping[str, Any], clock: Clock) -> int | None:
    last = found["last_order_at"]
    return None if last is None else _since(last, clock) // DAY_SECONDS


def _overdue(found: Mapping[str, Any], clock: Clock) -> float | None:
    last, gap = found["last_order_at"], found["mean_gap_days"]
    return _since(last, clock) / (gap * DAY_SECONDS) if last is not None and gap else None


AGEING: Final = {"age": _age, "recency": _recency, "overdue": _overdue}


def number(rows: Sequence[Row]) -> int:
    """How many; among order lines an order counts once."""
    is_lines = bool(rows) and {"order_id", "item_id"} <= rows[0].keys()
    return len({row["order_id"] for row in rows}) if is_lines else len(rows)


Values = Callable[[], list[Any]]


def _of_known(take: Callable[[list[Any]], Any]) -> Callable[[Rows, Values, Clock], Any]:
    def measure(_rows: Rows, values: Values, _clock: Clock) -> Any:
        known = [value for value in values() if value is not None]
        return take(known)

    return measure


MEASURED: Final[Mapping[str, Callable[[Rows, Values, Clock], Any]]] = {
    "count": lambda rows, _values, _clock: number(rows.rows),
    "sum": _of_known(sum),
    "average": _of_known(lambda known: sum(known) / len(known) if known else None),
    "minimum": _of_known(lambda known: min(known, default=None)),
    "maximum": _of_known(lambda known: max(known, default=None)),
    "distinct": _of_known(lambda known: len(set(known))),
    "first_at": lambda rows, _values, _clock: rows.times[0],
    "last_at": lambda rows, _values, _clock: rows.times[-1],
    "days_since": lambda rows, _values, clock: _since(rows.times[-1], clock) // DAY_SECONDS,
    "first": lambda _rows, values, _clock: values()[0],
    "last": lambda _rows, values, _clock: values()[-1],
}
