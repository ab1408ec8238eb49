"""The most likely buyers on a real shop: Online Retail II (UCI, CC BY 4.0), the four weeks after 1 June 2011.

That day was never looked at while anything was chosen. Of each of the items best sold before, the 100 people named
first who had not bought it are compared with all such people (chance), and with those who order most often.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from engine.values import Clock
from engine.warehouse.tables import TABLES, unbound
from recommender.arrays import Ints
from recommender.criteria import likely
from recommender.fitted import fit
from recommender.interactions import NOBODY, Interactions, Items, Log
from recommender.sources.base import Settings

LINES = Path(__file__).parents[4] / "shared" / "data" / "online_retail_ii" / "order_lines.csv.gz"
DAY = datetime(2011, 6, 1, tzinfo=UTC)
ITEMS, TOP, FEWEST = 300, 100, 10  # items looked at, people named for each, buyers an item must find

pytestmark = [pytest.mark.data, pytest.mark.skipif(not LINES.exists(), reason="../shared/data is absent")]


class Shop:
    """The warehouse as far as it is asked: orders and their lines before the day."""

    def __init__(self, log: Log) -> None:
        self._ibis = ibis.duckdb.connect()
        _, first = np.unique(log.order, return_index=True)
        known = log.contact != NOBODY
        self._show("orders", id=log.order[first], contact_id=pa.array(log.contact[first], mask=~known[first]),
                   ordered_at=pa.array(log.at[first]).cast(pa.timestamp("us", "UTC")))  # fmt: skip
        rows = np.arange(len(log))
        self._show("order_lines", id=rows, order_id=log.order, item_id=log.item, quantity=log.amount.astype(np.int64))

    def _show(self, name: str, **columns: Any) -> None:
        table, schema = pa.table(columns), TABLES[name].schema
        for field in schema:
            if field.name not in columns:
                table = table.append_column(field, pa.nulls(len(table), field.type))
        self._ibis.con.register(name, table.select(schema.names).cast(schema))

    def table(self, name: str) -> Any:
        """To build expressions on."""
        return unbound(name)

    def best(self, training: Any, item: int) -> Ints:
        """Contact ids, the likeliest first."""
        weights = likely._weights(training, np.array([item]), new_only=True)
        named = likely._best(self, Clock(DAY, ZoneInfo("UTC")), weights, top=TOP, new_only=True)
        found: Ints = self._ibis.to_pyarrow(named.order_by("value"))["contact_id"].to_numpy()
        return found


def held(log: Log, people: Ints, training: Any) -> sparse.csc_array:
    """People x items of the training, 1 where bought."""
    numbers = training.numbers(log.item)
    mine = np.isin(log.contact, people) & (numbers >= 0)
    places = np.searchsorted(people, log.contact[mine]), numbers[mine]
    matrix = sparse.coo_array((np.ones(len(places[0])), places), shape=(len(people), len(training.item_ids)))
    return sparse.csc_array(matrix.tocsr() > 0)


def test_many_more_of_them_buy_than_by_chance_or_of_those_who_order_most() -> None:
    """At least 4 times as many as by chance, and twice as many as of the most frequent."""
    shop = sales()
    before, after = shop.between(DAY - timedelta(days=730), DAY), shop.between(DAY, DAY + timedelta(days=28))
    training = fit(before, Settings(), seed=1, names=("collaborative",))
    warehouse = Shop(before.purchases)
    figures = measure(before, after, training, warehouse)
    assert figures.items >= 50
    assert figures.likely > 4 * figures.chance
    assert figures.likely > 2 * figures.frequent


def sales() -> Interactions:
    """Two years of merchandise."""
    names = ["invoice", "invoice_ts", "customer_id", "sku", "quantity", "unit_price"]
    lines = pd.read_csv(LINES, usecols=names, dtype={"invoice": str, "sku": str})
    sold = (lines["quantity"] > 0) & (lines["unit_price"] > 0) & ~lines["invoice"].str.startswith("C")
    lines = lines[sold & lines["sku"].str.match(r"^\d{5}")]
    item, skus = pd.factorize(lines["sku"])
    log = Log(
        pd.factorize(lines["invoice"])[0].astype(np.int64),
        lines["customer_id"].fillna(NOBODY).to_numpy().astype(np.int64),
        item.astype(np.int64),
        lines["quantity"].to_numpy().astype(np.float64),
        pd.to_datetime(lines["invoice_ts"]).to_numpy().astype("datetime64[us]").astype(np.int64),
    )
    items = Items.of([(place,) for place in range(len(skus))])
    return Interactions(log, Log.of([]), items, datetime(2011, 12, 10, tzinfo=UTC))


def measure(before: Interactions, after: Interactions, training: Any, warehouse: Shop) -> SimpleNamespace:
    """Next-period buyers among the TOP of each item: of the likely ones, by chance, and of the most frequent."""
    people = np.unique(before.purchases.contact[before.purchases.contact != NOBODY])
    had, bought = held(before.lines, people, training), held(after.lines, people, training)
    orders = np.unique(np.stack([before.purchases.contact, before.purchases.order]), axis=1)[0]
    often = np.bincount(np.searchsorted(people, orders[orders != NOBODY]), minlength=len(people))
    found = SimpleNamespace(items=0, likely=0.0, chance=0.0, frequent=0.0)
    for number in range(ITEMS):
        lacking = ~had[:, [number]].toarray().ravel()
        buyers = bought[:, [number]].toarray().ravel() & lacking
        if buyers.sum() < FEWEST:
            continue
        found.items += 1
        best = np.searchsorted(people, warehouse.best(training, int(training.item_ids[number])))
        assert lacking[best].all()
        found.likely += buyers[best].sum()
        found.chance += buyers.sum() / lacking.sum() * TOP
        found.frequent += buyers[np.argsort(-np.where(lacking, often, -1), kind="stable")[:TOP]].sum()
    return found
