"""A placement as it is typed: nothing of it is lost, right or wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from flask_babel import gettext, lazy_gettext
from werkzeug.datastructures import MultiDict

from engine.errors import Invalid, every
from recommender import placements
from recommender.business import RULES, Rules, parse
from recommender.placements import Plan
from recommender.sources import NAMES
from web.pages.recommendations.seen import SAVES

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


class Fault(NamedTuple):
    """One fault as the page tells it: what it is called, why, and the control it stands beside."""

    label: str
    words: str
    control: str


@dataclass(frozen=True)
class Draft:
    """given: the rules as JSON, as far as they can be; plan: what can be used of it, the rest as it was saved; faults:
    why not all of it; asked: somebody wants to save it, so that what is only half typed is at fault, too.
    """

    key: str
    name: str
    sources: tuple[str, ...]
    given: Mapping[str, Any]
    plan: Plan
    faults: tuple[Invalid, ...] = ()
    asked: bool = False

    @classmethod
    def of(cls, plan: Plan) -> Draft:
        """Of a placement as it is."""
        return cls(plan.key, plan.name, plan.sources, plan.rules.json(), plan)

    @classmethod
    def typed(cls, saved: Plan, key: str, form: Form) -> Draft:
        """What somebody typed, after the button they pressed."""
        given = {name: KINDS[about.kind].read(form, name) for name, about in RULES.items()}
        given = {name: RULES[name].default if value is None else value for name, value in given.items()}
        act, _, what = form.get("act", "").partition(":")
        sources = tuple(_moved([name for name in form.getlist("source") if name in NAMES], act, what))
        if act == "drop":
            rule, _, at = what.partition(":")
            given[rule] = [one for place, one in enumerate(given[rule]) if str(place) != at]
        name = form.get("name", "")
        faults: tuple[Invalid, ...] = ()
        try:
            plan = placements.planned(key, name, sources, given)
        except Invalid as error:
            faults = every(error)
            plan = Plan(key, name, sources or saved.sources, _usable(saved.rules, given, faults))
        return cls(key, name, sources, given, plan, faults, act in ASKS)

    def shown(self, name: str) -> Any:
        """What the form shows of a rule."""
        return KINDS[RULES[name].kind].show(self.given.get(name))

    def wrong(self, name: str) -> str:
        """The words beside a control that is at fault as a whole."""
        return self._told(name, None, half=False)

    def wrong_row(self, name: str, row: int) -> str:
        """The words below a row of a rule."""
        return self._told(name, str(row), half=False)

    def missing(self, name: str, row: int) -> str:
        """What a row that is half typed still wants."""
        return self._told(name, str(row), half=True)

    def _told(self, name: str, row: str | None, *, half: bool) -> str:
        """The words of all faults there, of what is half typed or of all else."""
        found = []
        for fault in self.faults:
            rule, *rest = _path(fault)
            at = rest[0] if rest and rule in RULES and RULES[rule].kind in ROWS else None
            if (rule, at) == (name, row) and half == (not self.asked and self._is_half(fault)):
                found.append(_words(rule, fault))
        return " ".join(found)

    def _is_half(self, fault: Invalid) -> bool:
        """Nothing is wrong there, something is still to come."""
        rule, *rest = _path(fault)
        if rule in ("key", "name"):
            return not getattr(self, rule).strip()
        if rule not in RULES or RULES[rule].kind not in ROWS or len(rest) < 2:
            return False
        return rest[1] not in self.given[rule][int(rest[0])]

    @property
    def told(self) -> list[Fault]:
        """All faults, each with the control it is about."""
        return [Fault(_label(fault), _words(_path(fault)[0], fault), _control(fault)) for fault in self.faults]

    @property
    def left_out(self) -> list[str]:
        """What cannot be shown yet, by name."""
        return list(dict.fromkeys(_label(fault) for fault in self.faults if _path(fault)[0] not in ("key", "name")))


ASKS: Final = (*SAVES, "compare")
ROWS: Final = ("pins", "buries")
OWN: Final = {"key": lazy_gettext("Key"), "name": lazy_gettext("Name"), "sources": lazy_gettext("Sources")}


def _path(fault: Invalid) -> list[str]:
    return (fault.field or "").removeprefix("rules.").split(".")


def _label(fault: Invalid) -> str:
    rule = _path(fault)[0]
    return str(OWN.get(rule, "")) or (RULES[rule].label if rule in RULES else "")


def _control(fault: Invalid) -> str:
    """The id of the control at fault: of a row, the one where it is to be mended."""
    rule, *rest = _path(fault)
    return f"{rule}-{rest[1]}-{rest[0]}" if rule in RULES and RULES[rule].kind in ROWS and len(rest) > 1 else rule


def _words(rule: str, fault: Invalid) -> str:
    about = RULES.get(rule)
    if about and about.kind == "share" and "number from" in fault.message:
        return str(
            gettext("Write a percentage from %(least)s to %(most)s.", least=f"{about.least * 100:g}", most="100")
        )
    return fault.message


def _usable(saved: Rules, given: Mapping[str, Any], faults: Iterable[Invalid]) -> Rules:
    """Of what was typed all that can be used: rows of a rule one by one, any other rule as a whole."""
    usable, dropped = dict(given), defaultdict[str, set[int]](set)
    for rule, *rest in map(_path, faults):
        if rule in RULES and RULES[rule].kind in ROWS and rest:
            dropped[rule].add(int(rest[0]))
        elif rule in RULES:
            usable[rule] = saved.json()[rule]
    for rule, rows in dropped.items():
        usable[rule] = [one for row, one in enumerate(given[rule]) if row not in rows]
    try:
        return parse(usable)
    except Invalid:  # what is typed and what was saved do not go together
        return saved


def _moved(sources: list[str], act: str, what: str) -> list[str]:
    """The sources after a button: up, down, take out, or add."""
    if act == "add" and what in NAMES and what not in sources:
        return [*sources, what]
    if what not in sources:
        return sources
    place = sources.index(what)
    if act == "out":
        return [name for name in sources if name != what]
    other = place + {"up": -1, "down": 1}.get(act, 0)
    if 0 <= other < len(sources):
        sources[place], sources[other] = sources[other], sources[place]
    return sources
