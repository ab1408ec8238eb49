"""Training: load, fit, evaluate, write, publish by one switch, unless it would serve worse than what serves now.

It spans many transactions by nature and so takes the database itself. One training runs at a time in a workspace,
held by a file's lock: a row that says `running` while the lock is free belongs to a dead process.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import EPOCH, Database, upsert
from engine.errors import Conflict, Invalid, NotFound, RapportError, Unreadable
from engine.warehouse import Warehouse
from engine.warehouse.current import locked
from engine.warehouse.spark import over
from recommender import evaluation, placements, tuning
from recommender.algebra import few_arenas
from recommender.evaluation import ASKED, BASELINE, TASKS, Case, Score
from recommender.fitted import Draft, Fitted, fit, load
from recommender.interactions import Interactions
from recommender.interactions import load as load_interactions
from recommender.models import Published, Training
from recommender.sources import SOURCES
from recommender.sources.base import Settings, Source
from recommender.spark import Learner
from recommender.steps import Progress, Steps

FOLDER: Final = "trainings"  # within the workspace
KEPT: Final = 5  # newest trainings whose files stay, for rolling back
ENOUGH: Final = 100  # cases of a task after the published training's end, to compare the artefacts themselves
FEWEST: Final = 30  # cases of a task that can refuse a training
SHRUNK: Final = 0.5  # a training from less than this share of the published one's purchases is refused
TOLERANCE: Final = 2.0  # standard errors by which nDCG may fall

log = structlog.get_logger(__name__)

STEPS: Final = 4 + len(ASKED) + len(SOURCES)


@dataclass(frozen=True)
class Judged:
    """Figures of the evaluation, and why the training must not serve (None: it may)."""

    metrics: dict[str, Any]
    refusal: str | None


def train(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    *,
    now: datetime,
    tune: bool = False,
    progress: Progress | None = None,
    spark: str = "",
) -> Training:
    """One training from load to publish; raises Conflict while another one runs. Its settings are those of the training
    that serves, unless it is to `tune`: then they are chosen anew, on what happened before the evaluation begins.
    spark: the master of a Spark that learns what recommender.spark can; raises Unavailable.
    """
    with begun(database, config, now=now, tune=tune, progress=progress) as run:
        return run.carry_out(warehouse, spark)


@contextmanager
def begun(
    database: Database, config: Config, *, now: datetime, tune: bool = False, progress: Progress | None = None
) -> Iterator[Run]:
    """A training whose row says `running` already, to be carried out, if need be in another thread; raises Conflict
    while another one runs. What goes wrong within stands in the row afterwards.
    """
    few_arenas()
    folder = config.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", wait=False) as free:
        if not free:
            raise Conflict("A training is running already; wait until it has ended.")
        _bury(database, folder, now)
        steps = Steps(progress, STEPS + (tuning.STEPS if tune else 0))
        run = Run(database, config, _begin(database, config, now), now, steps, tune)
        steps.note = run.note
        try:
            yield run
        except BaseException as error:
            _fail(run, error)
            raise


def publish(session: Session, training_id: int, now: datetime) -> None:
    """Move the switch; also the way back to an older training. Raises NotFound or Conflict."""
    training = session.get(Training, training_id)
    if training is None:
        raise NotFound(f"There is no training {training_id}.")
    if training.status not in ("ready", "refused"):
        raise Conflict(f"Training {training_id} is {training.status}; only a ready or refused one can be published.")
    upsert(session, Published.__table__, [{"id": 1, "training_id": training_id, "at": now}], ["id"])  # type: ignore[arg-type]


def current(session: Session) -> Training | None:
    """The training that serves."""
    return session.scalar(select(Training).join(Published))


def trainings(session: Session, limit: int = 50) -> list[Training]:
    """The newest trainings, newest first."""
    return list(session.scalars(select(Training).order_by(Training.id.desc()).limit(limit)))


def check(config: Config, training: Training) -> None:
    """Raise Unreadable when the training's files are not what was written."""
    load(config.folder / training.folder)


def _begin(database: Database, config: Config, now: datetime) -> int:
    with database.begin() as session:
        placements.seed(session, now)
        training = Training(status="running", folder="", started_at=now, settings=_about(config), metrics={})
        session.add(training)
        session.flush()
        training.folder = f"{FOLDER}/{training.id}"
        return training.id


@dataclass(frozen=True)
class _Trial:
    """What serves and its artefact, and the data before and from a moment on."""

    serving: Training | None
    rival: Fitted | None
    moment: datetime
    before: Interactions
    asked: dict[str, list[Case]]  # about what came after


@dataclass(frozen=True)
class Run:
    """One training on its way."""

    database: Database
    config: Config
    training_id: int
    now: datetime
    step: Steps
    tune: bool
    began: float = field(default_factory=time.monotonic)
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learners: Mapping[str, Callable[..., Source]] = field(default_factory=dict)

    def carry_out(self, warehouse: Warehouse, spark: str = "") -> Training:
        """From load to publish, and the files of old trainings away; `spark` as `train` takes it."""
        made = self.on_spark(warehouse, spark) if spark else self.train(warehouse)
        try:
            _prune(self.database, self.config)
        except SQLAlchemyError:  # it serves already; the next training prunes
            log.warning("the files of old trainings stay", exc_info=True)
        return made

    def on_spark(self, warehouse: Warehouse, master: str) -> Training:
        """From load to publish, with what Spark learns of the same files."""
        warehouse.refresh()
        with over(warehouse, master) as spark:
            since = self.now - timedelta(days=self.config.recommender.history_days)
            return replace(self, learners=Learner.of(spark, since).sources, tune=False).train(warehouse)

    def train(self, warehouse: Warehouse) -> Training:
        """From load to publish."""
        self.step("warehouse")
        warehouse.refresh()
        self.step("interactions")
        interactions = load_interactions(warehouse, self.now, self.config.recommender.history_days)
        if not len(interactions.lines):
            raise Invalid("There is nothing to learn from: no order of a recommendable item within history_days.")
        trial = self.trial(interactions)
        run = replace(self, tuned=trial.rival.settings.tuned if trial.rival else {})
        run = run.tuning(trial.before) if self.tune else run
        judged = run.judge(interactions, trial)
        del trial  # all but the last weeks a second time: 3 GB at 16 million interactions
        draft, learners = Draft(self.folder), self.learners
        kept = fit(interactions, run.settings, seed=self.seed, progress=self.step, learners=learners, keep=draft.keep)
        self.step("files")
        draft.close(kept)
        judged.metrics["data"] = _data(interactions)
        return run.finish(judged)

    def trial(self, interactions: Interactions) -> _Trial:
        """A time split: where the rival knows nothing of what comes after, if that leaves enough."""
        with self.database.read() as session:
            serving = current(session)
        rival = _artefact(self.config, serving)
        moment = evaluation.cut(interactions)
        if rival and moment < rival.until:
            unseen = self.asked(interactions, rival.until)
            if max(map(len, unseen[1].values())) >= ENOUGH:
                return _Trial(serving, rival, rival.until, *unseen)
        return _Trial(serving, rival, moment, *self.asked(interactions, moment))

    def asked(self, interactions: Interactions, moment: datetime) -> tuple[Interactions, dict[str, list[Case]]]:
        """What was known before a moment, and questions about what came after."""
        before, after = evaluation.split(interactions, moment)
        return before, evaluation.cases(before, after, seed=self.seed)

    def tuning(self, before: Interactions) -> Run:
        """The same with settings chosen on what happened before the evaluation."""
        split = partial(tuning.by_time, seed=self.seed)
        begun = self.step.done
        chosen = tuning.tune(before, self.settings, split, tuning.Teller(_say, self.step))
        self.step.done = begun + tuning.STEPS  # tasks with too few questions took none
        return replace(self, tuned=chosen.tuned)

    def judge(self, interactions: Interactions, trial: _Trial) -> Judged:
        """Evaluate beside best-sellers and, on the same cases, beside what serves."""
        rival = trial.rival
        fitted = self.rank(trial.before, self.settings, self.step)
        self.step("evaluation")
        if rival and trial.moment < rival.until:  # it has seen the test: its settings learn again from what came before
            rival = self.rank(trial.before, rival.settings) if rival.settings != self.settings else fitted
        metrics = {"cut": trial.moment.isoformat(), "purchases": len(interactions.lines), "seen_items": "excluded"}
        return _verdict(metrics, fitted, rival, trial.serving, trial.asked)

    def rank(self, before: Interactions, settings: Settings, progress: Steps | None = None) -> Fitted:
        """Learn what the evaluation asks, without reasons: ranks do not depend on them."""
        told = progress and (lambda name: progress(f"trial {name}"))
        learners = self.learners if settings.engine else None
        asked = replace(settings, reasons=False)
        return fit(before, asked, seed=self.seed, names=ASKED, progress=told, learners=learners)

    def finish(self, judged: Judged) -> Training:
        """Write the verdict and, unless refused, move the switch: one transaction."""
        with self.database.begin() as session:
            training = session.get_one(Training, self.training_id)
            training.metrics, training.error = judged.metrics | {"seconds": self.step.seconds()}, judged.refusal
            training.settings = {**training.settings, "tuned": self.tuned, "used": tuning.used(self.settings)}
            training.status, training.finished_at = "refused" if judged.refusal else "ready", self.end
            session.flush()
            if not judged.refusal:
                publish(session, self.training_id, self.end)
        return training

    def note(self, stage: str, share: float) -> None:
        """How far it is, in its row, for pages."""
        with self.database.begin() as session:
            training = session.get_one(Training, self.training_id)
            training.metrics = {"progress": {"stage": stage, "share": round(share, 3)}}

    @property
    def end(self) -> datetime:
        """`now` and the time it took, whatever the wall clock did meanwhile."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)

    @property
    def settings(self) -> Settings:
        """Those of now."""
        given = self.config.recommender
        return Settings(
            given.minimum_support, given.minimum_confidence, tuned=self.tuned, engine="spark" if self.learners else ""
        )

    @property
    def seed(self) -> int:
        """Draws the cases."""
        return self.config.recommender.seed

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return self.config.folder / FOLDER / str(self.training_id)


def _data(interactions: Interactions) -> dict[str, Any]:
    """What it learns from, for the training's page; `since`: the first purchase."""
    first = EPOCH + timedelta(microseconds=int(interactions.lines.at.min()))
    return {
        "contacts": len(interactions.people),
        "items": len(interactions.items.ids),
        "items_bought": len(set(interactions.lines.item.tolist())),
        "views": len(interactions.views),
        "since": first.isoformat(),
    }


def _say(told: str) -> None:
    log.info("tuned", told=told)


def _verdict(
    metrics: dict[str, Any],
    fitted: Fitted,
    rival: Fitted | None,
    serving: Training | None,
    asked: dict[str, list[Case]],
) -> Judged:
    refusals = []
    for task in TASKS:
        new, old = evaluation.score(fitted, task, asked[task]), None
        if rival:
            old = new if rival is fitted else evaluation.score(rival, task, asked[task])
        popular = evaluation.score(fitted, task, asked[task], BASELINE)
        scores = {"training": new, "popular": popular, "published": old}
        metrics[task] = {name: evaluation.to_json(found) for name, found in scores.items()}
        metrics[task]["parts"] = {
            part: evaluation.to_json(found) for part, found in evaluation.parts(fitted, task, asked[task]).items()
        }
        metrics[task] |= {"gain": evaluation.gain(new, popular), "gain_before": evaluation.gain(new, old)}
        if new and old and serving:
            refusals += _worse(task, new, old, serving)
    known = (serving.metrics.get("purchases") or 0) if serving else 0
    if serving and rival and metrics["purchases"] < SHRUNK * known:
        refusals.append(f"it learned from {metrics['purchases']} purchases, training {serving.id} from {known}")
    return Judged(metrics, "; ".join(refusals) or None)


def _worse(task: str, new: Score, old: Score, serving: Training) -> list[str]:
    by, error = evaluation.compare(new, old)
    if new.metrics.cases < FEWEST or by >= -TOLERANCE * error:
        return []
    return [
        f"{task.replace('_', ' ')}: nDCG@10 {new.metrics.ndcg:.4f} against {old.metrics.ndcg:.4f} of training "
        f"{serving.id} on the same {new.metrics.cases} cases ({by:+.4f} ± {error:.4f})"
    ]


def _artefact(config: Config, serving: Training | None) -> Fitted | None:
    """What serves; a damaged one is no rival."""
    if serving is None:
        return None
    try:
        return load(config.folder / serving.folder)
    except Unreadable:
        return None


def _about(config: Config) -> dict[str, Any]:
    return {
        "history_days": config.recommender.history_days,
        "minimum_support": config.recommender.minimum_support,
        "minimum_confidence": config.recommender.minimum_confidence,
        "seed": config.recommender.seed,
    }


def _bury(database: Database, folder: Path, now: datetime) -> None:
    """The lock is ours, so whatever says it is running is dead."""
    with database.begin() as session:
        for dead in session.scalars(select(Training).where(Training.status == "running")):
            dead.status, dead.finished_at, dead.error = "failed", now, "The process ended before the training did."
            _remove(folder, dead.id)


def _fail(run: Run, error: BaseException) -> None:
    """End its row and remove its files, unless it is whole and may serve already."""
    with run.database.begin() as session:
        training = session.get_one(Training, run.training_id)
        if training.status != "running":
            return
        training.status, training.finished_at = "failed", run.end
        training.error = error.message if isinstance(error, RapportError) else f"{type(error).__name__}: {error}"
    _remove(run.folder.parent, run.training_id)


def _prune(database: Database, config: Config) -> None:
    """Remove the files of all but the KEPT newest trainings and the one that serves."""
    with database.begin() as session:
        serving = current(session)
        finished = select(Training).where(Training.status.in_(("ready", "refused"))).order_by(Training.id.desc())
        for old in session.scalars(finished).all()[KEPT:]:
            if serving is None or old.id != serving.id:
                old.status = "removed"
                _remove(config.folder / FOLDER, old.id)


def _remove(folder: Path, training_id: int) -> None:
    for name in (str(training_id), f"{training_id}.new"):
        shutil.rmtree(folder / name, ignore_errors=True)
