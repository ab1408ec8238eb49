"""Bundles that marketers made: what completes the set of an item that is looked at. Nothing is learned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from recommender.arrays import Ints
from recommender.sources.base import Because, Candidates, Query, row_of


class Offer(NamedTuple):
    """A set on sale. items: numbers of the training, the lead first; price in ten-thousandths, and what it saves beside
    the items one by one, more than nothing.
    """

    key: str
    name: str
    items: tuple[int, ...]
    price: int
    saves: int
    currency: str


@dataclass(frozen=True, eq=False)
class Bundles:
    """Sets by what they save, the most first."""

    offers: tuple[Offer, ...]

    name: ClassVar[str] = "bundles"

    def candidates(self, query: Query, n: int) -> Candidates:
        """Of each set whose lead is held all that is missing, if all of it may be offered; an item in the
        first set that has it. A source is asked for twice as many as are shown: none of the sets is cut.
        """
        found = Candidates.empty(len(query), n)
        if not self.offers:
            return found
        for row in range(len(query)):
            held, barred = _held(query, row), set(row_of(query.excluded, row)[0].tolist())
            items: list[int] = []
            for offer in self._of(held):
                rest = [item for item in offer.items if item not in held]
                free = all(query.allowed[item] and item not in barred and item not in items for item in rest)
                if free and len(items) + len(rest) <= max(n // 2, 1):
                    items += rest
            found.put(row, np.array(items, np.int32), 1 / (1 + np.arange(len(items), dtype=np.float32)))
        return found

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The lead it belongs to."""
        sets = self.whole(query, row, items.tolist())
        return [Because(self.name, sets[item].items[:1] if item in sets else ()) for item in items.tolist()]

    def whole(self, query: Query, row: int, found: Iterable[int]) -> Mapping[int, Offer]:
        """Of what this source found for the question in `row` and is shown: each item's set, if all that is missing of
        it is shown. Sets are gone through as `candidates` does: no other could have given the same items.
        """
        held, shown = _held(query, row), set(found)
        told: dict[int, Offer] = {}
        for offer in self._of(held):
            rest = set(offer.items) - held
            if rest <= shown and rest.isdisjoint(told):
                told |= dict.fromkeys(rest, offer)
        return told

    def _of(self, held: Collection[int]) -> Sequence[Offer]:
        places = sorted({place for item in held for place in self._by_lead.get(item, ())})
        return [self.offers[place] for place in places]

    @cached_property
    def _by_lead(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for place, offer in enumerate(self.offers):
            found.setdefault(offer.items[0], []).append(place)
        return found


def _held(query: Query, row: int) -> set[int]:
    return set() if query.held is None else set(row_of(query.held, row)[0].tolist())
