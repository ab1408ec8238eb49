"""The tick: whatever is due is done, by whoever ticks first.

A due campaign is a row. The tick whose guarded UPDATE takes it out of `scheduled` fires it, and inserts its Firing
(unique by campaign and due time) and its ledger in the same transaction; every other tick, thread or machine changes
no row and goes on. So the in-process ticker, cron and POST /api/v1/tick may all run at once. APScheduler only beats
the time: it holds no campaign and has no store.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from campaigns import attribution, audience, confirmation, content, planning
from campaigns.content.products import Recommends
from campaigns.delivery import Render, Sender
from campaigns.models import Campaign, Firing, Send
from engine import lists
from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, RapportError, Unavailable
from engine.warehouse import Warehouse

log = logging.getLogger(__name__)

Chore = Callable[[Database, Config, datetime], None]
_chores: list[Chore] = []


def at_every_tick(chore: Chore) -> None:
    """Let an upper package tidy up at every tick (database, config, now); one that fails stops nothing else."""
    if chore not in _chores:
        _chores.append(chore)


@dataclass
class Ticked:
    """What one tick did: numbers of campaigns, messages by what became of them, orders credited."""

    fired: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)  # their time passed long ago: a person decides
    refused: dict[int, str] = field(default_factory=dict)  # back to draft, and why
    sent: Counter[str] = field(default_factory=Counter)
    waiting: dict[int, str] = field(default_factory=dict)  # for the warehouse, which cannot be refreshed, and why
    finished: list[int] = field(default_factory=list)
    credited: int = 0
    confirmations: int = 0  # messages of double opt-in that went out
    refreshed: dict[str, int] = field(default_factory=dict)  # warehouse rows by table
    joined: int = 0  # people new on dynamic lists,
    left: int = 0  # and gone from them


def tick(
    database: Database, warehouse: Warehouse, config: Config, *, now: datetime, sender: Sender | None = None
) -> Ticked:
    """Do all that is due: refresh the warehouse, fire, send (with `sender`), finish, attribute. Safe to run anywhere
    at any time, at once with others; with nothing due it writes nothing. While the warehouse cannot be refreshed,
    campaigns to lists that are found by criteria wait, and in the end are late; all else goes on.
    """
    ticked = Ticked()
    trouble = _refresh(ticked, warehouse)
    latest = now - timedelta(hours=config.sending.max_late_hours)
    for due in _due(database, now):
        try:
            if due.at < latest:
                ticked.late += _hold(database, due)
            elif trouble and not _is_frozen(database, due):
                ticked.waiting[due.campaign_id] = trouble
            elif fire(database, warehouse, due, now=now):
                ticked.fired.append(due.campaign_id)
        except Unavailable as error:  # passes when the warehouse can be read again: no fault of the list
            ticked.waiting[due.campaign_id] = error.message
        except RapportError as error:
            log.warning("Campaign %d cannot be sent: %s", due.campaign_id, error.message)
            _refuse(database, due, error.message, now)
            ticked.refused[due.campaign_id] = error.message
    for campaign_id, why in ticked.waiting.items():
        _warn_once(warehouse, campaign_id, f"Campaign {campaign_id} waits, its list cannot be found: {why}")
    if sender is not None:
        with suppress(Conflict):  # another process sends (SQLite allows one)
            ticked.sent = sender.drain()
    _tidy(ticked, database, now)
    if not trouble:
        _follow(ticked, database, warehouse, now)
    ticked.confirmations = confirmation.deliver(database, config, now=now)
    _do_chores(database, config, now)
    return ticked


def _refresh(ticked: Ticked, warehouse: Warehouse) -> str:
    """Bring the warehouse up; why it cannot be, "" when it could."""
    try:
        ticked.refreshed = dict(warehouse.refresh().rows)
    except (RapportError, OSError) as error:
        kind = type(error.__cause__ or error).__name__  # the message may name another file every time
        _warn_once(warehouse, kind, f"Lists found by criteria cannot be sent to: {error}")
        return str(error)
    told = _told.get(warehouse, set())
    if kinds := {word for word in told if isinstance(word, str)}:
        told -= kinds
        log.warning("The warehouse can be refreshed again.")
    return ""


_told: WeakKeyDictionary[Warehouse, set[int | str]] = WeakKeyDictionary()  # kinds of trouble, campaigns that wait


def _warn_once(warehouse: Warehouse, what: int | str, message: str) -> None:
    """A trouble lasts many ticks; say it at the first."""
    told = _told.setdefault(warehouse, set())
    if what not in told:
        told.add(what)
        log.warning("%s", message)


def _is_frozen(database: Database, due: Due) -> bool:
    with database.read() as session:
        return lists.get(session, due.list_id).frozen_at is not None


@dataclass(frozen=True)
class Due:
    """A campaign and the time it is scheduled for; taken back and scheduled anew it has another version."""

    campaign_id: int
    version: int
    list_id: int
    at: datetime


def _due(database: Database, now: datetime) -> list[Due]:
    waiting = (
        select(Campaign.id, Campaign.version, Campaign.list_id, Campaign.due_at)
        .where(Campaign.status == "scheduled", Campaign.due_at <= now, Campaign.deleted_at.is_(None))
        .order_by(Campaign.due_at, Campaign.id)
    )
    with database.read() as session:
        return [Due(row.id, row.version, row.list_id or 0, row.due_at or now) for row in session.execute(waiting)]


def fire(database: Database, warehouse: Warehouse, due: Due, *, now: datetime) -> bool:
    """scheduled -> sending with its Firing and its whole ledger, in one transaction; False when somebody else did it,
    or it or its list was changed while the list was evaluated (the next tick takes the list as it is then). Raises
    what the list's criteria raise when they cannot be evaluated any more.
    """
    with database.read() as session:
        version = lists.get(session, due.list_id).version
        contact_ids = lists.member_ids(session, warehouse, due.list_id, now)
    with database.begin() as session:
        same = exists().where(planning.list_at(due.list_id, version))
        if not _leave(session, due, "sending", same, updated_at=now):
            return False
        firing = Firing(campaign_id=due.campaign_id, due_at=due.at, fired_at=now)
        session.add(firing)
        session.flush()
        counts = audience.build(session, firing, contact_ids.tolist(), now=now)
    log.info("Campaign %d fired: %s", due.campaign_id, counts)
    return True


def _hold(database: Database, due: Due) -> list[int]:
    """scheduled -> late; `updated_at` stays when somebody last decided, so that a list changed since is noticed."""
    with database.begin() as session:
        return [due.campaign_id] if _leave(session, due, "late") else []


def _refuse(database: Database, due: Due, reason: str, now: datetime) -> None:
    with database.begin() as session:
        _leave(session, due, "draft", updated_at=now, paused_reason=reason[:255])


def _leave(session: Session, due: Due, status: str, *also: ColumnElement[bool], **values: datetime | str) -> bool:
    """scheduled -> `status`, if it is still what was found due: of many that try, one succeeds."""
    guarded = Campaign.id == due.campaign_id, Campaign.status == "scheduled", Campaign.version == due.version, *also
    moved = {"status": status, "version": due.version + 1, **values}
    return session.connection().execute(update(Campaign).where(*guarded).values(moved)).rowcount == 1


def _tidy(ticked: Ticked, database: Database, now: datetime) -> None:
    """Finish what is finished, withdraw what was cancelled, credit orders; looks before it writes."""
    cancelled = select(Campaign.id).where(Campaign.status == "cancelled")
    stray = exists().where(Send.state == "queued", Send.campaign_id.in_(cancelled))
    with database.read() as session:
        done = session.scalar(select(exists().where(*planning.nothing_left())))
        left = session.scalar(select(stray))
        behind = attribution.is_behind(session)
    if done or left:
        with database.begin() as session:
            planning.withdraw(session)
            ticked.finished = planning.finish(session, now=now)
    if behind:
        with database.begin() as session:
            ticked.credited = attribution.attribute(session, now=now)


def _follow(ticked: Ticked, database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Who joined and who left dynamic lists; what is left for want of time comes with the next tick."""
    try:
        followed = lists.follow(database, warehouse, now)
    except RapportError as error:
        _warn_once(warehouse, "lists", f"Dynamic lists cannot be followed: {error.message}")
        return
    ticked.joined, ticked.left = followed.joined, followed.left


def _do_chores(database: Database, config: Config, now: datetime) -> None:
    for chore in _chores:
        try:
            chore(database, config, now)
        except Exception:
            log.exception("Tidying up failed; the next tick tries again.")


def renderer(config: Config, recommender: Recommends | None) -> Render:
    """What a Sender makes messages with."""
    return lambda session, ids, now: content.render(session, ids, now=now, config=config, recommender=recommender)


def run_ticker(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    stop: threading.Event,
    *,
    clock: Callable[[], datetime],
) -> None:
    """Tick every `tick.seconds` until `stop` is set; a tick that fails is logged and the next one tries again. Ticks
    that were missed (a laptop asleep, a long one before) become one.
    """

    def beat() -> None:
        try:
            tick(database, warehouse, config, now=clock())
        except Exception:
            log.exception("A tick failed; the next one tries again.")

    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    scheduler.add_job(beat, "interval", seconds=config.tick.seconds, next_run_time=datetime.now(UTC))
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=True)
