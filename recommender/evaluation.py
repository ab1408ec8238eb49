"""How good a training is, honestly: learn from before a moment, ask about after it, rank the whole catalogue.

Tasks as they serve: `for_you` (what will this contact buy that they had not bought before; what they had is neither
asked about nor offered), `cross_sell` (which item was hidden from this order), `next_purchase` (what is in a contact's
next order, had before or not) and `session` (the next click on something new). Never against a sample of
other items: that flatters and can turn the order of methods around (W. Krichene and S. Rendle, KDD 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from engine.database import EPOCH
from recommender.arrays import DAY, Ints, Mask, distinct, ordered, places
from recommender.fitted import Fitted, stack
from recommender.interactions import NOBODY, Interactions, Log, numbers, tastes
from recommender.sources.base import NOTHING, Query
from recommender.trail import Trail

Floats64 = npt.NDArray[np.float64]

TOP: Final = 10
TEST_SHARE: Final = 0.1  # of the purchases
TEST_DAYS: Final = 28  # at most
MOST_CASES: Final = 3000  # of a task
PART_CASES: Final = 1000  # of them, by which each part of a blend is judged alone
LARGEST: Final = 60  # items of an order that asks; hidden items: at most HIDDEN of an order
HIDDEN: Final = 3
TASKS: Final = {  # task -> sources in order
    "for_you": ("collaborative", "popular"),
    "cross_sell": ("rules", "popular"),
    "next_purchase": ("next_purchase", "popular"),
    "session": ("session", "popular"),
}
BASELINE: Final = ("popular",)
ASKED: Final = tuple(dict.fromkeys(name for names in (*TASKS.values(), BASELINE) for name in names))


NOTHING_DONE: Final = Trail.empty(1)
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Case:
    """given: item ids with weights; truth: item ids; owned: item ids that may not be offered; past: one row of what was
    done before, visit: of what was looked at in this visit, both by item id.
    """

    given: Ints
    weights: npt.NDArray[np.float64]
    truth: Ints
    owned: Ints
    past: Trail = NOTHING_DONE
    visit: Trail = NOTHING_DONE


@dataclass(frozen=True)
class Metrics:
    """Means over cases: hit rate, recall (over at most 10 truths), nDCG, reciprocal rank, all at 10; coverage: share
    of the items that appear in any answer; and the standard errors of two of them.
    """

    cases: int
    hit_rate: float
    recall: float
    ndcg: float
    mrr: float
    coverage: float
    hit_rate_error: float
    ndcg_error: float


@dataclass(frozen=True)
class Score:
    """Metrics and what two of them are the mean of: nDCG of each case, and whether anything was right."""

    metrics: Metrics
    ndcg: npt.NDArray[np.float64]
    hit: npt.NDArray[np.float64]


def cut(interactions: Interactions) -> datetime:
    """Where the test begins: before the last tenth of all purchases, at most TEST_DAYS before the last one."""
    at = interactions.lines.at
    start = max(int(np.quantile(at, 1 - TEST_SHARE, method="lower")), int(at.max()) - TEST_DAYS * DAY)
    return EPOCH + timedelta(microseconds=start)


def split(interactions: Interactions, moment: datetime) -> tuple[Interactions, Interactions]:
    """What happened before, and from `moment` on."""
    return interactions.between(EPOCH, moment), interactions.between(moment, interactions.until)


def cases(before: Interactions, after: Interactions, *, seed: int, most: int = MOST_CASES) -> dict[str, list[Case]]:
    """The questions of all tasks, at most so many of each, about what happened after what was learned from."""
    return {task: asks(before, after, seed=seed, most=most) for task, asks in ASKS.items()}


def for_you(before: Interactions, after: Interactions, *, seed: int, most: int = MOST_CASES) -> list[Case]:
    """Contacts who bought before and after."""
    future = _known(before, after)
    future = future.take(future.contact != NOBODY)
    future = future.take(ordered(future.contact))
    chosen = _some(_both(before.kept.contact, future.contact), seed, most)
    past, seen = (log.take(places(np.array(chosen, np.int64), log.contact) >= 0) for log in (before.kept, before.seen))
    who, item, weight = tastes(past, seen, before.until)
    found = []
    for contact in chosen:
        owned, known = past.item[_span(past.contact, contact)], _span(who, contact)
        truth = np.setdiff1d(future.item[_span(future.contact, contact)], owned)
        if len(truth):
            found.append(Case(item[known], weight[known], truth, owned, _done(before, contact)))
    return found


def _done(before: Interactions, contact: int) -> Trail:
    trail = before.trails.of_row(int(np.searchsorted(before.people, contact)))
    return trail.renamed(before.item_ids[trail.items])


def cross_sell(before: Interactions, after: Interactions, *, seed: int, most: int = MOST_CASES) -> list[Case]:
    """Orders of 2 to LARGEST known items, each with up to HIDDEN of its items hidden in turn."""
    random = np.random.default_rng(seed)
    lines = _known(before, after)
    _, starts, sizes = np.unique(lines.order, return_index=True, return_counts=True)
    fit = (sizes > 1) & (sizes <= LARGEST)
    found = []
    for order in _some(np.flatnonzero(fit), seed, most // HIDDEN):
        basket = lines.item[starts[order] : starts[order] + sizes[order]]
        for hidden in random.choice(basket, min(HIDDEN, len(basket)), replace=False):
            given = basket[basket != hidden]
            found.append(Case(given, np.ones(len(given)), np.array([hidden]), given))
    return found


def next_purchase(before: Interactions, after: Interactions, *, seed: int, most: int = MOST_CASES) -> list[Case]:
    """The first order of each contact who bought before; what they had may be in it."""
    lines = _known(before, after)
    lines = lines.take(lines.contact != NOBODY)
    lines = lines.take(ordered(lines.order, lines.at, lines.contact))
    found = []
    for contact in _some(_both(before.kept.contact, lines.contact), seed, most):
        span = _span(lines.contact, contact)
        first = lines.order[span.start]
        truth = np.unique(lines.item[span][lines.order[span] == first])
        past = _done(before, contact)
        found.append(Case(past.items.astype(np.int64), past.weights.astype(np.float64), truth, _NONE, past))
    return found


def session(before: Interactions, after: Interactions, *, seed: int, most: int = MOST_CASES) -> list[Case]:
    """The next click of a visit, where it is on something new."""
    return [case for case in _clicks(before, after, seed, most) if case.truth[0] not in case.owned]


def returning(before: Interactions, after: Interactions, *, seed: int, most: int = MOST_CASES) -> list[Case]:
    """The next click of a visit, which may go back."""
    return [replace(case, owned=_NONE) for case in _clicks(before, after, seed, most)]


def _clicks(before: Interactions, after: Interactions, seed: int, most: int) -> list[Case]:
    known = np.isin(after.item_ids, before.item_ids[distinct(before.visits.items.astype(np.int64))])
    visits = after.visits.where(known[after.visits.items])
    visits = visits.renamed(after.item_ids[visits.items])
    found, rows = [], visits.rows
    for entry in _some(np.flatnonzero(rows == np.append(-1, rows[:-1])), seed, most):
        row = int(rows[entry])
        begun = visits.of_row(row)
        so_far = begun.where(np.arange(len(begun.items)) < entry - visits.starts[row])
        truth = visits.items[entry : entry + 1].astype(np.int64)
        found.append(Case(_NONE, np.empty(0), truth, np.unique(so_far.items).astype(np.int64), visit=so_far))
    return found


ASKS: Final = {
    "for_you": for_you,
    "cross_sell": cross_sell,
    "next_purchase": next_purchase,
    "session": session,
    "returning": returning,
}


@dataclass(frozen=True)
class Questions:
    """Cases as a training with these items is asked them. truth: item numbers of each; sizes: how many truths each
    has, known or not.
    """

    query: Query
    truth: list[Ints]
    sizes: list[int]

    @classmethod
    def of(cls, task: str, asked: Sequence[Case], item_ids: Ints, offerable: Mask | None = None) -> Self:
        """Numbers for ids."""
        width, order = len(item_ids), np.argsort(item_ids)

        def known(lists: Sequence[Ints]) -> list[Ints]:
            whole = numbers(item_ids, np.concatenate(lists), order)
            return np.split(whole, np.cumsum([len(ids) for ids in lists])[:-1])

        weights = [case.weights for case in asked]
        given = stack(list(zip(known([case.given for case in asked]), weights, strict=True)), width)
        owned = stack([(items, np.ones(len(items))) for items in known([case.owned for case in asked])], width)
        none = stack([((), ())] * len(asked), width)
        past, visit = (
            trail.renamed(numbers(item_ids, trail.items.astype(np.int64), order))
            for trail in (Trail.stack([case.past for case in asked]), Trail.stack([case.visit for case in asked]))
        )
        context, history = (given, none) if task == "cross_sell" else (none, given)
        allowed = np.ones(width, bool) if offerable is None else offerable
        query = Query(context, history, owned, allowed, past, visit)
        return cls(query, known([case.truth for case in asked]), [len(case.truth) for case in asked])

    def only(self, rows: Ints) -> Questions:
        """Some of them."""
        truth, sizes = [self.truth[row] for row in rows], [self.sizes[row] for row in rows]
        return Questions(self.query.only(rows), truth, sizes)

    def hits(self, found: npt.NDArray[np.int32]) -> list[Mask]:
        """For each question which of the items found, best first, are true."""
        rows = zip(found[:, :TOP], self.truth, strict=True)
        return [np.isin(items[items != NOTHING], truth) for items, truth in rows]

    def ndcg(self, found: npt.NDArray[np.int32]) -> Floats64:
        """nDCG@10 of each question."""
        return _ndcg(self.hits(found), self.sizes)


def score(fitted: Fitted, task: str, asked: Sequence[Case], sources: Sequence[str] | None = None) -> Score | None:
    """Let `fitted` answer; None when there is nothing to ask."""
    if not asked:
        return None
    questions = Questions.of(task, asked, fitted.item_ids)
    chosen = fitted.choose(sources or TASKS[task], questions.query, TOP)
    found = np.full((len(chosen), TOP), NOTHING, np.int32)
    for row, items in enumerate(chosen):
        found[row, : len(items)] = [one.item for one in items]
    shown = len(np.unique(found[found != NOTHING]))
    return _scored(questions.hits(found), questions.sizes, shown / max(len(fitted.item_ids), 1))


def parts(fitted: Fitted, task: str, asked: Sequence[Case]) -> dict[str, Score]:
    """How well each part of what answers the task would by itself, on up to PART_CASES of the cases."""
    name = TASKS[task][0]
    source: Any = fitted.sources.get(name)
    some = asked[:: -(-len(asked) // PART_CASES) or 1]
    found: dict[str, Score] = {}
    for part in source.mix.parts if source and some else ():
        alone = replace(fitted, sources={**fitted.sources, name: replace(source, mix=source.mix.only(part))})
        scored = score(alone, task, some)
        found |= {part: scored} if scored else {}
    return found


def compare(new: Score, old: Score) -> tuple[float, float]:
    """How much better `new` is on the same cases, mean nDCG@10 and its standard error."""
    return _gain(new.ndcg, old.ndcg)


def gain(new: Score | None, old: Score | None) -> dict[str, float] | None:
    """The same for the training's row, and for the hit rate: a difference of paired cases, with its standard error."""
    if new is None or old is None:
        return None
    (ndcg, ndcg_error), (hits, hits_error) = _gain(new.ndcg, old.ndcg), _gain(new.hit, old.hit)
    found = {"hit_rate": hits, "hit_rate_error": hits_error, "ndcg": ndcg, "ndcg_error": ndcg_error}
    return {name: round(value, 5) for name, value in found.items()}


def _gain(new: Floats64, old: Floats64) -> tuple[float, float]:
    return float((new - old).mean()), error(new - old)


def error(values: Floats64) -> float:
    """Standard error of the mean."""
    return float(values.std() / np.sqrt(len(values)))


def to_json(found: Score | None) -> dict[str, float] | None:
    """For the training's row."""
    return {name: round(value, 5) for name, value in asdict(found.metrics).items()} if found else None


def _ndcg(hits: Sequence[Mask], sizes: Sequence[int]) -> Floats64:
    discount = 1 / np.log2(np.arange(2, TOP + 2))
    best = np.cumsum(discount)
    rows = zip(hits, sizes, strict=True)
    return np.array([(hit * discount[: len(hit)]).sum() / best[min(size, TOP) - 1] for hit, size in rows])


def _scored(hits: Sequence[Mask], sizes: Sequence[int], coverage: float) -> Score:
    ndcg = _ndcg(hits, sizes)
    recall = [hit.sum() / min(size, TOP) for hit, size in zip(hits, sizes, strict=True)]
    reciprocal = [1 / (int(hit.argmax()) + 1) if hit.any() else 0.0 for hit in hits]
    right = np.array([hit.any() for hit in hits], np.float64)
    means = (right.mean(), np.mean(recall), ndcg.mean(), np.mean(reciprocal), coverage, error(right), error(ndcg))
    return Score(Metrics(len(hits), *map(float, means)), ndcg, right)


def _known(before: Interactions, after: Interactions) -> Log:
    """What was bought after, of items that may be offered and were bought before."""
    lines = after.lines.take(after.offerable[after.numbers(after.lines.item)])
    return lines.take(places(distinct(before.lines.item), lines.item) >= 0)


def _both(first: Ints, second: Ints) -> Ints:
    """The contacts of both."""
    known = distinct(second)
    return known[places(distinct(first), known) >= 0]


def _span(ordered: Ints, value: int) -> slice:
    """Where `value` stands in an ordered array."""
    return slice(int(np.searchsorted(ordered, value)), int(np.searchsorted(ordered, value, side="right")))


def _some(values: Ints, seed: int, most: int) -> list[int]:
    """At most `most` of the values, drawn without favour."""
    chosen = np.random.default_rng(seed).permutation(values)[:most]
    return [int(value) for value in np.sort(chosen)]
