"""What people did with items, in the order they did it: the one shape in which histories and visits reach a source.

Row q of a Trail is the slice [starts[q], starts[q + 1]) of its other arrays, oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.database import microseconds
from recommender.algebra import each
from recommender.arrays import DAY, FAINT, Ints, Mask, ordered

MUCH: Final = 1_000_000  # entries: more are weighed in parts, several at once


@dataclass(frozen=True)
class Trail:
    """items: numbers of the training; weights: 1 for a purchase, less for a view; occasions: the order or the visit;
    at: microseconds since 1970. One entry for each thing done; starts has one more than there are rows.
    """

    starts: Ints
    items: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    occasions: Ints
    at: Ints

    @classmethod
    def empty(cls, rows: int) -> Trail:
        """Rows of people who did nothing."""
        none = np.empty(0, np.int64)
        return cls(np.zeros(rows + 1, np.int64), none.astype(np.int32), none.astype(np.float32), none, none)

    @classmethod
    def of(cls, rows: Ints, count: int, *, items: Ints, weights: Any, occasions: Ints, at: Ints) -> Trail:
        """From entries in any order, each with its row; items below 0 (unknown ones) are left out."""
        kept = np.flatnonzero(items >= 0)
        kept = kept[ordered(at[kept], rows[kept])]
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=count))]).astype(np.int64)
        whole = cls(starts, items.astype(np.int32), np.asarray(weights, np.float32), occasions, at)
        return whole._at(starts, kept)

    @classmethod
    def stack(cls, trails: Sequence[Trail]) -> Trail:
        """All rows of all."""
        sizes = [np.zeros(1, np.int64), *(np.diff(trail.starts) for trail in trails)]
        columns = zip(
            *((one.items, one.weights, one.occasions, one.at) for one in (cls.empty(0), *trails)), strict=True
        )
        items, weights, occasions, at = (np.concatenate(column) for column in columns)
        return cls(np.cumsum(np.concatenate(sizes)), items, weights, occasions, at)

    def renamed(self, items: Ints) -> Trail:
        """The same with other names of the items; entries below 0 are left out."""
        return replace(self, items=items.astype(np.int32)).where(items >= 0)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Ints:
        """Row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @property
    def back(self) -> Ints:
        """How many steps of its row come after each entry; what was done at one moment, as the lines of an order, is
        one step.
        """
        rows, last = self.rows, self.starts[1:] - 1
        begins = np.ones(len(self.items), np.int64)
        begins[1:] = (np.diff(self.at) != 0) | (np.diff(self.occasions) != 0) | (np.diff(rows) != 0)
        step = np.cumsum(begins)
        return step[last[rows]] - step

    def where(self, kept: Mask) -> Trail:
        """The entries of a mask."""
        return self._at(np.concatenate([[0], np.cumsum(kept)])[self.starts].astype(np.int64), kept)

    def of_row(self, row: int) -> Trail:
        """One row alone."""
        first, last = self.starts[row], self.starts[row + 1]
        return self._at(np.array([0, last - first], np.int64), slice(first, last))

    def only(self, rows: Ints) -> Trail:
        """The rows asked for, in their order."""
        sizes = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        places = np.arange(starts[-1]) + np.repeat(self.starts[:-1][rows] - starts[:-1], sizes)
        return self._at(starts, places)

    def matrix(
        self,
        width: int,
        until: datetime | None = None,
        *,
        half_life_days: float | None = None,
        fading: float = 1,
        once: bool = True,
    ) -> sparse.csr_array:
        """rows x width: weights, halved every `half_life_days` before `until` (None: before the row's last entry, so
        that who was away for years has a taste as well), multiplied by `fading` for each later step, and added up.
        `once`: the heaviest of equal ones alone; on Online Retail II adding up costs .005 of nDCG@10.
        """
        weighed = partial(Trail._matrix, width=width, until=until, half_life=half_life_days, fading=fading, once=once)
        if len(self.items) <= MUCH:
            return weighed(self)
        edges = np.unique(np.append(np.searchsorted(self.starts, np.arange(0, len(self.items), MUCH)), len(self)))
        spans = [np.arange(*edge) for edge in pairwise(edges)]
        return sparse.vstack(each(lambda rows: weighed(self.only(rows)), spans), format="csr")

    def _matrix(
        self, width: int, until: datetime | None, half_life: float | None, fading: float, *, once: bool
    ) -> sparse.csr_array:
        weights = self.weights.astype(np.float64)
        if half_life is not None:
            last = np.append(self.at, 0)[self.starts[1:] - 1][self.rows] if until is None else microseconds(until)
            weights *= np.exp2(-np.maximum(last - self.at, 0) / (DAY * half_life))
        if fading != 1:
            weights *= fading**self.back
        told = weights >= FAINT
        starts = np.concatenate([[0], np.cumsum(told)])[self.starts]
        columns = (weights[told].astype(np.float32), self.items[told], starts)
        found = sparse.csr_array(columns, shape=(len(self), width))
        if once:
            return _strongest(found)
        found.sum_duplicates()
        return found

    def _at(self, starts: Ints, places: Any) -> Trail:
        """The entries at `places`."""
        return Trail(starts, self.items[places], self.weights[places], self.occasions[places], self.at[places])


def _strongest(matrix: sparse.csr_array) -> sparse.csr_array:
    """Of equal entries the heaviest."""
    matrix.sort_indices()
    begins = np.ones(matrix.nnz, bool)
    begins[1:] = np.diff(matrix.indices) != 0
    begins[matrix.indptr[:-1][np.diff(matrix.indptr) > 0]] = True
    places = np.flatnonzero(begins)
    weights = np.maximum.reduceat(matrix.data, places) if len(places) else matrix.data
    starts = np.concatenate([[0], np.cumsum(begins)])[matrix.indptr]
    return sparse.csr_array((weights, matrix.indices[places], starts), shape=matrix.shape)
