"""Every training: when, how long, what it is worth, which serves; the way back to one before; and the page of one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import structlog
from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns.experiment import Interval
from engine.errors import Conflict, NotFound, RapportError
from recommender import records, training
from recommender.models import Published, Training
from recommender.records import Verdict
from web.charts import Chart, Series
from web.format import moment, number, share
from web.pages.campaigns.plot import Mark, plot
from web.pages.recommendations.door import blueprint
from web.services import Services, services, utcnow
from web.shell import toast

PAGE: Final = 20
TASKS: Final = {
    "for_you": lazy_gettext("For a person"),
    "cross_sell": lazy_gettext("Beside an item"),
    "next_purchase": lazy_gettext("In the next order"),
    "session": lazy_gettext("In a visit"),
}
MEASURES: Final = {
    "hit_rate": lazy_gettext("Hit rate"),
    "recall": lazy_gettext("Recall"),
    "ndcg": lazy_gettext("nDCG"),
    "mrr": lazy_gettext("Reciprocal rank"),
    "coverage": lazy_gettext("Items shown"),
}
SETTINGS: Final = {
    "history_days": lazy_gettext("Days of history"),
    "minimum_support": lazy_gettext("Rules: least support"),
    "minimum_confidence": lazy_gettext("Rules: least confidence"),
    "seed": lazy_gettext("Seed"),
}
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Row:
    """A line of the history. size: bytes of its files, None when they are gone."""

    training: Training
    verdicts: Sequence[Verdict]
    tuned: Sequence[str]
    size: int | None

    @classmethod
    def of(cls, one: Training) -> Row:
        """With what its row and its folder tell."""
        return cls(one, records.verdicts(one), records.tuned(one), records.size(services().config, one))

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        ended = self.training.finished_at
        return (ended - self.training.started_at).total_seconds() if ended else None

    @property
    def can_serve(self) -> bool:
        """Whether it may be let serve; that it does is another matter."""
        return self.training.status in ("ready", "refused") and self.size is not None


@blueprint.get("/trainings")
def trainings() -> ResponseReturnValue:
    """Newest first; the page looks again while one runs."""
    with services().database.read() as session:
        return render_template(
            "recommendations/trainings.html", **history(session, request.args.get("before", type=int))
        )


def history(session: Session, before: int | None = None) -> dict[str, Any]:
    """What the table is drawn from."""
    query = select(Training).order_by(Training.id.desc()).limit(PAGE + 1)
    found = session.scalars(query.where(Training.id < before) if before else query).all()
    return {
        "rows": [Row.of(one) for one in found[:PAGE]],
        "serving": training.current(session),
        "tasks": TASKS,
        "heads": [(words, "num") for words in TASKS.values()],
        "next": url_for(".trainings", before=found[PAGE - 1].id) if len(found) > PAGE else None,
        "first": url_for(".trainings") if before else None,
        "problem": services().recommender.problem,
        "watched": bool(found) and found[0].status == "running" and not before,
    }


@blueprint.get("/trainings/<int:training_id>")
def one_training(training_id: int) -> ResponseReturnValue:
    """What it learned from, how well, with which settings and in what time."""
    with services().database.read() as session:
        found = _get(session, training_id)
        row, published = Row.of(found), session.get(Published, 1)
        return render_template(
            "recommendations/training.html",
            row=row,
            one=found,
            tasks=TASKS,
            measures=MEASURES,
            heads=[(words, "num") for words in MEASURES.values()],
            config_words=SETTINGS,
            cut=records.cut(found),
            serves_since=published.at if published and published.training_id == found.id else None,
            chart=_chart(row.verdicts) if row.verdicts else None,
            plot=_plot(row.verdicts),
            used=records.used(found),
            since=records.since(found),
            data=found.metrics.get("data") or {},
            timings=_timings(found),
            neighbours=_neighbours(session, training_id),
        )


@blueprint.post("/train")
def train() -> ResponseReturnValue:
    """Learn anew, beside the page: the row is there before the answer is, and the history shows how it goes."""
    opened, held = services(), ExitStack()
    try:
        run = held.enter_context(training.begun(opened.database, opened.config, now=utcnow()))
    except Conflict:
        toast(_running())
    else:
        threading.Thread(target=_train, args=(opened, run, held), daemon=True, name="training").start()
        toast(gettext("The training has begun. The old one serves until the new one is better."))
    return redirect(url_for(".trainings"), 303)


def _running() -> str:
    """Why no other training begins."""
    with services().database.read() as session:
        newest = select(Training).where(Training.status == "running").order_by(Training.id.desc()).limit(1)
        one = session.scalar(newest)
    if one is None:  # it has just ended, or its row is not written yet
        return str(gettext("Another training is running. Wait until it has ended."))
    since = moment(one.started_at).striptags()  # a toast is plain words
    return str(
        gettext(
            "Training %(number)s has been running since %(moment)s. Wait until it has ended.",
            number=one.id,
            moment=since,
        )
    )


@blueprint.post("/trainings/<int:training_id>/publish")
def publish(training_id: int) -> ResponseReturnValue:
    """Let another training serve: the way back, or past a refusal. The message that says so offers to take it back."""
    with services().database.read() as session:
        training.check(services().config, _get(session, training_id))
        before = training.current(session)
    with services().database.begin() as session:
        training.publish(session, training_id, utcnow())
    services().recommender.reload()
    undo = url_for(".publish", training_id=before.id) if before and before.id != training_id else None
    toast(gettext("Training %(number)s serves now.", number=training_id), undo)
    return redirect(url_for(".trainings"), 303)


def _get(session: Session, training_id: int) -> Training:
    found = session.get(Training, training_id)
    if found is None:
        raise NotFound(gettext("There is no training %(number)s.", number=training_id))
    return found


def _neighbours(session: Session, training_id: int) -> tuple[int | None, int | None]:
    """The training before and the one after."""
    before = select(func.max(Training.id)).where(Training.id < training_id)
    after = select(func.min(Training.id)).where(Training.id > training_id)
    return session.scalar(before), session.scalar(after)


def _chart(verdicts: Sequence[Verdict]) -> Chart:
    """Hit rates of this training, of the one that served and of best-sellers, task by task."""
    shown = [Series(gettext("This training"), _hits([one.ours for one in verdicts]))]
    if any(one.before for one in verdicts):
        shown.append(Series(gettext("The one that served"), _hits([one.before for one in verdicts])))
    shown.append(Series(gettext("Best-sellers"), _hits([one.popular for one in verdicts])))
    tasks = [str(TASKS[one.task]) for one in verdicts]
    return Chart(gettext("Hit rate"), gettext("Task"), tasks, shown, kind="bar", unit="share")


def _hits(figures: Sequence[Mapping[str, float] | None]) -> list[float | None]:
    return [one["hit_rate"] if one else None for one in figures]


def _plot(verdicts: Sequence[Verdict]) -> Markup | None:
    """By how much more often one of ten offers was right than with best-sellers, task by task."""
    marks = [Mark(_gained(one), Interval(one.gain.value, one.gain.error), "caused") for one in verdicts]
    return plot(marks, share) if marks else None


def _gained(one: Verdict) -> str:
    """For a person: +14.6 points, 31.5% against 16.9%."""
    return str(
        gettext(
            "%(task)s: %(gain)s points, %(ours)s against %(popular)s",
            task=TASKS[one.task],
            gain=f"{'+' if one.gain.value >= 0 else ''}{number(100 * one.gain.value, 1)}",
            ours=share(one.ours["hit_rate"]),
            popular=share(one.popular["hit_rate"]),
        )
    )


def _timings(one: Training) -> Chart | None:
    """Seconds of the stages, the longest first."""
    told = records.stages(one)
    if not told:
        return None
    names = [name.replace("_", " ") for name in told]
    seconds = Series(gettext("Seconds"), [round(value, 2) for value in told.values()])
    return Chart(gettext("Seconds of each stage"), gettext("Stage"), names, [seconds], kind="bar", horizontal=True)


def _train(opened: Services, run: training.Run, held: ExitStack) -> None:
    """Runs in a thread of its own and lets go of the lock; what goes wrong stands in the training's row."""
    try:
        with held:
            run.carry_out(opened.warehouse)
        opened.recommender.reload()
    except RapportError as error:
        log.warning("training ended", reason=error.message)
