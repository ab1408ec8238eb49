"""The name of a stranger's browser on Rapport's own host: random, read by no script, kept a year."""

from __future__ import annotations

import re
import secrets
from typing import Final

from flask import Response, request

from web.security import is_https

LIFE: Final = 365 * 86_400
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


def _cookie() -> str:
    return "__Host-visitor" if is_https() else "visitor"
