"""The first page: how things stand and what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from sqlalchemy import case, exists, func, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Send
from engine import insight
from engine.models import Contact, ContactList, Item, Order
from engine.money import to_decimal
from recommender.models import Published
from web import security
from web.alerts import alerts
from web.charts import Chart, Series
from web.demo.storefront import settings as storefront
from web.format import day_month
from web.models import ApiKey
from web.services import services, utcnow

blueprint = Blueprint("today", __name__)

DAYS = 30
GREETINGS = ((5, "night"), (12, "morning"), (18, "afternoon"), (24, "evening"))


@blueprint.get("/")
def page() -> ResponseReturnValue:
    """How things stand."""
    now, warehouse, config = utcnow(), services().warehouse, services().config
    warehouse.refresh()
    with services().database.read() as session:
        live = _live(session)
        trade = insight.trade(warehouse, config.locale.currency, now=now, days=DAYS)
        return render_template(
            "today.html",
            greeting=_greeting(now),
            steps=_steps(session),
            trade=trade,
            reach=insight.reach(session, warehouse, now=now, days=DAYS),
            chart=_chart(trade, now),
            live=live,
            note=_note(live),
            alerts=alerts(session, now),
            ideas=[_idea(*found) for found in insight.ideas(session, warehouse, now=now)],
            as_of=warehouse.as_of,
            storefront=storefront.address(config.folder),
        )


@dataclass(frozen=True)
class Step:
    """One of the first steps; ticks itself."""

    title: str
    text: str
    endpoint: str
    done: bool


def _steps(session: Session) -> list[Step]:
    """What a new shop does first."""

    def there(table: type) -> bool:
        return bool(session.scalar(select(exists(select(table)))))

    steps = [
        Step(gettext("Bring your contacts"), gettext("A CSV file from the shop, with consent if you have it"),
             "imports.new", there(Contact)),
        Step(gettext("Bring items and orders"), gettext("Lists then know who bought what, offers what goes together"),
             "imports.new", there(Item) and there(Order)),
        Step(gettext("Connect the shop"), gettext("A key lets it send orders and events as they happen"),
             "settings.keys", there(ApiKey)),
        Step(gettext("Train the recommendations"), gettext("Then every page and mail can show what fits"),
             "recommendations.index", there(Published)),
        Step(gettext("Make a list"), gettext("Choose people by what they are and did"),
             "lists.index", there(ContactList)),
        Step(gettext("Send a campaign"), gettext("With a quiet control group, to know what it earned"),
             "campaigns.index", there(Campaign)),
    ]  # fmt: skip
    return [step for step in steps if security.may(step.endpoint)]


@dataclass(frozen=True)
class Running:
    """A campaign that sends or will, with how many messages were accepted of those that are to be sent."""

    campaign: Campaign
    done: int
    total: int


def _live(session: Session) -> list[Running]:
    """Campaigns on their way, the next first."""
    found = session.scalars(
        select(Campaign)
        .where(Campaign.status.in_(("sending", "paused", "late", "scheduled")), Campaign.deleted_at.is_(None))
        .order_by(Campaign.due_at.is_(None), Campaign.due_at)
        .limit(8)
    ).all()
    counted = (
        select(Send.campaign_id, func.count(case((Send.state == "accepted", 1))), func.count(Send.next_at))
        .where(Send.campaign_id.in_([campaign.id for campaign in found]))
        .group_by(Send.campaign_id)
    )
    counts = {campaign_id: (accepted, drawn) for campaign_id, accepted, drawn in session.execute(counted)}
    return [Running(campaign, *counts.get(campaign.id, (0, 0))) for campaign in found]


def _note(live: list[Running]) -> str:
    """How many campaigns are under way, and how many are still to come."""
    coming = sum(one.campaign.status == "scheduled" for one in live)
    running = len(live) - coming
    parts = [
        ngettext("%(num)s campaign is under way", "%(num)s campaigns are under way", running) if running else "",
        ngettext("%(num)s campaign is coming", "%(num)s campaigns are coming", coming) if coming else "",
    ]
    return ", ".join(filter(None, parts)) or gettext("No campaign is under way")


def _chart(trade: insight.Trade, now: datetime) -> Chart:
    days = [day_month(now - timedelta(days=back)) for back in range(DAYS - 1, -1, -1)]
    return Chart(
        title=gettext("Revenue by day"),
        axis=gettext("Day"),
        categories=days,
        series=[
            Series(gettext("Last %(days)s days", days=DAYS), [float(to_decimal(one)) for one in trade.revenue.last]),
            Series(
                gettext("The %(days)s days before", days=DAYS), [float(to_decimal(one)) for one in trade.revenue.before]
            ),
        ],
        unit="money",
        currency=services().config.locale.currency,
    )


def _idea(idea: insight.Idea, count: int) -> dict[str, object]:
    return {
        "key": idea.key,
        "words": idea.words,
        "why": idea.why,
        "count": count,
        "criteria": json.dumps(idea.criteria),
    }


def _greeting(now: datetime) -> str:
    hour = now.astimezone(services().config.locale.zone).hour
    words = {
        "night": gettext("Hello"),
        "morning": gettext("Good morning"),
        "afternoon": gettext("Good afternoon"),
        "evening": gettext("Good evening"),
    }
    return str(words[next(name for until, name in GREETINGS if hour < until)])
