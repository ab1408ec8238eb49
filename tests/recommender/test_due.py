"""When something is usually bought again: against the definition, written out in plain Python."""

from __future__ import annotations

import math
import statistics
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from engine.database import microseconds
from recommender import due
from recommender.due import Usual
from recommender.trail import Trail
from tests.recommender.shop import NOW


def trail(bought: list[tuple[int, int, float]]) -> Trail:
    """(person, item, days before NOW)."""
    rows, items, days = (np.array(column) for column in zip(*bought, strict=True))
    at = microseconds(NOW) - (days * due.DAY).astype(np.int64)
    return Trail.of(rows, int(rows.max()) + 1, items=items, weights=np.ones(len(rows)), occasions=rows, at=at)


def test_quartiles_are_those_of_all_gaps() -> None:
    """Of every person, of each item apart; twice on a day is once; one gap more than one entry less."""
    rng = np.random.default_rng(5)
    bought = [(int(rng.integers(20)), int(rng.integers(3)), float(rng.integers(1, 400))) for _ in range(300)]
    bought += [(0, 0, 50.0), (0, 0, 50.01)]
    found = due.rhythm(trail(bought), 5)
    for item in range(3):
        gaps = []
        for person in range(20):
            days = sorted({int(day) for who, what, day in bought if (who, what) == (person, item)})
            gaps += [later - sooner for sooner, later in pairwise(days)]
        wanted = statistics.quantiles(gaps, n=4, method="inclusive")
        assert found[item].tolist() == pytest.approx([*wanted, len(gaps)])
    assert not found[3:].any()


@pytest.mark.parametrize(
    ("own", "everybody", "wanted"),
    [
        ([], (20, 30, 45, 12), Usual(20, 30, 45, 12)),
        ([30], (20, 30, 45, 12), Usual(20, 30, 45, 12)),
        ([7, 7, 7], (20, 30, 45, 12), Usual(7, 10, 15, 12)),
        ([60], (10, 15, 45, 5), Usual(20, 30, 90, 5)),
        ([], (1, 1, 1, 5), Usual(1, 1, 1, 5)),
        ([3], (20, 30, 45, 4), None),
    ],
)
def test_own_gaps_and_one_of_everybody(own: list[int], everybody: tuple[int, ...], wanted: Usual | None) -> None:
    """The geometric mean of one's own gaps and the median of all; the spread moves along; few gaps say nothing."""
    found = due.usual(np.array(own), np.array(everybody))
    assert found == wanted
    if found:
        days = math.prod([*own, everybody[1]]) ** (1 / (len(own) + 1))
        assert found.days == math.floor(days + 0.5)


def test_gaps_are_between_days() -> None:
    """Three purchases on two days are one gap."""
    moments = [NOW, NOW + timedelta(hours=1), NOW + timedelta(days=9)]
    assert due.between(np.array([microseconds(one) for one in moments])).tolist() == [9]
