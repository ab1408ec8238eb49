"""What each column of a file becomes, how it finds its people, and a check of the whole of it."""

from __future__ import annotations

from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from engine.errors import RapportError
from web import importing
from web.pages.imports.door import (
    SPELT,
    WORDS,
    blueprint,
    download,
    folder,
    idle,
)
from web.services import services, utcnow
from web.uploads import Upload

ROWS: Final = 5  # records of the file on a page
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


@blueprint.get("/uploads/<token>/columns")
def columns(token: str) -> ResponseReturnValue:
    """What each column of the file becomes."""
    return _columns(idle(token))


@blueprint.post("/uploads/<token>/columns")
def save_columns(token: str) -> ResponseReturnValue:
    """Keep what was chosen and look at the sample again."""
    return _columns(_save_columns(token))


@blueprint.post("/uploads/<token>/check")
def check(token: str) -> ResponseReturnValue:
    """Go through the whole file, beside the page, without writing."""
    chosen = _save_columns(token) if "mapped" in request.form else idle(token)
    if importing.fault(chosen):
        return _columns(chosen), 422
    importing.start(services(), folder(), token, "checking", now=utcnow())
    return redirect(url_for(".upload", token=token), 303)


@blueprint.get("/uploads/<token>/rejects")
def check_rejects(token: str) -> ResponseReturnValue:
    """The records a check would refuse, to be mended before anything is written."""
    found = folder().find(token)
    return download(folder().rejects(token), f"rejects-{found.kind}.csv")


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
    uploads, now, chosen = folder(), utcnow(), idle(token)
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
