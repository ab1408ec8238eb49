"""When verdicts change: a leaf is asked at the moments where something may change, and the change found to the
microsecond. Nothing new happens in between: time alone goes by.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from engine.criteria.expression import AnyLeaf
from engine.criteria.nodes import EventLeaf, Leaf, Question, Window
from engine.criteria.nodes import Sequence as Steps
from engine.values import Clock
from engine.why.facts import MOVING, happenings
from engine.why.person import MOVES, Person

AHEAD: Final = timedelta(days=731)
FURTHEST: Final = 1_500  # moments looked at after now
BACK: Final = 300  # and before
INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Course:
    """The verdicts of one node: those that hold from each moment on, the first from `start` (as far as was looked)."""

    moments: Sequence[datetime]
    verdicts: Sequence[bool]
    end: datetime
    complete: bool = True  # is `start` before all that the rows tell?

    def at(self, moment: datetime) -> bool:
        """The verdict at a moment."""
        return self.verdicts[max(bisect_right(self.moments, moment) - 1, 0)]

    @property
    def start(self) -> datetime:
        """The first moment looked at."""
        return self.moments[0]

    def since(self, now: datetime) -> datetime | None:
        """Since when the verdict of `now` holds; None when it never was another as far as was looked."""
        return max((moment for moment in self.changes if moment <= now), default=None)

    def until(self, now: datetime) -> datetime | None:
        """When it becomes another; None when it does not before `end`."""
        return min((moment for moment in self.changes if moment > now), default=None)

    @property
    def changes(self) -> Sequence[datetime]:
        """The moments at which the verdict becomes another."""
        return self.moments[1:]


def steady(verdict: bool, now: datetime) -> Course:
    """Of a leaf whose verdict is taken to stay what it is."""
    return Course([now], [verdict], now + AHEAD)


def together(courses: Sequence[Course], combine: Callable[[list[bool]], bool], now: datetime) -> Course:
    """Of a group, from those of its nodes."""
    if not courses:
        return steady(combine([]), now)
    cut = [one.start for one in courses if not one.complete]
    start = max(cut) if cut else min(one.start for one in courses)
    end = min(one.end for one in courses)
    changes = sorted({moment for one in courses for moment in one.changes if start < moment <= end})
    moments, verdicts = [start], [combine([one.at(start) for one in courses])]
    for moment in changes:
        if (found := combine([one.at(moment) for one in courses])) is not verdicts[-1]:
            moments.append(moment)
            verdicts.append(found)
    return Course(moments, verdicts, end, not cut)


@dataclass(frozen=True)
class Nights:
    """The midnights of the shop around now: where days of the calendar change."""

    clock: Clock

    @cached_property
    def all(self) -> list[datetime]:
        """Three hundred before, two years after."""
        days = range(-BACK, AHEAD.days + 1)
        return [self.clock.start(self.clock.today + timedelta(days=day)) for day in days]


def course(person: Person, leaf: AnyLeaf, nights: Nights) -> Course:
    """The verdicts of a leaf before and after now."""
    now, end = person.asked.now, person.asked.now + AHEAD
    moments = sorted(set(_moments(person, leaf, nights)))
    place = bisect_right(moments, now)
    past, future = moments[max(place - BACK, 0) : place], moments[place:][:FURTHEST]
    is_whole = place <= BACK
    if place + FURTHEST < len(moments):
        end = min(end, future[-1])
    past = [past[0] - INSTANT, *past] if past else [now]
    asked = [*past, *([now] if past[-1] != now else []), *(moment for moment in future if moment < end), end]
    return _course(lambda moment: person.verdict(leaf, moment), asked, end, is_whole)


def _course(verdict: Callable[[datetime], bool], asked: Sequence[datetime], end: datetime, is_whole: bool) -> Course:
    moments, verdicts, last = [asked[0]], [verdict(asked[0])], asked[0]
    for moment in asked[1:]:
        if (found := verdict(moment)) is not verdicts[-1]:
            moments.append(_turn(verdict, last, moment))
            verdicts.append(found)
        last = moment
    return Course(moments, verdicts, end, is_whole)


def _turn(verdict: Callable[[datetime], bool], low: datetime, high: datetime) -> datetime:
    """The first moment after `low` with the verdict of `high`; mostly that is `high` itself."""
    new = verdict(high)
    if high - INSTANT == low or verdict(high - INSTANT) is not new:
        return high
    while high - low > INSTANT:
        middle = low + (high - low) // 2
        low, high = (low, middle) if verdict(middle) is new else (middle, high)
    return high


def _moments(person: Person, leaf: AnyLeaf, nights: Nights) -> Iterator[datetime]:
    """Where the verdict of a leaf may change, and the instant after."""
    yield from nights.all if _is_nightly(leaf) else ()
    clock = person.asked.clock
    offsets, waits = _offsets(leaf)
    for at in _times(person, leaf):
        try:
            shifted = (at, *(clock.shift(at, days) for days in offsets), *(at + wait for wait in waits))
        except OverflowError:  # a moment in the year 9999, or 1
            continue
        for moment in shifted:
            yield moment
            yield moment + INSTANT


def _times(person: Person, leaf: AnyLeaf) -> Iterable[datetime]:
    """The times of the rows, or that are compared."""
    if isinstance(leaf, Leaf):
        value = None if leaf.field.key in MOVING else person.stored[leaf][person.contact_id]
        return [value] if isinstance(value, datetime) else []
    rows = [person.rows(happening, property_) for happening, property_, _ in happenings(leaf)]
    return {at for one in rows for at in one.times}


def _questions(leaf: AnyLeaf) -> Iterator[Question]:
    if isinstance(leaf, Leaf | EventLeaf):
        yield leaf.question
    for happening, _, _ in happenings(leaf):
        yield from (one.question for one in happening.where)


def _is_nightly(leaf: AnyLeaf) -> bool:
    """Does its verdict hang on days that have gone by, or on the day it is?"""
    if isinstance(leaf, Leaf) and leaf.field.key in MOVING:
        return True
    is_counted = isinstance(leaf, EventLeaf) and leaf.deed.measure.key == "days_since"
    return is_counted or any(question.operator.takes in MOVES for question in _questions(leaf))


def _offsets(leaf: AnyLeaf) -> tuple[set[int], set[timedelta]]:
    """Days of the calendar, and time that goes by, after a row at which it may count otherwise."""
    asked = {question.values[0] for question in _questions(leaf) if question.operator.takes == "days"}
    days = asked | {-number for number in asked}
    window: Any = leaf.deed.window if isinstance(leaf, EventLeaf) else getattr(leaf, "window", None)
    waits = {step.within.length for step in leaf.steps if step.within} if isinstance(leaf, Steps) else set()
    if isinstance(window, Window) and window.last and not window.end:
        if window.last.on_calendar:
            days |= {window.last.number, 2 * window.last.number}
        else:
            waits |= {window.last.length, 2 * window.last.length}
    return days, waits
