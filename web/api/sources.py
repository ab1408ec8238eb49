"""Doors people come in by: forms with their answers, flyers with their scans."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import AwareDateTime, Boolean, Dict, Integer, List, Nested, String
from apiflask.validators import Length, Range
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from engine.errors import NotFound
from engine.models import Contact, Flyer, Form
from engine.sources import figures, flyers, forms
from engine.sources.figures import Told
from web.api.access import needs
from web.api.body import Truth, Whole
from web.limits import LARGEST
from web.services import services, utcnow

blueprint = APIBlueprint("sources", __name__, tag="Sources")

CODE = {"description": "As printed; case and blanks do not matter.", "example": "YORK-26"}
NOBODY = Told(0, 0, 0, 0)


class ToldOut(Schema):
    """What came of it, as the warehouse has it."""

    events = Integer(metadata={"description": "Answers or scans."})
    lately = Integer(metadata={"description": "In the last 30 days."})
    strangers = Integer(metadata={"description": "Browsers that nobody is known by yet."})
    people = Integer()


class FormOut(Schema):
    """A form."""

    key = String(metadata={"example": "k7m2pqx"})
    name = String()
    origin = String(metadata={"example": "survey"})
    address = String(metadata={"description": "Where people answer it."})
    definition = Dict(metadata={"description": "Title, questions, consents ..."})
    active = Boolean()
    told = Nested(ToldOut)


class FormsOut(Schema):
    """All forms."""

    forms = List(Nested(FormOut))


class FormAnswersIn(Schema):
    """Which answers."""

    cursor = Whole(
        load_default=None, validate=Range(1, LARGEST), metadata={"description": "`next` of the page before."}
    )
    limit = Whole(load_default=100, validate=Range(1, 500))


class FormAnswerOut(Schema):
    """One answer: an event of type `survey`."""

    id = Integer()
    contact = String(allow_none=True, metadata={"description": "The contact's key; null for a stranger."})
    at = AwareDateTime()
    answers = Dict(metadata={"description": "By the names of the questions."})


class FormAnswersOut(Schema):
    """A page of answers, the newest first."""

    answers = List(Nested(FormAnswerOut))
    next = Integer(allow_none=True)


class FlyerIn(Schema):
    """A flyer to make or to change."""

    name = String(required=True, validate=Length(1, 128))
    target = String(required=True, validate=Length(1, 1024), metadata={"example": "https://shop.example/bread"})
    active = Truth(load_default=True)


class FlyerOut(Schema):
    """A flyer."""

    code = String(metadata=CODE)
    name = String()
    target = String()
    address = String(metadata={"description": "What the QR code holds."})
    active = Boolean()
    told = Nested(ToldOut)


class FlyersOut(Schema):
    """All flyers."""

    flyers = List(Nested(FlyerOut))


@blueprint.get("/forms")
@needs("sources:read")
@blueprint.output(FormsOut)
def index() -> dict[str, Any]:
    """All forms and surveys"""
    told = figures.of_forms(services().warehouse, utcnow())
    with services().database.read() as session:
        return {"forms": [_form(form, told) for form in forms.every(session)]}


@blueprint.get("/forms/<key>/answers")
@needs("sources:read")
@blueprint.input(FormAnswersIn, location="query")
@blueprint.output(FormAnswersOut)
def answers(key: str, query_data: dict[str, Any]) -> dict[str, Any]:
    """The answers of a form, page by page"""
    limit = query_data["limit"]
    services().warehouse.refresh()
    with services().database.read() as session:
        form = forms.find(session, key)
        rows = figures.answers(services().warehouse, form.key, before=query_data["cursor"], limit=limit)
        ids = {row["contact_id"] for row in rows if row["contact_id"] is not None}
        people = session.execute(select(Contact.id, Contact.key).where(Contact.id.in_(ids)))
        keys = {person.id: person.key for person in people}
    told = [
        {"id": row["id"], "contact": keys.get(row["contact_id"]), "at": row["occurred_at"], "answers": row["answers"]}
        for row in rows
    ]
    return {"answers": told, "next": rows[-1]["id"] if len(rows) == limit else None}


@blueprint.get("/flyers")
@needs("sources:read")
@blueprint.output(FlyersOut)
def all_flyers() -> dict[str, Any]:
    """All flyers"""
    told = figures.of_flyers(services().warehouse, utcnow())
    with services().database.read() as session:
        return {"flyers": [_flyer(flyer, told) for flyer in flyers.every(session)]}


@blueprint.put("/flyers/<code>")
@needs("sources:write", 409)
@blueprint.input(FlyerIn)
@blueprint.output(FlyerOut)
def save_flyer(code: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Make a flyer, or change where its code leads"""
    now = utcnow()
    with services().database.begin() as session:
        found = flyers.find(session, code)
        given, own = (json_data["name"], json_data["target"]), services().config.server.public_url
        if found is None:
            found = flyers.make(session, *given, code, now=now, own=own)
        else:
            flyers.change(session, found.id, *given, now=now, own=own)
        flyers.close(session, found.id, now=_closed_at(found, json_data["active"], now))
        session.flush()
    return _flyer(found, figures.of_flyers(services().warehouse, now))


@blueprint.delete("/flyers/<code>")
@needs("sources:write")
@blueprint.output({}, status_code=204)
def close_flyer(code: str) -> ResponseReturnValue:
    """Let a code lead nowhere any more; PUT opens it again"""
    with services().database.begin() as session:
        found = flyers.find(session, code)
        if found is None:
            raise NotFound(f"There is no flyer with the code {code[:32]}.")
        flyers.close(session, found.id, now=found.closed_at or utcnow())
    return ""


def _closed_at(flyer: Flyer, active: bool, now: datetime) -> datetime | None:
    return None if active else flyer.closed_at or now


def _form(form: Form, told: Mapping[str, Told]) -> dict[str, Any]:
    return {
        **{name: getattr(form, name) for name in ("key", "name", "origin", "definition")},
        "address": f"{_base()}/f/{form.key}",
        "active": form.closed_at is None,
        "told": told.get(form.key, NOBODY),
    }


def _flyer(flyer: Flyer, told: Mapping[str, Told]) -> dict[str, Any]:
    return {
        **{name: getattr(flyer, name) for name in ("code", "name", "target")},
        "address": f"{_base()}/q/{flyer.code}",
        "active": flyer.closed_at is None,
        "told": told.get(flyer.code, NOBODY),
    }


def _base() -> str:
    return services().config.server.public_url.rstrip("/")
