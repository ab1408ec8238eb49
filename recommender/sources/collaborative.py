"""For you: what contacts with the same taste and the same last steps bought.

A blend of EASE on the head, of what follows what, of singular vectors and of BM25 neighbours (implicit) on the whole
catalogue. Each is asked with the contact's history faded its own way. Only item-to-item weights are kept, no contact: a
new event counts at the next request, and an erased person leaves nothing behind in a training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from scipy import sparse

from recommender import blend
from recommender.arrays import Floats, Ints, Mask
from recommender.interactions import Interactions
from recommender.sources import crowd, neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, best, row_of, within
from recommender.sources.blended import Blended, Part, Recipe
from recommender.sources.weighing import Weighing

BROAD: Final = 0.25  # share of the neighbours beside EASE in that table
REASONS: Final = 2  # items named as the reason
ASKED: Final = 20  # heaviest items of a history that reasons are looked for in
HALF_LIVES: Final = (30, 60, 90, 180, 360, None)
FADINGS: Final = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True)
class Collaborative:
    """mix: what ranks; table: item x item weights of EASE and the neighbours, which stand for it in a reason and when
    people are looked for rather than items.
    """

    mix: Blended
    table: sparse.csr_array

    name: ClassVar[str] = "collaborative"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Learn from what each contact kept."""
        mix = RECIPE.fit(interactions, settings)
        interactions.forget_held()
        strong, broad = (mix.parts[name].table for name in ("ease", "neighbours"))
        assert strong is not None
        assert broad is not None
        return cls(mix, neighbours.blend(strong, broad, BROAD, interactions.offerable, asked=settings.reasons))

    def candidates(self, query: Query, n: int) -> Candidates:
        """What goes with the history, and with what is looked at now."""
        return self.mix.candidates(query, n)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The items of the history that speak loudest for each."""
        sides = zip(row_of(query.history, row), row_of(query.context, row), strict=True)
        columns, values = (np.concatenate(side) for side in sides)
        if query.context.nnz:  # may hold items of the history as well
            columns, places = np.unique(columns, return_inverse=True)
            values = np.bincount(places, values)
        given, weights = best(columns, values, ASKED)
        part = neighbours.parts(self.table, given, weights, items)
        return [Because(self.name, led) for led in neighbours.loudest(given, part, REASONS)]

    def explain_all(self, query: Query, rows: Ints, items: Ints) -> list[Because]:
        """The same for many questions at once."""
        asked = sparse.csr_array(query.history + query.context) if query.context.nnz else query.history
        led = crowd.loudest(self.table, crowd.heaviest(asked, ASKED), rows, items, REASONS)
        return [Because(self.name, some) for some in led]

    def arrays(self) -> Arrays:
        """All that was learned."""
        return {**neighbours.pack(self.table), **{f"mix.{name}": array for name, array in self.mix.arrays().items()}}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        table = neighbours.unpack(arrays["starts"], arrays["items"], arrays["weights"])
        return cls(Blended.restore(within(arrays, "mix")), table)


def part(name: str, interactions: Interactions, chosen: Mapping[str, Any], settings: Settings) -> Part:
    """One part of the blend."""
    offerable = interactions.offerable
    weighing = Weighing("past", chosen["fading"], chosen.get("half_life"))
    if name == "sequence":
        rest = {key: value for key, value in chosen.items() if key != "fading"}
        return Part(weighing, neighbours.sequence(interactions.trails, offerable, **rest))
    held = interactions.held(chosen["half_life"])
    if name == "spectral":
        rest = {key: value for key, value in chosen.items() if key not in ("fading", "half_life")}
        return Part(weighing, neighbours.spectral(held, settings.head, offerable, **rest, seed=1))
    if name == "neighbours":
        return Part(weighing, bm25(held, offerable))
    ridge = neighbours.Ridge(chosen["l2"])
    row, column = _scales(held, chosen["activity"], chosen["popularity"])
    table = neighbours.ease(sparse.csr_array(held * row[:, None] * column[None, :]), settings.head, ridge, offerable)
    table = table if chosen["against"] else table.maximum(0)
    return Part(weighing, sparse.csr_array(table * column[:, None]))


def known(interactions: Interactions) -> dict[str, Floats]:
    """Log of how many people have to do with each item."""
    held = interactions.trails.matrix(len(interactions.item_ids), interactions.until)
    return {"known": blend.prior(np.bincount(held.indices, minlength=held.shape[1]))}


RECIPE: Final = Recipe(
    "collaborative",
    # against: whether what speaks against an item counts (MovieLens 100K +.004 nDCG@10, Online Retail II -.005);
    # half_life: days in which what was done counts half, in learning and in asking; fading: of each later step
    usual={
        "ease": {"half_life": 90, "fading": 1.0, "l2": 100, "popularity": 0.1, "activity": 0.3, "against": False},
        "sequence": {"fading": 0.7, "power": 0.3, "shrink": 40, "reach": 8, "back": 0.3},
        "spectral": {"half_life": 90, "fading": 1.0, "factors": 48, "inner": 0.4, "outer": 0.3},
        "neighbours": {"half_life": 90, "fading": 1.0},
    },
    grid={
        "ease": {
            "half_life": HALF_LIVES,
            "fading": FADINGS,
            "l2": (5, 15, 50, 100, 200, 400, 800),
            "popularity": (0.0, 0.1, 0.2, 0.3),
            "activity": (0.0, 0.3, 0.6),
            "against": (False, True),
        },
        "sequence": {
            "fading": FADINGS,
            "power": (0.1, 0.2, 0.3, 0.4, 0.5),
            "shrink": (0, 10, 40, 160),
            "reach": (2, 4, 8, 16, 32),
            "back": (0.1, 0.3, 0.6, 1.0),
        },
        "spectral": {
            "half_life": HALF_LIVES,
            "fading": FADINGS,
            "factors": (12, 24, 48, 96, 128),
            "inner": (0.3, 0.4, 0.5),
            "outer": (0.1, 0.3, 0.5),
        },
        "neighbours": {"half_life": HALF_LIVES, "fading": FADINGS},
    },
    weights={"ease": 1.0, "sequence": 0.2, "spectral": 0.2, "neighbours": 0.1},
    part=part,
    priors=known,
    # what fades counts less, so a fitting l2 falls with half_life; and what speaks against an item is worth something
    # where tastes last (MovieLens 100K) and costs where they follow the season (Online Retail II)
    jointly={
        "ease": {"half_life": (None, 180, 60), "against": (False, True), "l2": (50, 400)},
        "sequence": {"fading": (0.6, 1.0), "power": (0.3, 0.5), "reach": (4, 32)},
        "spectral": {"half_life": (None, 90), "factors": (12, 48)},
    },
)


def _scales(held: sparse.csr_array, activity: float, popularity: float) -> tuple[Floats, Floats]:
    """What rows and columns are multiplied with, so that busy people and popular items say less."""
    length, count = np.diff(held.indptr), np.bincount(held.indices, minlength=held.shape[1])
    row, column = (
        np.maximum(size, 1) / max(size[size > 0].mean(), 1) if size.any() else size + 1.0 for size in (length, count)
    )
    return (row ** (-activity / 2)).astype(np.float32), (column**-popularity).astype(np.float32)


def bm25(tastes: sparse.csr_array, offerable: Mask) -> sparse.csr_array:
    """Item neighbours on BM25 weights."""
    from implicit.nearest_neighbours import bm25_weight  # noqa: PLC0415  # training only

    if not tastes.nnz:
        return sparse.csr_array(tastes.T @ tastes)
    return neighbours.nearest(bm25_weight(sparse.coo_matrix(tastes.T), K1=1.2, B=0.75).T, offerable)
