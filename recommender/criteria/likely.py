"""Among the N people most likely to buy an item, or something of a category.

A contact's score is what they hold, halved every HALF_LIFE_DAYS, times the training's item-to-item weights: the same
sum that ranks items for a person ranks people for an item. How many more of them buy than by chance: docs/why.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa

from engine.catalogue import Catalogue
from engine.criteria.scored import Input, Kind, Score
from engine.database import microseconds as microseconds_of
from engine.dialect import microseconds
from engine.errors import Invalid
from engine.values import Clock, Words
from recommender.arrays import DAY, FAINT, Ints
from recommender.criteria.published import category_input, fitted, holdings, item_input, named, stamp, titles, unasked
from recommender.fitted import Fitted
from recommender.interactions import HALF_LIFE_DAYS
from recommender.sources.collaborative import Collaborative

MOST: Final = 1_000_000
FADING: Final = -math.log(2) / (HALF_LIFE_DAYS * DAY)  # a microsecond: powers of 2 and ages of moments are 4 x slower
TOLD: Final = 3  # items that are named as the reason
OWN: Final = 2.0  # what holding the item itself counts beside its nearest neighbour, where buyers are not left out


def _make(given: Mapping[str, Any], catalogue: Catalogue) -> Score:
    if given["likely.item"] is None and given["likely.category"] is None:
        raise Invalid("Name an item or a category.", field="likely")
    if catalogue.warehouse is None:
        return unasked(Words("", ""), Words("", ""))
    found = named(catalogue, given, "likely")
    assert found is not None
    targets, name = found
    new_only = (given["likely.item"] is not None) if given["new_only"] is None else given["new_only"]
    weights = _weights(fitted(catalogue), targets, new_only=new_only)

    def rows(warehouse: Any, clock: Clock, _currency: str) -> Any:
        return _best(warehouse, clock, weights, top=given["top"], new_only=new_only)

    def reasons(tables: Any, run: Callable[[Any], Any], clock: Clock, ids: Sequence[int]) -> Mapping[int, Words]:
        parts = _parts(tables, clock, weights)
        rows = run(parts.filter(parts.contact_id.isin(list(ids)), parts.part > 0)).to_pylist()
        return _told(catalogue, rows)

    return Score(rows, *_words(name, given["top"], new_only=new_only), reasons=reasons, stamp=stamp(weights))


def _words(name: Words, top: int, *, new_only: bool) -> tuple[Words, Words]:
    en, zh = (", of those who hold none", "（尚未持有者）") if new_only else ("", "")
    who = f"the {top:,} people most likely to buy {name.en}{en}"
    crowd = f"最可能购买{name.zh}的{top:,}人{zh}"
    return Words(f"among {who}", f"属于{crowd}"), Words(f"not among {who}", f"不属于{crowd}")


def _weights(training: Fitted, targets: Ints, *, new_only: bool) -> pa.Table:
    """item_id, weight (what holding it says about the targets), target. Raises Invalid when the training knows none."""
    numbers = training.numbers(targets)
    numbers = numbers[numbers >= 0]
    source = training.sources.get(Collaborative.name)
    if not len(numbers) or not isinstance(source, Collaborative):
        raise Invalid(
            "The training that serves knows nothing of this: nobody had bought it. Train again, or name more."
        )
    table = source.table
    aimed = np.zeros(len(training.item_ids), bool)
    aimed[numbers] = True
    hits = np.flatnonzero(aimed[table.indices])
    holders = np.searchsorted(table.indptr, hits, side="right") - 1
    weight = np.bincount(holders, table.data[hits], len(training.item_ids)).astype(np.float64)
    if not new_only:
        weight[numbers] += OWN * float(table.data[hits].max(initial=FAINT))
    used = (weight > 0) | aimed
    return pa.table({"item_id": training.item_ids[used], "weight": weight[used], "target": aimed[used]})


def _best(warehouse: Any, clock: Clock, weights: pa.Table, *, top: int, new_only: bool) -> Any:
    """contact_id and value: their place among the best, from 1; equals by contact_id."""
    people = _parts(warehouse, clock, weights).group_by("contact_id")
    scores = people.agg(score=ibis._.part.sum().round(9), owned=ibis._.target.any())
    scores = scores.filter(scores.score > 0, ~scores.owned) if new_only else scores.filter(scores.score > 0)
    order = [ibis.desc("score"), "contact_id"]
    best = scores.order_by(order).limit(top)
    return best.select("contact_id", value=ibis.row_number().over(ibis.window(order_by=order)) + 1)


def _parts(warehouse: Any, clock: Clock, weights: pa.Table) -> Any:
    """contact_id, item_id, target and part: what holding each item adds to the score."""
    known = ibis.memtable(weights)
    held = holdings(warehouse, known).inner_join(known, "item_id")
    age = ibis.greatest(microseconds_of(clock.now) - microseconds(held["at"]), 0)
    return held.select("contact_id", "item_id", "target", part=(age * FADING).exp() * held.weight)


def _told(catalogue: Catalogue, rows: Sequence[Mapping[str, Any]]) -> Mapping[int, Words]:
    """The items that add most to the score of each contact, by name."""
    best: dict[int, list[int]] = {}
    for row in sorted(rows, key=lambda row: (-row["part"], row["item_id"])):
        best.setdefault(row["contact_id"], []).append(row["item_id"])
    names = titles(catalogue, {item for items in best.values() for item in items[:TOLD]})
    quoted = {who: [f"“{names[item]}”" for item in items[:TOLD] if item in names] for who, items in best.items()}
    return {who: Words(f"for they hold {', '.join(told)}", f"因持有{'、'.join(told)}") for who, told in quoted.items()}


KIND: Final = Kind(
    "likely",
    Words("Likely to buy", "可能购买"),
    "The people with the highest score of all contacts: what they hold, halved every 90 days since they bought it last,"
    " times how strongly the training that serves links it to the item, or to the items of the category. Whoever has"
    " nothing to do with it is never among them, so there may be fewer; other conditions choose among the N, and the"
    " value is the place among them, from 1. `new_only` leaves out those who hold it;"
    " without it that is so for an item, and not for a category.",
    {"likely": {"item": "85123A"}, "top": 500},
    (
        item_input("likely.item", "item", "商品"),
        category_input("likely.category", "category", "类别"),
        Input("top", "number", Words("how many people", "人数"), default=500, least=1, most=MOST, whole=True),
        Input("new_only", "yes_no", Words("only who has not bought it yet", "仅限尚未购买者")),
    ),
    _make,
)  # fmt: skip
