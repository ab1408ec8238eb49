"""Campaigns to look at: one to write, one of a month ago."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from campaigns import scheduler
from campaigns.delivery import Sender
from campaigns.models import Send
from engine.config import Config
from engine.models import Event
from tests.campaigns import shop
from tests.campaigns.shop import DAY
from web.services import Services, utcnow

SPLIT = 1_103_515_245  # spreads the shop's regular buckets


@pytest.fixture
def config(config: Config) -> Config:
    """What is sent now leaves now: the seconds to undo it have tests of their own."""
    return replace(config, sending=replace(config.sending, undo_seconds=0))


def send_all(services: Services) -> None:
    """What the worker does."""
    render = scheduler.renderer(services.config, services.recommender)
    with Sender(services.database, services.config, render) as sender:
        scheduler.tick(services.database, services.warehouse, services.config, now=utcnow(), sender=sender)


@pytest.fixture
def people(services: Services) -> int:
    """Sixty people, two of whom never agreed, and a list of all of them; its number."""
    now = utcnow()
    with services.database.begin() as session:
        found = shop.contact_list(session, now, name="Everybody", criteria={"field": "email", "operator": "known"})
        shop.crowd(session, 58, now)
        for number in (59, 60):
            shop.contact(session, number, now, email_consent=None)
        number = found.id
    services.warehouse.refresh()
    return number


@pytest.fixture
def draft(services: Services, people: int) -> int:
    """A draft that could be sent."""
    now = utcnow()
    with services.database.begin() as session:
        return shop.campaign(session, now, list_id=people, holdout=0.2, split_a=SPLIT, name="Spring <sale>").id


@pytest.fixture
def finished(services: Services, people: int) -> int:
    """A campaign of a month ago with a holdout of half: those who got it buy four times as much."""
    now, then = utcnow(), utcnow() - 30 * DAY
    with services.database.begin() as session:
        shop.crowd(session, 940, then, first=61)
        campaign = shop.campaign(session, then, list_id=people, holdout=0.5, message_cost=100, split_a=SPLIT)
        firing = shop.fire(session, campaign, range(1, 1001), then)
        shop.accept(session, firing, then)
        for number, send in enumerate(session.scalars(select(Send).order_by(Send.id)).all()):
            if send.state in ("accepted", "held") and number % (2 if send.state == "accepted" else 8) == 0:
                shop.order(session, f"O{number}", send.contact_id, then + DAY, 40)
        clicker = session.scalars(select(Send).where(Send.state == "accepted").order_by(Send.id)).first()
        assert clicker is not None
        clicker.clicked_at = clicker.opened_at = then
        told = {"campaign_id": campaign.id, "link": "https://shop.example/sale?a=1", "machine": False}
        session.add(Event(key="k", type="click", contact_id=clicker.contact_id, occurred_at=then, properties=told))
        campaign.status = "finished"
        number = campaign.id
    send_all(services)
    services.warehouse.refresh()
    assert now > then
    return number
