"""Up-sell: the same need at a higher value, as far above as people here were seen to go.

How far is learned: whoever looked at one item of a category and took another one chose a step of price. How often each
step was taken, beside how often the catalogue offers it, is what that step is accepted by; SUPPOSED pairs of a usual
shop stand in until there are some. A candidate's score is likeness x acceptance x what would be gained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import Floats, Ints, changes, ordered
from recommender.interactions import Interactions, Items
from recommender.sources import neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, row_of
from recommender.sources.similar import similarity
from recommender.trail import Trail

STEPS: Final = 4  # of price in a doubling
FARTHEST: Final = 8  # steps: four times the price
LEAST: Final = 1.1  # times the price: 10.95 for 10.50 is no step up, and hardly anybody would tell the two apart
SUPPOSED: Final = 20.0  # pairs of the usual shop: half as often at half an octave above as at the same price
USUAL: Final = 2.0 ** -((np.arange(-FARTHEST, FARTHEST + 1) / (STEPS / 2)) ** 2)
TAKEN: Final = 0.5  # weight from which an entry of a trail says that an item was taken: into a cart, or bought


class Pairs(NamedTuple):
    """Numbers of the item somebody looked at or had, and of the other one of its category that they took."""

    given: Ints
    taken: Ints


@dataclass(frozen=True)
class UpSell:
    """table: item x item expected gain."""

    table: sparse.csr_array

    name: ClassVar[str] = "upsell"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Learn what step is accepted, and weigh each dearer neighbour of the same category."""
        items, step = interactions.catalogue, steps(interactions.catalogue)
        accepted, offered = bands(pairs(interactions), items, step)
        return cls(_dearer(similarity(interactions), items, step, acceptance(accepted, offered)))

    def candidates(self, query: Query, n: int) -> Candidates:
        """The best step up from what is looked at."""
        return neighbours.candidates(query.context, self.table, query, n)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The item it is a step up from."""
        given, weights = row_of(query.context, row)
        part = neighbours.parts(self.table, given, weights, items)
        return [Because(self.name, led) for led in neighbours.loudest(given, part, 1)]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return neighbours.pack(self.table)

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        return cls(neighbours.unpack(arrays["starts"], arrays["items"], arrays["weights"]))


def steps(items: Items) -> npt.NDArray[np.int32]:
    """Step of each item's price on a logarithmic ladder, 0 when unknown."""
    return np.where(items.prices > 0, np.round(np.log2(np.maximum(items.prices, 1)) * STEPS), 0).astype(np.int32)


def pairs(interactions: Interactions) -> Pairs:
    """Every item that was taken, with the one of its category that the same person, or visit, had to do with before."""
    codes = np.unique(np.array(interactions.catalogue.categories, str), return_inverse=True)[1]
    found = [_followed(trail, codes) for trail in (interactions.trails, interactions.visits)]
    return Pairs(*(np.concatenate([getattr(one, side) for one in found]) for side in Pairs._fields))


def bands(found: Pairs, items: Items, step: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
    """(accepted, offered): pairs by step of price, and how the same pairs would fall if the other item were drawn from
    the category.
    """
    priced = (step[found.given] > 0) & (step[found.taken] > 0)
    given, taken = found.given[priced], found.taken[priced]
    by = step[taken] - step[given]
    near = np.abs(by) <= FARTHEST
    accepted = np.bincount(by[near] + FARTHEST, minlength=2 * FARTHEST + 1).astype(np.float32)
    codes = np.unique(np.array(items.categories, str), return_inverse=True)[1]
    lowest = int(step[step > 0].min(initial=1))
    height = int(step.max(initial=1)) - lowest + 1
    shelf = np.zeros((int(codes.max(initial=0)) + 1, height + 2 * FARTHEST), np.float32)
    on_sale = np.flatnonzero((step > 0) & items.offerable)
    np.add.at(shelf, (codes[on_sale], step[on_sale] - lowest + FARTHEST), 1)
    shelf /= np.maximum(shelf.sum(axis=1), 1)[:, None]
    asked = np.bincount(codes[given] * height + step[given] - lowest, minlength=len(shelf) * height)
    asked = asked.reshape(len(shelf), height)  # pairs by category and step of what was given
    offered = [(asked * shelf[:, by : by + height]).sum() for by in range(2 * FARTHEST + 1)]
    return accepted, np.array(offered, np.float32)


def acceptance(accepted: Floats, offered: Floats) -> Floats:
    """Of each step from -FARTHEST, in [0, 1]: taken beside offered, with SUPPOSED pairs of the usual shop."""
    usual = USUAL.astype(np.float32)
    share = (accepted + SUPPOSED * usual / usual.sum()) / (offered + SUPPOSED / len(usual))
    return np.asarray(share / share.max(), np.float32)


def _followed(trail: Trail, codes: Ints) -> Pairs:
    """Within each row and category, in time: what was taken, after something else."""
    order = ordered(codes[trail.items], trail.rows)
    rows, items, weights = trail.rows[order], trail.items[order].astype(np.int64), trail.weights[order]
    starts = np.flatnonzero(changes(rows, items))  # of runs of one item
    if not len(starts):
        return Pairs(starts, starts)
    strongest = np.maximum.reduceat(weights, starts)
    follows = ~changes(rows[starts], codes[items[starts]])
    taken = np.flatnonzero(follows & (strongest >= TAKEN))
    return Pairs(items[starts[taken - 1]], items[starts[taken]])


def _dearer(table: sparse.csr_array, items: Items, step: npt.NDArray[np.int32], accepted: Floats) -> sparse.csr_array:
    """likeness x acceptance x gain for each dearer item of the same category within reach, as a share of the price."""
    codes = np.unique(np.array(items.categories, str), return_inverse=True)[1]
    given, other = table.tocoo().coords
    by = step[other] - step[given]
    gain = _gain(items, given, other)
    dearer = items.prices[other] >= np.round(items.prices * LEAST)[given]  # rounded: 11 is a tenth more than 10
    priced = (items.prices[given] > 0) & dearer
    kept = priced & (gain > 0) & (codes[given] == codes[other]) & (by <= FARTHEST)
    weights = table.data[kept] * accepted[by[kept] + FARTHEST] * gain[kept]
    found = sparse.csr_array((weights.astype(np.float32), (given[kept], other[kept])), shape=table.shape)
    found.sort_indices()
    return found


def _gain(items: Items, given: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """What the shop earns more, beside the price: in margin where both costs are known, else in price."""
    price, cost = items.prices, items.costs
    by_margin = (cost[given] >= 0) & (cost[other] >= 0)
    more = price[other] - price[given]
    more = np.where(by_margin, more - (cost[other] - cost[given]), more)
    return more / np.maximum(price[given], 1)
