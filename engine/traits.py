"""Traits: facts about each customer computed from the orders, one row per contact with at least one order.

An order is a purchase (total > 0); a return is none, but is netted from what was spent. Amounts are
ten-thousandths of the shop's currency; orders in other currencies are counted, never mixed in.
Quintiles of recency, frequency and monetary value run from 1 to 5 (best) over the customers, as in RFM analysis
(Hughes, Strategic Database Marketing, 1994); customers with equal values are told apart by contact_id.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import pyarrow as pa
from ibis import _

from engine.config import Locale

SOURCES = ("orders", "order_lines", "items")
MOMENT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("contact_id", pa.int64()),
        ("first_order_at", MOMENT),
        ("last_order_at", MOMENT),
        ("order_count", pa.int64()),
        ("other_currency_orders", pa.int64()),
        ("discounted_orders", pa.int64()),  # purchases with a discount on a line
        ("spend", pa.int64()),  # all totals, returns netted
        ("margin", pa.int64()),  # NULL when that of any order is unknown
        ("average_order", pa.int64()),  # of the purchases
        ("units", pa.int64()),  # bought
        ("returned_units", pa.int64()),
        ("mean_gap_days", pa.float64()),  # between orders; NULL with fewer than two
        ("favourite_category", pa.string()),  # top level with the highest spend, the first by name of equals
        ("channels", pa.string()),  # the only one; both (web and store); or several
        ("rfm_recency", pa.int64()),
        ("rfm_frequency", pa.int64()),
        ("rfm_monetary", pa.int64()),
    ]
)
DAY_SECONDS = 86_400


def expression(tables: Mapping[str, ibis.Table], locale: Locale) -> ibis.Table:
    """The traits of all customers, columns as in SCHEMA, from the tables named in SOURCES."""
    orders = tables["orders"].filter(_.contact_id.notnull())
    orders = orders.mutate(home=_.currency == locale.currency)
    orders = orders.mutate(bought=_.home & (_.total > 0))
    lines = _lines(orders.filter(_.home), tables["order_lines"], tables["items"])
    customers = _totals(orders).left_join(_units(lines), "contact_id").drop("contact_id_right")
    customers = customers.left_join(_discounts(orders, tables["order_lines"]), "contact_id").drop("contact_id_right")
    customers = customers.left_join(_favourites(lines), "contact_id").drop("contact_id_right")
    counts = ("units", "returned_units", "discounted_orders")
    customers = customers.mutate(**{name: customers[name].fill_null(0) for name in counts})
    return _quintiles(customers).select(SCHEMA.names)


def _totals(orders: ibis.Table) -> ibis.Table:
    """Sums over the orders of each contact."""
    table = orders.group_by("contact_id").aggregate(
        first_order_at=_.ordered_at.min(where=_.bought),
        last_order_at=_.ordered_at.max(where=_.bought),
        order_count=_.count(where=_.bought),
        other_currency_orders=_.count(where=~_.home & (_.total > 0)),
        spend=_.total.sum(where=_.home).fill_null(0).cast("int64"),
        known=_.margin.sum(where=_.home),
        unknown=_.count(where=_.home & _.margin.isnull()),
        bought_total=_.total.sum(where=_.bought),
        web=(_.channel == "web").any(where=_.bought),
        store=(_.channel == "store").any(where=_.bought),
        one_channel=_.channel.max(where=_.bought),
        channel_count=_.channel.nunique(where=_.bought),
    )
    days = (_.last_order_at.epoch_seconds() - _.first_order_at.epoch_seconds()) / DAY_SECONDS
    return table.filter(_.order_count + _.other_currency_orders > 0).mutate(
        margin=(_.unknown == 0).ifelse(_.known, None).cast("int64"),
        average_order=(_.bought_total / _.order_count.nullif(0)).round().cast("int64"),
        mean_gap_days=days / (_.order_count - 1).nullif(0),
        channels=ibis.cases((_.web & _.store, "both"), (_.channel_count > 1, "several"), else_=_.one_channel),
    )


def _lines(orders: ibis.Table, lines: ibis.Table, items: ibis.Table) -> ibis.Table:
    """Each line with its contact, quantity, amount and top category."""
    lines = lines.select("order_id", "item_id", "quantity", amount=_.quantity * _.unit_price - _.discount)
    owned = lines.join(orders.select("id", "contact_id"), lines.order_id == orders.id).drop("id")
    tops = items.select("id", top=_.category.split(" > ")[0])
    return owned.left_join(tops, owned.item_id == tops.id)


def _units(lines: ibis.Table) -> ibis.Table:
    return lines.group_by("contact_id").aggregate(
        units=_.quantity.sum(where=_.quantity > 0).cast("int64"),
        returned_units=(-_.quantity.sum(where=_.quantity < 0)).cast("int64"),
    )


def _discounts(orders: ibis.Table, lines: ibis.Table) -> ibis.Table:
    reduced = lines.filter(_.discount > 0).select("order_id").distinct()
    bought = orders.filter(_.bought)
    return (
        bought.semi_join(reduced, bought.id == reduced.order_id)
        .group_by("contact_id")
        .aggregate(discounted_orders=_.count())
    )


def _favourites(lines: ibis.Table) -> ibis.Table:
    spent = lines.filter(_.top.notnull()).group_by("contact_id", "top").aggregate(amount=_.amount.sum())
    best = ibis.window(group_by="contact_id", order_by=[ibis.desc("amount"), "top"])
    ranked = spent.mutate(place=ibis.row_number().over(best))
    return ranked.filter(_.place == 0).select("contact_id", favourite_category="top")


def _quintiles(customers: ibis.Table) -> ibis.Table:
    """RFM among those who ordered in the shop's currency; NULL for the others."""
    orders = customers.order_count > 0

    def quintile(column: str) -> ibis.Value:
        order = ibis.window(group_by=orders, order_by=[column, "contact_id"])
        return orders.ifelse(ibis.ntile(5).over(order) + 1, None)

    return customers.mutate(
        rfm_recency=quintile("last_order_at"),
        rfm_frequency=quintile("order_count"),
        rfm_monetary=quintile("spend"),
    )
