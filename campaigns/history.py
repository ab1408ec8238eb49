"""Everything that happened with one contact, the messages to them included, newest first and part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Send
from campaigns.notices import ORIGIN
from engine.models import Event
from engine.timeline import KINDS, Moment, Place, Span, merged, timeline

BROWSING: Final = (  # what a page of the shop tells of a visit
    "page_view", "item_view", "search", "cart_add", "cart_remove", "cart_abandon", "checkout", "impression",
    "recommendation_click", "identify",
)  # fmt: skip
ANSWERS: Final = ("survey", "call", "flyer_scan", "store_visit")

_sent: Final = Event.origin == ORIGIN  # what came of a message
_unsent: Final = or_(Event.origin.is_(None), Event.origin != ORIGIN)
_Part = tuple[tuple[str, ...], ColumnElement[bool] | None]
PARTS: Final[Mapping[str, _Part]] = {  # of a history: kinds of moments, and which of the events
    "": (KINDS, None),
    "orders": (("order",), None),
    "visits": (("event",), Event.type.in_(BROWSING) & _unsent),
    "messages": (("send", "event"), _sent),
    "answers": (("event",), Event.type.in_(ANSWERS)),
    "consent": (("consent",), None),
    "other": (("event",), Event.type.not_in((*BROWSING, *ANSWERS)) & _unsent),
}


def history(session: Session, contact_id: int, span: Span, *, limit: int = 50) -> tuple[list[Moment], Place | None]:
    """At most `limit` moments within a span, the newest first, and where the next part begins, if there is one."""
    found = merged([timeline, _sends], session, contact_id, span, limit + 1)
    return found[:limit], found[limit - 1].place if len(found) > limit else None


def part(name: str, *, before: Place | None = None, after: Place | None = None) -> Span:
    """A span of one of PARTS."""
    kinds, events = PARTS[name]
    return Span(before, after, frozenset(kinds), events)


def is_browsing(moment: Moment) -> bool:
    """Is it part of a visit to the shop's pages?"""
    return moment.kind == "event" and moment.title in BROWSING and moment.origin != ORIGIN


def _sends(session: Session, contact_id: int, span: Span, limit: int) -> Iterator[Moment]:
    if "send" not in span.kinds:
        return
    at = func.coalesce(Send.accepted_at, Send.created_at)
    rows = (
        select(Send.id, Send.state, at.label("at"), Campaign.name)
        .join(Campaign, Campaign.id == Send.campaign_id)
        .where(Send.contact_id == contact_id)
    )
    for send in session.execute(span.of("send", rows, at, Send.id, limit)):
        yield Moment(send.at, "send", send.name, send.state, id=send.id)
