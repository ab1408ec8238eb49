"""Whether settings were fitted to the five of quality.py: `make bench NAME=quality_elsewhere` (needs ../shared/data).

Other shops, other months and other tasks, each exactly as a shop does it: import, `rapport train`, `rapport train
--tune`. Printed is what the second training writes of its evaluation on the last weeks, which neither the fit nor the
tuning has seen: nDCG@10 beside best-sellers and beside the usual settings, with standard errors of the differences.

    --only NAME   one of the shops
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from recommender import evaluation, training
from tests.benchmarks.quality_shops import DATA, kept

Files = dict[str, pd.DataFrame]
START: Final = datetime(2025, 1, 1, tzinfo=UTC)  # of shops without dates
COLUMNS: Final = ["order", "at", "contact", "item", "quantity", "unit_price"]
BETWEEN: Final = timedelta(minutes=5)  # two baskets of a shop without dates


def retail(year: int, month: int) -> Files:
    """Online Retail II up to a month."""
    folder = DATA / "online_retail_ii"
    names = {"invoice": "order", "invoice_ts": "at", "customer_id": "contact", "sku": "item"}
    lines = pd.read_csv(folder / "order_lines.csv.gz", dtype={"invoice": str, "sku": str, "customer_id": str})
    sold = (lines["quantity"] > 0) & (lines["unit_price"] > 0) & ~lines["invoice"].str.startswith("C")
    sold &= lines["sku"].str.match(r"^\d{5}") & (lines["invoice_ts"] < f"{year}-{month:02}-01")
    orders = lines[sold].rename(columns=names)[COLUMNS].astype({"unit_price": str})
    products = pd.read_csv(folder / "products.csv.gz", dtype=str).rename(columns={"sku": "key", "description": "title"})
    return {"items": products[products["key"].isin(set(orders["item"]))][["key", "title"]], "orders": orders}


def journey() -> Files:
    """A grocer's first eleven weeks: Complete Journey, with what products are called."""
    folder = DATA / "completejourney_2yr"
    lines = pd.read_csv(folder / "transactions.csv.gz", dtype=str)
    lines = lines[lines["part"] == "days_1_79"]
    at = START + pd.to_timedelta(lines["day"].astype(int), unit="D")
    orders = pd.DataFrame({"order": lines["basket_id"], "at": at, "contact": lines["household_id"]})
    orders = orders.assign(item=lines["product_id"], quantity=1, unit_price="1")
    products = pd.read_csv(folder / "products.csv.gz", dtype=str)
    products = products[products["product_id"].isin(set(orders["item"]))]
    title = products["sub_commodity"].fillna("") + " " + products["package_size"].fillna("")
    levels = products["department"].fillna("?") + " > " + products["commodity"].fillna("?")
    return {
        "items": pd.DataFrame({"key": products["product_id"], "title": title.str.strip(), "category": levels}),
        "orders": orders,
    }


def baskets(name: str) -> Files:
    """Baskets of strangers, in the order of the file."""
    rows = pd.read_csv(DATA / "fim" / f"{name}.csv.gz", dtype=str)
    lines = rows.assign(item=rows["items"].str.split("|")).explode("item").drop_duplicates(["basket_id", "item"])
    at = START + BETWEEN * lines.index.to_numpy()
    orders = pd.DataFrame({"order": lines["basket_id"].to_numpy(), "at": at, "item": lines["item"].to_numpy()})
    return {"orders": orders.assign(quantity=1, unit_price="1")}


def films() -> Files:
    """MovieLens 100K as time went: what is rated in the last weeks, and after what."""
    ratings = pd.read_csv(DATA / "movielens_100k" / "ratings.csv.gz")
    orders = pd.DataFrame({"order": [f"r{row}" for row in range(len(ratings))]})
    orders["at"] = pd.to_datetime(ratings["timestamp"], unit="s", utc=True)
    orders["contact"], orders["item"] = ratings["user_id"].astype(str), ratings["item_id"].astype(str)
    return {"orders": orders.assign(quantity=1, unit_price="1")}


SHOPS: Final[dict[str, Callable[[], Files]]] = {
    "retail-2010-08": partial(retail, 2010, 8),
    "retail-2011-07": partial(retail, 2011, 7),
    "retail-2011-10": partial(retail, 2011, 10),
    "journey": journey,
    "belgium": partial(baskets, "retail"),
    "groceries": partial(baskets, "groceries"),
    "films": films,
}


def measured(files: Files) -> dict[str, Any]:
    """What the tuned training says of itself beside the one before."""
    until = pd.to_datetime(files["orders"]["at"], utc=True).max().to_pydatetime() + timedelta(days=1)
    with kept(until, **files) as services:
        learn = partial(training.train, services.database, services.warehouse, services.config)
        learn(now=until)
        return dict(learn(now=until + timedelta(seconds=1), tune=True).metrics)


def main() -> None:
    """One line for each task of each shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(SHOPS))
    given = parser.parse_args()
    gains = []
    for name in [given.only] if given.only else SHOPS:
        begun = time.perf_counter()
        found = measured(SHOPS[name]())
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
        for task in evaluation.TASKS:
            told = found[task]
            if not told["training"]:
                continue
            ours, gain, tuned = told["training"], told["gain"], told["gain_before"]
            print(
                f"    {task:13} {ours['cases']:5} questions  nDCG@10 {ours['ndcg']:.4f}"
                f"  best-sellers {told['popular']['ndcg']:.4f} ({gain['ndcg']:+.4f} ± {gain['ndcg_error']:.4f})"
                f"  usual settings {told['published']['ndcg']:.4f} ({tuned['ndcg']:+.4f} ± {tuned['ndcg_error']:.4f})"
                f"  HR@10 {ours['hit_rate']:.3f}, {told['popular']['hit_rate']:.3f}",
                flush=True,
            )
            gains.append((ours["ndcg"] / max(told["popular"]["ndcg"], 1e-9), tuned["ndcg"]))
    over, usual = np.array(gains).T
    print(f"quality_elsewhere: tasks={len(gains)} least_over_popular={over.min():.2f} tuned_gain={usual.mean():+.4f}")


if __name__ == "__main__":
    main()
