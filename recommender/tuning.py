"""Settings for this shop, chosen on a validation period and never on a test: `rapport train --tune`.

Of each blended source first the parts, one setting after the other, by how well each part alone ranks; then the weights
of the blend, kept only where two halves of the questions, each answered with weights learned from the other half, say
that it beats the best part alone by more than the standard error: whatever was better by less was not so later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from scipy import sparse

from recommender import blend, evaluation
from recommender.arrays import Floats
from recommender.blend import Choices
from recommender.evaluation import Case, Questions
from recommender.interactions import Interactions
from recommender.sources import SOURCES
from recommender.sources.base import Settings
from recommender.sources.blended import Blended, Recipe
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
MOST: Final = 12_000  # questions of a task, from which the weights are learned
CLIMBED: Final = 3_000  # of them, by which settings of the parts are chosen
FEWEST: Final = 200  # questions of a task, to choose anything
SETTLED: Final = 2e-4  # a round of all settings that gains less is the last
WORTH: Final = 1.001  # a smaller gain is noise
SHORT: Final = 6  # values of a setting that are all tried
ROUNDS: Final = 3

Say = Callable[[str], None]
Asked = Mapping[str, Sequence[Case]]
Split = Callable[[Interactions], tuple[Interactions, Asked]]


def by_time(interactions: Interactions, *, seed: int) -> tuple[Interactions, Asked]:
    """What happened before the last tenth, and the questions about it."""
    before, after = evaluation.split(interactions, evaluation.cut(interactions))
    return before, evaluation.cases(before, after, seed=seed, most=MOST)


def tune(interactions: Interactions, settings: Settings, split: Split, say: Say = lambda _: None) -> Settings:
    """`settings` with what was chosen; a task with too few questions keeps what it has."""
    before, asked = split(interactions)
    ranks = replace(settings, reasons=False)
    chosen = dict(settings.tuned)
    for task, recipe in RECIPES.items():
        if len(asked.get(task, ())) >= FEWEST:
            questions = Questions.of(task, asked[task], before.item_ids, before.offerable)
            chosen[recipe.source] = _Search(recipe, before, ranks, questions, say).run()
    if len(asked.get("returning", ())) >= FEWEST and SESSION.source in chosen:
        questions = Questions.of("returning", asked["returning"], before.item_ids, before.offerable)
        search = _Search(SESSION, before, replace(ranks, tuned=chosen), questions, say)
        returning = search.weigh(search.mixed(search.settings), "alike")
        chosen[SESSION.source] = {**chosen[SESSION.source], "returning": returning}
    return replace(settings, tuned=chosen)


@dataclass
class _Search:
    """The search for one source."""

    recipe: Recipe
    before: Interactions
    settings: Settings
    questions: Questions
    say: Say
    values: dict[tuple[str, str], float] = field(default_factory=dict)

    @cached_property
    def some(self) -> Questions:
        """Every so many of them."""
        count = len(self.questions.truth)
        return self.questions.only(np.arange(0, count, max(count // CLIMBED, 1)))

    @cached_property
    def priors(self) -> Mapping[str, Floats]:
        """The same for every setting."""
        return self.recipe.priors(self.before)

    def run(self) -> dict[str, Any]:
        """Settings of the parts and weights of the blend."""
        found = {name: self.climb(name) for name in self.recipe.usual}
        parts = {name: settings for name, (settings, _) in found.items()}
        tuned = replace(self.settings, tuned={self.recipe.source: {"parts": parts}})
        main = max(found, key=lambda name: found[name][1])
        mix = self.mixed(tuned)
        centres = blend.centres(mix.asked(self.questions.query).parts)
        return {"parts": parts, "weights": self.weigh(replace(mix, centres=centres), main), "centres": centres}

    def mixed(self, settings: Settings) -> Blended:
        """What the source ranks by."""
        source: Any = SOURCES[self.recipe.source].fit(self.before, settings, seed=0)
        mix: Blended = source.for_query(self.questions.query) if isinstance(source, Session) else source.mix
        return mix

    def climb(self, part: str) -> tuple[dict[str, Any], float]:
        """From what serves now, or the usual, one setting after the other to its neighbour while it pays; and how well
        the part then ranks alone.
        """
        best = dict(self.recipe.chosen(part, self.settings))
        grid, top = self.recipe.grid.get(part, {}), self.value(part, best)
        for _ in range(ROUNDS):
            begun = top
            for setting, values in grid.items():
                best, top = self.step(part, best, top, setting, values)
            if top <= begun + SETTLED:
                break
        self.say(f"{self.recipe.source}: {part} {top:.4f} with {best}")
        return best, top

    def step(
        self, part: str, best: dict[str, Any], top: float, setting: str, values: Sequence[Any]
    ) -> tuple[dict[str, Any], float]:
        """All values of a short list, of a longer one up, then down, while it pays."""
        if len(values) <= SHORT:
            found = {place: self.value(part, {**best, setting: value}) for place, value in enumerate(values)}
            place = max(found, key=lambda one: found[one])
            return ({**best, setting: values[place]}, found[place]) if found[place] > top * WORTH else (best, top)
        for by in (1, -1):
            while 0 <= (at := values.index(best[setting]) + by) < len(values):
                tried = {**best, setting: values[at]}
                gain = self.value(part, tried)
                if gain <= top * WORTH:
                    break
                best, top = tried, gain
        return best, top

    def value(self, part: str, chosen: Mapping[str, Any]) -> float:
        """Mean nDCG@10 of a part alone."""
        key = part, repr(sorted(chosen.items()))
        if key not in self.values:
            made = self.recipe.part(part, self.before, chosen, self.settings)
            alone = Blended({part: made}, self.priors, blend.alone(part), {})
            found = alone.candidates(self.some.query, evaluation.TOP)
            self.values[key] = float(self.some.ndcg(found.items).mean())
        return self.values[key]

    def weigh(self, mix: Blended, main: str) -> dict[str, float]:
        """Weights of the blend, or those of the main part alone where learning does not carry over."""
        asked, chosen = self.choices(mix), self.truth()
        half = np.arange(len(self.questions.query)) < len(self.questions.query) // 2
        across = np.concatenate(
            [
                self.ranked(asked.only(~rows), blend.learn(asked.only(rows), chosen[rows], blend.alone(main)))
                for rows in (~half, half)
            ]
        )
        single = self.questions.ndcg(self.ranked(asked, blend.alone(main)))
        gain = self.questions.ndcg(across) - single
        error = float(gain.std() / np.sqrt(len(gain)))
        self.say(
            f"{self.recipe.source}: blend {gain.mean():+.4f} ± {error:.4f} beside {main} alone {single.mean():.4f}"
        )
        return blend.learn(asked, chosen, blend.alone(main)) if gain.mean() > error else blend.alone(main)

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
