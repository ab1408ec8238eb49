"""Holds what a rule starts from but not what it leads to.

A rule is one of the training that serves: one item (or two) and the item that their buyers buy more often than by
chance. Counts are of buyers, as the reasons on the page Recommendations say them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa

from engine.catalogue import Catalogue
from engine.criteria.scored import Input, Kind, Score
from engine.errors import Invalid
from engine.values import Clock, Words
from recommender.arrays import Ints
from recommender.criteria.published import (
    category_input,
    fitted,
    holdings,
    item_input,
    named,
    of_item,
    stamp,
    titles,
    unasked,
)
from recommender.explorer import NONE, Table, table_of
from recommender.fitted import Fitted
from recommender.sources.rules import LEAST_TOGETHER

MOST: Final = (
    8_000_000  # holders of all rules of one condition: 20,000 rules of 6,600 holders each take 1.8 s on 4 cores
)


def _make(given: Mapping[str, Any], catalogue: Catalogue) -> Score:
    if catalogue.warehouse is None:
        return unasked(Words("", ""), Words("", ""))
    training, aim = fitted(catalogue), named(catalogue, given, "rule")
    start = of_item(catalogue, given["rule.given"], "rule.given") if given["rule.given"] is not None else None
    found = table_of(training)
    found = found.take((found.lift >= given["lift"]) & (found.support >= given["buyers"]))
    if aim:
        found = found.take(np.isin(found.leads_to, _known(training, aim[0], "rule")))
    if start:
        number = _known(training, start[0], "rule.given")
        found = found.take(np.isin(found.first, number) | np.isin(found.second, number))
    found = found.take(np.cumsum(found.holders) <= MOST)
    return _score(catalogue, training, found, *_words(given["lift"], start and start[1], aim and aim[1]))


def _words(lift: float, start: Words | None, aim: Words | None) -> tuple[Words, Words]:
    """Who holds {start} but not {aim} ..."""
    begins, leads = (
        start or Words("what a rule starts from", "规则的前项商品"),
        aim or Words("what it leads to", "其后项商品"),
    )
    en = f"who hold {begins.en} but lack {leads.en}, by a rule with a lift of at least {lift:g}"
    contrary = f"who do not lack {leads.en} by a rule of {begins.en} with a lift of at least {lift:g}"
    zh = f"已购{begins.zh}但未购{leads.zh}（规则提升度至少{lift:g}）"
    return Words(en, zh), Words(contrary, f"并非{zh}")


def _known(training: Fitted, ids: Ints, field: str) -> Ints:
    numbers = training.numbers(ids)
    if not (numbers >= 0).any():
        message = "The training that serves knows nothing of this: nobody had bought it. Train again, or name more."
        raise Invalid(message, field=field)
    return numbers[numbers >= 0]


def _score(catalogue: Catalogue, training: Fitted, found: Table, words: Words, contrary: Words) -> Score:
    ids = np.append(training.item_ids, NONE)  # the number NONE is its last
    columns = {name: ids[getattr(found, name)] for name in ("first", "second", "leads_to")}
    table = pa.table({**columns, "lift": np.round(found.lift, 6), "place": np.arange(len(found.lift))})

    def rows(warehouse: Any, _clock: Clock, _currency: str) -> Any:
        lacking = _lacking(warehouse, table)
        return lacking.group_by("contact_id").agg(value=lacking.lift.max())

    def reasons(tables: Any, run: Callable[[Any], Any], _clock: Clock, ids: Sequence[int]) -> Mapping[int, Words]:
        lacking = _lacking(tables, table, ids)
        best = run(lacking.group_by("contact_id").agg(place=lacking.place.min())).to_pylist()
        return _told(catalogue, found, columns, {row["contact_id"]: row["place"] for row in best})

    return Score(rows, words, contrary, reasons=reasons, stamp=stamp(table))


def _lacking(warehouse: Any, table: pa.Table, contact_ids: Sequence[int] = ()) -> Any:
    """contact_id, lift and place (in the order of falling lift) of every rule whose start a contact holds and whose end
    they do not.
    """
    rules = ibis.memtable(table)
    named_items = [rules.select(item_id=rules[name]) for name in ("first", "second", "leads_to")]
    held = holdings(warehouse, ibis.union(*named_items, distinct=True)).select("contact_id", "item_id")
    if contact_ids:
        held = held.filter(held.contact_id.isin(list(contact_ids)))
    also, owned = held.view(), held.view()
    first = held.inner_join(rules, held.item_id == rules["first"]).drop("item_id")
    both = first.filter(first.second != NONE).semi_join(also, [("contact_id", "contact_id"), ("second", "item_id")])
    met = ibis.union(first.filter(first.second == NONE), both)
    return met.anti_join(owned, [("contact_id", "contact_id"), ("leads_to", "item_id")])


def _told(
    catalogue: Catalogue, found: Table, columns: Mapping[str, Ints], places: Mapping[int, int]
) -> Mapping[int, Words]:
    """The best rule of each contact, by name."""
    wanted = {int(columns[name][place]) for name in columns for place in places.values()}
    names = titles(catalogue, wanted)

    def say(place: int) -> Words:
        first, second, leads_to = (names.get(int(columns[name][place]), "") for name in ("first", "second", "leads_to"))
        held = f"“{first}”" + (f" + “{second}”" if second else "")
        counts = f"{found.support[place]:,} / {found.holders[place]:,}"
        return Words(f"{held} → “{leads_to}”: lift {found.lift[place]:.1f}, {counts} buyers",
                     f"{held} → “{leads_to}”：提升度{found.lift[place]:.1f}，{counts}位买家")  # fmt: skip

    return {contact_id: say(place) for contact_id, place in places.items()}


KIND: Final = Kind(
    "rule",
    Words("Lacks what a rule suggests", "缺少规则推荐的商品"),
    "Holds one item (or two) but not the one that a rule of the training that serves leads to from there. `{}` means"
    " any rule; of very many those of the highest lift count, until their holders add up to"
    f" {MOST:,}. The value is the lift of the best such rule.",
    {"rule": {"item": "85123A"}, "lift": 2},
    (
        item_input("rule.given", "holds the item", "已购商品"),
        item_input("rule.item", "lacks the item", "缺少商品"),
        category_input("rule.category", "lacks an item of", "缺少该类别商品"),
        Input("lift", "number", Words("lift, at least", "提升度至少"), default=1, least=1, most=1_000_000),
        Input("buyers", "number", Words("buyers of all of them, at least", "共同买家至少"), default=10,
              least=LEAST_TOGETHER, most=1_000_000_000, whole=True),
    ),
    _make,
)  # fmt: skip
