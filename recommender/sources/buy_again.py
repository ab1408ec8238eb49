"""Buy again: of what a contact bought before, what is likeliest in their next order. What they never bought is left to
other sources, so that a row may be called so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from recommender.arrays import Ints
from recommender.sources.base import Because, Candidates, Query
from recommender.sources.next_purchase import NextPurchase


@dataclass(frozen=True)
class BuyAgain:
    """order: what ranks; nothing is learned beside it."""

    order: NextPurchase

    name: ClassVar[str] = "buy_again"

    def candidates(self, query: Query, n: int) -> Candidates:
        """The likeliest of what each bought."""
        found = Candidates.empty(len(query), n)
        if query.past is None:
            return found
        for row in range(len(query)):
            past = query.past.of_row(row)
            bought = past.items[past.weights >= 1]
            if not len(bought):
                continue
            allowed = np.zeros_like(query.allowed)
            allowed[bought] = query.allowed[bought]
            one = self.order.candidates(replace(query.only(np.array([row])), allowed=allowed), n)
            found.put(row, one.items[0], one.scores[0])
        return found

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """How often the contact bought it, and when it is usually bought again."""
        return [because._replace(kind=self.name) for because in self.order.explain(query, row, items)]
