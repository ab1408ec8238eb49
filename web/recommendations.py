"""An answer as the API and the command line print it."""

from __future__ import annotations

from typing import Any

from engine import money
from recommender.answers import Answer, Recommended


def shown(answer: Answer) -> dict[str, Any]:
    """An answer in the API's words; `missing_ids` is left to the door, which knows what was asked."""
    return {
        "recommendation_id": answer.recommendation_id,
        "placement": answer.placement,
        "training": answer.training_id,
        "degraded": answer.degraded,
        "items": [_item(item) for item in answer.items],
    }


def _item(item: Recommended) -> dict[str, Any]:
    told = vars(item.reason).items() if item.reason else ()
    reason = {name: value for name, value in told if value is not None and name != "because_ids"}
    fields = {
        "id": item.key,
        "score": item.score,
        "rank": item.rank,
        "source": item.source,
        "title": item.title,
        "price": None if item.price is None else str(money.to_decimal(item.price)),
        "currency": item.currency,
        "url": item.url,
        "image_url": item.image_url,
        "category": item.category,
    }
    return fields | ({"reason": reason} if reason else {})
