"""Who is who: how many are known where, which contacts were merged and why."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import AwareDateTime, Integer, List, Nested, String

from engine.identity import audit
from engine.identity.report import recognition
from web.api.access import needs
from web.api.lists import PageIn
from web.services import services, utcnow

blueprint = APIBlueprint("identity", __name__, tag="Contacts")


class RecognitionOut(Schema):
    """People, each counted once; buyers by the channels of their orders above 0, visitors of the last 30 days."""

    contacts = Integer()
    web_only = Integer()
    store_only = Integer()
    both = Integer()
    elsewhere = Integer(
        metadata={"description": "Bought on other channels (perhaps beside one of these), or none is named."}
    )
    no_orders = Integer()
    recognised = Integer(metadata={"description": "Visitors who stand with a contact."})
    anonymous = Integer()
    merged_by_records = Integer()
    merged_by_hand = Integer()
    as_of = AwareDateTime(allow_none=True)


class MergeOut(Schema):
    """One contact that became a part of another."""

    id = Integer()
    merged = String(metadata={"description": "Key of the contact that was merged away."})
    kept = String(metadata={"description": "Key of the contact it became a part of."})
    how = String(metadata={"enum": ["record", "manual"]})
    evidence = String()
    author = String(metadata={"description": "Who said so; empty: a record."})
    at = AwareDateTime()
    undone_at = AwareDateTime(allow_none=True)
    undone_by = String(allow_none=True)


class MergesOut(Schema):
    """A page of merges, the newest first."""

    merges = List(Nested(MergeOut))
    next = Integer(allow_none=True)


@blueprint.get("/identity")
@needs("contacts:read")
@blueprint.output(RecognitionOut)
def report() -> dict[str, Any]:
    """How many are known where"""
    with services().database.read() as session:
        return vars(recognition(session, services().warehouse, utcnow()))


@blueprint.get("/merges")
@needs("contacts:read")
@blueprint.input(PageIn, location="query")
@blueprint.output(MergesOut)
def merges(query_data: dict[str, Any]) -> dict[str, Any]:
    """Which contacts were merged, those undone included"""
    limit = query_data["limit"]
    with services().database.read() as session:
        found = audit.latest(session, before=query_data["cursor"] or None, limit=limit)
    out = [{**vars(one.merge), "merged": one.merged.key, "kept": one.kept.key} for one in found]
    return {"merges": out, "next": found[-1].merge.id if len(found) == limit else None}
