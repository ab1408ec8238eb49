"""An import is taken back beside the page; whoever looks sees how far it is, and goes on with one that was killed. Who
has it in hand stands in the database alone (engine.intake.undo).
"""

from __future__ import annotations

import threading
from typing import Final

import structlog
from flask_babel import lazy_gettext

from engine.errors import Conflict, RapportError
from engine.intake import undo
from engine.intake.undo import Tally
from web.services import Services, utcnow

# Why a thing is kept: it was changed, or rows of another table are about it.
REASONS: Final = {
    "changed": lazy_gettext("changed since"),
    "orders": lazy_gettext("have orders"),
    "order_lines": lazy_gettext("were ordered"),
    "events": lazy_gettext("have events"),
    "sends": lazy_gettext("were sent a message"),
    "consents": lazy_gettext("said yes or no since"),
    "confirmations": lazy_gettext("were asked to confirm"),
    "list_members": lazy_gettext("are on a frozen list"),
    "list_picks": lazy_gettext("were put on a list by hand"),
    "identities": lazy_gettext("are known by another name"),
    "merges": lazy_gettext("were merged by hand"),
    "merged_rows": lazy_gettext("have a history elsewhere"),
}
OTHER: Final = lazy_gettext("something else is about them")

log = structlog.get_logger(__name__)


def start(services: Services, import_id: int) -> None:
    """Take an import back in a thread. Raises NotFound, Conflict."""
    with services.database.begin() as session:
        undo.check(session, import_id, utcnow())
        if undo.is_held(session, import_id):
            raise Conflict("This import is being undone already.")
        undo.begin(session, import_id, utcnow())
    threading.Thread(target=_work, args=(services, import_id), daemon=True, name="undo").start()


def rows(tally: Tally) -> list[tuple[str, int, int, list[tuple[str, int]]]]:
    """(table, gone, given back, why others are kept) for people, tables in the order of their weight."""
    tables = ("contacts", "items", "orders", "events", "list_picks")
    return [
        (table, tally[table, "removed", ""], tally[table, "restored", ""], kept)
        for table in tables
        if (kept := _kept(tally, table)) or tally[table, "removed", ""] or tally[table, "restored", ""]
    ]


def _kept(tally: Tally, wanted: str) -> list[tuple[str, int]]:
    found = {why: count for (table, what, why), count in tally.items() if (table, what) == (wanted, "kept") and count}
    return [(str(REASONS.get(why, OTHER)), count) for why, count in sorted(found.items(), key=lambda one: -one[1])]


def _work(services: Services, import_id: int) -> None:
    try:
        undo.undo(services.database, import_id, now=utcnow())
        services.warehouse.refresh()
    except RapportError as error:
        log.warning("undo stopped", number=import_id, why=error.message)
    except Exception:
        log.exception("undo failed", number=import_id)
