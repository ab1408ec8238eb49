"""While the warehouse cannot be refreshed, only what needs it waits."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from campaigns import planning, scheduler
from campaigns.delivery import Sender
from campaigns.models import Campaign, Conversion
from engine import lists
from engine.config import Config
from engine.database import Database
from engine.warehouse import Warehouse
from engine.warehouse import current as switch
from tests.campaigns import shop
from tests.campaigns.shop import DAY

EVERYBODY = {"field": "email", "operator": "known"}
PLAN = {"holdout": 0, "subject": "Hello", "blocks": [{"type": "text", "text": "Hi."}]}


@pytest.fixture
def warehouse(database: Database, config: Config) -> Warehouse:
    """An empty columnar copy."""
    return Warehouse(database, config.folder / "warehouse", config)


@pytest.fixture
def due(database: Database, warehouse: Warehouse, config: Config, now: datetime) -> tuple[int, int]:
    """Two campaigns that are due: to a frozen list, and to one that is found by criteria."""
    with database.begin() as session:
        for _list in range(2):
            shop.contact_list(session, now, criteria=EVERYBODY)
        shop.crowd(session, 5, now)
    warehouse.refresh()
    with database.begin() as session:
        lists.freeze(session, warehouse, 1, now)
    with database.begin() as session:
        made = [
            planning.create(session, {**PLAN, "name": "n", "list_id": one}, now=now, config=config, seed=1).id
            for one in (1, 2)
        ]
        for campaign_id in made:
            shop.schedule(session, campaign_id, now, config, at=now)
    return made[0], made[1]


def status(database: Database, campaign_id: int) -> str:
    """The stored status."""
    with database.read() as session:
        return session.get_one(Campaign, campaign_id).status


def _full(*_given: object, **_named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["files", "switch"])
def test_a_full_disk_stops_only_what_needs_it(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    now: datetime,
    due: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    """The campaign to a frozen list goes out, is finished and credited; the other waits, says why, once, and goes out
    when there is room again.
    """
    frozen, dynamic = due
    with database.begin() as session:
        shop.crowd(session, 5, now, first=6)
    with monkeypatch.context() as patch, Sender(database, config, scheduler.renderer(config, None)) as sender:
        patch.setattr(*((pq, "write_table", _full) if place == "files" else (switch, "write", _full)))
        ticked = scheduler.tick(database, warehouse, config, now=now, sender=sender)
        assert (ticked.fired, ticked.finished, ticked.refused) == ([frozen], [frozen], {})
        assert list(ticked.waiting) == [dynamic]
        assert "No space left" in ticked.waiting[dynamic]
        with database.begin() as session:
            shop.order(session, "o1", 1, datetime.now(now.tzinfo) + DAY, 10)
        for _again in range(3):
            ticked = scheduler.tick(database, warehouse, config, now=now + timedelta(minutes=1), sender=sender)
            assert list(ticked.waiting) == [dynamic]
        assert status(database, dynamic) == "scheduled"
    with database.read() as session:
        assert session.scalars(select(Conversion.campaign_id)).all() == [frozen]
    assert caplog.text.count("cannot be sent to") == caplog.text.count(f"Campaign {dynamic} waits") == 1
    ticked = scheduler.tick(database, warehouse, config, now=now + timedelta(minutes=2))
    assert (ticked.fired, ticked.waiting) == ([dynamic], {})
    assert caplog.text.count("refreshed again") == 1


def test_it_waits_no_longer_than_any_other(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    now: datetime,
    due: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After max_late_hours a person decides."""
    with database.begin() as session:
        shop.crowd(session, 5, now, first=6)
    monkeypatch.setattr(switch, "write", _full)
    scheduler.tick(database, warehouse, config, now=now)
    then = now + timedelta(hours=config.sending.max_late_hours, minutes=1)
    assert scheduler.tick(database, warehouse, config, now=then).late == [due[1]]


def test_a_lost_file_is_no_fault_of_the_list(
    database: Database, warehouse: Warehouse, config: Config, now: datetime, due: tuple[int, int]
) -> None:
    """Parts that somebody deleted: the campaign waits for the rebuild instead of going back to draft."""
    for path in (config.folder / "warehouse").glob("*/contacts/*.parquet"):
        path.unlink()
    anew = Warehouse(database, config.folder / "warehouse", config)  # keeps nothing of what was found before
    ticked = scheduler.tick(database, anew, config, now=now)
    anew.close()
    assert (ticked.fired, ticked.refused) == ([due[0]], {})
    assert "rapport warehouse rebuild" in ticked.waiting[due[1]]
    warehouse.rebuild()
    assert scheduler.tick(database, warehouse, config, now=now).fired == [due[1]]
