"""Which message an order is credited to: the last one accepted before it, within the campaign's window.

This is bookkeeping, not cause: it counts everybody who would have bought anyway. It stands beside the holdout's
answer as an upper bound (campaigns.roi). Returns are credited like orders and take away what they gave back.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CursorResult,
    Float,
    Select,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Conversion, Send
from engine.database import UtcDateTime, insert_new
from engine.marks import known_mark, snapshot_mark, written_since
from engine.models import Order, Watermark

log = logging.getLogger(__name__)

NAME: Final = "attribution"
DAY: Final = 86_400_000_000  # microseconds


def attribute(session: Session, *, now: datetime) -> int:
    """Credit the orders that came or changed since the last call; how many credits were written.

    Follows changes of orders and sends, so late imports, corrections and returns find their message. Calls wait for
    each other; reading a row twice changes nothing.
    """
    session.flush()
    insert_new(session, Watermark.__table__, [{"name": NAME, "mark": ""}], ["name"])  # type: ignore[arg-type]
    since = _mark(session, lock=True)
    mark = snapshot_mark(session)
    touched = _touched(session, since)
    session.execute(delete(Conversion).where(Conversion.order_id.in_(touched)), execution_options=UNSYNCHRONISED)
    credited = _last_touch(session, touched).subquery()
    rows = select(
        credited.c.order_id, credited.c.send_id, credited.c.campaign_id, literal(1.0, Float), literal(now, UtcDateTime)
    ).where(credited.c.turn == 1)
    written = insert(Conversion).from_select(["order_id", "send_id", "campaign_id", "credit", "at"], rows)
    result: CursorResult[Any] = session.connection().execute(written, execution_options={"preserve_rowcount": True})
    session.execute(update(Watermark).where(Watermark.name == NAME).values(mark=mark))
    return result.rowcount


def is_behind(session: Session) -> bool:
    """Whether `attribute` has anything to do; only reads."""
    return bool(session.scalar(select(_touched(session, _mark(session)).exists())))


UNSYNCHRONISED: Final = {"synchronize_session": False}


def _mark(session: Session, *, lock: bool = False) -> str:
    mark = select(Watermark.mark).where(Watermark.name == NAME)
    stored = session.scalar(mark.with_for_update() if lock else mark) or ""
    known = known_mark(session, stored)
    if lock and known != stored:
        log.warning("All orders are credited anew: the database came back on another server.")
    return known


def _touched(session: Session, since: str) -> Select[Any]:
    """Orders that changed, and those of contacts whose messages were accepted since."""
    reached = select(Send.contact_id).where(written_since(session, since, Send.revision), Send.state == "accepted")  # type: ignore[arg-type]
    changed = written_since(session, since, Order.revision)  # type: ignore[arg-type]
    return select(Order.id).where(or_(changed, Order.contact_id.in_(reached)))


def _last_touch(session: Session, touched: Select[Any]) -> Select[Any]:
    """Every touched order with each send whose window it falls into; `turn` 1 is the latest."""
    latest = func.row_number().over(partition_by=Order.id, order_by=(Send.accepted_at.desc(), Send.id.desc()))
    return (
        select(Order.id.label("order_id"), Send.id.label("send_id"), Send.campaign_id, latest.label("turn"))
        .join(Send, Send.contact_id == Order.contact_id)
        .join(Campaign, Campaign.id == Send.campaign_id)
        .where(
            Order.id.in_(touched),
            Send.state == "accepted",
            Send.accepted_at <= Order.ordered_at,
            _within(session, Order.ordered_at, Send.accepted_at, Campaign.window_days),
        )
    )


def _within(session: Session, moment: Any, start: Any, days: Any) -> ColumnElement[bool]:
    """moment < start + days."""
    if session.get_bind().dialect.name == "postgresql":
        within: ColumnElement[bool] = moment < start + func.make_interval(0, 0, 0, days)
    else:
        within = type_coerce(moment, BigInteger) < type_coerce(start, BigInteger) + days * DAY
    return within
