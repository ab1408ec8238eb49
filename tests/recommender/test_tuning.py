"""Tuning: chosen on validation, kept only where it carries over, and used from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest

from engine.config import Config
from engine.database import Database
from engine.warehouse import Warehouse
from recommender import evaluation, training, tuning
from recommender.fitted import load
from recommender.interactions import NOBODY, Interactions, Items, Log
from recommender.sources.base import Settings
from recommender.sources.collaborative import RECIPE as FOR_YOU
from tests.recommender.shop import NOW, colours
from tests.recommender.test_training import busy

FIELDS = ("order", "contact", "item", "amount", "at")
SPLIT = partial(tuning.by_time, seed=1)


def chains(people: int, seed: int = 1) -> Interactions:
    """200 items, each with one that follows: everybody goes on to that or, as often, somewhere else, once a day. Only
    the last item tells the next one, and only forward.
    """
    rng = np.random.default_rng(seed)
    then, sizes = rng.permutation(200), rng.integers(4, 9, people)
    rows = []
    for person, size in enumerate(sizes.tolist()):
        item = int(rng.integers(200))
        for step in range(size):
            at = NOW - timedelta(days=size - step)
            rows.append((person * 10 + step + 1, person + 1, item + 1, 1.0, at))
            item = int(then[item]) if rng.random() < 0.5 else int(rng.integers(200))
    return Interactions(Log.of(rows), Log.of([]), Items.of([(item,) for item in range(1, 201)]), NOW)


def last_day(shop: Interactions) -> tuple[Interactions, tuning.Asked]:
    """Everybody's last item."""
    before, after = evaluation.split(shop, NOW - timedelta(days=1))
    return before, {"for_you": evaluation.for_you(before, after, seed=1)}


def test_finds_what_the_shop_is_like() -> None:
    """Where the last step tells the next, the sequence is found to lead: from settings by which it does not."""
    blind = {"collaborative": {"parts": {"sequence": {"fading": 1.0, "back": 1.0}}}}
    told: list[str] = []
    shop, settings = chains(800), replace(Settings(), tuned=blind)
    chosen = tuning.tune(shop, settings, last_day, tuning.Teller(told.append)).tuned["collaborative"]
    assert chosen["parts"]["sequence"]["back"] < 1
    assert chosen["weights"]["sequence log"] >= 1
    assert any("beside sequence alone" in line for line in told)
    validation = chosen["validation"]
    sequence = validation["parts"]["sequence"]
    assert validation["questions"] > 500
    assert sequence["ndcg"] > sequence["before"] + 2 * sequence["ndcg_error"] > 0
    assert sequence["tried"] > 8
    assert validation["blend"]["main"] == "sequence"
    assert validation["blend"]["kept"] == (validation["blend"]["gain"] > validation["blend"]["gain_error"])


class Known(tuning._Search):
    """A search where how good settings are is known beforehand."""

    def __init__(self, value: Callable[[Mapping[str, Any]], float], noise: float = 0.0, patience: float = 600) -> None:
        nothing: Any = None
        super().__init__(FOR_YOU, nothing, Settings(), nothing, tuning.SILENT, patience)
        self.worth, self.random, self.noise = value, np.random.default_rng(3), noise

    def value(self, part: str, chosen: Mapping[str, Any]) -> evaluation.Floats64:
        key = part, repr(sorted(chosen.items()))
        if key not in self.known:
            self.known[key] = self.worth(chosen) + self.random.normal(0, self.noise, 400)
        return self.known[key]


def lasting(chosen: Mapping[str, Any]) -> float:
    """Only together do no fading, a strong ridge and what speaks against help; each by itself is worse than before."""
    together = [chosen["half_life"] is None, chosen["l2"] >= 400, chosen["against"]]
    return 0.3 if all(together) else 0.2 - 0.02 * sum(together)


def test_settings_that_hang_together_are_tried_together() -> None:
    """From where no single step pays, the best is found, and told of with what it began with."""
    best, told = Known(lasting).climb("ease")
    assert (best["half_life"], best["l2"], best["against"]) == (None, 400, True)
    assert (told["ndcg"], told["before"]) == (0.3, 0.2)
    one_by_one = Known(lasting)
    one_by_one.recipe = replace(FOR_YOU, jointly={})
    assert one_by_one.climb("ease")[0] == FOR_YOU.usual["ease"], "the case asks for it"


def test_noise_changes_no_setting() -> None:
    """Where all settings are worth the same, the best of fifty draws is not mistaken for better."""
    assert Known(lambda _: 0.2, noise=0.0).climb("ease")[0] == FOR_YOU.usual["ease"]
    better = Known(lambda chosen: 0.2 + 1e-5 * (chosen["l2"] == 200), noise=0.0)
    assert better.climb("ease")[0] == FOR_YOU.usual["ease"], "a twentieth of a thousandth is worth no change"


def test_a_part_without_time_keeps_what_it_has() -> None:
    """The search of a part ends when its time is over."""
    search = Known(lasting, patience=-1)
    assert search.climb("ease")[0] == FOR_YOU.usual["ease"]
    assert search.tried("ease") == 1


def test_firmest_within_the_error() -> None:
    """Of strengths that cannot be told apart the firmest; a weaker one only where it is surely better."""
    gain = np.random.default_rng(1).normal(0.01, 0.05, 900)
    assert tuning._firmest({1.0: gain + 1e-4, 10.0: gain, 100.0: gain - 0.01}) == 1.0
    jitter = np.random.default_rng(2).normal(0, 0.05, 900)
    assert tuning._firmest({1.0: gain, 10.0: gain + jitter - jitter.mean() - 1e-4, 100.0: gain - 0.01}) == 10.0


def test_large_shops_are_sampled_by_person() -> None:
    """A contact is in with all they did or not at all, so is a guest's order and a visit; small shops are whole."""
    shop = chains(400)
    guests = Log.of([(9000 + row // 3, None, row % 200 + 1, 1.0, NOW) for row in range(1200)])
    views = Log.of([(row // 4, None if row % 8 < 4 else row // 8 + 1, row % 200 + 1, 0.2, NOW) for row in range(1600)])
    purchases = Log(*(np.concatenate([getattr(one, name) for one in (shop.purchases, guests)]) for name in FIELDS))
    shop = Interactions(purchases, views, shop.items, NOW)
    assert tuning.sampled(shop) is shop
    some = tuning.sampled(shop, 1500)
    assert 0.7 * 1500 < len(some.purchases) + len(some.views) < 1.3 * 1500
    for whole, part in ((shop.purchases, some.purchases), (shop.views, some.views)):
        for who in ("contact", "order"):
            ids, kept = getattr(whole, who), getattr(part, who)
            chosen = ids[np.isin(ids, kept) & (ids != NOBODY)]
            assert 0 < len(chosen) < len(ids)
            assert len(chosen) == (kept != NOBODY).sum(), who


def test_few_questions_choose_nothing() -> None:
    """A small shop keeps the usual settings."""
    assert tuning.tune(colours(), Settings(), SPLIT).tuned == {}
    kept = {"rules": {"parts": {}, "weights": {"ease log": 2.0}}}
    assert tuning.tune(colours(), replace(Settings(), tuned=kept), SPLIT).tuned == kept


def test_what_was_chosen_is_kept(
    database: Database, warehouse: Warehouse, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--tune` writes its choice into the training; the next one, untuned, learns with the same."""
    busy(database)
    chosen = {"rules": {"parts": {"ease": {"l2": 0.8}}, "weights": {"ease log": 1.0}, "centres": {}}}
    monkeypatch.setattr(tuning, "tune", lambda _before, settings, *_: replace(settings, tuned=chosen))
    first = training.train(database, warehouse, config, now=NOW, tune=True)
    monkeypatch.undo()
    second = training.train(database, warehouse, config, now=NOW)
    for made in (first, second):
        assert made.settings["tuned"] == chosen
        assert load(config.folder / made.folder).settings.tuned == chosen
