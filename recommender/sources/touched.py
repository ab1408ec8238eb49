"""One question, answered from the rows of the tables that it touches.

A product of sparse matrices clears memory of the width of the catalogue for each part: 100 us each at 100,000 items,
when what a contact did leads to some thousand of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import DAY, FAINT, Floats, Mask
from recommender.blend import DEEP
from recommender.sources.base import Query, row_of
from recommender.sources.weighing import Of, Weighing
from recommender.trail import Trail

Entries = tuple[npt.NDArray[Any], npt.NDArray[Any]]  # items, of which the same may come again, and a number of each
NONE: Final[Entries] = (np.empty(0, np.int32), np.empty(0, np.float32))


class Past:
    """What one row of a trail tells, ready to be weighed in several ways."""

    def __init__(self, trail: Trail) -> None:
        self.count = len(trail.items)
        self._order = trail.items.argsort(kind="stable")
        items = trail.items[self._order]
        begins = np.ones(self.count, bool)
        begins[1:] = items[1:] != items[:-1]
        self._starts = np.flatnonzero(begins)
        self._items = items[self._starts]
        self._weights = trail.weights.astype(np.float64)
        self._age = (trail.at[-1:] - trail.at) / DAY
        self._back = trail.back

    def weighed(self, how: Weighing) -> Entries:
        """Each item with its weight, as Trail.matrix has it."""
        if not self.count:
            return NONE
        weights = self._weights
        if how.half_life_days is not None:
            weights = weights * np.exp2(-self._age / how.half_life_days)
        if how.fading != 1:
            weights = weights * how.fading**self._back
        weights = np.where(weights >= FAINT, weights, 0)[self._order]
        found = (np.maximum if how.once else np.add).reduceat(weights, self._starts)
        kept = found > 0
        return self._items[kept], found[kept].astype(np.float32)


class One:
    """One question, whose past is weighed once in each way that a part asks for."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.context = row_of(query.context, 0)
        self._trails: dict[Of, Trail | None] = {"context": None, "past": query.past, "visit": query.visit}
        self._pasts: dict[Of, Past] = {}
        self._weighed: dict[Weighing, Entries] = {}

    def weighed(self, how: Weighing) -> Entries:
        """What counts, as the row of Weighing.matrix; an item of the context may stand there twice."""
        found = self._weighed.get(how)
        if found is None:
            found = self._weighed[how] = self._weigh(how)
        return found

    def about(self, of: Of, known: Floats) -> Floats:
        """What blend.ABOUT says, as one column."""
        held, latest = (np.unique(self.weighed(how)[0]) for how in (Weighing(of), Weighing(of, fading=0.0)))
        trail = self._trails[of]
        count = len(held) if trail is None else len(trail.items)
        support = known[latest].sum() / max(len(latest), 1)
        return np.array([[math.log(max(count, 1)) - 1], [math.log(max(len(held), 1)) - 1], [support]], np.float32)

    def _weigh(self, how: Weighing) -> Entries:
        trail = self._trails[how.of]
        if trail is None:
            return self.context if how.of == "context" else row_of(self.query.history, 0)
        if how.of not in self._pasts:
            self._pasts[how.of] = Past(trail)
        found = self._pasts[how.of].weighed(how)
        if how.of == "past" and len(self.context[0]):
            return np.concatenate([found[0], self.context[0]]), np.concatenate([found[1], self.context[1]])
        return found


def led_to(table: sparse.csr_array, given: Entries) -> Entries:
    """What each of the items leads to, with its weight."""
    items, weights = given
    starts, ends = table.indptr[items].tolist(), table.indptr[items + 1].tolist()
    spans = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    if not spans:
        return NONE
    sizes = [one.stop - one.start for one in spans]
    values = np.concatenate([table.data[one] for one in spans]) * weights.repeat(sizes)
    return np.concatenate([table.indices[one] for one in spans]), values


def gathered(said: Sequence[Entries], allowed: Mask, barred: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int32], Floats]:
    """Items of which any part says something and that may be offered, and what each part says: m, parts x m. What
    speaks against an item is 0.
    """
    items = np.concatenate([found for found, _ in said])
    width = int(items.max(initial=-1)) + 1
    touched, sums = (_counted if width <= len(items) else _placed)(items, said, allowed[:width], barred[barred < width])
    return touched, np.maximum(sums, 0).astype(np.float32)


def _counted(
    items: npt.NDArray[Any], said: Sequence[Entries], allowed: Mask, barred: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Where most items are touched: all of them are counted, a quarter of the time."""
    told = np.zeros(len(allowed), bool)
    told[items] = True
    told &= allowed
    told[barred] = False
    touched = told.nonzero()[0].astype(np.int32)
    return touched, np.stack([np.bincount(found, values, len(allowed))[touched] for found, values in said])


def _placed(
    items: npt.NDArray[Any], said: Sequence[Entries], allowed: Mask, barred: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Where few are: those alone."""
    count = len(items)
    place = np.empty(len(allowed), np.int32)  # of each item touched; the rest is never looked at
    place[items] = np.arange(count, dtype=np.int32)
    place[barred] = count
    touched = items[place[items] == np.arange(count)]
    touched = touched[allowed[touched]]
    width = len(touched) + 1  # the last one is for what may not be offered
    place[items] = width - 1
    place[touched] = np.arange(width - 1, dtype=np.int32)
    part = np.repeat(np.arange(0, len(said) * width, width), [len(found) for found, _ in said])
    sums = np.bincount(part + place[items], np.concatenate([values for _, values in said]), len(said) * width)
    return touched, np.asarray(sums, np.float64).reshape(len(said), width)[:, :-1]


def best_of_each(scores: Floats, deep: int = DEEP) -> npt.NDArray[np.bool_]:
    """Which candidates are among the `deep` best of any part."""
    count = scores.shape[1]
    if count <= deep:
        return np.asarray((scores > 0).any(axis=0))
    chosen = np.zeros(count, bool)
    for said, places in zip(scores, scores.argpartition(count - deep, axis=1)[:, count - deep :], strict=True):
        chosen[places[said[places] > 0]] = True
    return chosen
