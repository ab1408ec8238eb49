"""The pages, one file per noun, each with a `blueprint = Blueprint("lists", __name__, url_prefix="/lists")`.

Every page needs a log-in (web.security); a view is 3 to 8 lines: read the request, call a function, render.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from apiflask import APIFlask
from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from web.pages import (
    campaigns,
    contacts,
    identity,
    imports,
    lists,
    login,
    outbox,
    recommendations,
    search,
    settings,
    sources,
    today,
    tracking,
    undo,
)

PAGES: tuple[Blueprint, ...] = tuple(
    page.blueprint
    for page in (
        *(login, today, contacts, identity, lists, imports, sources, tracking, campaigns, outbox, recommendations),
        *(search, settings, undo),
    )
)
PARTS: Final[Mapping[str, str]] = {  # endpoints that answer a part of a page, with that page
    "campaigns.progress": "campaigns.show",
    "campaigns.reader": "campaigns.show",
    "campaigns.results": "campaigns.index",
    "campaigns.waterfall": "campaigns.show",
    "contacts.history": "contacts.show",
    "contacts.live": "contacts.show",
    "imports.progress": "imports.upload",
    "recommendations.catalogue_found": "recommendations.catalogue",
    "recommendations.comparison_duration": "recommendations.compare",
    "recommendations.placement_results": "recommendations.edit",
    "recommendations.results": "recommendations.index",
    "search.found": "today.page",
    "tracking.live": "tracking.page",
    "undo.progress": "imports.show",
}


def register(app: APIFlask) -> None:
    """Put the pages on `app`."""
    for page in PAGES:
        app.register_blueprint(page)
    app.before_request(_whole)


def _whole() -> ResponseReturnValue | None:
    """Who opens the address of a part, from a log or a restored tab, gets the page it belongs to."""
    page = PARTS.get(request.endpoint or "")
    if page is None or "HX-Request" in request.headers:
        return None
    return redirect(url_for(page, **(request.view_args or {})))
