"""The blender: weights that generated choices are found again, and candidates are what the parts find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse

from recommender import blend
from recommender.arrays import Floats
from recommender.blend import Asked, Choices, Own
from recommender.sources.base import NOTHING, Query

PARTS = ("first", "second")


def about(questions: int) -> dict[str, Floats]:
    """Nothing is known about who asks."""
    return {name: np.zeros(questions, np.float32) for name in blend.ABOUT}


def made(questions: int, items: int, seed: int) -> tuple[Asked, Query]:
    """Two parts that score a third of the items each."""
    rng = np.random.default_rng(seed)
    parts = {name: sparse.random_array((questions, items), density=0.3, rng=rng, format="csr") for name in PARTS}
    for matrix in parts.values():
        matrix.sort_indices()
    nothing = sparse.csr_array((questions, items))
    query = Query(nothing, nothing, nothing, np.ones(items, bool))
    return Asked(parts, {"known": blend.prior(np.arange(items))}, about(questions), {}), query


def test_generated_choices_give_the_weights_back() -> None:
    """Choices drawn by a logit of known weights: they are found within .15, and what says nothing gets nothing."""
    asked, query = made(4000, 30, 1)
    found = blend.choices(asked, query)
    truth = {"first log": 1.5, "second": 2.0, "known": 0.5}
    scores = found.scores(truth) + np.random.default_rng(2).gumbel(size=len(found.row))
    chosen = found.ranked(scores, 1).items[:, 0]
    hits = sparse.csr_array((np.ones(len(chosen)), (np.arange(len(chosen)), chosen)), shape=(found.count, 30))
    weights = blend.learn(found, hits, blend.alone("first"))
    assert {name: weights[name] for name in truth} == pytest.approx(truth, abs=0.15)
    assert abs(weights["second log"]) < 0.15


@pytest.mark.parametrize("strength", [1.0, 100.0])
def test_slope_is_that_of_the_loss(strength: float) -> None:
    """The gradient is what finite differences say."""
    asked, query = made(20, 12, 3)
    found = blend.choices(asked, query)
    hit = (np.random.default_rng(4).random(len(found.row)) < 0.2).astype(float)
    hit[found.starts[:-1]] = 1
    likelihood = blend._Likelihood.of(found, hit, np.zeros(len(found.names)), strength)
    at = np.random.default_rng(5).normal(size=len(found.names))
    numeric = optimize.approx_fprime(at, lambda weights: likelihood(weights)[0], 1e-3)
    assert likelihood(at)[1] == pytest.approx(numeric, abs=5e-3 * strength)


def test_held_firmly_weights_stay() -> None:
    """The firmer they are held, the nearer the weights are to where they began."""
    asked, query = made(200, 30, 3)
    found = blend.choices(asked, query)
    hits = sparse.csr_array((np.random.default_rng(4).random((200, 30)) < 0.1).astype(float))
    start = blend.alone("first")
    away = []
    for strength in (1.0, 100.0, 10_000.0):
        weights = blend.learn(found, hits, start, strength)
        away.append(sum((weights[name] - start.get(name, 0.0)) ** 2 for name in weights))
    assert away[0] > away[1] > away[2]
    assert away[2] < 0.01 * away[0]


def test_few_questions_keep_the_start() -> None:
    """Nothing chosen among the candidates, or nothing asked: the weights stay what they were."""
    asked, query = made(5, 10, 6)
    nothing = sparse.csr_array((5, 10))
    assert blend.learn(blend.choices(asked, query), nothing, blend.alone("first")) == blend.alone("first")


def test_candidates_are_the_best_of_each_part() -> None:
    """The union of what each finds best; of each candidate every part's own score, 0 where it says nothing."""
    first = sparse.csr_array(np.array([[0, 5, 4, 3, 0], [0, 0, 0, 0, 0]], np.float32))
    second = sparse.csr_array(np.array([[2, 0, 0, 1, 0], [0, 0, 0, 0, 1]], np.float32))
    asked = Asked({"first": first, "second": second}, {"known": blend.prior(np.ones(5))}, about(2), {})
    nothing = sparse.csr_array((2, 5))
    found = blend.choices(asked, Query(nothing, nothing, nothing, np.ones(5, bool)), deep=1)
    assert list(zip(found.row.tolist(), found.item.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 4)]
    column = found.features[:, found.names.index("second")]
    assert column.tolist() == [1, 0, 1]


def test_nothing_excluded_nor_forbidden_is_offered() -> None:
    """Scores of what is excluded from a question, or may not be offered at all, are left out."""
    scores = sparse.csr_array(np.array([[3, 2, 1], [3, 2, 1]], np.float32))
    barred = sparse.csr_array(np.array([[1, 0, 0], [0, 0, 1]], np.float32))
    nothing = sparse.csr_array((2, 3))
    found = blend.offered(scores, Query(nothing, nothing, barred, np.array([True, False, True])))
    assert found.toarray().tolist() == [[0, 0, 1], [3, 0, 0]]


def test_what_is_held_competes() -> None:
    """With `own`, what a question holds is a candidate, and how lately and how often it was had are features."""
    nothing = sparse.csr_array((1, 4), dtype=np.float32)
    held = sparse.csr_array(np.array([[0, 2, 0, 1]], np.float32))
    own = Own(held, np.array([0, 3], np.float32), np.zeros(4, np.float32))
    asked = Asked({"first": nothing}, {"known": blend.prior(np.ones(4))}, about(1), {}, own)
    found = blend.choices(asked, Query(nothing, nothing, nothing, np.ones(4, bool)))
    told = {name: found.features[:, at].tolist() for at, name in enumerate(found.names)}
    assert found.item.tolist() == [1, 3]
    assert told["own often"] == pytest.approx([np.log(2), 0])
    assert told["own back"] == pytest.approx([0, np.log(4)])
    assert told["newest own"] == [1, 0]
    assert found.names == blend.names(["first"], ["known"], own=True)


def test_nobody_knows_anything() -> None:
    """No candidate at all is no error."""
    nothing = sparse.csr_array((2, 3), dtype=np.float32)
    asked = Asked({"first": nothing}, {"known": blend.prior(np.zeros(3))}, about(2), {})
    found = blend.choices(asked, Query(nothing, nothing, nothing, np.ones(3, bool)))
    assert isinstance(found, Choices)
    assert (found.ranked(found.scores({"known": 1.0}), 2).items == NOTHING).all()
