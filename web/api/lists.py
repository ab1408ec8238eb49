"""Who to speak to: criteria counted while they are written, lists, their members and exports."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import AwareDateTime, Boolean, Dict, Float, Integer, List, Nested, Raw, String
from apiflask.validators import Length, OneOf, Range
from flask import Response, g
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.errors import Invalid, nearest
from engine.models import ContactList
from web.api.access import needs
from web.api.body import Whole
from web.exporting import csv_response
from web.limits import LARGEST, VERSIONS
from web.services import services, utcnow

blueprint = APIBlueprint("lists", __name__, tag="Lists")

MOST = 500
CRITERIA = {
    "description": "A tree of conditions: docs/criteria.md",
    "example": {"all": [{"field": "age", "operator": "between", "value": [25, 45]}]},
}
EXPORT: dict[int | str, Any] = {200: {"description": "UTF-8 with a byte order mark", "content": {"text/csv": {}}}}
LANGUAGE = String(load_default="en", validate=OneOf(["en", "zh_Hans_CN"]), metadata={"description": "Of sentences."})


class PreviewIn(Schema):
    """Criteria to count."""

    criteria = Raw(required=True, metadata=CRITERIA)
    language = LANGUAGE
    limit = Integer(load_default=20, validate=Range(0, 100), strict=True, metadata={"description": "People to show."})


class ClauseOut(Schema):
    """One node of the criteria."""

    path = String(metadata={"example": "all[2].any[0]"})
    sentence = String(metadata={"example": "aged between 25 and 45"})
    count = Integer(metadata={"description": "Contacts it is true of by itself."})
    unknown = Integer(metadata={"description": "Contacts whose value is not known."})  # type: ignore[assignment]
    remaining = Integer(allow_none=True, metadata={"description": "Left after it and the conditions before it."})


class PersonOut(Schema):
    """One of the people found."""

    id = Integer()
    key = String()
    name = String()
    email = String(allow_none=True)
    phone = String(allow_none=True)
    country = String(allow_none=True)
    city = String(allow_none=True)


class PreviewOut(Schema):
    """What the criteria find."""

    count = Integer()
    base = Integer(metadata={"description": "All contacts."})
    share = Float(metadata={"description": "count / base."})
    sentence = String(metadata={"example": "People aged between 25 and 45"})
    clauses = List(Nested(ClauseOut))
    people = List(Nested(PersonOut), metadata={"description": "Drawn at random, and the same each time."})
    as_of = AwareDateTime(allow_none=True, metadata={"description": "The moment the figures show."})
    moment = AwareDateTime(
        metadata={"description": "Windows end here: now, or up to a minute ago while nothing else changed."}
    )
    took_ms = Float()


class ListIn(Schema):
    """A list."""

    name = String(required=True, validate=Length(1, 128))
    criteria = Raw(required=True, metadata=CRITERIA)


class ChangeIn(ListIn):
    """A list as it shall be; `version` as it was read: somebody else's change since then is a 409."""

    version = Integer(required=True, strict=True, validate=Range(1, VERSIONS))


class ListOut(Schema):
    """A list."""

    id = Integer()
    name = String()
    criteria = Raw(metadata=CRITERIA)
    version = Integer()
    size = Integer(allow_none=True, metadata={"description": "People at the last count."})
    counted_at = AwareDateTime(allow_none=True)
    frozen_at = AwareDateTime(allow_none=True, metadata={"description": "null: dynamic."})
    created_at = AwareDateTime()
    updated_at = AwareDateTime()


class ListWithWordsOut(ListOut):
    """A list and what it says."""

    sentence = String(allow_none=True, metadata={"description": "null when a field, event or list it names is gone."})
    fault = String(allow_none=True, metadata={"description": "Why it cannot be used."})
    fault_field = String(allow_none=True, metadata={"description": "The path to it in `criteria`."})


class PageIn(Schema):
    """A part of many."""

    cursor = Whole(load_default=0, validate=Range(0, LARGEST), metadata={"description": "`next` of the page before."})
    limit = Whole(load_default=100, validate=Range(1, MOST))


class ListsIn(PageIn):
    """Lists to show."""

    words = String(load_default="", validate=Length(0, 128), metadata={"description": "Part of the name."})


class ListsOut(Schema):
    """A page of lists, newest first."""

    lists = List(Nested(ListOut))
    next = Integer(allow_none=True)


class MemberOut(PersonOut):
    """A contact on a list."""

    language = String(allow_none=True)
    origin = String(allow_none=True)
    email_consent = Boolean(allow_none=True)
    sms_consent = Boolean(allow_none=True)
    attributes = Dict()


class MembersIn(PageIn):
    """The part of the members to show, and what of each."""

    fields = String(
        load_default="",
        validate=Length(0, 500),
        metadata={"description": "Names parted by commas, such as id,key,attributes; without it all."},
    )  # type: ignore[assignment]


class MembersOut(Schema):
    """A page of members, by id; it may hold fewer than asked for before the last."""

    members = List(Nested(MemberOut))
    next = Integer(allow_none=True)


class FrozenOut(Schema):
    """A frozen list."""

    count = Integer()


@blueprint.post("/lists/preview")
@needs("lists:read")
@blueprint.input(PreviewIn)
@blueprint.output(PreviewOut)
def preview(json_data: dict[str, Any]) -> dict[str, Any]:
    """Count criteria before they are saved"""
    services().warehouse.refresh()
    language = json_data["language"]
    with services().database.read() as session:
        asked = criteria.parse(json_data["criteria"], open_catalogue(session, services().warehouse))
        found = lists.preview(services().warehouse, asked, now=utcnow(), limit=json_data["limit"], language=language)
    return {**vars(found), "share": found.share, "sentence": criteria.sentence(asked, language)}


@blueprint.get("/lists")
@needs("lists:read")
@blueprint.input(ListsIn, location="query")
@blueprint.output(ListsOut)
def index(query_data: dict[str, Any]) -> dict[str, Any]:
    """All lists"""
    limit = query_data["limit"]
    with services().database.read() as session:
        found = lists.browse(session, words=query_data["words"], after=query_data["cursor"] or None, limit=limit)
    return {"lists": found, "next": found[-1].id if len(found) == limit else None}


@blueprint.post("/lists")
@needs("lists:write")
@blueprint.input(ListIn)
@blueprint.output(ListOut, status_code=201)
def create(json_data: dict[str, Any]) -> ContactList:
    """Save a list"""
    services().warehouse.refresh()
    with services().database.begin() as session:
        return _save(session, None, json_data)


@blueprint.get("/lists/<int:list_id>")
@needs("lists:read")
@blueprint.input({"language": LANGUAGE}, location="query")
@blueprint.output(ListWithWordsOut)
def show(list_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """One list, in words too"""
    with services().database.read() as session:
        found = lists.get(session, list_id)
        try:
            asked = criteria.parse(found.criteria, open_catalogue(session, services().warehouse), list_id=list_id)
            words = {"sentence": criteria.sentence(asked, query_data["language"]), "fault": None, "fault_field": None}
        except Invalid as error:
            words = {"sentence": None, "fault": error.message, "fault_field": error.field}
        return {**{name: getattr(found, name) for name in ListOut().fields}, **words}


@blueprint.put("/lists/<int:list_id>")
@needs("lists:write", 409)
@blueprint.input(ChangeIn)
@blueprint.output(ListOut)
def change(list_id: int, json_data: dict[str, Any]) -> ContactList:
    """Change a list's name or criteria"""
    services().warehouse.refresh()
    with services().database.begin() as session:
        return _save(session, list_id, json_data)


@blueprint.delete("/lists/<int:list_id>")
@needs("lists:write", 409)
@blueprint.output({}, status_code=204)
def delete(list_id: int) -> ResponseReturnValue:
    """Delete a list; it can be brought back for 30 days"""
    with services().database.begin() as session:
        lists.delete(session, list_id, now=utcnow())
    return ""


@blueprint.post("/lists/<int:list_id>/restore")
@needs("lists:write", 409)
@blueprint.output(ListOut)
def restore(list_id: int) -> ContactList:
    """Bring a deleted list back"""
    with services().database.begin() as session:
        return lists.restore(session, list_id, now=utcnow())


@blueprint.post("/lists/<int:list_id>/freeze")
@needs("lists:write", 409)
@blueprint.output(FrozenOut)
def freeze(list_id: int) -> dict[str, int]:
    """Keep the people who are on the list now"""
    services().warehouse.refresh()
    with services().database.begin() as session:
        return {"count": lists.freeze(session, services().warehouse, list_id, utcnow())}


@blueprint.get("/lists/<int:list_id>/members")
@needs("lists:read")
@blueprint.input(MembersIn, location="query")
@blueprint.output(MembersOut)
def members(list_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """The people on a list, page by page"""
    after, limit, wanted = query_data["cursor"], query_data["limit"], _wanted(query_data["fields"])
    if not after:  # those that follow go on with what the first one found
        services().warehouse.refresh()
    with services().database.read() as session:
        found, more = lists.page(session, services().warehouse, list_id, utcnow(), after=after, limit=limit)
        people = [{name: getattr(one, name) for name in wanted} for one in found]
    return {"members": people, "next": more}


def _wanted(given: str) -> list[str]:
    """The fields that were asked for, all of them when none was. Raises Invalid."""
    names = list(filter(None, map(str.strip, given.split(","))))
    known = list(MemberOut().fields)
    for name in names:
        if name not in known:
            raise Invalid(f"Unknown field '{name[:80]}'.{nearest(name[:80], known)}", field="fields")
    return names or known


@blueprint.get("/lists/<int:list_id>/export.csv")
@needs("lists:read")
@blueprint.doc(responses=EXPORT)
def export(list_id: int) -> Response:
    """The people on a list as CSV; cells that a spreadsheet would run as a formula are made harmless"""
    services().warehouse.refresh()
    return csv_response(list_id, utcnow())


def _save(session: Session, list_id: int | None, data: dict[str, Any]) -> ContactList:
    catalogue = open_catalogue(session, services().warehouse)
    return lists.save(
        session,
        list_id,
        data["name"],
        data["criteria"],
        version=data.get("version"),
        now=utcnow(),
        catalogue=catalogue,
        author=author(),
    )


def author() -> str:
    """Who writes by this request, as versions and picks keep it."""
    return f"API: {g.api_key.name}"[:128]
