"""The tick: what is due is fired once, whoever ticks, and everything ends where it should."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from campaigns import planning, scheduler
from campaigns.delivery import Sender
from campaigns.models import Campaign, Conversion, Firing, OutboxMessage, Send
from engine import contacts, lists
from engine.config import Config
from engine.database import Database
from engine.models import Contact, ContactList, Deletion, Suppression
from engine.warehouse import Warehouse
from tests.campaigns import shop
from tests.campaigns.shop import DAY

EVERYBODY = {"field": "email", "operator": "known"}
ONE = {"field": "key", "operator": "is", "value": "c7"}


@pytest.fixture
def warehouse(database: Database, config: Config) -> Warehouse:
    """An empty columnar copy."""
    return Warehouse(database, config.folder / "warehouse", config)


@pytest.fixture
def people(database: Database, now: datetime) -> range:
    """Forty people and a list of all of them."""
    with database.begin() as session:
        shop.contact_list(session, now, criteria=EVERYBODY)
        return shop.crowd(session, 40, now)


def scheduled(database: Database, config: Config, at: datetime, now: datetime, **given: object) -> int:
    """A campaign to everybody, scheduled."""
    plan = {
        "name": "Spring",
        "list_id": 1,
        "holdout": 0,
        "subject": "Hello",
        "blocks": [{"type": "text", "text": "See [this](https://shop.example/)."}],
        **given,
    }
    with database.begin() as session:
        campaign_id = planning.create(session, plan, now=now, config=config, seed=1).id
        shop.schedule(session, campaign_id, now, config, at=at)
        return campaign_id


def status(database: Database, campaign_id: int) -> str:
    """The stored status."""
    with database.read() as session:
        return session.get_one(Campaign, campaign_id).status


@pytest.mark.usefixtures("people")
def test_due_campaigns_fire_with_their_whole_ledger(
    database: Database, warehouse: Warehouse, config: Config, now: datetime
) -> None:
    """Before its time nothing; at its time one firing and one send for each of the list; later nothing more."""
    campaign_id = scheduled(database, config, now + timedelta(hours=1), now, holdout=0.25)
    assert scheduler.tick(database, warehouse, config, now=now).fired == []
    at = now + timedelta(hours=1)
    assert scheduler.tick(database, warehouse, config, now=at).fired == [campaign_id]
    assert scheduler.tick(database, warehouse, config, now=at).fired == []
    with database.read() as session:
        firing = session.scalars(select(Firing)).one()
        assert (firing.due_at, firing.fired_at, firing.finished_at) == (at, at, None)
        states = dict(session.execute(select(Send.state, func.count()).group_by(Send.state)).all())
    assert sum(states.values()) == 40
    assert states["held"] > 0
    assert status(database, campaign_id) == "sending"


@pytest.mark.usefixtures("people")
def test_many_tickers_fire_once(database: Database, warehouse: Warehouse, config: Config, now: datetime) -> None:
    """Eight ticks at the same moment: one firing, one send each, no error."""
    campaign_id = scheduled(database, config, now, now)
    warehouse.refresh()
    barrier = threading.Barrier(8)
    fired: list[int] = []
    failed: list[Exception] = []

    def tick() -> None:
        barrier.wait()
        try:
            fired.extend(scheduler.tick(database, warehouse, config, now=now).fired)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=tick) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert fired == [campaign_id]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Firing)) == 1
        assert session.scalar(select(func.count()).select_from(Send)) == 40


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("change", ["list", "campaign"])
def test_a_change_while_the_list_is_evaluated_is_not_lost(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    """The list is narrowed, or the campaign taken back, pointed at another list and scheduled for the same moment:
    what was evaluated is thrown away, and the next tick sends to those who are meant.
    """
    campaign_id = scheduled(database, config, now, now)
    with database.begin() as session:
        shop.contact_list(session, now, criteria=ONE)
    evaluate = lists.member_ids

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(lists, "member_ids", evaluate)
        found = evaluate(*given)
        with database.begin() as session:
            if change == "list":
                lists.save(session, 1, "All", ONE, now=now)
            else:
                version = planning.unschedule(session, campaign_id, now=now).version
                planning.edit(session, campaign_id, {"list_id": 2}, version=version, now=now)
                shop.schedule(session, campaign_id, now, config, at=now)
        return found

    monkeypatch.setattr(lists, "member_ids", meanwhile)
    assert scheduler.tick(database, warehouse, config, now=now).fired == []
    assert status(database, campaign_id) == "scheduled"
    assert scheduler.tick(database, warehouse, config, now=now).fired == [campaign_id]
    with database.read() as session:
        assert session.scalars(select(Send.contact_id)).all() == [7]


@pytest.mark.usefixtures("people")
def test_too_late_asks_first(database: Database, warehouse: Warehouse, config: Config, now: datetime) -> None:
    """Up to max_late_hours late it fires once; after that it waits for a decision, then goes out or is skipped."""
    late, skipped = (scheduled(database, config, now, now) for _ in range(2))
    just_late = scheduled(database, config, now + timedelta(hours=1), now)
    then = now + timedelta(hours=config.sending.max_late_hours, minutes=1)
    ticked = scheduler.tick(database, warehouse, config, now=then)
    assert (ticked.fired, ticked.late) == ([just_late], [late, skipped])
    assert scheduler.tick(database, warehouse, config, now=then).late == []
    with database.begin() as session:
        planning.send_late(session, late, now=then)
        planning.skip_late(session, skipped, now=then)
    assert scheduler.tick(database, warehouse, config, now=then).fired == [late]
    assert status(database, skipped) == "cancelled"


@pytest.mark.usefixtures("people")
def test_from_schedule_to_outbox(database: Database, warehouse: Warehouse, config: Config, now: datetime) -> None:
    """One tick with a sender: refreshed, fired, sent, finished; an order later is credited by the next."""
    campaign_id = scheduled(database, config, now, now)
    with database.begin() as session:
        session.add(Suppression(channel="email", address="c7@x.example", reason="manual", at=now))
    with Sender(database, config, scheduler.renderer(config, None)) as sender:
        ticked = scheduler.tick(database, warehouse, config, now=now, sender=sender)
    assert ticked.refreshed["contacts"] == 40
    assert ticked.sent["accepted"] == 39
    assert ticked.finished == [campaign_id]
    assert status(database, campaign_id) == "finished"
    with database.read() as session:
        recipients = set(session.scalars(select(OutboxMessage.recipient)))
        accepted_at = session.scalars(select(Send.accepted_at).where(Send.contact_id == 1)).one()
    assert recipients == {f"c{i}@x.example" for i in range(1, 41) if i != 7}
    assert accepted_at is not None
    with database.begin() as session:
        shop.order(session, "o1", 1, accepted_at + DAY, 10)
    assert scheduler.tick(database, warehouse, config, now=now + DAY).credited == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Conversion)) == 1


@pytest.mark.usefixtures("people")
def test_a_list_that_went_wrong_stops_only_its_campaign(
    database: Database, warehouse: Warehouse, config: Config, now: datetime
) -> None:
    """A list that cannot be evaluated any more sends its campaign back to draft with the reason; others fire."""
    with database.begin() as session:
        shop.contact_list(session, now, criteria=EVERYBODY)
    broken = scheduled(database, config, now, now, list_id=2)
    good = scheduled(database, config, now, now)
    with database.begin() as session:
        session.get_one(ContactList, 2).criteria = {"field": "gone", "operator": "is", "value": 1}
    ticked = scheduler.tick(database, warehouse, config, now=now)
    assert ticked.fired == [good]
    assert "gone" in ticked.refused[broken]
    with database.read() as session:
        found = session.get_one(Campaign, broken)
        assert found.status == "draft"
        assert "gone" in (found.paused_reason or "")
    with database.begin() as session:
        session.get_one(ContactList, 2).criteria = EVERYBODY
        assert shop.schedule(session, broken, now, config).paused_reason is None
    assert scheduler.tick(database, warehouse, config, now=now).fired == [broken]


@pytest.mark.usefixtures("people")
def test_an_idle_tick_writes_nothing(database: Database, warehouse: Warehouse, config: Config, now: datetime) -> None:
    """With nothing due the database is only read: a thousand idle ticks cost no disk."""
    scheduler.tick(database, warehouse, config, now=now)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    scheduler.tick(database, warehouse, config, now=now)
    reading = ("SELECT", "PRAGMA", "SHOW", "WITH", "SET")
    assert [text for text in statements if text.split()[0] not in reading and text != "BEGIN"] == []


@pytest.mark.usefixtures("people")
def test_the_ticker_beats_until_it_is_stopped(
    database: Database, warehouse: Warehouse, config: Config, now: datetime
) -> None:
    """It fires what is due within a beat, survives a tick that fails, and ends when asked."""
    fast = type(config)(workspace=config.workspace, database=config.database, tick=type(config.tick)(seconds=0.05))
    beats: list[datetime] = []

    def clock() -> datetime:
        beats.append(now)
        if len(beats) == 1:
            raise RuntimeError("the first beat fails")
        return now

    campaign_id = scheduled(database, config, now, now)
    stop = threading.Event()
    thread = threading.Thread(
        target=scheduler.run_ticker, args=(database, warehouse, fast, stop), kwargs={"clock": clock}
    )
    thread.start()
    end = time.monotonic() + 30
    while status(database, campaign_id) != "sending" and time.monotonic() < end:
        time.sleep(0.02)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert status(database, campaign_id) == "sending"


@pytest.mark.usefixtures("people")
def test_an_erased_person_leaves_the_ledger(
    database: Database, warehouse: Warehouse, config: Config, now: datetime
) -> None:
    """Erasing takes the sends, the kept message and the credit; the warehouse forgets them at the next refresh."""
    scheduled(database, config, now, now)
    with Sender(database, config, scheduler.renderer(config, None)) as sender:
        scheduler.tick(database, warehouse, config, now=now, sender=sender)
    with database.begin() as session:
        shop.order(session, "o1", 1, datetime.now(UTC) + DAY, 10)
    scheduler.tick(database, warehouse, config, now=now)
    with database.begin() as session:
        contacts.erase(session, 1, now)
    with database.read() as session:
        assert session.get(Contact, 1) is None
        assert session.scalar(select(func.count()).select_from(Send)) == 39
        assert session.scalar(select(func.count()).select_from(Conversion)) == 0
        assert "c1@x.example" not in session.scalars(select(OutboxMessage.recipient)).all()
        assert session.scalars(select(Deletion.table_name).where(Deletion.table_name == "sends")).one()
    warehouse.refresh()
    copied = warehouse.execute(warehouse.table("sends").contact_id)["contact_id"].to_pylist()
    assert sorted(copied) == list(range(2, 41))
    assert "address" not in warehouse.table("sends").columns
