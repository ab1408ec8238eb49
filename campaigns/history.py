"""Everything that happened with one contact, the messages to them included, newest first and page by page."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Self

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Send
from engine import contacts
from engine.contacts import Moment
from engine.errors import Invalid


@dataclass(frozen=True)
class Cursor:
    """Where a page begins: at moments of `at`, of which `skip` were shown. A thousand may share one second: those of
    a file that knows only the day.
    """

    at: datetime
    skip: int

    def __str__(self) -> str:
        return f"{self.skip}@{self.at.astimezone(UTC).isoformat()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` wrote; raises Invalid."""
        skip, _, at = text.partition("@")
        try:
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is not None and 0 <= int(skip) <= 10**9:
                return cls(moment.astimezone(UTC), int(skip))
        except (ValueError, OverflowError):
            pass
        raise Invalid(f"'{text[:60]}' does not say where a page begins: use the `next` of the page before.",
                      field="cursor")  # fmt: skip


def history(
    session: Session, contact_id: int, cursor: Cursor | None = None, *, limit: int = 50
) -> tuple[list[Moment], Cursor | None]:
    """At most `limit` moments from `cursor` on, the newest first, and where the next page begins, if there is one."""
    until, skip = (cursor.at, cursor.skip) if cursor else (None, 0)
    most = skip + limit + 1
    known = contacts.timeline(session, contact_id, until=until, limit=most)
    merged = heapq.merge(known, _sends(session, contact_id, until, most), key=lambda moment: moment.at, reverse=True)
    found = list(islice(merged, skip, most))
    page = found[:limit]
    if len(found) <= limit:
        return page, None
    last = page[-1].at
    shown = sum(moment.at == last for moment in page)
    return page, Cursor(last, shown + (skip if last == until else 0))


def _sends(session: Session, contact_id: int, until: datetime | None, limit: int) -> Iterable[Moment]:
    at = func.coalesce(Send.accepted_at, Send.created_at)
    statement = (
        select(Send, Campaign.name)
        .join(Campaign, Campaign.id == Send.campaign_id)
        .where(Send.contact_id == contact_id)
        .order_by(at.desc(), Send.id.desc())
        .limit(limit)
    )
    if until is not None:
        statement = statement.where(at <= until)
    for send, name in session.execute(statement):
        yield Moment(send.accepted_at or send.created_at, "send", name, send.state)
