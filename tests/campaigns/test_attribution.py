"""Orders find the last message before them; corrections, returns and late imports are followed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaigns.attribution import attribute, is_behind
from campaigns.models import Conversion, Send
from engine.database import Database
from engine.models import Order, Watermark
from tests.campaigns import shop
from tests.campaigns.shop import DAY


def credited(session: Session) -> dict[str, int]:
    """Campaign that each order is credited to, by the order's key."""
    rows = select(Order.key, Conversion.campaign_id).join(Order, Order.id == Conversion.order_id)
    return {row.key: row.campaign_id for row in session.execute(rows)}


@pytest.fixture
def two_campaigns(database: Database, now: datetime) -> None:
    """Campaign 1 accepted now, campaign 2 three days later, both to contacts 1 and 2; windows of 14 days."""
    with database.begin() as session:
        for number in (1, 2, 3):
            shop.contact(session, number, now)
        for at in (now, now + 3 * DAY):
            firing = shop.fire(session, shop.campaign(session, now), [1, 2], at)
            shop.accept(session, firing, at)


@pytest.mark.usefixtures("two_campaigns")
def test_the_last_message_before_the_order_gets_it(database: Database, now: datetime) -> None:
    """Before any message nothing, then the first, then the second, until its window closes; others' orders never."""
    moments = {
        "before": now - DAY,
        "first": now + DAY,
        "same moment": now + 3 * DAY,
        "second": now + 10 * DAY,
        "first is out of reach": now + 15 * DAY,
        "last second": now + 17 * DAY - timedelta(seconds=1),
        "closed": now + 17 * DAY,
    }
    with database.begin() as session:
        for key, at in moments.items():
            shop.order(session, key, 1, at, 10)
        shop.order(session, "other", 3, now + DAY, 10)
    with database.begin() as session:
        assert attribute(session, now=now) == 5
        assert credited(session) == {
            "first": 1,
            "same moment": 2,
            "second": 2,
            "first is out of reach": 2,
            "last second": 2,
        }


@pytest.mark.usefixtures("two_campaigns")
def test_nothing_new_costs_nothing(database: Database, now: datetime) -> None:
    """A second call writes nothing and keeps what is there."""
    with database.begin() as session:
        shop.order(session, "a", 1, now + DAY, 10)
    with database.begin() as session:
        assert attribute(session, now=now) == 1
    with database.begin() as session:
        assert attribute(session, now=now) == 0
        assert credited(session) == {"a": 1}


@pytest.mark.usefixtures("two_campaigns")
def test_late_and_corrected_orders_are_followed(database: Database, now: datetime) -> None:
    """An order imported weeks later finds its message; one that moves to another day or person moves its credit."""
    with database.begin() as session:
        shop.order(session, "a", 1, now + DAY, 10)
    with database.begin() as session:
        attribute(session, now=now)
    with database.begin() as session:
        shop.order(session, "late", 2, now + DAY, 10)
    with database.begin() as session:
        assert attribute(session, now=now + 60 * DAY) == 1
        assert credited(session) == {"a": 1, "late": 1}
    with database.begin() as session:
        orders = {order.key: order for order in session.scalars(select(Order))}
        orders["a"].ordered_at = now + 5 * DAY
        orders["late"].contact_id = 3
    with database.begin() as session:
        attribute(session, now=now + 61 * DAY)
        assert credited(session) == {"a": 2}


@pytest.mark.usefixtures("two_campaigns")
def test_a_message_known_to_have_arrived_later(database: Database, now: datetime) -> None:
    """A send that turns out to have been accepted gets the orders that waited for it."""
    with database.begin() as session:
        for send in session.scalars(select(Send).where(Send.contact_id == 1)):
            send.state = "unknown"
        shop.order(session, "a", 1, now + 4 * DAY, 10)
    with database.begin() as session:
        assert attribute(session, now=now) == 0
    with database.begin() as session:
        send = session.scalars(select(Send).where(Send.contact_id == 1, Send.campaign_id == 1)).one()
        send.state = "accepted"
    with database.begin() as session:
        assert attribute(session, now=now) == 1
        assert credited(session) == {"a": 1}


def test_who_was_held_out_gets_no_credit(database: Database, now: datetime) -> None:
    """Only an accepted message can be credited."""
    with database.begin() as session:
        shop.crowd(session, 20, now)
        found = shop.campaign(session, now, holdout=0.5, split_a=1_234_577, split_s=5)
        firing = shop.fire(session, found, range(1, 21), now)
        shop.accept(session, firing, now)
        for number in range(1, 21):
            shop.order(session, f"o{number}", number, now + DAY, 10)
        accepted = session.query(Send).filter_by(state="accepted").count()
    with database.begin() as session:
        assert 0 < attribute(session, now=now) == accepted < 20


@pytest.mark.usefixtures("two_campaigns")
@pytest.mark.parametrize("ahead", ["far", "other server", "before servers were noted"])
def test_a_mark_from_another_server_counts_for_nothing(
    database: Database, now: datetime, caplog: pytest.LogCaptureFixture, ahead: str
) -> None:
    """A backup restored on a server that numbers its transactions anew: what comes after is credited all the same,
    what was stays as it is, and from then on nothing new costs nothing.
    """
    with database.begin() as session:
        shop.order(session, "before", 1, now + DAY, 10)
    with database.begin() as session:
        attribute(session, now=now)
    with database.begin() as session:
        mark = session.get_one(Watermark, "attribution")
        mark.mark = _elsewhere(mark.mark, ahead)
        if not database.is_sqlite:  # rows come back with the numbers they had
            session.execute(update(Order).values(revision=10**12))
            session.execute(update(Send).values(revision=10**12))
    with database.begin() as session:
        shop.order(session, "after", 2, now + DAY, 10)
    with database.begin() as session:
        assert is_behind(session)
        attribute(session, now=now)
        assert credited(session) == {"before": 1, "after": 1}
    assert "credited anew" in caplog.text
    with database.read() as session:
        assert not is_behind(session)
    with database.begin() as session:
        shop.order(session, "later", 2, now + DAY, 10)
    with database.begin() as session:
        assert attribute(session, now=now) == 1
        assert credited(session) == {"before": 1, "after": 1, "later": 1}


def _elsewhere(mark: str, ahead: str) -> str:
    """The mark of a server that is far ahead; of another one at the same number; without its server."""
    if ":" not in mark:  # SQLite's counter
        return str(10**12)
    snapshot, _, server = mark.rpartition(":")
    return {
        "far": f"{10**12}:{10**12}::{server}",
        "other server": f"{snapshot}:{int(server) + 1}",
        "before servers were noted": f"{10**12}:{10**12}:",
    }[ahead]
