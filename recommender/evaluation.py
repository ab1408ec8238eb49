"""How good a training is, honestly: learn from before a moment, ask about after it, rank the whole catalogue.

Two tasks, as they serve: `for_you` (what will this contact buy that they had not bought before; what they had is
neither asked about nor offered) and `cross_sell` (which item was hidden from this order). Never against a sample of
other items: that flatters and can turn the order of methods around (W. Krichene and S. Rendle, KDD 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.database import EPOCH
from recommender.fitted import Fitted, stack
from recommender.interactions import DAY, NOBODY, Interactions, Ints, Log, tastes
from recommender.sources.base import Query

TOP: Final = 10
TEST_SHARE: Final = 0.1  # of the purchases
TEST_DAYS: Final = 28  # at most
MOST_CASES: Final = 3000  # of a task
LARGEST: Final = 60  # items of an order that asks; hidden items: at most HIDDEN of an order
HIDDEN: Final = 3
TASKS: Final = {  # task -> sources in order
    "for_you": ("collaborative", "popular"),
    "cross_sell": ("rules", "popular"),
}
BASELINE: Final = ("popular",)
ASKED: Final = tuple(dict.fromkeys(name for names in (*TASKS.values(), BASELINE) for name in names))


@dataclass(frozen=True)
class Case:
    """given: item ids with weights; truth: item ids; owned: item ids that may not be offered."""

    given: Ints
    weights: npt.NDArray[np.float64]
    truth: Ints
    owned: Ints


@dataclass(frozen=True)
class Metrics:
    """Means over cases: hit rate, recall (over at most 10 truths), nDCG, reciprocal rank, all at 10; coverage: share
    of the items that appear in any answer.
    """

    cases: int
    hit_rate: float
    recall: float
    ndcg: float
    mrr: float
    coverage: float


@dataclass(frozen=True)
class Score:
    """Metrics and what they are the mean of: nDCG of each case."""

    metrics: Metrics
    ndcg: npt.NDArray[np.float64]


def cut(interactions: Interactions) -> datetime:
    """Where the test begins: before the last tenth of all purchases, at most TEST_DAYS before the last one."""
    at = interactions.lines.at
    start = max(int(np.quantile(at, 1 - TEST_SHARE, method="lower")), int(at.max()) - TEST_DAYS * DAY)
    return EPOCH + timedelta(microseconds=start)


def cases(before: Interactions, after: Interactions, *, seed: int) -> dict[str, list[Case]]:
    """The questions of both tasks, about what happened after what was learned from."""
    return {"for_you": for_you(before, after, seed=seed), "cross_sell": cross_sell(before, after, seed=seed)}


def for_you(before: Interactions, after: Interactions, *, seed: int) -> list[Case]:
    """Contacts who bought before and after."""
    past, future = before.kept, _offerable(after, after.lines)
    future = future.take((future.contact != NOBODY) & np.isin(future.item, np.unique(before.lines.item)))
    future = future.take(np.argsort(future.contact, kind="stable"))
    who, item, weight = tastes(past, before.seen, before.until)
    found = []
    for contact in _some(np.intersect1d(past.contact, future.contact), seed):
        owned, known = past.item[_span(past.contact, contact)], _span(who, contact)
        truth = np.setdiff1d(future.item[_span(future.contact, contact)], owned)
        if len(truth):
            found.append(Case(item[known], weight[known], truth, owned))
    return found


def cross_sell(before: Interactions, after: Interactions, *, seed: int) -> list[Case]:
    """Orders of 2 to LARGEST known items, each with up to HIDDEN of its items hidden in turn."""
    random = np.random.default_rng(seed)
    lines = _offerable(after, after.lines)
    lines = lines.take(np.isin(lines.item, np.unique(before.lines.item)))
    _, starts, sizes = np.unique(lines.order, return_index=True, return_counts=True)
    fit = (sizes > 1) & (sizes <= LARGEST)
    found = []
    for order in _some(np.flatnonzero(fit), seed, MOST_CASES // HIDDEN):
        basket = lines.item[starts[order] : starts[order] + sizes[order]]
        for hidden in random.choice(basket, min(HIDDEN, len(basket)), replace=False):
            given = basket[basket != hidden]
            found.append(Case(given, np.ones(len(given)), np.array([hidden]), given))
    return found


def score(fitted: Fitted, task: str, asked: Sequence[Case], sources: Sequence[str] | None = None) -> Score | None:
    """Let `fitted` answer; None when there is nothing to ask."""
    if not asked:
        return None
    width = len(fitted.item_ids)
    known = _numbers(fitted, [case.given for case in asked])
    given = stack([(items, case.weights) for items, case in zip(known, asked, strict=True)], width)
    owned = stack([(items, np.ones(len(items))) for items in _numbers(fitted, [case.owned for case in asked])], width)
    none = stack([((), ())] * len(asked), width)
    context, history = (given, none) if task == "cross_sell" else (none, given)
    query = Query(context, history, owned, np.ones(width, bool))
    chosen = fitted.choose(sources or TASKS[task], query, TOP)
    truths = _numbers(fitted, [case.truth for case in asked])
    hits = [np.isin([one.item for one in found], truth) for found, truth in zip(chosen, truths, strict=True)]
    shown = {one.item for found in chosen for one in found}
    return _scored(hits, [len(case.truth) for case in asked], len(shown) / max(width, 1))


def compare(new: Score, old: Score) -> tuple[float, float]:
    """How much better `new` is on the same cases, mean nDCG@10 and its standard error."""
    difference = new.ndcg - old.ndcg
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def to_json(found: Score | None) -> dict[str, float] | None:
    """For the training's row."""
    return {name: round(value, 5) for name, value in asdict(found.metrics).items()} if found else None


def _numbers(fitted: Fitted, lists: Sequence[Ints]) -> list[Ints]:
    """Item numbers of many lists of ids, looked up at once."""
    return np.split(fitted.numbers(np.concatenate(lists)), np.cumsum([len(ids) for ids in lists])[:-1])


def _scored(hits: list[npt.NDArray[np.bool_]], sizes: list[int], coverage: float) -> Score:
    discount = 1 / np.log2(np.arange(2, TOP + 2))
    best = np.cumsum(discount)
    ndcg = np.array(
        [(hit * discount[: len(hit)]).sum() / best[min(size, TOP) - 1] for hit, size in zip(hits, sizes, strict=True)]
    )
    recall = [hit.sum() / min(size, TOP) for hit, size in zip(hits, sizes, strict=True)]
    reciprocal = [1 / (int(hit.argmax()) + 1) if hit.any() else 0.0 for hit in hits]
    means = (np.mean([hit.any() for hit in hits]), np.mean(recall), ndcg.mean(), np.mean(reciprocal), coverage)
    return Score(Metrics(len(hits), *map(float, means)), ndcg)


def _offerable(interactions: Interactions, lines: Log) -> Log:
    return lines.take(interactions.offerable[interactions.numbers(lines.item)])


def _span(ordered: Ints, value: int) -> slice:
    """Where `value` stands in an ordered array."""
    return slice(int(np.searchsorted(ordered, value)), int(np.searchsorted(ordered, value, side="right")))


def _some(values: Ints, seed: int, most: int = MOST_CASES) -> list[int]:
    """At most `most` of the values, drawn without favour."""
    chosen = np.random.default_rng(seed).permutation(values)[:most]
    return [int(value) for value in np.sort(chosen)]
