"""A file is chosen and comes in."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO, Any, Final

from flask import Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from engine import lists
from engine.errors import Invalid, NotFound, RapportError
from engine.intake import KINDS
from engine.intake.kinds import kind
from web import importing
from web.errors import status_of
from web.pages.imports.door import (
    SPELT,
    WORDS,
    blueprint,
    folder,
)
from web.services import services, utcnow
from web.uploads import Upload

LISTS: Final = 200  # to choose from
FORM: Final = 2**16  # bytes around the file
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
        folder().delete(token)


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    limit = services().config.intake.max_upload_mb
    words = gettext("The file is larger than %(limit)s MiB. Cut it into parts, or pack it with gzip.", limit=limit)
    return _new(request.args, words), 413  # the form was not read


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """Choose a kind and a file."""
    folder().sweep(utcnow())
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
        importing.look(upload, folder().path(upload.token), services().config, utcnow())
    except RapportError as error:
        return _new(request.form, error.message), status_of(error)
    folder().save(upload)
    g.received.pop(upload.token)
    return redirect(url_for(".columns", token=upload.token), 303)


def _receive(total_content_length: int | None, *_about: Any, **_more: Any) -> IO[bytes]:
    """Where the parser writes a file; see `_leave_nothing`."""
    file = folder().create(total_content_length)
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
        folder().path(token).stat().st_size,
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
