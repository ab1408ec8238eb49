"""Imports: a file comes in step by step, and what came in before."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_timedelta, gettext, lazy_gettext
from sqlalchemy import select
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from engine import lists
from engine.errors import Conflict, Invalid, NotFound, RapportError
from engine.intake import KINDS, journal, undo
from engine.intake.kinds import kind
from engine.intake.leftovers import REJECTS_LIFE
from engine.intake.sources import ENCODINGS
from engine.models import Import
from web import importing, undoing
from web.errors import status_of
from web.services import services, utcnow
from web.shell import toast
from web.uploads import Upload, Uploads

blueprint = Blueprint("imports", __name__, url_prefix="/imports")

PAGE: Final = 50
SHOWN: Final = 10  # refused records on a page; all are in the file
LISTS: Final = 200  # to choose from
ROWS: Final = 5  # records of the file on a page
FORM: Final = 2**16  # bytes around the file
SPELT: Final = [(name, name.upper()) for name in ENCODINGS]
WORDS: Final = {
    "contacts": (lazy_gettext("Contacts"), lazy_gettext("People: who they are, how to reach them, what they allow.")),
    "items": (lazy_gettext("Items"), lazy_gettext("What you offer: title, category, price, stock.")),
    "orders": (
        lazy_gettext("Orders"),
        lazy_gettext("What was bought and returned: one line for each item of an order."),
    ),
    "events": (lazy_gettext("Events"), lazy_gettext("What people did: visits, calls, surveys, clicks.")),
}
AGAIN: Final = {  # what happens to what is here already
    "contacts": lazy_gettext("Of several rows for one person the last one counts, field by field."),
    "items": lazy_gettext(
        "The article number says what it is. An item that is known is changed where the file says something else. Of"
        " several rows with one number the last one counts, field by field."
    ),
    "orders": lazy_gettext(
        "The order number says which it is. An order that is here with the same lines stays as it is; with other lines"
        " it is replaced as a whole."
    ),
    "events": lazy_gettext(
        "An event with a key that is here stays as it is. Without a key all of its content says which it is."
    ),
}
FINDS: Final = {
    "key": lazy_gettext("customer number"),
    "email": lazy_gettext("e-mail address"),
    "phone": lazy_gettext("telephone"),
    "card": lazy_gettext("loyalty card"),
}
WINS: Final = {
    "file": lazy_gettext("the file wins"),
    "here": lazy_gettext("what is here wins"),
    "fill": lazy_gettext("fill empty fields only"),
}
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


ORIGINS: Final = (  # of contacts that a file brings; a column "origin" in it goes before
    ("import", lazy_gettext("our own systems")),
    ("partner", lazy_gettext("a partner")),
    ("bought list", lazy_gettext("a bought list")),
    ("web", lazy_gettext("a website")),
    ("survey", lazy_gettext("a survey")),
    ("flyer", lazy_gettext("a flyer")),
    ("call", lazy_gettext("telephone calls")),
)


class _ToWorkspace(FormDataParser):
    """A form whose files go straight to the workspace, never to memory or to another disk."""

    def __init__(self, stream_factory: Any = None, **options: Any) -> None:
        super().__init__(stream_factory=_receive, **options)


@blueprint.url_value_preprocessor
def _make_room(endpoint: str | None, _values: object) -> None:
    """Before anybody reads the form: this one address takes files, within intake.max_upload_mb."""
    if endpoint == "imports.receive":
        request.max_content_length = services().config.intake.max_upload_mb * 2**20 + FORM
        request.max_form_parts = 8
        request.form_data_parser_class = _ToWorkspace


@blueprint.teardown_request
def _leave_nothing(_error: BaseException | None) -> None:
    """Files that came and were not kept, however the request ended."""
    for token, file in g.get("received", {}).items():
        file.close()
        _uploads().delete(token)


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    limit = services().config.intake.max_upload_mb
    words = gettext("The file is larger than %(limit)s MiB. Cut it into parts, or pack it with gzip.", limit=limit)
    return _new(request.args, words), 413  # the form was not read


@blueprint.app_template_filter()
def megabytes(size: int) -> str:
    """1.2 MB."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


@blueprint.get("")
def index() -> ResponseReturnValue:
    """What came in, newest first, and what is on its way."""
    before, uploads = request.args.get("before", type=int), _uploads()
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
            running=_running(),
            mendable={run.id for run in found if run.rejects_file and _rejects(run).is_file()},
            next=url_for(".index", before=found[PAGE - 1].id) if len(found) > PAGE else None,
            first=url_for(".index") if before else None,
        )


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """Choose a kind and a file."""
    _uploads().sweep(utcnow())
    return _new(request.args)


@blueprint.get("/examples/<name>.csv")
def example(name: str) -> ResponseReturnValue:
    """A file with one good record, to begin from."""
    if name not in KINDS:
        raise NotFound(gettext("There is no such example."))
    text = io.StringIO()
    csv.writer(text).writerows(importing.example(KINDS[name]))
    attachment = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), mimetype="text/csv", headers=attachment)


@blueprint.post("/uploads")
def receive() -> ResponseReturnValue:
    """Keep the file and look into it; what cannot be read is told here, with the form again."""
    try:
        upload = _accept()
        importing.look(upload, _uploads().path(upload.token), services().config, utcnow())
    except RapportError as error:
        return _new(request.form, error.message), status_of(error)
    _uploads().save(upload)
    g.received.pop(upload.token)
    return redirect(url_for(".columns", token=upload.token), 303)


@blueprint.get("/uploads/<token>")
def upload(token: str) -> ResponseReturnValue:
    """Where this file is on its way: every step has its page."""
    found = _uploads().find(token)
    if _is_working(found):
        stopping = _uploads().is_stopping(token)
        return render_template("imports/progress.html", upload=found, stopping=stopping, **_pace(found), words=WORDS)
    if found.import_id:
        return redirect(url_for(".show", import_id=found.import_id), 303)
    if found.stage == "checked":
        first = importing.first_rejects(_uploads().rejects(token), SHOWN)
        life = REJECTS_LIFE.days
        return render_template("imports/checked.html", upload=found, rejects=first, words=WORDS, rejects_life=life)
    if found.stage != "mapping":
        return render_template("imports/stopped.html", upload=found, words=WORDS)
    return redirect(url_for(".columns", token=token), 303)


@blueprint.get("/uploads/<token>/progress")
def progress(token: str) -> ResponseReturnValue:
    """The bar, for the page that waits; at the end the way to the next step."""
    found = _uploads().find(token)
    if not _is_working(found):
        return make_response("", 200, {"HX-Redirect": url_for(".upload", token=token)})
    return render_template("imports/bar.html", upload=found, **_pace(found))


@blueprint.get("/uploads/<token>/columns")
def columns(token: str) -> ResponseReturnValue:
    """What each column of the file becomes."""
    return _columns(_idle(token))


@blueprint.post("/uploads/<token>/columns")
def save_columns(token: str) -> ResponseReturnValue:
    """Keep what was chosen and look at the sample again."""
    return _columns(_save_columns(token))


@blueprint.post("/uploads/<token>/check")
def check(token: str) -> ResponseReturnValue:
    """Go through the whole file, beside the page, without writing."""
    chosen = _save_columns(token) if "mapped" in request.form else _idle(token)
    if importing.fault(chosen):
        return _columns(chosen), 422
    importing.start(services(), _uploads(), token, "checking", now=utcnow())
    return redirect(url_for(".upload", token=token), 303)


@blueprint.post("/uploads/<token>/import")
def run(token: str) -> ResponseReturnValue:
    """Take the file in, beside the page."""
    refuse_all = request.form.get("on_error") == "refuse"
    importing.start(services(), _uploads(), token, "importing", refuse_all=refuse_all, now=utcnow())
    return redirect(url_for(".upload", token=token), 303)


@blueprint.post("/uploads/<token>/stop")
def stop(token: str) -> ResponseReturnValue:
    """Ask whoever works on it to stop; it does within a second or two."""
    found = _uploads().find(token)
    if _is_working(found) and found.stage != "refreshing":
        _uploads().ask_to_stop(token)
    return redirect(url_for(".upload", token=token), 303)


@blueprint.post("/uploads/<token>/discard")
def discard(token: str) -> ResponseReturnValue:
    """Throw the file away."""
    found = _idle(token)
    _uploads().delete(token)
    begun = found.stage == "importing"
    toast(
        gettext("The file is deleted; what came in stays.")
        if begun
        else gettext("The file is deleted; nothing came in.")
    )
    return redirect(url_for(".index"), 303)


@blueprint.get("/uploads/<token>/rejects")
def check_rejects(token: str) -> ResponseReturnValue:
    """The records a check would refuse, to be mended before anything is written."""
    found = _uploads().find(token)
    return _download(_uploads().rejects(token), f"rejects-{found.kind}.csv")


@blueprint.get("/<int:import_id>")
def show(import_id: int) -> ResponseReturnValue:
    """What one import did."""
    found = find(import_id)
    return render_template(
        "imports/show.html",
        run=found,
        rejects=importing.first_rejects(_rejects(found), SHOWN) if found.rejects_file else [],
        is_running=found.started_at in _running(),
        rejects_life=REJECTS_LIFE.days,
        words=WORDS,
        next=NEXT[found.kind],
        **_undo(found),
    )


@blueprint.get("/<int:import_id>/rejects")
def rejects(import_id: int) -> ResponseReturnValue:
    """The refused records with their original cells."""
    found = find(import_id)
    return _download(_rejects(found), f"rejects-{found.id}-{found.kind}.csv")


def _uploads() -> Uploads:
    return Uploads(services().config.folder / "uploads")


def _receive(total_content_length: int | None, *_about: Any, **_more: Any) -> IO[bytes]:
    """Where the parser writes a file; see `_leave_nothing`."""
    file = _uploads().create(total_content_length)
    g.setdefault("received", {})[PurePosixPath(file.name).name] = file
    return file


def _accept() -> Upload:
    """What came with the form. Raises Invalid."""
    wanted = kind(request.form.get("kind", ""))
    given = request.files.get("file")
    token = next((token for token, file in g.get("received", {}).items() if given and file is given.stream), None)
    if given is None or token is None or not given.filename:
        raise Invalid(gettext("Choose a file."), field="file")
    given.close()  # what was written is on the disk
    name = PurePosixPath(given.filename.replace("\\", "/")).name
    encoding = request.form.get("encoding") or None
    return Upload(
        token,
        wanted.name,
        "".join(letter for letter in name if letter.isprintable())[:255] or "file",
        _uploads().path(token).stat().st_size,
        utcnow(),
        encoding=encoding,
        origin=_origin(request.form),
        list_id=_list(request.form.get("list", type=int)),
    )


def _list(list_id: int | None) -> int | None:
    """The list that the contacts of a file are put on; raises NotFound."""
    if not list_id:
        return None
    with services().database.read() as session:
        return lists.get(session, list_id).id


def _origin(given: Mapping[str, str]) -> str:
    chosen = given.get("origin", "")
    return chosen if chosen in dict(ORIGINS) else ORIGINS[0][0]


def _new(given: Mapping[str, str], error: str | None = None) -> str:
    chosen = given.get("kind", "contacts")
    return render_template(
        "imports/new.html",
        kinds=KINDS,
        words=WORDS,
        chosen=chosen if chosen in KINDS else "contacts",
        error=error,
        encodings=SPELT,
        encoding=given.get("encoding", ""),
        origins=ORIGINS,
        origin=_origin(given),
        lists=_lists(),
        list_id=given.get("list", ""),
        limit=services().config.intake.max_upload_mb,
    )


def _lists() -> list[tuple[str, str]]:
    """Lists to put the people of a file on, the newest."""
    with services().database.read() as session:
        return [("", gettext("No list")), *((str(one.id), one.name) for one in lists.browse(session, limit=LISTS))]


def _columns(upload: Upload) -> str:
    config, now = services().config, utcnow()
    found = importing.headings(upload, config, now)
    return render_template(
        "imports/columns.html",
        upload=upload,
        kind=upload.columns,
        finds=list(FINDS.items()) if upload.kind == "contacts" else [],
        wins=list(WINS.items()),
        headings=found,
        fault=importing.fault(upload),
        has_times=any(one.column and one.column.type.format in importing.TIMES for one in found),
        has_numbers=any(one.column and one.column.type.json in importing.NUMBERS for one in found),
        again=AGAIN[upload.kind],
        formats=[("", "2026-03-31 14:05 (ISO 8601)"), *((name, importing.spelt(name)) for name in importing.FORMATS)],
        encodings=SPELT,
        rows=upload.sample[:ROWS],
        words=WORDS,
    )


def _save_columns(token: str) -> Upload:
    """The form's choices, kept; in another encoding the file is read anew."""
    uploads, now, chosen = _uploads(), utcnow(), _idle(token)
    encoding = request.form.get("encoding") or None
    if "fresh" in request.form:
        importing.begin(chosen, services().config, now)
    elif encoding != chosen.encoding:
        chosen.encoding, before = encoding, chosen.encoding
        try:
            importing.read(chosen, uploads.path(token), services().config, now)
        except RapportError as error:
            chosen.encoding, chosen.problem = before, error.message
    else:
        titles = {f"column-{position}": title.strip() for position, title in enumerate(chosen.header)}
        choices = {titles[name]: value for name, value in request.form.items() if name in titles}
        importing.choose(chosen, choices, request.form, services().config, now)
    chosen.stage = "mapping"
    uploads.save(chosen)
    return chosen


def _idle(token: str) -> Upload:
    """An upload that nobody works on and that is not in yet; raises NotFound, Conflict."""
    found = _uploads().find(token)
    if _is_working(found):
        raise Conflict(gettext("This file is being worked on; wait until that is done."))
    if found.import_id:
        raise Conflict(gettext("This file is imported already; choose it again to import it again."))
    return found


def _is_working(upload: Upload) -> bool:
    return upload.stage in ("checking", "importing", "refreshing") and _uploads().is_busy(upload.token)


def _running() -> set[Any]:
    """When the imports began that run now; an import that has no end and is not among them died."""
    return {upload.started_at for upload in _uploads().all() if upload.stage == "importing" and _is_working(upload)}


def _pace(upload: Upload) -> dict[str, Any]:
    """Per cent done, and the time left once it can be told."""
    passed = utcnow() - (upload.started_at or utcnow())
    left = None
    if upload.share > 0.05 and passed > timedelta(seconds=4):
        left = format_timedelta(passed * (1 / upload.share - 1), granularity="second", threshold=1.5)
    return {"done": int(upload.share * 100), "left": left}


def find(import_id: int) -> Import:
    """The import; raises NotFound."""
    with services().database.read() as session:
        found = session.get(Import, import_id)
    if found is None:
        raise NotFound(gettext("There is no import %(number)s.", number=import_id))
    return found


def _undo(run: Import) -> dict[str, Any]:
    """Whether it can be taken back, is at it, or was, and what that did."""
    is_undoing = run.undo_started_at is not None and run.undone_at is None
    return {
        "may_undo": undo.may(run, utcnow()),
        "is_undoing": is_undoing and undoing.is_running(services(), run.id),
        "undone": undoing.rows(undo.told(run)) if run.undone_at else [],
        "undo_life": journal.LIFE.days,
    }


def _rejects(run: Import) -> Path:
    return services().config.folder / "rejects" / (run.rejects_file or "nothing")


def _download(path: Path, shown: str) -> ResponseReturnValue:
    """A file under our own name for it; the browser sees another."""
    if not path.is_file():
        raise NotFound(gettext("There are no refused records here, or their file was deleted."))
    return send_file(path.absolute(), mimetype="text/csv", as_attachment=True, download_name=shown)
