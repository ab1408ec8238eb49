"""The ledger of a campaign, read: the newest messages, reasons, clicks by link, and all of it as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import ibis
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns.models import Firing, Send
from engine import export
from engine.dialect import json_text
from engine.models import Contact
from engine.warehouse import Warehouse

PART: Final = 5_000

COLUMNS: Final = {
    "key": Contact.key,
    "first_name": Contact.first_name,
    "last_name": Contact.last_name,
    "address": Send.address,
    "state": Send.state,
    "reason": Send.reason,
    "outcome": Send.outcome,
    "accepted_at": Send.accepted_at,
    "opened_at": Send.opened_at,
    "clicked_at": Send.clicked_at,
}


def newest(session: Session, campaign_id: int, limit: int = 20) -> Sequence[tuple[Send, Contact]]:
    """The last sends that left the house or failed to, with their contacts."""
    gone = ("accepted", "failed", "unknown")
    statement = (
        select(Send, Contact)
        .join(Contact, Contact.id == Send.contact_id)
        .where(Send.campaign_id == campaign_id, Send.state.in_(gone))
        .order_by(Send.id.desc())
        .limit(limit)
    )
    return [(row.Send, row.Contact) for row in session.execute(statement)]


def reasons(session: Session, campaign_id: int) -> list[tuple[str, str, int]]:
    """(state, reason, people) of everybody who got nothing, the most first."""
    count = func.count()
    statement = (
        select(Send.state, Send.reason, count)
        .where(Send.campaign_id == campaign_id, Send.state.not_in(("queued", "leased", "sending", "accepted")))
        .group_by(Send.state, Send.reason)
        .order_by(count.desc(), Send.state)
    )
    return [(state, reason or "", number) for state, reason, number in session.execute(statement)]


def fired_at(session: Session, campaign_id: int) -> datetime | None:
    """When the campaign fired."""
    return session.scalar(select(func.min(Firing.fired_at)).where(Firing.campaign_id == campaign_id))


def clicks(warehouse: Warehouse, campaign_id: int, start: datetime) -> list[tuple[str, int]]:
    """People who followed each link since `start`, by destination, the most first; recommended items as one, ""."""
    events = warehouse.table("events")
    mine = (
        (events.type == "click")
        & (events.occurred_at >= start)
        & (json_text(events.properties, "campaign_id") == str(campaign_id))
        & (json_text(events.properties, "machine") != "true")
    )
    followed = events.filter(mine).mutate(link=ibis.coalesce(json_text(events.properties, "link"), ""))
    counted = followed.group_by("link").agg(people=ibis._.contact_id.nunique())
    rows = warehouse.execute(counted.order_by(ibis.desc("people"), "link").limit(50))
    return [(row["link"], row["people"]) for row in rows.to_pylist()]


def export_csv(session: Session, campaign_id: int) -> Iterator[str]:
    """Everybody of the campaign with state and reason, as CSV in pieces that no spreadsheet runs."""
    return export.lines(COLUMNS, _rows(session, campaign_id))


def _rows(session: Session, campaign_id: int) -> Iterator[Sequence[Any]]:
    """Part by part, so that a million rows need no memory."""
    statement = (
        select(Send.id, *COLUMNS.values()).join(Contact, Contact.id == Send.contact_id).order_by(Send.id).limit(PART)
    )
    last = 0
    while rows := session.execute(statement.where(Send.campaign_id == campaign_id, Send.id > last)).all():
        last = rows[-1][0]
        yield from (row[1:] for row in rows)
