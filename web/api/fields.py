"""What criteria may name: fields, events, operators and measures, with words and controls for a builder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Integer, List, Nested, Raw, String

from engine import fields
from engine.catalogue import open_catalogue
from engine.criteria.operators import CONTROLS, OPERATORS, fitting
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


class CatalogueOut(Schema):
    """Everything a criterion may name."""

    groups = Dict()
    fields = List(Nested(FieldOut))  # type: ignore[assignment]  # a field, not marshmallow's own attribute
    events = List(Nested(EventOut))
    operators = List(Nested(OperatorOut))
    measures = List(Nested(MeasureOut))


class ValueOut(Schema):
    """A stored value."""

    value = Raw()
    count = Integer()


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
        }


@blueprint.get("/fields/<key>/values")
@needs("lists:read")
@blueprint.output(ValuesOut)
def values(key: str) -> dict[str, Any]:
    """The stored values of a field and how many contacts have each, up to 200"""
    with services().database.read() as session:
        catalogue = open_catalogue(session, services().warehouse)
        found = catalogue.options(catalogue.field(key))
    return {"values": [{"value": value, "count": count} for value, count in found]}


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
