"""What to offer a contact or visitor at a placement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Decimal, Float, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from engine import money
from engine.errors import Invalid
from engine.models import Contact
from recommender import placements
from recommender.answers import MOST, Request
from recommender.shelf import Filter
from recommender.sources import SOURCES
from web.api.access import needs
from web.api.body import Truth
from web.recommendations import shown
from web.services import services, utcnow

blueprint = APIBlueprint("recommendations", __name__, tag="Recommendations")

MOST_REQUESTS = 50
_PEOPLE = Contact.__table__.c
_CONTACT = select(func.coalesce(_PEOPLE.merged_into, _PEOPLE.id)).where(_PEOPLE.key == bindparam("key"))  # built once


def _keys(description: str) -> List[str]:
    return List(
        String(validate=Length(1, 128)),
        load_default=list,
        validate=Length(max=MOST),
        metadata={"description": f"{description}; at most {MOST}, the newest last."},
    )


class ContextIn(Schema):
    """What the visitor has to do with now: keys of items."""

    items = _keys("Items on the page")
    cart = _keys("Items in the cart")
    session = _keys("Items looked at in this visit")


class FilterIn(Schema):
    """What may be offered, beyond the placement's own rules."""

    category = String(validate=Length(1, 256), metadata={"description": "A category path, or one above it."})
    in_stock = Truth(metadata={"description": "false: sold-out items too."})
    price_min = Decimal(metadata={"description": "In currency units, like 12.99."})
    price_max = Decimal()


class QuestionIn(Schema):
    """One question. A contact or visitor nobody knows is answered like a stranger."""

    placement = String(required=True, validate=Length(1, 64), metadata={"example": "item"})
    contact = String(validate=Length(1, 128), metadata={"description": "The contact's key."})
    visitor = String(validate=Length(1, 64))
    context = Nested(ContextIn, load_default=dict)
    n = Integer(load_default=10, validate=Range(1, MOST), strict=True)
    exclude = _keys("Items never to offer here")  # type: ignore[assignment]  # a field, not marshmallow's own attribute
    filter = Nested(FilterIn, load_default=dict)
    explain = Truth(load_default=True)


class RecommendationsIn(QuestionIn):
    """One question, or several complete ones under `requests`."""

    placement = String(validate=Length(1, 64), metadata={"example": "item"})
    requests = List(Nested(QuestionIn), validate=Length(1, MOST_REQUESTS))


class ReasonOut(Schema):
    """Why an item is offered."""

    kind = String()
    text = String(metadata={"example": "42 of 310 buyers of Teapot also bought it"})
    because = List(String(), metadata={"description": "Titles of what led to it."})
    support = Integer(metadata={"description": "Buyers of these and the item."})
    n = Integer(metadata={"description": "Buyers of these; popular: buyers lately."})
    confidence = Float(metadata={"description": "support / n."})
    lift = Float(metadata={"description": "How many times more often than by chance."})


class RecommendedOut(Schema):
    """An item offered."""

    id = String(metadata={"description": "The item's key."})
    score = Float()
    rank = Integer()
    source = String()
    title = String(allow_none=True)
    price = String(allow_none=True, metadata={"example": "12.99"})
    currency = String()
    url = String(allow_none=True)
    image_url = String(allow_none=True)
    category = String(allow_none=True)
    reason = Nested(ReasonOut)


class AnswerOut(Schema):
    """One answer. Send impressions and clicks back as events of type `impression` and `recommendation_click` with
    properties.recommendation_id, placement and source.
    """

    recommendation_id = String()
    placement = String()
    training = Integer(allow_none=True, metadata={"description": "The training that answered."})
    degraded = Boolean(metadata={"description": "true: no training serves yet; these are best-sellers."})
    took_ms = Float()
    items = List(Nested(RecommendedOut))
    missing_ids = List(String(), metadata={"description": "Keys of items, and the contact, that nobody knows."})


class AnswersOut(AnswerOut):
    """One answer, or `answers` in the order of `requests`."""

    answers = List(Nested(AnswerOut))


class RulesIn(Schema):
    """What a placement does not show."""

    exclude_purchased = Truth(metadata={"description": "Nothing the contact bought already."})
    in_stock = Truth(metadata={"description": "Nothing that is sold out."})


class PlacementIn(Schema):
    """Where an offer appears: its sources in order, the first that fills it first."""

    name = String(required=True, validate=Length(1, 128), metadata={"example": "Cart"})
    sources = List(String(validate=OneOf(SOURCES)), required=True, validate=Length(1, len(SOURCES)))
    rules = Nested(RulesIn, load_default=dict)


class PlacementOut(PlacementIn):
    """A placement."""

    key = String()


class PlacementsOut(Schema):
    """All placements."""

    placements = List(Nested(PlacementOut))


@blueprint.post("/recommendations")
@needs("recommendations:read")
@blueprint.input(RecommendationsIn)
@blueprint.output(AnswersOut)
def recommend(json_data: dict[str, Any]) -> ResponseReturnValue:
    """Ask what to offer"""
    asked = json_data.get("requests")
    if (asked is None) == ("placement" not in json_data):
        raise Invalid("Name a placement, or give a list of requests.", field="placement")
    with services().database.read() as session:
        if asked is None:
            return jsonify(_answer(session, json_data, ""))
        return jsonify(answers=[_answer(session, one, f"requests.{place}.") for place, one in enumerate(asked)])


@blueprint.get("/placements")
@needs("recommendations:read")
@blueprint.output(PlacementsOut)
def all_placements() -> dict[str, Any]:
    """Read the placements"""
    with services().database.read() as session:
        return {"placements": list(placements.read(session).values())}


@blueprint.put("/placements/<string(maxlength=64):key>")
@needs("recommendations:write")
@blueprint.input(PlacementIn)
@blueprint.output(PlacementOut)
@blueprint.doc(description="A new key makes a new placement. Answers follow within seconds.")
def put_placement(key: str, json_data: dict[str, Any]) -> placements.Plan:
    """Write a placement"""
    with services().database.begin() as session:
        placements.edit(
            session, key, name=json_data["name"], sources=json_data["sources"], given=json_data["rules"], now=utcnow()
        )
    services().recommender.reload()
    with services().database.read() as session:
        return placements.read(session)[key]


def _answer(session: Session, asked: Mapping[str, Any], path: str) -> dict[str, Any]:
    begun = time.perf_counter()
    contact = asked.get("contact")
    contact_id = contact and session.connection().scalar(_CONTACT, {"key": contact})
    try:
        request = Request(
            asked["placement"],
            contact_id or None,
            asked.get("visitor"),
            **asked["context"],
            n=asked["n"],
            exclude=asked["exclude"],
            filter=_filter(asked["filter"]),
            explain=asked["explain"],
        )
        answer = services().recommender.recommend(session, request, now=utcnow())
    except Invalid as error:
        raise Invalid(error.message, field=f"{path}{error.field}") from None
    missing = [*answer.missing_ids, *([contact] if contact and not contact_id else [])]
    return shown(answer) | {"missing_ids": missing, "took_ms": round((time.perf_counter() - begun) * 1000, 2)}


def _filter(given: Mapping[str, Any]) -> Filter:
    wanted = dict(given)
    for name in ("price_min", "price_max"):
        if name in wanted:
            try:
                wanted[name] = money.parse(wanted[name])
            except Invalid as error:
                raise Invalid(error.message, field=f"filter.{name}") from None
    return Filter(**wanted)
