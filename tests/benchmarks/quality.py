"""How good recommendations are on public data: `make bench NAME=quality` (needs ../shared/data).

Each data set goes the product's own way: imported from a file, learned from, with settings and weights of the blend
chosen by `tuning.tune` on a validation part of what may be learned from, and asked by the protocol under which others
published figures. All items are ranked. What was seen before is offered only where the protocol says so.

    --only NAME   one of retail, movielens, beauty, tafeng, yoochoose
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd

from recommender import tuning
from recommender.evaluation import Case
from recommender.interactions import Interactions
from recommender.trail import Trail
from tests.benchmarks.quality_shops import (
    DATA,
    NOTHING,
    UNTIL,
    Figures,
    Shop,
    answer,
    by_days,
    imported,
    only,
    ranks,
    steps,
    tuned,
)

DISCOUNT: Final = 1 / np.log2(np.arange(2, 3000))
IDEAL: Final = np.cumsum(DISCOUNT)
SPLITS: Final = ("test_42", "test_1", "test_2")


def retail() -> Figures:
    """Which item was hidden from an order: Online Retail II, the fixed cases, orders before November 2010."""
    folder, cut = DATA / "online_retail_ii", datetime(2010, 11, 1, tzinfo=UTC)
    names = {"invoice": "order", "invoice_ts": "at", "customer_id": "contact", "sku": "item"}
    lines = pd.read_csv(folder / "order_lines.csv.gz", dtype={"invoice": str, "sku": str, "customer_id": str})
    sold = (lines["quantity"] > 0) & (lines["unit_price"] > 0) & ~lines["invoice"].str.startswith("C")
    lines = lines[sold & lines["sku"].str.match(r"^\d{5}") & (lines["invoice_ts"] < f"{cut:%F}")].rename(columns=names)
    products = pd.read_csv(folder / "products.csv.gz", dtype=str).rename(columns={"sku": "key", "description": "title"})
    cases = pd.read_csv(folder / "cross_sell_cases.csv.gz", dtype=str)
    asked = {sku for skus in cases["given_skus"] for sku in skus.split("|")} | set(cases["hidden_sku"])
    items = products[products["key"].isin(asked | set(lines["item"]))][["key", "title"]]
    orders = lines[["order", "at", "contact", "item", "quantity", "unit_price"]].astype({"unit_price": str})
    with imported(cut, items=items, orders=orders) as shop:
        chosen = tuned(shop, only("cross_sell", by_days(28)))
        questions = []
        for skus, hidden in zip(cases["given_skus"], cases["hidden_sku"], strict=True):
            given = shop.ids(skus.split("|"))
            questions.append(Case(given, np.ones(len(given)), shop.ids([hidden]), given))
        found, told = answer(shop, "rules", "cross_sell", chosen, questions, 10)
    return {"retail_hr10": float(np.mean([len(places) > 0 for places in ranks(found, told)]))}


def movielens() -> Figures:
    """What else somebody rated: MovieLens 100K, three random splits; validation hides as the test does, a quarter."""
    ratings = pd.read_csv(DATA / "movielens_100k" / "ratings.csv.gz")
    ratings["at"] = pd.to_datetime(ratings["timestamp"], unit="s", utc=True)
    ratings["order"] = [f"r{row}" for row in range(len(ratings))]
    ndcg = []
    for split in SPLITS:
        known, hidden = ratings[ratings[split] == 0], ratings[ratings[split] == 1]
        orders = known.assign(contact=known["user_id"].astype(str), item=known["item_id"].astype(str), quantity=1)
        orders = orders.assign(unit_price="1")[["order", "at", "contact", "item", "quantity", "unit_price"]]
        with imported(UNTIL, orders=orders) as shop:
            chosen = tuned(shop, _random_quarter)
            cases = _others(shop, hidden)
            found, told = answer(shop, "collaborative", "for_you", chosen, cases, 10)
            ndcg.append(told.ndcg(found).mean())
    return {"ml100k_ndcg10": float(np.mean(ndcg))}


def _random_quarter(known: Interactions) -> tuple[Interactions, tuning.Asked]:
    """A quarter of all that is known, whenever it was."""
    held = np.random.default_rng(0).random(len(known.purchases)) < 0.25
    before = Interactions(known.purchases.take(~held), known.views, known.items, known.until)
    hidden = known.purchases.take(held)
    cases = []
    for contact in np.intersect1d(hidden.contact, before.people):
        trail = before.trails.of_row(int(np.searchsorted(before.people, contact)))
        past = trail.renamed(before.item_ids[trail.items])
        owned = past.items.astype(np.int64)
        cases.append(Case(owned, np.ones(len(owned)), hidden.item[hidden.contact == contact], owned, past))
    return before, {"for_you": cases}


def _others(shop: Shop, hidden: pd.DataFrame) -> list[Case]:
    cases = []
    for user, items in hidden.groupby("user_id")["item_id"]:
        if str(user) in shop.contacts:
            past = shop.past(user)
            owned = past.items.astype(np.int64)
            truth = np.array([shop.items.get(str(item), 0) for item in items], np.int64)
            cases.append(Case(owned, np.ones(len(owned)), truth, owned, past))
    return cases


def beauty() -> Figures:
    """Everybody's last item: Amazon Beauty; validation is the one before."""
    rows = pd.read_csv(DATA / "amazon_beauty" / "sequences.csv.gz")
    sequences = [items.split("|") for items in rows["items"]]
    orders = steps([[[item] for item in items[:-1]] for items in sequences], rows["user_id"])
    with imported(UNTIL, orders=orders) as shop:
        chosen = tuned(shop, only("for_you", by_days(1)))
        cases = []
        for user, items in zip(rows["user_id"], sequences, strict=True):
            past = shop.past(user)
            owned, last = past.items.astype(np.int64), shop.items.get(items[-1], 0)
            cases.append(Case(owned, np.ones(len(owned)), np.array([last]), owned, past))
        found, told = answer(shop, "collaborative", "for_you", chosen, cases, 10)
    places = ranks(found, told)
    gain = [float(DISCOUNT[place].sum()) for place in places]
    return {"beauty_r10": float(np.mean([len(place) for place in places])), "beauty_n10": float(np.mean(gain))}


def tafeng() -> Figures:
    """The next basket, what was bought before included: Ta-Feng, three splits; validation is the last known basket."""
    folder = DATA / "tafeng"
    baskets = pd.read_csv(folder / "baskets.csv.gz").sort_values(["user_id", "basket_no"])
    users = pd.read_csv(folder / "user_splits.csv.gz").set_index("user_id")
    history, future = (baskets[baskets["part"] == part] for part in ("history", "future"))
    grouped = history.groupby("user_id")["items"].apply(lambda rows: [items.split("|") for items in rows])
    with imported(UNTIL, orders=steps(grouped.tolist(), grouped.index.tolist())) as shop:
        chosen = tuned(shop, only("next_purchase", by_days(1)))
        cases = []
        for user, items in zip(future["user_id"], future["items"], strict=True):
            truth = np.array([shop.items.get(item, 0) for item in items.split("|")], np.int64)
            past = shop.past(user)
            cases.append(Case(past.items.astype(np.int64), past.weights.astype(float), truth, NOTHING, past))
        found, told = answer(shop, "next_purchase", "next_purchase", chosen, cases, 10)
    places = ranks(found, told)
    recall = np.array([len(place) / size for place, size in zip(places, told.sizes, strict=True)])
    gain = np.array([DISCOUNT[place].sum() / IDEAL[size - 1] for place, size in zip(places, told.sizes, strict=True)])
    asked = [users.loc[future["user_id"], f"split_{number}"].to_numpy() == "test" for number in range(3)]
    return {
        "tafeng_r10": float(np.mean([recall[rows].mean() for rows in asked])),
        "tafeng_n10": float(np.mean([gain[rows].mean() for rows in asked])),
    }


def yoochoose() -> Figures:
    """The next click: Yoochoose, 100,000 sample, its last day; validation is the day before."""
    clicks = pd.read_csv(DATA / "yoochoose" / "clicks_100k.csv.gz")
    clicks["at"] = pd.to_datetime((clicks["time"] * 1e6).astype("int64"), unit="us", utc=True)
    clicks = clicks.sort_values(["session_id", "at"], kind="stable")
    known, test = (clicks[clicks["part"] == part] for part in ("train", "test"))
    events = pd.DataFrame({
        "key": [f"c{row}" for row in range(len(known))], "type": "item_view", "at": known["at"].to_numpy(),
        "visitor": "v" + known["session_id"].astype(str), "item": known["item_id"].astype(str),
    })  # fmt: skip
    until, first = test["at"].min().to_pydatetime(), known[known["tuning_part"] == "valid"]["at"].min()
    with imported(until, events=events.reset_index(drop=True)) as shop:
        days = (until - first.to_pydatetime()).total_seconds() / 86_400
        chosen = tuned(shop, only("session", by_days(days, 20_000)))
        every = _clicks(shop, test)
        new = [
            Case(NOTHING, np.empty(0), case.truth, np.unique(case.visit.items).astype(np.int64), visit=case.visit)
            for case in every
            if case.truth[0] not in case.visit.items
        ]
        places = ranks(*answer(shop, "session", "session", chosen, every, 20))
        fresh = ranks(*answer(shop, "session", "session", chosen, new, 20))
    return {
        "yoochoose_hr20": float(np.mean([len(place) > 0 for place in places])),
        "yoochoose_mrr20": float(np.mean([1 / (place[0] + 1) if len(place) else 0 for place in places])),
        "yoochoose_new_hr20": float(np.mean([len(place) > 0 for place in fresh])),
    }


def _clicks(shop: Shop, test: pd.DataFrame) -> list[Case]:
    """Each click of a visit after its first, asked with those before."""
    cases = []
    known = test[test["item_id"].astype(str).isin(shop.items)]
    for number, visit in known.groupby("session_id"):
        items, at = shop.ids(visit["item_id"]), visit["at"].astype("int64").to_numpy() // 1000
        for step in range(1, len(items)):
            columns = (items[:step].astype(np.int32), np.full(step, 0.2, np.float32), np.full(step, number), at[:step])
            trail = Trail(np.array([0, step], np.int64), *columns)
            cases.append(Case(NOTHING, np.empty(0), items[step : step + 1], NOTHING, visit=trail))
    return cases


PUBLISHED: Final = {  # aim, and what others reached: ../shared/anchors/recommenders.md, ../shared/data/README.md
    "retail_hr10": (0.350, "lift .104, confidence .280, popularity .046, EASE .336"),
    "ml100k_ndcg10": (0.490, "BiVAE .475, BPR .442, LightGCN .420, popularity .252"),
    "beauty_r10": (0.0595, "SASRec .0595 (GPU, hours), BERT4Rec .0434, popularity .0088"),
    "beauty_n10": (0.0359, "SASRec .0359 (GPU, hours), BERT4Rec .0242, popularity .0038"),
    "tafeng_r10": (0.150, "UP-CF@r .128, TIFUKNN .124, global popularity .079"),
    "tafeng_n10": (0.128, "UP-CF@r .111, TIFUKNN .100, global popularity .083"),
    "yoochoose_hr20": (0.700, "V-SKNN .688, AR .634, GRU4Rec .571 on its 387 steps"),
    "yoochoose_mrr20": (0.372, "V-SKNN .366, AR .328, GRU4Rec .329 on its 387 steps"),
    "yoochoose_new_hr20": (0.570, "V-SKNN .552"),
}
PROTOCOLS: Final = {
    "retail": retail,
    "movielens": movielens,
    "beauty": beauty,
    "tafeng": tafeng,
    "yoochoose": yoochoose,
}


def main() -> None:
    """Measure, print each figure beside those published, and one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PROTOCOLS))
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    figures: Figures = {}
    for name in [given.only] if given.only else PROTOCOLS:
        begun = time.perf_counter()
        print(f"{name}:")
        found = PROTOCOLS[name]()
        for figure, value in found.items():
            aim, beside = PUBLISHED[figure]
            print(f"    {figure} {value:.4f} (aim {aim}); published: {beside}")
        print(f"    {time.perf_counter() - begun:.0f} s")
        figures |= found
    print("quality:", *(f"{name}={value:.4f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
