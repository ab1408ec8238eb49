"""What stood in mails is kept, and left out of the next ones where the placement says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaigns import content, offered, scheduler
from campaigns.channels.base import Message
from campaigns.delivery import Sender
from campaigns.models import Send, Variant
from engine.config import Config
from engine.database import Database
from engine.models import Item
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


class Picks:
    """A recommender that offers what it is told to."""

    def __init__(self, database: Database, config: Config) -> None:
        self.real = Recommender(database, config.folder / "trainings", config)
        self.order = 1

    def recommend_many(self, session: Session, placement: str, contact_ids: Sequence[int], n: int, **given: Any) -> Any:
        found = self.real.recommend_many(session, placement, contact_ids, 6, **given)
        return {who: answer._replace(items=answer.items[:: self.order][:n]) for who, answer in found.items()}


def shown(html: str | None) -> list[int]:
    """The numbers of the items of a mail, in their order."""
    return list(dict.fromkeys(int(number) for number in re.findall(r"Item &lt;(\d)", html or "")))


def test_a_mail_that_is_made_again_shows_the_same(database: Database, config: Config, now: datetime) -> None:
    """After a crash between noting and sending, when the recommender would say something else by now, and in a browser
    years later: the same items in both blocks, none in two; one that is gone from the shop is left out.
    """
    with database.begin() as session:
        for number in range(1, 7):
            shop.item(session, number, now - shop.DAY)
        placements.edit(session, "email", name="E-mail", sources=["newest"], given={}, now=now)
        shop.crowd(session, 2, now)
        blocks = [{"type": "products", "title": title, "n": 2} for title in ("For you", "And these")]
        campaign = shop.campaign(session, now, blocks=blocks)
        variant = session.scalars(select(Variant)).one()
        content.register_links(session, campaign.id, content.check(campaign, variant, config))
        firing = shop.fire(session, campaign, [1, 2], now)
        sends = session.scalars(select(Send.id).where(Send.firing_id == firing.id).order_by(Send.contact_id)).all()
    picks = Picks(database, config)

    def made() -> dict[int, list[int]]:
        with database.read() as session:
            found = content.render(session, sends, now=now, config=config, recommender=picks)
        return {send: shown(one.html) for send, one in found.items() if isinstance(one, Message)}

    first = made()
    assert first == {send: [6, 5, 4, 3] for send in sends}
    with database.begin() as session:
        offered.note(content.render(session, sends[:1], now=now, config=config, recommender=picks), session)
    picks.order = -1
    again = made()
    assert again[sends[0]] == first[sends[0]], "noted: the same"
    assert again[sends[1]] == [1, 2, 3, 4], "not noted: what the recommender says now"
    with database.begin() as session:
        session.execute(update(Item).where(Item.id == 5).values(title="Item <9>"))
        html = content.view(session, sends[0], now=now, config=config, recommender=None)
        assert shown(html) == [6, 9, 4, 3], "told as they are now"
