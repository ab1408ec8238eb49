"""Imports of files: what they did, and taking one back."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import DateTime, Integer, List, Nested, String
from flask import jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from engine.errors import NotFound
from engine.intake import undo
from engine.models import Import
from web import undoing
from web.api.access import needs
from web.services import services, utcnow

blueprint = APIBlueprint("imports", __name__, tag="Imports")

PAGE = 100
_FIELDS = ("id", "kind", "file_name", "rows", "created", "updated", "unchanged", "rejected", "error")


class UndoOut(Schema):
    """What an undo does with the rows of one table."""

    table = String(metadata={"example": "contacts"})
    what = String(metadata={"description": "removed, restored (its former values), or kept"})
    reason = String(metadata={"description": "Why it is kept: changed (since), or the table of rows about it."})
    count = Integer()


class ImportOut(Schema):
    """One import of a file."""

    id = Integer()
    kind = String()
    file_name = String()
    rows = Integer()
    created = Integer()
    updated = Integer()
    unchanged = Integer()
    rejected = Integer()
    error = String(allow_none=True)
    started_at = DateTime()
    finished_at = DateTime(allow_none=True)
    undo_started_at = DateTime(
        allow_none=True,
        metadata={"description": "When its undo began or last took a step; none in a minute: it was killed."},
    )
    undone_at = DateTime(allow_none=True)
    undone = List(Nested(UndoOut), metadata={"description": "What the undo did so far."})


class ImportsOut(Schema):
    """The latest imports."""

    imports = List(Nested(ImportOut))


class PreviewOut(Schema):
    """What an undo would do."""

    would = List(Nested(UndoOut))


@blueprint.get("/imports")
@needs("imports:read")
@blueprint.output(ImportsOut)
@blueprint.doc(summary="The latest 100 imports of files")
def index() -> ResponseReturnValue:
    """Newest first."""
    with services().database.read() as session:
        found = session.scalars(select(Import).order_by(Import.id.desc()).limit(PAGE)).all()
        return jsonify(imports=[_told(run) for run in found])


@blueprint.get("/imports/<int:import_id>")
@needs("imports:read")
@blueprint.output(ImportOut)
@blueprint.doc(summary="One import, and what its undo did")
def show(import_id: int) -> ResponseReturnValue:
    """Ask again while an undo runs."""
    with services().database.read() as session:
        run = session.get(Import, import_id)
        if run is None:
            raise NotFound(f"There is no import {import_id}.")
        return jsonify(_told(run))


@blueprint.get("/imports/<int:import_id>/undo")
@needs("imports:read", 409)
@blueprint.output(PreviewOut)
@blueprint.doc(summary="What undoing an import would do; nothing is written")
def preview(import_id: int) -> ResponseReturnValue:
    """Counts by table and reason."""
    with services().database.read() as session:
        return jsonify(would=_tally(undo.preview(session, import_id, utcnow())))


@blueprint.post("/imports/<int:import_id>/undo")
@needs("imports:undo", 409)
@blueprint.output(ImportOut, status_code=202, description="It is being undone; ask for the import until `undone_at`.")
@blueprint.doc(summary="Undo an import as a whole, for 30 days")
def start(import_id: int) -> ResponseReturnValue:
    """It goes on beside the answer; one that was broken off goes on where it was."""
    undoing.start(services(), import_id)
    with services().database.read() as session:
        return jsonify(_told(session.get_one(Import, import_id))), 202


def _told(run: Import) -> dict[str, Any]:
    moments = ("started_at", "finished_at", "undo_started_at", "undone_at")
    times = {name: moment.isoformat() if (moment := getattr(run, name)) else None for name in moments}
    return {name: getattr(run, name) for name in _FIELDS} | times | {"undone": _tally(undo.told(run))}


def _tally(tally: undo.Tally) -> list[dict[str, Any]]:
    return [
        {"table": table, "what": what, "reason": why, "count": count}
        for (table, what, why), count in sorted(tally.items())
        if count
    ]
