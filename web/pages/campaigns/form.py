"""The form of a draft: what was typed as a plan, and the blocks of an e-mail with what was done to them.

A block has a key as long as the page is open ("b3"): it names the block's fields and stays with it when it moves, so
that the focus does too. The order of the hidden fields called "block" is the order of the blocks. A removed one stays
in the form, hidden at its place and marked "b3-gone", until the page is opened anew: so it can come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from campaigns import planning, plans
from campaigns.content.blocks import KINDS
from campaigns.models import Campaign, Variant
from engine import money
from engine.errors import Invalid

Form = MultiDict[str, str]
Keyed = list[tuple[str, dict[str, Any]]]
GONE: Final = "gone"  # in a block that was removed

PLAIN: Final = ("name", "channel", "subject", "preheader", "text")
COSTS: Final = ("fixed_cost", "message_cost")
# What changes how many are reached and what that costs.
REACH: Final = frozenset({"channel", "list_id", "holdout", "window_days", *COSTS})
FILLED: Final[Mapping[str, Mapping[str, str]]] = {"products": {"title": "Picked for you"}}


@dataclass(frozen=True)
class Read:
    """What a form says: fields that can be kept, why others cannot, and its blocks in order, removed ones too."""

    plan: dict[str, Any]
    refused: dict[str, str]
    rows: Keyed


def read(form: Form, zone: ZoneInfo) -> Read:
    """A plan from what was posted; fields that are not in the form are left alone."""
    plan: dict[str, Any] = {name: form[name] for name in PLAIN if name in form}
    plan |= {name: form[name].strip() or "0" for name in COSTS if name in form}
    plan |= {name: _number(form[name]) for name in ("list_id", "window_days") if name in form}
    if "holdout" in form:
        percent = _number(form["holdout"])
        plan["holdout"] = percent / 100 if isinstance(percent, int) else percent
    refused = {}
    if "when" in form:
        try:
            plan["due_at"] = _time(form, zone)
        except Invalid as error:
            refused["at"] = error.message
    keyed = _blocks(form)
    if plan.get("channel") == "email" and "subject" in form:
        plan["blocks"] = [block for _, block in keyed if GONE not in block]
    refused |= {name: error.message for name, error in plans.faults(plan).items()}
    kept = {name: value for name, value in plan.items() if name not in refused}
    return Read(kept, refused, keyed)


def _number(text: str) -> int | str | None:
    """A whole number, nothing, or what was typed instead of one."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 10 else text or None


def _time(form: Form, zone: ZoneInfo) -> datetime | None:
    if form["when"] != "at":
        return None
    at = form.get("at", "").strip()
    if not at:
        raise Invalid("Choose the day and the time, or now.", field="at")
    return planning.wall_time(at, zone)


def changes(plan: Mapping[str, Any], campaign: Campaign, variant: Variant) -> dict[str, Any]:
    """What of a plan differs from what is kept."""
    return {name: value for name, value in plan.items() if _kept(name, campaign, variant) != _comparable(name, value)}


def _kept(name: str, campaign: Campaign, variant: Variant) -> Any:
    return getattr(campaign if plans.FIELDS[name][0] is Campaign else variant, name)


def _comparable(name: str, value: Any) -> Any:
    return money.parse(value) if name in COSTS else value


def _blocks(form: Form) -> Keyed:
    """The blocks as typed, after what was done to them ("act")."""
    keyed = [(key, _block(form, key)) for key in form.getlist("block") if form.get(f"{key}-type") in KINDS]
    act, _, what = form.get("act", "").partition(":")
    return ACTS[act](keyed, what) if act in ACTS else keyed


def _block(form: Form, key: str) -> dict[str, Any]:
    kind = form[f"{key}-type"]
    typed = {
        name: form[f"{key}-{name}"].replace("\r\n", "\n") for name in KINDS[kind].fields if f"{key}-{name}" in form
    }
    gone = {GONE: True} if f"{key}-{GONE}" in form else {}
    return {"type": kind, **gone} | {
        name: int(value)
        if isinstance(KINDS[kind].fields[name], int) and value.isdecimal() and len(value) < 10
        else value
        for name, value in typed.items()
    }


def _add(keyed: Keyed, kind: str) -> Keyed:
    if kind not in KINDS:
        return keyed
    fields = {name: default if default is not None else "" for name, default in KINDS[kind].fields.items()}
    return [*keyed, (_free(keyed), {"type": kind, **fields, **FILLED.get(kind, {})})]


def _copy(keyed: Keyed, key: str) -> Keyed:
    at = _place(keyed, key)
    return keyed if at is None else [*keyed[: at + 1], (_free(keyed), dict(keyed[at][1])), *keyed[at + 1 :]]


def _remove(keyed: Keyed, key: str) -> Keyed:
    return [(name, {**block, GONE: True} if name == key else block) for name, block in keyed]


def _back(keyed: Keyed, key: str) -> Keyed:
    """Bring a removed block back to where it was."""
    kept = {name: {field: value for field, value in block.items() if field != GONE} for name, block in keyed}
    return [(name, kept[name] if name == key else block) for name, block in keyed]


def _move(by: int) -> Callable[[Keyed, str], Keyed]:
    def move(keyed: Keyed, key: str) -> Keyed:
        """Change places with the next block that is seen."""
        seen = [at for at, (name, block) in enumerate(keyed) if GONE not in block or name == key]
        at = _place(keyed, key)
        to = seen.index(at) + by if at is not None else -1
        if at is None or not 0 <= to < len(seen):
            return keyed
        moved = list(keyed)
        moved[at], moved[seen[to]] = moved[seen[to]], moved[at]
        return moved

    return move


ACTS: Final[Mapping[str, Callable[[Keyed, str], Keyed]]] = {
    "add": _add,
    "copy": _copy,
    "remove": _remove,
    "back": _back,
    "up": _move(-1),
    "down": _move(1),
}


def _place(keyed: Keyed, key: str) -> int | None:
    return next((at for at, (name, _) in enumerate(keyed) if name == key), None)


def _free(keyed: Keyed) -> str:
    numbers = [int(key[1:]) for key, _ in keyed if key[1:].isdecimal() and len(key) < 10]
    return f"b{max(numbers, default=-1) + 1}"
