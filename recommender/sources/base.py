"""What all sources have in common: the question, the candidates, why, and how one is kept in files.

Items are numbers of the training (recommender.interactions). One question or ten thousand take the same path:
every field of a Query has one row per question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import Floats, Ints, Mask, changes
from recommender.due import Usual
from recommender.interactions import Interactions
from recommender.trail import Trail

Arrays = Mapping[str, npt.NDArray[Any]]
NOTHING: Final = -1  # fills the rest of a row of candidates


@dataclass(frozen=True)
class Settings:
    """What the fit of a source depends on, besides the interactions; kept with the training. reasons: False where only
    ranks are asked for; tuned: by source, "parts" and "weights" that were chosen for this shop; engine: "spark"
    where that learned what it can.
    """

    minimum_support: float = 0.001
    minimum_confidence: float = 0.05
    head: int = 10_000
    reasons: bool = True
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    engine: str = ""


@dataclass(frozen=True)
class Query:
    """q questions about n items.

    context: q x n, weights of what is looked at now (page, cart, session); history: q x n, weights of what the
    contact bought or viewed; excluded: q x n, not zero = never offer this here; allowed: n, may be offered at all;
    past: what the contact did; visit: what is looked at in this visit, both in order; held: q x n, not zero = on the
    page or in the cart now.
    """

    context: sparse.csr_array
    history: sparse.csr_array
    excluded: sparse.csr_array
    allowed: Mask
    past: Trail | None = None
    visit: Trail | None = None
    held: sparse.csr_array | None = None

    def __len__(self) -> int:
        return int(self.context.shape[0])

    def only(self, rows: Ints) -> Query:
        """The questions of `rows`."""
        if len(rows) == len(self):
            return self
        return replace(
            self,
            context=self.context[rows],
            history=self.history[rows],
            excluded=self.excluded[rows],
            past=self.past and self.past.only(rows),
            visit=self.visit and self.visit.only(rows),
            held=None if self.held is None else self.held[rows],
        )


@dataclass(frozen=True)
class Candidates:
    """items: q x n numbers, best first, NOTHING where there is no more; scores: q x n, falling."""

    items: npt.NDArray[np.int32]
    scores: Floats

    @classmethod
    def empty(cls, rows: int, n: int) -> Candidates:
        """Nothing found."""
        return cls(np.full((rows, n), NOTHING, np.int32), np.zeros((rows, n), np.float32))

    @classmethod
    def of(cls, starts: Ints, items: npt.NDArray[Any], scores: Floats, n: int) -> Candidates:
        """The n best of each row, equals in the order they are given; row q is the slice [starts[q], starts[q + 1])."""
        sizes = np.diff(starts)
        found = cls.empty(len(sizes), n)
        row = np.repeat(np.arange(len(sizes)), sizes)
        falling = np.full((len(sizes), max(int(sizes.max(initial=0)), n)), np.inf, np.float32)
        falling[row, np.arange(len(row)) - starts[row]] = -scores
        places = falling.argsort(axis=1, kind="stable")[:, :n]
        filled = places < sizes[:, None]
        at = (starts[:-1, None] + places)[filled]
        found.items[filled], found.scores[filled] = items[at], scores[at]
        return found

    def put(self, row: int, items: npt.NDArray[Any], scores: npt.NDArray[Any]) -> None:
        """Fill a row with what was found, best first."""
        self.items[row, : len(items)] = items
        self.scores[row, : len(items)] = scores


class Because(NamedTuple):
    """Why one item is offered.

    items: the numbers that led to it; support: buyers of them and the item; n: buyers of them; confidence = support /
    n; lift = confidence over the item's share of all buyers. popular: n bought it of late. next_purchase: the
    contact bought it support times, the last time at `at` (microseconds since 1970), and it is usually bought `again`
    after some days.
    """

    kind: str
    items: tuple[int, ...] = ()
    support: int | None = None
    n: int | None = None
    confidence: float | None = None
    lift: float | None = None
    again: Usual | None = None
    at: int | None = None


class Finds(Protocol):
    """A way to find candidates. Immutable, so any number of threads may ask."""

    name: ClassVar[str]

    def candidates(self, query: Query, n: int) -> Candidates:
        """Up to n items for each question: allowed, not excluded, best first."""

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """Why each of `items` would be offered to the question in `row`."""


@runtime_checkable
class ExplainsMany(Protocol):
    """One that is faster at saying why to many questions at once."""

    def explain_all(self, query: Query, rows: Ints, items: Ints) -> list[Because]:
        """Why each of `items` would be offered to the question in its row; rows ascend."""


def explained(source: Finds, query: Query, rows: Ints, items: Ints) -> list[Because]:
    """Why each of `items` would be offered to the question in its row; rows ascend."""
    if not len(rows) or rows[0] == rows[-1]:
        return source.explain(query, int(rows[0]), items) if len(rows) else []
    if isinstance(source, ExplainsMany):
        return source.explain_all(query, rows, items)
    edges = pairwise([*np.flatnonzero(changes(rows)).tolist(), len(rows)])
    return [why for first, last in edges for why in source.explain(query, int(rows[first]), items[first:last])]


class Source(Finds, Protocol):
    """One that is learned, and kept in arrays."""

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Learn."""

    def arrays(self) -> Arrays:
        """All that was learned."""

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """The source of `arrays`, which may be memory-mapped."""


def within(arrays: Arrays, name: str) -> dict[str, npt.NDArray[Any]]:
    """Those whose names begin with `name` and a point, without it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def rows_of(matrix: sparse.csr_array) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """(columns, values) of each row."""
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        yield matrix.indices[start:end], matrix.data[start:end]


def row_of(matrix: sparse.csr_array, row: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(columns, values) of a row; a tenth of what slicing the matrix takes."""
    start, end = matrix.indptr[row : row + 2]
    return matrix.indices[start:end], matrix.data[start:end]


def best(items: npt.NDArray[Any], scores: npt.NDArray[Any], n: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The n best, best first; equals by number, which is by popularity."""
    if len(items) > n:
        limit = np.partition(scores, len(scores) - n)[len(scores) - n]
        kept = scores >= limit
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -scores))[:n]
    return items[order], scores[order]
