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
| choices            | (the attribute holds several; asked with texts)   | str                    |
| count              | whole number, 1 to 50                             | int                    |
| percent            | number above 0, at most 100, four decimals        | int or float           |
| month, weekday     | 1 to 12; 1 (Monday) to 7                          | int                    |
| period             | one of PERIODS, such as "last_week"               | str                    |
| pattern            | regular expression (RE2), 1 to 200 characters     | str                    |
| reference          | number of a campaign or the like, shown by name   | int                    |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from unicodedata import normalize
from zoneinfo import ZoneInfo

import duckdb
from babel.dates import format_date, get_day_names, get_month_names
from babel.numbers import format_currency, format_decimal

from engine import money
from engine.errors import Invalid, nearest

TEXT_LIMIT: Final = 1_000
NUMBER_LIMIT: Final = 10**15  # doubles are exact up to here
DAYS_LIMIT: Final = 36_500
YEARS: Final = range(1800, 2300)
CHOICES_LIMIT: Final = 50  # values of one attribute
PATTERN_LIMIT: Final = 200


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

    def period(self, key: str) -> tuple[date, date]:
        """The first day and the last of one of PERIODS."""
        unit, steps, _words = PERIODS[key]
        return _first_day(self.today, unit, steps), _first_day(self.today, unit, steps + 1) - timedelta(days=1)


def _first_day(today: date, unit: str, steps: int) -> date:
    """Of the day, week (from Monday), month, quarter or year so many after the present one."""
    if unit == "day":
        return today + timedelta(days=steps)
    if unit == "week":
        return today + timedelta(weeks=steps, days=-today.weekday())
    size = {"month": 1, "quarter": 3, "year": 12}[unit]
    months = ((today.year * 12 + today.month - 1) // size + steps) * size
    return date(months // 12, months % 12 + 1, 1)


PERIODS: Final = {
    "today": ("day", 0, Words("today", "今天")),
    "yesterday": ("day", -1, Words("yesterday", "昨天")),
    "tomorrow": ("day", 1, Words("tomorrow", "明天")),
    "this_week": ("week", 0, Words("this week", "本周")),
    "last_week": ("week", -1, Words("last week", "上周")),
    "next_week": ("week", 1, Words("next week", "下周")),
    "this_month": ("month", 0, Words("this month", "本月")),
    "last_month": ("month", -1, Words("last month", "上月")),
    "next_month": ("month", 1, Words("next month", "下月")),
    "this_quarter": ("quarter", 0, Words("this quarter", "本季度")),
    "last_quarter": ("quarter", -1, Words("last quarter", "上季度")),
    "next_quarter": ("quarter", 1, Words("next quarter", "下季度")),
    "this_year": ("year", 0, Words("this year", "今年")),
    "last_year": ("year", -1, Words("last year", "去年")),
    "next_year": ("year", 1, Words("next year", "明年")),
}


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
    return normalize("NFC", given)  # as intake stores it


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
        if value.year in YEARS:
            value = (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
        if not {value.year, value.astimezone(zone).year} <= {*YEARS}:
            raise Invalid(f"'{given[:40]}' is outside the years {YEARS.start} to {YEARS.stop - 1}.")
        return value
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


def _reference(given: Any, zone: ZoneInfo) -> int:
    value = _number(given, zone)
    if not isinstance(value, int) or value < 1:
        raise Invalid("This must be the number that it is listed under.")
    return value


def _whole(low: int, high: int, what: str) -> Callable[[Any, ZoneInfo], int]:
    def parse(given: Any, zone: ZoneInfo) -> int:
        value = _number(given, zone)
        if not isinstance(value, int) or not low <= value <= high:
            raise Invalid(f"This must be {what}, {low} to {high}.")
        return value

    return parse


def _percent(given: Any, zone: ZoneInfo) -> int | float:
    value = _number(given, zone)
    if not 0 < value <= 100 or round(value, 4) != value:
        raise Invalid("This must be a percentage above 0 and at most 100, with at most four decimals.")
    return value


def _period(given: Any, _zone: ZoneInfo) -> str:
    if not isinstance(given, str) or given not in PERIODS:
        shown = f"'{given[:40]}'" if isinstance(given, str) else _shown(given)
        raise Invalid(f"This must be the name of a period, not {shown}.{nearest(str(given)[:40], PERIODS)}")
    return given


def _pattern(given: Any, zone: ZoneInfo) -> str:
    """RE2 has no pattern whose time grows faster than the text, and refuses what would take too much memory."""
    value = _text(given, zone)
    if len(value) > PATTERN_LIMIT:
        raise Invalid(f"This pattern has {len(value):,} characters; {PATTERN_LIMIT} are allowed.")
    with duckdb.connect() as connection:
        try:
            connection.execute("SELECT regexp_matches('', ?)", [value])
        except duckdb.Error as error:
            reason = str(error).partition(":")[2].strip()[:120] or "it cannot be read"
            raise Invalid(f"This is no regular expression as RE2 reads them ({reason}).") from None
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
    offset = f" UTC{local.isoformat()[-6:]}" if _is_twice(local) else ""
    return f"{_date_words(local.date(), style)} {local.strftime(pattern)}{offset}"


def _is_twice(local: datetime) -> bool:
    """The clock shows this time twice: the hour when it is put back."""
    return local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()


def _text_words(value: str, style: Style) -> str:
    return f"“{value}”" if _needs_quotes(value) else value


def _needs_quotes(value: str) -> bool:
    """Names such as United Kingdom read best bare; anything that could be taken for our own words is quoted."""
    return not all(
        part and (part[0].isupper() or not part[0].isascii()) and part.isalnum() for part in value.split(" ")
    )


def _month_words(value: int, style: Style) -> str:
    return str(get_month_names("wide", locale=style.locale)[value])


def _weekday_words(value: int, style: Style) -> str:
    return str(get_day_names("wide", locale=style.locale)[value - 1])


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
        Type("choices", _text, _same, _text_words),
        Type("count", _whole(1, CHOICES_LIMIT, "a whole number"), _same, _number_words),
        Type("percent", _percent, _same, _number_words),
        Type("month", _whole(1, 12, "the number of a month"), _same, _month_words),
        Type("weekday", _whole(1, 7, "the number of a day from Monday on"), _same, _weekday_words),
        Type("period", _period, _same, lambda value, style: PERIODS[value][2](style.language)),
        Type("pattern", _pattern, _same, lambda value, _style: f"“{value}”"),
        Type("reference", _reference, _same, lambda value, _style: str(value)),
    )
}
