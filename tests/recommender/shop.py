"""Small shops whose right answers are known by thought."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from engine.models import Contact, Event, Item, Order, OrderLine
from recommender.interactions import Interactions, Items, Log

EMPTY = {"currency": "GBP", "total": 0, "units": 0, "digest": ""}
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def add_items(session: Session, count: int, **given: object) -> list[Item]:
    """Items `A0`, `A1` ... in stock at 9.99."""
    items = [
        Item(
            **{
                "key": f"A{number}",
                "title": f"Item {number}",
                "category": "All",
                "price": 99_900,
                "currency": "GBP",
                "attributes": {},
                "created_at": NOW,
                "updated_at": NOW,
                **given,
            }
        )
        for number in range(count)
    ]
    session.add_all(items)
    session.flush()
    return items


def add_contacts(session: Session, count: int) -> list[Contact]:
    """Contacts `C0`, `C1` ..."""
    contacts = [Contact(key=f"C{number}", attributes={}, created_at=NOW, updated_at=NOW) for number in range(count)]
    session.add_all(contacts)
    session.flush()
    return contacts


Bought = tuple[Contact | None, Sequence[Item], datetime]


def add_orders(session: Session, rows: Sequence[Bought], quantity: int = 1) -> None:
    """Orders of (contact, items, moment), `quantity` of each item; below nothing they are returns."""
    orders = [
        Order(key=secrets.token_hex(8), contact_id=contact and contact.id, ordered_at=at, **EMPTY)
        for contact, _, at in rows
    ]
    session.add_all(orders)
    session.flush()
    session.add_all(
        OrderLine(order_id=order.id, item_id=item.id, quantity=quantity, unit_price=99_900)
        for order, (_, items, _) in zip(orders, rows, strict=True)
        for item in items
    )
    session.flush()


def add_order(
    session: Session, contact: Contact | None, items: Sequence[Item], at: datetime, quantity: int = 1
) -> None:
    """One order."""
    add_orders(session, [(contact, items, at)], quantity)


def add_event(session: Session, contact: Contact | None, item: Item, at: datetime, **given: object) -> None:
    """A view, unless `type` says otherwise."""
    contact_id = contact and contact.id
    row = {"key": f"{contact_id}-{item.id}-{at}", "type": "item_view", "properties": {}, **given}
    session.add(Event(contact_id=contact_id, item_id=item.id, occurred_at=at, **row))
    session.flush()


def checkerboard(session: Session, *, contacts: int = 40, items: int = 20) -> tuple[list[Contact], list[Item]]:
    """Contact c bought every item of their colour (c + i even) but item c % items, if it has their colour.

    What is withheld is what should be offered: everybody of that colour has it but them.
    """
    people, things = add_contacts(session, contacts), add_items(session, items)
    rows = []
    for number, contact in enumerate(people):
        mine = [things[i] for i in range(items) if (number + i) % 2 == 0 and i != number % items]
        rows.append((contact, mine, NOW - timedelta(days=10 + number % 7)))
    add_orders(session, rows)
    return people, things


def baskets(rows: Sequence[Sequence[int]], *, contacts: Sequence[int | None] | None = None) -> Interactions:
    """One order a day for each row of item ids, the last one a day before NOW, by guests unless said."""
    lines = [
        (order, contacts[order] if contacts else None, item, 1.0, NOW - timedelta(days=len(rows) - order))
        for order, row in enumerate(rows)
        for item in row
    ]
    items = sorted({item for row in rows for item in row})
    return Interactions(Log.of(lines), Log.of([]), Items.of([(item, True, "All") for item in items]), NOW)


def colours(contacts: int = 40, items: int = 20) -> Interactions:
    """The checkerboard without a database: contact and item ids from 1, as a fresh database gives them."""
    lines = [
        (c, c + 1, i + 1, 1.0, NOW - timedelta(days=10 + c % 7))
        for c in range(contacts)
        for i in range(items)
        if (c + i) % 2 == 0 and i != c % items
    ]
    return Interactions(Log.of(lines), Log.of([]), Items.of([(i + 1, True, "All") for i in range(items)]), NOW)
