"""When something is usually bought again, as an answer's reason tells it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from engine.database import microseconds
from recommender.due import Usual
from recommender.fitted import stack
from recommender.interactions import Interactions, Items, Log
from recommender.sources.base import Because, Query, Settings
from recommender.sources.next_purchase import NextPurchase
from recommender.trail import Trail
from tests.recommender.shop import NOW


def shop() -> Interactions:
    """Six people buy item 1 twice, 20, 22, 30, 30, 40 and 50 days apart, and item 2 once."""
    lines = []
    for who, gap in enumerate((20, 22, 30, 30, 40, 50), 1):
        lines += [
            (2 * who, who, 1, 1.0, NOW - timedelta(days=100)),
            (2 * who + 1, who, 1, 1.0, NOW - timedelta(days=100 - gap)),
            (2 * who + 1, who, 2, 1.0, NOW - timedelta(days=100 - gap)),
        ]
    return Interactions(Log.of(lines), Log.of([]), Items.of([(item, True, "All") for item in (1, 2)]), NOW)


def test_reason_tells_when() -> None:
    """Of who bought it once as everybody does, of who buys it every 3 days; nothing of what nobody repeats."""
    known = shop()
    source = NextPurchase.fit(known, Settings(), seed=1)
    one, two = (int(number) for number in known.numbers(np.array([1, 2])))
    at = np.array([microseconds(NOW - timedelta(days=days)) for days in (9, 8, 5, 2)], np.int64)
    weights = np.array([0.2, 1, 1, 1])  # a look is no purchase
    past = Trail.of(np.zeros(4, np.int64), 1, items=np.full(4, one), weights=weights, occasions=np.arange(4), at=at)
    nothing = stack([(np.empty(0), np.empty(0))], 2)
    asked = Query(nothing, nothing, nothing, known.offerable, past)
    again, other = source.explain(asked, 0, np.array([one, two]))
    days = (3 * 3 * 30) ** (1 / 3)
    spread = [int(days * quartile / 30 + 0.5) for quartile in (24, 30, 37.5)]
    assert again == Because("next_purchase", (one,), 3, again=Usual(*spread, 6), at=int(at[-1]))
    assert other == Because("next_purchase")
    only = past.where(np.array([False, False, False, True]))
    [once] = source.explain(Query(nothing, nothing, nothing, known.offerable, only), 0, np.array([one]))
    assert once.again == Usual(24, 30, 38, 6)
