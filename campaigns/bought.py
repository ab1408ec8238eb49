"""What stands in orders, and which of it was clicked as a recommendation before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.models import Event, Item, OrderLine
from engine.timeline import Moment, Thing

CLICKED: Final = timedelta(days=7)  # before the order; later it is hardly the click that led to it
LINES: Final = 2_000  # looked at, of all orders; and the newest so many clicks


@dataclass(frozen=True)
class Click:
    """A recommendation of `item` was clicked; `told`: placement, source ... of it."""

    at: datetime
    item: Thing
    told: Mapping[str, Any]


@dataclass
class Bought:
    """Items of an order, each once, and the last click on those that were clicked within CLICKED before it."""

    items: list[Thing] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)


def bought(session: Session, contact_id: int, orders: Sequence[Moment]) -> dict[int, Bought]:
    """What stands in these orders of a contact, by their ids."""
    found: dict[int, Bought] = defaultdict(Bought)
    if not orders:
        return found
    lines = (
        select(OrderLine.order_id, Item.id, Item.key, Item.title, Item.url)
        .join(Item, Item.id == OrderLine.item_id)
        .where(OrderLine.order_id.in_([order.id for order in orders]))
        .order_by(OrderLine.order_id, OrderLine.id)
        .limit(LINES)
    )
    for order_id, number, key, title, url in session.execute(lines):
        item = Thing(number, key, title, url)
        if item not in found[order_id].items:
            found[order_id].items.append(item)
    clicks = _clicks(session, contact_id, orders)
    for order in orders:
        for item in found[order.id].items:
            led = (one for one in clicks.get(item.id, ()) if order.at - CLICKED <= one[0] <= order.at)
            if last := next(led, None):
                found[order.id].clicks.append(Click(last[0], item, last[1]))
    return found


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
        .limit(LINES)
    )
    clicks = defaultdict(list)
    for item_id, at, told in session.execute(query):
        clicks[item_id].append((at, told))
    return clicks
