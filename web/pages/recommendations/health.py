"""The health of the catalogue: what is never offered, shown though sold out, dropped by rules, or gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import numpy as np
from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy.orm import Session

from engine import export
from engine.errors import Invalid
from engine.money import to_decimal
from recommender import health, placements, training
from recommender.arrays import Ints
from recommender.criteria.published import serving
from recommender.health import CHECKS, Health
from web.exporting import streamed
from web.pages.campaigns.door import keep, recall
from web.pages.recommendations.door import blueprint
from web.services import services, utcnow

PAGE: Final = 50
CATALOGUE: Final = "catalogue"  # one place in memory, whatever it depends on: 61 MiB at 100,000 items
FILE: Final = (
    "key", "title", "category", "brand", "price", "cost", "currency", "stock", "active", "in_training", "offered",
    "impressions", "clicks", "findings",
)  # fmt: skip
WORDS: Final = {
    "never_offered": (
        lazy_gettext("Never offered"),
        lazy_gettext(
            "In stock, but in none of the answers asked for here, and nobody saw it lately. Pin it, put forward what is"
            " new, or give it a category and a title."
        ),
    ),
    "sold_out_shown": (
        lazy_gettext("Sold out, but offered"),
        lazy_gettext("A placement shows what is not in stock. Tick “Only what is in stock” there."),
    ),
    "no_price": (lazy_gettext("Without a price"), lazy_gettext("Rules on price and margin drop it.")),
    "no_cost": (
        lazy_gettext("Without a cost"),
        lazy_gettext("It has no margin: rules on margin drop it, boosts pass it by."),
    ),
    "no_category": (
        lazy_gettext("Without a category"),
        lazy_gettext("Rules on categories drop it, and best-sellers of a category never hold it."),
    ),
    "no_title": (
        lazy_gettext("Without a title"),
        lazy_gettext("It is offered by its number, and nothing is known to be like it."),
    ),
    "no_picture": (lazy_gettext("Without a picture"), lazy_gettext("It is offered as words alone.")),
    "unlearned": (
        lazy_gettext("Newer than the training"),
        lazy_gettext("The training that serves does not know it yet: only the next one can offer it."),
    ),
    "not_sold": (
        lazy_gettext("Learned, but not sold any more"),
        lazy_gettext("The training knows it and no placement shows it. The next training may still learn from it."),
    ),
    "never_seen": (lazy_gettext("Not seen lately"), lazy_gettext("In stock, and no impression of it came in.")),
}
IDLE: Final = {
    "unknown": lazy_gettext("nobody knows this number"),
    "not sold": lazy_gettext("not sold any more"),
    "sold out": lazy_gettext("sold out"),
    "suppressed": lazy_gettext("suppressed"),
}


@blueprint.get("/catalogue")
def catalogue() -> ResponseReturnValue:
    """The page; what takes a second comes after it."""
    with services().database.read() as session:
        return render_template("recommendations/catalogue.html", training=training.current(session))


@blueprint.get("/catalogue/found")
def catalogue_found() -> ResponseReturnValue:
    """What was found, and the items of one finding."""
    now = _now()
    with services().database.read() as session:
        found = _look(session, now)
        shown = request.args.get("show", "")
        shown = shown if shown in CHECKS else ""
        rows = found.rows(shown) if shown else np.empty(0, np.int64)
        start = (min(max(request.args.get("page", 1, type=int), 1), len(rows) // PAGE + 1) - 1) * PAGE
        return render_template(
            "recommendations/health.html",
            found=found,
            words=WORDS,
            counts={check: int(found.mask(check).sum()) for check in WORDS},
            dropped={check: found.dropped_by(check) for check in WORDS},
            shown=shown,
            items=[_item(found, int(row)) for row in rows[start : start + PAGE]],
            total=len(rows),
            start=start,
            next=_address(shown, start // PAGE + 2) if start + PAGE < len(rows) else None,
            previous=_address(shown, start // PAGE) if start else None,
            idle=found.idle,
            idle_words=IDLE,
            days=health.DAYS,
            top=health.TOP,
            concentration=health.concentration,
        )


@blueprint.get("/catalogue.csv")
def catalogue_file() -> Response:
    """Every item that something was found about, with all that was found; `show`: of one finding alone."""
    shown = request.args.get("show", "")
    with services().database.read() as session:
        found = _look(session, _now())
    checks = [shown] if shown in CHECKS else list(WORDS)
    rows = np.flatnonzero(np.logical_or.reduce([found.mask(check) for check in checks]))
    return streamed("catalogue.csv", export.lines(FILE, _lines(found, rows.astype(np.int64))))


def _now() -> datetime:
    """On the shop's clock: pins hold for its days."""
    return utcnow().astimezone(services().config.locale.zone)


def _look(session: Session, now: datetime) -> Health:
    """Once in five minutes, and anew for another training and after every edit of a placement."""
    current, opened = training.current(session), services()
    state = current.id if current else None, placements.read(session), placements.suppressed(session)
    kept: tuple[object, Health] | None = recall(CATALOGUE, now)
    if kept is None or kept[0] != state:
        opened.warehouse.refresh()
        learned, seed = _learned(session), opened.config.recommender.seed
        found = health.look(session, opened.warehouse, opened.recommender, learned, now=now, seed=seed)
        kept = keep(CATALOGUE, now, (state, found))
    return kept[1]


def _learned(session: Session) -> Ints:
    """Item ids that the training that serves knows; none without one."""
    try:
        return serving(session, services().config).item_ids
    except Invalid:
        return np.empty(0, np.int64)


def _address(shown: str, page: int) -> str:
    return url_for(".catalogue", show=shown, page=page if page > 1 else None)


def _item(found: Health, row: int) -> dict[str, Any]:
    """What the page tells of an item."""
    item = int(found.goods.ids[row])
    told = {name: values[row] for name, values in found.goods.columns.items()}
    counted = {"offered": found.offered, "impressions": found.shown, "clicks": found.clicked}
    return told | {name: counts.get(item, 0) for name, counts in counted.items()}


def _lines(found: Health, rows: Ints) -> Iterator[list[Any]]:
    learned = np.isin(found.goods.ids, found.learned)
    masks = {check: found.mask(check) for check in WORDS}
    for row in rows.tolist():
        told = _item(found, row)
        money = [None if told[name] is None else to_decimal(told[name]) for name in ("price", "cost")]
        findings = " ".join(check for check, mask in masks.items() if mask[row])
        yield [*(told[name] for name in FILE[:4]), *money, *(told[name] for name in FILE[6:9]), bool(learned[row]),
               *(told[name] for name in FILE[10:13]), findings]  # fmt: skip
