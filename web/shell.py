"""What every page shows: navigation, language, colours, and short messages."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from apiflask import APIFlask
from flask import Response, after_this_request, current_app, g, request
from flask_babel import Babel, get_locale, gettext, lazy_gettext
from flask_babel.speaklater import LazyString

from web.services import services

LANGUAGES = {"en": "English", "zh_Hans_CN": "中文"}  # of public forms
TRANSLATIONS = Path(__file__).parent / "translations"


@cache
def translated() -> dict[str, str]:
    """The languages that pages are in: those whose words are there. One without would show dates alone in it."""
    there = {path.parents[1].name for path in TRANSLATIONS.glob("*/LC_MESSAGES/messages.mo")}
    return {code: name for code, name in LANGUAGES.items() if code in {"en", *there}}


@dataclass(frozen=True)
class Link:
    """A page of the navigation; `key` after g goes there."""

    endpoint: str
    label: LazyString
    icon: str
    key: str


NAVIGATION: tuple[tuple[LazyString | str, tuple[Link, ...]], ...] = (
    ("", (Link("today.page", lazy_gettext("Today"), icon="layout-dashboard", key="t"),)),
    (
        lazy_gettext("Audience"),
        (
            Link("contacts.index", lazy_gettext("Contacts"), icon="users", key="c"),
            Link("identity.index", lazy_gettext("Who is who"), icon="arrows-join-2", key="w"),
            Link("lists.index", lazy_gettext("Lists"), icon="filter", key="l"),
            Link("sources.index", lazy_gettext("Sources"), icon="door-enter", key="p"),
            Link("imports.index", lazy_gettext("Imports"), icon="table-import", key="i"),
        ),
    ),
    (
        lazy_gettext("Reach"),
        (
            Link("campaigns.index", lazy_gettext("Campaigns"), icon="send", key="m"),
            Link("outbox.index", lazy_gettext("Outbox"), icon="mailbox", key="o"),
        ),
    ),
    (
        lazy_gettext("Offers"),
        (Link("recommendations.index", lazy_gettext("Recommendations"), icon="sparkles", key="r"),),
    ),
)
FOOT = Link("settings.index", lazy_gettext("Settings"), icon="settings", key="s")

# What the palette and the page heads offer besides pages.
ACTIONS = (
    Link("lists.new", lazy_gettext("New list"), icon="plus", key=""),
    Link("campaigns.new", lazy_gettext("New campaign"), icon="plus", key=""),
    Link("imports.new", lazy_gettext("Import a file"), icon="table-import", key=""),
    Link("sources.new_form", lazy_gettext("New form"), icon="forms", key=""),
    Link("sources.calls", lazy_gettext("Note a call"), icon="phone", key=""),
)


def register(app: APIFlask) -> None:
    """Give templates what the frame needs."""
    Babel(app, locale_selector=_locale, timezone_selector=lambda: services().config.locale.timezone)
    app.context_processor(_context)


def toast(message: str, undo: str | None = None) -> None:
    """Show a short message after this request, over a redirect too; `undo` is an address of ours to post to.

    It travels in a cookie that the page's script reads once, so it must hold no secret.
    """
    words = json.dumps({"message": message, "undo": undo, "undoLabel": gettext("Undo")}, ensure_ascii=False)
    value = base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")

    @after_this_request
    def leave(response: Response) -> Response:
        response.set_cookie("toast", value, max_age=60, path="/", samesite="Lax")
        return response


def _locale() -> str:
    chosen = (g.user.language if "user" in g else None) or services().config.locale.language
    return chosen if chosen in translated() else "en"


def _exists(endpoint: str) -> bool:
    return endpoint in current_app.view_functions


def _context() -> dict[str, Any]:
    groups = [(label, [link for link in links if _exists(link.endpoint)]) for label, links in NAVIGATION]
    return {
        "navigation": [(label, links) for label, links in groups if links],
        "settings_link": FOOT,
        "actions": [link for link in ACTIONS if _exists(link.endpoint)],
        "exists": _exists,
        "blueprint": request.blueprint,
        "language": str(get_locale()).replace("_", "-"),
        "languages": translated(),
        "user": g.get("user"),
        "csrf": g.browser.csrf if "browser" in g else "",
        "shop": services().config.mail.from_name,
    }
