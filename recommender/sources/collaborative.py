"""For you: what contacts with the same recent taste bought.

EASE on the head plus BM25 neighbours (implicit) on the whole catalogue, on purchases and views halved every 90 days,
asked with a history halved the same way. Only item-to-item weights are kept, no contact: a new event counts at the
next request, and an erased person leaves nothing behind in a training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.interactions import Interactions, Ints, Mask
from recommender.sources import neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, best, row_of

L2: Final = 50.0
BROAD: Final = 0.25  # share of BM25 beside EASE
REASONS: Final = 2  # items named as the reason
ASKED: Final = 20  # heaviest items of a history that reasons are looked for in


@dataclass(frozen=True)
class Collaborative:
    """table: item x item weights."""

    table: sparse.csr_array

    name: ClassVar[str] = "collaborative"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Learn from what each contact kept."""
        tastes, offerable = interactions.tastes, interactions.offerable
        strong = neighbours.ease(tastes, settings.head, L2, offerable)
        return cls(neighbours.blend(strong, bm25(tastes, offerable), BROAD, offerable))

    def candidates(self, query: Query, n: int) -> Candidates:
        """What goes with the history, and with what is looked at now."""
        return neighbours.candidates(query.history + query.context, self.table, query, n)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The items of the history that speak loudest for each."""
        sides = zip(row_of(query.history, row), row_of(query.context, row), strict=True)
        columns, values = (np.concatenate(side) for side in sides)
        asked, places = np.unique(columns, return_inverse=True)
        given, weights = best(asked, np.bincount(places, values), ASKED)
        part = np.zeros((len(given), len(items)), np.float32)
        for place, (item, weight) in enumerate(zip(given, weights, strict=True)):
            columns, values = row_of(self.table, item)
            if len(columns):
                at = np.minimum(np.searchsorted(columns, items), len(columns) - 1)
                part[place] = np.where(columns[at] == items, values[at] * weight, 0)
        return [Because(self.name, _loudest(given, part[:, column])) for column in range(len(items))]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return neighbours.pack(self.table)

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        return cls(neighbours.unpack(arrays["starts"], arrays["items"], arrays["weights"]))


def bm25(tastes: sparse.csr_array, offerable: Mask) -> sparse.csr_array:
    """Item neighbours on BM25 weights."""
    from implicit.nearest_neighbours import bm25_weight  # noqa: PLC0415  # training only

    if not tastes.nnz:
        return tastes.T @ tastes
    return neighbours.nearest(bm25_weight(sparse.coo_matrix(tastes.T), K1=1.2, B=0.75).T, offerable)


def _loudest(given: npt.NDArray[np.int32], part: npt.NDArray[np.float32]) -> tuple[int, ...]:
    order = np.argsort(-part, kind="stable")[:REASONS]
    return tuple(int(given[place]) for place in order if part[place] > 0)
