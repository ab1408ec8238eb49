"""Plan a campaign: write it, check it, schedule it, stop it.

Every change of status is one guarded UPDATE that raises the version: what somebody decided on the strength of an older
version changes nothing. Checking is slow (templates, the list) and reads only; scheduling what was checked is quick,
because on SQLite every other writer waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import ColumnElement, CursorResult, and_, case, exists, func, literal, null, select, update
from sqlalchemy.orm import Session

from campaigns import content, plans
from campaigns.delivery.ledger import requeue_unknown
from campaigns.models import LIVE, Campaign, Firing, Send, Variant
from engine import lists, money
from engine.config import Config
from engine.database import UtcDateTime, next_revision
from engine.errors import Conflict, Invalid, NotFound
from engine.models import BUCKETS, ContactList
from engine.warehouse import Warehouse

UNDO: Final = timedelta(days=30)
AHEAD: Final = timedelta(days=366)
NEAR: Final = timedelta(seconds=300)  # what is sent now from a page is at most so far away (sending.undo_seconds)


def create(
    session: Session, plan: Mapping[str, Any], *, now: datetime, config: Config, seed: int | None = None
) -> Campaign:
    """A new draft. `plan` holds any of `plans.FIELDS`; what it leaves out is the shop's default. Raises Invalid.

    The split (a, s) of the contacts is drawn here, once (`seed` for a repeatable one).
    """
    a, s = np.random.default_rng(seed).integers(1, BUCKETS, size=2).tolist()
    campaign = Campaign(
        name="New campaign",
        channel="email",
        status="draft",
        holdout=config.sending.holdout,
        window_days=config.sending.window_days,
        currency=config.locale.currency,
        split_a=a,
        split_s=s,
        created_at=now,
        updated_at=now,
    )
    session.add(campaign)
    session.flush()
    variant = Variant(campaign_id=campaign.id, name="A", blocks=[])
    session.add(variant)
    plans.write(session, campaign, variant, plan)
    return campaign


def edit(session: Session, campaign_id: int, plan: Mapping[str, Any], *, version: int, now: datetime) -> Campaign:
    """Change a draft. Raises Conflict when somebody changed it since `version`, or when it is no draft any more."""
    guarded = Campaign.id == campaign_id, Campaign.version == version, Campaign.status == "draft"
    change = update(Campaign).where(*guarded).values(version=version + 1, updated_at=now)
    if not _changed(session, change):
        _explain(session, campaign_id, version, ("draft",))
    return _write(session, campaign_id, plan)


def _write(session: Session, campaign_id: int, plan: Mapping[str, Any]) -> Campaign:
    """Write over what is there now: it may have been read before the row was ours."""
    campaign, variant = get(session, campaign_id), variant_of(session, campaign_id)
    session.refresh(campaign)
    session.refresh(variant)
    plans.write(session, campaign, variant, plan)
    return campaign


def copy(session: Session, campaign_id: int, *, name: str | None = None, now: datetime, config: Config) -> Campaign:
    """A new draft that says the same to the same list, with its own draw and no time yet; without a name "Copy of" the
    other's.
    """
    source, variant = get(session, campaign_id), variant_of(session, campaign_id)
    fields = plans.FIELDS.items()
    values = {name: getattr(source if kept is Campaign else variant, name) for name, (kept, _) in fields}
    costs = {name: money.to_decimal(values[name]) for name in ("fixed_cost", "message_cost")}
    named = f"Copy of {source.name}"[: plans.NAME] if name is None else name
    plan = {**values, **costs, "name": named, "due_at": None}
    return create(session, plan, now=now, config=config)


def record_costs(
    session: Session, campaign_id: int, costs: Mapping[str, Any], *, version: int | None = None, now: datetime
) -> Campaign:
    """What it cost, `fixed_cost` and `message_cost`, as the bills come in: at any time, after the sending too.
    `version`: the one that was looked at; None: what is there. Raises Invalid, Conflict.
    """
    campaign = get(session, campaign_id)
    version = version or campaign.version
    guarded = Campaign.id == campaign_id, Campaign.version == version
    decided = case(
        (Campaign.status.in_(WAITING), Campaign.updated_at), else_=literal(now, UtcDateTime)
    )  # is_list_changed
    if not _changed(session, update(Campaign).where(*guarded).values(version=version + 1, updated_at=decided)):
        _explain(session, campaign_id, version, (campaign.status,))
    return _write(session, campaign_id, {name: costs[name] for name in ("fixed_cost", "message_cost") if name in costs})


def get(session: Session, campaign_id: int) -> Campaign:
    """The campaign; raises NotFound."""
    campaign = session.get(Campaign, campaign_id)
    if campaign is None or campaign.deleted_at is not None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    return campaign


def variant_of(session: Session, campaign_id: int) -> Variant:
    """The campaign's content."""
    return session.scalars(select(Variant).where(Variant.campaign_id == campaign_id).order_by(Variant.id)).one()


def all_campaigns(session: Session, *, before: int | None = None, limit: int = 50) -> list[Campaign]:
    """Campaigns, newest first; `before` is the last number seen."""
    statement = select(Campaign).where(Campaign.deleted_at.is_(None)).order_by(Campaign.id.desc()).limit(limit)
    return list(session.scalars(statement.where(Campaign.id < before) if before else statement))


@dataclass(frozen=True)
class Ready:
    """A draft that was found ready at `version`, its list at `list_version`; `urls` are where its links lead."""

    campaign_id: int
    version: int
    list_id: int
    list_version: int
    urls: tuple[str, ...]


def check(
    session: Session,
    warehouse: Warehouse | None,
    campaign_id: int,
    *,
    version: int | None = None,
    now: datetime,
    config: Config,
) -> Ready:
    """Look over a draft, in a session that only reads, and try its content on the first people of its list (without a
    warehouse, and for an empty list: on somebody made up). `version`: the one that is meant; None: what is there.

    Raises Invalid with what is missing and where, Conflict when it is at another version or no draft.
    """
    campaign = get(session, campaign_id)
    if campaign.status != "draft" or version not in (None, campaign.version):
        _explain(session, campaign_id, version, STEPS["schedule"].sources, STEPS["schedule"].verb)
    chosen = session.get(ContactList, campaign.list_id) if campaign.list_id else None
    if chosen is None or chosen.deleted_at is not None:
        raise Invalid("Choose whom it goes to.", field="list_id")
    if campaign.channel == "email" and not config.mail.postal_address.strip():
        raise Invalid("Set mail.postal_address: the law asks for it in every marketing mail.", field="postal_address")
    urls = content.check(campaign, variant_of(session, campaign_id), config)
    try_out(session, warehouse, campaign, now=now, config=config)
    return Ready(campaign_id, campaign.version, chosen.id, chosen.version, urls)


def try_out(
    session: Session, warehouse: Warehouse | None, campaign: Campaign, *, now: datetime, config: Config
) -> None:
    """Fill checked content in for the first people of the list; raises Invalid when it fails for all of them, and
    when the list's criteria cannot be read any more.
    """
    people = []
    if warehouse is not None and campaign.list_id is not None:
        try:
            people = lists.members(session, warehouse, campaign.list_id, now, limit=content.SAMPLE)
        except (Invalid, NotFound) as error:
            raise Invalid(f"The criteria of its list cannot be read: {error.message}", field="list_id") from None
    content.try_out(campaign, variant_of(session, campaign.id), people, now=now, config=config)


def schedule(session: Session, ready: Ready, *, at: datetime | None = None, now: datetime) -> Campaign:
    """draft -> scheduled, for `at` or for now: what was checked and nothing else. Its links lead where they lead from
    here on. Raises Invalid with the field, Conflict when the draft or its list was changed since it was checked.
    """
    if at is not None and not now - timedelta(minutes=1) <= at <= now + AHEAD:
        raise Invalid("The time must be in the future, within a year.", field="at")
    same = select(ContactList.id).where(list_at(ready.list_id, ready.list_version)).with_for_update(read=True)
    if session.scalar(same) is None:
        raise Conflict("The list was changed while the campaign was checked. Look at it again, then schedule it.")
    told = {"due_at": at or now, "paused_reason": None}
    campaign = _move(session, ready.campaign_id, "schedule", now=now, version=ready.version, **told)
    content.register_links(session, ready.campaign_id, ready.urls)
    return campaign


def list_at(list_id: int, version: int) -> ColumnElement[bool]:
    """The list as it was read, still there."""
    return and_(ContactList.id == list_id, ContactList.version == version, ContactList.deleted_at.is_(None))


def unschedule(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """scheduled | late -> draft; a time to come stays planned, or a page that still shows it would send at once. One
    that is NEAR does not: it would have passed before the draft is mended. Raises Conflict once it is being sent.
    """
    planned = case((Campaign.due_at > now + NEAR, Campaign.due_at), else_=null())
    return _move(session, campaign_id, "unschedule", now=now, due_at=planned)


def pause(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """sending -> paused: from the next message on nothing goes out."""
    return _move(session, campaign_id, "pause", now=now)


def resume(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """paused -> sending."""
    return _move(session, campaign_id, "resume", now=now, paused_reason=None)


def cancel(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """Never send what has not been sent: scheduled | late | sending | paused -> cancelled, for good."""
    campaign = _move(session, campaign_id, "cancel", now=now)
    withdraw(session)
    return campaign


def withdraw(session: Session) -> int:
    """queued -> cancelled for the sends of cancelled campaigns, those that senders gave back included; how many."""
    cancelled = select(Campaign.id).where(Campaign.status == "cancelled")
    return _count(
        session,
        update(Send)
        .where(Send.state == "queued", Send.campaign_id.in_(cancelled))
        .values(state="cancelled", reason="campaign cancelled", revision=next_revision(session)),
    )


def send_again(session: Session, campaign_id: int, *, now: datetime) -> int:
    """Send once more to those of whom nobody knows whether it arrived, who may then have it twice; how many."""
    _move(session, campaign_id, "send_again", now=now)
    return requeue_unknown(session, campaign_id, now)


def finish(session: Session, *, now: datetime) -> list[int]:
    """sending -> finished for campaigns of which nothing waits or is on its way; their numbers. One that somebody
    changed meanwhile (sent again, paused) is left for the next tick.
    """
    finished = []
    done = select(Campaign.id, Campaign.version).where(*nothing_left()).order_by(Campaign.id)
    for campaign_id, version in session.execute(done).all():
        guarded = Campaign.id == campaign_id, Campaign.version == version, *nothing_left()
        change = update(Campaign).where(*guarded)
        if _changed(session, change.values(status="finished", version=version + 1, updated_at=now)):
            running = Firing.campaign_id == campaign_id, Firing.finished_at.is_(None)
            _count(session, update(Firing).where(*running).values(finished_at=now))
            finished.append(campaign_id)
    return finished


def nothing_left() -> tuple[ColumnElement[bool], ...]:
    """Campaigns that are sending, with nothing left to send."""
    live = exists().where(Send.campaign_id == Campaign.id, Send.state.in_(LIVE))
    return Campaign.status == "sending", ~live


def send_late(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """late -> scheduled for now: its time passed while nothing ran."""
    return _move(session, campaign_id, "send_late", now=now, due_at=now)


def skip_late(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """late -> cancelled."""
    return _move(session, campaign_id, "skip_late", now=now)


def delete(session: Session, campaign_id: int, *, now: datetime) -> None:
    """Put away a campaign that neither waits nor runs; `undo_delete` brings it back within 30 days."""
    quiet = Campaign.status.in_(("draft", "finished", "cancelled"))
    there = Campaign.id == campaign_id, Campaign.deleted_at.is_(None), quiet
    if not _changed(session, update(Campaign).where(*there).values(deleted_at=now, updated_at=now)):
        raise Conflict(f"Campaign '{get(session, campaign_id).name}' is waiting or running: cancel it first.")


def undo_delete(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """Bring a deleted campaign back."""
    gone = Campaign.id == campaign_id, Campaign.deleted_at > now - UNDO
    if not _changed(session, update(Campaign).where(*gone).values(deleted_at=None, updated_at=now)):
        raise NotFound(f"Campaign {campaign_id} cannot be brought back: it was not deleted in the last 30 days.")
    return get(session, campaign_id)


WAITING: Final = ("scheduled", "late")


def waiting(session: Session, *, list_id: int | None = None) -> list[Campaign]:
    """Campaigns whose list is still to be evaluated, the next first; of `list_id`: those it decides who gets."""
    there = Campaign.status.in_(WAITING), Campaign.deleted_at.is_(None)
    found = session.scalars(select(Campaign).where(*there).order_by(Campaign.due_at, Campaign.id)).all()
    return [one for one in found if list_id is None or list_id in {part.id for part in _lists(session, one)}]


def is_list_changed(session: Session, campaign: Campaign) -> bool:
    """Was the list of a waiting campaign, or one it is made of, changed after somebody decided to send? A campaign
    that waits cannot be edited, so `updated_at` is when that was.
    """
    parts = _lists(session, campaign) if campaign.status in WAITING else []
    return any(part.deleted_at is not None or part.updated_at > campaign.updated_at for part in parts)


def _lists(session: Session, campaign: Campaign) -> list[ContactList]:
    return lists.behind(session, campaign.list_id) if campaign.list_id else []


def people(session: Session, warehouse: Warehouse, campaign: Campaign, now: datetime) -> int | None:
    """How many are on a campaign's list now; None when its criteria cannot be read any more."""
    try:
        return len(lists.member_ids(session, warehouse, campaign.list_id or 0, now))
    except (Invalid, NotFound):
        return None


def wall_time(given: str, zone: ZoneInfo) -> datetime:
    """A moment from what a form says ("2026-03-29T09:00" in `zone`) or an ISO 8601 time with its own offset.

    Of an hour that comes twice the first is meant; one that the clocks jump over is refused.
    """
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise Invalid(f"'{given[:40]}' is no time; write it like 2026-03-29T09:00.", field="at") from None
    if moment.tzinfo is not None:
        return moment
    if moment.year not in plans.YEARS:
        raise Invalid("The time must be in the future, within a year.", field="at")
    local = moment.replace(tzinfo=zone)
    utc = ZoneInfo("UTC")
    if local.astimezone(utc).astimezone(zone).replace(tzinfo=None) != moment:
        raise Invalid(f"At {given} the clocks in {zone.key} jump ahead: that time does not exist.", field="at")
    return local.astimezone(utc)


def progress(session: Session, campaign_id: int) -> dict[str, int]:
    """How many sends are in each state."""
    counted = select(Send.state, func.count()).where(Send.campaign_id == campaign_id).group_by(Send.state)
    return {row.state: row[1] for row in session.execute(counted)}


@dataclass(frozen=True)
class _Step:
    """A change of status: from which, to which, and how to call it."""

    sources: tuple[str, ...]
    target: str
    verb: str


STEPS: Final[Mapping[str, _Step]] = {
    "schedule": _Step(("draft",), "scheduled", "scheduled"),
    "unschedule": _Step(("scheduled", "late"), "draft", "unscheduled"),
    "pause": _Step(("sending",), "paused", "paused"),
    "resume": _Step(("paused",), "sending", "resumed"),
    "cancel": _Step(("scheduled", "late", "sending", "paused"), "cancelled", "cancelled"),
    "send_again": _Step(("sending", "finished"), "sending", "sent again"),
    "send_late": _Step(("late",), "scheduled", "sent late"),
    "skip_late": _Step(("late",), "cancelled", "skipped"),
}


def _move(
    session: Session, campaign_id: int, name: str, *, now: datetime, version: int | None = None, **values: Any
) -> Campaign:
    step = STEPS[name]
    guards = [Campaign.id == campaign_id, Campaign.status.in_(step.sources), Campaign.deleted_at.is_(None)]
    if version is not None:
        guards.append(Campaign.version == version)
    moved = {"status": step.target, "version": Campaign.version + 1, "updated_at": now, **values}
    change = update(Campaign).where(*guards).values(moved)
    if not _changed(session, change):
        _explain(session, campaign_id, version, step.sources, step.verb)
    campaign = get(session, campaign_id)
    session.refresh(campaign)
    return campaign


def _explain(
    session: Session, campaign_id: int, version: int | None, sources: tuple[str, ...], verb: str = "changed"
) -> None:
    """Say why nothing was changed."""
    campaign = get(session, campaign_id)
    session.refresh(campaign)
    if campaign.status not in sources:
        known = " or ".join(sources)
        raise Conflict(f"'{campaign.name}' is {campaign.status}; only a campaign that is {known} can be {verb}.")
    raise Conflict(f"Somebody changed '{campaign.name}' meanwhile: it is at version {campaign.version}, not {version}.")


def _changed(session: Session, statement: Any) -> bool:
    return _count(session, statement) == 1


def _count(session: Session, statement: Any) -> int:
    session.flush()
    result: CursorResult[Any] = session.connection().execute(statement)
    return result.rowcount
