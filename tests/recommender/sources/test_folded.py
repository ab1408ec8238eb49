"""Blends answer with folded weights, and one question from the rows it touches: the same as feature by feature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender import blend
from recommender.fitted import stack
from recommender.interactions import Interactions
from recommender.sources import SOURCES, crowd
from recommender.sources.base import NOTHING, Query, Settings
from recommender.sources.blended import Blended
from recommender.trail import Trail
from tests.recommender.shop import baskets

ITEMS, QUESTIONS, N = 30, 40, 8
SIZES = ("few items", "more items", "a wide shop")
BLENDS = ("collaborative", "rules", "session", "next_purchase")


@pytest.fixture(scope="module")
def shop() -> Interactions:
    """Baskets of which some items are bought together more than others."""
    draw = np.random.default_rng(1)
    rows = [sorted(set((draw.zipf(1.4, 4) + draw.integers(0, 9)) % ITEMS + 1)) for _ in range(300)]
    bought = baskets([[int(item) for item in row] for row in rows], contacts=[number % 60 for number in range(300)])
    seen = replace(bought.purchases, order=bought.purchases.order + 1, amount=np.full(len(bought.purchases), 0.2))
    return Interactions(bought.purchases, seen, bought.items, bought.until)


def drawn(width: int, seed: int, *, looked_at: bool) -> Query:
    """Questions of people with up to a dozen things done, of which some items are excluded and some not allowed."""
    draw = np.random.default_rng(seed)

    def trail(most: int) -> Trail:
        rows = np.repeat(np.arange(QUESTIONS), draw.integers(0, most, QUESTIONS))
        at = draw.integers(0, 200, len(rows)) * 86_400_000_000
        weights, occasions = draw.choice([0.2, 0.5, 1.0], len(rows)), draw.integers(1, 4, len(rows))
        items = draw.integers(0, width, len(rows))
        return Trail.of(rows, QUESTIONS, items=items, weights=weights, occasions=occasions, at=at)

    def some(most: int) -> object:
        lists = [draw.choice(width, draw.integers(0, most), replace=False) for _ in range(QUESTIONS)]
        return stack([(items, np.ones(len(items))) for items in lists], width)

    past, visit = trail(12), trail(5)
    context = some(4) if looked_at else stack([((), ())] * QUESTIONS, width)
    return Query(context, past.matrix(width), some(6), draw.random(width) < 0.9, past, visit)  # type: ignore[arg-type]


def weighed(mix: Blended, seed: int) -> Blended:
    """With a weight for every feature there is."""
    draw = np.random.default_rng(seed)
    named = blend.names(mix.parts, mix.priors, own=False)
    weights = {name: float(weight) for name, weight in zip(named, draw.normal(size=len(named)), strict=True)}
    return replace(mix, weights=weights, centres={name: float(draw.normal()) for name in mix.parts}, rate=None)


@pytest.mark.parametrize(
    ("name", "looked_at"),
    [(name, True) for name in BLENDS] + [(name, False) for name in BLENDS if name != "rules"],
)
@pytest.mark.parametrize(("wide", "cells"), [(crowd.WIDE, crowd.CELLS), (crowd.WIDE, 0), (0, 0)], ids=SIZES)
def test_equal_to_the_features(
    shop: Interactions, name: str, looked_at: bool, wide: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items and scores are those of recommender.blend's features times their weights, to rounding, for all questions
    at once, whatever size of shop that is meant for, and for each alone.
    """
    monkeypatch.setattr(crowd, "WIDE", wide)
    monkeypatch.setattr(crowd, "CELLS", cells)
    source = SOURCES[name].fit(shop, Settings(), seed=1)
    mix = weighed(source.mix, 2)  # type: ignore[attr-defined]
    query = drawn(len(shop.item_ids), 3, looked_at=looked_at)
    told = blend.choices(mix.asked(query), query)
    plain, together = told.ranked(told.scores(mix.weights), N), mix.candidates(query, N)
    assert (plain.items != NOTHING).any()
    for row in range(QUESTIONS):
        alone = mix.candidates(query.only(np.array([row])), N)
        for found in ((together.items[row], together.scores[row]), (alone.items[0], alone.scores[0])):
            assert found[0].tolist() == plain.items[row].tolist()
            np.testing.assert_allclose(found[1], plain.scores[row], rtol=1e-4, atol=1e-4)
