"""An answer as the API and the command line print it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from engine import money
from recommender.answers import KEPT, Answer, Recommended
from recommender.kept import ITEM_BYTES, Kept

TOLD: Final = ("title", "price", "currency", "url", "image_url", "category", "brand")  # what may be left out of an item


def shown(answer: Answer, fields: Collection[str] = TOLD) -> dict[str, Any]:
    """An answer in the API's words; `missing_ids` is left to the door, which knows what was asked."""
    return _head(answer) | {"items": [_item(item, fields) for item in answer.items]}


def as_json(answer: Answer, fields: tuple[str, ...], rest: Mapping[str, Any]) -> str:
    """The same with `rest`, as JSON. What is told of the same row of items again is not written anew."""
    return f'{json.dumps({**_head(answer), **rest})[:-1]}, "items": {_items(answer.items, fields)}}}'


_kept: Final[Kept[str]] = Kept(KEPT)


def _items(items: tuple[Recommended, ...], fields: tuple[str, ...]) -> str:
    return _kept.of(
        (items, fields),
        lambda: json.dumps([_item(item, fields) for item in items]),
        lambda told: len(told) + ITEM_BYTES * (len(items) + 1),
    )


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "recommendation_id": answer.recommendation_id,
        "placement": answer.placement,
        "variant": answer.variant,
        "source": answer.source,
        "training": answer.training_id,
        "degraded": answer.degraded,
    }


def _item(item: Recommended, fields: Collection[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"id": item.key, "score": item.score, "rank": item.rank, "source": item.source}
    if item.score is None:
        del told["score"]
    told |= {name: _price(item) if name == "price" else getattr(item, name) for name in fields}
    if item.bundle:
        amounts = {name: money.to_text(getattr(item.bundle, name)) for name in ("price", "saves")}
        told["bundle"] = {"key": item.bundle.key, "name": item.bundle.name, **amounts}
    if item.reason:
        reason = zip(item.reason._fields, item.reason, strict=True)
        told["reason"] = {name: value for name, value in reason if value is not None and name != "because_ids"}
    return told


def _price(item: Recommended) -> str | None:
    return None if item.price is None else money.to_text(item.price)
