"""Comparisons of a placement: start, read, stop, adopt a variant, take that back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import g
from sqlalchemy.orm import Session

from campaigns.exposed import METRICS
from campaigns.readout import readout
from recommender import comparisons
from recommender.comparisons import ARMS, DAYS, HOLDOUT_LIMIT, LEAST_SHARE
from recommender.models import Comparison
from recommender.sources import NAMES
from web.api.access import needs
from web.api.placements import Number, RulesIn, RulesOut
from web.comparisons import figures, told
from web.services import services, utcnow

blueprint = APIBlueprint("comparisons", __name__, tag="Recommendations")

PATH = "/placements/<string(maxlength=64):key>/comparison"


class VariantIn(Schema):
    """Settings to show. What is left out is as the placement has it, or `placement` if one is named."""

    label = String(validate=Length(1, 128), metadata={"example": "Dearer first"})
    placement = String(validate=Length(1, 64), metadata={"description": "Another placement, whose settings are taken."})
    sources = List(String(validate=OneOf(NAMES)), validate=Length(1, len(NAMES)))
    rules = Nested(RulesIn)


class ComparisonIn(Schema):
    """Two variants, and how people are shared out."""

    a = Nested(VariantIn, load_default=dict, metadata={"description": "Left out: the placement as it is."})
    b = Nested(VariantIn, required=True)
    share_b = Number(
        load_default=0.5,
        validate=Range(LEAST_SHARE, 1 - LEAST_SHARE),
        metadata={"description": "Of the people who are not held out."},
    )
    holdout = Number(
        load_default=0.1,
        validate=Range(0, HOLDOUT_LIMIT),
        metadata={"description": "Share of the people who see best-sellers."},
    )
    days = Integer(
        load_default=14, strict=True, validate=Range(*DAYS), metadata={"description": "Nothing later counts."}
    )


class AdoptIn(Schema):
    """Whose settings the placement takes."""

    variant = String(required=True, validate=OneOf(ARMS))


class VariantOut(Schema):
    """Settings as they are shown."""

    label = String()
    sources = List(String())
    rules = Nested(RulesOut)


class IntervalOut(Schema):
    """An estimate with its 95 % interval."""

    value = Float()
    low = Float()
    high = Float()


class DifferenceOut(Schema):
    """One arm less another, per person."""

    metric = String(metadata={"enum": list(METRICS)})
    arm = String(metadata={"enum": ["a", "b"]})
    against = String(metadata={"enum": ["a", "holdout"]})
    interval = Nested(IntervalOut, allow_none=True, metadata={"description": "null: too few people did it to tell."})


class FiguresOut(Schema):
    """An arm; amounts in units of the currency."""

    people = Integer()
    shown = Integer(metadata={"description": "Recommendations seen."})
    clicked = Integer(metadata={"description": "Of these, with a click."})
    click_rate = Float(allow_none=True)
    clickers = Integer(metadata={"description": "People who clicked."})
    buyers = Integer()
    orders = Integer(metadata={"description": "Of its people, whatever they bought."})
    revenue = Float()
    margin = Float()
    credited_orders = Integer(metadata={"description": "With an item bought after a click on its offer."})
    credited_revenue = Float()
    credited_margin = Float()
    crossed = Integer(metadata={"description": "People who saw another variant later."})
    each = Dict(keys=String(), values=Float(), metadata={"description": "Per person, by metric."})


class VerdictOut(Schema):
    """One word for programs, one sentence for people."""

    code = String(metadata={"enum": ["waiting", "broken", "few buyers", "a", "b", "unclear"]})
    sentence = String()
    interim = Boolean()


class ReadoutOut(Schema):
    """The figures. Margin a person decides; the others explain."""

    currency = String()
    as_of = String(metadata={"format": "date-time"})
    until = String(metadata={"format": "date-time", "description": "What happened later does not count."})
    interim = Boolean()
    arms = Dict(keys=String(), values=Nested(FiguresOut), metadata={"description": "a, b and holdout."})
    differences = List(Nested(DifferenceOut), metadata={"description": "Empty when the split is broken."})
    mismatch = Float(allow_none=True, metadata={"description": "Chance of a split as uneven as this."})
    detectable = Float(allow_none=True, metadata={"description": "Margin a person that 4 of 5 such would show."})
    verdict = Nested(VerdictOut)
    warnings = List(String())
    definition = String()


class ComparisonOut(Schema):
    """A comparison."""

    id = Integer()
    placement = String()
    status = String(metadata={"enum": ["running", "stopped", "adopted"]})
    a = Nested(VariantOut)
    b = Nested(VariantOut)
    share_b = Float()
    holdout = Float()
    days = Integer()
    started_at = String(metadata={"format": "date-time"})
    planned_end = String(metadata={"format": "date-time"})
    ended_at = String(allow_none=True, metadata={"format": "date-time"})
    adopted = String(allow_none=True, metadata={"enum": list(ARMS)})


class ComparisonReadOut(ComparisonOut):
    """A comparison and what it tells."""

    readout = Nested(ReadoutOut)


@blueprint.get(PATH)
@needs("campaigns:read")
@blueprint.output(ComparisonReadOut)
@blueprint.doc(description="The one that runs, or the last that did.")
def read_comparison(key: str) -> dict[str, Any]:
    """Read the comparison of a placement, with its figures"""
    services().warehouse.refresh()
    currency = services().config.locale.currency
    with services().database.read() as session:
        row = comparisons.latest(session, key)
        found = readout(session, services().warehouse, row, currency=currency, now=utcnow())
        return told(row) | {"readout": figures(found)}


@blueprint.post(PATH)
@needs("recommendations:write", 409)
@blueprint.input(ComparisonIn)
@blueprint.output(ComparisonOut, status_code=201)
@blueprint.doc(description="One runs at a placement at a time; while it does, the placement cannot be changed.")
def start_comparison(key: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Compare two variants of a placement"""
    with services().database.begin() as session:
        row = comparisons.start(session, key, **json_data, by=g.api_key.name, now=utcnow())
        found = told(row)
    services().recommender.reload()
    return found


@blueprint.post(f"{PATH}/stop")
@needs("recommendations:write", 409)
@blueprint.output(ComparisonOut)
@blueprint.doc(description="What was stopped cannot go on; another comparison begins with new people.")
def stop_comparison(key: str) -> dict[str, Any]:
    """End it; everybody sees the placement as it is"""
    return _changed(lambda session: comparisons.stop(session, key, utcnow()))


@blueprint.post(f"{PATH}/adopt")
@needs("recommendations:write", 409)
@blueprint.input(AdoptIn)
@blueprint.output(ComparisonOut)
def adopt_variant(key: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """End it, and let the placement take the settings of a variant"""
    return _changed(lambda session: comparisons.adopt(session, key, json_data["variant"], utcnow()))


@blueprint.post(f"{PATH}/undo")
@needs("recommendations:write", 409)
@blueprint.output(ComparisonOut)
def take_back(key: str) -> dict[str, Any]:
    """Give the placement the settings it had before a variant was adopted"""
    return _changed(lambda session: comparisons.take_back(session, key, utcnow()))


def _changed(act: Callable[[Session], Comparison]) -> dict[str, Any]:
    with services().database.begin() as session:
        found = told(act(session))
    services().recommender.reload()
    return found
