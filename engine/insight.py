"""How the shop stands: trade and reach of the last days against the days before, and people worth speaking to.

Windows are whole days of 24 hours that end at `now`, so that "the last 30 days" means the same in every zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import ibis
from ibis import _
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine import criteria, leaves
from engine.catalogue import open_catalogue
from engine.models import Contact, Suppression
from engine.values import Words
from engine.warehouse import Warehouse

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Window:
    """One figure a day over two equal windows, oldest day first; the second half is the window, the first the one
    before.
    """

    days: list[int]

    @property
    def last(self) -> list[int]:
        """The days of the window."""
        return self.days[len(self.days) // 2 :]

    @property
    def before(self) -> list[int]:
        """The days of the window before."""
        return self.days[: len(self.days) // 2]

    @property
    def total(self) -> int:
        """Of the window."""
        return sum(self.last)

    @property
    def total_before(self) -> int:
        """Of the window before."""
        return sum(self.before)


@dataclass(frozen=True)
class Trade:
    """Purchases (total > 0) and revenue (returns netted, ten-thousandths), both in the shop's currency; orders in
    other currencies are only counted, in `foreign`.
    """

    orders: Window
    revenue: Window
    foreign: Window


@dataclass(frozen=True)
class Reach:
    """Contacts, the new ones by day, and how many a mail may reach."""

    contacts: int
    new: Window
    by_email: int


@dataclass(frozen=True)
class Idea:
    """People worth a list: criteria and the words for how many they are."""

    key: str
    words: Words  # {0}: how many
    why: Words
    criteria: Mapping[str, Any]


def _did_this_week(event: str) -> dict[str, Any]:
    return {"event": event, "measure": "count", "operator": "at_least", "value": 1, "within": {"last_days": 7}}


_MAY_MAIL: Final = {"field": "email_consent", "operator": "is", "value": True}

IDEAS: Final = (
    Idea(
        "lapsing",
        Words("{0} regulars have been quiet for three months", "{0}位老顾客已沉寂三个月"),
        Words(
            "Three orders or more, the last 90 to 365 days ago. Win them back before they forget you.",
            "下过三单以上，最近一单在90至365天前。趁他们还记得，赢回他们。",
        ),
        {
            "all": [
                {"field": "order_count", "operator": "at_least", "value": 3},
                {"field": "recency", "operator": "between", "value": [90, 365]},
                _MAY_MAIL,
            ]
        },
    ),
    Idea(
        "second",
        Words("{0} new customers have not come back yet", "{0}位新顾客尚未回购"),
        Words(
            "One order, 21 to 60 days ago. The second order is the one that makes a customer.",
            "只下过一单，在21至60天前。第二单才真正留住顾客。",
        ),
        {
            "all": [
                {"field": "order_count", "operator": "is", "value": 1},
                {"field": "recency", "operator": "between", "value": [21, 60]},
                _MAY_MAIL,
            ]
        },
    ),
    Idea(
        "left_cart",
        Words("{0} people left a full cart this week", "{0}位顾客本周放弃了购物车"),
        Words(
            "A cart abandoned in the last 7 days and no order since.",
            "最近7天放弃购物车，且没有下单。",
        ),
        {
            "all": [
                _did_this_week("cart_abandon"),
                {"not": _did_this_week("order")},
                _MAY_MAIL,
            ]
        },
    ),
    Idea(
        "silent_best",
        Words("{0} of your best customers get no mail from you", "{0}位最佳顾客收不到您的邮件"),
        Words(
            "The top fifth by spend, never asked for consent to e-mail. Ask at the till or in the parcel.",
            "消费额前五分之一，从未被询问是否同意接收邮件。可在收银台或包裹中询问。",
        ),
        {
            "all": [
                {"field": "rfm_monetary", "operator": "is", "value": 5},
                {"field": "email_consent", "operator": "unknown"},
            ]
        },
    ),
)  # fmt: skip


def trade(warehouse: Warehouse, currency: str, *, now: datetime, days: int = 30) -> Trade:
    """Orders and revenue of the last `days` and the `days` before."""
    home = _.currency == currency
    daily = _daily(
        warehouse,
        warehouse.table("orders"),
        "ordered_at",
        now,
        days,
        orders=_.count(where=home & (_.total > 0)),
        revenue=_.total.sum(where=home).fill_null(0).cast("int64"),
        foreign=_.count(where=~home),
    )
    return Trade(**daily)


def reach(session: Session, warehouse: Warehouse, *, now: datetime, days: int = 30) -> Reach:
    """Whom we know and whom a mail may reach: address, consent, and no suppression."""
    contacts = warehouse.table("contacts")
    new = _daily(warehouse, contacts, "created_at", now, days, new=_.count())
    may = _.email.notnull() & _.email_consent.fill_null(False)
    row = warehouse.execute(contacts.aggregate(contacts=_.count(), may=_.count(where=may))).to_pylist()[0]
    # Few addresses are suppressed, so looking them up costs less than copying them into the warehouse.
    suppressed = session.scalar(
        select(func.count())
        .select_from(Suppression)
        .join(Contact, Contact.email == Suppression.address)
        .where(Suppression.channel == "email", Contact.email_consent.is_(True))
    )
    return Reach(row["contacts"], new["new"], max(row["may"] - (suppressed or 0), 0))


def _daily(
    warehouse: Warehouse, rows: ibis.Table, moment: str, now: datetime, days: int, **figures: Any
) -> dict[str, Window]:
    """`figures` for each day of two windows of `days` that end at `now`."""
    age = ibis.literal(now).delta(rows[moment], unit="second") // DAY_SECONDS
    recent = rows.filter(rows[moment] > now - timedelta(days=2 * days), rows[moment] <= now)
    table = warehouse.execute(recent.group_by(age=age).aggregate(**figures))
    by_age = {row["age"]: row for row in table.to_pylist()}
    ages = range(2 * days - 1, -1, -1)
    return {name: Window([by_age[at][name] if at in by_age else 0 for at in ages]) for name in figures}


def ideas(session: Session, warehouse: Warehouse, *, now: datetime) -> list[tuple[Idea, int]]:
    """The ideas that concern anybody, with the number of people; counted as a list would count them."""
    catalogue = open_catalogue(session, warehouse)
    found = []
    for idea in IDEAS:
        count = leaves.size(warehouse, criteria.parse(idea.criteria, catalogue), now)
        if count:
            found.append((idea, count))
    return found
