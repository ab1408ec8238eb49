"""Trails: rows of what was done, whatever order it came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.database import microseconds
from recommender.trail import Trail

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def trail() -> Trail:
    """Row 0: item 2 ten days ago, 1 five days ago, 2 today; row 1: nothing; row 2: item 0 today."""
    days = np.array([0, 5, 10, 0, 3])
    at = np.array([microseconds(NOW - timedelta(days=int(day))) for day in days])
    items, weights = np.array([2, 1, 2, 0, -1]), np.array([1, 1, 1, 0.2, 1])
    rows, occasions = np.array([0, 0, 0, 2, 2]), np.array([3, 2, 1, 4, 5])
    return Trail.of(rows, 3, items=items, weights=weights, occasions=occasions, at=at)


def test_order_and_unknown_items() -> None:
    """Oldest first, unknown items left out, rows without entries kept."""
    found = trail()
    assert len(found) == 3
    assert [found.of_row(row).items.tolist() for row in range(3)] == [[2, 1, 2], [], [0]]
    assert found.rows.tolist() == [0, 0, 0, 2]
    assert found.back.tolist() == [2, 1, 0, 0]


def test_weights_halve_and_fade() -> None:
    """A half-life of five days and half for each later step; of equal items the heaviest counts."""
    assert trail().matrix(3, NOW, once=False).toarray()[0].tolist() == [0, 1, 2]
    plain = trail().matrix(3, NOW).toarray()
    assert plain.tolist() == [[0, 1, 1], [0, 0, 0], [pytest.approx(0.2), 0, 0]]
    halved = trail().matrix(3, NOW, half_life_days=5).toarray()
    assert halved[0].tolist() == [0, 0.5, 1]
    faded = trail().matrix(3, NOW + timedelta(days=5), half_life_days=5, fading=0.5).toarray()
    assert faded[0].tolist() == pytest.approx([0, 0.125, 0.5])


def test_rows_in_another_order() -> None:
    """Rows are chosen, repeated and turned around."""
    found = trail().only(np.array([2, 0, 0, 1]))
    assert [found.of_row(row).items.tolist() for row in range(4)] == [[0], [2, 1, 2], [2, 1, 2], []]
    assert Trail.empty(2).only(np.array([1])).matrix(3, NOW).shape == (1, 3)


def test_years_away() -> None:
    """Measured from the row's last entry, what somebody did long ago weighs among itself as on the day after."""
    found = trail().matrix(3, half_life_days=5).toarray()
    assert found[0].tolist() == [0, 0.5, 1]
    assert found[2].tolist() == [pytest.approx(0.2), 0, 0]
    assert Trail.empty(2).matrix(3, half_life_days=5).nnz == 0
