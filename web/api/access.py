"""API keys: `prefix.secret`, shown once, kept as SHA-256, each with the scopes it may use; and those of browsers, which
are no secret (web.api.browsers).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final, TypeVar

from flask import g, request
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from engine.database import Database
from engine.errors import Invalid, NotAllowed, NotAuthenticated, NotFound, nearest
from web import origins
from web.auth import digest
from web.models import ApiKey
from web.services import services, utcnow

SCOPES = {
    "contacts:read": "read contacts and their history",
    "contacts:write": "write contacts and their consent",
    "contacts:erase": "erase a contact for good",
    "items:write": "write items",
    "orders:write": "write orders",
    "events:write": "send events",
    "imports:read": "see imports, and what an undo would do",
    "imports:undo": "undo imports",
    "lists:read": "read, count and export lists",
    "lists:write": "write and freeze lists",
    "campaigns:read": "read campaigns and their reports, what comparisons and sets of items earn",
    "campaigns:write": "write, schedule, pause and cancel campaigns",
    "recommendations:read": "ask for recommendations, read placements and bundles",
    "recommendations:write": "write placements and bundles, start and end comparisons",
    "sources:read": "read forms, their answers, and flyers",
    "sources:write": "write flyers",
    "tick:run": "run due work",
    "metrics:read": "read the server's figures",
}

BROWSER: Final = ("recommendations:read", "events:write")  # what a key of browsers may, at the doors that say so
PUBLIC: Final = "pk_"  # a key of browsers begins so

_TOUCH = timedelta(minutes=1)  # `last_used_at` is written no more often than this

# Every call of the API asks this: written once and without a Session, 0.08 ms of CPU instead of 0.3.
_BY_PREFIX = select(ApiKey.id, ApiKey.name, ApiKey.digest, ApiKey.scopes, ApiKey.origins, ApiKey.last_used_at).where(
    ApiKey.prefix == bindparam("prefix"), ApiKey.revoked_at.is_(None)
)

View = TypeVar("View", bound=Callable[..., Any])


def add_key(session: Session, name: str, scopes: Sequence[str], *, now: datetime) -> str:
    """A new key as `prefix.secret`; it cannot be shown again."""
    for scope in scopes:
        if scope not in SCOPES:
            raise Invalid(f"Unknown scope '{scope}'.{nearest(scope, SCOPES)}", field="scopes")
    if not scopes:
        raise Invalid("A key needs at least one scope.", field="scopes")
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    _add(session, name, prefix=prefix, digest=digest(secret), scopes=sorted(set(scopes)), created_at=now)
    return f"{prefix}.{secret}"


def add_browser_key(session: Session, name: str, given: Sequence[str], *, now: datetime) -> str:
    """A new key for pages of these origins: public, so it has no secret and stands in the database as it is."""
    key = PUBLIC + secrets.token_hex(6)
    known = {"digest": digest(""), "scopes": list(BROWSER), "origins": origins.read(given)}
    _add(session, name, prefix=key, created_at=now, **known)
    return key


def _add(session: Session, name: str, **known: Any) -> None:
    if not name.strip():
        raise Invalid("A key needs a name, to know later what it was for.", field="name")
    session.add(ApiKey(name=name.strip()[:128], **known))
    session.flush()


def browser_key(session: Session, prefix: str) -> ApiKey:
    """A living key of browsers; raises NotFound."""
    key = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None)))
    if key is None or key.origins is None:
        raise NotFound(f"There is no key {prefix} for web pages in use.")
    return key


def revoke_key(session: Session, prefix: str, *, now: datetime) -> None:
    """End a key; raises NotFound when no living key has this prefix."""
    key = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None)))
    if key is None:
        raise NotFound(f"There is no key {prefix} in use.")
    key.revoked_at = now


@dataclass(frozen=True)
class Known:
    """The key of a request; origins: where a key of browsers works, None of a secret one."""

    id: int
    name: str
    scopes: list[str]
    origins: list[str] | None


def find_key(database: Database, given: str, now: datetime) -> Known | None:
    """The living key that `given` (`prefix.secret`) opens, or None."""
    prefix, _, secret = given.partition(".")
    with database.engine.connect() as connection:
        key = connection.execute(_BY_PREFIX, {"prefix": prefix[:16]}).one_or_none()
    if not hmac.compare_digest(digest(secret), key.digest if key else digest("")) or key is None:
        return None
    if key.last_used_at is None or now - key.last_used_at > _TOUCH:
        with database.begin() as session:
            session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
    return Known(key.id, key.name, key.scopes, key.origins)


def key_of_request() -> Known | None:
    """The key in `Authorization: Bearer prefix.secret`; never in the address, which ends up in logs."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return find_key(services().database, given.strip(), utcnow()) if scheme.lower() == "bearer" else None


def authenticate() -> Known:
    """Before every API view: no cookie counts here, only a key."""
    key = key_of_request()
    if key is None:
        raise NotAuthenticated("Send a valid API key as 'Authorization: Bearer ...'; Settings, API keys makes one.")
    g.api_key = key
    return key


def require(scope: str) -> None:
    """Raise NotAllowed unless the key of this call has the scope."""
    if scope not in g.api_key.scopes:
        raise NotAllowed(f"This key lacks the scope {scope}.")


def needs(scope: str, *refusals: int, browser: bool = False) -> Callable[[View], View]:
    """Let only keys with `scope` in, and those of browsers only where `browser` says so. Stands right under the route;
    the API's description reads `view.scope`, and `view.refusals`: statuses that do not follow from the route and its
    input, such as 409.
    """
    if scope not in SCOPES:
        raise KeyError(scope)

    def decorate(view: View) -> View:
        @wraps(view)
        def allowed(*args: Any, **kwargs: Any) -> Any:
            require(scope)
            return view(*args, **kwargs)

        allowed.scope, allowed.refusals, allowed.browser = scope, refusals, browser  # type: ignore[attr-defined]
        return allowed  # type: ignore[return-value]

    return decorate
