"""Random samples: as large as asked, the same each time, and independent by seed."""

from __future__ import annotations

from datetime import timedelta
from math import sqrt
from typing import Any

import numpy as np
import pytest

from engine import criteria
from engine.criteria.sample import shuffle
from engine.errors import Invalid
from engine.models import BUCKETS
from tests.engine.criteria.world import NOW, MemoryCatalogue, MemoryWarehouse, World

SIZE = 20_000


@pytest.fixture(scope="module")
def shop() -> MemoryWarehouse:
    """Contacts with random buckets; four share a household each."""
    buckets = np.random.default_rng(5).integers(0, BUCKETS, SIZE).tolist()
    contacts = [{"id": n, "bucket": bucket, "household": f"h{n // 4}"} for n, bucket in enumerate(buckets, 1)]
    return MemoryWarehouse(World(contacts=contacts))


def drawn(shop: MemoryWarehouse, percent: float, seed: int = 1, unit: str = "contact", days: int = 0) -> set[int]:
    """The ids in a sample."""
    sample = {"sample": {"percent": percent, "seed": seed}}
    parsed = criteria.parse({"include": sample, "unit": unit}, MemoryCatalogue(World(), None))
    found = shop.execute(criteria.select(parsed, shop, NOW + timedelta(days=days)))
    return set(found["contact_id"].to_pylist())


def close(count: int, share: float, size: int = SIZE) -> bool:
    """Within four standard deviations of a share."""
    return abs(count - share * size) <= 4 * sqrt(size * share * (1 - share))


@pytest.mark.parametrize("percent", [0.5, 10, 33.3, 90])
@pytest.mark.parametrize("seed", [1, 2, 1_000_000])
def test_a_sample_is_as_large_as_asked(shop: MemoryWarehouse, percent: float, seed: int) -> None:
    """And is everyone at 100%."""
    assert close(len(drawn(shop, percent, seed)), percent / 100)
    assert len(drawn(shop, 100, seed)) == SIZE


def test_a_sample_stays_and_a_larger_one_holds_it(shop: MemoryWarehouse) -> None:
    """A year later the same people."""
    assert drawn(shop, 10) == drawn(shop, 10, days=365)
    assert drawn(shop, 10) < drawn(shop, 20)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, 3), (2, 3), (1, 1_000_000)])
def test_samples_of_two_seeds_are_independent(shop: MemoryWarehouse, one: int, other: int) -> None:
    """A tenth of one tenth is in the other."""
    assert close(len(drawn(shop, 10, one) & drawn(shop, 10, other)), 0.01)


def test_of_households_so_many_are_drawn(shop: MemoryWarehouse) -> None:
    """Not each that has a member in the sample, which would be a third."""
    households = SIZE // 4 + 1
    assert close(len(drawn(shop, 10, unit="household")), 0.1, households)


def test_the_numbers_of_a_seed_never_change() -> None:
    """Saved lists hang on them."""
    assert shuffle(1) == (162845316, 1238865182)


@pytest.mark.parametrize(
    ("sample", "field", "message"),
    [
        ({}, "sample.percent", "how many percent"),
        ({"percent": 0}, "sample.percent", "above 0"),
        ({"percent": 10, "seed": 0}, "sample.seed", "from 1 to"),
        ({"percent": 10, "seed": 1.5}, "sample.seed", "whole number"),
    ],
)
def test_what_is_no_sample(sample: Any, field: str, message: str) -> None:
    """With the path of the fault."""
    with pytest.raises(Invalid, match=message) as caught:
        criteria.parse({"sample": sample}, MemoryCatalogue(World(), None))
    assert caught.value.field == field
