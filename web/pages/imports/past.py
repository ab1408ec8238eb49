"""What came in before."""

from __future__ import annotations

from typing import Any, Final

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import select

from engine.intake import journal, undo
from engine.intake.leftovers import REJECTS_LIFE
from engine.models import Import
from web import importing, undoing
from web.pages.imports.door import (
    SHOWN,
    WORDS,
    at_work,
    blueprint,
    download,
    find,
    folder,
    rejects_path,
)
from web.services import services, utcnow

PAGE: Final = 50
NEXT: Final = {
    "contacts": (
        ("contacts.index", lazy_gettext("See the contacts")),
        ("lists.new", lazy_gettext("Make a list of them")),
    ),
    "items": (("recommendations.index", lazy_gettext("See the recommendations")),),
    "orders": (
        ("contacts.index", lazy_gettext("See who bought")),
        ("recommendations.index", lazy_gettext("Learn from the orders")),
    ),
    "events": (("contacts.index", lazy_gettext("See whose they are")),),
}


@blueprint.get("")
def index() -> ResponseReturnValue:
    """What came in, newest first, and what is on its way."""
    before, uploads = request.args.get("before", type=int), folder()
    uploads.sweep(utcnow())
    statement = select(Import).order_by(Import.id.desc()).limit(PAGE + 1)
    with services().database.read() as session:
        found = session.scalars(statement.where(Import.id < before) if before else statement).all()
        open_uploads = [upload for upload in uploads.all() if upload.stage != "finished"]
        return render_template(
            "imports/index.html",
            imports=found[:PAGE],
            uploads=open_uploads,
            busy={upload.token for upload in open_uploads if uploads.is_busy(upload.token)},
            words=WORDS,
            running=at_work(),
            mendable={run.id for run in found if run.rejects_file and rejects_path(run).is_file()},
            next=url_for(".index", before=found[PAGE - 1].id) if len(found) > PAGE else None,
            first=url_for(".index") if before else None,
        )


@blueprint.get("/<int:import_id>")
def show(import_id: int) -> ResponseReturnValue:
    """What one import did."""
    found = find(import_id)
    return render_template(
        "imports/show.html",
        run=found,
        rejects=importing.first_rejects(rejects_path(found), SHOWN) if found.rejects_file else [],
        is_running=found.started_at in at_work(),
        rejects_life=REJECTS_LIFE.days,
        words=WORDS,
        next=NEXT[found.kind],
        **_undo(found),
    )


@blueprint.get("/<int:import_id>/rejects")
def rejects(import_id: int) -> ResponseReturnValue:
    """The refused records with their original cells."""
    found = find(import_id)
    return download(rejects_path(found), f"rejects-{found.id}-{found.kind}.csv")


REST: Final = ("unchanged", "rejected", "rows")


def _undo(run: Import) -> dict[str, Any]:
    """Whether it can be taken back, is at it, or was, and what that did."""
    created, updated = run.created, run.updated
    with services().database.read() as session:
        may_undo, is_undoing = undo.may(session, run.id, utcnow()), undo.is_held(session, run.id)
        if not created + updated and run.undone_at is None:  # it runs, or died: the journal knows how far it came
            created, updated = journal.counted(session, run.id, run.kind)
    return {
        "may_undo": may_undo,
        "counts": {"created": created, "updated": updated, **{name: getattr(run, name) for name in REST}},
        "is_undoing": is_undoing,
        "undone": undoing.rows(undo.told(run)) if run.undone_at else [],
        "undo_life": journal.LIFE.days,
    }
