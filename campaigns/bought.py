"""What stands in orders, and which of it was clicked as a recommendation before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from engine.models import Event, Item, OrderLine
from engine.timeline import Moment, Thing

CLICKED: Final = timedelta(days=7)  # before the order; later it is hardly the click that led to it
NAMED: Final = 2  # items that are named before "and 3 more"
CLICKS: Final = 2_000  # looked at, the newest of a page of orders


@dataclass(frozen=True)
class Click:
    """A recommendation of `item` was clicked; `told`: placement, source ... of it."""

    at: datetime
    item: Thing
    told: Mapping[str, Any]


@dataclass
class Bought:
    """Different items of an order, the first NAMED of them in the order of its lines, and the last click on each that
    was clicked within CLICKED before it, named or not.
    """

    count: int = 0
    items: list[Thing] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)


def bought(session: Session, contact_id: int, orders: Sequence[Moment]) -> dict[int, Bought]:
    """What stands in these orders of a contact, by their ids: two statements, however many orders and lines."""
    found: dict[int, Bought] = defaultdict(Bought)
    if not orders:
        return found
    clicks, at = _clicks(session, contact_id, orders), {order.id: order.at for order in orders}
    for order_id, count, place, number, key, title, url in session.execute(_items(sorted(at), sorted(clicks))):
        order, item = found[order_id], Thing(number, key, title, url)
        order.count = count
        if place <= NAMED:
            order.items.append(item)
        led = (one for one in clicks.get(number, ()) if at[order_id] - CLICKED <= one[0] <= at[order_id])
        if last := next(led, None):
            order.clicks.append(Click(last[0], item, last[1]))
    return found


def _items(order_ids: Sequence[int], clicked: Sequence[int]) -> Select[*tuple[Any, ...]]:
    """Of each order how many different items, and its first NAMED and those `clicked`, each with its place among all.

    The database counts: an order may have 10,000 lines (intake.writers.orders.MAX_LINES).
    """
    each = (
        select(OrderLine.order_id, OrderLine.item_id, func.min(OrderLine.id).label("line"))
        .where(OrderLine.order_id.in_(order_ids))
        .group_by(OrderLine.order_id, OrderLine.item_id)
        .subquery()
    )
    placed = select(
        each.c.order_id,
        each.c.item_id,
        func.count().over(partition_by=each.c.order_id).label("count"),
        func.row_number().over(partition_by=each.c.order_id, order_by=each.c.line).label("place"),
    ).subquery()
    return (
        select(placed.c.order_id, placed.c.count, placed.c.place, Item.id, Item.key, Item.title, Item.url)
        .join(Item, Item.id == placed.c.item_id)
        .where((placed.c.place <= NAMED) | placed.c.item_id.in_(clicked))
        .order_by(placed.c.order_id, placed.c.place)
    )


def _clicks(
    session: Session, contact_id: int, orders: Sequence[Moment]
) -> Mapping[int, list[tuple[datetime, Mapping[str, Any]]]]:
    """Moments and properties of clicks around the orders, by the item, newest first."""
    query = (
        select(Event.item_id, Event.occurred_at, Event.properties)
        .where(
            Event.contact_id == contact_id,
            Event.type == "recommendation_click",
            Event.item_id.is_not(None),
            Event.occurred_at >= min(order.at for order in orders) - CLICKED,
            Event.occurred_at <= max(order.at for order in orders),
        )
        .order_by(Event.occurred_at.desc(), Event.id.desc())
        .limit(CLICKS)
    )
    clicks = defaultdict(list)
    for item_id, at, told in session.execute(query):
        clicks[item_id].append((at, told))
    return clicks
