"""How long a window, a wait or a step may be: so many days, hours or minutes. One row a scale gives its JSON key, its
length and its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from engine.errors import Invalid
from engine.values import DAYS_LIMIT, Clock, Words

LONGEST: Final = timedelta(days=DAYS_LIMIT)
INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Scale:
    """One row of the table."""

    key: str
    length: timedelta
    one: Words
    many: Words
    on_calendar: bool = False  # does a window of them begin at the same time of the shop's clock?

    def parse(self, given: Any) -> Duration:
        """So many of them. Raises Invalid."""
        most = LONGEST // self.length
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 1 <= given <= most or given % 1:
            raise Invalid(f"This must be a whole number of {self.key}, 1 to {most:,}.")
        return Duration(int(given), self.key)


@dataclass(frozen=True)
class Duration:
    """So many of a scale."""

    number: int
    scale: str

    @property
    def length(self) -> timedelta:
        """In time that goes by: a day has 24 hours, whatever the shop's clock does meanwhile."""
        return self.number * SCALES[self.scale].length

    @property
    def microseconds(self) -> int:
        """The same, for exact sums in SQL."""
        return self.length // INSTANT

    @property
    def on_calendar(self) -> bool:
        """Is it days of the shop's calendar, where it leads back from a moment?"""
        return SCALES[self.scale].on_calendar

    def back(self, moment: datetime, clock: Clock) -> datetime:
        """So long before a moment: days by the shop's calendar, at the same time of its clock."""
        return clock.shift(moment, -self.number) if self.on_calendar else moment - self.length

    def to_json(self, prefix: str = "") -> dict[str, int]:
        """As it was written: {"hours": 2}, or {"last_hours": 2}."""
        return {prefix + self.scale: self.number}

    def words(self, language: str) -> str:
        """ "2 hours", "2小时"."""
        scale = SCALES[self.scale]
        return (scale.one if self.number == 1 else scale.many)(language).format(f"{self.number:,}")


SCALES: Final[Mapping[str, Scale]] = {
    row.key: row
    for row in (
        Scale("days", timedelta(days=1), Words("{0} day", "{0}天"), Words("{0} days", "{0}天"), on_calendar=True),
        Scale("hours", timedelta(hours=1), Words("{0} hour", "{0}小时"), Words("{0} hours", "{0}小时")),
        Scale("minutes", timedelta(minutes=1), Words("{0} minute", "{0}分钟"), Words("{0} minutes", "{0}分钟")),
    )
}
LAST: Final = "last_"  # before the key of a scale: of a window that leads back from its end
