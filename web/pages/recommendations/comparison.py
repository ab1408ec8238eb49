"""The comparisons of all placements, and what one of them tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from flask import Response, redirect, render_template, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.exposed import METRICS, clicked
from campaigns.readout import Readout, readout
from engine import export
from engine.errors import NotFound
from engine.money import UNIT
from recommender import comparisons, placements
from recommender.comparisons import ARMS as EVERY_ARM
from recommender.models import Comparison
from recommender.placements import Plan
from web.comparisons import status
from web.format import money, number, share
from web.pages.campaigns.plot import Mark, Words, plot
from web.pages.recommendations.compare import ARMS, changes, names
from web.pages.recommendations.door import blueprint
from web.services import services, utcnow
from web.shell import toast

SHOWN: Final = 100  # comparisons on the page of all
HEADLINES: Final = {
    "waiting": lazy_gettext("Nobody has seen it yet"),
    "broken": lazy_gettext("The split is broken"),
    "few buyers": lazy_gettext("Too few buyers to tell"),
    "unclear": lazy_gettext("A and B cannot be told apart"),
    "a": lazy_gettext("A earns more"),
    "b": lazy_gettext("B earns more"),
}
SO_FAR: Final = {
    "few buyers": lazy_gettext("Too few buyers to tell so far"),
    "unclear": lazy_gettext("A and B cannot be told apart so far"),
    "a": lazy_gettext("So far A earns more"),
    "b": lazy_gettext("So far B earns more"),
}
KINDS: Final = {"broken": "bad", "a": "good", "b": "good", "waiting": ""}  # the rest: look closer
STATES: Final = {
    "running": (lazy_gettext("Running"), "accent"),
    "stopped": (lazy_gettext("Stopped"), ""),
    "adopted": (lazy_gettext("Adopted"), "good"),
}
LABELS: Final = {
    "clickers": lazy_gettext("People who clicked an offer"),
    "orders": lazy_gettext("Orders a person"),
    "revenue": lazy_gettext("Revenue a person"),
    "margin": lazy_gettext("Margin a person"),
    "credited": lazy_gettext("Margin of clicked items, a person"),
}
AGAINST: Final = ARMS | {"holdout": lazy_gettext("best-sellers")}
PLOTTED: Final = ("margin", "clickers")


@blueprint.get("/comparisons")
def all_comparisons() -> ResponseReturnValue:
    """What runs, and what was learned before."""
    with services().database.read() as session:
        rows = session.scalars(select(Comparison).order_by(Comparison.id.desc()).limit(SHOWN)).all()
        plans = placements.read(session)
        free = [plan for plan in plans.values() if plan.key not in comparisons.running(session)]
        return render_template(
            "recommendations/comparisons.html", rows=rows, plans=plans, free=free, status=status, states=STATES,
            ends=comparisons.planned_end, now=utcnow(), arms=ARMS,
        )  # fmt: skip


@blueprint.get("/comparisons/<int:number>")
def comparison(number: int) -> ResponseReturnValue:
    """The figures as of now."""
    services().warehouse.refresh()
    with services().database.read() as session:
        row = _get(session, number)
        found = readout(session, services().warehouse, row, currency=services().config.locale.currency, now=utcnow())
        return render_template("recommendations/comparison.html", **_context(session, row, found))


@blueprint.get("/comparisons/<int:number>/recommendations.csv")
def export_comparison(number: int) -> Response:
    """Each recommendation that was clicked, with what was bought of it."""
    services().warehouse.refresh()
    currency = services().config.locale.currency
    with services().database.read() as session:
        row = _get(session, number)
        until = comparisons.counts_until(row, utcnow())
        found = clicked(session, services().warehouse, row, until, currency)
    return _file(export.lines(found.schema.names, (one.values() for one in found.to_pylist())), number)


def _file(pieces: Iterator[str], number: int) -> Response:
    name = f"comparison-{number}-{utcnow():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(stream_with_context(pieces), mimetype="text/csv", headers=headers)


@blueprint.post("/comparisons/<int:number>/stop")
def stop_comparison(number: int) -> ResponseReturnValue:
    """Everybody sees the placement as it is."""
    _changed(number, lambda session, key: comparisons.stop(session, key, utcnow()))
    toast(gettext("Stopped. Everybody sees the placement as it is."))
    return redirect(url_for(".comparison", number=number), 303)


@blueprint.post("/comparisons/<int:number>/adopt/<any(a, b, holdout):arm>")
def adopt_variant(number: int, arm: comparisons.Arm) -> ResponseReturnValue:
    """The placement takes the settings of an arm."""
    _changed(number, lambda session, key: comparisons.adopt(session, key, arm, utcnow()))
    words = gettext("Everybody sees %(variant)s now.", variant=ARMS[arm])
    toast(words, undo=url_for(".take_variant_back", number=number))
    return redirect(url_for(".comparison", number=number), 303)


@blueprint.post("/comparisons/<int:number>/undo")
def take_variant_back(number: int) -> ResponseReturnValue:
    """The placement has the settings it had before."""
    _changed(number, lambda session, key: comparisons.take_back(session, key, utcnow()))
    toast(gettext("The placement has the settings it had before."))
    return redirect(url_for(".comparison", number=number), 303)


def _changed(number: int, act: Callable[[Session, str], Comparison]) -> None:
    """Do something to a comparison that is still its placement's last."""
    with services().database.begin() as session:
        row = _get(session, number)
        if comparisons.latest(session, row.placement).id != number:
            raise NotFound(gettext("Another comparison began at this placement since."))
        act(session, row.placement)
    services().recommender.reload()


def _get(session: Session, number: int) -> Comparison:
    row = session.get(Comparison, number)
    if row is None:
        raise NotFound(gettext("There is no comparison %(number)s.", number=number))
    return row


def _context(session: Session, row: Comparison, found: Readout) -> dict[str, Any]:
    code = found.verdict.code
    arms = [arm for arm in EVERY_ARM if arm in found.arms]
    plans: dict[str, Plan] = {arm: comparisons.plan_of(row, arm) for arm in EVERY_ARM}
    placement = placements.read(session).get(row.placement)
    return {
        "row": row,
        "found": found,
        "name": placement.name if placement else row.placement,
        "gone": placement is None,
        "state": STATES[status(row)],
        "status": status(row),
        "headline": (SO_FAR if found.interim else HEADLINES).get(code) or HEADLINES[code],
        "kind": "warn" if found.interim and code in SO_FAR else KINDS.get(code, "warn"),
        "arms": arms,
        "names": ARMS,
        "others": AGAINST,
        "labels": names(plans),
        "planned": _shares(row),
        "changes": changes(plans["a"], plans["b"]),
        "metrics": [(LABELS[name], name) for name in METRICS],
        "words": lambda name, value: _words(name, found.currency)(value),
        "pairs": list(dict.fromkeys((one.arm, one.against) for one in found.differences)),
        "plots": [(LABELS[name], drawn) for name in PLOTTED if (drawn := _plot(found, name))],
        "is_last": placement is not None and comparisons.latest(session, row.placement).id == row.id,
        "due": row.ended_at is None and utcnow() >= found.planned_end,
    }


def _shares(row: Comparison) -> dict[str, float]:
    """How many of all were to fall to each arm."""
    shown = 1 - row.holdout
    return {"a": shown * (1 - row.share_b), "b": shown * row.share_b, "holdout": row.holdout}


def _words(metric: str, currency: str) -> Words:
    """How a figure per person is written."""
    ways: dict[str, Words] = {
        "share": lambda value: share(value, 2),
        "number": lambda value: number(value, 3),
        "money": lambda value: money(round(value * UNIT), currency),
    }
    return ways[METRICS[metric].unit]


def _plot(found: Readout, metric: str) -> Markup | None:
    """The differences that can be told, on one scale."""
    marks: Sequence[Mark] = [
        Mark(
            gettext("%(one)s less %(other)s", one=ARMS[one.arm], other=AGAINST[one.against]),
            one.interval,
            "caused" if one.against == "a" else "attributed",
        )
        for one in found.differences
        if one.metric == metric and one.interval is not None
    ]
    return plot(marks, _words(metric, found.currency)) if marks else None
