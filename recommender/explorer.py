"""The rules of a training as a table to look through: sorted, searched and cut by what they measure.

A rule leads from one item, or two, to another. Its measures are of buyers: support (buyers of all of them, and as a
share of all buyers), confidence, lift and leverage (R. Agrawal et al., 1993; S. Brin et al., 1997; G.
Piatetsky-Shapiro, 1991), and what its consequent earns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.models import Item
from recommender.arrays import Ints, Mask
from recommender.fitted import Fitted
from recommender.sources.rules import Rules

NONE: Final = -1  # stands for the second antecedent of a rule that has one
SIDES: Final = ("either", "from", "to")


@dataclass(frozen=True)
class Table:
    """Rules as columns of item numbers; `support`: buyers of all, `holders`: buyers of the antecedents."""

    first: Ints
    second: Ints
    leads_to: Ints
    support: Ints
    holders: Ints
    lift: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.lift)

    def take(self, chosen: Any) -> Table:
        """Those of a mask or index array."""
        return Table(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


@lru_cache(maxsize=2)
def table_of(training: Fitted) -> Table:
    """All rules of the training, those of the highest lift first; raises Invalid when it has none."""
    source = _source(training)
    pairs, buyers = source.pairs, source.buyers.astype(np.int64)
    first = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    parts = (
        (first, source.antecedents[:, 0]),
        (np.full(len(first), NONE), source.antecedents[:, 1]),
        (pairs.indices, source.consequents),
        (source.together, source.rule_support),
        (buyers[first], source.rule_buyers),
    )
    one, two, leads_to, support, holders = (np.concatenate(part).astype(np.int64) for part in parts)
    lift = support * source.total / np.maximum(holders * buyers[leads_to], 1)
    return Table(one, two, leads_to, support, holders, lift).take(np.argsort(-lift, kind="stable"))


def _source(training: Fitted) -> Rules:
    source = training.sources.get(Rules.name)
    if not isinstance(source, Rules):
        raise Invalid("The training that serves has no rules: train again.")
    return source


class Told(NamedTuple):
    """An item as a rule names it; margin: of one unit in ten-thousandths of the shop's currency, None: not known.
    gone: the shop does not have it any more.
    """

    key: str
    title: str
    category: str | None
    margin: int | None
    active: bool
    gone: bool


class Rule(NamedTuple):
    """One rule. ids: of its items, the consequent's last; share: of all buyers; leverage: how much larger it is than by
    chance; worth: confidence x margin, what an offer to a buyer of the antecedents would earn if they took it as often.
    """

    ids: tuple[int, ...]
    antecedents: tuple[Told, ...]
    consequent: Told
    support: int
    share: float
    holders: int
    confidence: float
    lift: float
    leverage: float
    worth: float | None


@dataclass(frozen=True)
class Wanted:
    """What to show. words: in key, title or category of an item, on one side or either; least: by measure."""

    words: str = ""
    side: str = "either"
    items: int = 0  # antecedents: 1, 2, or 0 for any
    least: Mapping[str, float] | None = None
    order: str = "leverage"
    falling: bool = True


Measure = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """The rules that fit, by their places in `table`, and what they are sorted by, the largest first; `of` reads some
    of them. total: all buyers; buyers and margins of each item number, NaN where a margin is not known.
    """

    training: Fitted
    table: Table
    total: int
    buyers: Ints
    margins: Measure
    places: Ints
    values: Measure

    def __len__(self) -> int:
        return len(self.places)

    def of(self, session: Session, start: int, end: int) -> list[Rule]:
        """The rules from `start` up to `end` in their order."""
        return self._read(session, self._first(end)[start:])

    def pieces(self, session: Session, most: int, step: int = 1000) -> Iterator[Rule]:
        """The first `most` of them, read by and by."""
        places = self._first(most)
        for start in range(0, len(places), step):
            yield from self._read(session, places[start : start + step])

    def _first(self, n: int) -> Ints:
        """The places of the first n; equals keep their order, so that pages fit. Finding the first of ten million rules
        takes 0.2 to 0.7 s of CPU; sorting all of them, many times as long.
        """
        some = np.arange(len(self))
        if n < len(self):
            limit = np.partition(self.values, len(self) - n)[len(self) - n] if n else np.inf
            some = np.flatnonzero(self.values >= limit)
        order = np.argsort(-self.values[some], kind="stable")[:n]
        return self.places[some[order]]

    def _read(self, session: Session, places: Ints) -> list[Rule]:
        chosen = self.table.take(places)
        numbers = np.unique(np.concatenate([chosen.first, chosen.second, chosen.leads_to]))
        told = _told(session, self.training, numbers[numbers != NONE], self.margins)
        measured = {name: measure(self, chosen) for name, measure in MEASURES.items()}
        return [_rule(self.training, chosen, row, told, measured) for row in range(len(chosen))]


def _rule(training: Fitted, chosen: Table, row: int, told: Mapping[int, Told], measured: Mapping[str, Measure]) -> Rule:
    left = [int(number) for number in (chosen.first[row], chosen.second[row]) if number != NONE]
    leads_to, worth = int(chosen.leads_to[row]), measured["worth"][row]
    figures = {name: float(measured[name][row]) for name in ("share", "confidence", "lift", "leverage")}
    return Rule(
        tuple(int(training.item_ids[number]) for number in (*left, leads_to)),
        tuple(told[number] for number in left),
        told[leads_to],
        int(chosen.support[row]),
        holders=int(chosen.holders[row]),
        worth=None if np.isnan(worth) else float(worth),
        **figures,
    )


def _confidence(_found: Found, table: Table) -> Measure:
    return np.asarray(table.support / np.maximum(table.holders, 1))


def _leverage(found: Found, table: Table) -> Measure:
    expected = table.holders / found.total * found.buyers[table.leads_to] / found.total
    return np.asarray(table.support / found.total - expected)


def _worth(found: Found, table: Table) -> Measure:
    return np.asarray(_confidence(found, table) * found.margins[table.leads_to])


MEASURES: Final[Mapping[str, Callable[[Found, Table], Measure]]] = {  # to sort by, and to ask to be at least
    "support": lambda _found, table: table.support.astype(np.float64),
    "share": lambda found, table: np.asarray(table.support / found.total),
    "confidence": _confidence,
    "lift": lambda _found, table: table.lift,
    "leverage": _leverage,
    "margin": lambda found, table: found.margins[table.leads_to],
    "worth": _worth,
}


def find(session: Session, training: Fitted, wanted: Wanted, currency: str) -> Found:
    """The rules of a training that fit what is wanted. `currency` is the shop's: margins of items in another one are
    not compared. Raises Invalid for a training without rules.
    """
    source, table = _source(training), table_of(training)
    margins, nothing = _margins(session, training, currency), np.empty(0)
    buyers = source.buyers.astype(np.int64)
    found = Found(training, table, max(source.total, 1), buyers, margins, nothing.astype(np.int64), nothing)
    places = np.flatnonzero(_fits(session, found, wanted))
    values = MEASURES[wanted.order](found, table if len(places) == len(table) else table.take(places))
    values = values if wanted.falling else -values
    return replace(found, places=places, values=np.where(np.isnan(values), -np.inf, values))  # not known: last


def _fits(session: Session, found: Found, wanted: Wanted) -> Mask:
    table = found.table
    mask = np.ones(len(table), bool)
    if wanted.items:
        mask &= (table.second == NONE) == (wanted.items == 1)
    for name, least in (wanted.least or {}).items():
        mask &= MEASURES[name](found, table) >= least  # not so where it is not known
    if wanted.words:
        named = _named(session, found.training, wanted.words)
        left = named[table.first] | np.where(table.second == NONE, False, named[table.second])
        mask &= {"from": left, "to": named[table.leads_to]}.get(wanted.side, left | named[table.leads_to])
    return mask


def _named(session: Session, training: Fitted, words: str) -> Mask:
    """Which item numbers have the words in their key, title or category; the last place stands for none."""
    columns = (Item.key, Item.title, Item.category)
    query = select(Item.id).where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    ids = np.array(session.scalars(query).all(), np.int64)
    numbers = training.numbers(ids)
    mask = np.zeros(len(training.item_ids), bool)
    mask[numbers[numbers >= 0]] = True
    return mask


def _margins(session: Session, training: Fitted, currency: str) -> Measure:
    """What one unit of each item number earns in currency units of 1/10,000; NaN: no price or cost, or in another
    currency.
    """
    query = select(Item.id, Item.price - Item.cost).where(Item.price.is_not(None), Item.cost.is_not(None))
    rows = session.execute(query.where(Item.currency == currency)).all()
    margins = np.full(len(training.item_ids), np.nan)
    if rows:
        ids, earned = (np.array(column) for column in zip(*rows, strict=True))
        numbers = training.numbers(ids.astype(np.int64))
        margins[numbers[numbers >= 0]] = earned[numbers >= 0]
    return margins


def _told(session: Session, training: Fitted, numbers: Ints, margins: Measure) -> dict[int, Told]:
    """What items are called, by number."""
    ids = {int(training.item_ids[number]): int(number) for number in numbers}
    query = select(Item.id, Item.key, Item.title, Item.category, Item.active).where(Item.id.in_(list(ids)))
    rows = {row.id: row for row in session.execute(query)} if ids else {}
    told = {}
    for item_id, number in ids.items():
        row, earned = rows.get(item_id), margins[number]
        margin = None if np.isnan(earned) else int(earned)
        told[number] = (
            Told(row.key, row.title or row.key, row.category, margin, row.active, gone=False)
            if row
            else Told(f"#{item_id}", "", None, None, active=False, gone=True)
        )
    return told
