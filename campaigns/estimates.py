"""Before a campaign goes out: how many it will reach, what it will cost, and what its holdout could show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from campaigns import audience, experiment, planning
from campaigns.outcomes import NOBODY, outcomes
from engine import lists
from engine.errors import Invalid
from engine.models import ContactList
from engine.warehouse import Warehouse

ALL: Final = "all"


@dataclass(frozen=True)
class Estimate:
    """The waterfall: `matched` = excluded (by reason) + `held` + `sent`. Money in ten-thousandths of `currency`.

    `detectable`: the smallest increment in revenue per contact (units of the currency) that the holdout would show
    in 4 of 5 trials, judging by what these people spent in a window before today; `detectable_share` the
    same as a share of that spending. None without a holdout, when they spent nothing, and when so few of those held
    out would buy that the report refuses a verdict: `needed` is then how many people would have to be held out.
    """

    matched: int
    excluded: Mapping[str, int]
    held: int
    sent: int
    cost: int
    currency: str
    buyers: int  # of those eligible, in the window before
    needed: int | None
    detectable: float | None
    detectable_share: float | None
    as_of: datetime | None


def estimate(session: Session, warehouse: Warehouse, campaign_id: int, *, now: datetime) -> Estimate:
    """The waterfall as of the warehouse's last refresh. Raises Invalid when no list is chosen."""
    campaign = planning.get(session, campaign_id)
    chosen = session.get(ContactList, campaign.list_id) if campaign.list_id else None
    if chosen is None or chosen.deleted_at is not None:
        raise Invalid("Choose whom it goes to.", field="list_id")
    contact_ids = lists.member_ids(session, warehouse, chosen.id, now).tolist()
    counts = audience.count(session, campaign, contact_ids)
    held, sent = counts.get(audience.HOLDOUT, 0), counts.get("queued", 0)
    given = audience.members(session, contact_ids)
    people = select(given.c.contact_id, literal(ALL).label("arm")).subquery()
    start = now - timedelta(days=campaign.window_days)
    before = outcomes(session, people, start=start, end=now, currency=campaign.currency).get(ALL, NOBODY).revenue
    n = held + sent
    few = before.buyers * held < experiment.FEW_BUYERS * n
    seen = experiment.detectable(n, campaign.holdout, before.variance**0.5) if before.variance and not few else None
    return Estimate(
        matched=sum(counts.values()),
        excluded={reason: counts[reason] for reason in audience.EXCLUSIONS if reason in counts},
        held=held,
        sent=sent,
        cost=campaign.fixed_cost + sent * campaign.message_cost,
        currency=campaign.currency,
        buyers=before.buyers,
        needed=ceil(n * experiment.FEW_BUYERS / before.buyers) if few and before.buyers and campaign.holdout else None,
        detectable=seen,
        detectable_share=seen / before.mean if seen and before.mean > 0 else None,
        as_of=warehouse.as_of,
    )
