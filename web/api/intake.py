"""Contacts, items, orders and events come in: one door for each kind, its schema made from the table of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Field, Float, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from engine import intake, lists
from engine.grouping import Write
from engine.intake import KINDS, Accepted, Call, Column, Kind
from engine.intake.requests import ORDER_LINES
from web.api import browsers
from web.api.access import needs, require
from web.api.body import Records, Whole
from web.api.lists import author
from web.services import services, utcnow

blueprint = APIBlueprint("intake", __name__, tag="Intake")

_FIELDS: dict[str, type[Field[Any]]] = {"string": String, "integer": Integer, "number": Float, "boolean": Boolean}


_NULL = " A field that is absent keeps what is known, `null` clears it (docs/intake.md)."
NONE_TAKEN: dict[int | str, Any] = {422: {"description": "No record was taken; `rejected` tells why, as in 200"}}


class Record(Nested):
    """A record described by a schema and read by intake: a wrong field refuses this record, not the whole call."""

    def _deserialize(self, value: Any, *_args: Any, **_options: Any) -> Any:
        return value


class RejectOut(Schema):
    """A record that was refused."""

    row = Integer(metadata={"description": "Position in the call, from 0."})
    field = String(allow_none=True, metadata={"example": "lines[2].quantity"})
    message = String()


class AcceptedOut(Schema):
    """What the call did; it is in the database when this answer comes."""

    created = Integer()
    updated = Integer()
    unchanged = Integer()
    rejected = List(Nested(RejectOut))


class OnErrorIn(Schema):
    """What a bad record means for the good ones."""

    on_error = String(
        load_default="keep",
        validate=OneOf(["keep", "refuse"]),
        metadata={"description": "keep: good records are taken; refuse: none is, if one is bad."},
    )


class OntoIn(OnErrorIn):
    """Where contacts go beside."""

    list_id = Whole(
        data_key="list",
        validate=Range(min=1),
        metadata={
            "description": "Put the contacts on this list by hand, whatever its criteria say, but for whom somebody"
            " took off it; needs `lists:write`. Its size follows at the next tick."
        },
    )


def _add(kind: Kind) -> None:
    """The door of a kind."""

    @blueprint.post(f"/{kind.name}", endpoint=kind.name)
    @needs(
        f"{kind.name}:write",
        *((404,) if kind.name == "contacts" else ()),  # of the list they go on to
        *((429,) if kind.name == "events" else ()),
        browser=kind.name == "events",
    )
    @blueprint.input(_call(kind), arg_name="call", schema_name=f"{kind.name.title()}In")
    @blueprint.input(OntoIn if kind.name == "contacts" else OnErrorIn, location="query", arg_name="query")
    @blueprint.output(AcceptedOut, description="At least one record was taken.")
    @blueprint.doc(
        summary=f"Send {kind.name}",
        description=f"Up to `intake.max_request_rows` records; idempotent by `{kind.key}`. 422 when none was taken."
        + (_NULL if kind.merges else ""),
        responses=NONE_TAKEN,
    )
    def take(call: dict[str, Any], query: dict[str, Any]) -> ResponseReturnValue:
        if browsers.is_public():
            return _answer(browsers.take(call[kind.name]))
        read = intake.read(
            kind.name,
            call[kind.name],
            now=utcnow(),
            config=services().config,
            refuse_all=query["on_error"] == "refuse",
        )
        return _answer(services().database.together(_onto(query.get("list_id")), read))


def _onto(list_id: int | None) -> Write[Call, Accepted]:
    """Writes the records, and puts the contacts on a list. Raises NotAllowed."""
    if list_id is None:
        return intake.write
    require("lists:write")
    who, now = author(), utcnow()

    def write(session: Session, calls: Sequence[Call]) -> list[Accepted]:
        lists.get(session, list_id)
        done = intake.write(session, calls)
        for call in calls:
            lists.pick_keys(session, list_id, call.keys, now=now, author=who)
        return done

    return write


def _answer(accepted: Accepted) -> ResponseReturnValue:
    body = {
        "created": accepted.created,
        "updated": accepted.updated,
        "unchanged": accepted.unchanged,
        "rejected": [vars(reject) for reject in accepted.rejected],
    }
    if accepted.rejected and not accepted.created + accepted.updated + accepted.unchanged:
        first = accepted.rejected[0]
        message = f"No record was taken. Record {first.row}: {first.message}"
        refused = jsonify(error={"code": "invalid", "message": message, "field": first.field}, **body)
        refused.status_code = 422
        return refused
    return jsonify(body)


def _call(kind: Kind) -> type[Schema]:
    """{"contacts": [...]} and so on."""
    limit = "at most intake.max_request_rows"
    records = List(Record(_schema(kind)), required=True, metadata={"description": f"Records, {limit}."})
    return _named(f"{kind.name.title()}In", {kind.name: records}, Records)


def _schema(kind: Kind) -> type[Schema]:
    """One record: an order carries its lines, the others are flat; the shop's own fields are an object."""
    fields = {column.name: _field(column) for column in kind.columns if not column.in_line}
    if kind.gathers:
        lines = {column.name: _field(column) for column in kind.columns if column.in_line}
        line = _named(f"{kind.name.title()}Line", lines)
        fields["lines"] = List(Nested(line), required=True, validate=Length(1, ORDER_LINES))
    if kind.open:
        own = "The shop's own fields: text, number, true or false, or a list of up to 50 texts."
        fields[kind.open] = Dict(keys=String(), metadata={"description": own})
    return _named(f"{kind.name.title()}Record", fields)


def _field(column: Column) -> Field[Any]:
    metadata: dict[str, Any] = {"description": f"{column.doc} {column.type.word.capitalize()}."}
    if column.type.json == "string":
        metadata["example"] = column.example
    if column.type.format:
        metadata["format"] = column.type.format
    return _FIELDS[column.type.json](
        required=column.required,
        allow_none=not column.required,
        validate=Length(max=column.type.limit) if column.type.limit else None,
        metadata=metadata,
    )


def _named(name: str, fields: dict[str, Any], parent: type[Schema] = Schema) -> type[Schema]:
    schema: type[Schema] = parent.from_dict(fields, name=name)  # type: ignore[assignment]  # of the class it is called on
    return schema


for _kind in KINDS.values():
    _add(_kind)
