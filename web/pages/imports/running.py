"""A file on its way: how far it is, stopped, discarded, taken in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_timedelta, gettext

from engine.intake.leftovers import REJECTS_LIFE
from web import importing
from web.pages.imports.door import (
    SHOWN,
    WORDS,
    blueprint,
    folder,
    idle,
    is_working,
)
from web.services import services, utcnow
from web.shell import toast
from web.uploads import Upload


@blueprint.get("/uploads/<token>")
def upload(token: str) -> ResponseReturnValue:
    """Where this file is on its way: every step has its page."""
    found = folder().find(token)
    if is_working(found):
        stopping = folder().is_stopping(token)
        return render_template("imports/progress.html", upload=found, stopping=stopping, **_pace(found), words=WORDS)
    if found.import_id:
        return redirect(url_for(".show", import_id=found.import_id), 303)
    if found.stage == "checked":
        first = importing.first_rejects(folder().rejects(token), SHOWN)
        life = REJECTS_LIFE.days
        return render_template("imports/checked.html", upload=found, rejects=first, words=WORDS, rejects_life=life)
    if found.stage != "mapping":
        return render_template("imports/stopped.html", upload=found, words=WORDS)
    return redirect(url_for(".columns", token=token), 303)


@blueprint.get("/uploads/<token>/progress")
def progress(token: str) -> ResponseReturnValue:
    """The bar, for the page that waits; at the end the way to the next step."""
    found = folder().find(token)
    if not is_working(found):
        return make_response("", 200, {"HX-Redirect": url_for(".upload", token=token)})
    return render_template("imports/bar.html", upload=found, **_pace(found))


@blueprint.post("/uploads/<token>/import")
def run(token: str) -> ResponseReturnValue:
    """Take the file in, beside the page."""
    refuse_all = request.form.get("on_error") == "refuse"
    importing.start(services(), folder(), token, "importing", refuse_all=refuse_all, now=utcnow())
    return redirect(url_for(".upload", token=token), 303)


@blueprint.post("/uploads/<token>/stop")
def stop(token: str) -> ResponseReturnValue:
    """Ask whoever works on it to stop; it does within a second or two."""
    found = folder().find(token)
    if is_working(found) and found.stage != "refreshing":
        folder().ask_to_stop(token)
    return redirect(url_for(".upload", token=token), 303)


@blueprint.post("/uploads/<token>/discard")
def discard(token: str) -> ResponseReturnValue:
    """Throw the file away."""
    found = idle(token)
    folder().delete(token)
    begun = found.stage == "importing"
    toast(
        gettext("The file is deleted; what came in stays.")
        if begun
        else gettext("The file is deleted; nothing came in.")
    )
    return redirect(url_for(".index"), 303)


def _pace(upload: Upload) -> dict[str, Any]:
    """Per cent done, and the time left once it can be told."""
    passed = utcnow() - (upload.started_at or utcnow())
    left = None
    if upload.share > 0.05 and passed > timedelta(seconds=4):
        left = format_timedelta(passed * (1 / upload.share - 1), granularity="second", threshold=1.5)
    return {"done": int(upload.share * 100), "left": left}
