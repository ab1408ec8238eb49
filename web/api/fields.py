"""What criteria may name: fields, events, operators and measures, with words and controls for a builder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, Raw, String

from engine import fields
from engine.catalogue import open_catalogue
from engine.criteria import scored
from engine.criteria.operators import CONTROLS, OPERATORS, fitting
from engine.criteria.scored import Kind
from engine.fields import Field
from engine.values import Words
from web.api.access import needs
from web.services import services

blueprint = APIBlueprint("fields", __name__, tag="Lists")

LANGUAGES = ("en", "zh_Hans_CN")


class FieldOut(Schema):
    """A field of contacts or of the rows of an event."""

    key = String(metadata={"example": "attributes.size"})
    type = String(metadata={"example": "number"})
    group = String()
    label = Dict(metadata={"description": "Words by language."})
    operators = List(String())
    options = Boolean(metadata={"description": "Its values can be asked for under /fields/<key>/values."})


class EventOut(Schema):
    """Something people do."""

    key = String(metadata={"example": "item_view"})
    label = Dict()
    fields = List(Nested(FieldOut), metadata={"description": "For conditions."})  # type: ignore[assignment]  # a field


class OperatorOut(Schema):
    """An operator."""

    key = String()
    words = Dict(metadata={"description": "{0} and {1} stand for the values."})
    control = String(metadata={"description": ", ".join(CONTROLS)})
    description = String()


class MeasureOut(Schema):
    """How the rows of an event become a number."""

    key = String()
    types = List(String(), metadata={"description": "Of the property; empty: it takes none."})


class InputOut(Schema):
    """One thing to fill in."""

    key = String(metadata={"description": "JSON key; likely.item is item in the object of likely."})
    type = String()
    label = Dict()
    default = Raw(metadata={"description": "What holds when it is left out."})
    least = Float(allow_none=True)
    most = Float(allow_none=True)
    whole = Boolean(metadata={"description": "A number without a fraction."})
    suggest = String(metadata={"description": "item or category: values of this field of the event order; or empty."})


class KindOut(Schema):
    """A kind of condition with keys of its own."""

    key = String(metadata={"example": "likely"})
    label = Dict()
    description = String()
    example = Dict()
    inputs = List(Nested(InputOut))
    operators = List(String(), metadata={"description": "Beside the inputs, with value; empty: none is asked."})


class CatalogueOut(Schema):
    """Everything a criterion may name."""

    groups = Dict()
    fields = List(Nested(FieldOut))  # type: ignore[assignment]  # a field, not marshmallow's own attribute
    events = List(Nested(EventOut))
    operators = List(Nested(OperatorOut))
    measures = List(Nested(MeasureOut))
    kinds = List(Nested(KindOut))


class ValueOut(Schema):
    """A stored value."""

    value = Raw()
    count = Integer()
    name = String(metadata={"description": "Of a reference: what the number stands for."})


class ValuesIn(Schema):
    """Whose field it is."""

    event = String(metadata={"description": "A field of the rows of this event, not of contacts.", "example": "click"})


class ValuesOut(Schema):
    """Stored values, most frequent first."""

    values = List(Nested(ValueOut))


@blueprint.get("/fields")
@needs("lists:read")
@blueprint.output(CatalogueOut)
def index() -> dict[str, Any]:
    """What criteria may name, the shop's own attributes and events included: of each the 200 most frequent"""
    with services().database.read() as session:
        catalogue = open_catalogue(session, services().warehouse)
        return {
            "groups": {key: _words(words) for key, words in fields.GROUPS.items()},
            "fields": _shown(catalogue.fields()),
            "events": [
                {"key": row.key, "label": _words(row.noun), "fields": _shown(catalogue.row_fields(row))}
                for row in catalogue.behaviours()
            ],
            "operators": [
                {"key": row.key, "words": _words(row.words), "control": row.control, "description": row.doc}
                for row in OPERATORS.values()
            ],
            "measures": [{"key": row.key, "types": row.types} for row in fields.MEASURES.values()],
            "kinds": [_kind(kind) for kind in scored.KINDS.values()],
        }


@blueprint.get("/fields/<key>/values")
@needs("lists:read")
@blueprint.input(ValuesIn, location="query")
@blueprint.output(ValuesOut)
def values(key: str, query_data: dict[str, str]) -> dict[str, Any]:
    """The stored values of a field and how many contacts, or rows of an event, have each, up to 200"""
    with services().database.read() as session:
        catalogue = open_catalogue(session, services().warehouse)
        event = query_data.get("event")
        found = catalogue.row_field(catalogue.behaviour(event), key) if event else catalogue.field(key)
        offered = catalogue.options(found)
    names = {value: {"name": name} for value, name in found.named.items()}
    return {"values": [{"value": value, "count": count, **names.get(value, {})} for value, count in offered]}


def _kind(kind: Kind) -> dict[str, Any]:
    names = ("key", "type", "default", "least", "most", "whole", "suggest")
    return {
        "key": kind.key,
        "label": _words(kind.label),
        "description": kind.doc,
        "example": kind.example,
        "inputs": [{name: getattr(one, name) for name in names} | {"label": _words(one.label)} for one in kind.inputs],
        "operators": list(fitting(kind.type)) if kind.type else [],
    }


def _shown(rows: Iterable[Field]) -> list[dict[str, Any]]:
    return [
        {
            **{name: getattr(row, name) for name in ("key", "type", "group", "options")},
            "label": _words(row.label),
            "operators": list(fitting(row.type)),
        }
        for row in rows
    ]


def _words(words: Words) -> dict[str, str]:
    return {language: words(language) for language in LANGUAGES}
