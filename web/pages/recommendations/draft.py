"""A placement as it is typed: nothing of it is lost, right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from flask_babel import gettext
from werkzeug.datastructures import MultiDict

from engine.errors import Invalid
from recommender import placements
from recommender.business import RULES
from recommender.placements import Plan
from recommender.sources import NAMES

Form = MultiDict[str, str]
PIN: Final = ("item", "position", "from", "until")


class Kind(NamedTuple):
    """How a kind of rule is typed: from the form to JSON, and from JSON to what the form shows."""

    read: Callable[[Form, str], Any]
    show: Callable[[Any], Any] = lambda value: value


def _text(form: Form, name: str) -> str | None:
    return form.get(name, "").strip() or None


def _number(form: Form, name: str) -> float | str | None:
    typed = _text(form, name)
    try:
        return None if typed is None else float(typed) if "." in typed else int(typed)
    except ValueError:
        return typed


def _share(form: Form, name: str) -> float | str | None:
    typed = _number(form, name)
    return typed if isinstance(typed, str | None) else typed / 100


def _percent(value: Any) -> Any:
    return value if isinstance(value, str | None) else f"{value * 100:g}"


def _entries(form: Form, name: str) -> list[str]:
    return list(dict.fromkeys(typed.strip() for typed in form.getlist(name) if typed.strip()))


def _pins(form: Form, name: str) -> list[dict[str, Any]]:
    columns = [[typed.strip() for typed in form.getlist(f"{name}-{part}")] for part in PIN]
    rows = [dict(zip(PIN, row, strict=True)) for row in zip_longest(*columns, fillvalue="")]
    rows = [{part: typed for part, typed in row.items() if typed} for row in rows]
    return [
        {part: _whole(typed) if part == "position" else typed for part, typed in row.items()} for row in rows if row
    ]


def _whole(typed: str) -> int | str:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else typed


KINDS: Final = {
    "truth": Kind(lambda form, name: name in form),
    "amount": Kind(_text),
    "share": Kind(_share, _percent),
    "number": Kind(_number),
    "count": Kind(_number),
    "paths": Kind(_entries),
    "items": Kind(_entries),
    "pins": Kind(_pins),
    "buries": Kind(_pins),
}


@dataclass(frozen=True)
class Draft:
    """given: the rules as JSON, as far as they can be; fault: why it cannot be used."""

    key: str
    name: str
    sources: tuple[str, ...]
    given: Mapping[str, Any]
    plan: Plan | None = None
    fault: Invalid | None = None

    @classmethod
    def of(cls, plan: Plan) -> Draft:
        """Of a placement as it is."""
        return cls(plan.key, plan.name, plan.sources, plan.rules.json(), plan)

    @classmethod
    def typed(cls, key: str, form: Form) -> Draft:
        """What somebody typed, after the button they pressed."""
        given = {name: KINDS[about.kind].read(form, name) for name, about in RULES.items()}
        given = {name: RULES[name].default if value is None else value for name, value in given.items()}
        act, _, what = form.get("act", "").partition(":")
        sources = _moved([name for name in form.getlist("source") if name in NAMES], act, what, form.get("more", ""))
        if act == "drop":
            rule, _, at = what.partition(":")
            given[rule] = [one for place, one in enumerate(given[rule]) if str(place) != at]
        return cls(key, form.get("name", ""), tuple(sources), given)._checked()

    def _checked(self) -> Draft:
        try:
            return replace(self, plan=placements.planned(self.key, self.name, self.sources, self.given))
        except Invalid as error:
            return replace(self, fault=error)

    def shown(self, name: str) -> Any:
        """What the form shows of a rule."""
        return KINDS[RULES[name].kind].show(self.given.get(name))

    def wrong(self, name: str) -> str:
        """The words beside the control that is at fault."""
        field = (self.fault.field or "").removeprefix("rules.") if self.fault else ""
        if self.fault is None or field.partition(".")[0] != name:
            return ""
        about = RULES.get(name)
        if about and about.kind == "share" and "number from" in self.fault.message:
            return str(
                gettext("Write a percentage from %(least)s to %(most)s.", least=f"{about.least * 100:g}", most="100")
            )
        return self.fault.message


def _moved(sources: list[str], act: str, what: str, more: str) -> list[str]:
    """The sources after a button: up, down, take out, or add."""
    if act == "add" and more in NAMES and more not in sources:
        return [*sources, more]
    if what not in sources:
        return sources
    place = sources.index(what)
    if act == "out":
        return [name for name in sources if name != what]
    other = place + {"up": -1, "down": 1}.get(act, 0)
    if 0 <= other < len(sources):
        sources[place], sources[other] = sources[other], sources[place]
    return sources
