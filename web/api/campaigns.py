"""Campaigns over the API: write, schedule, stop, read what they earned; and the tick for other schedulers."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, DateTime, Decimal, Dict, Float, Integer, List, Raw, String
from apiflask.validators import Range
from flask import jsonify, make_response
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE
from sqlalchemy.orm import Session

from campaigns import planning, plans, roi, scheduler
from campaigns.estimates import estimate
from campaigns.models import Campaign
from engine.models import CHANNELS
from web import campaigns as seen
from web.api.access import needs
from web.api.body import Whole
from web.limits import LARGEST, VERSIONS
from web.services import services, utcnow

blueprint = APIBlueprint("campaigns", __name__, tag="Campaigns")

PAGE = 50


class CampaignIn(Schema):
    """What a campaign says. Anything may be left out of a draft."""

    name = String(metadata={"example": "Spring sale", "maxLength": 128})
    channel = String(metadata={"enum": list(CHANNELS), "example": "email"})
    list_id = Integer(allow_none=True, strict=True, validate=Range(1, LARGEST))
    due_at = String(allow_none=True, metadata={"description": "When it is meant to go out; scheduling decides."})
    holdout = Float(metadata={"description": "Share kept silent.", "minimum": 0, "maximum": plans.HOLDOUT_LIMIT})
    window_days = Integer(
        strict=True, metadata={"description": "Orders so long after count.", "minimum": 1, "maximum": 90}
    )
    fixed_cost = Decimal(metadata={"description": "In units of the currency, like 12.50.", "minimum": 0})
    message_cost = Decimal(metadata={"description": "Per message.", "minimum": 0})
    currency = String(metadata={"example": "GBP", "pattern": "^[A-Z]{3}$"})
    subject = String(metadata={"description": "E-mail; Liquid.", "example": "Hello {{ contact.first_name }}"})
    preheader = String()
    blocks = List(Raw(), metadata={"description": "E-mail: heading, text, button, image, divider, products."})
    text = String(metadata={"description": "SMS; Liquid."})


class CampaignEditIn(CampaignIn):
    """Changes to a draft, and the version they were made from."""

    version = Integer(required=True, strict=True, validate=Range(1, VERSIONS))


class ScheduleIn(Schema):
    """When to send: `at`, or now."""

    at = String(
        metadata={
            "description": "ISO 8601; without an offset in the shop's time zone. Left out: now; empty: refused.",
            "example": "2026-03-29T09:00",
        }
    )
    version = Integer(
        strict=True,
        validate=Range(1, VERSIONS),
        metadata={
            "description": "The draft that is meant: 409 when it was changed since. Without it, the draft that is there"
            " when the request comes; a change while it is checked is 409 too."
        },
    )


class CostsIn(Schema):
    """What it cost, as the bills come in; what is left out stays."""

    fixed_cost = Decimal(metadata={"description": "In units of the currency, like 12.50.", "minimum": 0})
    message_cost = Decimal(metadata={"description": "Per message.", "minimum": 0})
    version = Integer(
        strict=True,
        validate=Range(1, VERSIONS),
        metadata={"description": "The campaign that was looked at: 409 when it was changed since."},
    )


class CopyIn(Schema):
    """What the copy is called."""

    name = String(metadata={"description": "Left out: Copy of, and the other's name.", "maxLength": 128})


class CampaignOut(Schema):
    """A campaign."""

    id = Integer()
    name = String()
    channel = String()
    status = String(metadata={"description": "draft, scheduled, late, sending, paused, finished or cancelled."})
    list_id = Integer(allow_none=True)
    due_at = DateTime(allow_none=True)
    holdout = Float()
    window_days = Integer()
    fixed_cost = String()
    message_cost = String()
    currency = String()
    subject = String()
    preheader = String()
    blocks = List(Dict())
    text = String()
    version = Integer()
    paused_reason = String(allow_none=True)
    progress = Dict(metadata={"description": "Sends by state."})


class CampaignEstimateOut(Schema):
    """The waterfall: matched = excluded + held + sent."""

    matched = Integer()
    excluded = Dict(keys=String(), values=Integer(), metadata={"description": "People left out, by reason."})
    held = Integer()
    sent = Integer()
    cost = String()
    currency = String()
    buyers = Integer()
    needed = Integer(
        allow_none=True,
        metadata={
            "description": "How many would have to be held out for a verdict, when too few of those who are buy."
        },
    )
    detectable = Float(allow_none=True, metadata={"description": "Smallest increment per contact the holdout shows."})
    detectable_share = Float(allow_none=True)
    as_of = DateTime(allow_none=True)


class CampaignReportOut(Schema):
    """What a campaign earned; amounts in units of the currency, intervals as value, low and high (95%)."""

    campaign_id = Integer()
    currency = String()
    as_of = DateTime()
    window_days = Integer()
    window_start = DateTime(allow_none=True)
    window_end = DateTime(allow_none=True)
    interim = Boolean()
    funnel = Dict()
    costs = Dict()
    attributed = Dict(metadata={"description": "By last touch: an upper bound."})
    treated = Dict()
    control = Dict()
    increment = Dict(allow_none=True, metadata={"description": "Caused, by the holdout; null: no honest figure."})
    overstated = Float(allow_none=True, metadata={"description": "Attributed / incremental revenue."})
    detectable = Float(allow_none=True)
    mismatch = Float(allow_none=True)
    verdict = Dict()
    warnings = List(String())
    definition = String()


class TickedOut(Schema):
    """What a tick did."""

    fired = List(Integer())
    late = List(Integer())
    refused = Dict(keys=String(), values=String())
    waiting = Dict(
        keys=String(), values=String(), metadata={"description": "Due, but the warehouse cannot be refreshed; and why."}
    )
    sent = Dict(keys=String(), values=Integer())
    finished = List(Integer())
    credited = Integer()
    confirmations = Integer(metadata={"description": "Messages of double opt-in that went out."})
    refreshed = Dict(keys=String(), values=Integer())
    joined = Integer(metadata={"description": "People new on dynamic lists."})
    left = Integer(metadata={"description": "People gone from dynamic lists."})


class CampaignsIn(Schema):
    """Which campaigns."""

    before = Whole(validate=Range(1, LARGEST), metadata={"description": "The last id of the page before."})
    limit = Whole(load_default=PAGE, validate=Range(1, 200))


@blueprint.get("/campaigns")
@needs("campaigns:read")
@blueprint.input(CampaignsIn, location="query")
def browse(query_data: dict[str, Any]) -> ResponseReturnValue:
    """List campaigns, newest first"""
    with services().database.read() as session:
        found = planning.all_campaigns(session, **query_data)
        return jsonify(campaigns=seen.shown(session, found))


@blueprint.post("/campaigns")
@needs("campaigns:write")
@blueprint.input(CampaignIn(unknown=INCLUDE))  # campaigns.plans names the nearest valid field
@blueprint.output(CampaignOut, status_code=201)
def create(json_data: dict[str, Any]) -> ResponseReturnValue:
    """Write a draft"""
    with services().database.begin() as session:
        campaign = planning.create(session, json_data, now=utcnow(), config=services().config)
        return _answer(session, campaign, 201)


@blueprint.get("/campaigns/<int:campaign_id>")
@needs("campaigns:read")
@blueprint.output(CampaignOut)
def show(campaign_id: int) -> ResponseReturnValue:
    """Read a campaign and its progress"""
    with services().database.read() as session:
        return _answer(session, planning.get(session, campaign_id))


@blueprint.put("/campaigns/<int:campaign_id>")
@needs("campaigns:write", 409)
@blueprint.input(CampaignEditIn(unknown=INCLUDE))
@blueprint.output(CampaignOut)
def edit(campaign_id: int, json_data: dict[str, Any]) -> ResponseReturnValue:
    """Change a draft"""
    version = json_data.pop("version")
    with services().database.begin() as session:
        return _answer(session, planning.edit(session, campaign_id, json_data, version=version, now=utcnow()))


@blueprint.post("/campaigns/<int:campaign_id>/schedule")
@needs("campaigns:write", 409)
@blueprint.input(ScheduleIn)
@blueprint.output(CampaignOut)
def schedule(campaign_id: int, json_data: dict[str, Any]) -> ResponseReturnValue:
    """Send now or at a time, after checking that it can be sent"""
    ours, now = services(), utcnow()
    at = planning.wall_time(json_data["at"], ours.config.locale.zone) if "at" in json_data else None
    with ours.database.read() as session:
        ready = planning.check(
            session, ours.warehouse, campaign_id, version=json_data.get("version"), now=now, config=ours.config
        )
    with ours.database.begin() as session:
        return _answer(session, planning.schedule(session, ready, at=at, now=now))


def _step(word: str, summary: str) -> None:
    """POST /campaigns/<id>/<word>: one change of status."""

    @blueprint.post(f"/campaigns/<int:campaign_id>/{word}", endpoint=word)
    @needs("campaigns:write", 409)
    @blueprint.output(CampaignOut)
    @blueprint.doc(summary=summary)
    def view(campaign_id: int) -> ResponseReturnValue:
        with services().database.begin() as session:
            return _answer(session, seen.take(session, word, campaign_id, now=utcnow()))


for _word, _found in seen.STEPS.items():
    _step(_word, _found.words)


@blueprint.post("/campaigns/<int:campaign_id>/costs")
@needs("campaigns:write", 409)
@blueprint.input(CostsIn)
@blueprint.output(CampaignOut)
def costs(campaign_id: int, json_data: dict[str, Any]) -> ResponseReturnValue:
    """Say what it cost, at any time, after the sending too"""
    version = json_data.pop("version", None)
    with services().database.begin() as session:
        return _answer(session, planning.record_costs(session, campaign_id, json_data, version=version, now=utcnow()))


@blueprint.post("/campaigns/<int:campaign_id>/copy")
@needs("campaigns:write")
@blueprint.input(CopyIn)
@blueprint.output(CampaignOut, status_code=201)
def copy(campaign_id: int, json_data: dict[str, Any]) -> ResponseReturnValue:
    """Write a new draft that says the same to the same list, with its own draw and no time yet"""
    with services().database.begin() as session:
        made = planning.copy(session, campaign_id, **json_data, now=utcnow(), config=services().config)
        return _answer(session, made, 201)


@blueprint.delete("/campaigns/<int:campaign_id>")
@needs("campaigns:write", 409)
@blueprint.output({}, status_code=204)
def delete(campaign_id: int) -> ResponseReturnValue:
    """Delete a campaign that neither waits nor runs; it can be brought back for 30 days"""
    with services().database.begin() as session:
        planning.delete(session, campaign_id, now=utcnow())
    return ""


@blueprint.post("/campaigns/<int:campaign_id>/restore")
@needs("campaigns:write")
@blueprint.output(CampaignOut)
def restore(campaign_id: int) -> ResponseReturnValue:
    """Bring a deleted campaign back"""
    with services().database.begin() as session:
        return _answer(session, planning.undo_delete(session, campaign_id, now=utcnow()))


@blueprint.get("/campaigns/<int:campaign_id>/estimate")
@needs("campaigns:read")
@blueprint.output(CampaignEstimateOut)
def forecast(campaign_id: int) -> ResponseReturnValue:
    """How many it will reach, what it will cost, what its holdout could show"""
    ours = services()
    with ours.database.read() as session:
        found = estimate(session, ours.warehouse, campaign_id, now=utcnow())
    return jsonify(seen.estimate(found))


@blueprint.get("/campaigns/<int:campaign_id>/report")
@needs("campaigns:read")
@blueprint.output(CampaignReportOut)
def report(campaign_id: int) -> ResponseReturnValue:
    """What it earned: funnel, costs, attributed revenue beside the holdout's increment with its interval"""
    with services().database.read() as session:
        return jsonify(seen.report(roi.report(session, campaign_id, now=utcnow())))


@blueprint.post("/tick")
@needs("tick:run")
@blueprint.output(TickedOut)
def tick() -> ResponseReturnValue:
    """Fire what is due; a worker sends it"""
    ours = services()
    ticked = scheduler.tick(ours.database, ours.warehouse, ours.config, now=utcnow())
    why = {name: {str(one): words for one, words in getattr(ticked, name).items()} for name in ("refused", "waiting")}
    return jsonify({**vars(ticked), **why})


def _answer(session: Session, campaign: Campaign, status: int = 200) -> ResponseReturnValue:
    return make_response(jsonify(seen.shown(session, [campaign])[0]), status)
