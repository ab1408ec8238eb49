"""All doors side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext

from engine.sources import figures
from engine.sources.figures import Brought
from web.charts import Chart, Series
from web.pages.sources.door import blueprint
from web.services import services, utcnow


@dataclass(frozen=True)
class Door:
    """A card: what comes in there, by which origins, and the pages that make more of it. `more`: (endpoint, words,
    query); those that do not exist or are not allowed are left out.
    """

    title: Any
    text: Any
    icon: str
    origins: tuple[str, ...]
    more: tuple[tuple[str, Any, Mapping[str, str]], ...]


# A door of its own adds a row here; its links appear with its pages.
DOORS: Final = (
    Door(lazy_gettext("Website"),
         lazy_gettext("A small script tells what visitors look at, and who they are once they say so."),
         icon="world", origins=("web",), more=(("tracking.page", lazy_gettext("Get the snippet"), {}),)),
    Door(lazy_gettext("Forms and surveys"),
         lazy_gettext("Questions at an address of yours, or in a frame on the shop's page."),
         icon="forms", origins=("survey",),
         more=(("sources.forms", lazy_gettext("Forms"), {}), ("sources.new_form", lazy_gettext("New form"), {}))),
    Door(lazy_gettext("Flyers"),
         lazy_gettext("Printed codes and QR links, each with its own place to land."),
         icon="qrcode", origins=("flyer",), more=(("sources.flyers", lazy_gettext("Flyers"), {}),)),
    Door(lazy_gettext("Telephone"),
         lazy_gettext("Who calls, what about, and what they allow, written down while they speak."),
         icon="phone", origins=("call",), more=(("sources.calls", lazy_gettext("Note a call"), {}),)),
    Door(lazy_gettext("Files"),
         lazy_gettext("Customers and orders from your shop or till."),
         icon="table-import", origins=("import",), more=(("imports.new", lazy_gettext("Import a file"), {}),)),
    Door(lazy_gettext("Partners"),
         lazy_gettext("People whom a partner sends you, with their word that you may write."),
         icon="heart-handshake", origins=("partner",),
         more=(("imports.new", lazy_gettext("Import their file"), {"origin": "partner"}),)),
    Door(lazy_gettext("Bought lists"),
         lazy_gettext("Addresses from a broker; without consent they are counted, never written to."),
         icon="file-dollar", origins=("bought list",),
         more=(("imports.new", lazy_gettext("Import a bought list"), {"origin": "bought list"}),)),
    Door(lazy_gettext("Programs"),
         lazy_gettext("A shop, a till or a script that sends contacts, orders and events."),
         icon="key", origins=("api",), more=(("settings.keys", lazy_gettext("API keys"), {}),)),
)  # fmt: skip


@blueprint.get("")
def index() -> ResponseReturnValue:
    """How many came in by each door, all in all and in the last 30 days."""
    brought = figures.origins(services().warehouse, utcnow())
    named = {origin for door in DOORS for origin in door.origins}
    return render_template(
        "sources/index.html",
        doors=[(door, _sum(brought, door.origins)) for door in DOORS],
        others=[(origin, count) for origin, count in brought.items() if origin not in named],
        chart=_chart(brought),
        as_of=services().warehouse.as_of,
    )


def _sum(brought: Mapping[str, Brought], origins: tuple[str, ...]) -> Brought:
    mine = [brought[origin] for origin in origins if origin in brought]
    return Brought(sum(one.people for one in mine), sum(one.lately for one in mine))


def _chart(brought: Mapping[str, Brought]) -> Chart:
    most = list(brought.items())[:10]
    return Chart(
        title=gettext("People by origin"),
        axis=gettext("Origin"),
        categories=[origin or gettext("not known") for origin, _ in most],
        series=[
            Series(gettext("Before"), [count.people - count.lately for _, count in most]),
            Series(gettext("Last 30 days"), [count.lately for _, count in most]),
        ],
        kind="bar",
        stacked=True,
        horizontal=True,
    )
