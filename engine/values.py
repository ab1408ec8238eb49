"""The types a criterion's value may have: one row gives its JSON form, its checked form and its words.

| type               | JSON                                              | checked form           |
|--------------------|---------------------------------------------------|------------------------|
| text, choice, path | text, 1 to 1,000 characters                       | str                    |
| number             | number                                            | int or float           |
| money              | number or "12.99", in currency units              | int, ten-thousandths   |
| date               | "2011-12-01"                                      | date                   |
| moment             | "2011-12-01": that whole day in the shop's zone   | date                   |
|                    | "2011-12-01T09:30", shop's zone, or with offset   | aware datetime         |
| yes_no             | true, false                                       | bool                   |
| days               | whole number                                      | int                    |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal

from engine import money
from engine.errors import Invalid

TEXT_LIMIT: Final = 1_000
NUMBER_LIMIT: Final = 10**15  # doubles are exact up to here
DAYS_LIMIT: Final = 36_500
YEARS: Final = range(1800, 2300)


@dataclass(frozen=True)
class Words:
    """The same words in the languages of the pages."""

    en: str
    zh: str

    def __call__(self, language: str) -> str:
        """The words in `language` ("en", "zh_Hans_CN" ...)."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True)
class Style:
    """How to write values for a reader."""

    language: str
    zone: ZoneInfo
    currency: str

    @property
    def locale(self) -> str:
        """Babel's name of the language."""
        return "zh_Hans_CN" if self.language.startswith("zh") else "en"


@dataclass(frozen=True)
class Clock:
    """The moment a criterion is asked at, and the zone its days are days in."""

    now: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The day it is in the shop."""
        return self.now.astimezone(self.zone).date()

    def start(self, value: date | datetime) -> datetime:
        """The first instant of a day in the shop's zone; an exact time is its own start."""
        if isinstance(value, datetime):
            return value
        return datetime.combine(value, time(), self.zone).astimezone(UTC)

    def end(self, value: date | datetime) -> datetime:
        """The first instant after a day, or after an exact time (to the microsecond)."""
        if isinstance(value, datetime):
            return value + timedelta(microseconds=1)
        return self.start(value + timedelta(days=1))

    def shift(self, moment: datetime, days: int) -> datetime:
        """So many calendar days later, at the same time of the shop's clock (a day may have 23 or 25 hours)."""
        return (moment.astimezone(self.zone) + timedelta(days=days)).astimezone(UTC)


@dataclass(frozen=True)
class Type:
    """One row of the table below. `parse` raises Invalid; its `field` is added by the caller, who knows the path."""

    key: str
    parse: Callable[[Any, ZoneInfo], Any]
    json: Callable[[Any], Any]
    words: Callable[[Any, Style], str]


def _text(given: Any, _zone: ZoneInfo) -> str:
    if not isinstance(given, str):
        raise Invalid(f"This must be a text, not {_shown(given)}.")
    if not given.strip():
        raise Invalid("This text is empty; to find people without a value use the operator 'unknown'.")
    if len(given) > TEXT_LIMIT:
        raise Invalid(f"This text has {len(given):,} characters; {TEXT_LIMIT:,} are allowed.")
    if "\0" in given or any("\ud800" <= letter <= "\udfff" for letter in given):
        raise Invalid("This text holds a character that no stored text can hold (NUL or half a surrogate pair).")
    return given


def _number(given: Any, _zone: ZoneInfo) -> int | float:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise Invalid(f"This must be a number, not {_shown(given)}.")
    if not abs(given) <= NUMBER_LIMIT:  # NaN is not, either
        raise Invalid(f"This number is out of range; ±{NUMBER_LIMIT:,} is the largest.")
    return int(given) if given == int(given) else given


def _money(given: Any, _zone: ZoneInfo) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise Invalid(f"This must be an amount like 12.99, not {_shown(given)}.")
    return money.parse(given)


def _date(given: Any, _zone: ZoneInfo) -> date:
    if not isinstance(given, str):
        raise Invalid(f"This must be a date like 2011-12-01, not {_shown(given)}.")
    try:
        value = datetime.strptime(given, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise Invalid(f"'{given[:40]}' is no date; write it like 2011-12-01.") from None
    if value.year not in YEARS:
        raise Invalid(f"'{given}' is outside the years {YEARS.start} to {YEARS.stop - 1}.")
    return value


def _moment(given: Any, zone: ZoneInfo) -> date | datetime:
    if isinstance(given, str) and len(given) > 10:
        try:
            value = datetime.fromisoformat(given)
        except ValueError:
            raise Invalid(f"'{given[:40]}' is no time; write it like 2011-12-01T09:30 or 2011-12-01.") from None
        if value.year not in YEARS:
            raise Invalid(f"'{given[:40]}' is outside the years {YEARS.start} to {YEARS.stop - 1}.")
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    return _date(given, zone)


def _yes_no(given: Any, _zone: ZoneInfo) -> bool:
    if not isinstance(given, bool):
        raise Invalid(f"This must be true or false, not {_shown(given)}.")
    return given


def _days(given: Any, zone: ZoneInfo) -> int:
    value = _number(given, zone)
    if not isinstance(value, int) or not 1 <= value <= DAYS_LIMIT:
        raise Invalid(f"This must be a whole number of days, 1 to {DAYS_LIMIT:,}.")
    return value


def _shown(given: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(given), repr(given)[:40])


def _money_json(value: int) -> int | float:
    whole, rest = divmod(value, money.UNIT)
    return value / money.UNIT if rest else whole


def _money_words(value: int, style: Style) -> str:
    amount = money.to_decimal(value)
    pattern = "¤#,##0.00##" if amount % 1 else "¤#,##0"
    return format_currency(amount, style.currency, pattern, locale=style.locale, currency_digits=False)


def _number_words(value: float, style: Style) -> str:
    return format_decimal(Decimal(str(value)), "#,##0.######", locale=style.locale)


def _date_words(value: date, style: Style) -> str:
    return format_date(value, "y年M月d日" if style.locale.startswith("zh") else "d MMM y", locale=style.locale)


def _moment_words(value: date | datetime, style: Style) -> str:
    if not isinstance(value, datetime):
        return _date_words(value, style)
    local = value.astimezone(style.zone)
    pattern = "%H:%M:%S" if local.second else "%H:%M"
    return f"{_date_words(local.date(), style)} {local.strftime(pattern)}"


def _text_words(value: str, style: Style) -> str:
    return f"“{value}”" if _needs_quotes(value) else value


def _needs_quotes(value: str) -> bool:
    """Names such as United Kingdom read best bare; anything that could be taken for our own words is quoted."""
    return not all(
        part and (part[0].isupper() or not part[0].isascii()) and part.isalnum() for part in value.split(" ")
    )


_YES: Final = {True: Words("yes", "是"), False: Words("no", "否")}


def _same(value: Any) -> Any:
    return value


TYPES: Final = {
    row.key: row
    for row in (
        Type("text", _text, _same, _text_words),
        Type("choice", _text, _same, _text_words),
        Type("path", _text, _same, _text_words),
        Type("number", _number, _same, _number_words),
        Type("money", _money, _money_json, _money_words),
        Type("date", _date, date.isoformat, _date_words),
        Type("moment", _moment, lambda value: value.isoformat(), _moment_words),
        Type("yes_no", _yes_no, _same, lambda value, style: _YES[value](style.language)),
        Type("days", _days, _same, _number_words),
    )
}
