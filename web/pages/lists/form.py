"""What the browser posted -> a draft. The form is the whole state, half-typed values included."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from engine.criteria.operators import MANY, NUMBERS, OPERATORS
from engine.criteria.parse import DEPTH_LIMIT
from engine.errors import Invalid
from engine.fields import MEASURES
from web.pages.lists.draft import BLANK, GROUPS, MODES, ROOT, Draft, group, rooted
from web.pages.lists.words import TYPED

Form = MultiDict[str, str]

DAYS: Final = 90  # of a new window
NUMERIC: Final = {*NUMBERS, "days", "reference", "count", "percent", "month", "weekday"}  # types written as numbers

_NUMBER: Final = re.compile(r"[+-]?(\d{1,16}|\d{1,3}(,\d{3}){1,4})(\.\d{1,20})?|[+-]?\.\d{1,20}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}


def posted(form: Form) -> Draft:
    """The draft that a form holds."""
    return rooted(_node(form, ROOT, 0) or {"all": []})


def _node(form: Form, place: str, depth: int) -> Draft:
    if depth > 2 * DEPTH_LIMIT:
        raise Invalid(f"The criteria are nested deeper than {DEPTH_LIMIT} levels.")
    if f"{place}.kind" in form:
        nodes = [_node(form, f"{place}.{index}", depth + 1) for index in _numbers(form, place)]
        return _group(form, place, nodes)
    if f"{place}.other" in form:
        return _other(form[f"{place}.other"])
    kind = form.get(f"{place}.what", "").partition(":")[0]
    if kind == "event":
        return _posted_event(form, place)
    if kind == "list":
        return {"list": number(form.get(f"{place}.list", ""))}
    return _posted_leaf(form, place)


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
    index = 0
    while any(f"{place}.{index}.{key}" in form for key in ("kind", "what", "other")):
        yield index
        index += 1


def _posted_leaf(form: Form, place: str) -> Draft:
    """A field compared; one that was just chosen starts anew."""
    chosen, key = form.get(f"{place}.what", "").partition(":")[2], _key(form, place)
    if form.get(f"{place}.was", chosen) != chosen:
        return {"field": key, "operator": "", "value": ""}
    return {"field": key, **_question(form, place, form.get(f"{place}.type", "text"))}


def _posted_event(form: Form, place: str) -> Draft:
    measure = form.get(f"{place}.measure", "count")
    takes = measure not in MEASURES or MEASURES[measure].types
    window = form.get(f"{place}.window", "")
    where = [_posted_leaf(form, f"{place}.where.{index}") for index in _numbers(form, f"{place}.where")]
    optional = {
        "property": form.get(f"{place}.property", "") if takes else None,
        "within": _window(form, place, window) if window in MODES else None,
        "where": where or None,
    }
    question = _question(form, place, "number") if f"{place}.operator" in form else {"operator": "at_least", "value": 1}
    return {
        "event": _key(form, place),
        "measure": measure,
        **{k: v for k, v in optional.items() if v is not None},
        **question,
    }


def _window(form: Form, place: str, mode: str) -> Draft:
    given = {key: form.get(f"{place}.within.{key}", str(DAYS) if key == "last_days" else "") for key in MODES[mode]}
    if mode == "between":
        return {key: value for key, value in given.items() if value} or {"from": ""}
    return {key: number(value) if key == "last_days" else value for key, value in given.items()}


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
