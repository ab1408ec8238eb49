"""The transitions of the send ledger: queued -> leased -> sending -> accepted | failed | unknown.

Each is one UPDATE guarded by number, expected state and owner, so that whoever comes too late changes nothing. An owner
is one claim of one process and never comes again: the pair (send, owner) is known to exactly one connection, which
therefore knows whether anything was put on the wire.

No function here reads a clock but the database's (`now` is `database_now`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import (
    JSON,
    ColumnElement,
    CursorResult,
    Integer,
    Select,
    String,
    Table,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.orm import Session

from campaigns.audience import NO_CONSENT, SUPPRESSED
from campaigns.models import Campaign, Send
from engine import consent
from engine.database import UtcDateTime, next_revision
from engine.models import CHANNELS, Contact

SENDS: Final = cast(Table, Send.__table__)
CAMPAIGNS: Final = cast(Table, Campaign.__table__)
CONTACTS: Final = cast(Table, Contact.__table__)
_OWNED: Final = text("state IN ('leased', 'sending', 'unknown')")  # to the letter as in the partial index


@dataclass(frozen=True, slots=True)
class Leased:
    """A leased send: this row, under this owner."""

    id: int
    owner: str
    campaign_id: int
    channel: str
    address: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a leased send, other than that it was accepted.

    `crossed`: its row was made `sending` before. `delay`: queued again after so long. `counted`: this was an attempt.
    `suppress`, `halt`: reasons to leave the address alone, to pause the campaign.
    """

    leased: Leased
    state: str
    crossed: bool
    reason: str | None = None
    delay: timedelta | None = None
    counted: bool = True
    suppress: str | None = None
    halt: str | None = None


def sending_campaigns(session: Session) -> list[tuple[int, str]]:
    """Campaigns that may send now, with their channel."""
    found = select(Campaign.id, Campaign.channel).where(Campaign.status == "sending").order_by(Campaign.id)
    return [(campaign_id, channel) for campaign_id, channel in session.execute(found)]


def claim(
    session: Session, campaign_id: int, owner: str, limit: int, *, now: datetime, lease: timedelta
) -> list[Leased]:
    """queued -> leased: up to `limit` sends of a campaign that are due. Nothing of them is on the wire yet."""
    parameters = {"campaign": campaign_id, "due": now, "most": limit, "held_by": owner, "until": now + lease}
    rows = _execute(session, _CLAIM, parameters)
    return [Leased(**row._mapping) for row in rows]


def cross(session: Session, owner: str, ids: Iterable[int], *, now: datetime, lease: timedelta) -> set[int]:
    """leased -> sending, the durable mark that a body may be on the wire from now on; the numbers of those that may
    cross. The same statement asks once more whether the campaign still sends and the address may be spoken to.
    """
    rows = _execute(session, _CROSS, {"ids": sorted(ids), "held_by": owner, "until": now + lease})
    return {row.id for row in rows}


def objections(session: Session, ids: Sequence[int]) -> set[int]:
    """Those of `ids` that an opt-out or a pause committed since has overtaken. On PostgreSQL a statement does not
    see what commits while it runs: asked again after the commit, no mail goes out whose mark is later than the word.
    """
    return set(session.scalars(_OBJECTIONS, {"ids": sorted(ids)}))


def step_aside(session: Session, owner: str, ids: Iterable[int]) -> dict[int, str]:
    """Take back batch of which nothing is on the wire: suppressed, cancelled with their campaign, or queued again.
    Their new states by number; those that are no longer ours are left alone.
    """
    rows = _execute(session, _STEP_ASIDE, {"ids": sorted(ids), "held_by": owner})
    return {row.id: row.state for row in rows}


def accept(session: Session, owner: str, receipts: Mapping[int, str | None], *, now: datetime) -> set[int]:
    """sending | unknown -> accepted with the far end's receipts; the numbers of those that were still ours."""
    receipts = {send_id: receipt and receipt[:128] for send_id, receipt in receipts.items()}
    statement = _ACCEPT[session.get_bind().dialect.name]
    rows = _execute(session, statement, {"ids": sorted(receipts), "held_by": owner, "receipts": receipts, "at": now})
    return {row.id for row in rows}


def settle(session: Session, settlement: Settlement, *, now: datetime) -> bool:
    """Write what else became of a leased send: leased -> queued | failed | ..., sending | unknown -> failed | queued |
    unknown. False when the row was no longer ours: nothing is written then.
    """
    leased, unknown = settlement.leased, settlement.state == "unknown"
    parameters = {
        "row": leased.id,
        "held_by": leased.owner,
        "to": settlement.state,
        "why": settlement.reason and settlement.reason[:255],
        "counted": int(settlement.counted),
        "again_at": None if settlement.delay is None else now + settlement.delay,
        "kept": leased.owner if unknown else None,
        "since": now if unknown else None,
        "bounce": "bounced" if settlement.suppress == "bounce" else None,
    }
    if _count(session, _SETTLE[settlement.crossed], parameters) != 1:
        return False
    if settlement.suppress is not None:
        consent.suppress(session, leased.channel, leased.address, settlement.suppress, now)
    if settlement.halt is not None:
        halt(session, leased.campaign_id, settlement.halt, now=now)
    return True


def halt(session: Session, campaign_id: int, reason: str, *, now: datetime) -> bool:
    """sending -> paused: our log-in or our domain is refused, which no other recipient will change."""
    still = and_(CAMPAIGNS.c.id == campaign_id, CAMPAIGNS.c.status == "sending")
    change = update(CAMPAIGNS).where(still).values(status="paused", paused_reason=reason[:255], updated_at=now)
    return session.connection().execute(change).rowcount == 1


def give_back(session: Session, process: str) -> int:
    """leased -> queued for everything that `process` still holds: a clean stop."""
    mine = _owner_of(process, SENDS.c.state == "leased")
    return _count(session, _write(mine, state="queued", owner=None, lease_until=None))


def renew(session: Session, process: str, *, now: datetime, lease: timedelta) -> int:
    """Keep what `process` holds. Not a change of content: the warehouse need not copy the rows again."""
    mine = _owner_of(process, SENDS.c.state != "unknown")
    return session.connection().execute(update(SENDS).where(mine).values(lease_until=now + lease)).rowcount


def recover(session: Session, *, now: datetime, owners_are_dead: bool) -> dict[str, int]:
    """What dead senders held: leased -> queued, sending -> unknown; how many became what.

    `owners_are_dead` (SQLite, under the sender's lock): everything held; else what outlived its lease.
    """
    late = _OWNED if owners_are_dead else and_(_OWNED, SENDS.c.lease_until < now)
    wrecks: dict[str, dict[str, Any]] = {
        "leased": {"state": "queued", "owner": None, "lease_until": None},
        "sending": {"state": "unknown", "reason": "the sender stopped before an answer came", "lease_until": now},
    }
    found = {}
    for state, values in wrecks.items():
        ids = select(SENDS.c.id).where(late, SENDS.c.state == state).order_by(SENDS.c.id)
        chosen = SENDS.c.id.in_(ids.with_for_update(skip_locked=True))
        found[str(values["state"])] = _count(session, _write(chosen, **values))
    return found


def doubtful(session: Session, channel: str, *, before: datetime, limit: int = 1000) -> list[int]:
    """Sends of `channel` that are unknown since `before` or longer."""
    old = and_(_OWNED, SENDS.c.state == "unknown", SENDS.c.channel == channel, SENDS.c.lease_until <= before)
    return list(session.scalars(select(SENDS.c.id).where(old).order_by(SENDS.c.id).limit(limit)))


def resolve(session: Session, ids: Sequence[int], accepted: set[int], *, now: datetime) -> dict[str, int]:
    """unknown -> accepted for those the receiver has, -> queued for the others of `ids`; how many became what."""
    verdicts: dict[str, tuple[list[int], dict[str, Any]]] = {
        "accepted": ([i for i in ids if i in accepted], {"accepted_at": now}),
        "queued": ([i for i in ids if i not in accepted], {"next_at": now}),
    }
    done = {}
    for state, (chosen, values) in verdicts.items():
        still = and_(SENDS.c.id.in_(chosen), SENDS.c.state == "unknown")
        change = _write(still, state=state, reason=None, owner=None, lease_until=None, **values)
        done[state] = _count(session, change) if chosen else 0
    return done


def requeue_unknown(session: Session, campaign_id: int, now: datetime) -> int:
    """unknown -> queued: somebody decided to send again to these, who may have the message already. How many."""
    unknown = and_(SENDS.c.campaign_id == campaign_id, SENDS.c.state == "unknown")
    again = _write(unknown, state="queued", reason=None, owner=None, lease_until=None, next_at=now)
    return _count(session, again)


def _execute(session: Session, statement: Update, parameters: Mapping[str, Any]) -> CursorResult[Any]:
    return session.connection().execute(statement, {**parameters, "change": next_revision(session)})


def _count(session: Session, statement: Update, parameters: Mapping[str, Any] | None = None) -> int:
    return _execute(session, statement, parameters or {}).rowcount


def _write(where: ColumnElement[bool], **values: Any) -> Update:
    return update(SENDS).where(where).values(**values, revision=bindparam("change"))


def _owner_of(process: str, state: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(_OWNED, state, SENDS.c.owner.startswith(process, autoescape=True))


def _held(*states: str) -> ColumnElement[bool]:
    return and_(SENDS.c.owner == bindparam("held_by"), SENDS.c.state.in_(states))


def _campaigns(status: str) -> Select[Any]:
    return select(CAMPAIGNS.c.id).where(CAMPAIGNS.c.status == status)


_AMONG: Final = SENDS.c.id.in_(bindparam("ids", expanding=True))
_SUPPRESSED: Final = or_(
    *(and_(SENDS.c.channel == name, consent.suppressed(name, SENDS.c.address)) for name in CHANNELS)
)
# Consent was there when the audience was drawn; a word said since then wins as well (an unsubscribe is a suppression).
_WITHDRAWN: Final = exists().where(
    CONTACTS.c.id == SENDS.c.contact_id,
    or_(*(and_(SENDS.c.channel == name, CONTACTS.c[f"{name}_consent"].is_(False)) for name in CHANNELS)),
)
_OBJECTED: Final = or_(_SUPPRESSED, _WITHDRAWN)
_ALLOWED: Final = and_(SENDS.c.campaign_id.in_(_campaigns("sending")), not_(_OBJECTED))
_DUE: Final = (
    select(SENDS.c.id)
    .where(
        text("state = 'queued'"),  # to the letter as in the partial index
        SENDS.c.campaign_id == bindparam("campaign"),
        exists(_campaigns("sending").where(CAMPAIGNS.c.id == bindparam("campaign"))),
        SENDS.c.next_at <= bindparam("due"),
    )
    .order_by(SENDS.c.next_at, SENDS.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM: Final = _write(
    and_(SENDS.c.id.in_(select(_DUE.c.id)), SENDS.c.state == "queued"),
    state="leased",
    owner=bindparam("held_by"),
    lease_until=bindparam("until"),
).returning(*(SENDS.c[field.name] for field in fields(Leased)))
_CROSS: Final = _write(
    and_(_AMONG, _held("leased"), _ALLOWED), state="sending", lease_until=bindparam("until")
).returning(SENDS.c.id)
_OBJECTIONS: Final = select(SENDS.c.id).where(_AMONG, not_(_ALLOWED))
_STEP_ASIDE: Final = _write(
    and_(_AMONG, _held("leased", "sending", "unknown")),
    state=case(
        (_OBJECTED, "suppressed"), (SENDS.c.campaign_id.in_(_campaigns("cancelled")), "cancelled"), else_="queued"
    ),
    reason=case((_SUPPRESSED, SUPPRESSED), (_WITHDRAWN, NO_CONSENT), else_=null()),
    owner=None,
    lease_until=None,
).returning(SENDS.c.id, SENDS.c.state)


# Whoever left a row unknown may still hear the answer: its owner is kept there, and settles it.
_CROSSED: Final = ("sending", "unknown")
_NUMBER: Final = cast_to(SENDS.c.id, String)
_RECEIPTS: Final = bindparam("receipts", type_=JSON)  # {"send": "receipt"}
_ACCEPT: Final = {
    dialect: _write(
        and_(_AMONG, _held(*_CROSSED)),
        state="accepted",
        reason=None,
        provider_id=receipt,
        attempts=SENDS.c.attempts + 1,
        owner=None,
        lease_until=None,
        accepted_at=bindparam("at"),
    ).returning(SENDS.c.id)
    for dialect, receipt in {
        "sqlite": func.json_extract(_RECEIPTS, literal('$."') + _NUMBER + literal('"')),
        "postgresql": _RECEIPTS[_NUMBER].as_string(),
    }.items()
}


def _settling(*states: str) -> Update:
    return _write(
        and_(SENDS.c.id == bindparam("row"), _held(*states)),
        state=bindparam("to"),
        reason=bindparam("why"),
        attempts=SENDS.c.attempts + bindparam("counted", type_=Integer),
        next_at=func.coalesce(bindparam("again_at", type_=UtcDateTime), SENDS.c.next_at),
        owner=bindparam("kept"),
        lease_until=bindparam("since"),
        outcome=func.coalesce(bindparam("bounce", type_=String), SENDS.c.outcome),
    )


_SETTLE: Final = {False: _settling("leased"), True: _settling(*_CROSSED)}
