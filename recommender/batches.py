"""Many contacts at once, as a mailing asks: histories, questions and answers of a whole turn as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.algebra import THREADS
from recommender.answering import Questions, Row, State, Turn
from recommender.arrays import Ints
from recommender.history import Histories
from recommender.sources.base import Query
from recommender.trail import Trail

LARGEST: Final = 500  # contacts of one turn: what it makes of 1,000 no longer fits into a processor's own memory
SMALLEST: Final = 250


def parts(contact_ids: Sequence[int]) -> list[Sequence[int]]:
    """The contacts of each turn: as many turns as there are threads, unless they become too large or too small."""
    size = min(max(-(-len(contact_ids) // THREADS), SMALLEST), LARGEST)
    return [contact_ids[first : first + size] for first in range(0, len(contact_ids), size)]


def rows(turn: Turn, past: Histories, shown: Sequence[Sequence[int]]) -> list[Row]:
    """What is shown to each contact; shown: item ids that stood in the last mails of each."""
    return turn.shown(_questions(turn, past, shown))


def _questions(turn: Turn, past: Histories, shown: Sequence[Sequence[int]]) -> Questions:
    """Of contacts who look at nothing now."""
    state, count = turn.state, past.count
    row = np.repeat(np.arange(count), [len(some) for some in shown])
    item = np.fromiter(chain.from_iterable(shown), np.int64, len(row))
    if turn.plan.rules.exclude_purchased:
        row, item = np.concatenate([row, past.holder]), np.concatenate([item, past.bought])
    nothing = _matrix(state, count, row[:0], item[:0], item[:0])
    done = past.done
    query = Query(
        nothing,
        _matrix(state, count, past.row, past.items, past.weights),
        _matrix(state, count, row, item, np.ones(len(item))),
        turn.allowed(),
        Trail.of(
            done.contact,
            count,
            items=state.fitted.numbers(done.item),
            weights=done.amount,
            occasions=done.order,
            at=done.at,
        ),
        Trail.empty(count),
        nothing if turn.sells_sets else None,
    )
    bought = _by_row(past.holder, state.fitted.numbers(past.bought), count)
    return Questions(query, [frozenset(some.tolist()) for some in bought], _by_row(row, item, count))


def _matrix(state: State, count: int, row: Ints, item: Ints, weight: npt.ArrayLike) -> sparse.csr_array:
    """count x items from item ids; equal ones are added up."""
    number = state.fitted.numbers(item)
    known = number >= 0
    entries = np.asarray(weight, np.float32)[known], (row[known], number[known])
    return sparse.csr_array(entries, shape=(count, len(state.rows)))


def _by_row(row: Ints, item: Ints, count: int) -> list[Ints]:
    order = np.argsort(row, kind="stable")
    item = item[order]
    edges = np.searchsorted(row[order], np.arange(count + 1)).tolist()
    return [item[first:last] for first, last in pairwise(edges)]
