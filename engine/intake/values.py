"""One cell becomes one value: the types a column may have, each with its parser.

A parser takes what a source gives (text from CSV; numbers, times, booleans from Parquet and JSON) and returns what is
stored: str, int, bool, microseconds since 1970 UTC for moments, an ISO date for days. It raises Invalid with a
message that says the remedy. None and empty text never reach it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final
from unicodedata import normalize
from urllib.parse import urlsplit

from engine import consent, money
from engine.config import Config
from engine.database import microseconds
from engine.errors import Invalid, nearest
from engine.values import CHOICES_LIMIT

INT32: Final = 2**31 - 1  # a PostgreSQL integer
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
EXACT: Final = 2**53  # integers beyond this lose digits in JSON readers

NAME: Final = re.compile(r"\w[\w.:-]{0,63}")  # of event types and own fields: people choose from them
NAME_WORDS: Final = "letters, digits and _ . : -, at most 64, first a letter, a digit or _"

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(?:\.0{1,6})?")  # "3.0": how spreadsheets export a column with gaps
_MONEY = re.compile(r"-?[0-9]{1,10}(?:\.[0-9]{1,4})?")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?")
_COMMA = re.compile(r"([+-]?)([0-9]{1,3}(?:\.[0-9]{3}){1,5}|[0-9]{1,18})(?:,([0-9]{1,9}))?")  # 1.234,56 or 1234,56
_CURRENCY = re.compile(r"[A-Z]{3}")

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


@dataclass(frozen=True)
class Rules:
    """What parsing must know about the shop and the day."""

    country: str
    zone: tzinfo
    currency: str
    now: datetime
    latest: datetime
    time_format: str | None = None
    comma: bool = False  # numbers in texts are written 1.234,56
    own: bool = False  # records of ours, whose keys may be our own

    @classmethod
    def of(
        cls, config: Config, now: datetime, time_format: str | None = None, *, comma: bool = False, own: bool = False
    ) -> Rules:
        """The shop's rules; raises Invalid when `time_format` is no strptime format of a date."""
        if time_format is not None:
            _check_format(time_format, now)
        latest = now + timedelta(days=config.intake.max_future_days)
        locale = config.locale
        return cls(locale.country, locale.zone, locale.currency, now, latest, time_format, comma, own)


@dataclass(frozen=True)
class Type:
    """The type of a column: words for people, the parser, how it is staged, what JSON carries (OpenAPI 3.0)."""

    word: str
    parse: Callable[[Any, Rules], Any]
    arrow: str = "string"  # string, int64, bool
    json: str = "string"  # string, integer, number, boolean
    format: str | None = None  # email, date, date-time, uri
    limit: int | None = None  # characters


def show(value: Any) -> str:
    """A value in a message: quoted, short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def text(limit: int) -> Type:
    """Free text of at most `limit` characters, blanks around it removed."""

    def parse(value: Any, _rules: Rules) -> str | None:
        words = storable(value.strip() if type(value) is str else _as_text(value))
        if len(words) > limit:
            raise Invalid(f"is longer than {limit} characters.")
        return words

    return Type(f"text, at most {limit} characters", parse, limit=limit)


def beyond(plain: Type, ours: str) -> Type:
    """A type of text whose values do not begin with `ours`: names that nobody outside may give."""

    def parse(value: Any, rules: Rules) -> str:
        words: str = plain.parse(value, rules)
        if words.startswith(ours) and not rules.own:
            raise Invalid(f"{show(words)} begins with '{ours}', as only Rapport's own keys do; give it another.")
        return words

    return replace(plain, word=f"{plain.word}, not beginning with `{ours}`", parse=parse)


def within(plain: Type, limit: int) -> Type:
    """A type of text whose values are at most `limit` characters long."""

    def parse(value: Any, rules: Rules) -> str:
        if isinstance(value, str) and len(value.strip()) > limit:
            raise Invalid(f"is longer than {limit} characters.")
        words: str = plain.parse(value, rules)
        return words

    return replace(plain, word=f"{plain.word}, at most {limit} characters", parse=parse, limit=limit)


def name() -> Type:
    """A name that people choose from a list (`NAME`): one word, nothing that could be taken for our own."""
    plain = text(64)

    def parse(value: Any, rules: Rules) -> str:
        word: str = plain.parse(value, rules)
        if not NAME.fullmatch(word):
            raise Invalid(f"{show(word)} is no name; write it with {NAME_WORDS}.")
        return word

    return replace(plain, word=f"name: {NAME_WORDS}", parse=parse)


def integer(low: int = -INT32, high: int = INT32) -> Type:
    """A whole number in [low, high]."""

    def parse(value: Any, rules: Rules) -> int:
        number = _as_integer(_pointed(value, rules))
        if not low <= number <= high:
            raise Invalid(f"{show(value)} is not between {low} and {high}.")
        return number

    return Type("whole number", parse, "int64", "integer")


def category(limit: int) -> Type:
    """A path such as "Drinks > Wine > Red", blanks around the signs made equal."""
    plain = text(limit)

    def parse(value: Any, rules: Rules) -> str:
        levels = (part.strip() for part in _as_text(value).split(">"))
        path: str = plain.parse(" > ".join(level for level in levels if level), rules)
        return path

    return Type(f"path, levels joined by ' > ', at most {limit} characters", parse, limit=limit)


def url(limit: int) -> Type:
    """An absolute http or https address."""
    plain = text(limit)

    def parse(value: Any, rules: Rules) -> str:
        address: str = plain.parse(value, rules)
        try:
            parts = urlsplit(address)
            good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and not set(address) & set(' "<>')
        except ValueError:
            good = False
        if not good:
            raise Invalid(f"{show(value)} is not a web address; write it like https://shop.example/wine.")
        return address

    return Type(f"web address (http or https), at most {limit} characters", parse, format="uri", limit=limit)


def _money(value: Any, rules: Rules) -> int:
    words = _pointed(value, rules)
    if type(words) is str:
        if _MONEY.fullmatch(words):
            whole, _, part = words.partition(".")
            return int(whole + part.ljust(4, "0"))
        if len(words) > 40 or _has_comma(value) != rules.comma:
            raise _no_amount(value, rules)
    elif type(words) not in (int, float, Decimal):
        raise _no_amount(value, rules)
    return money.parse(words)


def _no_amount(value: Any, rules: Rules) -> Invalid:
    if rules.comma:
        return Invalid(f"{show(value)} is not an amount with a decimal comma; write it like 1234,50.")
    remedy = ", or say that this file has decimal commas" if isinstance(value, str) and _has_comma(value) else ""
    return Invalid(f"{show(value)} is not an amount; write it like 12.99{remedy}.")


def _has_comma(words: str) -> bool:
    """A number that only a file with decimal commas holds: 2,50 or 1.234.567."""
    return ("," in words or words.count(".") > 1) and _COMMA.fullmatch(words.strip()) is not None


def _pointed(value: Any, rules: Rules) -> Any:
    """A text without blanks around it; of a file with decimal commas, as it would be with a point. What is no such
    number loses its meaning as one: 12.99 there is no 1299.
    """
    if type(value) is not str:
        return value
    words = value.strip()
    if not rules.comma:
        return words
    found = _COMMA.fullmatch(words)
    if found is None:
        return f"{words} " if "." in words else words  # a blank: no pattern takes it for a number
    sign, whole, part = found.groups()
    return sign.strip("+") + whole.replace(".", "") + (f".{part}" if part else "")


def _moment(value: Any, rules: Rules) -> int:
    try:
        moment = _as_datetime(value, rules.time_format)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=rules.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        wanted = rules.time_format or "2026-03-31 14:05:00"
        remedy = "" if rules.time_format else " (ISO 8601), or name the time format"
        raise Invalid(f"{show(value)} is not a time; write it like {wanted}{remedy}.") from None
    if moment < EARLIEST:
        raise Invalid(f"{show(value)} is before 1900.")
    if moment > rules.latest:
        raise Invalid(f"{show(value)} lies in the future.")
    return microseconds(moment)


def _day(value: Any, rules: Rules) -> str:
    try:
        day = _as_datetime(value, rules.time_format).date()
    except (ValueError, OverflowError):
        raise Invalid(f"{show(value)} is not a date; write it like 1980-03-31.") from None
    if not EARLIEST.date() <= day <= rules.now.date():
        raise Invalid(f"{show(value)} is not between 1900 and today.")
    return day.isoformat()


def _boolean(value: Any, _rules: Rules) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Invalid(f"{show(value)} is neither true nor false.")


def _address(channel: str) -> Callable[[Any, Rules], str]:
    def parse(value: Any, rules: Rules) -> str:
        return consent.normalise(channel, value if type(value) is str else _as_text(value), rules.country)

    return parse


def _currency(value: Any, _rules: Rules) -> str:
    code = str(value).strip().upper()
    if not _CURRENCY.fullmatch(code):
        raise Invalid(f"{show(value)} is not a currency; write its three letters, like GBP.")
    return code


def _attribute(value: Any, rules: Rules) -> Any:
    """A number, a truth value, text or texts: what a text cell plainly is, so that criteria can count with it."""
    several = _listed(value.strip()) if type(value) is str else value
    if isinstance(several, list):
        return _several(several)
    if isinstance(value, bool):
        return value
    if type(value) is str:
        words, number = value.strip(), _pointed(value, rules)
        if _NUMBER.fullmatch(number):
            return float(number) if "." in number else int(number)
        if words in ("true", "false"):
            return words == "true"
    elif isinstance(value, (int, float, Decimal)):
        number = int(value) if value == value // 1 else float(value)
        return number if abs(number) < EXACT else str(number)
    else:
        words = _as_text(value)
    if len(words) > 1000:
        raise Invalid("is longer than 1000 characters.")
    return storable(words)


def _listed(words: str) -> list[Any] | None:
    """The texts of a cell that is a JSON list of texts, as exports write one; any other cell is None."""
    if not words.startswith("["):
        return None
    with suppress(ValueError, RecursionError):
        given = json.loads(words)
        if isinstance(given, list) and all(type(one) is str and one.strip() for one in given):
            return given
    return None


def _several(values: list[Any]) -> list[str]:
    """Different texts, in the order they came."""
    if len(values) > CHOICES_LIMIT:
        raise Invalid(f"has {len(values):,} values; {CHOICES_LIMIT} are allowed.")
    if not all(type(one) is str and one.strip() for one in values):
        raise Invalid(f"{show(values)} holds something that is no text.")
    if any(len(one) > 1000 for one in values):
        raise Invalid("holds a text longer than 1000 characters.")
    return list(dict.fromkeys(storable(one.strip()) for one in values))


MONEY = Type("amount", _money, "int64", "number")
MOMENT = Type("time (ISO 8601; without a zone: the shop's)", _moment, "int64", format="date-time")
DAY = Type("date (ISO 8601)", _day, format="date")
BOOLEAN = Type("true or false", _boolean, "bool", "boolean")
EMAIL = Type("e-mail address", _address("email"), format="email", limit=254)
PHONE = Type("telephone number (E.164, or as dialled in the shop's country)", _address("sms"))
CURRENCY = Type("currency (ISO 4217)", _currency)
ATTRIBUTE = Type("text, number, true or false, or a list of up to 50 texts (in a file as JSON)", _attribute)


def storable(words: str) -> str:
    """The text, letters with marks in one form (NFC), so that the same words are found however they were typed. Raises
    Invalid: PostgreSQL cannot store NUL, nothing can store half a surrogate pair.
    """
    if "\0" in words:
        raise Invalid("holds a NUL character; remove it.")
    if not words.isascii():
        try:
            words.encode()
        except UnicodeEncodeError:
            raise Invalid("holds a broken character (a lone surrogate); remove it.") from None
        return normalize("NFC", words)
    return words


def _as_text(value: Any) -> str:
    if isinstance(value, float) and value == value // 1:
        return str(int(value))  # a customer number in a Parquet column with gaps: 13085.0
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal, date)):
        raise Invalid(f"{show(value)} is not text.")
    return str(value).strip()


def _as_integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(words := value.strip()):
        return int(words.partition(".")[0])
    if isinstance(value, (float, Decimal)) and value == value // 1:
        return int(value)
    raise Invalid(f"{show(value)} is not a whole number; write it like 12.")


def _as_datetime(value: Any, time_format: str | None) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  # the zone follows
    if type(value) is not str:
        raise ValueError(value)
    if time_format:
        return datetime.strptime(value.strip(), time_format)  # noqa: DTZ007
    return datetime.fromisoformat(value.strip())


def _check_format(time_format: str, now: datetime) -> None:
    known = ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M")
    try:
        read = datetime.strptime(now.strftime(time_format), time_format)  # noqa: DTZ007
    except ValueError:
        read = None
    if read is None or read.date() != now.date():
        raise Invalid(f"{show(time_format)} is no time format.{nearest(time_format, known)}", field="time_format")
