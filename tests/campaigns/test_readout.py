"""What a comparison of placements tells: each figure against a count by hand, and intervals over many draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pytest
from sqlalchemy import insert, select

from campaigns import content, exposed, readout, scheduler
from campaigns.delivery import Sender
from campaigns.experiment import Arm
from campaigns.exposed import METRICS, NOBODY, Figures
from campaigns.models import Campaign, Firing, Offered, Send, Variant
from campaigns.readout import Readout, compared
from engine import identity
from engine.config import Config
from engine.database import Database, next_revision
from engine.models import Event, Item, Order, OrderLine
from engine.warehouse import Warehouse
from recommender import comparisons, placements
from recommender.comparisons import ARMS, Running
from recommender.models import Comparison
from recommender.serving import Recommender
from tests.campaigns import shop
from tests.campaigns.shop import crowd

DAY: Final = timedelta(days=1)
B: Final = {"sources": ["newest"], "label": "New first"}


class World:
    """A comparison of the home page with what people did, told by hand."""

    def __init__(self, database: Database, config: Config, now: datetime, **given: Any) -> None:
        self.database, self.config, self.start = database, config, now
        self.events: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        with database.begin() as session:
            self.row = comparisons.start(session, given.pop("placement", "home"), {}, B, now=now, **given)
            self.row.salt = "always the same draw"
            self.running = comparisons.as_running(self.row)
            item = Item(key="A", currency="GBP", attributes={}, created_at=now, updated_at=now)
            session.add(item)
            session.flush()
            self.item = item.id

    def tell(self, kind: str, who: int | str, at: datetime, *, rec: str = "r", **more: Any) -> str:
        """An event of a contact or visitor, by the id of a recommendation of their arm; the arm."""
        contact, visitor = (who, None) if isinstance(who, int) else (None, who)
        found = self.running.variant(contact, visitor)
        assert found is not None
        self.events.append(
            {
                "key": f"{kind} {who} {len(self.events)}",
                "type": kind,
                "contact_id": contact,
                "visitor": visitor,
                "occurred_at": at,
                "item_id": None,
                "properties": {"recommendation_id": f"1.{rec}{who}.{found.mark}", "placement": "home"},
                **more,
            }
        )
        return found.arm

    def buy(self, who: int, at: datetime, total: float, margin: float | None = None, **line: Any) -> None:
        """An order of one line."""
        self.orders.append(
            {
                "key": f"o{len(self.orders)}", "contact_id": who, "ordered_at": at, "currency": "GBP", "units": 1,
                "total": round(total * 10_000), "margin": None if margin is None else round(margin * 10_000),
                "digest": "", "line": line,
            }
        )  # fmt: skip

    def read(self, now: datetime) -> Readout:
        """Write all of it and read."""
        with self.database.begin() as session:
            revision = next_revision(session)
            if self.events:
                session.execute(insert(Event.__table__), [one | {"revision": revision} for one in self.events])
            lines = [one.pop("line") for one in self.orders]
            for number, (order, line) in enumerate(zip(self.orders, lines, strict=True), 1):
                order |= {"id": number, "revision": revision}
                session.execute(insert(Order.__table__), [order])
                cost = None if order["margin"] is None else order["total"] - order["margin"]
                row = {"order_id": number, "item_id": self.item, "quantity": 1, "discount": 0, "revision": revision}
                row |= {"unit_price": order["total"], "unit_cost": cost} | line
                session.execute(insert(OrderLine.__table__), [row])
        self.events, self.orders = [], []
        warehouse = Warehouse(self.database, self.config.folder / "warehouse", self.config)
        try:
            warehouse.refresh()
            with self.database.read() as session:
                row = session.get_one(Comparison, self.row.id)
                return readout.readout(session, warehouse, row, currency="GBP", now=now)
        finally:
            warehouse.close()


def people(database: Database, number: int, now: datetime) -> range:
    with database.begin() as session:
        return crowd(session, number, now)


def test_nobody_came_yet(database: Database, config: Config, now: datetime) -> None:
    """No figure, and what is missing in words."""
    found = World(database, config, now).read(now + DAY)
    assert found.verdict.code == "waiting"
    assert "impression" in found.verdict.sentence
    assert found.arms == dict.fromkeys(("a", "b", "holdout"), NOBODY)
    assert (found.mismatch, found.detectable) == (None, None)


def test_every_figure_is_counted(database: Database, config: Config, now: datetime) -> None:
    """300 people, clicks, orders before and after the first impression, returns and other currencies, by hand."""
    ids = people(database, 300, now)
    world = World(database, config, now, holdout=0.1)
    random = np.random.default_rng(3)
    expected: dict[str, dict[str, Any]] = {
        arm: {"n": 0, "orders": [], "margin": [], "clicks": 0, "shown": 0} for arm in ARMS
    }
    for who in ids:
        seen = now + timedelta(hours=float(random.uniform(1, 100)))
        arm = world.tell("impression", who, seen, rec="first")
        world.tell("impression", who, seen + DAY, rec="second")
        mine = expected[arm]
        mine["n"] += 1
        mine["shown"] += 2
        if who % 3 == 0:
            world.tell("recommendation_click", who, seen + timedelta(minutes=1), rec="first", item_id=world.item)
            world.tell("recommendation_click", who, seen + timedelta(minutes=2), rec="first", item_id=world.item)
            mine["clicks"] += 1
        orders, margin = 0, 0.0
        if who % 2 == 0:
            world.buy(who, seen + timedelta(hours=2), 20 + who, 10.0)
            world.buy(who, seen + timedelta(hours=3), -5, -2.5)  # a return: no order, and it takes away
            orders, margin = 1, 7.5
        world.buy(who, seen - timedelta(minutes=1), 1_000, 500)  # before the first impression
        world.buy(who, now + 20 * DAY, 1_000, 500)  # after the planned end
        mine["orders"].append(orders)
        mine["margin"].append(margin)
    found = world.read(now + 30 * DAY)
    assert not found.interim
    assert found.until == found.planned_end == now + 14 * DAY
    for arm in ARMS:
        one, mine = found.arms[arm], expected[arm]
        assert (one.people, one.shown, one.clicked) == (mine["n"], mine["shown"], mine["clicks"])
        assert one.outcomes["clickers"] == Arm(mine["n"], mine["clicks"], mine["clicks"], mine["clicks"])
        assert one.orders == sum(mine["orders"])
        for metric in ("orders", "margin"):
            values = np.array(mine[metric], float)
            assert one.outcomes[metric].mean == pytest.approx(values.mean())
            assert one.outcomes[metric].variance == pytest.approx(values.var(ddof=1))
            assert one.outcomes[metric].buyers == sum(mine["orders"])
        assert one.crossed == one.unknown_cost == 0
    a, b = (np.array(expected[arm]["margin"]) for arm in "ab")
    interval = found.difference("margin", "b", "a")
    assert interval is not None
    assert interval.value == pytest.approx(b.mean() - a.mean())
    assert found.difference("margin", "a", "holdout") is None  # 30 buyers are needed
    assert "Nobody is held out" not in " ".join(found.warnings)


def test_orders_of_clicked_items_are_credited_once(database: Database, config: Config, now: datetime) -> None:
    """Within a week of a click by the same contact; a line once however often it was clicked; returns never."""
    people(database, 4, now)
    world = World(database, config, now, holdout=0.0)
    for who in (1, 2, 3, 4):
        world.tell("impression", who, now + DAY)
        for minutes in (1, 2):
            at = now + DAY + timedelta(minutes=minutes)
            world.tell("recommendation_click", who, at, rec=f"{minutes}", item_id=world.item)
    world.buy(1, now + 2 * DAY, 20, 8, quantity=2, unit_price=105_000, unit_cost=60_000, discount=10_000)
    world.buy(2, now + 2 * DAY, -20, -8, quantity=-1)
    world.buy(3, now + 2 * DAY, 20)  # nobody knows what it cost
    world.buy(4, now + 9 * DAY, 20, 8)  # too late
    found = world.read(now + 12 * DAY)
    arms = [found.arms[arm] for arm in ("a", "b")]
    assert sum(one.credited_orders for one in arms) == 2
    assert sum(one.credited_revenue for one in arms) == pytest.approx(40)
    assert sum(one.outcomes["credited"].total for one in arms) == pytest.approx(8 + 20)
    assert sum(one.unknown_cost for one in arms) == 1
    assert any("without a known cost: 1" in words for words in found.warnings)
    assert "holdout" not in found.arms
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    try:
        with database.read() as session:
            told = exposed.clicked(session, warehouse, world.row, now + 12 * DAY, "GBP").to_pylist()
    finally:
        warehouse.close()
    assert [one["clicks"] for one in told] == [1] * 8
    assert sorted((one["orders"], one["revenue"], one["margin"]) for one in told)[-2:] == [(1, 20, 8), (1, 20, 20)]
    credited = [one for one in told if one["orders"]]
    assert all(one["recommendation_id"].startswith("1.2") for one in credited)  # the last click
    assert all(one["recommendation_id"].endswith(one["variant"]) for one in credited)


def test_a_visitor_who_becomes_known_counts_for_what_they_saw_first(
    database: Database, config: Config, now: datetime
) -> None:
    """One person, in the arm of the visitor, with the orders of the contact; that they saw both arms is told."""
    people(database, 1, now)
    world = World(database, config, now, holdout=0.0)
    visitor = next(f"v{n}" for n in range(100) if world.running.arm(f"visitor v{n}") != world.running.arm("contact 1"))
    first = world.tell("impression", visitor, now + timedelta(hours=1))
    second = world.tell("impression", 1, now + timedelta(hours=5))
    world.tell("impression", "somebody", now + timedelta(hours=5))
    assert first != second
    world.buy(1, now + timedelta(hours=6), 20, 10)
    world.read(now + DAY)
    with database.begin() as session:
        identity.identify(session, visitor, 1, now + timedelta(hours=4))
    found = world.read(now + DAY)
    assert found.people == 2
    assert found.arms[first].outcomes["margin"].total == 10
    assert found.arms[first].crossed == 1
    assert any("more than one variant: 1" in words for words in found.warnings)


def test_events_of_other_comparisons_and_shops_do_not_count(database: Database, config: Config, now: datetime) -> None:
    """Another comparison whose number ends alike, forged arms, no id at all, and what came before the start."""
    people(database, 3, now)
    world = World(database, config, now)
    for number, rec in enumerate((f"1.x.1{world.row.id}a", f"1.x.{world.row.id}z", "1.x", f"{world.row.id}a", "")):
        world.tell("impression", 1, now + DAY, key=f"k{number}", properties={"recommendation_id": rec})
    world.tell("impression", 2, now - DAY)
    world.tell("impression", 2, now + DAY, key="none", properties={})
    world.tell("impression", 3, now + 20 * DAY)
    assert world.read(now + 30 * DAY).people == 0


def test_answers_handed_on_to_others_are_told(database: Database, config: Config, now: datetime) -> None:
    """A cache shows everybody one variant, half of them one that is not theirs; as contact or visitor it may be."""
    ids = people(database, 100, now)
    world = World(database, config, now, holdout=0.0)
    for who in ids:
        world.tell("impression", who, now + DAY, visitor=f"v{who}")
    visitor = world.running.variant(None, "v1")
    assert visitor
    told = {"recommendation_id": f"1.x.{visitor.mark}"}
    world.tell("impression", 1, now + DAY, visitor="v1", properties=told)  # before they were known
    words = "not the person's"
    assert not any(words in one for one in world.read(now + 2 * DAY).warnings)
    for number, who in enumerate(ids):
        shown = {"recommendation_id": f"1.cached{number}.{world.row.id}a"}
        world.tell("impression", who, now + 3 * DAY, key=f"cached {who}", properties=shown)
    assert any(words in one for one in world.read(now + 4 * DAY).warnings)


def marked(world: World, who: int) -> str:
    """The mark of the variant of a contact."""
    variant = world.running.variant(who, None)
    assert variant
    return variant.mark


def mail(database: Database, numbers: Mapping[int, str | None], at: datetime, failed: Sequence[int] = ()) -> list[int]:
    """A mail with recommendations to each contact, by the id of what it shows; their ids."""
    with database.begin() as session:
        campaign = Campaign(name="x", holdout=0, split_a=1, split_s=0, currency="GBP", created_at=at, updated_at=at)
        session.add(campaign)
        session.flush()
        firing = Firing(campaign_id=campaign.id, due_at=at, fired_at=at)
        session.add(firing)
        session.flush()
        revision, sends = next_revision(session), []
        for who, number in numbers.items():
            gone = who not in failed
            send = Send(
                firing_id=firing.id, campaign_id=campaign.id, contact_id=who, channel="email", created_at=at,
                state="accepted" if gone else "failed", accepted_at=at if gone else None, revision=revision,
            )  # fmt: skip
            session.add(send)
            session.flush()
            session.add(Offered(send_id=send.id, items=[1], recommendation_id=number))
            sends.append(send.id)
    return sends


def test_mails_count_from_the_message_on(database: Database, config: Config, now: datetime) -> None:
    """Who got a variant counts, opened or not; an open is no second person and no second recommendation."""
    people(database, 3, now)
    world = World(database, config, now, placement="email")
    mail(database, {who: f"1.mail{who}.{marked(world, who)}" for who in (1, 2, 3)}, now + DAY, failed=(3,))
    world.tell("impression", 1, now + 2 * DAY, rec="mail")
    world.buy(1, now + DAY + timedelta(hours=1), 20, 10)
    found = world.read(now + 30 * DAY)
    assert (found.people, sum(one.shown for one in found.arms.values())) == (2, 2)
    assert sum(one.outcomes["margin"].total for one in found.arms.values()) == 10


def test_mails_offer_the_variants(database: Database, config: Config, now: datetime) -> None:
    """From the worker's mail to the readout: everybody is offered their arm, and counts without an open."""
    with database.begin() as session:
        placements.edit(session, "email", name="E-mail", sources=["popular", "newest"], given={}, now=now)
    today = datetime.now(UTC)  # by the database's clock a mail is accepted
    world = World(database, config, today - DAY, placement="email", holdout=0.25)
    with database.begin() as session:
        for number in range(2, 8):
            shop.item(session, number, now - number * DAY)
        shop.crowd(session, 24, now)
        campaign = shop.campaign(session, now, blocks=[{"type": "products", "title": "For you", "n": 2}])
        variant = session.scalars(select(Variant)).one()
        content.register_links(session, campaign.id, content.check(campaign, variant, config))
        shop.fire(session, campaign, range(1, 25), now)
    recommender = Recommender(database, config.folder / "trainings", config)
    with Sender(database, config, scheduler.renderer(config, recommender)) as sender:
        sender.drain()
    with database.read() as session:
        rows = session.execute(select(Send.contact_id, Offered.recommendation_id).join(Offered)).all()
    expected = {who: world.running.variant(who, None) for who in range(1, 25)}
    assert {who: str(shown).rpartition(".")[2] for who, shown in rows} == {
        who: one.mark for who, one in expected.items() if one
    }
    found = world.read(today + DAY)
    assert {name: arm.people for name, arm in found.arms.items()} == {
        name: sum(one.arm == name for one in expected.values() if one) for name in ARMS
    }


def test_what_is_told_of_a_broken_split(database: Database, config: Config, now: datetime) -> None:
    """Impressions of one arm alone: no figure is given."""
    ids = people(database, 300, now)
    world = World(database, config, now, holdout=0.0)
    for who in ids:
        if world.running.arm(f"contact {who}") == "a" or who % 5 == 0:
            world.tell("impression", who, now + DAY)
    found = world.read(now + 2 * DAY)
    assert found.verdict.code == "broken"
    assert not found.differences


def test_stopping_early_and_looking_early_are_told(database: Database, config: Config, now: datetime) -> None:
    """Interim while it runs; after an early stop the figures stay as they were, with the caveat of many looks."""
    ids = people(database, 400, now)
    world = World(database, config, now)
    for who in ids:
        world.tell("impression", who, now + timedelta(hours=1))
        world.buy(who, now + timedelta(hours=2), 20, 10)
        world.buy(who, now + 3 * DAY, 20, 10)
    found = world.read(now + 2 * DAY)
    assert found.interim
    assert found.verdict.interim
    assert readout.PEEKING in found.warnings
    assert "decide after that day" in found.verdict.sentence
    with database.begin() as session:
        comparisons.stop(session, "home", now + 2 * DAY)
    after = world.read(now + 9 * DAY)
    assert not after.interim
    assert {arm: one.orders for arm, one in after.arms.items()} == {arm: one.orders for arm, one in found.arms.items()}
    assert readout.PEEKING in after.warnings
    assert any("stopped before its 14 days" in words for words in after.warnings)


def arm_of(values: np.ndarray[Any, Any]) -> Figures:
    """An arm of people with these margins; who has none bought nothing."""
    n, buyers = len(values), int((values > 0).sum())
    money = Arm(n, float(values.sum()), float((values**2).sum()), buyers)
    return replace(NOBODY, people=n, outcomes=dict.fromkeys(METRICS, money))


def split(values: np.ndarray[Any, Any], salt: str, effect: float) -> Mapping[str, Figures]:
    """The people of a shop as a comparison draws them by its hash; b's buyers bring `effect` more."""
    running = Running(1, salt, 0.1, 0.5, {})
    drawn = np.array([running.arm(f"contact {number}") for number in range(len(values))])
    shown = {arm: values[drawn == arm] for arm in ARMS}
    shown["b"] = shown["b"] + effect * (shown["b"] > 0)
    return {arm: arm_of(some) for arm, some in shown.items()}


@pytest.mark.parametrize("effect", [0.0, 4.0])
def test_intervals_cover_the_truth_over_many_draws(effect: float) -> None:
    """400 salts over one shop of 4,000 people, a tenth of whom buy: 95 % intervals hold no effect, and a known one,
    in 92 to 98 % of draws, the hash included.
    """
    random = np.random.default_rng(11)
    values = np.where(random.random(4_000) < 0.1, random.gamma(2, 15, 4_000), 0.0)
    truth = effect * float((values > 0).mean())
    held = []
    for number in range(400):
        found = {(one.arm, one.against): one.interval for one in compared(split(values, f"salt {number}", effect))
                 if one.metric == "margin"}  # fmt: skip
        interval = found["b", "a"]
        assert interval is not None
        held.append(interval.low <= truth <= interval.high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_large_effect_is_found() -> None:
    """And named by the right variant."""
    values = np.where(np.arange(6_000) % 5 == 0, 20.0 + np.arange(6_000) % 7, 0.0)
    found = compared(split(values, "x", 12.0))
    interval = next(one.interval for one in found if (one.metric, one.arm, one.against) == ("margin", "b", "a"))
    assert interval is not None
    assert interval.low > 0
