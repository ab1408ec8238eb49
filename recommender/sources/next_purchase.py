"""Next purchase: what a contact buys again, and what follows from what they bought, in the next order.

A ridge regression of each order on the ones before it (M. Choi et al., Session-aware linear item-item models, SLIT, WWW
2021), beside the contact's own items, slowly and quickly forgotten; the blend knows how often, how lately, and how such
items go in this shop. 81 of 100 items of a next order at Ta-Feng are new to the customer, 38 of 100 hits are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from recommender import blend, due
from recommender.algebra import blocks
from recommender.arrays import Floats, Ints
from recommender.interactions import Interactions
from recommender.sources import neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, within
from recommender.sources.blended import Blended, Part, Recipe
from recommender.sources.weighing import Weighing
from recommender.trail import Trail

HEAD: Final = 4000  # items of the regression
REACH: Final = 20  # orders back
PEOPLE: Final = 20_000  # or visits at a time
MOST: Final = 2_000_000  # purchases that teach the regression: 20 times as many pairs
SHRINK: Final = 20.0  # occasions added to how often an item is bought again


@dataclass(frozen=True)
class NextPurchase:
    """mix: what ranks; rhythm: when items are bought again, as recommender.due tells it."""

    mix: Blended
    rhythm: Floats

    name: ClassVar[str] = "next_purchase"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Learn from the orders of contacts."""
        mix = RECIPE.fit(interactions, settings)
        rate = again(bought(interactions), len(interactions.item_ids))
        return cls(replace(mix, rate=rate), due.rhythm(interactions.trails, len(interactions.item_ids)))

    def candidates(self, query: Query, n: int) -> Candidates:
        """What comes next."""
        return self.mix.candidates(query, n)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """How often the contact bought it, and when they usually buy it again."""
        if query.past is None:
            return [Because(self.name)] * len(items)
        past = query.past.of_row(row)
        past = past.where(past.weights >= 1)
        return [self._because(int(item), past.at[past.items == item]) for item in items]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return {"rhythm": self.rhythm, **{f"mix.{name}": array for name, array in self.mix.arrays().items()}}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        return cls(Blended.restore(within(arrays, "mix")), arrays["rhythm"])

    def _because(self, item: int, at: Ints) -> Because:
        if not len(at):
            return Because(self.name)
        again = due.usual(due.between(at), self.rhythm[item])
        return Because(self.name, (item,), len(at), again=again, at=int(at[-1]))


@dataclass(frozen=True)
class Steps:
    """The steps of people, one after the other: of each entry of the trail its own, and the last one of its row."""

    trail: Trail
    step: Ints
    last: Ints
    width: int

    @classmethod
    def of(cls, trail: Trail, width: int) -> Steps:
        """The steps of a trail."""
        back, rows = trail.back, trail.rows
        begins = np.ones(len(rows), np.int64)
        begins[1:] = (np.diff(rows) != 0) | (np.diff(back) != 0)
        step = np.cumsum(begins) - 1
        return cls(trail, step, step + back, width)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.step[-1]) + 1 if len(self.step) else 0

    def taken(self) -> sparse.csr_array:
        """steps x items: ones."""
        return self._matrix(self.step, np.ones(len(self.step), np.float32), np.ones(len(self.step), bool))

    def before(self, fading: float) -> sparse.csr_array:
        """steps x items: what the same person took up to REACH steps before, faded by a step."""
        told = np.minimum(self.last - self.step, REACH)  # steps that each entry comes before
        entry = np.repeat(np.arange(len(told)), told)
        gap = np.arange(len(entry)) - np.repeat(np.cumsum(told) - told, told)
        weight = (fading ** np.arange(REACH)).astype(np.float32)[gap]
        places = (self.step[entry] + gap + 1, self.trail.items[entry])
        return sparse.csr_array((weight, places), shape=(self.count, self.width))

    def left(self) -> Ints:
        """How many steps of the same person come after each."""
        left = np.zeros(self.count, np.int64)
        left[self.step] = self.last - self.step
        return left

    def _matrix(self, rows: Ints, weights: Floats, kept: Any) -> sparse.csr_array:
        places = (rows[kept], self.trail.items[kept])
        return sparse.csr_array((weights[kept], places), shape=(self.count, self.width))


def bought(interactions: Interactions) -> Trail:
    """The purchases of contacts, of the latest MOST of them."""
    trails = interactions.trails
    trails = trails.where(trails.weights >= 1)
    kept = int(np.searchsorted(-trails.starts[::-1] + trails.starts[-1], MOST, side="right")) - 1
    return trails.only(np.arange(max(len(trails) - kept, 0), len(trails))) if len(trails.items) > MOST else trails


def following(steps: Steps, *, fading: float, l2: float, newest: float) -> sparse.csr_array:
    """items x items: weights of the regression; `newest` fades older steps, l2 is a share of the mean diagonal."""
    before, taken = steps.before(fading), steps.taken()
    weight = newest ** steps.left()
    given = sparse.csr_array(before * np.sqrt(weight / np.maximum(before.sum(axis=1), 1e-9))[:, None])
    then = sparse.csr_array(taken * np.sqrt(weight)[:, None])
    head = min(HEAD, steps.width)  # items are numbered by falling number of orders
    given, then = given[:, :head], then[:, :head]
    gram = (given.T @ given).toarray().astype(np.float64)
    own = np.diag(gram)
    if not own.any():
        return sparse.csr_array((steps.width, steps.width), dtype=np.float32)
    gram[np.diag_indices(head)] += l2 * own[own > 0].mean()
    with threadpool_limits(1):
        found = linalg.solve(gram, (given.T @ then).toarray(), assume_a="pos", overwrite_a=True, check_finite=False)
    kept = neighbours.heaviest(found.astype(np.float32))
    kept.resize((steps.width, steps.width))
    return kept


def again(trail: Trail, width: int) -> Floats:
    """Log of how often each item, once had, is in the next step."""
    times, twice = np.zeros(width), np.zeros(width)
    for people in blocks(len(trail), PEOPLE):
        some = Steps.of(trail.only(np.arange(people.start, people.stop)), width)
        had, taken = some.before(1.0), some.taken()
        had.data[:] = 1
        times += had.sum(axis=0)
        twice += (had * taken).sum(axis=0)
    usual = twice.sum() / max(times.sum(), 1)
    return np.asarray(np.log((twice + SHRINK * usual + 1e-9) / (times + SHRINK)), np.float32)


def part(name: str, interactions: Interactions, chosen: Mapping[str, Any], settings: Settings) -> Part:
    """One part of the blend."""
    weighing = Weighing("past", chosen["fading"], once=False)
    if name != "following":
        return Part(weighing)
    steps = Steps.of(bought(interactions), len(interactions.item_ids))
    return Part(weighing, following(steps, **chosen))


def known(interactions: Interactions) -> dict[str, Floats]:
    """Log of how often each item is bought, ever and in people's last orders."""
    trail, width = bought(interactions), len(interactions.item_ids)
    return {
        "bought": blend.prior(np.bincount(trail.items, minlength=width)),
        "bought lately": blend.prior(np.bincount(trail.items, 0.5**trail.back, width)),
    }


RECIPE: Final = Recipe(
    "next_purchase",
    usual={
        "slowly": {"fading": 0.98},
        "following": {"fading": 0.9, "l2": 3, "newest": 0.6},
        "quickly": {"fading": 0.7},
    },
    grid={
        "slowly": {"fading": (0.9, 0.95, 0.98, 1.0)},
        "following": {"fading": (0.5, 0.7, 0.9, 1.0), "l2": (1, 3, 10, 30), "newest": (0.4, 0.6, 0.8, 1.0)},
    },
    weights={"slowly log": 0.8, "following": 0.6, "quickly": 0.4, "bought lately": 0.3, "own rate": 0.4},
    part=part,
    priors=known,
)
