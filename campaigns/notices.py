"""What carriers tell of messages they took: delivered, returned, refused by who got them.

They tell it late, in any order, and more than once: SendGrid repeats a batch for up to a day, and a repeated event may
carry another `sg_event_id`. So an event is known by what it says, the first telling acts, and an outcome only rises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Row, Table, or_, select, update
from sqlalchemy.orm import Session

from campaigns.models import Send
from engine import consent, identity
from engine.database import insert_new, next_revision
from engine.models import OWN_KEYS, Event

RANKS: Final = ("delivered", "bounced", "unsubscribed", "complained")  # an outcome only ever rises
EVENTS: Final = {"bounced": "bounce", "unsubscribed": "unsubscribe", "complained": "complaint"}
OPT_OUTS: Final = frozenset({"unsubscribe", "complaint"})  # reasons that are a person's word, no fault of an address
ORIGIN: Final = "campaign"
CHUNK: Final = 1000  # notices written by one set of statements

Sent = Row[int, int, int, str, str | None]  # id, contact_id, campaign_id, channel, address of a send


@dataclass(frozen=True, slots=True)
class Notice:
    """A carrier's word on one send. `outcome` is one of RANKS, or None: the carrier has the message, no more is known.
    `suppress`: leave the address alone from now on, with that reason. `word` tells this from other words on the send;
    `reason` is the carrier's own.
    """

    send_id: int
    outcome: str | None
    at: datetime
    word: str
    reason: str | None = None
    suppress: str | None = None


def note(session: Session, notices: Sequence[Notice], *, now: datetime) -> Counter[str]:
    """Write down what is new; how many told of which outcome, as "accepted" those without, as "unknown" those of sends
    that we do not have (any more). So many statements for each thousand, whatever they say.
    """
    counts: Counter[str] = Counter()
    for start in range(0, len(notices), CHUNK):
        counts += _note(session, notices[start : start + CHUNK], now)
    return counts


def raise_outcome(session: Session, send_ids: Sequence[int], outcome: str) -> None:
    """Raise the outcome of these sends; it never falls, in whatever order things are told."""
    lower = RANKS[: RANKS.index(outcome)]
    mark(session, send_ids, or_(Send.outcome.is_(None), Send.outcome.in_(lower)), outcome=outcome)


def arrived(session: Session, send_ids: Sequence[int], now: datetime) -> None:
    """unknown -> accepted: somebody has seen these."""
    accepted = {"state": "accepted", "reason": None, "owner": None, "lease_until": None, "accepted_at": now}
    mark(session, send_ids, Send.state == "unknown", **accepted)


def mark(session: Session, send_ids: Sequence[int], guard: Any, **values: Any) -> int:
    """Change those of the sends for which `guard` holds; how many did."""
    session.flush()
    change = update(Send).where(Send.id.in_(send_ids), guard).values(**values, revision=next_revision(session))
    result: CursorResult[Any] = session.connection().execute(change)
    return result.rowcount


def _note(session: Session, notices: Sequence[Notice], now: datetime) -> Counter[str]:
    sends = _sends(session, {notice.send_id for notice in notices})
    told = [notice for notice in notices if notice.send_id in sends]
    arrived(session, list(sends), now)
    for outcome in RANKS:
        if ids := sorted({notice.send_id for notice in told if notice.outcome == outcome}):
            raise_outcome(session, ids, outcome)
    new = _events(session, sends, told)
    _silence(session, sends, [notice for notice in new if notice.suppress], now)
    counts = Counter(notice.outcome or "accepted" for notice in told)
    return counts + Counter(unknown=len(notices) - len(told))


def _sends(session: Session, ids: set[int]) -> dict[int, Sent]:
    """The sends, locked in one order: two batches about the same ones wait for each other instead of deadlocking.
    Columns, no objects: 35,000 events a second instead of 3,600 on SQLite.
    """
    columns = Send.id, Send.contact_id, Send.campaign_id, Send.channel, Send.address
    chosen = select(*columns).where(Send.id.in_(sorted(ids))).order_by(Send.id)
    return {send.id: send for send in session.execute(chosen.with_for_update(key_share=True))}


def _events(session: Session, sends: dict[int, Sent], notices: Sequence[Notice]) -> list[Notice]:
    """Write an event for each notice that has one and was not told before; those notices."""
    named = {f"{OWN_KEYS}{EVENTS[n.outcome]}:{n.send_id}:{n.word}": n for n in notices if n.outcome in EVENTS}
    known = set(session.scalars(select(Event.key).where(Event.key.in_(named))))
    new = {key: notice for key, notice in named.items() if key not in known}
    revision = next_revision(session)
    rows = [
        {
            "key": key,
            "type": EVENTS[cast(str, notice.outcome)],
            "contact_id": sends[notice.send_id].contact_id,
            "occurred_at": notice.at,
            "item_id": None,
            "origin": ORIGIN,
            "properties": _properties(sends[notice.send_id], notice),
            "revision": revision,
        }
        for key, notice in new.items()
    ]
    insert_new(session, cast(Table, Event.__table__), rows, ["key"])
    identity.rehome(session, identity.kept(session, {row["contact_id"] for row in rows}))
    return list(new.values())


def _properties(send: Sent, notice: Notice) -> dict[str, Any]:
    told = {"send_id": send.id, "campaign_id": send.campaign_id, "channel": send.channel}
    if notice.outcome == "bounced":
        told["bounce"] = "permanent" if notice.suppress else "temporary"
    return told | ({"reason": notice.reason} if notice.reason else {})


def _silence(session: Session, sends: dict[int, Sent], notices: Sequence[Notice], now: datetime) -> None:
    """Leave addresses alone, and take back the consent of those who said no themselves."""
    for channel in {sends[notice.send_id].channel for notice in notices}:
        here = [(sends[n.send_id], n) for n in notices if sends[n.send_id].channel == channel]
        here.sort(key=lambda pair: pair[1].suppress in consent.FINAL)  # of two reasons, the one that is never lifted
        reasons = {send.address: cast(str, notice.suppress) for send, notice in here if send.address}
        refusals = {send.contact_id: notice.reason for send, notice in here if notice.suppress in OPT_OUTS}
        consent.suppress_all(session, channel, reasons, now)
        if refusals:
            consent.withdraw_all(session, channel, refusals, origin=ORIGIN, now=now)
