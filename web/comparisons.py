"""A comparison of placements as the API tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from campaigns.exposed import Figures
from campaigns.readout import Difference, Readout
from recommender import comparisons
from recommender.models import Comparison


def told(row: Comparison) -> dict[str, Any]:
    """The comparison itself."""
    return {
        "id": row.id,
        "placement": row.placement,
        "status": status(row),
        "a": row.variant_a,
        "b": row.variant_b,
        "share_b": row.share_b,
        "holdout": row.holdout,
        "days": row.days,
        "started_at": row.started_at.isoformat(),
        "planned_end": comparisons.planned_end(row).isoformat(),
        "ended_at": _time(row.ended_at),
        "adopted": row.adopted,
    }


def status(row: Comparison) -> str:
    """running, stopped or adopted."""
    return "running" if row.ended_at is None else "adopted" if row.adopted else "stopped"


def figures(found: Readout) -> dict[str, Any]:
    """The readout; an interval is its value, its low and its high end."""
    return {
        "currency": found.currency,
        "as_of": found.as_of.isoformat(),
        "until": found.until.isoformat(),
        "interim": found.interim,
        "arms": {name: _arm(arm) for name, arm in found.arms.items()},
        "differences": [_difference(one) for one in found.differences],
        "mismatch": found.mismatch,
        "detectable": found.detectable,
        "verdict": vars(found.verdict),
        "warnings": list(found.warnings),
        "definition": found.definition,
    }


def _arm(arm: Figures) -> dict[str, Any]:
    plain = ("people", "shown", "clicked", "click_rate", "orders", "credited_orders", "credited_revenue", "crossed")
    return {
        **{name: getattr(arm, name) for name in plain},
        "clickers": arm.outcomes["clickers"].buyers,
        "buyers": arm.outcomes["margin"].buyers,
        "revenue": arm.outcomes["revenue"].total,
        "margin": arm.outcomes["margin"].total,
        "credited_margin": arm.outcomes["credited"].total,
        "each": {name: outcome.mean for name, outcome in arm.outcomes.items()},
    }


def _difference(one: Difference) -> dict[str, Any]:
    interval = one.interval and {
        "value": one.interval.value,
        "low": one.interval.low,
        "high": one.interval.high,
    }
    return {"metric": one.metric, "arm": one.arm, "against": one.against, "interval": interval}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
