"""What the operators say of one value, in plain Python: for a few people at many moments, where a query for each moment
would take a thousand times as long. `engine.criteria.operators` says the same of columns; a test compares them.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import eq, ge, gt, le, lt
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from engine.criteria.comparisons import LEVELS, LONGEST_YEAR
from engine.criteria.nodes import Question
from engine.values import Clock

Test = Callable[[Any, Sequence[Any], Clock], bool]  # (known value, checked values, clock)


def truth(question: Question, value: Any, clock: Clock) -> bool:
    """The verdict on a value; unknown (None) is false before it is negated."""
    key = question.operator.opposite if question.operator.negated else question.operator.key
    return (value is not None and TESTS[key](value, question.values, clock)) is not question.operator.negated


def lower(value: Any) -> Any:
    """Text in lower case letter by letter, as DuckDB does it; anything else as it is."""
    if not isinstance(value, str) or value.isascii():
        return value.lower() if isinstance(value, str) else value
    return pc.utf8_lower(pa.scalar(value)).as_py()


def _compared(compare: Callable[[Any, Any], bool]) -> Test:
    return lambda value, values, _clock: bool(compare(lower(value), lower(values[0])))


def _within(value: str, values: Sequence[Any], _clock: Clock) -> bool:
    own = lower(value)
    return bool(own == lower(values[0]) or own.startswith(lower(values[0] + LEVELS)))


def _matches(value: str, values: Sequence[Any], _clock: Clock) -> bool:
    """By the same library as DuckDB, RE2."""
    return bool(pc.match_substring_regex(pa.scalar(value), values[0], ignore_case=True).as_py())


def _is_day(value: Any) -> bool:
    return not isinstance(value, datetime)


def _between(value: Any, values: Sequence[Any], clock: Clock) -> bool:
    if isinstance(value, date) and not _is_day(value):
        return clock.start(values[0]) <= value < clock.end(values[1])
    return bool(values[0] <= value <= values[1])


def _before(value: Any, values: Sequence[Any], clock: Clock) -> bool:
    return bool(value < (values[0] if _is_day(value) else clock.start(values[0])))


def _after(value: Any, values: Sequence[Any], clock: Clock) -> bool:
    return bool(value > values[0] if _is_day(value) else value >= clock.end(values[0]))


def _away(value: Any, days: int, clock: Clock) -> Any:
    return clock.today + timedelta(days=days + 1) if _is_day(value) else clock.shift(clock.now, days)


def _in_last(value: Any, values: Sequence[Any], clock: Clock) -> bool:
    return bool(_away(value, -values[0], clock) <= value < _away(value, 0, clock))


def _in_next(value: Any, values: Sequence[Any], clock: Clock) -> bool:
    return bool(_away(value, 0, clock) <= value < _away(value, values[0], clock))


def _local(value: Any, clock: Clock) -> date:
    day: date = value if _is_day(value) else value.astimezone(clock.zone).date()
    return day


def _anniversary(value: Any, first: date, days: int, clock: Clock) -> bool:
    """Does its day of the year come round in the `days` days from `first` on?"""
    if days > LONGEST_YEAR:
        return True
    last, day = first + timedelta(days=days - 1), _local(value, clock)
    return any(first <= _comes_round(day, year) <= last for year in {first.year, last.year})


def _comes_round(day: date, year: int) -> date:
    is_moved = (day.month, day.day) == (2, 29) and not isleap(year)
    return date(year, 3, 1) if is_moved else day.replace(year=year)


def _has(join: Callable[[Any], bool]) -> Test:
    def test(value: Any, values: Sequence[Any], _clock: Clock) -> bool:
        held = {lower(one) for one in value}
        return join(lower(one) in held for one in values)

    return test


TESTS: Final[Mapping[str, Test]] = {
    "is": _compared(eq),
    "in": lambda value, values, _clock: lower(value) in {lower(one) for one in values},
    "contains": _compared(lambda value, given: given in value),
    "starts_with": _compared(str.startswith),
    "ends_with": _compared(str.endswith),
    "within": _within,
    "at_least": _compared(ge),
    "at_most": _compared(le),
    "more_than": _compared(gt),
    "less_than": _compared(lt),
    "between": _between,
    "on": lambda value, values, clock: _between(value, (values[0], values[0]), clock),
    "before": _before,
    "after": _after,
    "in_last": _in_last,
    "in_next": _in_next,
    "days_ago": lambda value, values, clock: bool(value < _away(value, -values[0], clock)),
    "matches": _matches,
    "in_period": lambda value, values, clock: _between(value, clock.period(values[0]), clock),
    "in_month": lambda value, values, clock: bool(_local(value, clock).month == values[0]),
    "on_weekday": lambda value, values, clock: _local(value, clock).isoweekday() == values[0],
    "anniversary_in_next": lambda value, values, clock: _anniversary(
        value, clock.today + timedelta(days=1), values[0], clock
    ),
    "anniversary_in_last": lambda value, values, clock: _anniversary(
        value, clock.today - timedelta(days=values[0] - 1), values[0], clock
    ),
    "has_any": _has(any),
    "has_all": _has(all),
    "has_at_least": lambda value, values, _clock: len(value) >= values[0],
    "known": lambda _value, _values, _clock: True,
}
