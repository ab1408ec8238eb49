"""The pages, one file per noun, each with a `blueprint = Blueprint("lists", __name__, url_prefix="/lists")`.

Every page needs a log-in (web.security); a view is 3 to 8 lines: read the request, call a function, render.
"""

from __future__ import annotations

from apiflask import APIFlask
from flask import Blueprint

from web.pages import campaigns, contacts, imports, lists, login, outbox, recommendations, search, settings, today

PAGES: tuple[Blueprint, ...] = tuple(
    page.blueprint
    for page in (login, today, contacts, lists, imports, campaigns, outbox, recommendations, search, settings)
)


def register(app: APIFlask) -> None:
    """Put the pages on `app`."""
    for page in PAGES:
        app.register_blueprint(page)
