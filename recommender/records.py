"""What is known of a training, read from its row: what it learned from, what it is worth, what was chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from engine.config import Config
from recommender.evaluation import TASKS
from recommender.models import Training
from recommender.tuning import RECIPES

ABOUT: Final = "training.json"  # the last file of a folder to be written
COUNTS: Final = 0.05  # a smaller weight of a feature is next to none
SLIGHT: Final = 0.01  # of all the time: a stage that takes less is one of the rest
TRIALS: Final = "trials"  # of what the evaluation asks
REST: Final = "the rest"


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
class Part:
    """A part of a source's blend: its settings, how well it ranks alone on the questions of the evaluation (nDCG@10),
    and of how many settings they are the best; None where that is not known.
    """

    settings: Mapping[str, Any]
    ndcg: float | None = None
    tried: int | None = None


@dataclass(frozen=True)
class Used:
    """What a source learned with. weights: of the features of its blend that count, the most first; gain: by how much
    tuning found the blend better than its best part, kept or not; None where nothing was tuned.
    """

    source: str
    tuned: bool
    parts: Mapping[str, Part]
    weights: Mapping[str, float]
    main: str | None = None
    gain: Gain | None = None
    kept: bool = False


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


def tuned(training: Training) -> list[str]:
    """The sources whose settings were chosen for the shop."""
    return list(training.settings.get("tuned") or {})


def used(training: Training) -> list[Used]:
    """What each tunable source learned with, in the order of the tasks."""
    told = training.settings.get("used") or training.settings.get("tuned") or {}
    tasks = {recipe.source: task for task, recipe in RECIPES.items()}
    return [_used(training, source, told[source], tasks[source]) for source in tasks if source in told]


def _used(training: Training, source: str, told: Mapping[str, Any], task: str) -> Used:
    chosen = (training.settings.get("tuned") or {}).get(source) or {}
    validation = chosen.get("validation") or {}
    alone, tried = (training.metrics.get(task) or {}).get("parts") or {}, validation.get("parts") or {}
    parts = {
        name: Part(dict(sorted(settings.items())), alone.get(name, {}).get("ndcg"), tried.get(name, {}).get("tried"))
        for name, settings in (told.get("parts") or {}).items()
    }
    counted = {name: weight for name, weight in (told.get("weights") or {}).items() if abs(weight) >= COUNTS}
    blend = validation.get("blend") or {}
    return Used(
        source,
        bool(chosen),
        dict(sorted(parts.items(), key=lambda one: (-(one[1].ndcg or 0), one[0]))),
        dict(sorted(counted.items(), key=lambda one: -abs(one[1]))),
        blend.get("main"),
        Gain(blend["gain"], blend["gain_error"]) if blend else None,
        bool(blend.get("kept")),
    )


def stages(training: Training) -> dict[str, float]:
    """Seconds of the stages, the longest first: those of one source together, what takes next to nothing as the rest.
    JSON of PostgreSQL keeps no order.
    """
    told: dict[str, float] = training.metrics.get("seconds") or {}
    grouped: dict[str, float] = {}
    for name, seconds in told.items():
        stage = TRIALS if name.startswith("trial ") else name.partition(":")[0]
        grouped[stage] = grouped.get(stage, 0.0) + seconds
    least = SLIGHT * sum(grouped.values())
    longest = sorted(grouped.items(), key=lambda one: (-one[1], one[0]))
    shown = {name: seconds for name, seconds in longest if seconds >= least}
    rest = sum(grouped.values()) - sum(shown.values())
    return shown | ({REST: rest} if len(shown) < len(grouped) else {})


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
