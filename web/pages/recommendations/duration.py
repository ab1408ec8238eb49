"""How long a comparison would take: what the form of one says of it while its shares change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext, ngettext

from campaigns.duration import LONGEST, LOOKED_BACK, Lately, Split, lately
from campaigns.exposed import METRICS
from engine.money import UNIT
from recommender.comparisons import DAYS, HOLDOUT_LIMIT, LEAST_SHARE
from web.format import money, number, share
from web.pages.campaigns.door import recall, remember
from web.pages.recommendations.door import blueprint
from web.services import services, utcnow

DIFFERENCES: Final = (0.1, 0.2, 0.5)  # between A and B, as shares of the figure
FIGURES: Final = {
    "clickers": lazy_gettext("People who clicked an offer"),
    "orders": lazy_gettext("Orders a person"),
    "margin": lazy_gettext("Margin a person"),
}


@dataclass(frozen=True)
class Row:
    """One figure: what it is now, the days after which each of DIFFERENCES shows, and what the planned days show."""

    label: str
    now: str
    days: list[str]
    planned: str


@blueprint.get("/placements/<string(maxlength=64):key>/compare/duration")
def comparison_duration(key: str) -> ResponseReturnValue:
    """It takes .2 to .5 s in the demonstration and 4 s with 300,000 mails, so the form is there before it."""
    opened, now = services(), utcnow()

    def look() -> Lately:
        opened.warehouse.refresh()
        with opened.database.read() as session:
            return lately(session, opened.warehouse, key, currency=opened.config.locale.currency, now=now)

    remember(("lately", key), now, look)
    return render_template("recommendations/duration.html", **told(key, request.args))


def told(key: str, typed: Mapping[str, str]) -> dict[str, Any]:
    """What the form shows, for shares and days as they are typed; `lately` is None while nobody looked yet."""
    found: Lately | None = recall(("lately", key), utcnow())
    numbers = [_number(typed.get(name, "")) for name in ("share", "held", "days")]
    share_b, holdout, days = numbers[0] / 100, numbers[1] / 100, numbers[2]
    fits = LEAST_SHARE <= share_b <= 1 - LEAST_SHARE and 0 <= holdout <= HOLDOUT_LIMIT and DAYS[0] <= days <= DAYS[1]
    rows = [_row(found, name, Split(share_b, holdout), int(days)) for name in FIGURES] if found and fits else []
    asked = {name: typed.get(name, "")[:20] for name in ("share", "held", "days")}
    return {
        "lately": found, "duration": rows, "differences": DIFFERENCES, "looked_back": LOOKED_BACK[-1],
        "duration_of": {"key": key, **asked}, "planned_days": int(days) if fits else 0,
    }  # fmt: skip


def _number(typed: str) -> float:
    try:
        return float(typed)
    except ValueError:
        return math.nan


def _row(found: Lately, name: str, split: Split, days: int) -> Row:
    least = found.least(name, days, split)
    return Row(
        str(FIGURES[name]),
        _figure(name, found.mean(name)),
        [_days(found.needed(name, difference, split)) for difference in DIFFERENCES],
        gettext("nothing") if least is None else share(least, 0),
    )


def _days(needed: int | None) -> str:
    words = gettext("> %(n)s days", n=LONGEST) if needed is None else ngettext("%(num)s day", "%(num)s days", needed)
    return str(words)


def _figure(name: str, value: float) -> str:
    currency = services().config.locale.currency
    ways: dict[str, Callable[[], str]] = {
        "share": lambda: share(value, 1),
        "number": lambda: number(value, 2),
        "money": lambda: money(round(value * UNIT), currency),
    }
    return ways[METRICS[name].unit]()
