"""Visitors become contacts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import identity, intake
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid, NotFound
from engine.models import Event, Identity
from tests.engine.test_consent import add


def test_anonymous_history_joins_the_contact(database: Database, now: datetime) -> None:
    """What the visitor did moves once, with a new revision; other visitors keep theirs."""
    with database.begin() as session:
        for number, visitor in enumerate(["v1", "v1", "v2"]):
            session.add(Event(key=str(number), visitor=visitor, type="view", occurred_at=now))
        contact = add(session, "a", now)
        old = session.scalars(select(Event.revision).order_by(Event.key)).all()
    with database.begin() as session:
        assert identity.contact_of_visitor(session, "v1") is None
        assert identity.identify(session, "v1", contact.id, now) == 2
        assert identity.identify(session, "v1", contact.id, now) == 0
        assert identity.contact_of_visitor(session, "v1") == contact.id
        events = session.execute(select(Event.contact_id, Event.revision).order_by(Event.key)).all()
    assert [row.contact_id for row in events] == [contact.id, contact.id, None]
    assert [row.revision > before for row, before in zip(events, old, strict=True)] == [True, True, False]


@pytest.mark.parametrize("first", ["view", "identify"])
def test_nothing_is_lost_when_a_visitor_acts_and_is_recognised_at_once(
    database: Database, config: Config, now: datetime, first: str
) -> None:
    """Whoever comes later waits for the other; who only acts waits for nobody who does so."""
    said = {"view": {}, "again": {}, "identify": {"contact": "a"}}

    def tell(session: Session, name: str) -> None:
        record = {"key": name, "type": name, "visitor": "v1", "at": now.isoformat(), **said[name]}
        assert intake.accept(session, "events", [record], now=now, config=config).created == 1

    def beside(name: str) -> None:
        with database.begin() as session:
            tell(session, name)

    with database.begin() as session:
        add(session, "a", now)
    with ThreadPoolExecutor(2) as pool:
        with database.begin() as session:
            tell(session, first)
            others = []
            for name in [name for name in said if name != first]:
                others.append(pool.submit(beside, name))
                wait(others[-1:], 0.5)
            waiting = [other for other in others if not other.done()]
        assert [other.result() for other in others] == [None, None]
    if not database.is_sqlite:
        assert len(waiting) == (1 if first == "view" else 2)
    with database.read() as session:
        assert set(owners(session)) == set(said)
        assert len({*owners(session).values()} - {None}) == len({*owners(session).values()}) == 1


def test_a_shared_device_belongs_to_the_last_who_logged_in(database: Database, now: datetime) -> None:
    """Events that had an owner stay with them."""
    with database.begin() as session:
        first, second = add(session, "a", now), add(session, "b", now)
        for number, contact in enumerate((first, second)):
            session.add(Event(key=str(number), visitor="v", type="view", occurred_at=now))
            session.flush()
            assert identity.identify(session, "v", contact.id, now) == 1
        assert session.scalars(select(Event.contact_id).order_by(Event.key)).all() == [first.id, second.id]
        assert session.scalars(select(Identity.contact_id)).all() == [second.id]


def test_an_older_word_that_comes_late_changes_nothing(database: Database, now: datetime) -> None:
    """Who logged in last has the device, in whatever order the words arrive; a card of the same number is no device."""
    with database.begin() as session:
        first, second = add(session, "a", now), add(session, "b", now)
        session.add(Identity(contact_id=first.id, kind="card", value="v", created_at=now))
        for contact, hours, owner in ((second, 2, second), (first, 1, second), (first, 3, first)):
            identity.identify(session, "v", contact.id, now + timedelta(hours=hours))
            assert identity.contact_of_visitor(session, "v") == owner.id
        assert len(session.scalars(select(Identity)).all()) == 2


@pytest.mark.parametrize("visitor", ["", "v" * 65])
def test_a_visitor_has_a_name_that_can_be_stored(database: Database, now: datetime, visitor: str) -> None:
    """Neither none nor one longer than the column."""
    with database.begin() as session, pytest.raises(Invalid):
        identity.identify(session, visitor, add(session, "a", now).id, now)


def test_the_contact_must_exist(database: Database, now: datetime) -> None:
    """An unknown one is an error, not a dangling row."""
    with database.begin() as session, pytest.raises(NotFound):
        identity.identify(session, "v", 99, now)


def test_what_a_merged_contacts_browser_does_is_theirs_when_the_merge_is_undone(
    database: Database, config: Config, now: datetime
) -> None:
    """Events by the browser of either, before and after they were recognised, by the pages and by a file."""
    with database.begin() as session:
        kept, merged = add(session, "C-1", now), add(session, "C-2", now)
        identity.identify(session, "v-of-C-2", merged.id, now)
        for number in range(2):  # of a browser that is recognised later
            event = {"key": f"late-{number}", "type": "search", "at": now.isoformat(), "visitor": "late"}
            assert not intake.accept(session, "events", [event], now=now, config=config).rejected
        merge = identity.join(session, merged.id, kept.id, evidence="", author="ann", now=now)
    with database.begin() as session:
        for number, visitor in enumerate(["v-of-C-2", "nobody"]):
            event = {"key": f"v-{number}", "type": "search", "at": now.isoformat(), "visitor": visitor}
            assert not intake.accept(session, "events", [event], now=now, config=config).rejected
        assert identity.identify(session, "late", merged.id, now) == 2
        assert owners(session) == {"late-0": kept.id, "late-1": kept.id, "v-0": kept.id, "v-1": None}
    with database.begin() as session:
        identity.part(session, merge.id, author="ann", now=now)
        assert owners(session) == {"late-0": merged.id, "late-1": merged.id, "v-0": merged.id, "v-1": None}


def test_a_browser_is_freed_from_whom_it_is_known_as_alone(database: Database, now: datetime) -> None:
    """Of a merged contact from the kept one; never from somebody else."""
    with database.begin() as session:
        kept, merged, other = (add(session, key, now) for key in ("a", "b", "c"))
        session.add(Event(key="1", visitor="v", type="view", occurred_at=now))
        identity.identify(session, "v", merged.id, now)
        identity.join(session, merged.id, kept.id, evidence="", author="ann", now=now)
        for contact_id in (other.id, merged.id, 99):
            with pytest.raises(NotFound):
                identity.mistaken(session, "v", contact_id)
        assert identity.contact_of_visitor(session, "v") == kept.id
        assert identity.mistaken(session, "v", kept.id) == 1
        assert owners(session) == {"1": None}


def owners(session: Session) -> dict[str, int | None]:
    """Event -> whose it is."""
    return {row.key: row.contact_id for row in session.execute(select(Event.key, Event.contact_id))}
