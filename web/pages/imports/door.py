"""The addresses of imports, and what their pages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from flask import Blueprint, send_file
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext

from engine.errors import Conflict, NotFound
from engine.intake.sources import ENCODINGS
from engine.models import Import
from web.services import services
from web.uploads import Upload, Uploads

blueprint = Blueprint("imports", __name__, url_prefix="/imports")
SHOWN: Final = 10  # refused records on a page; all are in the file
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


@blueprint.app_template_filter()
def megabytes(size: int) -> str:
    """1.2 MB."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def find(import_id: int) -> Import:
    """The import; raises NotFound."""
    with services().database.read() as session:
        found = session.get(Import, import_id)
    if found is None:
        raise NotFound(gettext("There is no import %(number)s.", number=import_id))
    return found


def folder() -> Uploads:
    """Files on their way in."""
    return Uploads(services().config.folder / "uploads")


def idle(token: str) -> Upload:
    """An upload that nobody works on and that is not in yet; raises NotFound, Conflict."""
    found = folder().find(token)
    if is_working(found):
        raise Conflict(gettext("This file is being worked on; wait until that is done."))
    if found.import_id:
        raise Conflict(gettext("This file is imported already; choose it again to import it again."))
    return found


def is_working(upload: Upload) -> bool:
    """Somebody is at work on it."""
    return upload.stage in ("checking", "importing", "refreshing") and folder().is_busy(upload.token)


def at_work() -> set[Any]:
    """When the imports began that run now; an import that has no end and is not among them died."""
    return {upload.started_at for upload in folder().all() if upload.stage == "importing" and is_working(upload)}


def rejects_path(run: Import) -> Path:
    """Where its refused records are, as long as they are kept."""
    return services().config.folder / "rejects" / (run.rejects_file or "nothing")


def download(path: Path, shown: str) -> ResponseReturnValue:
    """A file under our own name for it; the browser sees another."""
    if not path.is_file():
        raise NotFound(gettext("There are no refused records here, or their file was deleted."))
    return send_file(path.absolute(), mimetype="text/csv", as_attachment=True, download_name=shown)
