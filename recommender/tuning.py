"""Settings for this shop, chosen on a validation period and never on a test: `rapport train --tune`.

Of each blended source first the parts, by how well each part alone ranks: of settings that hang together, such as how
fast tastes fade and how strongly a regression is held back, every combination of a short list, then one setting after
the other. A setting is changed only where the same questions say so by CAUTION standard errors. Then the weights of the
blend, drawn the more towards the best part alone the fewer the questions, and kept only where two halves of the
questions, each answered with weights learned from the other half, say that it beats that part by more than the standard
error: whatever was better by less was not so later.

Large shops tune on SAMPLED purchases and views of contacts and visitors drawn by chance, and no part searches for
longer than PATIENCE: what it had found by then holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from scipy import sparse

from recommender import blend, evaluation
from recommender.blend import Choices
from recommender.evaluation import Case, Floats64, Questions
from recommender.interactions import NOBODY, Interactions, Log
from recommender.sources import SOURCES
from recommender.sources.base import Candidates, Settings, best, rows_of
from recommender.sources.blended import BLOCK, Blended, Recipe, Speaks
from recommender.sources.collaborative import RECIPE as FOR_YOU
from recommender.sources.next_purchase import RECIPE as NEXT_PURCHASE
from recommender.sources.rules import RECIPE as CROSS_SELL
from recommender.sources.session import RECIPE as SESSION
from recommender.sources.session import Session

RECIPES: Final = {
    "cross_sell": CROSS_SELL,
    "for_you": FOR_YOU,
    "next_purchase": NEXT_PURCHASE,
    "session": SESSION,
}  # task -> what it tunes
STEPS: Final = sum(len(recipe.usual) + 1 for recipe in RECIPES.values())  # that progress is told of
MOST: Final = 12_000  # questions of a task, from which the weights are learned
CLIMBED: Final = 3_000  # of them, by which settings of the parts are chosen
FEWEST: Final = 200  # questions of a task, to choose anything
SAMPLED: Final = 2_000_000  # purchases and views; of more, those of contacts and visitors drawn by chance
HEAD: Final = 4_000  # items of regressions while settings are chosen: an eighth of the time of 10,000
PATIENCE: Final = 240.0  # seconds after which a part goes on with what it found
CAUTION: Final = 0.5  # standard errors by which a setting must be better
WORTH: Final = 5e-4  # share by which it must be better at least
SHORT: Final = 6  # values of a setting that are all tried
ROUNDS: Final = 3
STRENGTHS: Final = (1.0, 10.0, 100.0, 1000.0)  # how firmly the weights of a blend are held to the best part alone

Asked = Mapping[str, Sequence[Case]]
Split = Callable[[Interactions], tuple[Interactions, Asked]]


@dataclass(frozen=True)
class Teller:
    """Who hears of it. say: what was found; step: what is done next, STEPS times if no task has too few questions."""

    say: Callable[[str], None] = lambda _: None
    step: Callable[[str], None] = lambda _: None


SILENT: Final = Teller()


def by_time(interactions: Interactions, *, seed: int) -> tuple[Interactions, Asked]:
    """What happened before the last tenth, and the questions about it."""
    before, after = evaluation.split(interactions, evaluation.cut(interactions))
    return before, evaluation.cases(before, after, seed=seed, most=MOST)


def sampled(interactions: Interactions, most: int = SAMPLED, *, seed: int = 1) -> Interactions:
    """All of some contacts and visitors, and some orders of guests: about `most` purchases and views."""
    share = most / max(len(interactions.purchases) + len(interactions.views), 1)
    if share >= 1:
        return interactions
    random = np.random.default_rng(seed)
    chosen = random.random(1 + max(int(log.contact.max(initial=0)) for log in _logs(interactions))) < share
    purchases, views = (_drawn(log, chosen, share, random) for log in _logs(interactions))
    return Interactions(purchases, views, interactions.items, interactions.until)


def _logs(interactions: Interactions) -> tuple[Log, Log]:
    return interactions.purchases, interactions.views


def _drawn(log: Log, chosen: Any, share: float, random: np.random.Generator) -> Log:
    """What the chosen contacts did, and of orders and visits of nobody known a share."""
    numbers, place = np.unique(log.order, return_inverse=True)
    return log.take(np.where(log.contact == NOBODY, (random.random(len(numbers)) < share)[place], chosen[log.contact]))


def tune(
    interactions: Interactions, settings: Settings, split: Split, tell: Teller = SILENT, *, patience: float = PATIENCE
) -> Settings:
    """`settings` with what was chosen; a task with too few questions keeps what it has.

    Of each source tuned, `tuned` then holds `parts` (settings of each), `weights` and `centres` of the blend, of
    session also `returning`, and in `validation` how they were chosen: `until`, what was learned from, before the
    questions; `questions`, how many; `parts`, of each its
    `ndcg` (@10) alone and `ndcg_error` (standard error), with the settings it began with (`before`), and of how many
    settings it is the best (`tried`); and `blend`: the best part (`main`), its `ndcg` and `ndcg_error` on all
    questions, by how much the blend is better where it has not learned (`gain`, `gain_error`), how firmly its weights
    are held (`strength`), whether it is `kept`. `returning` is of the same shape as `blend`.
    """
    before, asked = split(sampled(interactions))
    ranks = replace(settings, reasons=False)
    chosen = dict(settings.tuned)
    for task, recipe in RECIPES.items():
        if len(asked.get(task, ())) < FEWEST:
            continue
        questions = Questions.of(task, asked[task], before.item_ids, before.offerable)
        chosen[recipe.source] = _Search(recipe, before, ranks, questions, tell, patience).run()
    if len(asked.get("returning", ())) >= FEWEST and SESSION.source in chosen:
        questions = Questions.of("returning", asked["returning"], before.item_ids, before.offerable)
        search = _Search(SESSION, before, replace(ranks, tuned=chosen), questions, tell, patience)
        returning, told = search.weigh(search.mixed(search.settings), "alike")
        validation = {**chosen[SESSION.source]["validation"], "returning": told}
        chosen[SESSION.source] = {**chosen[SESSION.source], "returning": returning, "validation": validation}
    return replace(settings, tuned=chosen)


def used(settings: Settings) -> dict[str, Any]:
    """By source what a training with these settings learns with: `parts`, settings of each; `weights` of the blend;
    whether any of it was `tuned`.
    """
    return {
        recipe.source: {
            "parts": {part: dict(recipe.chosen(part, settings)) for part in recipe.usual},
            "weights": dict(settings.tuned.get(recipe.source, {}).get("weights", recipe.weights)),
            "tuned": recipe.source in settings.tuned,
        }
        for recipe in RECIPES.values()
    }


@dataclass
class _Search:
    """The search for one source."""

    recipe: Recipe
    before: Interactions
    settings: Settings
    questions: Questions
    tell: Teller
    patience: float
    known: dict[tuple[str, str], Floats64] = field(default_factory=dict)

    @cached_property
    def some(self) -> Questions:
        """Every so many of them."""
        count = len(self.questions.truth)
        return self.questions.only(np.arange(0, count, max(count // CLIMBED, 1)))

    def run(self) -> dict[str, Any]:
        """Settings of the parts and weights of the blend, and how they were chosen."""
        parts, told = {}, {}
        for name in self.recipe.usual:
            self.tell.step(f"tuning {self.recipe.source}: {name}")
            parts[name], told[name] = self.climb(name)
        self.tell.step(f"tuning {self.recipe.source}: blend")
        tuned = replace(self.settings, tuned={self.recipe.source: {"parts": parts}})
        main = max(told, key=lambda name: float(told[name]["ndcg"]))
        mix = self.mixed(tuned)
        centres = blend.centres(mix.asked(self.questions.query).parts)
        weights, blended = self.weigh(replace(mix, centres=centres), main)
        asked = {"until": self.before.until.isoformat(), "questions": len(self.questions.truth)}
        validation = {**asked, "parts": told, "blend": blended}
        return {"parts": parts, "weights": weights, "centres": centres, "validation": validation}

    def mixed(self, settings: Settings) -> Blended:
        """What the source ranks by."""
        source: Any = SOURCES[self.recipe.source].fit(self.before, settings, seed=0)
        mix: Blended = source.for_query(self.questions.query) if isinstance(source, Session) else source.mix
        return mix

    def climb(self, part: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """From what serves now, or the usual: the best of all combinations of what hangs together, then one setting
        after the other while it pays; and what there is to tell of it.
        """
        until = time.monotonic() + self.patience
        first = best = dict(self.recipe.chosen(part, self.settings))
        best = self.best_of(part, best, self.recipe.together(part, best), until)
        for _ in range(ROUNDS):
            begun = best
            for setting, values in self.recipe.grid.get(part, {}).items():
                best = self.step(part, best, setting, values, until)
            if best == begun:
                break
        found, before = self.value(part, best), self.value(part, first)
        told = {**_mean(found), "before": round(float(before.mean()), 5), "tried": self.tried(part)}
        self.tell.say(f"{self.recipe.source}: {part} {found.mean():.4f} (was {before.mean():.4f}) with {best}")
        return best, told

    def step(
        self, part: str, best: dict[str, Any], setting: str, values: Sequence[Any], until: float
    ) -> dict[str, Any]:
        """All values of a short list, of a longer one up, then down, while it pays."""
        if len(values) <= SHORT:
            return self.best_of(part, best, ({**best, setting: value} for value in values), until)
        for by in (1, -1):
            while 0 <= (at := values.index(best[setting]) + by) < len(values):
                tried = self.best_of(part, best, [{**best, setting: values[at]}], until)
                if tried is best:
                    break
                best = tried
        return best

    def best_of(
        self, part: str, best: dict[str, Any], others: Iterator[dict[str, Any]] | list[dict[str, Any]], until: float
    ) -> dict[str, Any]:
        """The best of `others`, where it is better than `best`; of those alone for which there is time."""
        found = best
        for other in others:
            if time.monotonic() > until:
                break
            if self.value(part, other).mean() > self.value(part, found).mean():
                found = other
        gain = self.value(part, found) - self.value(part, best)
        least = max(CAUTION * evaluation.error(gain), WORTH * self.value(part, best).mean())
        return found if gain.mean() > least else best

    def value(self, part: str, chosen: Mapping[str, Any]) -> Floats64:
        """nDCG@10 of a part alone, of each question."""
        key = part, repr(sorted(chosen.items()))
        if key not in self.known:
            settings = replace(self.settings, head=min(HEAD, self.settings.head))
            self.known[key] = self.some.ndcg(self.top(self.recipe.part(part, self.before, chosen, settings)))
        return self.known[key]

    def top(self, part: Speaks) -> Any:
        """What a part by itself finds for some questions, best first."""
        query = self.some.query
        found = Candidates.empty(len(query), evaluation.TOP)
        for first in range(0, len(query), BLOCK):
            block = query.only(np.arange(first, min(first + BLOCK, len(query))))
            scores = blend.offered(part.scores(block), block)
            for row, (items, values) in enumerate(rows_of(scores), first):
                found.put(row, *best(items, values, evaluation.TOP))
        return found.items

    def tried(self, part: str) -> int:
        """Of how many settings of a part the value is known."""
        return sum(name == part for name, _ in self.known)

    def weigh(self, mix: Blended, main: str) -> tuple[dict[str, float], dict[str, Any]]:
        """Weights of the blend, or those of the main part alone where learning does not carry over. And
        what there is to tell of it.
        """
        asked, chosen, start = self.choices(mix), self.truth(), blend.alone(main)
        single = self.questions.ndcg(self.ranked(asked, start))
        gains = {strength: self.across(asked, chosen, start, strength) - single for strength in STRENGTHS}
        strength = _firmest(gains)
        gain, error = float(gains[strength].mean()), evaluation.error(gains[strength])
        kept = gain > error
        beside = f"beside {main} alone {single.mean():.4f}, weights held {strength:g} times"
        self.tell.say(f"{self.recipe.source}: blend {gain:+.4f} ± {error:.4f} {beside}")
        told = {"main": main, **_mean(single), "gain": round(gain, 5), "gain_error": round(error, 5)}
        told |= {"strength": strength, "kept": kept}
        return blend.learn(asked, chosen, start, strength) if kept else start, told

    def across(self, asked: Choices, chosen: sparse.csr_array, start: Mapping[str, float], strength: float) -> Floats64:
        """nDCG@10 of each question, with weights learned from the other half."""
        half = np.arange(asked.count) < asked.count // 2
        learned = ((~rows, blend.learn(asked.only(rows), chosen[rows], start, strength)) for rows in (~half, half))
        return self.questions.ndcg(np.concatenate([self.ranked(asked.only(rows), told) for rows, told in learned]))

    def choices(self, mix: Blended) -> Choices:
        """The candidates of all questions."""
        return blend.choices(mix.asked(self.questions.query), self.questions.query)

    def truth(self) -> sparse.csr_array:
        """questions x items: what was chosen."""
        rows = np.repeat(np.arange(len(self.questions.truth)), [len(items) for items in self.questions.truth])
        items = np.concatenate(self.questions.truth)
        known = items >= 0
        shape = (len(self.questions.truth), len(self.questions.query.allowed))
        return sparse.csr_array((np.ones(known.sum(), np.float32), (rows[known], items[known])), shape=shape)

    @staticmethod
    def ranked(asked: Choices, weights: Mapping[str, float]) -> Any:
        """Items, best first."""
        return asked.ranked(asked.scores(weights), evaluation.TOP).items


def _firmest(gains: Mapping[float, Floats64]) -> float:
    """The firmest strength that is not worse than the best by more than CAUTION standard errors of their difference
    (after the one-standard-error rule of L. Breiman et al., Classification and Regression Trees, 1984).
    """
    best = max(gains.values(), key=lambda one: float(one.mean()))
    worse = {strength: best - gain for strength, gain in gains.items()}
    return max(one for one, less in worse.items() if less.mean() <= CAUTION * evaluation.error(less))


def _mean(values: Floats64) -> dict[str, float]:
    return {"ndcg": round(float(values.mean()), 5), "ndcg_error": round(evaluation.error(values), 5)}
