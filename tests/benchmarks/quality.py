"""How good the sources are on a real shop: `make bench NAME=quality` (needs ../shared/data; Online Retail II, UCI).

cross_sell: the fixed complete-the-basket cases, all 3,998 items ranked. Reference values for the same cases: lift .104,
weighted cosine .294, EASE alone .336. for_you: the four weeks after a day, items new to the contact, all items ranked;
2011-06-01 was never looked at while settings were chosen.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from recommender import evaluation
from recommender.evaluation import BASELINE, Case
from recommender.fitted import fit
from recommender.interactions import NOBODY, Interactions, Items, Log
from recommender.sources.base import Settings

DATA = Path(__file__).parents[3] / "shared" / "data" / "online_retail_ii"
CASES_FROM = datetime(2010, 11, 1, tzinfo=UTC)
DAYS = (datetime(2010, 11, 1, tzinfo=UTC), datetime(2011, 6, 1, tzinfo=UTC), datetime(2011, 9, 1, tzinfo=UTC))


def main() -> None:
    """Measure and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="cross-sell only")
    given = parser.parse_args()
    shop, number = _shop()
    figures = _cross_sell(shop, number)
    for day in () if given.quick else DAYS:
        figures |= _for_you(shop, day)
    print("quality:", *(f"{name}={value:.4g}" for name, value in figures.items()))


def _shop() -> tuple[Interactions, dict[str, int]]:
    """Sales of merchandise, and the item id of each stock code."""
    names = ["invoice", "invoice_ts", "customer_id", "sku", "quantity", "unit_price"]
    lines = pd.read_csv(DATA / "order_lines.csv.gz", usecols=names, dtype={"invoice": str, "sku": str})
    sold = (lines["quantity"] > 0) & (lines["unit_price"] > 0) & ~lines["invoice"].str.startswith("C")
    lines = lines[sold & lines["sku"].str.match(r"^\d{5}")]
    at = pd.to_datetime(lines["invoice_ts"]).to_numpy().astype("datetime64[us]").astype(np.int64)
    item, skus = pd.factorize(lines["sku"])
    log = Log(
        pd.factorize(lines["invoice"])[0].astype(np.int64),
        lines["customer_id"].fillna(NOBODY).to_numpy().astype(np.int64),
        item.astype(np.int64),
        lines["quantity"].to_numpy().astype(np.float64),
        at,
    )
    items = Items(np.arange(len(skus)), np.ones(len(skus), bool), ("",) * len(skus))
    until = datetime(2011, 12, 10, tzinfo=UTC)
    return Interactions(log, Log.of([]), items, until), {sku: place for place, sku in enumerate(skus)}


def _cross_sell(shop: Interactions, number: dict[str, int]) -> dict[str, float]:
    before = shop.between(datetime(2009, 1, 1, tzinfo=UTC), CASES_FROM)
    begun = time.perf_counter()
    fitted = fit(before, Settings(), seed=1, names=("rules", "popular"))
    seconds = time.perf_counter() - begun
    rows = pd.read_csv(DATA / "cross_sell_cases.csv.gz", dtype=str)
    given = [np.array([number[sku] for sku in skus.split("|")]) for skus in rows["given_skus"]]
    hidden = [np.array([number[sku]]) for sku in rows["hidden_sku"]]
    cases = [Case(items, np.ones(len(items)), truth, items) for items, truth in zip(given, hidden, strict=True)]
    found = evaluation.score(fitted, "cross_sell", cases, ("rules",))
    popular = evaluation.score(fitted, "cross_sell", cases, BASELINE)
    assert found is not None
    assert popular is not None
    return {
        "cross_sell_hr10": found.metrics.hit_rate,
        "cross_sell_mrr10": found.metrics.mrr,
        "popular_hr10": popular.metrics.hit_rate,
        "fit_s": seconds,
    }


def _for_you(shop: Interactions, day: datetime) -> dict[str, float]:
    before = shop.between(day - timedelta(days=730), day)
    after = shop.between(day, day + timedelta(days=evaluation.TEST_DAYS))
    fitted = fit(before, Settings(), seed=1, names=("collaborative", "popular"))
    cases = evaluation.for_you(before, after, seed=1)
    found, popular = (evaluation.score(fitted, "for_you", cases, sources) for sources in (None, BASELINE))
    assert found is not None
    assert popular is not None
    name = f"for_you_{day:%Y_%m}"
    return {
        f"{name}_hr10": found.metrics.hit_rate,
        f"{name}_ndcg10": found.metrics.ndcg,
        f"{name}_popular_hr10": popular.metrics.hit_rate,
        f"{name}_popular_ndcg10": popular.metrics.ndcg,
    }


if __name__ == "__main__":
    main()
