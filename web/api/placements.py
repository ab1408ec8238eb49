"""Placements: their sources and business rules, described from the one table of rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from apiflask import APIBlueprint, Schema
from apiflask.fields import Decimal, Field, Float, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from marshmallow import ValidationError
from sqlalchemy.orm import Session

from recommender import placements
from recommender.business import LONGEST, MOST_KEYS, MOST_PINS, RULES, About
from recommender.sources import NAMES
from web.api.access import needs
from web.api.body import Truth
from web.services import services, utcnow

blueprint = APIBlueprint("placements", __name__, tag="Recommendations")


class Number(Float):
    """A number of a body: not a text that reads like one."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, str | bool):
            raise ValidationError("Not a valid number.")
        return super()._validated(value)


class BuryIn(Schema):
    """An item, and the days on which the rule holds; without a day it holds on all before or after."""

    item = String(required=True, validate=Length(1, LONGEST))


class PinIn(BuryIn):
    """An item and where it stands."""

    position = Integer(required=True, strict=True, validate=Range(1, 100))


for _schema in (BuryIn, PinIn):  # `from` is no name that a class can give a field
    _schema._declared_fields |= {name: String(metadata={"format": "date"}) for name in ("from", "until")}


def _texts(_about: About, **given: Any) -> Field[Any]:
    return List(String(validate=Length(1, LONGEST)), validate=Length(max=MOST_KEYS), **given)


FIELDS: Final[Mapping[str, Callable[..., Field[Any]]]] = {
    "truth": lambda _about, **given: Truth(**given),
    "amount": lambda _about, **given: Decimal(as_string=True, **given),
    "share": lambda about, **given: Number(validate=Range(about.least, about.most), **given),
    "number": lambda about, **given: Number(validate=Range(about.least, about.most), **given),
    "count": lambda about, **given: Integer(strict=True, validate=Range(int(about.least), int(about.most)), **given),
    "paths": _texts,
    "items": _texts,
    "pins": lambda _about, **given: List(Nested(PinIn), validate=Length(max=MOST_PINS), **given),
    "buries": lambda _about, **given: List(Nested(BuryIn), validate=Length(max=MOST_PINS), **given),
}


def field_of(about: About) -> Field[Any]:
    """How a rule stands in a body."""
    words = {"description": f"{about.label}. {about.help}"}
    made: Field[Any] = FIELDS[about.kind](about, allow_none=about.default is None, metadata=words)
    return made


RulesIn = Schema.from_dict({name: field_of(about) for name, about in RULES.items()}, name="Rules")
RulesOut = Schema.from_dict(  # amounts are told as texts, which lose nothing
    {name: String(allow_none=True) if about.kind == "amount" else field_of(about) for name, about in RULES.items()},
    name="RulesOut",
)


class PlacementIn(Schema):
    """Where an offer appears: its sources in order, the first that fills it first, and its rules."""

    name = String(required=True, validate=Length(1, 128), metadata={"example": "Cart"})
    sources = List(String(validate=OneOf(NAMES)), required=True, validate=Length(1, len(NAMES)))
    rules = Nested(RulesIn, load_default=dict)


MISSING: Final = {"description": "Of these items, the keys that nobody knows: kept, for the item may come."}


class PlacementOut(PlacementIn):
    """A placement."""

    key = String()
    rules = Nested(RulesOut)
    missing_ids = List(String(), metadata=MISSING)


class PlacementsOut(Schema):
    """All placements."""

    placements = List(Nested(PlacementOut))


class SuppressedItems(Schema):
    """Keys of the items that no placement shows."""

    items = List(String(validate=Length(1, LONGEST)), required=True, validate=Length(max=MOST_KEYS))


class SuppressedOut(SuppressedItems):
    """The same, and which of them nobody knows."""

    missing_ids = List(String(), metadata=MISSING)


@blueprint.get("/placements")
@needs("recommendations:read")
@blueprint.output(PlacementsOut)
def all_placements() -> dict[str, Any]:
    """Read the placements"""
    with services().database.read() as session:
        plans = placements.read(session).values()
        return {"placements": _told(session, *plans)}


@blueprint.put("/placements/<string(maxlength=64):key>")
@needs("recommendations:write", 409)
@blueprint.input(PlacementIn)
@blueprint.output(PlacementOut)
@blueprint.doc(description="A new key makes a new placement. Answers follow within seconds.")
def put_placement(key: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Write a placement"""
    with services().database.begin() as session:
        given = {"name": json_data["name"], "sources": json_data["sources"], "given": json_data["rules"]}
        [told] = _told(session, placements.edit(session, key, **given, now=utcnow()))
    services().recommender.reload()
    return told


@blueprint.delete("/placements/<string(maxlength=64):key>")
@needs("recommendations:write", 409)
@blueprint.output({}, status_code=204)
@blueprint.doc(
    description="One that the shop made, while no comparison runs there. Questions about it answer 422 then."
)
def delete_placement(key: str) -> tuple[str, int]:
    """Delete a placement"""
    with services().database.begin() as session:
        placements.delete_one(session, key)
    services().recommender.reload()
    return "", 204


@blueprint.get("/suppressed-items")
@needs("recommendations:read")
@blueprint.output(SuppressedOut)
def suppressed() -> dict[str, Any]:
    """Read the items that no placement shows"""
    with services().database.read() as session:
        return _suppressed(session)


@blueprint.put("/suppressed-items")
@needs("recommendations:write")
@blueprint.input(SuppressedItems)
@blueprint.output(SuppressedOut)
def put_suppressed(json_data: dict[str, Any]) -> dict[str, Any]:
    """Say which items no placement shows"""
    with services().database.begin() as session:
        placements.suppress(session, json_data["items"], utcnow())
        kept = _suppressed(session)
    services().recommender.reload()
    return kept


def _suppressed(session: Session) -> dict[str, Any]:
    kept = placements.suppressed(session)
    return {"items": list(kept), "missing_ids": placements.missing(session, kept)}


def _told(session: Session, *plans: placements.Plan) -> list[dict[str, Any]]:
    unknown = placements.unknown_items(session, *plans)
    return [
        {
            "key": plan.key,
            "name": plan.name,
            "sources": list(plan.sources),
            "rules": plan.rules.json(),
            "missing_ids": unknown[plan.key],
        }
        for plan in plans
    ]
