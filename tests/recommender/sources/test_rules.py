"""Pairs and rules: counts as everybody else counts them, reasons as a marketer would read them."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import association_rules, fpgrowth

from recommender.arrays import Ints
from recommender.fitted import stack
from recommender.interactions import Interactions, Items, Log
from recommender.sources import rules
from recommender.sources.base import Because, Query, Settings
from recommender.sources.rules import Rules
from tests.recommender.shop import NOW, baskets

DATA = Path(__file__).parents[4] / "shared" / "data"
MEASURES = ["support", "confidence", "lift"]
LOOSE = Settings(minimum_support=0.1, minimum_confidence=0.01)

SHOP = [[1, 2, 3]] * 6 + [[1, 2]] * 2 + [[1, 3]] * 1 + [[4, 5]] * 5 + [[1, 4]] * 2 + [[5]] * 4


def explained(shop: Interactions, context: list[int], item: int, source: Rules | None = None) -> Because:
    source = source or Rules.fit(shop, LOOSE, seed=1)
    width = len(shop.item_ids)
    given = stack([(shop.numbers(np.array(context)), np.ones(len(context)))], width)
    query = Query(given, given, given, shop.offerable)
    return source.explain(query, 0, shop.numbers(np.array([item])))[0]


def test_reason_counts_guests_orders() -> None:
    """Of the 11 orders with item 1, 8 hold item 2 too; 8 of all 20 orders hold item 2: lift 20/11."""
    because = explained(baskets(SHOP), [1], 2)
    assert (because.support, because.n) == (8, 11)
    assert because.confidence == pytest.approx(8 / 11)
    assert because.lift == pytest.approx((8 / 11) / (8 / 20))


def test_reason_counts_buyers() -> None:
    """20 contacts buy item 1 five times each, half of them item 2 too, once with it and once alone; 10 others buy 3: 10
    of 20 buyers, though it was 10 of 100 orders; 10 of all 30 have item 2."""
    rows = [(c, [1]) for c in range(20) for _ in range(4)]
    rows += [(c, [1, 2] if c < 10 else [1]) for c in range(20)] + [(c, [2]) for c in range(10)]
    rows += [(c, [3]) for c in range(20, 30)]
    because = explained(baskets([items for _, items in rows], contacts=[c for c, _ in rows]), [1], 2)
    assert (because.support, because.n, because.confidence) == (10, 20, 0.5)
    assert because.lift == pytest.approx(0.5 / (10 / 30))


def test_one_buyer_is_no_reason() -> None:
    """One contact who buys two items together every week is no rule; two contacts are."""
    for others, offered in (([0], False), ([0, 1], True)):
        people = [*others * 5, *range(2, 22)]
        shop = baskets([[1, 2]] * 5 * len(others) + [[3, 4]] * 20, contacts=people)
        source = Rules.fit(shop, LOOSE, seed=1)
        assert (source.pairs[shop.numbers(np.array([1]))].nnz > 0) == offered


def test_two_antecedents_when_they_say_more() -> None:
    """All 30 orders with items 1 and 2 hold item 3: said rather than 30 of 60 of either alone."""
    shop = baskets([[1, 2, 3]] * 30 + [[1, 6]] * 30 + [[2, 6]] * 30 + [[4, 5]] * 20)
    because = explained(shop, [1, 2], 3)
    assert set(shop.item_ids[list(because.items)]) == {1, 2}
    assert (because.support, because.n) == (30, 30)
    assert because.lift == pytest.approx(110 / 30)


def test_worse_than_chance_is_no_reason() -> None:
    """Items 1 and 4 met twice, less often than chance (lift .57): neither offered nor given as a reason."""
    shop = baskets(SHOP)
    source = Rules.fit(shop, LOOSE, seed=1)
    assert shop.numbers(np.array([4]))[0] not in source.pairs[shop.numbers(np.array([1]))].indices


def mlxtends(
    rows: list[list[int]], support: float
) -> dict[tuple[frozenset[int], int], tuple[int, float, float, float]]:
    """mlxtend's own rules of one consequent on the raw one-hot frame: orders, support, confidence, lift."""
    items = sorted({item for row in rows for item in row})
    frame = pd.DataFrame([[item in row for item in items] for row in rows], columns=items)
    sets = fpgrowth(frame, min_support=support, use_colnames=True, max_len=3)
    if sets.empty:
        return {}
    found = association_rules(sets, metric="confidence", min_threshold=0.01, return_metrics=MEASURES)
    found = found[found["consequents"].map(len) == 1]
    columns = found[["antecedents", "consequents", "support", "confidence", "lift"]].itertuples(index=False)
    return {
        (antecedents, next(iter(consequents))): (round(share * len(rows)), share, confidence, lift)
        for antecedents, consequents, share, confidence, lift in columns
    }


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5, unique=True), min_size=5, max_size=40))
def test_rules_are_mlxtends(rows: list[list[int]]) -> None:
    """Whatever guests buy: every rule with lift > 1 that mlxtend finds on the raw frame is ours with its numbers."""
    shop, least = baskets(rows), 3
    source = Rules.fit(shop, Settings(minimum_support=least / len(rows), minimum_confidence=0.01), seed=1)
    expected = mlxtends(rows, (least - 0.5) / len(rows))
    doubles = {
        (frozenset(shop.item_ids[pair].tolist()), int(shop.item_ids[item])): (int(both), float(both / n))
        for pair, item, both, n in zip(
            source.antecedents, source.consequents, source.rule_support, source.rule_buyers, strict=True
        )
    }
    wanted = {rule: numbers for rule, numbers in expected.items() if len(rule[0]) == 2 and numbers[3] > 1 + 1e-9}
    assert doubles.keys() == wanted.keys()
    for rule, (support, confidence) in doubles.items():
        assert (support, confidence) == (wanted[rule][0], pytest.approx(wanted[rule][2]))
    for (antecedents, item), (support, _, confidence, lift) in expected.items():
        if len(antecedents) == 1 and lift > 1 + 1e-9:
            because = explained(shop, list(antecedents), item, source)
            assert (because.support, because.confidence, because.lift) == (
                support,
                pytest.approx(confidence),
                pytest.approx(lift),
            )


def test_crowded_baskets_stay_affordable() -> None:
    """200 orders of the same 50 items hold 19,600 triples each; the support limit rises instead of the memory."""
    random = np.random.default_rng(1)
    rows = [random.permutation(400)[:120].tolist() for _ in range(200)]
    antecedents, consequents = rules.mine(baskets(rows).baskets, Settings(0.001, 0.01))
    assert len(antecedents) == len(consequents) < 50_000


def from_file(name: str) -> tuple[Interactions, int]:
    with gzip.open(DATA / "fim" / name, "rt", encoding="utf-8", newline="") as file:
        rows = [[int(item) for item in row["items"].split("|")] for row in csv.DictReader(file)]
    order = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    item = np.concatenate([np.array(row, np.int64) for row in rows])
    ones: Ints = np.ones(len(item), np.int64)
    log = Log(order, -ones, item, ones.astype(float), ones)
    known = np.unique(item)
    return Interactions(log, Log.of([]), Items.of([(item,) for item in known]), NOW), len(rows)


@pytest.mark.data
@pytest.mark.parametrize(("name", "least", "sets"), [("retail.csv.gz", 89, 5377), ("t10i4d100k.csv.gz", 100, 9628)])
def test_counts_of_the_reference_sets(name: str, least: int, sets: int) -> None:
    """Frequent sets of one or two items at support .001, exactly as every miner counts them."""
    if not (DATA / "fim" / name).exists():
        pytest.skip("the shared data sets are absent")
    shop, _ = from_file(name)
    singles = int((shop.baskets.sum(axis=0) >= least).sum())
    assert singles + rules.pair_counts(shop.baskets, least).nnz == sets
