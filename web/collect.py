"""The door of the shop's pages: /collect takes what the snippet tells. Anybody may knock, so nothing is told back."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable
from typing import Any, Final

import structlog
from apiflask import APIFlask
from flask import Blueprint, Response, g, request
from sqlalchemy import delete, func, select

from engine import website
from engine.config import Config
from engine.errors import Invalid, NotAllowed
from engine.website import Refused
from web import visitor
from web.api import body, browsers
from web.api.access import PUBLIC, find_key
from web.brake import Brake
from web.models import RefusedEvent
from web.security import public
from web.services import services, utcnow

SHOWN: Final = 200  # refused events kept
WHO: Final = frozenset({"customer", "card", "email", "phone", "signature"})  # not kept with them
OURS: Final = frozenset({"key", "visitor"})  # random or ours: digits in them are no telephone
ADDRESS: Final = re.compile(
    r"""[^\s"'<>/?&=:;,()]+(?:@|%40)[^\s"'<>/?&=:;,()]*"""  # an e-mail address, as a form or an address bar has it
    r"""|(?:\+|%2B)?\d(?:[ ()+-]|%20)?(?:\d(?:[ ()+-]|%20)?){5,}\d""",  # seven digits: a telephone, a card
    re.IGNORECASE,
)

blueprint = Blueprint("collect", __name__)
log = structlog.get_logger(__name__)


brake = Brake()


def register(app: APIFlask) -> None:
    """Put the door on `app`."""
    app.register_blueprint(blueprint)


@blueprint.post("/collect")
@public
def collect() -> tuple[str, int]:
    """Events of one page; 204 whatever became of them, so that it tells nothing about anybody."""
    brake.check()
    config, now = services().config, utcnow()
    if request.headers.get("Sec-GPC") == "1":  # Global Privacy Control; the snippet sends nothing then either
        return "", 204
    told = _opened(config, request.headers.get("Origin", ""))
    result = services().database.retried(
        lambda session: website.take(session, told["events"], told.get("sent"), visitor.handed, now=now, config=config)
    )
    _note(result.refused)
    return "", 204


@blueprint.after_request
def _shared(response: Response) -> Response:
    """A page of the shop may read the status, and nothing else does."""
    origin = request.headers.get("Origin", "")
    response.headers["Vary"] = "Origin"
    response.headers["Cache-Control"] = "no-store"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if _is_ours(origin) or "origin" in g:
        response.headers["Access-Control-Allow-Origin"] = origin
    return response


def _opened(config: Config, origin: str) -> dict[str, Any]:
    """What is told, once a key of web pages, or tracking.site on shop.origins, opens. Raises NotAllowed."""
    if not _is_ours(origin) and not browsers.is_known(origin):
        if not config.tracking.site:
            raise NotAllowed("This door is closed; a key of web pages, or tracking.site and shop.origins, opens it.")
        _note([Refused({}, f"Origin {origin[:200]!r} is not among shop.origins, and no key works there.")])
        raise NotAllowed("This page is not one of the shop's.")
    told = _told()
    site = _whole(str(told.get("site", "")))
    if site.startswith(PUBLIC):
        key = find_key(services().database, site, utcnow())
        if key and origin in (key.origins or ()):
            g.origin = origin
            return told
    elif (
        _is_ours(origin) and config.tracking.site and hmac.compare_digest(site.encode(), config.tracking.site.encode())
    ):
        return told
    _note([Refused({}, f"The site key {site[:64]!r} is not tracking.site, and no key of web pages that works here.")])
    raise NotAllowed("The key of the website is another.")


def _is_ours(origin: str) -> bool:
    return bool(origin) and origin.lower() in services().config.shop.origins.lower().split()


def _told() -> dict[str, Any]:
    told = body.parse(request.get_data())
    if not isinstance(told, dict) or not isinstance(told.get("events"), list):
        raise Invalid("Send an object with site and events.")
    return told


def _note(refused: Iterable[Refused]) -> None:
    """Keep what was refused, for the debugger; the last SHOWN."""
    rows = [
        RefusedEvent(
            at=utcnow(),
            type=ADDRESS.sub("...", _short(one.event, "type", 64)),
            visitor=_short(one.event, "visitor", 64),
            reason=_whole(_masked(one))[:500],
            body=json.dumps(_shown(one.event), ensure_ascii=True)[:500],
        )
        for one in refused
    ]
    if not rows:
        return
    with services().database.begin() as session:
        session.add_all(rows)
        session.flush()
        oldest = session.scalar(select(func.max(RefusedEvent.id)))
        session.execute(delete(RefusedEvent).where(RefusedEvent.id <= (oldest or 0) - SHOWN))


def _shown(event: Any) -> Any:
    """The event, without what might say who somebody is."""
    if not isinstance(event, dict):
        return _hidden(event)
    known = {name: "..." if name in WHO else value for name, value in event.items() if name in WHO | OURS}
    return known | _hidden({name: value for name, value in event.items() if name not in known})


def _hidden(value: Any) -> Any:
    """Any JSON without addresses in its texts."""
    if isinstance(value, dict):
        return {ADDRESS.sub("...", name): _hidden(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(inner) for inner in value]
    return ADDRESS.sub("...", value) if isinstance(value, str) else value


def _masked(one: Refused) -> str:
    """The reason without addresses, and without what an event says of who somebody is, quoted whole or cut."""
    said = [one.event[name] for name in WHO & one.event.keys()] if isinstance(one.event, dict) else []
    words = one.reason
    for quoted in (form for value in said for form in (repr(value)[:57], str(value)) if form.strip("'\" ")):
        words = words.replace(quoted, "...")
    return ADDRESS.sub("...", words)


def _short(event: Any, name: str, limit: int) -> str:
    value = event.get(name) if isinstance(event, dict) else None
    return _whole(value)[:limit] if isinstance(value, str) else ""


def _whole(words: str) -> str:
    """Without what no database stores: NUL and halves of characters."""
    return words.replace("\0", "").encode(errors="replace").decode()
