"""What many buy: best-sellers, risers, best-sellers of a category. They answer when nothing else knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from engine.database import microseconds
from recommender.arrays import DAY, Ints, Mask
from recommender.interactions import Interactions
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, best, rows_of

POPULAR_HALF_LIFE: Final = 14  # days; HR@10 .403 and .276 against .257 and .222 of all-time best-sellers
POPULAR_DAYS: Final = 30  # the reason counts buyers of so many days
TRENDING_DAYS: Final = 7
FILLING: Final = frozenset({"trending", "popular_in_category", "popular", "newest"})  # fill what others left open
BEFORE_DAYS: Final = 28  # what is usual for an item, measured before the trending days


@dataclass(frozen=True)
class _Ranking:
    """scores: of each item, 0 = not ranked; buyers: people who bought it within `days`."""

    scores: npt.NDArray[np.float64]
    buyers: npt.NDArray[np.int32]

    name: ClassVar[str]

    def candidates(self, query: Query, n: int) -> Candidates:
        """The same for everybody, less what is excluded."""
        found = Candidates.empty(len(query), n)
        order = self._order[query.allowed[self._order]]
        for row, (barred, _) in enumerate(rows_of(query.excluded)):
            chosen = order[: n + len(barred)]
            chosen = chosen[~np.isin(chosen, barred)][:n]
            found.put(row, chosen, self.scores[chosen])
        return found

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """How many people bought it lately."""
        return [Because(self.name, n=int(self.buyers[item])) for item in items]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return {"scores": self.scores, "buyers": self.buyers}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays."""
        return cls(**arrays)

    @cached_property
    def _order(self) -> Ints:
        ranked = np.flatnonzero(self.scores > 0)
        return best(ranked, self.scores[ranked], len(ranked))[0]


class Popular(_Ranking):
    """Best-sellers: orders, halved every POPULAR_HALF_LIFE days."""

    name: ClassVar[str] = "popular"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Count."""
        return cls(popularity(interactions), buyers(interactions, POPULAR_DAYS))


class Trending(_Ranking):
    """Risers: buyers of the last week above a usual week, in standard deviations of a Poisson count."""

    name: ClassVar[str] = "trending"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Count."""
        now = buyers(interactions, TRENDING_DAYS)
        before = buyers(interactions, TRENDING_DAYS + BEFORE_DAYS, TRENDING_DAYS)
        usual = before * (TRENDING_DAYS / BEFORE_DAYS)
        return cls(np.maximum((now - usual) / np.sqrt(usual + 1), 0) * (now > 1), now)


class Newest(_Ranking):
    """The latest additions to the shop: the last resort, when nobody has bought anything yet."""

    name: ClassVar[str] = "newest"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Rank by item id: ids grow."""
        return cls.of(interactions.item_ids, interactions.offerable)

    @classmethod
    def of(cls, item_ids: Ints, offerable: Mask) -> Self:
        """From item ids."""
        ranks = np.argsort(np.argsort(item_ids)) + 1.0
        return cls(np.where(offerable, ranks, 0.0), np.zeros(len(item_ids), np.int32))


@dataclass(frozen=True)
class PopularInCategory:
    """Best-sellers of the categories of what is looked at, else of the history. category: code of each item, -1
    unknown; scores and buyers as in Popular.
    """

    category: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    buyers: npt.NDArray[np.int32]

    name: ClassVar[str] = "popular_in_category"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Count."""
        paths, code = np.unique(np.array(interactions.catalogue.categories, str), return_inverse=True)
        code = np.where(paths[code] == "", -1, code) if len(paths) else code
        return cls(code.astype(np.int32), popularity(interactions), buyers(interactions, POPULAR_DAYS))

    def candidates(self, query: Query, n: int) -> Candidates:
        """Category by category, the weightiest first."""
        found = Candidates.empty(len(query), n)
        asked = zip(rows_of(query.context), rows_of(query.history), rows_of(query.excluded), strict=True)
        for row, (context, history, (barred, _)) in enumerate(asked):
            columns, weights = context if len(context[0]) else history
            chosen = self._members(columns, weights, n + len(barred), query)
            chosen = chosen[~np.isin(chosen, barred)][:n]
            found.put(row, chosen, self.scores[chosen])
        return found

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """How many people bought it lately."""
        return [Because(self.name, n=int(self.buyers[item])) for item in items]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return {"category": self.category, "scores": self.scores, "buyers": self.buyers}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays."""
        return cls(**arrays)

    def _members(self, columns: Ints, weights: npt.NDArray[np.float32], n: int, query: Query) -> Ints:
        known = self.category[columns] >= 0
        sums = np.bincount(self.category[columns[known]], weights[known])
        chosen: list[Ints] = []
        for code in np.argsort(-sums, kind="stable")[: np.count_nonzero(sums)]:
            members = self._by_category.get(int(code), np.empty(0, np.int64))
            chosen.append(members[query.allowed[members]][:n])
            if sum(map(len, chosen)) >= n:
                break
        return np.concatenate([*chosen, np.empty(0, np.int64)])[:n].astype(np.int64)

    @cached_property
    def _by_category(self) -> dict[int, Ints]:
        ranked = np.flatnonzero((self.scores > 0) & (self.category >= 0))
        ranked = best(ranked, self.scores[ranked], len(ranked))[0]
        return {int(code): ranked[self.category[ranked] == code] for code in np.unique(self.category[ranked])}


def popularity(interactions: Interactions) -> npt.NDArray[np.float64]:
    """Orders of each item, halved every POPULAR_HALF_LIFE days; 0 where not offerable."""
    lines = interactions.lines
    age = (microseconds(interactions.until) - lines.at) / DAY
    weight = np.exp2(-age / POPULAR_HALF_LIFE)
    counts = np.bincount(interactions.numbers(lines.item), weight, len(interactions.item_ids))
    return np.where(interactions.offerable, counts, 0.0)


def buyers(interactions: Interactions, first_day: int, last_day: int = 0) -> npt.NDArray[np.int32]:
    """People who bought each offerable item between `first_day` and `last_day` days ago; a guest's order is one."""
    lines = interactions.lines
    age = (microseconds(interactions.until) - lines.at) / DAY
    lines = lines.take((age <= first_day) & (age > last_day if last_day else age >= 0))
    pairs = np.unique(np.stack([interactions.numbers(lines.item), lines.buyers]), axis=1)[0]
    counts = np.bincount(pairs, minlength=len(interactions.item_ids))
    return np.where(interactions.offerable, counts, 0).astype(np.int32)
