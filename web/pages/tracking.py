"""The shop's website as a source: the snippet to copy, its calls, and events as they come in."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from engine.models import Contact, Event, Item
from engine.website import PREFIX
from web.models import ApiKey, RefusedEvent
from web.pages.history import deed
from web.services import services

blueprint = Blueprint("tracking", __name__, url_prefix="/sources/website")

SHOWN: Final = 25
RECENT: Final = 20_000  # events looked through for those of a website

CALLS: Final = (
    ("rapport('page')", "page_view"),
    ("rapport('item', '85123A', {value: '2.55'})", "item_view"),
    ("rapport('search', 'lantern', {results: 12})", "search"),
    ("rapport('cart_add', '85123A', {quantity: 2})", "cart_add"),
    ("rapport('cart_remove', '85123A')", "cart_remove"),
    ("rapport('order', 'W-1001', {value: '12.50'})", "checkout"),
    ("rapport('identify', {customer: 'C-1001', signature: '…'})", "identify"),
)


@blueprint.get("")
def page() -> ResponseReturnValue:
    """The snippet filled in, what is missing for it to work, the calls, and what came in last."""
    config = services().config
    with services().database.read() as session:
        living = session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.id.desc())).all()
    keys = [key for key in living if key.origins]
    return render_template(
        "tracking/page.html",
        blueprint="sources",  # in the navigation
        site=config.tracking.site,
        consent=config.tracking.consent,
        identify=config.tracking.identify,
        can_sign=bool(config.tracking.secret),
        origins=dict.fromkeys([*config.shop.origins.split(), *(one for key in keys for one in key.origins or ())]),
        key=keys[0].prefix if keys else None,
        address=config.server.public_url.rstrip("/"),
        calls=CALLS,
        deed=deed,
        **_latest(),
    )


@blueprint.get("/live")
def live() -> ResponseReturnValue:
    """What came in last, and what was refused."""
    return render_template("tracking/live.html", deed=deed, **_latest())


def _latest() -> dict[str, Any]:
    with services().database.read() as session:
        last = session.scalar(select(func.max(Event.id))) or 0
        came = (
            select(Event, Contact, Item.key)
            .outerjoin(Contact, Contact.id == Event.contact_id)
            .outerjoin(Item, Item.id == Event.item_id)
            .where(Event.id > last - RECENT, Event.key.startswith(PREFIX))
            .order_by(Event.id.desc())
            .limit(SHOWN)
        )
        events = [
            {"event": event, "contact": contact, "words": _words(event, item)}
            for event, contact, item in session.execute(came)
        ]
        refused = session.scalars(select(RefusedEvent).order_by(RefusedEvent.id.desc()).limit(SHOWN)).all()
        session.expunge_all()
    return {"events": events, "refused": refused}


def _words(event: Event, item: str | None) -> str:
    """What an event is about."""
    told = event.properties
    names = ("url", "query", "order", "unknown_item")
    return item or next((str(told[name]) for name in names if told.get(name)), "")
