"""What is known of a training, read from its row: what it learned from, what it is worth, what was chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from engine.config import Config
from recommender.evaluation import TASKS
from recommender.models import Training

ABOUT: Final = "training.json"  # the last file of a folder to be written
MEASURES: Final = ("hit_rate", "recall", "ndcg", "mrr", "coverage")


class Gain(NamedTuple):
    """By how much a share rose on the same cases, with its standard error; error 0: not known."""

    value: float
    error: float


@dataclass(frozen=True)
class Verdict:
    """One task: the measures of this training, of best-sellers and of the training that served (None: there was none)
    on the same `cases`, and the gain in hit rate over either.
    """

    task: str
    cases: int
    ours: Mapping[str, float]
    popular: Mapping[str, float]
    before: Mapping[str, float] | None
    gain: Gain
    gain_before: Gain | None


@dataclass(frozen=True)
class Chosen:
    """What tuning chose for a source: settings by part, and what each feature of its blend counts, the most first."""

    source: str
    parts: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, float]


def verdicts(training: Training) -> list[Verdict]:
    """The tasks that had questions, in the order of TASKS."""
    found = {task: training.metrics.get(task) for task in TASKS}
    return [_verdict(task, scores) for task, scores in found.items() if scores and scores.get("training")]


def _verdict(task: str, scores: Mapping[str, Any]) -> Verdict:
    ours, popular, before = scores["training"], scores["popular"], scores.get("published")
    gain = _gain(scores.get("gain"), ours, popular)
    return Verdict(
        task,
        int(ours["cases"]),
        ours,
        popular,
        before,
        gain,
        _gain(scores.get("gain_before"), ours, before) if before else None,
    )


def _gain(told: Mapping[str, float] | None, new: Mapping[str, float], old: Mapping[str, float]) -> Gain:
    """Trainings of before the error was kept have the difference alone."""
    if told:
        return Gain(told["hit_rate"], told["hit_rate_error"])
    return Gain(new["hit_rate"] - old["hit_rate"], 0.0)


def chosen(training: Training) -> list[Chosen]:
    """What tuning chose, by source; [] when nothing was."""
    tuned = training.settings.get("tuned") or {}
    found = []
    for source, told in tuned.items():
        counted = {name: weight for name, weight in (told.get("weights") or {}).items() if weight}
        ordered = dict(sorted(counted.items(), key=lambda one: -abs(one[1])))
        found.append(Chosen(source, told.get("parts") or {}, ordered))
    return found


def since(training: Training) -> datetime | None:
    """The first purchase it learned from."""
    told = (training.metrics.get("data") or {}).get("since")
    return datetime.fromisoformat(told) if told else None


def cut(training: Training) -> datetime | None:
    """Where what it was asked about begins."""
    told = training.metrics.get("cut")
    return datetime.fromisoformat(told) if told else None


def size(config: Config, training: Training) -> int | None:
    """Bytes of its files; None when they are gone, and it can not serve again."""
    folder = config.folder / training.folder
    if not training.folder or not (folder / ABOUT).exists():
        return None
    return sum(file.stat().st_size for file in folder.iterdir())
