"""What a plan may say: where each field is kept, and how it is read from a form or from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy.orm import Session

from campaigns.content import blocks
from campaigns.models import Campaign, Variant
from engine import money
from engine.errors import Invalid, nearest
from engine.models import CHANNELS, ContactList

NAME: Final = 128  # letters
HOLDOUT_LIMIT: Final = 0.5
WINDOW_DAYS: Final = range(1, 91)
YEARS: Final = range(1970, 9999)  # in which every moment has one in UTC

Reader = Callable[[Any], Any]


def _text(limit: int) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise Invalid(f"This must be a text of at most {limit:,} characters.")
        return value

    return read


def _name(value: Any) -> str:
    name: str = _text(NAME)(value).strip()
    if not name:
        raise Invalid("Give it a name.")
    return name


def _choice(options: tuple[str, ...]) -> Reader:
    def read(value: Any) -> str:
        if value not in options:
            raise Invalid(f"This must be one of {', '.join(options)}.")
        return str(value)

    return read


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= HOLDOUT_LIMIT:
        raise Invalid("The holdout is a share between 0 and 0.5, such as 0.1 for 10%.")
    return float(value)


def _days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in WINDOW_DAYS:
        raise Invalid(f"The window is a whole number of days from {WINDOW_DAYS[0]} to {WINDOW_DAYS[-1]}.")
    return value


def _cost(value: Any) -> int:
    given = isinstance(value, str | int | float | Decimal) and not isinstance(value, bool)
    amount = money.parse(value) if given else -1
    if amount < 0:
        raise Invalid("A cost is an amount such as 12.50, not below zero.")
    return amount


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not (len(value) == 3 and value.isascii() and value.isupper()):
        raise Invalid("A currency is its code of three capitals, such as GBP.")
    return value


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = ""
    if moment is not None and not (isinstance(moment, datetime) and moment.tzinfo and moment.year in YEARS):
        raise Invalid("This must be a moment with its offset from UTC, such as 2026-03-29T09:00+01:00.")
    return moment


def _number(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Invalid("This must be the number of a list.")
    return value


FIELDS: Final[Mapping[str, tuple[type[Campaign | Variant], Reader]]] = {
    "name": (Campaign, _name),
    "channel": (Campaign, _choice(CHANNELS)),
    "list_id": (Campaign, _number),
    "due_at": (Campaign, _moment),  # of a draft: when it is meant to go out; scheduling decides
    "holdout": (Campaign, _share),
    "window_days": (Campaign, _days),
    "fixed_cost": (Campaign, _cost),
    "message_cost": (Campaign, _cost),
    "currency": (Campaign, _currency),
    "subject": (Variant, _text(500)),
    "preheader": (Variant, _text(500)),
    "blocks": (Variant, blocks.validate),
    "text": (Variant, _text(2_000)),
}


def write(session: Session, campaign: Campaign, variant: Variant, plan: Mapping[str, Any]) -> None:
    """Put a plan into its tables; raises Invalid with the field, and then nothing of it is kept."""
    values = {name: _read(name, value) for name, value in plan.items()}
    if values.get("list_id") is not None and session.get(ContactList, values["list_id"]) is None:
        raise Invalid(f"There is no list {values['list_id']}.", field="list_id")
    for name, value in values.items():
        setattr(campaign if FIELDS[name][0] is Campaign else variant, name, value)
    session.flush()


def faults(plan: Mapping[str, Any]) -> dict[str, Invalid]:
    """What cannot be kept of a plan, by field."""
    found: dict[str, Invalid] = {}
    for name, value in plan.items():
        try:
            _read(name, value)
        except Invalid as error:
            found[name] = error
    return found


def _read(name: str, value: Any) -> Any:
    if name not in FIELDS:
        raise Invalid(f"A campaign has no '{name}'.{nearest(name, FIELDS)}", field=name)
    try:
        return FIELDS[name][1](value)
    except Invalid as error:
        raise Invalid(error.message, field=error.field or name) from None
