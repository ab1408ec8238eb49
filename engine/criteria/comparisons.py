"""What operators ask of a column: Ibis booleans, NULL where the value is unknown."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import reduce
from typing import Any, Final

import ibis

from engine import dialect
from engine.values import Clock

LONGEST_YEAR: Final = 366  # days
LEVELS: Final = " > "  # between the levels of a category path

Test = Callable[[Any, Sequence[Any], Clock], Any]  # (column, checked values, clock) -> Ibis boolean, maybe NULL


def same(column: Any, values: Sequence[Any], _clock: Clock) -> Any:
    """Equal to the value."""
    return column.lower() == ibis.literal(values[0]).lower() if _is_text(column) else column == values[0]


def one_of(column: Any, values: Sequence[Any], _clock: Clock) -> Any:
    """Equal to any value."""
    if _is_text(column):
        return column.lower().isin([ibis.literal(value).lower() for value in values])
    return column.isin(list(values))


def within(column: Any, values: Sequence[Any], _clock: Clock) -> Any:
    """The category, or one below it."""
    path = ibis.literal(values[0]).lower()
    return (column.lower() == path) | column.lower().startswith(ibis.literal(values[0] + LEVELS).lower())


def _is_text(column: Any) -> bool:
    return bool(column.type().is_string())


def text(method: str) -> Test:
    """Text is compared without regard to case; the words are data, never a pattern."""
    return lambda column, values, _clock: getattr(column.lower(), method)(ibis.literal(values[0]).lower())


def first(column: Any, value: date | datetime, clock: Clock) -> Any:
    """The day `value`, or its first instant."""
    return ibis.literal(value if column.type().is_date() else clock.start(value))


def past(column: Any, value: date | datetime, clock: Clock) -> Any:
    """The first day, or instant, after `value`."""
    return ibis.literal(value + timedelta(days=1) if column.type().is_date() else clock.end(value))


def between(column: Any, values: Sequence[Any], clock: Clock) -> Any:
    """From the first value to the second, both included."""
    if column.type().is_numeric():
        return (column >= values[0]) & (column <= values[1])
    return (column >= first(column, values[0], clock)) & (column < past(column, values[1], clock))


def away(column: Any, days: int, clock: Clock) -> Any:
    """The bound `days` from now: dates count whole days, so that today belongs to the last and not to the next N."""
    if column.type().is_date():
        return ibis.literal(clock.today + timedelta(days=days + 1))
    return ibis.literal(clock.shift(clock.now, days))


def in_last(column: Any, values: Sequence[Any], clock: Clock) -> Any:
    """In the last so many days."""
    return (column >= away(column, -values[0], clock)) & (column < away(column, 0, clock))


def in_next(column: Any, values: Sequence[Any], clock: Clock) -> Any:
    """In the next so many days."""
    return (column >= away(column, 0, clock)) & (column < away(column, values[0], clock))


def local(column: Any, clock: Clock) -> Any:
    """The day, or time, that the shop's calendar and clock show."""
    return column if column.type().is_date() else dialect.local(column, clock.zone)


def in_period(column: Any, values: Sequence[Any], clock: Clock) -> Any:
    """In a day, week, month, quarter or year."""
    return between(column, clock.period(values[0]), clock)


def _anniversary(column: Any, first: date, days: int, clock: Clock) -> Any:
    """Does the day of the year come round in `days` days from `first` on? 29 February does on 1 March in years
    without one.
    """
    if days > LONGEST_YEAR:
        return column.notnull()
    last = first + timedelta(days=days - 1)
    shown = local(column, clock)
    day = shown.month() * 100 + shown.day()
    start, end = (bound.month * 100 + bound.day for bound in (first, last))
    is_inside = (day >= start) & (day <= end) if first.year == last.year else (day >= start) | (day <= end)
    marches = [date(year, 3, 1) for year in {first.year, last.year} if not isleap(year)]
    return is_inside | (day == 229) if any(first <= march <= last for march in marches) else is_inside


def anniversary_in_next(column: Any, values: Sequence[Any], clock: Clock) -> Any:
    """From tomorrow on."""
    return _anniversary(column, clock.today + timedelta(days=1), values[0], clock)


def anniversary_in_last(column: Any, values: Sequence[Any], clock: Clock) -> Any:
    """Up to today."""
    return _anniversary(column, clock.today - timedelta(days=values[0] - 1), values[0], clock)


def top(column: Any, values: Sequence[Any], _clock: Clock) -> Any:
    """Among the highest percent."""
    return -column <= dialect.lowest(-column, values[0])


def bottom(column: Any, values: Sequence[Any], _clock: Clock) -> Any:
    """Among the lowest percent."""
    return column <= dialect.lowest(column, values[0])


def has(join: Callable[[Any, Any], Any]) -> Test:
    """The values asked for are among those of the column: `join` says whether one, or all."""

    def test(column: Any, values: Sequence[Any], _clock: Clock) -> Any:
        held = column.map(lambda one: one.lower())
        return reduce(join, (held.contains(ibis.literal(value).lower()) for value in values))

    return test
