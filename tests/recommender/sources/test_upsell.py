"""Similar items and up-sell, on shops whose answer is known by thought."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import sparse

from recommender.fitted import stack
from recommender.interactions import Interactions, Items, Log
from recommender.sources import content, upsell
from recommender.sources.base import NOTHING, Query, Settings, Source
from recommender.sources.similar import DEEPEST, FARTHER, Kinds, Similar
from recommender.sources.upsell import FARTHEST, STEPS, UpSell
from tests.recommender.shop import NOW

KETTLES = [
    (1, True, "Kitchen > Kettles", "Steel kettle small", "Acme", 200_000, 100_000),
    (2, True, "Kitchen > Kettles", "Steel kettle large", "Acme", 250_000, 120_000),
    (3, True, "Kitchen > Kettles", "Steel kettle copper", "Acme", 900_000, 400_000),
    (4, True, "Kitchen > Kettles", "Steel kettle plain", "Acme", 150_000, 100_000),
    (5, True, "Garden > Hoses", "Hose 20 m", "Wet", 250_000, 100_000),
    (6, False, "Kitchen > Kettles", "Steel kettle sold out", "Acme", 260_000, 100_000),
    (7, True, "Kitchen > Kettles", "Steel kettle of unknown price", "Acme", None, None),
]


def shop(visits: list[tuple[list[int], int | None]]) -> Interactions:
    """Each visit: item ids viewed one after the other, and the one put into the cart."""
    views = []
    for number, (viewed, taken) in enumerate(visits, 1):
        told = [(item, 0.2) for item in viewed] + ([(taken, 0.5)] if taken else [])
        at = NOW - timedelta(days=number)
        views += [(number, None, item, weight, at + timedelta(minutes=k)) for k, (item, weight) in enumerate(told)]
    return Interactions(Log.of([]), Log.of(views), Items.of(KETTLES), NOW)


def offered(source: Source, interactions: Interactions, item: int) -> list[int]:
    """Ids of what is offered beside an item."""
    width = len(interactions.item_ids)
    looked = stack([(interactions.numbers(np.array([item])), [1.0])], width)
    nothing = sparse.csr_array(looked.shape, dtype=np.float32)
    found = source.candidates(Query(looked, nothing, looked, interactions.offerable), 10).items[0]
    return [int(interactions.item_ids[number]) for number in found[found != NOTHING]]


def test_only_dearer_items_of_the_same_need() -> None:
    """Never cheaper, of another category, of unknown price, sold no more, or over four times the price."""
    found = UpSell.fit(shop([]), Settings(), seed=1)
    assert set(offered(found, shop([]), 1)) == {2}
    assert set(offered(found, shop([]), 2)) == {3}
    assert offered(found, shop([]), 3) == []
    assert set(offered(found, shop([]), 4)) == {1, 2}


@pytest.mark.parametrize(
    ("price", "other", "is_step"),
    [(105_000, 109_500, False), (35_000, 37_500, False), (100_000, 109_900, False), (100_000, 110_000, True)],
)
def test_a_tenth_more_at_least(price: int, other: int, *, is_step: bool) -> None:
    """Nobody would tell 10.50 from 10.95; 11 beside 10 is a step up."""
    mugs = [(number, True, "Mugs", "Mug", "Acme", one, None) for number, one in ((1, price), (2, other))]
    beside = replace(shop([]), items=Items.of([*mugs, (3, True, "Hoses", "Hose", "Wet", other, None)]))
    assert offered(UpSell.fit(beside, Settings(), seed=1), beside, 1) == [2] * is_step


def test_the_step_people_take_comes_first() -> None:
    """Where visitors go from 15 to 90, or from 15 to 20, that is what is offered first to who looks at something."""
    near = shop([([4], 1)] * 200)
    shops = {"near": near, "far": shop([([4], 3)] * 200)}
    assert offered(UpSell.fit(near, Settings(), seed=1), near, 4)[0] == 1
    step = upsell.steps(near.catalogue)
    four, one = near.numbers(np.array([4, 1]))
    rose = step[one] - step[four]
    taken = {name: upsell.bands(upsell.pairs(one), one.catalogue, step)[0] for name, one in shops.items()}
    assert taken["near"][FARTHEST + rose] == 200
    assert taken["near"].sum() == 200
    assert taken["far"].sum() == 0, "six times the price is no step up"


def test_offered_is_what_the_category_would_give() -> None:
    """Of a pair's category every offerable priced item is as likely: a quarter of each pair falls on each of four."""
    one = shop([([4], 1)] * 8)
    step = upsell.steps(one.catalogue)
    _, drawn = upsell.bands(upsell.pairs(one), one.catalogue, step)
    four = one.numbers(np.array([4]))[0]
    expected = np.zeros(2 * FARTHEST + 1)
    for other in one.numbers(np.array([1, 2, 3, 4])):
        by = step[other] - step[four]
        if abs(by) <= FARTHEST:
            expected[by + FARTHEST] += 2
    assert drawn.tolist() == pytest.approx(expected.tolist())


def test_usual_shop_until_there_are_pairs() -> None:
    """Without a pair the same price is accepted best and half an octave above half as much."""
    none = np.zeros(2 * FARTHEST + 1, np.float32)
    accepted = upsell.acceptance(none, none)
    assert accepted[FARTHEST] == 1
    assert accepted[FARTHEST + STEPS // 2] == pytest.approx(0.5)


def test_similar_is_what_may_stand_in_its_place() -> None:
    """A hose that is looked at beside the small kettle in sixty visits is no kettle; it comes after all of them, and of
    the kettles those come first that visits look at beside it.
    """
    for beside in (2, 3, 4, 7):
        watched = shop([([1, 5], None)] * 60 + [([1, beside], None)] * 40)
        found = offered(Similar.fit(watched, Settings(), seed=1), watched, 1)
        assert found[0] == beside
        assert set(found[:4]) == {2, 3, 4, 7}
        assert found[4] == 5


def test_similar_by_visits_where_nothing_is_known() -> None:
    """Of items without a title, category and price visits tell alone."""
    bare = Items.of([(number, True, None, None) for number in (1, 2, 3)])
    watched = replace(shop([([1, 3], None)] * 20 + [([1, 2], None)]), items=bare)
    assert offered(Similar.fit(watched, Settings(), seed=1), watched, 1) == [3, 2]


@pytest.mark.parametrize(
    ("near", "far"),
    [("a > b > c", "a > b"), ("a > b", "a > x"), ("a > x", "x > y"), ("a > b > c > d", "a > b"), ("", "x > y > z")],
)
def test_nearer_by_level_of_category(near: str, far: str) -> None:
    """For something of a > b > c: each level that is not shared takes as much; of no category is one level away."""
    kinds = Kinds.of(["a > b > c", near, far])
    given = sparse.csr_array(np.array([[0, 1, 1]], np.float32))
    weights = kinds.nearer(given, 0).toarray()[0]
    assert weights[1] > weights[2] > 0


def test_deep_categories_are_told_apart_to_a_bound() -> None:
    """A path of a hundred levels takes no more than DEEPEST of them."""
    path = " > ".join(str(level) for level in range(100))
    kinds = Kinds.of([path, path + " > end", ""])
    assert kinds.levels.shape == (DEEPEST, 3)
    assert kinds.nearer(sparse.csr_array(np.ones((1, 3), np.float32)), 0).toarray().tolist() == [[1, 1, FARTHER]]


def test_words_of_titles() -> None:
    """Words in small letters, Chinese by neighbouring signs, full-width like half-width."""
    assert content.words("Steel KETTLE, 2L") == {"steel", "kettle", "2l"}
    assert content.words("不锈钢水壶 ＡＢ") == {"不锈", "锈钢", "钢水", "水壶", "ab"}
    assert content.words("") == set()
    assert content.levels("Kitchen > Kettles") == ["kitchen", "kitchen > kettles"]
