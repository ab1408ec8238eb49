"""The name of a stranger's browser on Rapport's own host: random, read by no script, kept a year; and the signed word
by which a page of the shop joins what was done under it, once and within minutes. The word does not tell the name.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from flask import Response, request

from campaigns import tokens
from engine import website
from engine.errors import NotFound
from engine.website import Handover
from web.security import is_https
from web.services import services, utcnow

LIFE: Final = 365 * 86_400
HANDOVER: Final = 600  # seconds from our host to the shop's page
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


def current() -> str | None:
    """The browser's name, if it has one of ours."""
    given = request.cookies.get(_cookie(), "")
    return given if _SHAPE.fullmatch(given) else None


def may_keep() -> bool:
    """Whether this browser may be given a name: not when it asks not to be followed (Global Privacy Control)."""
    return request.headers.get("Sec-GPC") != "1"


def new() -> str:
    """A name nobody can guess."""
    return secrets.token_urlsafe(18)


def keep(response: Response, visitor: str) -> None:
    """Give the browser its name."""
    response.set_cookie(_cookie(), visitor, max_age=LIFE, path="/", secure=is_https(), httponly=True, samesite="Lax")


def hand(event_key: str, name: str) -> str:
    """A word for the shop's page that this event is of its visitor."""
    told = event_key, website.digest(name), int(utcnow().timestamp())
    return tokens.signer(services().config).sign("visitor", *told)


def handed(word: str) -> Handover | None:
    """What a word says; None for one that is not ours or too old."""
    try:
        key, whose, seconds = tokens.signer(services().config).read("visitor", word)
    except (NotFound, ValueError):  # UnicodeEncodeError is one
        return None
    return Handover(key, whose) if utcnow().timestamp() - int(seconds) <= HANDOVER else None


def _cookie() -> str:
    return "__Host-visitor" if is_https() else "visitor"
