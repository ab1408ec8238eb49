"""What the browser posted -> a draft. The form is the whole state, half-typed values included."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from decimal import Decimal
from itertools import count, takewhile
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from engine.criteria import scored
from engine.criteria.duration import LAST, SCALES
from engine.criteria.operators import MANY, NUMBERS, OPERATORS
from engine.criteria.parse import DEPTH_LIMIT
from engine.errors import Invalid
from engine.fields import MEASURES
from web.pages.lists.draft import BLANK, GROUPS, MODES, ROOTS, UNIT, Draft, group, rooted
from web.pages.lists.words import TYPED

Form = MultiDict[str, str]

DAYS: Final = "90"  # of a new window
DAY_SCALE: Final = "days"  # what is meant before another is chosen
NUMERIC: Final = {*NUMBERS, "days", "reference", "count", "percent", "month", "weekday"}  # types written as numbers

_NUMBER: Final = re.compile(r"[+-]?(\d{1,16}|\d{1,3}(,\d{3}){1,4})(\.\d{1,20})?|[+-]?\.\d{1,20}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}


def posted(form: Form) -> Draft:
    """The draft that a form holds."""
    boxes = {key: _node(form, place, 0) for place, key in ROOTS.items() if _is_there(form, place)}
    return rooted({"include": {"all": []}, **boxes, "unit": form.get("unit", UNIT)})


def _is_there(form: Form, place: str) -> bool:
    return any(f"{place}.{key}" in form for key in ("kind", "what", "other"))


def _node(form: Form, place: str, depth: int) -> Draft:
    if depth > 2 * DEPTH_LIMIT:
        raise Invalid(f"The criteria are nested deeper than {DEPTH_LIMIT} levels.")
    if f"{place}.kind" in form:
        nodes = [_node(form, f"{place}.{index}", depth + 1) for index in _numbers(form, place)]
        return _group(form, place, nodes)
    if f"{place}.other" in form:
        return _other(form[f"{place}.other"])
    kind = form.get(f"{place}.what", "").partition(":")[0]
    if kind in scored.KINDS:
        return _posted_scored(form, place, scored.KINDS[kind])
    return READERS.get(kind, _posted_leaf)(form, place)


def _key(form: Form, place: str) -> str:
    """The field or event of a condition: chosen, or its name typed."""
    what = form.get(f"{place}.what", "")
    return what.partition(":")[2] + (form.get(f"{place}.named", "").strip() if what in TYPED else "")


def _other(text: str) -> Draft:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("The page sent a condition that cannot be read. Load it again.") from None


def _group(form: Form, place: str, nodes: list[Draft]) -> Draft:
    kind = form[f"{place}.kind"] if form[f"{place}.kind"] in GROUPS else "all"
    if kind == "not" and not nodes:
        return {"not": deepcopy(BLANK)}
    least = form.get(f"{place}.at_least", "2" if len(nodes) > 2 else "1")
    return group(kind, nodes, number(least))


def _numbers(form: Form, place: str) -> Iterator[int]:
    """0, 1, ... as long as there is such a child."""
    return takewhile(lambda index: _is_there(form, f"{place}.{index}"), count())


def _is_anew(form: Form, place: str) -> bool:
    """Was another subject chosen than the controls are of?"""
    chosen = form.get(f"{place}.what", "")
    return form.get(f"{place}.was", chosen) != chosen


def _posted_leaf(form: Form, place: str) -> Draft:
    """A field compared; one that was just chosen starts anew."""
    key = _key(form, place)
    if _is_anew(form, place):
        return {"field": key, "operator": "", "value": ""}
    return {"field": key, **_question(form, place, form.get(f"{place}.type", "text"))}


def _posted_list(form: Form, place: str) -> Draft:
    return {"list": number(form.get(f"{place}.list", ""))}


def _posted_scored(form: Form, place: str, kind: scored.Kind) -> Draft:
    """A leaf of a registered kind: what is filled in."""
    made: Draft = {kind.key: {}}
    for one in kind.inputs:
        text, (head, _, inner) = form.get(f"{place}.{one.key}", "").strip(), one.key.partition(".")
        if text:
            (made[head] if inner else made)[inner or head] = _value(text, one.type, (one.type,))
    if kind.type is None:
        return made
    asked = {"operator": "", "value": ""} if _is_anew(form, place) else _question(form, place, kind.type)
    return {**made, **asked}


def _posted_event(form: Form, place: str) -> Draft:
    measure = form.get(f"{place}.measure", "count")
    takes = measure not in MEASURES or MEASURES[measure].types
    optional = {
        "property": form.get(f"{place}.property", "") if takes else None,
        "within": _within(form, place),
        "compared_to": form.get(f"{place}.compared_to") or None,
    }
    given = {key: value for key, value in optional.items() if value is not None}
    return {**_deed(form, place), "measure": measure, **given, **_asked_of(form, place, measure)}


def _asked_of(form: Form, place: str, measure: str) -> Draft:
    """The question to a measure; it starts anew when the measure gives another kind of value than it was asked of."""
    if f"{place}.measured" not in form:
        return {"operator": "at_least", "value": 1}
    before, _, property_ = form[f"{place}.measured"].partition(" ")
    is_same = _result(before) == _result(measure) != "own" or (before, property_) == (
        measure, form.get(f"{place}.property", ""))  # fmt: skip
    return _question(form, place, form.get(f"{place}.type", "number")) if is_same else {"operator": "", "value": ""}


def _result(measure: str) -> str:
    result = MEASURES[measure].result if measure in MEASURES else "amount"
    return "number" if result == "amount" else result


def _posted_sequence(form: Form, place: str) -> Draft:
    """Steps; one that was just chosen has two."""
    places = [f"{place}.sequence.{index}" for index in _numbers(form, f"{place}.sequence")]
    steps = [_step(form, at) for at in places] or [{"event": ""}, {"event": ""}]
    within = _within(form, place)
    return {"sequence": steps, **({"within": within} if within is not None else {})}


def _step(form: Form, place: str) -> Draft:
    """What did not happen needs its time."""
    absent = bool(form.get(f"{place}.not"))
    return {**_deed(form, place), **_waits(form, place, needed=absent), **({"not": True} if absent else {})}


def _lasting(form: Form, place: str, prefix: str = "", default: str = "") -> Draft:
    """How long: the number in its box, which has the name of the scale it was shown in, and the scale chosen since."""
    shown = next((key for key in SCALES if f"{place}.{prefix}{key}" in form), None)
    if shown is None:
        return {f"{prefix}{DAY_SCALE}": number(default)}
    chosen = form.get(f"{place}.scale", shown)
    return {prefix + (chosen if chosen in SCALES else shown): number(form[f"{place}.{prefix}{shown}"].strip())}


def _waits(form: Form, place: str, *, needed: bool) -> Draft:
    """How long to wait; as long as may be where nothing is typed and no other scale than days was chosen."""
    lasting = _lasting(form, place)
    return lasting if needed or lasting != {DAY_SCALE: ""} else {}


def _deed(form: Form, place: str) -> Draft:
    """An event with its conditions."""
    where = [_posted_leaf(form, f"{place}.where.{index}") for index in _numbers(form, f"{place}.where")]
    return {"event": _key(form, place), **({"where": where} if where else {})}


def _within(form: Form, place: str) -> Draft | None:
    """The window, None for any time."""
    mode = form.get(f"{place}.window", "")
    if mode not in MODES:
        return None
    if mode == "since":
        return {"since": _deed(form, f"{place}.within.since"), **_waits(form, f"{place}.within", needed=False)}
    given = {key: form.get(f"{place}.within.{key}", "") for key in MODES[mode]}
    if mode == "between":
        return {key: value for key, value in given.items() if value} or {"from": ""}
    return {**_lasting(form, f"{place}.within", LAST, DAYS), **given}


def _question(form: Form, place: str, kind: str) -> Draft:
    key = form.get(f"{place}.operator", "")
    operator = OPERATORS.get(key)
    given = form.getlist(f"{place}.value")
    if operator is None:
        return {"operator": key, "value": given[0] if given else ""}
    if operator.values == 0:
        return {"operator": key}
    values = [_value(text, operator.takes or kind, operator.types) for text in given]
    if operator.values == MANY:
        return {"operator": key, "value": _many(form, place, operator.takes or kind, operator.types)}
    if operator.values == 2:
        return {"operator": key, "value": [*values, "", ""][:2]}
    return {"operator": key, "value": values[0] if values else ""}


def _many(form: Form, place: str, kind: str, types: tuple[str, ...]) -> list[Any]:
    """One value a control or a line; numbers may also stand in one line, with commas or spaces between."""
    given = [line for text in form.getlist(f"{place}.value") for line in text.splitlines()]
    if kind in NUMBERS:
        given = [
            word for line in given for word in (line if _NUMBER.fullmatch(line) else line.replace(",", " ")).split()
        ]
    return [_value(text, kind, types) for text in given if text.strip()]


def _value(text: str, kind: str, types: tuple[str, ...]) -> Any:
    """A value of a type; where the operator does not know the type, what it looks like decides."""
    if kind == "yes_no" and kind in types:
        return _BOOLEANS.get(text, text)
    if kind in NUMERIC or (kind not in types and "text" not in types):
        return number(text)
    return text


def number(text: str) -> Any:
    """12, 12.5 or 1,234 as a number; anything else stays the text it is."""
    if not _NUMBER.fullmatch(text.strip()):
        return text
    value = Decimal(text.strip().replace(",", ""))
    return int(value) if value == value.to_integral_value() else float(value)


READERS: Final[dict[str, Callable[[Form, str], Draft]]] = {
    "event": _posted_event,
    "sequence": _posted_sequence,
    "list": _posted_list,
}
