"""Many questions at once, where what people did leads to a small part of the catalogue: to 590 of 100,000 items in the
demo shop, of which few are ever bought.

On so few items the scores of a question are a row of a plain array, 40 us for each contact. Products of sparse matrices
take 60, and another 190 to be put in order and looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import Floats, Ints, Mask, distinct
from recommender.blend import DEEP
from recommender.sources.base import Query
from recommender.sources.folded import Said

WIDE: Final = 4096  # items: with 500 questions and four parts 75 MB at most
CELLS: Final = 2**20  # of a plain table: making a larger one takes longer than it saves


class Spoken(NamedTuple):
    """What a part says: `weights` q x h of what was done times `table` h x n."""

    weights: sparse.csr_array
    table: sparse.csr_array

    @classmethod
    def of(cls, weights: sparse.csr_array, table: sparse.csr_array) -> Self:
        """Of the rows of a table (n x n) that are asked for, alone."""
        rows = distinct(weights.indices)
        place = np.empty(table.shape[0], np.int32)
        place[rows] = np.arange(len(rows))
        return cls(_renamed(weights, place, len(rows)), table[rows])

    def scores(self, place: npt.NDArray[np.int32], width: int) -> Floats:
        """q x width, with `place` of each item among the columns."""
        table = _renamed(self.table, place, width)
        if table.shape[0] * width <= CELLS:
            return np.asarray(self.weights @ table.toarray())
        return np.asarray((self.weights @ table).toarray())


def said(spoken: Sequence[Spoken], query: Query, about: Floats) -> Said | None:
    """What may be offered and is among the DEEP best of a part, or equal to the last of these, and what each part says
    of it. None where that is too wide.
    """
    led = np.zeros(len(query.allowed), bool)
    for part in spoken:
        led[part.table.indices] = True
    items = np.flatnonzero(led & query.allowed)
    width = len(items)
    if width > WIDE:
        return None
    place = np.full(len(led), width, np.int32)  # what may not be offered stands in one more column
    place[items] = np.arange(width)
    scores = np.stack([part.scores(place, width + 1) for part in spoken])
    rows = np.repeat(np.arange(len(query)), np.diff(query.excluded.indptr))
    scores[:, rows, place[query.excluded.indices]] = 0
    scores[:, :, width] = 0
    row, column = np.nonzero(np.logical_or.reduce([_best(part) for part in scores]))
    return Said(row, items[column], scores[:, row, column].clip(0), scores.max(axis=2).clip(0), about)


def heaviest(weights: sparse.csr_array, most: int) -> sparse.csr_array:
    """Of each row the `most` heaviest, heaviest first, equals by number."""
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((weights.indices, -weights.data, rows))
    order = order[np.arange(len(rows)) - weights.indptr[rows] < most]
    starts = np.concatenate([[0], np.cumsum(np.minimum(np.diff(weights.indptr), most))])
    found = sparse.csr_array(weights.shape, dtype=weights.dtype)
    found.indptr, found.indices, found.data = starts, weights.indices[order], weights.data[order]
    return found


def loudest(
    table: sparse.csr_array, given: sparse.csr_array, rows: Ints, items: Ints, most: int
) -> list[tuple[int, ...]]:
    """For each of `items` up to `most` of what is given in its row that add most to its score."""
    sizes = np.diff(given.indptr)[rows]
    pair = np.repeat(np.arange(len(rows)), sizes)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + given.indptr[rows[pair]]
    led = given.indices[place]
    added = table[led, items[pair]] * given.data[place]
    told = np.flatnonzero(added > 0)
    told = told[np.lexsort((-added[told], pair[told]))]  # stable: equals stay in the order they are given
    count = np.bincount(pair[told], minlength=len(rows))
    rank = np.arange(len(told)) - np.repeat(np.cumsum(count) - count, count)
    found = iter(led[told[rank < most]].tolist())
    return [tuple(islice(found, size)) for size in np.minimum(count, most).tolist()]


def _renamed(matrix: sparse.csr_array, place: npt.NDArray[np.int32], width: int) -> sparse.csr_array:
    """With other columns."""
    return sparse.csr_array((matrix.data, place[matrix.indices], matrix.indptr), shape=(matrix.shape[0], width))


def _best(scores: Floats) -> Mask:
    """The DEEP best of each row, and equals of the last of them."""
    width = scores.shape[1]
    found = scores > 0
    if width > DEEP:
        found &= scores >= np.partition(scores, width - DEEP, axis=1)[:, width - DEEP, None]
    return np.asarray(found)
