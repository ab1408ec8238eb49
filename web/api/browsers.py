"""What a key of browsers may do. It stands in the source of public pages, so it proves nothing about who asks:

- it works on the pages of its origins alone, at the doors marked `browser`, so many times a minute;
- a contact is spoken of only with the signature of the shop's server (engine.website.sign), else anybody could read
  what others bought: a visitor's name is random, but a browser may be shared, and nobody signed which contact it is of
  (`tracking.identify = "any"`, a form filled in with somebody else's address). So who asks as a visitor is offered
  what suits what this browser did, whatever contact it belongs to, and told no reason that names more than the page;
- figures of the shop stay in the shop: no margins, by which one could sort and sift, and no numbers of buyers.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from flask import Response, current_app, g, make_response, request
from sqlalchemy import select

from engine import website
from engine.errors import Invalid, NotAllowed, TooLarge
from engine.intake import Accepted, Reject
from web import visitor
from web.api.access import Known
from web.brake import Brake
from web.limits import PUBLIC
from web.models import ApiKey
from web.services import services, utcnow

MOST: Final = 10  # rows of one page
FRESH: Final = 7200  # seconds a browser need not ask again whether it may: the longest that Chromium keeps
HIDDEN: Final = {  # what would tell figures of the shop, or what somebody bought
    "boost": frozenset({"margin", "freshness"}),
    "filter": frozenset({"margin_min", "margin_max"}),
    "exclude": frozenset({"purchased"}),
}

brake = Brake()


def check(key: Known) -> None:
    """Before a view that a key of browsers asks for. Raises NotAllowed, TooMany, TooLarge."""
    origin = request.headers.get("Origin", "")
    if origin in (key.origins or ()):
        g.origin = origin  # so that the page can read why, and how long to wait
    brake.check()
    if not origin:
        raise NotAllowed(
            "This key works on web pages alone, and the call names none (header Origin); a server uses a secret key."
        )
    if "origin" not in g:
        raise NotAllowed(f"This key does not work on {origin[:200]}; Settings, API keys says where it does.")
    if not _is_door():
        raise NotAllowed("A key of web pages asks for recommendations and sends events; all else needs a secret key.")
    request.max_content_length = PUBLIC
    if (request.content_length or 0) > PUBLIC:
        raise TooLarge(f"A web page may send at most {PUBLIC // 2**10} KiB.")


def preflight() -> Response | None:
    """The answer to a browser that asks whether it may (CORS); None: this is no such question."""
    if request.method != "OPTIONS" or not _is_door() or "Access-Control-Request-Method" not in request.headers:
        return None
    origin = request.headers.get("Origin", "")
    if is_known(origin):
        g.origin = origin
    brake.check()
    if "origin" not in g:
        raise NotAllowed(f"No key works on {origin[:200]}; Settings, API keys says where.")
    response = make_response("", 204)
    response.headers["Access-Control-Allow-Methods"] = "POST"
    response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    response.headers["Access-Control-Max-Age"] = str(FRESH)
    return response


def is_known(origin: str) -> bool:
    """Whether a living key works there."""
    if not origin:
        return False
    with services().database.read() as session:
        living = session.scalars(select(ApiKey.origins).where(ApiKey.revoked_at.is_(None)))
        return any(origin in (origins or ()) for origins in living)


def share(response: Response) -> Response:
    """Let a page that may ask read the answer; no cookie counts here, so none is allowed."""
    if _is_door():
        response.vary.add("Origin")
    if "origin" in g:
        response.headers["Access-Control-Allow-Origin"] = g.origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    return response


def is_public() -> bool:
    """Whether the key of this call is one of browsers."""
    return g.api_key.origins is not None


def modest(asked: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A question as a web page may put it, with what may be told of reasons. Raises Invalid and NotAllowed."""
    for part, hidden in HIDDEN.items():
        if beyond := sorted(hidden & (asked.get(part) or {}).keys()):
            raise Invalid(
                "A web page cannot ask for this; it belongs into the placement.", field=f"{path}{part}.{beyond[0]}"
            )
    if asked.get("contact") and not _is_signed(asked):
        raise NotAllowed(
            "A web page may ask for a contact only with the signature of the shop's server over customer:KEY"
            " (docs/storefront.md); ask by the visitor's name.",
            field=f"{path}contact",
        )
    name = asked.get("visitor")
    if name and not website.NAME.fullmatch(name):
        raise Invalid(
            "A visitor has a name nobody can guess: 16 to 64 letters, digits, - and _.", field=f"{path}visitor"
        )
    if request.headers.get("Sec-GPC") == "1":  # Global Privacy Control: a stranger
        asked = {name: value for name, value in asked.items() if name != "visitor"}
    return {**asked, "figures": False, "personal": bool(asked.get("contact"))}


def all_modest(questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a page."""
    if len(questions) > MOST:
        raise Invalid(f"A web page may ask for at most {MOST} rows at once.", field="requests")
    return [modest(one, f"requests.{place}.") for place, one in enumerate(questions)]


def take(records: Sequence[Any]) -> Accepted:
    """Events as /collect takes them (engine.website), in the words of the API: a moment with its zone, all else that is
    no column in `properties`.
    """
    if request.headers.get("Sec-GPC") == "1":
        return Accepted()
    told, now, config = [_told(record) for record in records], utcnow(), services().config
    result = services().database.retried(
        lambda session: website.take(session, told, None, visitor.handed, now=now, config=config)
    )
    rows = {id(event): row for row, event in enumerate(told)}
    rejected = [Reject(rows[id(one.event)], None, one.reason) for one in result.refused]
    return Accepted(result.new, unchanged=result.known, rejected=rejected)


def _told(record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    properties = record.get("properties")
    plain = {name: value for name, value in record.items() if name != "properties" and value is not None}
    event = {**(properties if isinstance(properties, dict) else {}), **plain}
    with suppress(TypeError, ValueError):
        moment = datetime.fromisoformat(event.get("at"))  # type: ignore[arg-type]  # what is no text raises
        return event | {"at": (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000}
    return event


def _is_signed(asked: Mapping[str, Any]) -> bool:
    secret, given = services().config.tracking.secret, asked.get("signature") or ""
    return bool(secret) and hmac.compare_digest(
        website.sign(secret, "customer", asked["contact"]).encode(), given.encode()
    )


def _is_door() -> bool:
    return request.endpoint is not None and getattr(current_app.view_functions[request.endpoint], "browser", False)
