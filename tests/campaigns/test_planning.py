"""Planning: what a draft needs, who may change what when, and every status change once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from campaigns import planning, scheduler
from campaigns.models import Campaign, Firing, Link, Send
from engine import lists
from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, Invalid, NotFound
from engine.models import BUCKETS, ContactList
from engine.warehouse import Warehouse
from tests.campaigns import shop
from tests.campaigns.shop import DAY

PLAN: dict[str, Any] = {
    "name": "Spring",
    "list_id": 1,
    "subject": "Hello {{ contact.first_name }}",
    "blocks": [{"type": "button", "label": "Go", "url": "https://shop.example/sale?a=1&b=2"}],
}


@pytest.fixture
def draft(database: Database, config: Config, now: datetime) -> int:
    """A draft that is ready to be scheduled."""
    with database.begin() as session:
        shop.contact_list(session, now)
        return planning.create(session, PLAN, now=now, config=config).id


def status(database: Database, campaign_id: int) -> str:
    """The stored status."""
    with database.read() as session:
        return session.get_one(Campaign, campaign_id).status


def test_a_draft_has_the_shops_defaults(database: Database, config: Config, now: datetime) -> None:
    """Holdout, window and currency come from the settings; the split is drawn, and repeatable with a seed."""
    with database.begin() as session:
        first = planning.create(session, {}, now=now, config=config)
        assert (first.status, first.holdout, first.window_days, first.currency) == ("draft", 0.1, 14, "GBP")
        again = [planning.create(session, {}, now=now, config=config, seed=5) for _ in range(2)]
        assert again[0].split_a == again[1].split_a != first.split_a
        assert 0 < first.split_a < BUCKETS
        assert 0 < first.split_s < BUCKETS


@pytest.mark.parametrize(
    ("plan", "field", "words"),
    [
        ({"nmae": "x"}, "nmae", "Did you mean 'name'?"),
        ({"name": "  "}, "name", "Give it a name"),
        ({"channel": "fax"}, "channel", "email, sms"),
        ({"list_id": 99}, "list_id", "no list 99"),
        ({"list_id": "1"}, "list_id", "number of a list"),
        ({"holdout": 0.6}, "holdout", "between 0 and 0.5"),
        ({"holdout": True}, "holdout", "between 0 and 0.5"),
        ({"window_days": 0}, "window_days", "1 to 90"),
        ({"fixed_cost": "-1"}, "fixed_cost", "not below zero"),
        ({"message_cost": "0.00001"}, "message_cost", "four decimals"),
        ({"currency": "pounds"}, "currency", "three capitals"),
        ({"subject": "x" * 501}, "subject", "at most 500"),
        ({"blocks": [{"type": "blink"}]}, "blocks[0].type", "blink"),
        ({"blocks": "x"}, "blocks", "must be a list"),
    ],
)
def test_a_wrong_plan_is_refused(
    database: Database, config: Config, now: datetime, plan: dict[str, Any], field: str, words: str
) -> None:
    """Each fault names its field and what would be right."""
    with database.begin() as session, pytest.raises(Invalid) as caught:
        planning.create(session, plan, now=now, config=config)
    assert caught.value.field == field
    assert words in caught.value.message


def test_costs_are_exact(database: Database, config: Config, now: datetime) -> None:
    """A tenth of a penny stays one."""
    with database.begin() as session:
        found = planning.create(session, {"fixed_cost": "2000", "message_cost": "0.001"}, now=now, config=config)
        assert (found.fixed_cost, found.message_cost) == (20_000_000, 10)


def test_an_old_version_changes_nothing(database: Database, draft: int, now: datetime) -> None:
    """Of two people who opened the same draft, the second to save is told."""
    with database.begin() as session:
        assert planning.edit(session, draft, {"name": "First"}, version=1, now=now).version == 2
    with database.begin() as session, pytest.raises(Conflict, match="version 2, not 1"):
        planning.edit(session, draft, {"name": "Second"}, version=1, now=now)
    with database.read() as session:
        assert session.get_one(Campaign, draft).name == "First"


def test_only_a_draft_is_edited(database: Database, draft: int, now: datetime) -> None:
    """Whoever saves what is planned, sent or over is told, however fresh their page; costs alone may come later."""
    for status in set(ALLOWED) - {"draft"}:
        with database.begin() as session:
            session.get_one(Campaign, draft).status = status
        with database.begin() as session, pytest.raises(Conflict, match=f"is {status}"):
            planning.edit(session, draft, {"name": "Other", "subject": "Other"}, version=1, now=now)
        with database.begin() as session:
            found = session.get_one(Campaign, draft)
            assert (found.name, found.version) == ("Spring", 1)
            assert planning.variant_of(session, draft).subject == PLAN["subject"]


def test_scheduling_fixes_the_links(database: Database, config: Config, draft: int, now: datetime) -> None:
    """Every destination of the content is registered, once however often it is scheduled."""
    with database.begin() as session:
        found = shop.schedule(session, draft, now, config, at=now + DAY)
        assert (found.status, found.due_at) == ("scheduled", now + DAY)
        assert planning.unschedule(session, draft, now=now).due_at == now + DAY  # a page may still show it
        assert shop.schedule(session, draft, now, config).due_at == now
        assert planning.unschedule(session, draft, now=now).due_at is None
        shop.schedule(session, draft, now, config)
        assert session.scalars(select(Link.url)).all() == ["https://shop.example/sale?a=1&b=2"]


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"list_id": None}, "list_id"),
        ({"subject": " "}, "subject"),
        ({"blocks": []}, "blocks"),
        ({"subject": "{{ contact.nope }}"}, "subject"),
        ({"blocks": [{"type": "text", "text": "{% if %}"}]}, "blocks[0].text"),
        ({"blocks": [{"type": "button", "label": "", "url": "https://x.example"}]}, "blocks[0].label"),
        ({"blocks": [{"type": "button", "label": "Go", "url": "x"}]}, "blocks[0].url"),
        ({"channel": "sms"}, "text"),
    ],
)
def test_what_cannot_be_sent_cannot_be_scheduled(
    database: Database, config: Config, draft: int, now: datetime, plan: dict[str, Any], field: str
) -> None:
    """A draft may be incomplete; scheduling names what is missing."""
    with database.begin() as session:
        planning.edit(session, draft, plan, version=1, now=now)
    with database.begin() as session, pytest.raises(Invalid) as caught:
        shop.schedule(session, draft, now, config)
    assert caught.value.field == field
    assert status(database, draft) == "draft"


@pytest.mark.parametrize(
    ("plan", "field", "words"),
    [
        ({"blocks": [{"type": "divider"}, {"type": "text", "text": "a\n{% break %}"}]}, "blocks[1].text", "Line 2: un"),
        ({"blocks": [{"type": "products", "title": "{{ 1 | divided_by: 0 }}", "n": 3}]}, "blocks[0].title", "by 0"),
        ({"subject": "{{ 'x' | times: contact.attributes.tags | modulo: 0 }}"}, "subject", "modulo"),
        ({"preheader": "{% continue %}"}, "preheader", "continue"),
        ({"channel": "sms", "text": "Come {{ contact.age | minus: contact.age | divided_by: 0 }}"}, "text", "by 0"),
    ],
)
@pytest.mark.parametrize("number", [0, 3])
def test_what_nobody_could_get_is_not_scheduled(
    database: Database,
    config: Config,
    draft: int,
    now: datetime,
    plan: dict[str, Any],
    field: str,
    words: str,
    number: int,
) -> None:
    """Content that compiles and fails for everybody, on the list or made up, is refused with its place and cause."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        shop.crowd(session, number, now) if number else None
        planning.edit(session, draft, plan, version=1, now=now)
    warehouse.refresh()
    with database.read() as session, pytest.raises(Invalid, match="Nobody could get it") as caught:
        planning.check(session, warehouse, draft, now=now, config=config)
    assert (caught.value.field, words in caught.value.message) == (field, True)
    assert f"tried for {number or 1}" in caught.value.message


def test_what_some_cannot_get_is_scheduled(database: Database, config: Config, draft: int, now: datetime) -> None:
    """One of the list without an age is left out when it is sent; that is no reason to stop the others."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        for number, age in ((1, 0), (2, 40)):
            shop.contact(session, number, now, age=age)
        planning.edit(session, draft, {"subject": "{{ 80 | divided_by: contact.age }}"}, version=1, now=now)
    warehouse.refresh()
    with database.read() as session:
        ready = planning.check(session, warehouse, draft, now=now, config=config)
    with database.begin() as session:
        assert planning.schedule(session, ready, now=now).status == "scheduled"


def test_a_list_that_cannot_be_read_is_found_before(
    database: Database, config: Config, draft: int, now: datetime
) -> None:
    """Not only when the time has come."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        session.get_one(ContactList, 1).criteria = {"field": "gone", "operator": "known"}
    warehouse.refresh()
    with database.read() as session, pytest.raises(Invalid, match="gone") as caught:
        planning.check(session, warehouse, draft, now=now, config=config)
    assert caught.value.field == "list_id"


def _edit(session: Session, draft: int, now: datetime) -> None:
    planning.edit(session, draft, {"subject": "Changed"}, version=1, now=now)


def _narrow(session: Session, _draft: int, now: datetime) -> None:
    lists.save(session, 1, "All", {"field": "city", "operator": "known"}, now=now)


def _delete_list(session: Session, _draft: int, now: datetime) -> None:
    lists.delete(session, 1, now=now)


@pytest.mark.parametrize("change", [_edit, _narrow, _delete_list])
def test_what_was_checked_is_what_is_scheduled(
    database: Database, config: Config, draft: int, now: datetime, change: Callable[..., None]
) -> None:
    """The draft or its list changed between the look and the move: nothing is scheduled, no link is fixed."""
    with database.read() as session:
        ready = planning.check(session, None, draft, now=now, config=config)
    with database.begin() as session:
        change(session, draft, now)
    with database.begin() as session, pytest.raises(Conflict, match="changed"):
        planning.schedule(session, ready, now=now)
    assert status(database, draft) == "draft"
    with database.read() as session:
        assert session.scalars(select(Link)).all() == []


def test_an_old_version_is_not_checked(database: Database, config: Config, draft: int, now: datetime) -> None:
    """Who means an older draft is told before anything is looked at."""
    with database.begin() as session:
        _edit(session, draft, now)
    with database.read() as session, pytest.raises(Conflict, match="version 2, not 1"):
        planning.check(session, None, draft, version=1, now=now, config=config)


@pytest.mark.parametrize("late", [-DAY, timedelta(minutes=-2), timedelta(days=400)])
def test_only_times_ahead(database: Database, config: Config, draft: int, now: datetime, late: timedelta) -> None:
    """Yesterday and the year after next are typing errors."""
    with database.begin() as session, pytest.raises(Invalid, match="within a year"):
        shop.schedule(session, draft, now, config, at=now + late)


ALLOWED = {  # status: what may be done, and where it leads
    "draft": {"schedule": "scheduled"},
    "scheduled": {"unschedule": "draft", "cancel": "cancelled"},
    "late": {"unschedule": "draft", "cancel": "cancelled", "send_late": "scheduled", "skip_late": "cancelled"},
    "sending": {"pause": "paused", "cancel": "cancelled", "send_again": "sending"},
    "paused": {"resume": "sending", "cancel": "cancelled"},
    "finished": {"send_again": "sending"},
    "cancelled": {},
}


@pytest.mark.parametrize("before", list(ALLOWED))
def test_the_table_of_statuses(database: Database, config: Config, draft: int, now: datetime, before: str) -> None:
    """From each status exactly the listed steps; anything else is a Conflict that says why and changes nothing."""
    actions: dict[str, Any] = {
        "schedule": lambda session: shop.schedule(session, draft, now, config),
        "unschedule": lambda session: planning.unschedule(session, draft, now=now),
        "pause": lambda session: planning.pause(session, draft, now=now),
        "resume": lambda session: planning.resume(session, draft, now=now),
        "cancel": lambda session: planning.cancel(session, draft, now=now),
        "send_again": lambda session: planning.send_again(session, draft, now=now),
        "send_late": lambda session: planning.send_late(session, draft, now=now),
        "skip_late": lambda session: planning.skip_late(session, draft, now=now),
    }
    assert set(actions) == set(planning.STEPS)
    for step, act in actions.items():
        with database.begin() as session:
            found = session.get_one(Campaign, draft)
            found.status, version = before, found.version
        expected = ALLOWED[before].get(step)
        with database.begin() as session:
            if expected is None:
                with pytest.raises(Conflict, match=f"is {before}"):
                    act(session)
            else:
                act(session)
        with database.read() as session:
            found = session.get_one(Campaign, draft)
            assert (found.status, found.version) == (expected or before, version + (expected is not None))


def test_cancelling_withdraws_what_waits(database: Database, now: datetime) -> None:
    """Queued sends are cancelled with their reason; what is on its way or held stays as it is."""
    with database.begin() as session:
        found = shop.campaign(session, now, holdout=0.5, split_a=1_234_577)
        shop.fire(session, found, shop.crowd(session, 20, now), now)
        first = session.scalars(select(Send).where(Send.state == "queued")).first()
        assert first is not None
        first.state = "sending"
    with database.begin() as session:
        before = planning.progress(session, found.id)
        planning.cancel(session, found.id, now=now)
        assert planning.progress(session, found.id) == {
            "cancelled": before["queued"],
            "sending": 1,
            "held": before["held"],
        }


def test_finished_when_nothing_is_left(database: Database, now: datetime) -> None:
    """As long as one send waits the campaign is sending; then it and its firing are finished, once."""
    with database.begin() as session:
        found = shop.campaign(session, now)
        firing = shop.fire(session, found, shop.crowd(session, 2, now), now)
        assert planning.finish(session, now=now) == []
        shop.accept(session, firing, now)
        assert planning.finish(session, now=now) == [found.id]
        assert planning.finish(session, now=now) == []
        session.refresh(firing)
        assert firing.finished_at == now
    assert status(database, found.id) == "finished"


def test_finishing_leaves_alone_what_was_sent_again(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sends the silent ones again between the look and the write: the campaign goes on."""
    with database.begin() as session:
        found = shop.campaign(session, now)
        firing = shop.fire(session, found, shop.crowd(session, 2, now), now)
        shop.accept(session, firing, now)
        session.scalars(select(Send).limit(1)).one().state = "unknown"
    write = planning._changed

    def again(session: Session, statement: Any) -> bool:
        monkeypatch.setattr(planning, "_changed", write)
        planning.send_again(session, found.id, now=now)
        return write(session, statement)

    with database.begin() as session:
        monkeypatch.setattr(planning, "_changed", again)
        assert planning.finish(session, now=now) == []
    assert status(database, found.id) == "sending"
    with database.read() as session:
        assert session.get_one(Firing, firing.id).finished_at is None


def test_costs_are_written_over_what_is_there(database: Database, draft: int, now: datetime) -> None:
    """A campaign read before somebody else wrote does not hide that their cost is another one."""
    with database.begin() as session:
        read = planning.record_costs(session, draft, {"fixed_cost": "5"}, version=1, now=now)
        session.connection().execute(update(Campaign).values(fixed_cost=70_000))
        assert planning.record_costs(session, draft, {"fixed_cost": "5"}, version=2, now=now) is read
    with database.read() as session:
        assert session.get_one(Campaign, draft).fixed_cost == 50_000


def test_a_list_changed_since_is_noticed(database: Database, config: Config, draft: int, now: datetime) -> None:
    """The list or one it is made of, until somebody decides anew; being late or costing something is no decision."""

    def changed() -> bool:
        with database.read() as session:
            return planning.is_list_changed(session, planning.get(session, draft))

    with database.begin() as session:
        part = shop.contact_list(session, now, criteria={"field": "email", "operator": "known"}).id
        lists.save(session, 1, "All", {"list": part}, now=now)
        shop.schedule(session, draft, now + timedelta(seconds=1), config)
    assert not changed()
    with database.begin() as session:
        assert [one.id for one in planning.waiting(session, list_id=part)] == [draft]
        assert planning.waiting(session, list_id=part + 1) == []
        lists.save(session, part, "Part", {"field": "city", "operator": "known"}, now=now + DAY)
    assert changed()
    with database.begin() as session:
        planning.record_costs(session, draft, {"fixed_cost": "5"}, version=2, now=now + 2 * DAY)
    scheduler.tick(database, Warehouse(database, config.folder / "warehouse", config), config, now=now + 2 * DAY)
    assert status(database, draft) == "late"
    assert changed()
    with database.begin() as session:
        planning.send_late(session, draft, now=now + 2 * DAY)
    assert not changed()
    with database.begin() as session:
        lists.delete(session, 1, now=now + 2 * DAY)
    assert changed()


def test_delete_and_undo(database: Database, draft: int, now: datetime) -> None:
    """A deleted campaign is out of sight and comes back within 30 days; one that runs cannot be deleted."""
    with database.begin() as session:
        planning.delete(session, draft, now=now)
        assert planning.all_campaigns(session) == []
        with pytest.raises(NotFound):
            planning.get(session, draft)
        with pytest.raises(NotFound, match="30 days"):
            planning.undo_delete(session, draft, now=now + 31 * DAY)
        assert planning.undo_delete(session, draft, now=now + 29 * DAY).name == "Spring"
        session.get_one(Campaign, draft).status = "sending"
        session.flush()
        with pytest.raises(Conflict, match="cancel it first"):
            planning.delete(session, draft, now=now)


def test_a_hundred_clicks_schedule_once(database: Database, config: Config, draft: int, now: datetime) -> None:
    """Impatient clicks on "send now" from many threads: one succeeds, the others are told."""
    results: list[str] = []
    barrier = threading.Barrier(8)

    def click() -> None:
        barrier.wait()
        for _ in range(3):
            try:
                with database.begin() as session:
                    shop.schedule(session, draft, now, config)
                results.append("scheduled")
            except Conflict:
                results.append("conflict")

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["conflict"] * 23 + ["scheduled"]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Link)) == 1


@pytest.mark.parametrize(
    ("given", "zone", "expected"),
    [
        ("2026-03-29T09:00", "Europe/London", datetime(2026, 3, 29, 8, 0, tzinfo=UTC)),
        ("2026-10-25T01:30", "Europe/London", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # comes twice: the first
        ("2026-03-02T09:00", "Asia/Shanghai", datetime(2026, 3, 2, 1, 0, tzinfo=UTC)),
        ("2026-03-02T09:00+02:00", "Asia/Shanghai", datetime(2026, 3, 2, 7, 0, tzinfo=UTC)),
    ],
)
def test_wall_time(given: str, zone: str, expected: datetime) -> None:
    """What the clock on the wall says, as a moment."""
    assert planning.wall_time(given, ZoneInfo(zone)) == expected


@pytest.mark.parametrize("given", ["2026-03-29T01:30", "tomorrow", ""])
def test_no_such_time(given: str) -> None:
    """An hour that the clocks jump over, and what is no time at all."""
    with pytest.raises(Invalid) as caught:
        planning.wall_time(given, ZoneInfo("Europe/London"))
    assert caught.value.field == "at"
