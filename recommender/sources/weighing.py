"""How a part of a blend weighs what a question tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import sparse

from recommender.arrays import Floats
from recommender.sources.base import Query

Of = Literal["context", "past", "visit"]
_OF: Final[tuple[Of, ...]] = ("context", "past", "visit")


@dataclass(frozen=True)
class Weighing:
    """What of a question counts, and how: faded by a step, halved by days, once however often it was done. The past
    ends in what is looked at now.
    """

    of: Of
    fading: float = 1.0
    half_life_days: float | None = None
    once: bool = True

    def matrix(self, query: Query) -> sparse.csr_array:
        """q x n weights."""
        trail = {"context": None, "past": query.past, "visit": query.visit}[self.of]
        if trail is None:
            return query.context if self.of == "context" else query.history
        width = len(query.allowed)
        told = trail.matrix(width, half_life_days=self.half_life_days, fading=self.fading, once=self.once)
        return told + query.context if self.of == "past" and query.context.nnz else told

    def pack(self) -> Floats:
        """As numbers."""
        return np.array([_OF.index(self.of), self.fading, self.half_life_days or 0, self.once], np.float32)

    @classmethod
    def unpack(cls, numbers: Floats) -> Weighing:
        """From numbers."""
        of, fading, half_life, once = (float(number) for number in numbers)
        return cls(_OF[int(of)], round(fading, 6), half_life or None, bool(once))
