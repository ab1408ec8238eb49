"""Bundles that suggest themselves: sets of two to four items that people buy anyway, by what they would earn.

Pairs and sets of three come from the rules of the training that serves; sets of four are made of those of three, and
counted in the warehouse. They are ranked by leverage (how many more of all buyers have the whole set than by chance; G.
Piatetsky-Shapiro, 1991) times the margin of the set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from engine.models import Item
from engine.warehouse import Warehouse
from recommender.fitted import Fitted
from recommender.sources.rules import LEAST_TOGETHER, Rules

SHOWN: Final = 40
LOOKED_AT: Final = 2_000  # sets of the highest leverage, whose items are looked up
JOINED: Final = 300  # sets of three of which sets of four are made
COUNTED: Final = 200  # sets of four that are counted
A_LEAD: Final = 3  # sets of one lead
Z: Final = 1.959963984540054  # 95%, two-sided

Set = tuple[int, ...]  # item numbers, growing


class Part(NamedTuple):
    """An item of a set; price in ten-thousandths; margin of one unit, None: not known."""

    key: str
    title: str
    price: int
    margin: int | None


class Suggestion(NamedTuple):
    """items: the most bought one leads; buyers of the whole set among the `holders` of the lead, as a share between
    `low` and `high` (Wilson, 95%); apart: what the items cost one by one.
    """

    items: tuple[Part, ...]
    buyers: int
    holders: int
    low: float
    high: float
    leverage: float
    apart: int
    margin: int | None

    @property
    def rate(self) -> float:
        """Expected take rate: share of the lead's buyers who bought the whole set."""
        return self.buyers / self.holders


def suggest(
    session: Session, warehouse: Warehouse, training: Fitted, known: Iterable[Collection[str]] = ()
) -> list[Suggestion]:
    """The best sets that may be offered, without those `known` already (keys of their items)."""
    source = training.sources.get(Rules.name)
    if not isinstance(source, Rules):
        return []
    counted = _known(source, warehouse, training)
    parts = _parts(session, training, {item for one in counted for item in one}, warehouse.config.locale.currency)
    shares = [part.margin / part.price for part in parts.values() if part.margin is not None and part.price]
    usual = float(np.median(shares)) if shares else 1.0
    made = {frozenset(keys) for keys in known}
    worth = {
        one: _leverage(one, support, source) * sum(_earns(parts[item], usual) for item in one)
        for one, support in counted.items()
        if parts.keys() >= set(one) and frozenset(parts[item].key for item in one) not in made
    }
    best = sorted((one for one in worth if worth[one] > 0), key=lambda one: -worth[one])
    return [_told(one, counted[one], source, parts) for one in _varied(best, source)]


def _known(source: Rules, warehouse: Warehouse, training: Fitted) -> dict[Set, int]:
    """Buyers of each set that is looked at; the same as long as the training serves."""
    found = _KEPT.get(training)
    if found is None:
        sets = _sets(source)
        found = _KEPT[training] = sets | _fours([one for one in sets if len(one) == 3], warehouse, training)
    return found


_KEPT: Final[WeakKeyDictionary[Fitted, dict[Set, int]]] = WeakKeyDictionary()


def _sets(source: Rules) -> dict[Set, int]:
    """Buyers of each pair and set of three that the training knows, of the highest leverage, which comes first."""
    pairs = source.pairs.tocoo()
    found = _best(pairs.coords, source.together, source)
    found |= _best((*source.antecedents.T, source.consequents), source.rule_support, source)
    best = sorted(found, key=lambda one: -_leverage(one, found[one], source))[:LOOKED_AT]
    return {one: found[one] for one in best}


def _best(columns: Sequence[npt.NDArray[Any]], supports: npt.NDArray[Any], source: Rules) -> dict[Set, int]:
    """LOOKED_AT sets of the highest leverage at least, unordered. columns: the first items of all sets, the second ...
    Only these become tuples: millions of pairs are told apart as arrays.
    """
    total = max(source.total, 1)
    leverage = supports / total
    leverage -= reduce(np.multiply, (source.buyers[column] / total for column in columns))
    most = LOOKED_AT * len(columns)  # a set stands here up to so many times: once for each item it leads to
    rows = np.argpartition(leverage, -most)[-most:] if len(leverage) > most else np.arange(len(leverage))
    items = np.sort(np.column_stack([column[rows] for column in columns]), axis=1)
    return dict(zip(map(tuple, items.tolist()), supports[rows].tolist(), strict=True))


def _fours(threes: Sequence[Set], warehouse: Warehouse, training: Fitted) -> dict[Set, int]:
    """Buyers of the sets of four of which at least three sets of three, the best first, are bought together."""
    by_pair: dict[Set, list[int]] = {}
    for one in threes[:JOINED]:
        for pair in combinations(one, 2):
            by_pair.setdefault(pair, []).append(next(item for item in one if item not in pair))
    joined = Counter(
        tuple(sorted((*pair, *two))) for pair, others in by_pair.items() for two in combinations(others, 2)
    )
    likely = [one for one, times in joined.most_common(COUNTED) if times >= 3]  # three sets of three share three pairs
    return {one: count for one, count in _counted(likely, warehouse, training).items() if count >= LEAST_TOGETHER}


def _counted(sets: Sequence[Set], warehouse: Warehouse, training: Fitted) -> dict[Set, int]:
    """People, or guests' orders, who bought all of each set."""
    if not sets:
        return {}
    rows = [(place, int(training.item_ids[item])) for place, one in enumerate(sets) for item in one]
    asked = ibis.memtable(pa.table({"place": [row[0] for row in rows], "item_id": [row[1] for row in rows]}))
    orders, lines = warehouse.table("orders"), warehouse.table("order_lines")
    bought = lines.filter(lines.quantity > 0).select("order_id", "item_id").semi_join(asked, "item_id")
    buyers = orders.select(order_id=orders.id, buyer=orders.contact_id.coalesce(-orders.id))
    bought = bought.inner_join(buyers, "order_id").select("buyer", "item_id").distinct()
    held = bought.inner_join(asked, "item_id").group_by("place", "buyer").agg(items=ibis._.count())
    found = held.filter(held["items"] == len(sets[0])).group_by("place").agg(buyers=ibis._.count())
    return {sets[row["place"]]: row["buyers"] for row in warehouse.execute(found).to_pylist()}


def _leverage(one: Set, support: int, source: Rules) -> float:
    chance = np.prod(source.buyers[list(one)] / max(source.total, 1))
    return float(support / max(source.total, 1) - chance)


def _parts(session: Session, training: Fitted, numbers: Collection[int], currency: str) -> dict[int, Part]:
    """What may be offered, by item number: a set of which one item is sold out cannot be sold."""
    ids = {int(training.item_ids[number]): number for number in numbers}
    sold = Item.active, Item.recommendable, or_(Item.stock.is_(None), Item.stock > 0)
    query = select(Item.id, Item.key, Item.title, Item.price, Item.cost).where(
        Item.id.in_(list(ids)), *sold, Item.price > 0, Item.currency == currency
    )
    return {
        ids[row.id]: Part(row.key, row.title or row.key, row.price, None if row.cost is None else row.price - row.cost)
        for row in session.execute(query)
    }


def _earns(part: Part, usual: float) -> float:
    """What is not known counts as the usual share of the price."""
    return part.price * usual if part.margin is None else part.margin


def wilson(support: int, n: int) -> tuple[float, float]:
    """Between which shares `support` of n lies, at 95% (E. B. Wilson, 1927)."""
    share, shrunk = support / n, 1 + Z**2 / n
    centre, reach = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max((centre - reach) / shrunk, 0.0), min((centre + reach) / shrunk, 1.0)


def _told(one: Set, support: int, source: Rules, parts: Mapping[int, Part]) -> Suggestion:
    numbers = _led(one, source)
    items, holders = tuple(parts[item] for item in numbers), max(int(source.buyers[numbers[0]]), support)
    low, high = wilson(support, holders)
    margins = [part.margin for part in items if part.margin is not None]
    margin = sum(margins) if len(margins) == len(items) else None
    leverage = _leverage(one, support, source)
    apart = sum(part.price for part in items)
    return Suggestion(items, support, holders, low, high, leverage, apart, margin)


def _led(one: Set, source: Rules) -> list[int]:
    """Its items, the most bought first."""
    return sorted(one, key=lambda item: (-int(source.buyers[item]), item))


def _varied(found: Sequence[Set], source: Rules) -> list[Set]:
    """The first SHOWN, of each lead A_LEAD at most."""
    leads: Counter[int] = Counter()
    kept = []
    for one in found:
        lead = _led(one, source)[0]
        leads[lead] += 1
        if leads[lead] <= A_LEAD:
            kept.append(one)
    return kept[:SHOWN]
