"""This visit: what visits like it looked at next, for whoever it is.

V-SKNN (M. Ludewig and D. Jannach, Evaluation of session-based recommendation algorithms, UMUAI 2018) in two weightings
from one inverted index, beside what follows and comes before the last click and EASE on visits. Where the items of the
visit may be shown again, as in "continue where you left off", other weights hold: a third of all next clicks go back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender import blend
from recommender.algebra import blocks
from recommender.arrays import DAY, Floats, Ints, ordered
from recommender.interactions import Interactions, once
from recommender.sources import neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, within
from recommender.sources.blended import Blended, Part, Recipe
from recommender.sources.next_purchase import again
from recommender.sources.touched import NONE, Entries, One
from recommender.sources.weighing import Weighing
from recommender.trail import Trail

REACH: Final = 10  # clicks later that one leads to
VISITS: Final = 500  # latest visits of an item that are looked at
CLOSEST: Final = {"alike": 100, "lately alike": 300}  # of them that speak
RARE: Final = 5.0  # what the rarity of an item counts in V-SKNN
FADING: Final = 0.7  # of a click, in the other weighting, where V-SKNN divides by how many clicks ago it was
CLICKS: Final = 1_000_000  # at a time: counting makes integers of 8 bytes of them
HALVINGS: Final = 3.0  # of a visit's weight within the time the data span, in that weighting
LATELY: Final = {"viewed": None, "viewed lately": 0.16, "viewed just now": 0.04}  # half-lives of being well known


@dataclass(frozen=True)
class Index:
    """items: of each visit, each once, from `first` of it on; posts: of each item its VISITS latest visits, latest
    first, from `starts` of it on; age: of each visit, days before the last one. All of it is mapped: eight million
    clicks take 100 MB, which workers share.
    """

    first: Ints
    items: npt.NDArray[np.int32]
    starts: Ints
    posts: Ints
    age: Floats

    @classmethod
    def of(cls, trail: Trail, width: int) -> Index:
        """Of visits; whose last entry is when a visit was."""
        ones = np.ones(len(trail.items), np.float32)
        entries = (ones, trail.items.copy(), trail.starts.copy())  # adding up works in place
        visits = sparse.csr_array(entries, shape=(len(trail), width))
        visits.sum_duplicates()
        at = trail.at[np.maximum(trail.starts[1:] - 1, 0)] if len(trail.items) else np.zeros(len(trail), np.int64)
        age = ((at.max(initial=0) - at) / DAY).astype(np.float32)
        rows = np.repeat(np.arange(len(trail)), np.diff(visits.indptr))
        order = np.argsort(age[rows], kind="stable")
        order = order[ordered(visits.indices[order])]
        item, visit = visits.indices[order], rows[order]
        first = np.searchsorted(item, np.arange(width + 1))
        kept = np.arange(len(item)) - first[item] < VISITS
        starts = np.concatenate([[0], np.cumsum(kept)])[first]
        return cls(visits.indptr, visits.indices, starts.astype(np.int64), visit[kept].astype(np.int64), age)

    def arrays(self) -> dict[str, Any]:
        """All of it."""
        told = {"starts": self.starts, "posts": self.posts, "age": self.age}
        return told | {"visits.starts": self.first, "visits.items": self.items}

    @classmethod
    def restore(cls, arrays: Arrays) -> Index:
        """From arrays."""
        visits = arrays["visits.starts"], arrays["visits.items"]
        return cls(*visits, arrays["starts"], arrays["posts"], arrays["age"])


@dataclass(frozen=True)
class Alike:
    """What visits alike looked at. span: days in which the weight of a visit halves HALVINGS times, and a long one says
    less, None: all say the same; item_weight: of each item; fading: of each step since the latest click shared, None:
    divided by how many clicks ago it was; closest: visits that speak.
    """

    index: Index
    span: float | None
    item_weight: Floats
    fading: float | None
    closest: int

    weighing: ClassVar[Weighing] = Weighing("visit")
    table: ClassVar[None] = None

    @classmethod
    def by_name(cls, name: str, index: Index) -> Alike:
        """`alike`: V-SKNN; `lately alike`: later and shorter visits say more, rare items no more than others."""
        width = len(index.starts) - 1
        if name == "alike":
            seen = [np.bincount(index.items[some], minlength=width) for some in blocks(len(index.items), CLICKS)]
            rarity = np.log(max(len(index.first) - 1, 1) / np.maximum(sum(seen), 1))
            return cls(index, None, (1 + RARE * rarity).astype(np.float32), None, CLOSEST[name])
        span = max(float(index.age.max(initial=0)), 1e-9)
        return cls(index, span, np.ones(width, np.float32), FADING, CLOSEST[name])

    def scores(self, query: Query) -> sparse.csr_array:
        """q x n."""
        width = len(query.allowed)
        if query.visit is None:
            return sparse.csr_array((len(query), width), dtype=np.float32)
        found = [self._row(query.visit.of_row(row).items.astype(np.int64)) for row in range(len(query))]
        starts = np.cumsum([0, *(len(items) for items, _ in found)])
        items = np.concatenate([items for items, _ in found]) if found else np.empty(0, np.int64)
        values = np.concatenate([values for _, values in found]) if found else np.empty(0)
        matrix = sparse.csr_array((values.astype(np.float32), items, starts), shape=(len(query), width))
        matrix.sum_duplicates()
        return matrix

    def entries(self, one: One) -> Entries:
        """Its row of one question."""
        visit = one.query.visit
        return self._row(visit.items.astype(np.int64)) if visit is not None else NONE

    def _weight(self, visits: Ints) -> Floats | float:
        """Of a few of them: two million visits would be 8 MB in each process."""
        if self.span is None:
            return 1.0
        size = self.index.first[visits + 1] - self.index.first[visits]
        return np.asarray(np.exp2(-self.index.age[visits] / self.span * HALVINGS) / np.sqrt(size), np.float32)

    def _row(self, clicks: Ints) -> tuple[Ints, Floats]:
        """Items of the closest visits, and what each adds; `clicks` oldest first."""
        index = self.index
        items, back = np.unique(clicks[::-1], return_index=True)
        order = np.argsort(back)
        items, back = items[order], back[order]
        sizes = index.starts[items + 1] - index.starts[items]
        posts = index.posts[_spans(index.starts[items], sizes)]
        if not len(posts):
            return posts, np.empty(0, np.float32)
        visits, first, where = np.unique(posts, return_index=True, return_inverse=True)
        shared = np.bincount(where, np.repeat(((len(clicks) - back) / len(clicks)) ** 2, sizes)) * self._weight(visits)
        far = np.repeat(back, sizes)[first]
        if len(visits) > self.closest:
            best = np.argpartition(-shared, self.closest)[: self.closest]
            visits, shared, far = visits[best], shared[best], far[best]
        shared = shared / (far + 1) if self.fading is None else shared * self.fading**far
        begins = index.first[visits]
        sizes = index.first[visits + 1] - begins
        seen = index.items[_spans(begins, sizes)].astype(np.int64)
        return seen, np.repeat(shared, sizes) * self.item_weight[seen]


@dataclass(frozen=True)
class Session:
    """mix: what ranks where nothing of the visit is shown again; returning: weights where it is."""

    mix: Blended
    returning: Mapping[str, float]
    rate: Floats
    index: Index

    name: ClassVar[str] = "session"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Learn from the visits of everybody."""
        mix = RECIPE.fit(interactions, settings)
        rate = again(interactions.visits, len(interactions.item_ids))
        tuned = settings.tuned.get(cls.name, {})
        alike = mix.parts["alike"]
        assert isinstance(alike, Alike)
        return cls(mix, tuned.get("returning", RETURNING), rate, alike.index)

    def candidates(self, query: Query, n: int) -> Candidates:
        """What is looked at next."""
        if query.visit is not None and not len(query.visit.items):
            return Candidates.empty(len(query), n)
        return self.for_query(query).candidates(query, n)

    def for_query(self, query: Query) -> Blended:
        """The weights that hold: those of visits whose own items may come again, or not."""
        if query.visit is None or _hides(query):
            return self.mix
        return replace(self.mix, rate=self.rate, weights=self.returning)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The click of the visit that led most people on to it."""
        table = self.mix.parts["after"].table
        assert table is not None
        clicks = query.visit.of_row(row).items if query.visit is not None else np.empty(0, np.int64)
        given = np.unique(clicks)
        part = neighbours.parts(table, given, np.ones(len(given)), items)
        return [Because(self.name, led) for led in neighbours.loudest(given, part, 1)]

    def arrays(self) -> Arrays:
        """All that was learned."""
        named = blend.names(self.mix.parts, self.mix.priors, own=True)
        returning = np.array([self.returning.get(name, 0.0) for name in named], np.float32)
        told = {"returning": returning, "rate": self.rate}
        told |= {f"index.{name}": array for name, array in self.index.arrays().items()}
        return told | {f"mix.{name}": array for name, array in self.mix.arrays().items()}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        index = Index.restore(within(arrays, "index"))
        mix = Blended.restore(within(arrays, "mix"), {name: Alike.by_name(name, index) for name in CLOSEST})
        named = blend.names(mix.parts, mix.priors, own=True)
        return cls(mix, dict(zip(named, arrays["returning"].tolist(), strict=True)), arrays["rate"], index)


@once
def indexed(interactions: Interactions) -> Index:
    """The visits."""
    return Index.of(interactions.visits, len(interactions.item_ids))


def part(name: str, interactions: Interactions, chosen: Mapping[str, Any], settings: Settings) -> Any:
    """One part of the blend."""
    trail, width, offerable = interactions.visits, len(interactions.item_ids), interactions.offerable
    if name in CLOSEST:
        return Alike.by_name(name, indexed(interactions))
    if name == "ease":
        visits = trail.matrix(width, interactions.until)
        visits.data[:] = 1
        ridge = neighbours.Ridge(chosen["l2"], relative=True)
        return Part(Weighing("visit", chosen["fading"]), neighbours.ease(visits, settings.head, ridge, offerable))
    after, back = (0.0, 1.0) if name == "before" else (1.0, 0.0)
    power, fading = (0.5, 0.6) if name == "led to" else (0.0, 0.0)  # fading 0: the last click alone
    table = neighbours.sequence(trail, offerable, reach=REACH, after=after, back=back, shrink=0, power=power)
    return Part(Weighing("visit", fading), table)


def known(interactions: Interactions) -> dict[str, Floats]:
    """Log of how often each item is looked at: ever, lately and just now."""
    trail, width = interactions.visits, len(interactions.item_ids)
    age = (trail.at.max(initial=0) - trail.at) / DAY
    span = max(float(age.max(initial=0)), 1e-9)
    return {
        name: blend.prior(np.bincount(trail.items, np.exp2(-age / (share * span)) if share else None, width))
        for name, share in LATELY.items()
    }


RETURNING: Final = {**blend.alone("alike"), "own": 1.0}
RECIPE: Final = Recipe(
    "session",
    usual={
        "alike": {},
        "lately alike": {},
        "after": {},
        "before": {},
        "led to": {},
        "ease": {"fading": 0.6, "l2": 1},
    },
    grid={"ease": {"fading": (0.4, 0.6, 0.8), "l2": (0.2, 0.5, 1, 2, 4)}},
    weights=blend.alone("alike"),
    part=part,
    priors=known,
)


def _hides(query: Query) -> bool:
    """Whether no item of any visit may be shown again."""
    assert query.visit is not None
    if len(query) == 1:
        return set(query.visit.items.tolist()) <= set(query.excluded.indices.tolist())
    seen = query.visit.matrix(len(query.allowed))
    return not np.setdiff1d(blend.keys_of(seen), blend.keys_of(query.excluded)).size


def _spans(starts: Ints, sizes: Ints) -> Ints:
    """The numbers from each start on, `sizes` of them, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)
