"""The words and choices of the criteria builder: what can be asked, how, and of which values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from flask_babel import gettext, lazy_gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from engine import fields
from engine.catalogue import Catalogue
from engine.criteria import scored
from engine.criteria.duration import SCALES
from engine.criteria.operators import MANY, OPERATORS, Operator, fitting
from engine.errors import Invalid
from engine.fields import MEASURES, Behaviour, Field
from engine.models import ContactList, Item
from engine.values import PERIODS, TYPES, Style
from web.pages.lists.draft import Draft, deeds, kind_of, text_of

Options = list[tuple[str, str]]  # (value, words)
Grouped = list[tuple[str, Options]]  # (group, its options)

TYPED: Final = {  # subjects whose name is typed, because more came in than are offered: the kind of name
    "event:": "events", "field:attributes.": "attributes", "field:properties.": "properties",
}  # fmt: skip
LISTS: Final = 500  # offered by name, the newest
FOUND: Final = 20  # items that are suggested
CLOSED: Final[Mapping[str, Iterable[Any]]] = {  # all values of types that have few
    "yes_no": (True, False), "month": range(1, 13), "weekday": range(1, 8), "period": PERIODS,
}  # fmt: skip
FIRST: Final = {  # the operator a new condition begins with
    "text": "contains", "choice": "is", "path": "within", "number": "at_least", "money": "at_least",
    "date": "in_last", "moment": "in_last", "yes_no": "is",
    "reference": "is", "choices": "has_any",
}  # fmt: skip
BEGIN: Final = {"yes_no": True, "date": 90, "moment": 90}  # and its value
OWN_WORDS: Final = {"in": lazy_gettext("is one of"), "not_in": lazy_gettext("is none of")}
UNIT_WORDS: Final = {
    "contact": lazy_gettext("People"),
    "household": lazy_gettext("Households"),
    "account": lazy_gettext("Accounts"),
}
MEASURE_WORDS: Final = {
    "count": lazy_gettext("number of times"),
    "sum": lazy_gettext("total of"),
    "average": lazy_gettext("average of"),
    "minimum": lazy_gettext("lowest"),
    "maximum": lazy_gettext("highest"),
    "distinct": lazy_gettext("different values of"),
    "first_at": lazy_gettext("time of the first"),
    "last_at": lazy_gettext("time of the last"),
    "days_since": lazy_gettext("days since the last"),
    "first": lazy_gettext("of the first, the"),
    "last": lazy_gettext("of the last, the"),
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
    def scales(self) -> Options:
        """What time is counted in, days first."""
        return [(key, scale.many(self.language).format("").strip()) for key, scale in SCALES.items()]

    @cached_property
    def subjects(self) -> Grouped:
        """What a condition can be about."""
        grouped: dict[str, Options] = {}
        for row in self.fields.values():
            name = _capital(fields.GROUPS[row.group](self.language))
            grouped.setdefault(name, []).append((f"field:{row.key}", self.label(row)))
        own = grouped.setdefault(_capital(fields.GROUPS["attributes"](self.language)), [])
        own += self._another("attributes", "field:attributes.", gettext("Another attribute…"))
        one_after_another = ("sequence:", gettext("One thing after another…"))
        grouped[gettext("What they did")] = [one_after_another, *self.events]
        grouped[gettext("Predictions, patterns and samples")] = [
            (f"{key}:", kind.label(self.language)) for key, kind in scored.KINDS.items()
        ]
        grouped[gettext("Lists")] = [("list:", gettext("On the list"))]
        return [(name, options) for name, options in grouped.items() if options]

    @cached_property
    def events(self) -> Options:
        """What people do."""
        known = [(f"event:{key}", _capital(row.verb(self.language))) for key, row in self.behaviours.items()]
        return [*known, *self._another("events", "event:", gettext("Another event…"))]

    def items(self, typed: str) -> Options:
        """Items whose number or title holds what is typed, by number, the one of just that number first: FOUND."""
        part = f"%{_ESCAPED.sub(_escape, typed.strip())}%"
        fits = or_(Item.key.ilike(part, escape="!"), Item.title.ilike(part, escape="!"))
        query = select(Item.key, Item.title).where(fits).order_by(Item.key != typed, Item.key).limit(FOUND)
        return [(key, title or "") for key, title in self.session.execute(query)]

    def options(self, kind: str, row: Field | None) -> Options | None:
        """All values of a type that has few, or that a reference stands for; None when they are typed."""
        if kind == "reference" and row is not None:
            return [(str(number), name) for number, name in row.named.items()]
        if kind not in CLOSED:
            return None
        style = Style(self.language, self.catalogue.zone, self.catalogue.currency)
        return [(text_of(value), TYPES[kind].words(value, style)) for value in CLOSED[kind]]

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
            (key, str(MEASURE_WORDS.get(key, key)))
            for key, row in MEASURES.items()
            if not row.types or fit & set(row.types)
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

    def measured(self, node: Draft) -> tuple[tuple[str, ...], Field | None]:
        """The types that what an event is measured by may be asked as, and its property when that is told itself."""
        measure = MEASURES.get(node.get("measure", ""))
        row = self.field(node.get("property", ""), node["event"]) if node.get("property") else None
        if measure is None or "compared_to" in node:
            return ("number",), None
        return measure.kinds(row) if row or measure.result != "own" else (
            "text",
        ), row if measure.result == "own" else None

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
        kind = kind_of(node)
        if kind == "field":
            return self._settled_leaf(node, self.field_types(node)[0])
        if kind in scored.KINDS and (asked := scored.KINDS[kind].type):
            begun = {} if node.get("operator") else scored.KINDS[kind].begins
            return self._settled_leaf({**node, **begun}, asked)
        for _, deed in deeds(node):
            for leaf in deed.get("where", []):
                leaf |= self._settled_leaf(leaf, self.field_types(leaf, deed["event"])[0])  # noqa: PLW2901 # in place
        if kind != "event":
            return node
        node = self._settled_property(node) if "property" in node else node
        return self._settled_leaf(node, self.measured(node)[0][0])

    def _settled_leaf(self, node: Draft, kind: str) -> Draft:
        if node.get("operator") or not node.get("field", "?"):
            return node
        value: Any = [] if OPERATORS[FIRST[kind]].values == MANY else BEGIN.get(kind, "")
        return {**node, "operator": FIRST[kind], "value": value}

    def _settled_property(self, node: Draft) -> Draft:
        if not self.rows(node["event"]):
            return node
        known = [key for key, _ in self.properties(node["event"], node.get("measure", ""))]
        return node if node["property"] in known or not known else {**node, "property": known[0]}


_ESCAPED: Final = re.compile("[!%_]")


def _escape(found: re.Match[str]) -> str:
    return f"!{found[0]}"


def named(options: Iterable[tuple[str, str]], value: str, words: str = "") -> Options:
    """The options, and the chosen one too when it is not among them."""
    known = list(options)
    return known if any(key == value for key, _ in known) else [*known, (value, words or value)]


def values_id(key: str, event: str = "") -> str:
    """The name of a list of suggestions."""
    return f"values-{quote(event, safe='')}-{quote(key, safe='')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
