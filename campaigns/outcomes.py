"""What the contacts of a campaign did in a span of time, boiled down in the database to sufficient statistics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, FromClause, and_, case, cast, func, select
from sqlalchemy.orm import Session

from campaigns.experiment import Arm
from engine import money
from engine.models import Order


@dataclass(frozen=True)
class Outcome:
    """An arm: revenue and margin per contact in units of the currency, orders, and how many orders and returns have no
    known cost (their whole amount counts as margin).
    """

    revenue: Arm
    margin: Arm
    orders: int
    unknown_cost: int


NOBODY: Final = Outcome(Arm(0, 0, 0, 0), Arm(0, 0, 0, 0), 0, 0)


def outcomes(
    session: Session, people: FromClause, *, start: datetime, end: datetime, currency: str
) -> dict[str, Outcome]:
    """The outcome of each arm from one statement. `people` has one row per contact with `contact_id` and `arm`;
    orders of [start, end) in `currency` count, returns take away from them. Who only sent something back is no buyer.
    """
    counted = and_(
        Order.contact_id == people.c.contact_id,
        Order.ordered_at >= start,
        Order.ordered_at < end,
        Order.currency == currency,
    )
    each = (
        select(
            people.c.arm,
            func.coalesce(func.sum(Order.total), 0).label("revenue"),
            func.coalesce(func.sum(func.coalesce(Order.margin, Order.total)), 0).label("margin"),
            func.count(case((Order.total > 0, 1))).label("orders"),
            func.count(case((and_(Order.id.is_not(None), Order.margin.is_(None)), 1))).label("unknown_cost"),
        )
        .select_from(people)
        .outerjoin(Order, counted)
        .group_by(people.c.contact_id, people.c.arm)
        .subquery()
    )
    statement = select(
        each.c.arm,
        func.count().label("n"),
        func.count(case((each.c.orders > 0, 1))).label("buyers"),
        *_moments(each.c.revenue, "revenue"),
        *_moments(each.c.margin, "margin"),
        func.sum(each.c.orders).label("orders"),
        func.sum(each.c.unknown_cost).label("unknown_cost"),
    ).group_by(each.c.arm)
    return {row.arm: _outcome(row) for row in session.execute(statement)}


def _moments(amount: ColumnElement[Any], name: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Sum, exact, and sum of squares; these as floating point, for the square of an amount overflows 64 bits."""
    value = cast(amount, Float) / money.UNIT
    return func.sum(amount).label(name), func.sum(value * value).label(f"{name}_squares")


def _outcome(row: Any) -> Outcome:
    return Outcome(
        revenue=Arm(row.n, int(row.revenue) / money.UNIT, row.revenue_squares, row.buyers),
        margin=Arm(row.n, int(row.margin) / money.UNIT, row.margin_squares, row.buyers),
        orders=int(row.orders),
        unknown_cost=int(row.unknown_cost),
    )
