"""Bought together: a blend of EASE, a cosine and likeness of titles, explained by support, confidence and lift.

Ranking by the textbook measures is poor (HR@10 on the fixed Online Retail II cases: lift .104, confidence .280, EASE on
baskets .336), so they are kept as the reason and as a filter only. A shop's range and its seasons change: later baskets
count more, and items that read alike count as if they had been bought together, which finds the new ones. Rules with
two antecedents come from mlxtend's FP-growth on baskets thinned out beforehand: a one-hot frame of everything asks for
368 GiB on 88,162 baskets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender import blend
from recommender.algebra import blocks, each
from recommender.arrays import Floats, Ints, Mask
from recommender.interactions import Interactions
from recommender.sources import content, neighbours
from recommender.sources.base import Arrays, Because, Candidates, Query, Settings, row_of, rows_of, within
from recommender.sources.blended import Blended, Part, Recipe
from recommender.sources.weighing import Weighing

LATELY: Final = {
    "bought": 1.0,
    "bought lately": 0.2,
    "bought just now": 0.05,
}  # half-lives of how well known an item is
SHRINK: Final = 10.0  # orders added to both counts under the cosine, buyers to n when rules are compared
BROAD: Final = 0.25  # share of the cosine beside EASE, in which pairs are told as rules
LEAST_TOGETHER: Final = 2  # buyers: one is no rule
LONGEST_BASKET: Final = 50  # items FP-growth sees of one basket; more turn minutes into half hours
MOST_BASKETS: Final = 20_000  # newest baskets FP-growth sees: rules are counted on all of them afterwards
MOST_PAIRS: Final = 2_000  # frequent pairs it may meet; the support limit rises until it does
CONTEXT: Final = 50  # items of the context that a reason is looked for in


@dataclass(frozen=True)
class Rules:
    """mix: what ranks; pairs: item x item weights; together: buyers of both, beside pairs.data; buyers: of each item;
    total: all buyers; antecedents r x 2 (lower number first), consequents, rule_support, rule_buyers: rules of two.
    """

    mix: Blended
    pairs: sparse.csr_array
    together: npt.NDArray[np.int32]
    buyers: npt.NDArray[np.int32]
    total: int
    antecedents: npt.NDArray[np.int32]
    consequents: npt.NDArray[np.int32]
    rule_support: npt.NDArray[np.int32]
    rule_buyers: npt.NDArray[np.int32]

    name: ClassVar[str] = "rules"

    @classmethod
    def fit(cls, interactions: Interactions, settings: Settings, *, seed: int) -> Self:
        """Rank by what shares a basket, count who bought what, in whichever order."""
        blended = RECIPE.fit(interactions, settings)
        strong, broad = (blended.parts[name].table for name in ("ease", "cosine"))
        assert strong is not None
        assert broad is not None
        ranked = neighbours.blend(strong, broad, BROAD, interactions.offerable, asked=settings.reasons)
        return cls.told(blended, ranked, mine(interactions.baskets, settings), interactions, settings)

    @classmethod
    def told(
        cls,
        mix: Blended,
        ranked: sparse.csr_array,
        mined: tuple[Ints, Ints],
        interactions: Interactions,
        settings: Settings,
    ) -> Self:
        """From what ranks, pairs worth telling and the antecedents and consequents of rules of two: counted exactly."""
        buyers = interactions.buyers
        rules = _counted(buyers, *mined, settings.minimum_confidence)
        counts = buyers.sum(axis=0).astype(np.int32)
        return cls(mix, *_met(ranked, buyers), counts, buyers.shape[0], *rules)

    def candidates(self, query: Query, n: int) -> Candidates:
        """Best companions of what is looked at."""
        return self.mix.candidates(query, n)

    def explain(self, query: Query, row: int, items: Ints) -> list[Because]:
        """The rule that says most for each item; two antecedents when they say more than one."""
        context = row_of(query.context, row)[0][:CONTEXT]
        found = [Because(self.name)] * len(items)
        strength = np.zeros(len(items))
        for antecedents, numbers, support, n in [*self._pair_rules(context), *self._double_rules(context)]:
            for place in np.flatnonzero(np.isin(items, numbers)):
                at = int(np.flatnonzero(numbers == items[place])[0])
                strong = support[at] / (n[at] + SHRINK)
                if strong > strength[place]:
                    strength[place] = strong
                    found[place] = self._because(antecedents, int(items[place]), int(support[at]), int(n[at]))
        return found

    def arrays(self) -> Arrays:
        """All that was learned."""
        return {
            **neighbours.pack(self.pairs),
            **{f"mix.{name}": array for name, array in self.mix.arrays().items()},
            "together": self.together,
            "buyers": self.buyers,
            "total": np.array([self.total], np.int64),
            "antecedents": self.antecedents,
            "consequents": self.consequents,
            "rule_support": self.rule_support,
            "rule_buyers": self.rule_buyers,
        }

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """From arrays, which may be memory-mapped."""
        rest = {name: arrays[name] for name in _RULE_ARRAYS}
        pairs = neighbours.unpack(arrays["starts"], arrays["items"], arrays["weights"])
        mix = Blended.restore(within(arrays, "mix"))
        return cls(mix=mix, pairs=pairs, total=int(arrays["total"][0]), **rest)

    def _because(self, antecedents: tuple[int, ...], item: int, support: int, n: int) -> Because:
        confidence = support / n
        expected = float(self.buyers[item]) / self.total
        return Because(self.name, antecedents, support, n, confidence, confidence / expected if expected else None)

    def _pair_rules(self, context: npt.NDArray[Any]) -> list[_Found]:
        """For each item looked at: (it, companions, buyers of both, buyers of it)."""
        found: list[_Found] = []
        for given in context:
            start, end = self.pairs.indptr[given : given + 2]
            n = np.full(end - start, self.buyers[given])
            found.append(((int(given),), self.pairs.indices[start:end], self.together[start:end], n))
        return found

    def _double_rules(self, context: npt.NDArray[Any]) -> list[_Found]:
        """The rules whose two antecedents are both looked at."""
        held = np.isin(self.antecedents, context).all(axis=1) if len(context) > 1 else np.zeros(0, bool)
        return [
            (
                (int(self.antecedents[rule, 0]), int(self.antecedents[rule, 1])),
                self.consequents[rule : rule + 1],
                self.rule_support[rule : rule + 1],
                self.rule_buyers[rule : rule + 1],
            )
            for rule in np.flatnonzero(held)
        ]


_RULE_ARRAYS: Final = ("together", "buyers", "antecedents", "consequents", "rule_support", "rule_buyers")
_Found = tuple[tuple[int, ...], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def part(name: str, interactions: Interactions, chosen: Mapping[str, Any], settings: Settings) -> Part:
    """One part of the blend."""
    offerable = interactions.offerable
    if name == "alike":
        return Part(Weighing("context"), content.alike(interactions))
    recent = _fading(interactions, chosen["half_life"])
    if name == "cosine":
        return Part(Weighing("context"), cosine(interactions.baskets, recent, offerable))
    ridge = neighbours.Ridge(chosen["l2"], relative=True, dropout=chosen["dropout"], alike=chosen["alike"])
    baskets = weighed(interactions.baskets, recent, chosen["size"])
    features = content.described(interactions)
    return Part(Weighing("context"), neighbours.ease(baskets, settings.head, ridge, offerable, features))


def known(interactions: Interactions) -> dict[str, Floats]:
    """Log of how often each item is bought: ever, lately and just now."""
    return {
        name: blend.prior(interactions.baskets.T @ _fading(interactions, half_life))
        for name, half_life in LATELY.items()
    }


RECIPE: Final = Recipe(
    "rules",
    # half_life: of a basket, as a share of the time all of them span; size: a basket of b counts (b - 1) ** -size; l2,
    # and what likeness counts beside it, as shares of the mean diagonal
    usual={
        "ease": {"half_life": 0.5, "size": 0.5, "l2": 0.2, "alike": 0.1, "dropout": 0.0},
        "cosine": {"half_life": 0.5},
        "alike": {},
    },
    grid={
        "ease": {
            "half_life": (None, 1, 0.5, 0.25, 0.125),
            "size": (0, 0.25, 0.5, 0.75, 1),
            "l2": (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4),
            "alike": (0, 0.05, 0.1, 0.2, 0.4),
            "dropout": (0, 0.1, 0.25),
        }
    },
    weights=blend.alone("ease"),
    part=part,
    priors=known,
)


def weighed(baskets: sparse.csr_array, recent: npt.NDArray[np.float64], size: float) -> sparse.csr_array:
    """Baskets whose product with themselves counts each by how recent it is and by (items - 1) ** -size."""
    weight = recent * np.maximum(np.diff(baskets.indptr) - 1, 1.0) ** -size
    return sparse.csr_array(baskets * np.sqrt(weight).astype(np.float32)[:, None])


def cosine(baskets: sparse.csr_array, recent: npt.NDArray[np.float64], offerable: Mask) -> sparse.csr_array:
    """Cosine of items over baskets, a basket of b items counting 1/(b-1), SHRINK orders added to every item."""
    norm = 1 / np.sqrt(baskets.T @ recent + SHRINK)
    return neighbours.nearest(sparse.csr_array(weighed(baskets, recent, 1.0) * norm[None, :]), offerable)


def _fading(interactions: Interactions, half_life: float | None) -> npt.NDArray[np.float64]:
    """Weight of each basket, halved by `half_life` of the time they span."""
    days = interactions.basket_days
    return np.exp2(-days / (half_life * max(days.max(initial=0), 1e-9))) if half_life else np.ones(len(days))


def pair_counts(baskets: sparse.csr_array, least: int) -> sparse.csr_array:
    """items x items: orders that hold both, at least `least`; above the diagonal only."""
    whole = baskets.astype(np.int32)
    columns = sparse.csr_array(whole.T)

    def counted(rows: slice) -> sparse.coo_array:
        block = sparse.coo_array(columns[rows] @ whole)
        kept = (block.data >= least) & (block.col > block.row + rows.start)
        return sparse.coo_array((block.data[kept], (block.row[kept], block.col[kept])), shape=block.shape)

    found = each(counted, blocks(columns.shape[0]))
    return sparse.csr_array(sparse.vstack(found)) if found else sparse.csr_array(whole.T @ whole)


def mine(baskets: sparse.csr_array, settings: Settings) -> tuple[Ints, Ints]:
    """Rules {a, b} -> c by FP-growth: antecedents r x 2 (a < b) and consequents r, all item numbers. At least those of
    minimum_confidence: pairs are counted in thinned baskets, so confidence may seem higher than it is.
    """
    seen = baskets[-MOST_BASKETS:] if settings.reasons else baskets[:0]
    least = max(math.ceil(settings.minimum_support * seen.shape[0]), LEAST_TOGETHER + 1)
    pairs = pair_counts(seen, least)
    if pairs.nnz > MOST_PAIRS:
        least = max(least, int(np.partition(pairs.data, -MOST_PAIRS)[-MOST_PAIRS]) + 1)
    thinned = _thin(_triangles(seen, pairs >= least))
    frequent = np.flatnonzero(thinned.sum(axis=0) >= least)
    if thinned.shape[0] < least or len(frequent) < 3:
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    return _grown(thinned[:, frequent], frequent, least, settings.minimum_confidence)


def _triangles(baskets: sparse.csr_array, pairs: sparse.csr_array) -> sparse.csr_array:
    """Each basket's items with two partners in it: no other can be of a frequent triple. Half of all lines go."""
    above = pairs.astype(np.float32)
    kept = baskets * (baskets @ (above + above.T))
    kept.data = (kept.data > 1).astype(np.float32)
    kept.eliminate_zeros()
    return kept


def _grown(thinned: sparse.csr_array, names: Ints, least: int, confidence: float) -> tuple[Ints, Ints]:
    import pandas as pd  # noqa: PLC0415  # 27 MB in each process, training only
    from mlxtend.frequent_patterns import association_rules, fpgrowth  # noqa: PLC0415  # two seconds, training only

    frame: pd.DataFrame = pd.DataFrame.sparse.from_spmatrix(sparse.csc_matrix(thinned.astype(bool)))  # type: ignore[attr-defined]
    sets = fpgrowth(frame, min_support=(least - 0.5) / thinned.shape[0], max_len=3)
    if not (sets["itemsets"].map(len) == 3).any():
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    measures = ["confidence"]  # some of the others divide by zero when an item is in every basket
    found = association_rules(sets, metric="confidence", min_threshold=confidence, return_metrics=measures)
    found = found[(found["antecedents"].map(len) == 2) & (found["consequents"].map(len) == 1)]
    antecedents = np.array([sorted(pair) for pair in found["antecedents"]], np.int64).reshape(-1, 2)
    consequents = np.array([next(iter(one)) for one in found["consequents"]], np.int64)
    return names[antecedents], names[consequents]


def _thin(baskets: sparse.csr_array) -> sparse.csr_array:
    """Baskets of at least three items, each cut to its LONGEST_BASKET most popular ones."""
    kept = [np.sort(columns)[:LONGEST_BASKET] for columns, _ in rows_of(baskets) if len(columns) > 2]
    sizes = np.array([len(columns) for columns in kept], np.int64)
    columns = np.concatenate(kept) if kept else np.empty(0, np.int64)
    return sparse.csr_array(
        (np.ones(len(columns), np.float32), columns, np.concatenate([[0], np.cumsum(sizes)])),
        shape=(len(kept), baskets.shape[1]),
    )


def _met(ranked: sparse.csr_array, buyers: sparse.csr_array) -> tuple[sparse.csr_array, npt.NDArray[np.int32]]:
    """Of the ranked pairs those that at least LEAST_TOGETHER bought, and more than by chance (lift > 1), with how many
    bought both."""
    if not ranked.nnz:
        return ranked, np.empty(0, np.int32)
    whole = buyers.astype(np.int32)
    columns = sparse.csr_array(whole.T)
    total, bought = np.int64(whole.shape[0]), whole.sum(axis=0, dtype=np.int64)

    def met(rows: slice) -> tuple[sparse.csr_array, npt.NDArray[np.int32]]:
        block = ranked[rows]
        both = sparse.coo_array((columns[rows] @ whole) * (block > 0))
        kept = (both.data >= LEAST_TOGETHER) & (both.data * total > bought[rows.start + both.row] * bought[both.col])
        count = sparse.csr_array((both.data[kept], (both.row[kept], both.col[kept])), shape=block.shape)
        count.sort_indices()
        return block * (count > 0), count.data

    found = each(met, blocks(ranked.shape[0]))
    counts = [count for _, count in found]
    table = neighbours.table([told for told, _ in found], ranked.shape[1])
    return table, np.concatenate([*counts, np.empty(0, np.int32)]).astype(np.int32)


def _counted(
    buyers: sparse.csr_array, antecedents: Ints, consequents: Ints, confidence: float
) -> tuple[npt.NDArray[np.int32], ...]:
    """The rules better than chance and at least as confident, with exact counts: antecedents, consequents, buyers of
    all three, buyers of both antecedents."""
    columns = sparse.csc_array(buyers)
    support, held = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for rows in blocks(len(consequents)):
        pair, item = antecedents[rows], consequents[rows]
        both = columns[:, pair[:, 0]] * columns[:, pair[:, 1]]
        held.append(both.sum(axis=0).astype(np.int32))
        support.append((both * columns[:, item]).sum(axis=0).astype(np.int32))
    all_support, all_held = np.concatenate(support), np.concatenate(held)
    bought = columns.sum(axis=0).astype(np.int64)[consequents]
    kept = (all_support * np.int64(buyers.shape[0]) > all_held * bought) & (all_support >= confidence * all_held)
    return antecedents[kept].astype(np.int32), consequents[kept].astype(np.int32), all_support[kept], all_held[kept]
