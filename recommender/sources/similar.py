"""Similar items: what the same visits looked at, and for items that few looked at, what they are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from scipy import sparse

from recommender.arrays import Ints
from recommender.interactions import Interactions, once
from recommender.sources import content, neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, row_of

SHRINK: Final = 5.0  # visits added to both counts under the cosine


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
    """items x items: how much each is a substitute for the other, from what people look at and what items are like."""
    seen = interactions.visits.matrix(len(interactions.item_ids), interactions.until)
    seen.data[:] = 1
    visits = seen.sum(axis=0).astype(np.int32)
    together = sparse.csr_array(seen * (1 / np.sqrt(visits + SHRINK))[None, :])
    viewed = neighbours.nearest(together, interactions.offerable)
    return content.mixed(viewed, content.alike(interactions), content.known(visits), interactions.offerable)
