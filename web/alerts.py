"""What needs somebody's attention, each with the page that helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from flask_babel import gettext, ngettext
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from campaigns import planning
from campaigns.models import Campaign, Firing, Send
from engine.models import Import
from recommender import comparisons, placements
from recommender.models import Comparison, Published, Training
from web.format import number as format_number
from web.format import share
from web.services import services

RECENT = timedelta(days=7)
STALE = timedelta(days=14)  # of a training: a fortnight's new items and habits are missing from it
MOST_COUNTED = 5  # lists, each a question to the warehouse
MANY_BOUNCES = 0.02  # receivers begin to distrust a sender above two in a hundred


@dataclass(frozen=True)
class Alert:
    """One line; `endpoint` with `number` opens the page."""

    kind: str  # bad or warn
    text: str
    endpoint: str
    number: dict[str, int]


def alerts(session: Session, now: datetime) -> list[Alert]:
    """All that there are, gravest first."""
    found = [alert for check in CHECKS for alert in check(session, now)]
    return sorted(found, key=lambda alert: alert.kind != "bad")


def _late(session: Session, _now: datetime) -> Iterator[Alert]:
    for campaign in session.scalars(select(Campaign).where(Campaign.status == "late", Campaign.deleted_at.is_(None))):
        text = gettext("“%(name)s” missed its time. Decide whether it still goes out.", name=campaign.name)
        yield Alert("bad", text, "campaigns.show", {"campaign_id": campaign.id})


def _lists(session: Session, now: datetime) -> Iterator[Alert]:
    changed = (one for one in planning.waiting(session) if planning.is_list_changed(session, one))
    for campaign in islice(changed, MOST_COUNTED):
        number = planning.people(session, services().warehouse, campaign, now)
        if number is None:
            text = gettext("The list of “%(name)s” cannot be read any more: it will not go out.", name=campaign.name)
        else:
            told = gettext("The list of “%(name)s” was changed after you scheduled it.", name=campaign.name)
            now_on_it = ngettext("%(n)s person is on it now.", "%(n)s people are on it now.", number,
                                 n=format_number(number))  # fmt: skip
            text = f"{told} {now_on_it}"
        yield Alert("bad" if number is None else "warn", text, "campaigns.show", {"campaign_id": campaign.id})


def _bounces(session: Session, now: datetime) -> Iterator[Alert]:
    fired = select(Firing.campaign_id).where(Firing.fired_at > now - RECENT)
    bounced = func.sum(case((Send.outcome == "bounced", 1), else_=0))
    rows = session.execute(
        select(Campaign.id, Campaign.name, bounced * 1.0 / func.count())
        .join(Send, Send.campaign_id == Campaign.id)
        .where(Campaign.id.in_(fired), Send.state == "accepted")
        .group_by(Campaign.id, Campaign.name)
        .having(bounced > MANY_BOUNCES * func.count())
    )
    for campaign_id, name, part in rows:
        text = gettext("%(share)s of “%(name)s” bounced. Check where these addresses came from.",
                       share=share(float(part)), name=name)  # fmt: skip
        yield Alert("bad", text, "campaigns.show", {"campaign_id": campaign_id})


def _imports(session: Session, now: datetime) -> Iterator[Alert]:
    failed = select(Import).where(Import.error.is_not(None), Import.started_at > now - RECENT)
    for run in session.scalars(failed.order_by(Import.id.desc()).limit(3)):
        yield Alert("bad", gettext("The import of %(name)s failed.", name=run.file_name), "imports.index", {})


def _training(session: Session, now: datetime) -> Iterator[Alert]:
    last = session.scalar(select(Training).order_by(Training.id.desc()).limit(1))
    published = session.scalar(select(Published.at))
    if last is not None and last.status == "failed":
        yield Alert("bad", gettext("The last training of the recommendations failed."), "recommendations.index", {})
    elif published is not None and now - published > STALE:
        text = gettext("The recommendations were last trained %(days)s days ago.", days=(now - published).days)
        yield Alert("warn", text, "recommendations.index", {})


def _comparisons(session: Session, now: datetime) -> Iterator[Alert]:
    """Those whose days are over: more days tell nothing more."""
    plans = placements.read(session)
    for row in session.scalars(select(Comparison).where(Comparison.ended_at.is_(None)).order_by(Comparison.id)):
        if comparisons.planned_end(row) <= now:
            name = plans[row.placement].name if row.placement in plans else row.placement
            text = gettext("The comparison at “%(name)s” has run its days: adopt a variant, or stop it.", name=name)
            yield Alert("warn", text, "recommendations.comparison", {"number": row.id})


CHECKS: tuple[Callable[[Session, datetime], Iterator[Alert]], ...] = (
    _late,
    _lists,
    _bounces,
    _imports,
    _training,
    _comparisons,
)
