"""Business rules: what a placement may show, what it puts forward and how it mixes. One table feeds all who need it:
reading with exact faults, JSON, the API's description, the form on the page and docs/recommendations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from engine import money
from engine.errors import Invalid, Noted, nearest

MOST_KEYS: Final = 500  # items or categories that one rule may name
MOST_PINS: Final = 50
LONGEST: Final = 256  # letters of a category path or an item's key
FRESH_DAYS: Final = 30  # half-life of an item's freshness

Acts = Literal["mask", "person", "score", "arrangement"]


class Pin(NamedTuple):
    """An item that is put at a position, or buried (position None), on the days since..until, both included."""

    item: str
    position: int | None = None
    since: date | None = None
    until: date | None = None

    def holds(self, today: date) -> bool:
        """Whether today is one of its days."""
        return (self.since is None or self.since <= today) and (self.until is None or today <= self.until)


class Filter(NamedTuple):
    """What may be shown of all items; the part of the rules that a question may narrow further. Prices in
    ten-thousandths, margins as a share of the price, categories a path or one above it.
    """

    in_stock: bool | None = None
    price_min: int | None = None
    price_max: int | None = None
    margin_min: float | None = None
    margin_max: float | None = None
    categories: tuple[str, ...] = ()
    categories_denied: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()


@dataclass(frozen=True)
class About:
    """One rule of the table. acts: on all items (mask), by who asks (person), on scores, or on the arrangement."""

    kind: str
    acts: Acts
    label: str
    help: str
    default: Any
    least: float = 0
    most: float = MOST_KEYS


def _rule(default: Any, kind: str, acts: Acts, label: str, words: str, *bounds: float) -> Any:
    return field(default=default, metadata={"about": About(kind, acts, label, words, default, *bounds)})


_MARGIN: Final = -1.0, 1.0
_TIMES: Final = 0.0, 100.0
_WEIGHT: Final = 0.0, 1.0


@dataclass(frozen=True)
class Rules:
    """The rules of a placement; by default only what cannot be bought or is known already is hidden."""

    in_stock: bool = _rule(True, "truth", "mask", "Only what is in stock", "Nothing that is sold out.")
    price_min: int | None = _rule(None, "amount", "mask", "Price from", "Nothing cheaper than this.")
    price_max: int | None = _rule(None, "amount", "mask", "Price up to", "Nothing dearer than this.")
    price_ratio_min: float | None = _rule(
        None, "number", "mask", "Price against the item on the page, from",
        "1 shows nothing cheaper than the dearest item on the page, or in the cart when the page shows none.", *_TIMES,
    )  # fmt: skip
    price_ratio_max: float | None = _rule(
        None, "number", "mask", "Price against the item on the page, up to",
        "1.5: at most one and a half times its price.",
        *_TIMES,
    )  # fmt: skip
    margin_min: float | None = _rule(
        None, "share", "mask", "Margin from", "As a share of the price; an item without a cost has no margin and goes.",
        *_MARGIN,
    )  # fmt: skip
    margin_max: float | None = _rule(None, "share", "mask", "Margin up to", "As a share of the price.", *_MARGIN)
    categories: tuple[str, ...] = _rule((), "paths", "mask", "Only these categories", "And what lies below them.")
    categories_denied: tuple[str, ...] = _rule((), "paths", "mask", "Not these categories", "Nor what lies below them.")
    suppressed: tuple[str, ...] = _rule((), "items", "mask", "Never these items", "Not here, whatever a source finds.")
    exclude_purchased: bool = _rule(
        False, "truth", "person", "Hide what the contact bought", "Off where people buy the same again."
    )
    exclude_viewed: bool = _rule(
        True, "truth", "person", "Hide what was looked at in this visit", "Off for “continue where you left off”."
    )
    exclude_cart: bool = _rule(True, "truth", "person", "Hide what is in the cart", "Off to offer one more of it.")
    unseen_mails: int = _rule(
        0, "count", "person", "Not shown in the last mails", "Nothing that stood in so many of the contact's mails.",
        *(0, 50),
    )  # fmt: skip
    boost_margin: float = _rule(
        0.0, "share", "score", "Put forward by margin", "At full strength an item of full margin counts twice.",
        *_WEIGHT,
    )  # fmt: skip
    boost_freshness: float = _rule(
        0.0, "share", "score", "Put forward what is new",
        f"At full strength an item that came today counts twice; half as much every {FRESH_DAYS} days.", *_WEIGHT,
    )  # fmt: skip
    category_cap: int | None = _rule(
        None, "count", "arrangement", "Most of one category", "The row ends sooner rather than show more.", *(1, 100)
    )
    category_depth: int = _rule(
        1, "count", "arrangement", "Level of the category", "1 counts by the first part of the path.", *(1, 10)
    )
    diversity: float = _rule(
        0.0, "share", "arrangement", "Variety",
        "None shows the best in their order; full the most unlike in category, brand and price, best first.", *_WEIGHT,
    )  # fmt: skip
    pins: tuple[Pin, ...] = _rule(
        (), "pins", "arrangement", "Pinned items", "Shown at their position while they may be shown at all."
    )
    buries: tuple[Pin, ...] = _rule((), "buries", "arrangement", "Buried items", "Shown after everything else.")

    @cached_property
    def filter(self) -> Filter:
        """The part that acts on all items, whoever asks."""
        return Filter(*(getattr(self, name) for name in Filter._fields))

    @cached_property
    def arranges(self) -> bool:
        """More is looked at than is shown: the best few are not simply the first."""
        return any(getattr(self, name) != getattr(_PLAIN, name) for name, about in RULES.items() if about.acts in _LATE)

    def json(self) -> dict[str, Any]:
        """As the API and the database hold them."""
        return {name: KINDS[about.kind].write(getattr(self, name)) for name, about in RULES.items()}


RULES: Final[dict[str, About]] = {one.name: one.metadata["about"] for one in fields(Rules)}
_LATE: Final = ("score", "arrangement")
_PLAIN: Final = Rules()


def parse(given: Mapping[str, Any], path: str = "rules") -> Rules:
    """Rules from JSON; raises Faults, each with the path to what is wrong."""
    return Rules(**read(given, RULES, path))


def read(given: Mapping[str, Any], known: Mapping[str, About], path: str) -> dict[str, Any]:
    """The values of some rules from JSON; raises Faults, each with the path to what is wrong."""
    found, noted = {}, Noted()
    for name, value in given.items():
        with noted:
            found[name] = _value(name, value, known, f"{path}.{name}")
    for word in ("price", "price_ratio", "margin"):
        low, high = found.get(f"{word}_min"), found.get(f"{word}_max")
        if low is not None and high is not None and low > high:
            noted.found.append(Invalid("This upper limit is below the lower one.", field=f"{path}.{word}_max"))
    noted.tell()
    return found


def _value(name: str, value: Any, known: Mapping[str, About], where: str) -> Any:
    if name not in known:
        raise Invalid(f"There is no rule '{name}'.{nearest(name, known)}", field=where)
    optional = value is None and known[name].default is None
    return None if optional else KINDS[known[name].kind].read(value, known[name], where)


class Kind(NamedTuple):
    """How values of a kind are read from JSON and written."""

    read: Callable[[Any, About, str], Any]
    write: Callable[[Any], Any]


def _truth(value: Any, _about: About, where: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid("This must be true or false.", field=where)
    return value


def _amount(value: Any, _about: About, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Invalid("Write an amount in currency units, like 12.99.", field=where)
    try:
        return money.parse(value)
    except Invalid as error:
        raise Invalid(error.message, field=where) from None


def _number(value: Any, about: About, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not about.least <= value <= about.most:
        raise Invalid(f"This must be a number from {about.least:g} to {about.most:g}.", field=where)
    return float(value)


def _count(value: Any, about: About, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not about.least <= value <= about.most:
        raise Invalid(f"This must be a whole number from {about.least:g} to {about.most:g}.", field=where)
    return value


def _texts(value: Any, _about: About, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_KEYS:
        raise Invalid(f"This must be a list of up to {MOST_KEYS} texts.", field=where)
    found: dict[str, None] = {}
    noted = Noted()
    for place, one in enumerate(value):
        with noted:
            found[_text(one, f"{where}.{place}")] = None
    noted.tell()
    return tuple(found)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= LONGEST:
        raise Invalid(f"This must be a text of 1 to {LONGEST} letters.", field=where)
    return value.strip()


def _pins(value: Any, _about: About, where: str) -> tuple[Pin, ...]:
    return _listed(value, where, ("item", "position", *_DAYS))


def _buries(value: Any, _about: About, where: str) -> tuple[Pin, ...]:
    return _listed(value, where, ("item", *_DAYS))


def _listed(value: Any, where: str, known: tuple[str, ...]) -> tuple[Pin, ...]:
    if not isinstance(value, list) or len(value) > MOST_PINS:
        raise Invalid(f"This must be a list of up to {MOST_PINS} items.", field=where)
    found, noted = [], Noted()
    for place, one in enumerate(value):
        with noted:
            found.append(_pin(one, f"{where}.{place}", known))
    noted.tell()
    return tuple(found)


_DAYS: Final = ("from", "until")


def _pin(given: Any, where: str, known: tuple[str, ...]) -> Pin:
    if not isinstance(given, dict):
        raise Invalid("This must be an object that names an item.", field=where)
    noted, item = Noted(), ""
    since: date | None = None
    until: date | None = None
    for name in given:
        if name not in known:
            words = f"There is no '{name}' here.{nearest(name, known)}"
            noted.found.append(Invalid(words, field=f"{where}.{name}"))
    with noted:
        item = _item(given.get("item"), f"{where}.item")
    if "position" in known:
        with noted:
            _check_position(given.get("position"), f"{where}.position")
    with noted:
        since = _day(given.get("from"), f"{where}.from")
    with noted:
        until = _day(given.get("until"), f"{where}.until")
    if since and until and until < since:
        noted.found.append(Invalid("The last day is before the first.", field=f"{where}.until"))
    noted.tell()
    return Pin(item, given.get("position"), since, until)


def _item(value: Any, where: str) -> str:
    if value is None:
        raise Invalid("Name the item.", field=where)
    return _text(value, where)


def _check_position(value: Any, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100:
        raise Invalid("Name the position, from 1 to 100.", field=where)


def _day(value: Any, where: str) -> date | None:
    try:
        return None if value is None else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid("Write a day like 2026-12-24.", field=where) from None


def _written(pin: Pin) -> dict[str, Any]:
    told = {"item": pin.item, "position": pin.position, "from": pin.since, "until": pin.until}
    return {name: str(one) if isinstance(one, date) else one for name, one in told.items() if one is not None}


def _plainly(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _pinned(pins: tuple[Pin, ...]) -> list[dict[str, Any]]:
    return [_written(pin) for pin in pins]


KINDS: Final = {
    "truth": Kind(_truth, _plainly),
    "amount": Kind(_amount, lambda amount: None if amount is None else str(money.to_decimal(amount))),
    "share": Kind(_number, _plainly),
    "number": Kind(_number, _plainly),
    "count": Kind(_count, _plainly),
    "paths": Kind(_texts, _plainly),
    "items": Kind(_texts, _plainly),
    "pins": Kind(_pins, _pinned),
    "buries": Kind(_buries, _pinned),
}
