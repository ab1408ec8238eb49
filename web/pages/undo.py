"""An import is taken back: what that would do, how far it is, what it did."""

from __future__ import annotations

from flask import Blueprint, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from engine.intake import undo
from web import undoing
from web.pages.imports.door import WORDS, find
from web.services import services, utcnow

blueprint = Blueprint("undo", __name__, url_prefix="/imports")


@blueprint.get("/<int:import_id>/undo")
def ask(import_id: int) -> ResponseReturnValue:
    """What would go, come back and stay."""
    run = find(import_id)
    with services().database.read() as session:
        if run.undone_at or undo.is_held(session, import_id):
            return redirect(url_for("imports.show", import_id=import_id), 303)
        tally = undo.preview(session, import_id, utcnow())
    return render_template("imports/undo.html", run=run, rows=undoing.rows(tally), words=WORDS, blueprint="imports")


@blueprint.post("/<int:import_id>/undo")
def start(import_id: int) -> ResponseReturnValue:
    """Take it back, beside the page."""
    undoing.start(services(), import_id)
    return redirect(url_for("imports.show", import_id=import_id), 303)


@blueprint.get("/<int:import_id>/undo/progress")
def progress(import_id: int) -> ResponseReturnValue:
    """The bar; at the end the page with what was done."""
    find(import_id)
    with services().database.read() as session:
        if not undo.is_held(session, import_id):
            return make_response("", 200, {"HX-Redirect": url_for("imports.show", import_id=import_id)})
        done, total = undo.shares(session, import_id)
    return render_template("imports/undo_bar.html", import_id=import_id, done=done * 100 // max(total, 1))
