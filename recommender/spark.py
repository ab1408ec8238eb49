"""The two sources that need most of a machine, learned on Spark from the files of the warehouse (the extra `spark`).

Spark counts pairs, grows rules (FP-growth; H. Li et al., PFP, RecSys 2008) and factors tastes (ALS; Y. Hu et al., ICDM
2008). What comes of it is kept as what one machine learns is: item-to-item tables, in the same files, answered from in
the same way. ALS folds a person's history in by one product: factors x their inverse Gram matrix x factors. Support,
confidence and lift are counted exactly, as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from engine.warehouse.spark import Spark
from recommender import blend
from recommender.algebra import blocks
from recommender.arrays import Ints, Mask
from recommender.interactions import EVENT_WEIGHTS, HALF_LIFE_DAYS, LARGEST_BASKET, Interactions
from recommender.sources import collaborative, neighbours, rules
from recommender.sources.base import Settings, Source
from recommender.sources.blended import Blended, Part
from recommender.sources.collaborative import Collaborative
from recommender.sources.rules import LEAST_TOGETHER, LONGEST_BASKET, MOST_PAIRS, SHRINK, Rules
from recommender.sources.weighing import Weighing

KEPT: Final = 100  # companions of an item that leave Spark
FACTORS: Final = 64
ROUNDS: Final = 10
ALPHA: Final = 20.0  # confidence that a taste of 1 adds to what was not looked at
REGULAR: Final = 0.05

Learn = Callable[..., Source]  # as Source.fit

_KEPT: Final = {  # the files of the warehouse may be replaced while Spark is at work
    "kept_orders": "SELECT id, contact_id, ordered_at FROM orders",
    "kept_lines": "SELECT order_id, item_id, quantity FROM order_lines",
    "kept_items": "SELECT id FROM items WHERE recommendable",
    "kept_events": "SELECT contact_id, item_id, type, occurred_at FROM events"
    f" WHERE contact_id IS NOT NULL AND type IN ({', '.join(map(repr, EVENT_WEIGHTS))})",
}
_LINES: Final = """
    SELECT l.order_id, l.item_id, max(o.contact_id) AS contact_id, max(o.ordered_at) AS at, sum(l.quantity) AS units
    FROM kept_lines l JOIN kept_orders o ON o.id = l.order_id JOIN kept_items i ON i.id = l.item_id
    WHERE o.ordered_at >= :since AND o.ordered_at < :until
    GROUP BY l.order_id, l.item_id
"""
_WEIGHTS: Final = " ".join(f"WHEN '{name}' THEN {weight}" for name, weight in EVENT_WEIGHTS.items())
_TASTES: Final = f"""
    SELECT contact_id, item_id,
        CAST(least(sum(weight * pow(2, -greatest(age, 0) / {HALF_LIFE_DAYS})), 1) AS FLOAT) AS taste
    FROM (
        SELECT contact_id, item_id, 1.0 AS weight,
            (unix_micros(:until) - max(unix_micros(at)) FILTER (WHERE units > 0)) / 86400e6 AS age
        FROM lines WHERE contact_id IS NOT NULL GROUP BY contact_id, item_id HAVING sum(units) > 0
        UNION ALL
        SELECT e.contact_id, e.item_id, CASE e.type {_WEIGHTS} END AS weight,
            (unix_micros(:until) - unix_micros(e.occurred_at)) / 86400e6 AS age
        FROM kept_events e JOIN kept_items i ON i.id = e.item_id
        WHERE e.occurred_at >= :since AND e.occurred_at < :until
    ) GROUP BY contact_id, item_id
"""
_BASKETS: Final = f"""
    SELECT order_id, item_id, at, size FROM (
        SELECT *, count(*) OVER (PARTITION BY order_id) AS size FROM lines WHERE units > 0
    ) WHERE size <= {LARGEST_BASKET}
"""
_RECENT: Final = """
    SELECT order_id, item_id, size, pow(2, -2 * (last - moment) / greatest(last - first, 1)) AS recent
    FROM (SELECT *, unix_micros(at) AS moment FROM baskets)
    CROSS JOIN (SELECT max(unix_micros(at)) AS last, min(unix_micros(at)) AS first FROM baskets)
"""
_PAIRS: Final = f"""
    SELECT a.item_id AS one, b.item_id AS other, count(*) AS orders, sum(a.recent / (a.size - 1)) AS weight
    FROM recent a JOIN recent b ON a.order_id = b.order_id AND a.item_id < b.item_id
    GROUP BY 1, 2 HAVING count(*) >= {LEAST_TOGETHER}
"""
_COMPANIONS: Final = f"""
    SELECT one, other, score FROM (
        SELECT *, row_number() OVER (PARTITION BY one ORDER BY score DESC, other) AS place FROM (
            SELECT p.one, p.other, p.weight / sqrt((a.held + {SHRINK}) * (b.held + {SHRINK})) AS score
            FROM (SELECT one, other, weight FROM pairs UNION ALL SELECT other, one, weight FROM pairs) p
            JOIN held a ON a.item_id = p.one JOIN held b ON b.item_id = p.other
        )
    ) WHERE place <= {KEPT}
"""


@dataclass(frozen=True)
class Learner:
    """spark: shows the tables of the warehouse; since: what happened before it is not learned from."""

    spark: Spark
    since: datetime

    @classmethod
    def of(cls, spark: Spark, since: datetime) -> Learner:
        """Over the tables that Spark shows now."""
        for name, query in _KEPT.items():
            spark.view(name, query, keep=True)
        return cls(spark, since)

    @property
    def sources(self) -> Mapping[str, Learn]:
        """What Spark learns in place of this machine."""
        return {Rules.name: self.rules, Collaborative.name: self.collaborative}

    def rules(self, interactions: Interactions, settings: Settings, *, seed: int) -> Rules:
        """Companions by a cosine of baskets, of which large and old ones count less; rules of two by FP-growth."""
        self._lines(interactions)
        self.spark.view("baskets", _BASKETS, keep=True)
        self.spark.view("recent", _RECENT, keep=True)
        self.spark.view("held", "SELECT item_id, sum(recent) AS held FROM recent GROUP BY item_id", keep=True)
        self.spark.view("pairs", _PAIRS, keep=True)
        found = self.spark.query(_COMPANIONS)
        table = neighbours.strongest(_square(found, interactions), interactions.offerable)
        mix = _alone("cosine", Part(Weighing("context"), table), rules.known(interactions))
        return Rules.told(mix, table, self._mined(interactions, settings), interactions, settings)

    def collaborative(self, interactions: Interactions, settings: Settings, *, seed: int) -> Collaborative:
        """Tastes as factors, folded into a table of items."""
        self._lines(interactions)
        tastes = self.spark.frame(_TASTES, **self._bounds(interactions))
        found = self.spark.factored(
            tastes, ("contact_id", "item_id", "taste"), factors=FACTORS, rounds=ROUNDS, regular=REGULAR, alpha=ALPHA,
            seed=seed,
        )  # fmt: skip
        factors = np.zeros((len(interactions.item_ids), FACTORS), np.float32)
        numbers = interactions.numbers(found["id"].to_numpy().astype(np.int64))
        known = numbers >= 0
        if known.any():
            factors[numbers[known]] = np.stack(found["features"].to_pylist()).astype(np.float32)[known]
        table = folded(factors, interactions.offerable)
        weighing = Weighing("past", half_life_days=HALF_LIFE_DAYS)
        return Collaborative(_alone("als", Part(weighing, table), collaborative.known(interactions)), table)

    def _lines(self, interactions: Interactions) -> None:
        self.spark.view("lines", _LINES, given=self._bounds(interactions))

    def _bounds(self, interactions: Interactions) -> dict[str, datetime]:
        return {"since": self.since, "until": interactions.until}

    def _mined(self, interactions: Interactions, settings: Settings) -> tuple[Ints, Ints]:
        """Antecedents r x 2 and consequents r of rules of two, as recommender.sources.rules.mine."""
        nothing = np.empty((0, 2), np.int64), np.empty(0, np.int64)
        if not settings.reasons:
            return nothing
        total = self.spark.query("SELECT count(DISTINCT order_id) AS n FROM baskets")["n"][0].as_py()
        least = max(math.ceil(settings.minimum_support * total), LEAST_TOGETHER + 1)
        limit = f"SELECT orders FROM pairs ORDER BY orders DESC LIMIT 1 OFFSET {MOST_PAIRS}"
        beyond = self.spark.query(limit)["orders"].to_pylist()
        least = max([least, *(orders + 1 for orders in beyond)])
        baskets = self.spark.frame(_thinned(least))
        found = self.spark.grown(baskets, "items", least / max(total, 1), settings.minimum_confidence, most=3)
        if not len(found):
            return nothing
        pairs = interactions.numbers(np.array(found["antecedent"].to_pylist(), np.int64).ravel()).reshape(-1, 2)
        single = interactions.numbers(np.array(found["consequent"].to_pylist(), np.int64).ravel())
        kept = (pairs >= 0).all(axis=1) & (single >= 0)
        pairs, single = np.sort(pairs[kept], axis=1), single[kept]
        order = np.lexsort((single, pairs[:, 1], pairs[:, 0]))
        return pairs[order], single[order]


def _thinned(least: int) -> str:
    """Baskets of the items that have two frequent partners in them, the most bought ones: no other can be of a frequent
    set of three, and long baskets turn minutes into hours.
    """
    return f"""
        SELECT collect_list(item_id) AS items FROM (
            SELECT order_id, item_id, row_number() OVER (PARTITION BY order_id ORDER BY held DESC, item_id) AS place
            FROM (
                SELECT b.order_id, b.item_id, max(h.held) AS held FROM baskets b
                JOIN (SELECT one, other FROM pairs WHERE orders >= {int(least)}
                      UNION ALL SELECT other, one FROM pairs WHERE orders >= {int(least)}) p ON p.one = b.item_id
                JOIN baskets c ON c.order_id = b.order_id AND c.item_id = p.other
                JOIN held h ON h.item_id = b.item_id
                GROUP BY b.order_id, b.item_id HAVING count(*) >= 2
            )
        ) WHERE place <= {LONGEST_BASKET} GROUP BY order_id HAVING count(*) >= 3
    """


def folded(factors: npt.NDArray[np.float32], offerable: Mask) -> sparse.csr_array:
    """items x items: what ALS says of each item to who has another, the strongest of each."""
    width = len(factors)
    gram = factors.T @ factors + REGULAR * np.eye(factors.shape[1], dtype=np.float32)
    left = (linalg.solve(gram, factors.T, assume_a="pos").T if width else factors).astype(np.float32)
    found = [sparse.csr_array(np.maximum(left[rows] @ factors.T, 0)) for rows in blocks(width)]
    most = neighbours.room(width)
    kept = [
        neighbours.largest(one, most, offerable, rows.start) for one, rows in zip(found, blocks(width), strict=True)
    ]
    return neighbours.table(kept, width)


def _alone(name: str, part: Part, priors: Mapping[str, Any]) -> Blended:
    return Blended({name: part}, priors, blend.alone(name), {})


def _square(found: Any, interactions: Interactions) -> sparse.csr_array:
    """items x items from rows of one, other and score."""
    width = len(interactions.item_ids)
    one, other = (interactions.numbers(found[name].to_numpy().astype(np.int64)) for name in ("one", "other"))
    score, known = found["score"].to_numpy().astype(np.float32), (one >= 0) & (other >= 0)
    return sparse.csr_array((score[known], (one[known], other[known])), shape=(width, width))
