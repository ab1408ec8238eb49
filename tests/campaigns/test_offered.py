"""What stood in mails is kept, and left out of the next ones where the placement says so."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from campaigns import content, offered, scheduler
from campaigns.channels.base import Message
from campaigns.delivery import Sender
from campaigns.models import Send, Variant
from engine.config import Config
from engine.database import Database
from recommender import placements
from recommender.serving import Recommender
from tests.campaigns import shop


def test_the_last_mails_of_each(database: Database, now: datetime) -> None:
    """Items of the newest accepted mails, as many as asked for; a mail that never left counts for nothing."""
    with database.begin() as session:
        people = shop.crowd(session, 2, now)
        campaign = shop.campaign(session, now, blocks=[])
        for step in range(4):
            firing = shop.fire(session, campaign, people, now + step * shop.DAY)
            sends = session.scalars(select(Send).where(Send.firing_id == firing.id).order_by(Send.contact_id)).all()
            sent = {send.id: message(send.id, [10 * step + send.contact_id]) for send in sends}
            offered.note(sent, session)
            offered.note(sent | {999: message(999, [1])}, session)  # a second attempt, with somebody who was erased
            if step < 3:
                shop.accept(session, firing, now + step * shop.DAY)
        found = offered.last(session, [1, 2, 9], 2)
        assert {who: sorted(items) for who, items in found.items()} == {1: [11, 21], 2: [12, 22]}
        assert offered.last(session, [2], 1) == {2: [22]}


def message(send_id: int, items: list[int]) -> Message:
    return Message(send_id, "email", "a@x.example", "", None, "", f"<{send_id}@x>", "s@x.example", items=items)


def test_the_next_mail_shows_something_else(database: Database, config: Config, now: datetime) -> None:
    """Sent by the worker: with the rule of one mail the second one offers other items, the third the first's again."""
    with database.begin() as session:
        for number in range(1, 7):
            shop.item(session, number, now - shop.DAY)
        placements.edit(session, "email", name="E-mail", sources=["newest"], given={"unseen_mails": 1}, now=now)
        shop.crowd(session, 1, now)
    recommender = Recommender(database, config.folder / "trainings", config)
    for step in range(3):
        with database.begin() as session:
            campaign = shop.campaign(session, now, blocks=[{"type": "products", "title": "For you", "n": 2}])
            variant = session.scalars(select(Variant).order_by(Variant.id.desc())).first()
            assert variant is not None
            content.register_links(session, campaign.id, content.check(campaign, variant, config))
            shop.fire(session, campaign, [1], now + step * shop.DAY)
        with Sender(database, config, scheduler.renderer(config, recommender)) as sender:
            sender.drain()
    with database.read() as session:
        assert offered.last(session, [1], 1) == {1: [6, 5]}
        assert sorted(offered.last(session, [1], 2)[1]) == [3, 4, 5, 6]
