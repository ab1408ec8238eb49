"""Find, read and erase a contact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine import consent, contacts, identity, intake
from engine.config import Config
from engine.database import Database
from engine.errors import NotFound
from engine.models import (
    Consent,
    Contact,
    ContactList,
    Deletion,
    Event,
    Identity,
    Item,
    ListMember,
    ListPick,
    Order,
    Suppression,
)
from engine.timeline import Span, timeline
from engine.warehouse import Warehouse
from tests.engine.test_consent import add


@pytest.fixture
def ann(database: Database, now: datetime) -> int:
    """A contact with a past: anonymous and known events, an order, consent, a list."""
    with database.begin() as session:
        contact = add(session, "C1", now, email="ann@shop.example", phone="+442071838750", first_name="Ann")
        other = add(session, "C2", now, email="bob@shop.example")
        item = Item(key="wine", title="Wine", currency="GBP", created_at=now, updated_at=now)
        session.add(item)
        session.flush()
        day = timedelta(days=1)
        session.add_all(
            [
                Event(key="1", visitor="v1", type="search", occurred_at=now - 5 * day),
                Event(key="2", contact_id=contact.id, type="item_view", item_id=item.id, occurred_at=now - 3 * day),
                Event(key="3", contact_id=other.id, type="item_view", occurred_at=now - 3 * day),
                Order(
                    key="O1",
                    contact_id=contact.id,
                    ordered_at=now - 2 * day,
                    channel="store",
                    currency="GBP",
                    total=99_900,
                    units=1,
                    digest="",
                ),
            ]
        )
        session.flush()
        identity.identify(session, "v1", contact.id, now)
        session.add(Event(key="4", visitor="v1", type="late", occurred_at=now))  # came in before it could be joined
        consent.record(session, contact.id, "email", granted=True, origin="web", now=now - day)
        people = ContactList(name="All", criteria={}, frozen_at=now, created_at=now, updated_at=now)
        session.add(people)
        session.flush()
        session.add(ListMember(list_id=people.id, contact_id=contact.id))
    return contact.id


def test_get(database: Database, ann: int) -> None:
    """By id, or NotFound."""
    with database.read() as session:
        assert contacts.get(session, ann).key == "C1"
        with pytest.raises(NotFound):
            contacts.get(session, ann + 99)


@pytest.mark.parametrize("copied", [False, True])
def test_search(database: Database, config: Config, now: datetime, copied: bool) -> None:
    """Every word must be found, in any of key, e-mail, telephone and name; % and _ are plain letters. In SQL, and in
    the warehouse's copy, asked once and again; whoever came since the last refresh is found, who is gone is not.
    """
    people = (("1", "Ann", "Lee"), ("2", "Annabel", "Ray"), ("3", "Zoë", "Lee"), ("4%", "x_y", "Q"), ("5'", None, "X"))
    with closing(Warehouse(database, config.folder / "warehouse", config)) as opened:
        warehouse = opened if copied else None
        with database.begin() as session:
            for key, first, last in people:
                add(session, key, now, first_name=first, last_name=last, email=f"{last.lower()}{key[0]}@shop.example")

        def found(words: str, **options: int) -> list[str]:
            with database.read() as session:
                return [one.key for one in contacts.search(session, words, warehouse=warehouse, **options)]

        for _ in range(2):
            assert found("ann") == ["1", "2"]
            assert found("  LEE  ann ") == ["1"]
            assert found("ray2@") == ["2"]
            assert found("%") == found("x_") == ["4%"]
            assert found("_z") == []
            assert found("5' shop") == ["5'"]
            assert found("") == ["1", "2", "3", "4%", "5'"]
        with database.read() as session:
            ids = [one.id for one in contacts.search(session, "shop", limit=2, warehouse=warehouse)]
        assert found("shop", after=ids[-1], limit=2) == ["3", "4%"]
        with database.begin() as session:
            add(session, "6", now, first_name="Annika")
        assert found("ann") == ["1", "2", "6"]
        with database.begin() as session:
            contacts.erase(session, ids[0], now)
        assert found("ann", limit=1) == ["2"]


def test_timeline(database: Database, now: datetime, ann: int) -> None:
    """Events, orders and consent in one row, newest first, up to a moment."""
    day = timedelta(days=1)
    expected = [
        (now - day, "consent", "email granted", "web", None, None),
        (now - 2 * day, "order", "O1", "store", 99_900, "GBP"),
        (now - 3 * day, "event", "item_view", "Wine", None, None),
        (now - 5 * day, "event", "search", "", None, None),
    ]

    def told(span: Span, limit: int = 50) -> list[Any]:
        found = timeline(session, ann, span, limit=limit)
        return [(one.at, one.kind, one.title, one.detail, one.amount, one.currency) for one in found]

    with database.read() as session:
        whole = timeline(session, ann)
        assert told(Span()) == expected
        assert told(Span(), 2) == expected[:2]
        assert told(Span(before=whole[1].place)) == expected[2:]
        assert told(Span(after=whole[1].place)) == expected[:1]
        assert told(Span(kinds=frozenset(("order", "consent")))) == expected[:2]


def test_erase(database: Database, now: datetime, ann: int) -> None:
    """The person is gone from every table, the shop's orders and other people stay."""
    with database.begin() as session:
        events = set(session.scalars(select(Event.id).where(Event.key != "3")))
        before = session.scalars(select(Order.revision)).one()
    with database.begin() as session:
        contacts.erase(session, ann, now)
    with database.read() as session:
        assert session.scalars(select(Contact.key)).all() == ["C2"]
        assert session.scalars(select(Event.key)).all() == ["3"]
        for table in (Identity, Consent, ListMember):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        order = session.scalars(select(Order)).one()
        assert (order.contact_id, order.total) == (None, 99_900)
        assert order.revision > before
        gone = session.execute(select(Deletion.table_name, Deletion.row_id, Deletion.revision)).all()
        theirs = {("contacts", ann), ("consents", 1)} | {("events", number) for number in events}
        assert {row[:2] for row in gone} == theirs
        assert {row.revision for row in gone} == {order.revision}


def test_the_address_of_an_erased_person_stays_silent(
    database: Database, config: Config, now: datetime, ann: int
) -> None:
    """Kept unreadable, and still found when the person is imported again with consent."""
    with database.begin() as session:
        consent.suppress(session, "email", "ann@shop.example", "unsubscribe", now)
        contacts.erase(session, ann, now)
        stored = session.execute(select(Suppression.channel, Suppression.address, Suppression.reason)).all()
        assert {(row.channel, row.reason) for row in stored} == {("email", "erased"), ("sms", "erased")}
        assert all(row.address.startswith("sha256:") and "ann" not in row.address for row in stored)
        record = {"key": "C1", "email": "ANN@shop.example", "email_consent": True}
        assert intake.accept(session, "contacts", [record], now=now, config=config).created == 1
        assert consent.is_suppressed(session, "email", "ann@shop.example")
        assert consent.is_suppressed(session, "sms", "+442071838750")
        condition = consent.suppressed("email", Contact.email)
        assert session.scalars(select(Contact.key).where(condition)).all() == ["C1"]


@pytest.fixture
def forgotten() -> Iterator[list[int]]:
    """Contacts that an upper package was asked to forget."""
    asked: list[int] = []

    def forget(session: Session, contact_id: int, _now: datetime) -> None:
        contacts.get(session, contact_id)  # still there
        asked.append(contact_id)

    contacts.on_erase(forget)
    yield asked
    contacts._forgetting.remove(forget)


def test_upper_packages_forget_first(database: Database, now: datetime, ann: int, forgotten: list[int]) -> None:
    """Each registered function is called once, before the contact goes."""
    with database.begin() as session:
        contacts.erase(session, ann, now)
    assert forgotten == [ann]
    with database.begin() as session, pytest.raises(NotFound):
        contacts.erase(session, ann, now)


def test_erasing_takes_one_off_the_size_of_frozen_lists(database: Database, ann: int, now: datetime) -> None:
    """Of those on which they stand, by hand or not; who was taken off is not counted twice."""
    with database.begin() as session:
        kept = session.scalars(select(ContactList)).one()
        kept.size = 5
        for added in (True, False):
            other = ContactList(name="More", criteria={}, frozen_at=now, size=5, created_at=now, updated_at=now)
            session.add(other)
            session.flush()
            session.add(ListPick(list_id=other.id, contact_id=ann, added=added, at=now))
        session.add(ListMember(list_id=other.id, contact_id=ann))
        session.add(ContactList(name="Dynamic", criteria={}, size=5, created_at=now, updated_at=now))
    with database.begin() as session:
        contacts.erase(session, ann, now)
    with database.read() as session:
        assert session.scalars(select(ContactList.size).order_by(ContactList.id)).all() == [4, 4, 5, 5]
