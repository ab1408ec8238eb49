"""Numbers, money, shares and moments as people read them, in the page's language and the shop's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from apiflask import APIFlask
from babel import numbers
from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta, get_timezone_name
from babel.localedata import locale_identifiers
from flask_babel import get_locale, gettext
from markupsafe import Markup

from campaigns import roi
from engine.money import to_decimal
from web.services import services, utcnow

NOTHING = "–"
MINUS = f"{roi.MINUS}\u2060"  # a line may end between a minus and a £: the word joiner forbids it

_LOCALES = frozenset(locale_identifiers())


def register(app: APIFlask) -> None:
    """Give templates the filters of this file."""
    for one in (number, compact, money, money_compact, share, change, sentence, day, day_month, moment, ago,
                browser_name):  # fmt: skip
        app.add_template_filter(one)


def number(value: float | Decimal | None, digits: int = 0) -> str:
    """12,408; at most `digits` decimals."""
    if value is None:
        return NOTHING
    rounded = round(Decimal(str(value)), digits)
    return _signed(value, numbers.format_decimal(abs(rounded), locale=_locale()))


def compact(value: float | None) -> str:
    """12K, for tight places; show the whole value beside it or on hover."""
    if value is None:
        return NOTHING
    digits = 1 if abs(value) >= 1000 else 0
    return _signed(value, numbers.format_compact_decimal(abs(value), locale=_locale(), fraction_digits=digits))


def money(amount: int | None, currency: str | None = None, *, whole: bool = False) -> str:
    """Ten-thousandths of `currency` (default: the shop's) as £1,204.50; `whole` leaves the minor unit out, as nothing
    does: £0.
    """
    if amount is None:
        return NOTHING
    value, code = abs(to_decimal(amount)), currency or services().config.locale.currency
    if whole or not amount:
        words = numbers.format_currency(value, code, "¤#,##0", locale=_locale(), currency_digits=False)
    else:
        words = numbers.format_currency(value, code, locale=_locale())
    return _signed(amount, words)


def money_compact(amount: int | None, currency: str | None = None) -> str:
    """£1.2M; the whole value belongs on hover."""
    if amount is None:
        return NOTHING
    code = currency or services().config.locale.currency
    if abs(amount) < 100_000 * 10_000:
        return money(amount, code, whole=True)
    value = abs(to_decimal(amount))
    return _signed(amount, numbers.format_compact_currency(value, code, locale=_locale(), fraction_digits=1))


def share(value: float | None, digits: int = 1) -> str:
    """0.123 as 12.3%; what is there and would round to nothing as <0.1%."""
    if value is None:
        return NOTHING
    least = 10.0 ** -(digits + 2)
    return f"<{_percent(least, digits)}" if 0 < value <= least / 2 else _signed(value, _percent(value, digits))


def change(now: float, before: float) -> str:
    """+12.4% from `before` to `now`; nothing to compare with gives a dash."""
    if not before:
        return NOTHING
    return ("+" if now >= before else MINUS) + _percent((now - before) / before, 1)


def sentence(words: str) -> str:
    """A sentence from campaigns.roi, whose amounts keep their minus at the end of a line."""
    return words.replace(roi.MINUS, MINUS)


def day(value: date | datetime | None) -> str:
    """2 Mar 2026, in the shop's zone."""
    if value is None:
        return NOTHING
    local = value.astimezone(services().config.locale.zone) if isinstance(value, datetime) else value
    return str(format_date(local, "medium", locale=_locale()))


def day_month(value: date | datetime) -> str:
    """2 Mar, for axes; in the shop's zone."""
    local = value.astimezone(services().config.locale.zone) if isinstance(value, datetime) else value
    return str(format_skeleton("MMMd", local, locale=_locale()))


def moment(value: datetime | None) -> Markup:
    """2 Mar 2026, 09:00 GMT as a <time>; hovering shows UTC."""
    if value is None:
        return Markup(NOTHING)  # noqa: S704  # our own constant
    zone = services().config.locale.zone
    local = value.astimezone(zone)
    words = format_datetime(
        local, "d MMM y, HH:mm" if _locale().startswith("en") else "medium", tzinfo=zone, locale=_locale()
    )
    name = get_timezone_name(local, "short", locale=_locale())
    return _time(value, f"{words} {name}")


def ago(value: datetime | None) -> Markup:
    """3 hours ago, as a <time>; hovering shows the moment in UTC."""
    if value is None:
        return Markup(NOTHING)  # noqa: S704  # our own constant
    passed = utcnow() - value
    if abs(passed.total_seconds()) < 45:
        return _time(value, gettext("just now"))
    return _time(value, str(format_timedelta(-passed, add_direction=True, locale=_locale())))


def browser_name(user_agent: str) -> str | None:
    """ "Firefox on Linux" from a User-Agent; None when it is not one of the known."""
    browsers = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Mac OS": "macOS"}
    browser = next((name for mark, name in browsers.items() if mark in user_agent), None)
    system = next((name for mark, name in systems.items() if mark in user_agent), "Linux")
    return gettext("%(browser)s on %(system)s", browser=browser, system=system) if browser else None


def _percent(value: float, digits: int) -> str:
    pattern = "#,##0." + "#" * digits + "%" if digits else "#,##0%"
    return str(numbers.format_percent(abs(value), pattern, locale=_locale()))


def _signed(value: float | Decimal, words: str) -> str:
    """The `words` of an absolute value with its minus; what rounds to nothing has none."""
    return f"{MINUS}{words}" if value < 0 and any(digit in words for digit in "123456789") else words


def _time(value: datetime, words: str) -> Markup:
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M"), words
    )


def _locale() -> str:
    """The page's language as the shop's country writes it: en_GB has 2 Mar 2026, en_US Mar 2, 2026."""
    language, country = str(get_locale() or "en"), services().config.locale.country
    return language if "_" in language or f"{language}_{country}" not in _LOCALES else f"{language}_{country}"
