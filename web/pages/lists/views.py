"""A draft -> what the templates show: each node with its controls, its count and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from flask_babel import gettext, lazy_gettext

from engine.criteria import scored
from engine.criteria.duration import LAST
from engine.criteria.operators import OPERATORS
from engine.fields import Field
from engine.preview import Clause
from web.pages.lists.draft import ROOT, Draft, children, group, inputs, kind_of, mode_of, scale_of, text_of, texts
from web.pages.lists.shown import (
    Box,
    Choice,
    Deed,
    Question,
    Shown,
    ShownEvent,
    ShownGroup,
    ShownLeaf,
    ShownOther,
    ShownSequence,
    Subject,
)
from web.pages.lists.words import TYPED, Grouped, Options, Vocabulary, named, values_id

INLINE: Final = 20  # values of "is one of" that get a control each; more are one a line


@dataclass
class Shower:
    """Makes the nodes; remembers which suggestions and choices they need."""

    words: Vocabulary
    clauses: Mapping[str, Clause]  # by place
    faults: Mapping[str, str]  # by control
    unfinished: Sequence[str] = ()  # places
    suggestions: dict[str, tuple[str, str]] = field(default_factory=dict)  # id: (event, field)
    options: dict[str, Options] = field(default_factory=dict)  # suggestions that are here already, by id
    choices: dict[str, Grouped] = field(default_factory=dict)  # by id

    def __post_init__(self) -> None:
        self._by_place: dict[str, dict[str, str]] = {}
        for name, message in self.faults.items():
            place, control = parted(name)
            self._by_place.setdefault(place, {})[control] = message

    def node(self, node: Draft, place: str = ROOT) -> Shown:
        """A node and all below."""
        kind = kind_of(node)
        common = self._common(node, place, kind)
        if kind in scored.KINDS:
            return ShownLeaf(**common, **self._scored(node, place, scored.KINDS[kind]))
        if kind in SHOWN:
            return SHOWN[kind](self, node, common)
        return ShownGroup(
            **common, nodes=[self.node(one, f"{place}.{index}") for index, one in enumerate(children(node))]
        )

    def _common(self, node: Draft, place: str, kind: str) -> dict[str, Any]:
        return {
            "place": place,
            "kind": kind,
            "faults": self._by_place.get(place, {}),
            "clause": self.clauses.get(place),
            "node": node,
            "is_open": place in self.unfinished,
        }

    def leaf(self, node: Draft, common: dict[str, Any], event: str | None = None) -> ShownLeaf:
        """A field compared."""
        key, place = node["field"], common["place"]
        subject = self._subject(f"field:{key}", "subjects" if event is None else "where", event or "")
        if not key:
            return ShownLeaf(**common, subject=subject)
        row = self.words.field(key, event)
        types = row.types if row else ("text",)
        question = self._question(node, place, types, self.words.reading(node, types), row=row, event=event)
        return ShownLeaf(**common, subject=subject, question=question)

    def membership(self, node: Draft, common: dict[str, Any]) -> ShownLeaf:
        """Being on a list."""
        chosen = text_of(node["list"])
        gone = gettext("List %(number)s (gone)", number=chosen) if chosen else ""
        box = self._box(
            common["place"], "list", "reference", gettext("List"), chosen, options=named(self.words.lists, chosen, gone)
        )
        return ShownLeaf(**common, subject=self._subject("list:", "subjects"), boxes=[box])

    def _scored(self, node: Draft, place: str, kind: scored.Kind) -> dict[str, Any]:
        """The inputs of a registered kind, and the question when it gives a value."""
        given = inputs(node, kind)
        boxes = [self._input(place, one, text_of(given.get(one.key, ""))) for one in kind.inputs]
        question = self._question(node, place, (kind.type,), kind.type) if kind.type else None
        return {"subject": self._subject(f"{kind.key}:", "subjects"), "boxes": boxes, "question": question}

    def _input(self, place: str, one: scored.Input, value: str) -> Box:
        hint = "" if one.default is None else text_of(one.default)
        suggested = self._suggested(one.suggest, value) if one.suggest else ""
        label = one.label(self.words.language)
        if one.suggest == "item" and (title := dict(self.words.items(value)).get(value)):
            label = f"{label} “{title}”"
        return replace(
            self._box(place, one.key, one.type, label, value, suggestions=suggested), hint=hint, optional=True
        )

    def _subject(self, what: str, choices: str, event: str = "") -> Subject:
        """What is chosen; what is gone, or was never there, is its own name."""
        choices = f"{choices}-{quote(event, safe='')}" if event else choices
        made = self._chosen(choices, lambda: SUBJECTS[choices.partition("-")[0]](self.words, event))
        offered = {value: words for _, options in made for value, words in options}
        prefix = next((one for one in TYPED if one in offered and what.startswith(one)), None)
        if prefix and (what == prefix or what not in offered):
            typed = what.removeprefix(prefix)
            names = self.words.catalogue.more(TYPED[prefix], event, words=typed)
            own = [one.removeprefix(f"{TYPED[prefix]}.") for one in names]
            return Subject(Choice(choices, prefix, offered[prefix]), typed, own)
        chosen = "" if what in {"field:", "event:"} else what
        return Subject(Choice(choices, chosen, offered.get(what, what.partition(":")[2])))

    def _chosen(self, choices: str, make: Callable[[], Grouped]) -> Grouped:
        if choices not in self.choices:
            self.choices[choices] = make()
        return self.choices[choices]

    def _among(self, choices: str, make: Callable[[], Grouped], value: str) -> Choice:
        """A chosen one and its words; what is not among them is its own word."""
        choices = quote(choices, safe="")
        offered = {key: words for _, options in self._chosen(choices, make) for key, words in options}
        return Choice(choices, value, offered.get(value, value))

    def deed(self, node: Draft, place: str, choices: str = "events") -> Deed:
        """An event with its conditions."""
        event = node["event"]
        places = [f"{place}.where.{index}" for index in range(len(node.get("where", [])))]
        where = [
            self.leaf(leaf, self._common(leaf, at, "field"), event)
            for at, leaf in zip(places, node.get("where", []), strict=True)
        ]
        subject = self._subject(f"event:{event}" if event or choices == "subjects" else "", choices)
        lasting = self._lasting(node, place)
        return Deed(**self._common(node, place, "deed"), subject=subject, where=where, lasting=lasting)

    def event(self, node: Draft, common: dict[str, Any]) -> ShownEvent:
        """What people did."""
        event, measure, place = node["event"], node.get("measure", ""), common["place"]
        measures = self._among(f"measures-{event}", lambda: [("", self.words.measures(event))], measure)
        properties = self._among(
            f"properties-{event}-{measure}",
            lambda: [("", self.words.properties(event, measure))],
            node.get("property", ""),
        )
        types, row = self.words.measured(node)
        kind = self.words.reading(node, types)
        return ShownEvent(
            **common,
            **self._timed(node, place),
            deed=self.deed(node, place, "subjects"),
            question=self._question(node, place, types, kind, amount=row is None, row=row, event=event),
            measure=measures,
            measured_property=properties if "property" in node else None,
        )

    def sequence(self, node: Draft, common: dict[str, Any]) -> ShownSequence:
        """One thing after another."""
        place = common["place"]
        steps = [self.deed(step, f"{place}.sequence.{index}") for index, step in enumerate(node["sequence"])]
        return ShownSequence(
            **common, **self._timed(node, place), steps=steps, subject=self._subject("sequence:", "subjects")
        )

    def _timed(self, node: Draft, place: str) -> dict[str, Any]:
        within = node.get("within", {})
        since = self.deed(within["since"], f"{place}.within.since") if "since" in within else None
        boxes = {name: self._within(place, name, within) for name in WITHIN}
        lasting = self._lasting(within, place, "within.", "" if since else LAST)
        return {"window": mode_of(within), "within": boxes, "lasting": lasting, "since": since}

    def _within(self, place: str, name: str, within: Draft) -> Box:
        return self._box(place, f"within.{name}", "moment", str(WITHIN[name]), text_of(within.get(name, "")))

    def _lasting(self, node: Draft, place: str, above: str = "", prefix: str = "") -> tuple[Box, Box]:
        """How long: the number, which may be left out where days are chosen, and the scale."""
        scales = self.words.scales
        scale = scale_of(node, prefix) or scales[0][0]
        value, is_free = text_of(node.get(prefix + scale, "")), not prefix and scale == scales[0][0]
        box = self._box(place, f"{above}{prefix}{scale}", "days", gettext("How long"), value)
        chosen = self._box(place, f"{above}scale", "choice", gettext("In what"), scale, options=scales)
        return replace(box, hint=gettext("any") if is_free else ""), chosen

    def _question(
        self,
        node: Draft,
        place: str,
        types: tuple[str, ...],
        kind: str,
        *,
        amount: bool = False,
        row: Field | None = None,
        event: str | None = None,
    ) -> Question:
        key = node.get("operator", "")
        operator = OPERATORS.get(key)
        values, control = texts(node), CONTROLS.get(operator.control, "one") if operator else "one"
        if control == "several" and (len(values) > INLINE or kind in {"number", "money"}):
            control = "lines"
        chosen = self._among(
            f"operators-{'.'.join(types)}-{amount}", lambda: self.words.operators(types, amount=amount), key
        )
        takes = (operator.takes if operator else None) or kind
        listed = self._suggestions(row, event, values) if takes not in COUNTED else ""
        options = self.words.options(takes, row)
        boxes = [
            self._box(place, "value", takes, label, value, index=index, options=options, suggestions=listed)
            for index, (value, label) in enumerate(_labelled(values, control))
        ]
        return Question(kind, chosen, control, boxes)

    def _box(
        self,
        place: str,
        name: str,
        kind: str,
        label: str,
        value: str,
        *,
        index: int | None = None,
        options: Options | None = None,
        suggestions: str = "",
    ) -> Box:
        at = name if index is None else f"{name}.{index}"
        found = self._by_place.get(place, {})
        if options is None:
            options = self.words.options(kind, None)
        if options is not None and value:
            options = named(options, value)
        fault = f"{place}.fault" if {name, at} & found.keys() else ""
        return Box(f"{place}.{name}", f"{place}.{at}", label, kind, value, options, suggestions, fault=fault)

    def _suggestions(self, row: Field | None, event: str | None, values: Sequence[str]) -> str:
        """The id of what is suggested for a field: its stored values, or items that fit what is typed."""
        if row is not None and row.key == "item" and row.table == "items":
            return self._suggested("item", values[-1] if values else "")
        if row is None or not row.options:
            return ""
        name = values_id(row.key, event or "")
        self.suggestions[name] = (event or "", row.key)
        return name

    def _suggested(self, what: str, typed: str) -> str:
        """The id of items that fit what is typed, or of the stored values of another field of items."""
        if what != "item":
            self.suggestions[values_id(what, "order")] = ("order", what)
            return values_id(what, "order")
        name = f"items-{quote(typed[:80], safe='')}"
        self.options[name] = self.words.items(typed)
        return name


SUBJECTS: Final[dict[str, Callable[[Vocabulary, str], Grouped]]] = {  # by what the id of the choices begins with
    "subjects": lambda words, _event: words.subjects,
    "events": lambda words, _event: [("", words.events)],
    "where": lambda words, event: [("", words.conditions(event))],
}
SHOWN: Final[dict[str, Callable[[Shower, Draft, dict[str, Any]], Shown]]] = {
    "field": Shower.leaf,
    "event": Shower.event,
    "sequence": Shower.sequence,
    "list": Shower.membership,
    "other": lambda _shower, _node, common: ShownOther(**common),
}
CONTROLS: Final = {"none": "none", "range": "range", "several": "several"}  # all others take one value
COUNTED: Final = {"number", "money", "days", "count", "percent", "pattern"}  # suggestions would not help
WITHIN: Final = {  # labels of the days and times that bound a window
    "before": lazy_gettext("Before"),
    "from": lazy_gettext("From this day on"),
    "to": lazy_gettext("Up to this day, not included"),
}


def _labelled(values: list[str], control: str) -> list[tuple[str, str]]:
    """The values that get a control, each with a name for it."""
    if control == "range":
        return list(zip([*values, "", ""][:2], (gettext("From"), gettext("To")), strict=True))
    if control == "several":
        given = [value for value in values if value]
        labels = [gettext("Value %(n)s", n=number) for number in range(1, len(given) + 1)]
        return list(zip([*given, ""], [*labels, gettext("One more value")], strict=True))
    if control == "lines":
        return [("\n".join(value for value in values if value), gettext("Values, one a line"))]
    return [] if control == "none" else [(values[0] if values else "", gettext("Value"))]


_PLACE: Final = re.compile(r"[a-z](?:\.(?:\d+|where\.\d+|sequence\.\d+|within\.since))*")


def parted(name: str) -> tuple[str, str]:
    """Place and control of a name: "n.0.where.1", "value"; the place "" is the whole."""
    found = _PLACE.match(name)
    return (found[0], name[found.end() + 1 :]) if found else ("", name)


def settled(draft: Draft, words: Vocabulary) -> Draft:
    """The draft with what a subject that was just chosen begins with."""
    return {**draft, **{key: _settled(draft[key], words) for key in ("include", "exclude")}}


def _settled(node: Draft, words: Vocabulary) -> Draft:
    nodes = children(node)
    if nodes:
        return group(kind_of(node), [_settled(one, words) for one in nodes], node.get("at_least"))
    return words.settled(node)
