"""How the shop stands."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from engine import insight
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Event, Order, Suppression
from engine.warehouse import Warehouse


@pytest.fixture
def warehouse(database: Database, config: Config, now: datetime) -> Warehouse:
    """Four contacts and a few orders around `now`."""
    days = timedelta(days=1)
    consents = {1: True, 2: True, 3: None, 4: False}
    with database.begin() as session:
        for number, consent in consents.items():
            session.add(
                Contact(
                    id=number,
                    key=f"C{number}",
                    email=f"c{number}@mail.example",
                    email_consent=consent,
                    created_at=now - number * 20 * days,
                    updated_at=now,
                )
            )
        session.flush()
        orders = [  # contact, days ago, total, currency
            (1, 0.5, 100, "GBP"),
            (1, 29.5, 50, "GBP"),
            (1, 29.6, -20, "GBP"),  # a return
            (1, 30.5, 70, "GBP"),
            (3, 5, 999, "EUR"),
            (2, 61, 40, "GBP"),
            (3, 100, 10, "GBP"),
            (2, 100, 10, "GBP"),
            (2, 110, 10, "GBP"),
            (2, -1, 10, "GBP"),  # tomorrow's
        ]
        session.add_all(
            Order(
                key=f"O{at}",
                contact_id=contact,
                ordered_at=now - ago * days,
                currency=currency,
                total=total * 10_000,
                units=1,
                digest="",
            )
            for at, (contact, ago, total, currency) in enumerate(orders)
        )
        session.add(Event(key="e", contact_id=2, type="cart_abandon", occurred_at=now - 2 * days))
        session.add(Suppression(channel="email", address="c2@mail.example", reason="bounce", at=now))
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    warehouse.refresh()
    return warehouse


def test_trade_of_two_windows(warehouse: Warehouse, now: datetime) -> None:
    """Returns reduce revenue and are no orders; other currencies and tomorrow stay out."""
    trade = insight.trade(warehouse, "GBP", now=now)
    assert (trade.orders.total, trade.orders.total_before) == (2, 1)
    assert (trade.revenue.total, trade.revenue.total_before) == (130 * 10_000, 70 * 10_000)
    assert trade.foreign.total == 1
    assert len(trade.orders.last) == len(trade.orders.before) == 30
    assert (trade.orders.last[-1], trade.orders.last[0], trade.orders.before[-1]) == (1, 1, 1)


def test_reach(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Consent counts, and a suppressed address is not reached whatever its owner allowed."""
    with database.read() as session:
        reach = insight.reach(session, warehouse, now=now)
    assert (reach.contacts, reach.by_email) == (4, 1)
    assert (reach.new.total, reach.new.total_before) == (1, 1)


def test_ideas_count_people(database: Database, warehouse: Warehouse, now: datetime) -> None:
    """Each idea comes with as many people as its list would hold, or not at all."""
    with database.read() as session:
        ideas = {idea.key: count for idea, count in insight.ideas(session, warehouse, now=now)}
    assert ideas["left_cart"] == 1
    assert "second" not in ideas
    assert all(ideas.values())


def test_nothing_yet(database: Database, config: Config, now: datetime) -> None:
    """An empty shop is zeros, not an error."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    warehouse.refresh()
    trade = insight.trade(warehouse, "GBP", now=now)
    assert (trade.orders.total, trade.revenue.days) == (0, [0] * 60)
    with database.read() as session:
        assert insight.reach(session, warehouse, now=now).contacts == 0
        assert insight.ideas(session, warehouse, now=now) == []
