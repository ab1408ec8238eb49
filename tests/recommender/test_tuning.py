"""Tuning: chosen on validation, kept only where it carries over, and used from then on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import numpy as np
import pytest

from engine.config import Config
from engine.database import Database
from engine.warehouse import Warehouse
from recommender import evaluation, training, tuning
from recommender.fitted import load
from recommender.interactions import Interactions, Items, Log
from recommender.sources.base import Settings
from tests.recommender.shop import NOW, colours
from tests.recommender.test_training import busy

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
    chosen = tuning.tune(chains(1500), replace(Settings(), tuned=blind), last_day, told.append).tuned["collaborative"]
    assert chosen["parts"]["sequence"]["back"] < 1
    assert chosen["weights"]["sequence log"] >= 1
    assert any("beside sequence alone" in line for line in told)


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
