"""What came of placements in the last weeks: of all on the page Recommendations, of one on its own page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from campaigns.after_click import DAYS, WEEKS, Closely, Result, closely, everywhere
from campaigns.exposed import CREDIT_DAYS
from engine.errors import NotFound
from engine.money import UNIT
from recommender import comparisons, placements
from web.charts import Chart, Series
from web.format import day_month
from web.pages.campaigns.door import remember
from web.pages.recommendations.door import blueprint
from web.services import services, utcnow


@blueprint.get("/results")
def results() -> ResponseReturnValue:
    """Of all placements. The page is there before it, for it reads every impression of these days."""
    opened, now = services(), utcnow()
    currency = opened.config.locale.currency
    with opened.database.read() as session:
        plans, compared = placements.read(session), comparisons.running(session)

    def look() -> dict[str, Result]:
        opened.warehouse.refresh()
        with opened.database.read() as session:
            return everywhere(session, opened.warehouse, list(plans), currency=currency, now=now)

    found = remember(("results", *plans), now, look)
    return render_template(
        "recommendations/results.html", found=found, plans=plans, compared=compared, currency=currency,
        days=DAYS, credit=CREDIT_DAYS,
    )  # fmt: skip


@blueprint.get("/placements/<string(maxlength=64):key>/results")
def placement_results(key: str) -> ResponseReturnValue:
    """Of one placement, by week and by source."""
    opened, now = services(), utcnow()
    currency = opened.config.locale.currency
    with opened.database.read() as session:
        plan, running = placements.read(session).get(key), comparisons.running(session).get(key)
    if plan is None:
        raise NotFound(gettext("There is no placement %(key)s.", key=key))

    def look() -> tuple[Closely, list[str]]:
        opened.warehouse.refresh()
        starts = [day_month(now - timedelta(weeks=back)) for back in range(WEEKS, 0, -1)]
        with opened.database.read() as session:
            return closely(session, opened.warehouse, key, currency=currency, now=now), starts

    found, starts = remember(("results of", key), now, look)
    return render_template(
        "recommendations/result.html", found=found, plan=plan, running=running, currency=currency,
        days=DAYS, credit=CREDIT_DAYS, charts=_charts(found.weeks, starts, currency),
    )  # fmt: skip


def _charts(weeks: Sequence[Result], starts: Sequence[str], currency: str) -> list[Chart]:
    """Two of them, for a share and an amount have no scale in common."""
    axis = gettext("Week from")
    clicked = [one.click_share for one in weeks]
    margin = [one.margin / UNIT for one in weeks]
    return [
        Chart(gettext("Share who clicked, by week"), axis, starts, [Series(gettext("Of those who saw it"), clicked)],
              kind="bar", unit="share"),
        Chart(gettext("Margin after a click, by week"), axis, starts, [Series(gettext("Margin after a click"), margin)],
              kind="bar", unit="money", currency=currency),
    ]  # fmt: skip
