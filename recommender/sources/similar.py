"""Similar items, one in place of the other: what items are like says which, and among those what visits look at both.

What is looked at in one visit is mostly what goes with it: with a mug coffee, ground coffee and capsules. So an item
counts half for each level of the category that is another. In the shop of `rapport demo` that brings all of the four
best of each item from its innermost category, without it 86 of 100 come from there, and by visits alone 27.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import Ints
from recommender.interactions import Interactions, once
from recommender.sources import content, neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, row_of

SHRINK: Final = 5.0  # visits added to both counts under the cosine
FARTHER: Final = 0.5  # of the weight for each level of the category, from the innermost one, that is another
DEEPEST: Final = 8  # levels of a category that are told apart


@dataclass(frozen=True)
class Similar:
    """table: item x item weights."""

    table: sparse.csr_array

    name: ClassVar[str] = "similar"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Cosine over visits, mixed with content."""
        return cls(similarity(interactions))

    def candidates(self, query: Query, n: int) -> Candidates:
        """What is like the items looked at; where there are none, like those of the history."""
        return neighbours.candidates(neighbours.first_of(query.context, query.history), self.table, query, n)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The item of the question that each is most like."""
        given, weights = row_of(neighbours.first_of(query.context, query.history), row)
        part = neighbours.parts(self.table, given, weights, items)
        return [Because(self.name, led) for led in neighbours.loudest(given, part, 1)]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return neighbours.pack(self.table)

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        return cls(neighbours.unpack(arrays["starts"], arrays["items"], arrays["weights"]))


@once
def similarity(interactions: Interactions) -> sparse.csr_array:
    """items x items: how much each is a substitute for the other, from what items are like and what people look at."""
    seen = interactions.visits.matrix(len(interactions.item_ids), interactions.until)
    seen.data[:] = 1
    visits = seen.sum(axis=0).astype(np.int32)
    together = sparse.csr_array(seen * (1 / np.sqrt(visits + SHRINK))[None, :])
    viewed, share = neighbours.nearest(together, interactions.offerable), content.known(visits)
    alike, kinds = content.alike(interactions), Kinds.of(interactions.catalogue.categories)

    def both(rows: slice) -> sparse.csr_array:
        found = neighbours.peaked(alike[rows]) + neighbours.peaked(viewed[rows]) * share[rows, None]
        return kinds.nearer(sparse.csr_array(found), rows.start)

    return neighbours.strongest_of(both, interactions.offerable)


@dataclass(frozen=True)
class Kinds:
    """levels: DEEPEST at most x items, the number of each item's category path down to there, -1 below it; depth: of
    each item, how many it has.
    """

    levels: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]

    @classmethod
    def of(cls, categories: Sequence[str]) -> Self:
        """Of the category of each item, "" when unknown."""
        known, rows = np.unique(np.array(categories, str), return_inverse=True)
        paths = [content.levels(category)[:DEEPEST] for category in known.tolist()]
        numbers: dict[str, int] = {}
        levels = np.full((max(map(len, paths), default=0), len(paths)), -1, np.int32)
        for column, path in enumerate(paths):
            levels[: len(path), column] = [numbers.setdefault(level, len(numbers)) for level in path]
        return cls(levels[:, rows], np.array([len(path) for path in paths], np.int32)[rows])

    def nearer(self, weights: sparse.csr_array, first: int) -> sparse.csr_array:
        """The weights of some items, from `first` on, FARTHER times for each level that they do not share; one of no
        category is one level away from all.
        """
        given = np.repeat(np.arange(first, first + weights.shape[0]), np.diff(weights.indptr))
        shared = np.zeros(len(given), np.int32)
        for level in self.levels:
            shared += (level[given] == level[weights.indices]) & (level[given] >= 0)
        lacking = np.where(
            self.depth[weights.indices] > 0, self.depth[given] - shared, np.minimum(self.depth[given], 1)
        )
        weights.data *= np.float32(FARTHER) ** lacking
        return weights
