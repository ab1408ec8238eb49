"""What there is to know of a saved list: its versions, picks by hand, profile, overlap with others, and growth."""

from __future__ import annotations

from typing import Any

from apiflask import Schema
from apiflask.fields import AwareDateTime, Boolean, Date, Float, Integer, List, Nested, Raw, String
from apiflask.validators import Length, OneOf, Range
from sqlalchemy.orm import Session

from engine import lists
from engine.catalogue import open_catalogue
from engine.lists.picking import WORDS
from engine.lists.profiles import Part, Trait
from engine.models import ContactList, ListVersion
from web import picking
from web.api.access import needs
from web.api.body import Whole
from web.api.lists import CRITERIA, LANGUAGE, ListOut, PageIn, PersonOut, author, blueprint
from web.limits import LARGEST, VERSIONS
from web.services import services, utcnow

__all__ = ["blueprint"]


class LanguageIn(Schema):
    """The language of words."""

    language = LANGUAGE


class VersionsIn(PageIn):
    """Versions to show."""

    language = LANGUAGE


class VersionOut(Schema):
    """A list as it was saved once."""

    version = Integer()
    name = String()
    criteria = Raw(metadata=CRITERIA)
    at = AwareDateTime()
    author = String(metadata={"description": "Who saved it; empty where it is not known."})
    sentence = String(allow_none=True, metadata={"description": "null when it cannot be read today."})
    fault = String(allow_none=True, metadata={"description": "Why it cannot."})


class VersionsOut(Schema):
    """A page of versions, newest first."""

    versions = List(Nested(VersionOut))
    next = Integer(allow_none=True)


class DiffIn(LanguageIn):
    """What to compare with."""

    against = Whole(
        load_default=None, validate=Range(1, VERSIONS), metadata={"description": "A version; the list now without it."}
    )


class ChangeOut(Schema):
    """One line of the criteria as an outline."""

    sign = String(metadata={"description": "- is only in the older, + only in the newer one."})
    depth = Integer()
    text = String()


class DiffOut(Schema):
    """What lies between two versions, the older one first."""

    older = Nested(VersionOut)
    newer = Nested(VersionOut)
    changes = List(Nested(ChangeOut))


class RevertIn(Schema):
    """`version` of the list as it was read: somebody else's change since then is a 409."""

    version = Integer(required=True, strict=True, validate=Range(1, VERSIONS))


class PickIn(Schema):
    """People to put on a list, to take off it, or to leave to the criteria again."""

    pick = String(required=True, validate=OneOf(picking.PICKS))
    ids = List(
        Integer(strict=True, validate=Range(1, LARGEST)),
        load_default=list,
        validate=Length(0, WORDS),
        metadata={"description": "Numbers of contacts."},
    )
    words = List(
        String(validate=Length(0, 254)),
        load_default=list,
        validate=Length(0, WORDS),
        metadata={"description": "Customer numbers, e-mail addresses or telephone numbers."},
    )


class PickedOut(Schema):
    """What a pick did; null where the list's criteria cannot be used today."""

    changed = Integer(metadata={"description": "Picks written, or taken back."})
    moved = Integer(allow_none=True, metadata={"description": "People who came onto the list or went off it by that."})
    already = Integer(allow_none=True, metadata={"description": "People for whom nothing changed: they were there."})
    left_out = Integer(
        allow_none=True, metadata={"description": "People put on the list who stay off it: its criteria exclude them."}
    )
    unknown = List(String(), metadata={"description": "Words that mean nobody."})  # type: ignore[assignment]
    size = Integer(allow_none=True, metadata={"description": "People on the list now."})


class PickOut(Schema):
    """Somebody picked by hand."""

    contact = Nested(PersonOut)
    added = Boolean(metadata={"description": "false: taken off the list."})
    at = AwareDateTime()
    author = String()


class PicksOut(Schema):
    """A page of picks, by contact."""

    picks = List(Nested(PickOut))
    next = Integer(allow_none=True)


class PartOut(Schema):
    """People with one value, or within a band."""

    kind = String(metadata={"description": "value, band (value <= it < high), unknown, others."})
    value = Raw(allow_none=True)
    high = Raw(allow_none=True)
    members = Integer()
    base = Integer()
    member_share = Float()
    base_share = Float()
    index = Float(allow_none=True, metadata={"description": "member_share / base_share."})


class TraitOut(Schema):
    """One field."""

    key = String()
    label = String()
    strength = Float(
        allow_none=True, metadata={"description": "Bias-corrected Cramér's V, 0 to 1; null for too few people."}
    )
    several = Boolean(metadata={"description": "A person may be in several parts."})
    parts = List(Nested(PartOut))


class ProfileOut(Schema):
    """How members differ from all contacts, largest differences first."""

    size = Integer()
    base = Integer()
    traits = List(Nested(TraitOut))


class NamedOut(Schema):
    """A list by name."""

    id = Integer()
    name = String()


class OverlapOut(Schema):
    """Another list."""

    list = Nested(NamedOut)
    size = Integer()
    both = Integer()
    jaccard = Float()


class TogetherOut(Schema):
    """People who are on exactly these of the lists compared."""

    lists = List(Nested(NamedOut))
    count = Integer()


class OverlapsOut(Schema):
    """The list over others."""

    size = Integer()
    others = List(Nested(OverlapOut))
    together = List(Nested(TogetherOut))
    unseen = List(Nested(NamedOut), metadata={"description": "Nobody has looked who is on these yet: the tick does."})


class GrowthIn(Schema):
    """Days to show."""

    since = Date(load_default=None)


class DayOut(Schema):
    """A day of the shop: people at its last look, who came and who went."""

    day = Date()
    size = Integer()
    joined = Integer()
    left = Integer()


class GrowthOut(Schema):
    """Up to 400 days, oldest first."""

    days = List(Nested(DayOut))


@blueprint.get("/lists/<int:list_id>/versions")
@needs("lists:read")
@blueprint.input(VersionsIn, location="query")
@blueprint.output(VersionsOut)
def versions(list_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """What was saved of a list, newest first"""
    limit = query_data["limit"]
    with services().database.read() as session:
        found = lists.versions(session, list_id, before=query_data["cursor"] or None, limit=limit)
        told = [_version(session, one, query_data["language"])[0] for one in found]
    return {"versions": told, "next": found[-1].version if len(found) == limit else None}


@blueprint.get("/lists/<int:list_id>/versions/<int:version>/diff")
@needs("lists:read")
@blueprint.input(DiffIn, location="query")
@blueprint.output(DiffOut)
def diff(list_id: int, version: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """What changed between two versions, clause by clause"""
    with services().database.read() as session:
        newest = next((one.version for one in lists.versions(session, list_id, limit=1)), version)
        older, newer = sorted((version, query_data["against"] or newest))
        pair = [lists.version_of(session, list_id, number) for number in (older, newer)]
        told, readings = zip(*(_version(session, one, query_data["language"]) for one in pair), strict=True)
    changes = [{"sign": one.sign, **vars(one.line)} for one in lists.difference(*readings)]
    return {"older": told[0], "newer": told[1], "changes": changes}


@blueprint.post("/lists/<int:list_id>/versions/<int:version>/restore")
@needs("lists:write", 409)
@blueprint.input(RevertIn)
@blueprint.output(ListOut)
def revert(list_id: int, version: int, json_data: dict[str, Any]) -> ContactList:
    """Save an old version as the newest"""
    services().warehouse.refresh()
    with services().database.begin() as session:
        return lists.revert(
            session,
            list_id,
            version,
            version=json_data["version"],
            now=utcnow(),
            catalogue=open_catalogue(session, services().warehouse),
            author=author(),
        )


@blueprint.get("/lists/<int:list_id>/picks")
@needs("lists:read")
@blueprint.input(PageIn, location="query")
@blueprint.output(PicksOut)
def picks(list_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """Who was put on a list, or taken off it, by hand"""
    limit = query_data["limit"]
    with services().database.read() as session:
        found = lists.picks(session, list_id, after=query_data["cursor"], limit=limit)
        told = [{"contact": one, "added": pick.added, "at": pick.at, "author": pick.author} for pick, one in found]
        return {"picks": told, "next": found[-1][1].id if len(found) == limit else None}


@blueprint.post("/lists/<int:list_id>/picks")
@needs("lists:write")
@blueprint.input(PickIn)
@blueprint.output(PickedOut)
def pick(list_id: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Put people on a list, or take them off, whatever its criteria say; or undo that"""
    asked = {name: json_data[name] for name in ("ids", "words")}
    found = picking.pick(services(), list_id, json_data["pick"], **asked, now=utcnow(), author=author())
    with services().database.read() as session:
        return {**vars(found), "size": lists.get(session, list_id).size}


@blueprint.get("/lists/<int:list_id>/profile")
@needs("lists:read")
@blueprint.input(LanguageIn, location="query")
@blueprint.output(ProfileOut)
def profile(list_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """How the members differ from all contacts"""
    services().warehouse.refresh()
    with services().database.read() as session:
        found = lists.profile(session, services().warehouse, list_id, utcnow())
    return {
        "size": found.size,
        "base": found.base,
        "traits": [_trait(trait, query_data["language"]) for trait in found.traits],
    }


@blueprint.get("/lists/<int:list_id>/overlap")
@needs("lists:read")
@blueprint.output(OverlapsOut)
def overlap(list_id: int) -> dict[str, Any]:
    """How many members are on other lists, too"""
    with services().database.read() as session:
        found = lists.overlaps(session, services().warehouse, list_id, utcnow())
        others = [
            {"list": _named(row.one), "size": row.size, "both": row.both, "jaccard": row.jaccard}
            for row in found.others
        ]
        together = [{"lists": list(map(_named, part.lists)), "count": part.count} for part in found.together]
        return {"size": found.size, "others": others, "together": together, "unseen": list(map(_named, found.unseen))}


@blueprint.get("/lists/<int:list_id>/growth")
@needs("lists:read")
@blueprint.input(GrowthIn, location="query")
@blueprint.output(GrowthOut)
def growth(list_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """A dynamic list day by day: size, joined, left"""
    with services().database.read() as session:
        return {"days": lists.growth(session, list_id, since=query_data["since"])}


def _version(session: Session, one: ListVersion, language: str) -> tuple[dict[str, Any], lists.Reading]:
    read = lists.reading(one.criteria, open_catalogue(session, services().warehouse), one.list_id, language)
    told = {name: getattr(one, name) for name in ("version", "name", "criteria", "at", "author")}
    return {**told, "sentence": read.sentence or None, "fault": read.fault}, read


def _trait(trait: Trait, language: str) -> dict[str, Any]:
    return {
        "key": trait.key,
        "label": trait.label(language),
        "strength": trait.strength,
        "several": trait.several,
        "parts": [{**vars(part), "index": part.index, **_written(part)} for part in trait.parts],
    }


def _written(part: Part) -> dict[str, Any]:
    """Days as text."""
    return {name: str(value) if hasattr(value := getattr(part, name), "isoformat") else value
            for name in ("value", "high")}  # fmt: skip


def _named(one: ContactList) -> dict[str, Any]:
    return {"id": one.id, "name": one.name}
