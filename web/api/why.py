"""Why people are on a list, or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiflask import Schema
from apiflask.fields import AwareDateTime, Boolean, Integer, List, Nested, Raw, String
from apiflask.validators import Length, Range
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.criteria import Criteria
from engine.errors import Invalid
from engine.models import Contact
from engine.values import Style
from engine.why import MOST, Finding, Why, why, words
from web.api.access import needs
from web.api.list_people import blueprint
from web.api.lists import CRITERIA, LANGUAGE
from web.limits import LARGEST
from web.services import services, utcnow

__all__ = ["blueprint", "find", "styled", "told"]


class WhyIn(Schema):
    """Criteria, or the number of a `list`, and up to 20 people."""

    criteria = Raw(load_default=None, metadata=CRITERIA)
    ids = List(
        Integer(strict=True, validate=Range(1, LARGEST)),
        load_default=list,
        validate=Length(0, MOST),
        metadata={"description": "Numbers of contacts."},
    )
    keys = List(
        String(validate=Length(1, 128)),
        load_default=list,
        validate=Length(0, MOST),
        metadata={"description": "Customer numbers."},
    )
    language = LANGUAGE
    list = Integer(load_default=None, strict=True, validate=Range(1, LARGEST))


class FindingOut(Schema):
    """One node of the criteria."""

    path = String(metadata={"example": "all[2].any[0]"})
    sentence = String(metadata={"example": "who ordered at least 3 times in the last 30 days"})
    met = Boolean(metadata={"description": "Is it true of them?"})
    value = String(
        allow_none=True, metadata={"description": "What it compares, in words; null when it compares nothing."}
    )
    unknown = Boolean(attribute="is_unknown")  # type: ignore[assignment]
    cause = String(metadata={"description": "What made it so: a row, or time; empty when it always was so."})
    event_at = AwareDateTime(allow_none=True, metadata={"description": "The moment of that row."})
    since = AwareDateTime(allow_none=True, metadata={"description": "null: as far back as the rows tell."})
    until = AwareDateTime(
        allow_none=True, metadata={"description": "When time alone makes it another; null: not within two years."}
    )
    followed = Boolean(metadata={"description": "false: told as of now, and taken to stay so."})
    nodes = List(Nested(lambda: FindingOut()))  # noqa: PLW0108 - it is not there yet


class WhyOneOut(Schema):
    """One contact."""

    id = Integer()
    key = String()
    name = String()
    met = Boolean()
    standing = String(metadata={"example": "Meets the criteria since 3 Nov 2026 10:00."})
    outlook = String(metadata={"example": "Leaves on 3 Dec 2026 10:00 if nothing happens."})
    since = AwareDateTime(allow_none=True)
    until = AwareDateTime(allow_none=True, metadata={"description": "When they leave, or come in, by time alone."})
    clause = String(allow_none=True, metadata={"description": "Path of the node through which that happens."})
    looked = AwareDateTime(metadata={"description": "How far ahead was looked."})
    followed = Boolean(metadata={"description": "Is every node followed through time?"})
    tree = Nested(FindingOut)


class WhyOut(Schema):
    """Those that are known, in the order they were asked for; keys after ids."""

    moment = AwareDateTime()
    people = List(Nested(WhyOneOut))


@blueprint.post("/lists/why")
@needs("lists:read", 404)
@needs("contacts:read")
@blueprint.input(WhyIn)
@blueprint.output(WhyOut)
def why_people(json_data: dict[str, Any]) -> dict[str, Any]:
    """Say of up to 20 people why they meet criteria or not, and when time will change that

    Needs the scope contacts:read as well.
    """
    services().warehouse.refresh()
    now = utcnow()
    with services().database.read() as session:
        asked = _asked(session, json_data["criteria"], json_data["list"])
        people = find(session, json_data["ids"], json_data["keys"])
        found = why(session, services().warehouse, asked, list(people), now)
        style = styled(asked, json_data["language"])
        return {"moment": now, "people": [told(one, people[one.contact_id], style) for one in found]}


def _asked(session: Session, given: Any, list_id: int | None) -> Criteria:
    if (given is None) == (list_id is None):
        raise Invalid("Give either criteria or the number of a list.", field="criteria")
    if list_id is not None:
        return lists.whole(session, services().warehouse, list_id)
    return criteria.parse(given, open_catalogue(session, services().warehouse))


def find(session: Session, ids: Sequence[int], keys: Sequence[str]) -> dict[int, Contact]:
    """The contacts with these numbers or customer numbers. Raises Invalid for none or too many."""
    if not 1 <= len(set(ids)) + len(set(keys)) <= MOST:
        raise Invalid(f"Name 1 to {MOST} people.", field="ids")
    theirs = select(Contact).where(or_(Contact.id.in_(ids), Contact.key.in_(keys)))
    places = {given: place for place, given in enumerate([*ids, *keys])}
    rows = sorted(session.scalars(theirs), key=lambda one: places.get(one.id, places.get(one.key, 0)))
    return {one.id: one for one in rows}


def styled(asked: Criteria, language: str) -> Style:
    """How values and moments are written."""
    return Style(language, asked.zone, asked.currency)


def told(one: Why, contact: Contact, style: Style) -> dict[str, Any]:
    """As the API tells it."""
    return {
        **{name: getattr(contact, name) for name in ("id", "key", "name")},
        **{name: getattr(one, name) for name in ("met", "looked", "followed")},
        "standing": words.standing(one, style),
        "outlook": words.outlook(one, style),
        "since": one.root.since,
        "until": one.root.until,
        "clause": one.clause.path if one.clause else None,
        "tree": _node(one.root, style),
    }


def _node(one: Finding, style: Style) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("path", "met", "is_unknown", "since", "until", "followed")},
        "sentence": one.phrase(style.language),
        "value": one.value(style.language) if one.value else None,
        "cause": words.cause(one, style),
        "event_at": one.event.at if one.event else None,
        "nodes": [_node(node, style) for node in one.nodes],
    }
