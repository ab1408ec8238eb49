"""Campaigns as programs see them: what the API answers and what a command prints with --json, and the steps of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import planning, roi
from campaigns.estimates import Estimate
from campaigns.experiment import Interval
from campaigns.models import Campaign, Send, Variant
from campaigns.outcomes import Outcome
from engine import money


@dataclass(frozen=True)
class Step:
    """A change of status that needs no more than the campaign and the time: act(session, campaign_id, now=...)."""

    act: Callable[..., Any]
    words: str


STEPS: Final[Mapping[str, Step]] = {
    "unschedule": Step(planning.unschedule, "Back to draft, while nothing has been sent"),
    "pause": Step(planning.pause, "Send nothing more for the time being"),
    "resume": Step(planning.resume, "Go on sending"),
    "cancel": Step(planning.cancel, "Never send what has not been sent"),
    "send_late": Step(planning.send_late, "Send now what was late, because nothing ran at its time"),
    "skip_late": Step(planning.skip_late, "Never send what was late"),
    "send_again": Step(
        planning.send_again, "Send once more to those of whom nobody knows whether they have it; some may get it twice"
    ),
}


def take(session: Session, word: str, campaign_id: int, *, now: datetime) -> Campaign:
    """One of the STEPS; raises NotFound, Conflict."""
    STEPS[word].act(session, campaign_id, now=now)
    return planning.get(session, campaign_id)


def shown(session: Session, found: Sequence[Campaign]) -> list[dict[str, Any]]:
    """With contents and progress of all of them from one statement each."""
    ids = [campaign.id for campaign in found]
    contents = select(Variant).where(Variant.campaign_id.in_(ids)).order_by(Variant.id.desc())
    variants = {variant.campaign_id: variant for variant in session.scalars(contents)}  # the first one stays
    states = select(Send.campaign_id, Send.state, func.count()).where(Send.campaign_id.in_(ids))
    progress: dict[int, dict[str, int]] = {campaign_id: {} for campaign_id in ids}
    for campaign_id, state, count in session.execute(states.group_by(Send.campaign_id, Send.state)):
        progress[campaign_id][state] = count
    return [_fields(campaign, variants[campaign.id], progress[campaign.id]) for campaign in found]


def _fields(campaign: Campaign, variant: Variant, progress: dict[str, int]) -> dict[str, Any]:
    plain = ("id", "name", "channel", "status", "list_id", "holdout", "window_days", "currency", "version")
    return {
        **{name: getattr(campaign, name) for name in plain},
        **{name: getattr(variant, name) for name in ("subject", "preheader", "blocks", "text")},
        "due_at": _time(campaign.due_at),
        "fixed_cost": _amount(campaign.fixed_cost),
        "message_cost": _amount(campaign.message_cost),
        "paused_reason": campaign.paused_reason,
        "progress": progress,
    }


def estimate(found: Estimate) -> dict[str, Any]:
    """The waterfall."""
    return {**vars(found), "cost": _amount(found.cost), "as_of": _time(found.as_of)}


def report(found: roi.Report) -> dict[str, Any]:
    """All figures; an interval is its value, its low and its high end."""
    plain = ("campaign_id", "currency", "window_days", "interim", "overstated", "detectable", "mismatch", "warnings")
    caused = found.increment
    return {
        **{name: getattr(found, name) for name in (*plain, "definition")},
        **{name: _time(getattr(found, name)) for name in ("as_of", "window_start", "window_end")},
        "funnel": vars(found.funnel),
        "costs": {"fixed": found.costs.fixed, "messages": found.costs.messages, "total": found.costs.total},
        "attributed": vars(found.attributed),
        "treated": _arm(found.treated),
        "control": _arm(found.control),
        "increment": caused and {name: _interval(value) for name, value in vars(caused).items()},
        "verdict": vars(found.verdict),
    }


def _arm(outcome: Outcome) -> dict[str, float]:
    revenue = outcome.revenue
    return {"contacts": revenue.n, "buyers": revenue.buyers, "orders": outcome.orders, "revenue": revenue.total}


def _interval(value: Any) -> Any:
    return {"value": value.value, "low": value.low, "high": value.high} if isinstance(value, Interval) else value


def _amount(amount: int) -> str:
    return str(money.to_decimal(amount))


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
