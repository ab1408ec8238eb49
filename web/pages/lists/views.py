"""A draft as the page shows it: each node with its choices, its count and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from flask_babel import gettext

from engine.criteria.operators import OPERATORS
from engine.fields import Field
from engine.preview import Clause
from web.pages.lists.draft import ROOT, Draft, children, group, kind_of, mode_of, text_of, texts
from web.pages.lists.words import TYPED, Grouped, Options, Vocabulary, named, values_id

INLINE: Final = 20  # values of "is one of" that get a control each; more are one a line


@dataclass(frozen=True)
class Shown:
    """A node. `faults`: by control ("value", "within.from"), relative to the place; "" is the node as a whole."""

    place: str
    kind: str
    faults: Mapping[str, str]
    clause: Clause | None
    node: Draft = field(repr=False)

    @property
    def message(self) -> str:
        """What is wrong, in one line."""
        return " ".join(dict.fromkeys(self.faults.values()))

    def wrong(self, *controls: str) -> bool:
        """Is one of these controls at fault?"""
        return any(control in self.faults for control in controls)


@dataclass(frozen=True)
class ShownGroup(Shown):
    """all, any, none, not, at_least."""

    nodes: list[Shown]

    @property
    def least(self) -> str:
        """k of "at least k of"."""
        return text_of(self.node.get("at_least", ""))


@dataclass(frozen=True)
class Subject:
    """What a condition is about. `choices`: id of the list to choose from, which stands once in the page; `typed`: the
    name in the box beside it, `names` those that fit what is typed. None: there is no box.
    """

    what: str
    words: str
    choices: str
    typed: str | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True)
class ShownLeaf(Shown):
    """A field compared, of contacts or of an event's rows."""

    subject: Subject
    type: str
    operator: str
    operators: Grouped
    control: str  # none, value, range, several, lines or days
    values: list[str]
    suggestions: str  # id of the list of values, "" without

    @property
    def input(self) -> str:
        """What the control takes: number, money, date, yes_no or text."""
        if self.type in {"date", "moment"}:
            return "date" if all(len(value) in {0, 10} for value in self.values) else "text"
        return self.type if self.type in {"number", "money", "yes_no"} else "text"


@dataclass(frozen=True)
class ShownEvent(ShownLeaf):
    """What people did."""

    measure: str
    measures: Options
    property: str
    properties: Options
    window: str
    within: Mapping[str, str]
    where: list[ShownLeaf]


@dataclass(frozen=True)
class ShownList(Shown):
    """Being on a list."""

    subject: Subject
    list_id: str
    lists: Options


@dataclass(frozen=True)
class ShownOther(Shown):
    """Something the form has no controls for."""

    json: str


@dataclass
class Shower:
    """Makes the nodes; remembers which suggestions and choices they need."""

    words: Vocabulary
    clauses: Mapping[str, Clause]  # by place
    faults: Mapping[str, str]  # by control
    suggestions: dict[str, tuple[str, str]] = field(default_factory=dict)  # id: (event, field)
    choices: dict[str, Grouped] = field(default_factory=dict)  # by id

    def node(self, node: Draft, place: str = ROOT) -> Shown:
        """A node and all below."""
        kind = kind_of(node)
        common = {
            "place": place,
            "kind": kind,
            "faults": self._faults(place),
            "clause": self.clauses.get(place),
            "node": node,
        }
        if kind in {"field", "event"}:
            return ShownLeaf(**common, **self._leaf(node)) if kind == "field" else self._event(common, node)
        if kind == "list":
            chosen = text_of(node["list"])
            known = named(self.words.lists, chosen, gettext("List %(number)s (gone)", number=chosen) if chosen else "")
            return ShownList(**common, subject=self._subject("list:", ""), list_id=chosen, lists=known)
        if kind == "other":
            return ShownOther(**common, json=json.dumps(node, ensure_ascii=False))
        return ShownGroup(
            **common, nodes=[self.node(one, f"{place}.{index}") for index, one in enumerate(children(node))]
        )

    def _leaf(self, node: Draft, event: str | None = None) -> dict[str, Any]:
        key = node["field"]
        types = self.words.field_types(node, event)
        kind = self.words.reading(node, types)
        return {
            "subject": self._subject("field:", key, event),
            "suggestions": self._suggestions(self.words.field(key, event), event),
            **self._question(node, types, kind, amount=False),
        }

    def _subject(self, kind: str, key: str, event: str | None = None) -> Subject:
        """A field, an event or a list. What is gone, or was never there, is its own name."""
        name = "subjects" if event is None else f"subjects-{quote(event, safe='')}"
        if name not in self.choices:
            self.choices[name] = self.words.subjects if event is None else [("", self.words.conditions(event))]
        offered = {value: words for _, options in self.choices[name] for value, words in options}
        what = f"{kind}{key}"
        prefix = next((one for one in TYPED if one in offered and what.startswith(one)), None)
        if prefix and (what == prefix or what not in offered):
            typed = what.removeprefix(prefix)
            names = self.words.catalogue.more(TYPED[prefix], event or "", words=typed)
            own = [one.removeprefix(f"{TYPED[prefix]}.") for one in names]
            return Subject(prefix, offered[prefix], name, typed, own)
        return Subject(what, offered.get(what, key), name)

    def _event(self, common: dict[str, Any], node: Draft) -> ShownEvent:
        event, measure, chosen = node["event"], node.get("measure", ""), node.get("property", "")
        kind = self.words.amount_type(node)
        within = {key: text_of(value) for key, value in node.get("within", {}).items()}
        where = [
            ShownLeaf(place, "field", self._faults(place), None, leaf, **self._leaf(leaf, event))
            for place, leaf in ((f"{common['place']}.where.{i}", leaf) for i, leaf in enumerate(node.get("where", [])))
        ]
        properties = self.words.properties(event, measure)
        return ShownEvent(
            **common,
            subject=self._subject("event:", event),
            suggestions="",
            **self._question(node, (kind,), kind, amount=True),
            measure=measure,
            measures=named(self.words.measures(event), measure),
            property=chosen,
            properties=named(properties, chosen) if "property" in node else [],
            window=mode_of(within),
            within=within,
            where=where,
        )

    def _question(self, node: Draft, types: tuple[str, ...], kind: str, *, amount: bool) -> dict[str, Any]:
        key = node.get("operator", "")
        operator = OPERATORS.get(key)
        values, control = texts(node), operator.control if operator else "value"
        if control == "several" and (len(values) > INLINE or kind in {"number", "money"}):
            control = "lines"
        choices = self._including(self.words.operators(types, amount=amount), key, key)
        return {"type": kind, "operator": key, "operators": choices, "control": control, "values": values}

    def _including(self, grouped: Grouped, value: str, words: str) -> Grouped:
        """The groups, and the chosen one when it is in none of them: something that is gone, or was never there."""
        if not words or any(value == key for _, options in grouped for key, _ in options):
            return grouped
        return [("", [(value, words)]), *grouped]

    def _suggestions(self, row: Field | None, event: str | None) -> str:
        if row is None or not row.options:
            return ""
        name = values_id(row.key, event or "")
        self.suggestions[name] = (event or "", row.key)
        return name

    def _faults(self, place: str) -> dict[str, str]:
        """Those at this node's own controls."""
        return {control: message for (at, control), message in _by_place(self.faults).items() if at == place}


def _by_place(faults: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """ "n.0.where.1.value" -> ("n.0.where.1", "value"); places end in a number, controls begin with a word."""
    found = {}
    for name, message in faults.items():
        parts = name.split(".")
        size = 1
        while size < len(parts) and (parts[size].isdigit() or (parts[size] == "where" and parts[size + 1 :])):
            size += 1
        found[".".join(parts[:size]), ".".join(parts[size:])] = message
    return found


def settled(node: Draft, words: Vocabulary) -> Draft:
    """The draft with what a subject that was just chosen begins with."""
    nodes = children(node)
    if nodes:
        return group(kind_of(node), [settled(one, words) for one in nodes], node.get("at_least"))
    return words.settled(node) if kind_of(node) in {"field", "event"} else node
