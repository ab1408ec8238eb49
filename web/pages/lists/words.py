"""The words and choices of the criteria builder: what can be asked, how, and of which values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from flask_babel import gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import fields
from engine.catalogue import Catalogue
from engine.criteria.operators import OPERATORS, Operator, fitting
from engine.errors import Invalid
from engine.fields import MEASURES, Behaviour, Field
from engine.models import ContactList
from engine.values import TYPES
from web.pages.lists.draft import Draft

Options = list[tuple[str, str]]  # (value, words)
Grouped = list[tuple[str, Options]]  # (group, its options)

TYPED: Final = {  # subjects whose name is typed, because more came in than are offered: the kind of name
    "event:": "events", "field:attributes.": "attributes", "field:properties.": "properties",
}  # fmt: skip
LISTS: Final = 500  # offered by name, the newest
COUNTS: Final = "number"  # type of what a count compares
FIRST: Final = {  # the operator a new condition begins with
    "text": "contains", "choice": "is", "path": "within", "number": "at_least", "money": "at_least",
    "date": "in_last", "moment": "in_last", "yes_no": "is",
    "reference": "is", "choices": "has_any",
}  # fmt: skip
OWN_WORDS: Final = {"in": lazy_gettext("is one of"), "not_in": lazy_gettext("is none of")}
MEASURE_WORDS: Final = {
    "count": lazy_gettext("number of times"),
    "sum": lazy_gettext("total of"),
    "average": lazy_gettext("average of"),
    "minimum": lazy_gettext("lowest"),
    "maximum": lazy_gettext("highest"),
    "distinct": lazy_gettext("different values of"),
}


@dataclass
class Vocabulary:
    """Everything one shop's criteria may name, in the page's language."""

    catalogue: Catalogue
    session: Session
    language: str
    _operators: dict[tuple[tuple[str, ...], bool], Grouped] = field(default_factory=dict)
    _rows: dict[str, Mapping[str, Field]] = field(default_factory=dict)

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Fields of contacts to choose from."""
        return {row.key: row for row in self.catalogue.fields()}

    @cached_property
    def behaviours(self) -> Mapping[str, Behaviour]:
        """Events to choose from."""
        return {row.key: row for row in self.catalogue.behaviours()}

    @cached_property
    def lists(self) -> Options:
        """Lists by name."""
        query = select(ContactList.id, ContactList.name).where(ContactList.deleted_at.is_(None))
        rows = self.session.execute(query.order_by(ContactList.id.desc()).limit(LISTS)).all()
        return sorted(((str(number), name) for number, name in rows), key=lambda row: row[1].casefold())

    @cached_property
    def subjects(self) -> Grouped:
        """What a condition can be about."""
        grouped: dict[str, Options] = {}
        for row in self.fields.values():
            name = _capital(fields.GROUPS[row.group](self.language))
            grouped.setdefault(name, []).append((f"field:{row.key}", self.label(row)))
        own = grouped.setdefault(_capital(fields.GROUPS["attributes"](self.language)), [])
        own += self._another("attributes", "field:attributes.", gettext("Another attribute…"))
        deeds = [(f"event:{key}", _capital(row.verb(self.language))) for key, row in self.behaviours.items()]
        grouped[gettext("What they did")] = [*deeds, *self._another("events", "event:", gettext("Another event…"))]
        grouped[gettext("Lists")] = [("list:", gettext("On the list"))]
        return [(name, options) for name, options in grouped.items() if options]

    def conditions(self, event: str) -> Options:
        """What the rows of an event can be asked for."""
        known = [(f"field:{key}", self.label(row)) for key, row in self.rows(event).items()]
        return known + self._another("properties", "field:properties.", gettext("Another property…"), event)

    def rows(self, event: str) -> Mapping[str, Field]:
        """The fields of an event's rows to choose from; none of an unknown event."""
        if event not in self._rows:
            try:
                found = self.catalogue.row_fields(self.catalogue.behaviour(event))
                self._rows[event] = {row.key: row for row in found}
            except Invalid:
                self._rows[event] = {}
        return self._rows[event]

    def field(self, key: str, event: str | None = None) -> Field | None:
        """A field of contacts or of an event's rows, also one that is not among those to choose from."""
        offered = self.fields if event is None else self.rows(event)
        try:
            if event is None:
                return offered.get(key) or self.catalogue.field(key)
            return offered.get(key) or self.catalogue.row_field(self.catalogue.behaviour(event), key)
        except Invalid:
            return None

    def _another(self, kind: str, value: str, words: str, event: str = "") -> Options:
        return [(value, words)] if self.catalogue.more(kind, event, limit=1) else []

    def label(self, row: Field) -> str:
        """The name of a field."""
        return _capital(row.label(self.language))

    def measures(self, event: str) -> Options:
        """How an event can be measured: those that some field of its rows fits."""
        fit = {kind for row in self.rows(event).values() for kind in row.types}
        return [
            (key, str(MEASURE_WORDS[key])) for key, row in MEASURES.items() if not row.types or fit & set(row.types)
        ]

    def properties(self, event: str, measure: str) -> Options:
        """What a measure can be taken of."""
        types = set(MEASURES[measure].types) if measure in MEASURES else set()
        return [(key, self.label(row)) for key, row in self.rows(event).items() if types & set(row.types)]

    def operators(self, types: tuple[str, ...], *, amount: bool = False) -> Grouped:
        """What can be asked of these types; `amount`: in the words of "at least 3 times"."""
        if (types, amount) not in self._operators:
            rows = {key: row for kind in types for key, row in fitting(kind).items()}
            groups = [
                ("", [row for row in rows.values() if not row.negated]),
                (gettext("The contrary, unknown included"), [row for row in rows.values() if row.negated]),
            ]
            self._operators[types, amount] = [
                (name, [(row.key, self.operator(row, amount=amount)) for row in found]) for name, found in groups
            ]
        return self._operators[types, amount]

    def operator(self, row: Operator, *, amount: bool = False) -> str:
        """An operator without its values."""
        if row.key in OWN_WORDS:
            return str(OWN_WORDS[row.key])
        words = (row.amount if amount and row.amount else row.words)(self.language)
        return words.format("…", "…").removesuffix(gettext("… and …")).removesuffix("…").strip()

    # What is told of one condition.

    def field_types(self, node: Draft, event: str | None = None) -> tuple[str, ...]:
        """The types a condition may be read as; of an unknown field those that its operator takes."""
        row = self.field(node["field"], event)
        return row.types if row else ("text",)

    def amount_type(self, node: Draft) -> str:
        """The type of what an event's measure gives."""
        measure = MEASURES.get(node.get("measure", ""))
        row = self.field(node.get("property", ""), node["event"])
        return "money" if measure and not measure.counts and row and row.type == "money" else COUNTS

    def reading(self, node: Draft, types: tuple[str, ...]) -> str:
        """The type an operator and its values are read as, found as engine.criteria.parse finds it."""
        operator = OPERATORS.get(node.get("operator", ""))
        kinds = [kind for kind in types if operator is None or kind in operator.types] or list(types)
        value = node.get("value", [])
        values = value if isinstance(value, list) else [value]
        return next((kind for kind in kinds if self._reads(operator, kind, values)), kinds[0])

    def _reads(self, operator: Operator | None, kind: str, values: list[Any]) -> bool:
        try:
            for value in values:
                TYPES[(operator and operator.takes) or kind].parse(value, self.catalogue.zone)
        except Invalid:
            return False
        return True

    def settled(self, node: Draft) -> Draft:
        """A condition whose subject was just chosen, with the operator, value and property it begins with."""
        if "event" in node:
            return self._settled_event(node)
        return self._settled_leaf(node, None) if node.get("field") else node

    def _settled_leaf(self, node: Draft, event: str | None) -> Draft:
        if node.get("operator") or not node["field"]:
            return node
        kind = self.field_types(node, event)[0]
        value = True if kind == "yes_no" else 90 if kind in {"date", "moment"} else ""
        return {"field": node["field"], "operator": FIRST[kind], "value": value}

    def _settled_event(self, node: Draft) -> Draft:
        if "where" in node:
            node = {**node, "where": [self._settled_leaf(leaf, node["event"]) for leaf in node["where"]]}
        if "property" not in node or not self.rows(node["event"]):
            return node
        known = [key for key, _ in self.properties(node["event"], node.get("measure", ""))]
        return node if node["property"] in known or not known else {**node, "property": known[0]}


def named(options: Iterable[tuple[str, str]], value: str, words: str = "") -> Options:
    """The options, and the chosen one too when it is not among them."""
    known = list(options)
    return known if any(key == value for key, _ in known) else [*known, (value, words or value)]


def values_id(key: str, event: str = "") -> str:
    """The name of a list of suggestions."""
    return f"values-{quote(event, safe='')}-{quote(key, safe='')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
