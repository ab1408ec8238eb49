"""Who is one person: the same records in any order, and everything as before when it is undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import consent, contacts, identity, intake
from engine.config import Config
from engine.database import Base, Database
from engine.errors import Conflict, Invalid, NotFound
from engine.identity import duplicates, facts, merging
from engine.models import (
    Consent,
    Contact,
    ContactList,
    Event,
    ListMember,
    ListPick,
    Merge,
    MergedPlace,
    MergedRow,
    Order,
    OwnFacts,
)
from engine.warehouse import Warehouse
from tests.engine.copies import copied

KEPT_APART = (Merge, MergedRow, MergedPlace, OwnFacts)
LINE = {"item": "wine", "quantity": 1, "unit_price": "5"}


def take(session: Session, config: Config, kind: str, *records: Mapping[str, Any], now: datetime) -> None:
    """Records through the door, all of them good."""
    taken = intake.accept(session, kind, records, now=now, config=config)
    assert not taken.rejected


def order(key: str, now: datetime, **who: str) -> dict[str, Any]:
    """A purchase."""
    return {"order": key, "at": now.isoformat(), "lines": [LINE], **who}


def find(session: Session, key: str) -> Contact:
    """Whoever stands for the key now."""
    return contacts.find(session, key)


def state(session: Session) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but the audit of merges; change numbers are no content."""
    session.flush()
    apart = {table.__tablename__ for table in KEPT_APART} | {"revision", "watermarks", "deletions"}
    found = {}
    for table in Base.metadata.sorted_tables:
        if table.name not in apart:
            rows = session.execute(select(table)).mappings()
            found[table.name] = sorted(
                ({name: value for name, value in row.items() if name != "revision"} for row in rows), key=str
            )
    return found


def test_a_store_buyer_and_a_web_customer_become_one(database: Database, config: Config, now: datetime) -> None:
    """When a record names both the card and the e-mail address, and orders by the card are the customer's from then."""
    with database.begin() as session:
        take(session, config, "orders", order("s1", now, card="4711"), now=now)
        take(session, config, "contacts", {"key": "C-1", "email": "ann@shop.example", "first_name": "Ann"}, now=now)
        assert find(session, "card:4711").id != find(session, "C-1").id
        take(session, config, "orders", order("s2", now, card="4711", email="ann@shop.example"), now=now)
        take(session, config, "orders", order("s3", now, card="4711"), now=now)
        ann = find(session, "C-1")
        assert find(session, "card:4711").id == ann.id
        assert set(session.scalars(select(Order.contact_id))) == {ann.id}
        assert [found.key for found in contacts.search(session, "ann")] == ["C-1"]
        [merge] = session.scalars(select(Merge))
        assert (merge.how, merge.evidence, merge.author) == ("record", "email ann@shop.example", "")


def test_who_is_named_by_two_at_the_same_time_is_one(database: Database, config: Config, now: datetime) -> None:
    """Two writers who do not see each other's records yet: neither fails, and the rule holds when both are done."""
    with database.begin() as session:  # the shop names people so
        take(session, config, "orders", order("first", now, card="first"), now=now)
    start = threading.Barrier(2)

    def write(kind: str, record: Callable[[int], Mapping[str, Any]]) -> None:
        for number in range(12):
            start.wait(30)
            with database.begin() as session:
                take(session, config, kind, record(number), now=now)

    def customer(number: int) -> Mapping[str, Any]:
        return {"key": f"C-{number}", "email": f"{number}@s.example"}

    def buyer(number: int) -> Mapping[str, Any]:
        return order(f"o{number}", now, card=str(number), email=f"{number}@s.example")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, "contacts", customer), pool.submit(write, "orders", buyer)]:
            done.result()
    with database.read() as session:
        assert {number: find(session, f"card:{number}").key for number in range(12)} == {
            number: f"C-{number}" for number in range(12)
        }


def test_two_customers_with_one_address_are_never_merged_by_a_record(
    database: Database, config: Config, now: datetime
) -> None:
    """Homes share an address: whoever used it stays apart from both until a person says who it was."""
    with database.begin() as session:
        take(session, config, "orders", order("o1", now, email="home@shop.example"), now=now)
        take(session, config, "contacts", {"key": "C-1", "email": "home@shop.example"}, now=now)
        assert find(session, "email:home@shop.example").key == "C-1"
        take(session, config, "contacts", {"key": "C-2", "email": "home@shop.example"}, now=now)
        assert len({find(session, key).id for key in ("C-1", "C-2", "email:home@shop.example")}) == 3
        assert session.scalar(select(Order.contact_id)) == find(session, "email:home@shop.example").id
        take(session, config, "contacts", {"key": "C-2", "email": "own@shop.example"}, now=now)
        assert find(session, "email:home@shop.example").key == "C-1"


CARDS, MAILS, KEYS = ("1", "2", "3"), ("a@s.example", "b@s.example", "c@s.example"), ("C-1", "C-2", "C-3")
NAMES = st.fixed_dictionaries(
    {},
    optional={
        "contact": st.sampled_from(KEYS),
        "card": st.sampled_from(CARDS),
        "email": st.sampled_from(MAILS),
    },
).filter(bool)


@st.composite
def records(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """Customers, each with one word on themselves, and orders and events that name somebody in any way."""
    people = draw(st.lists(st.sampled_from(KEYS), unique=True))
    found: list[tuple[str, dict[str, Any]]] = [
        (
            "contacts",
            {
                "key": key,
                "city": draw(st.sampled_from(["Dover", "Deal", ""])),
                "email_consent": draw(st.sampled_from(["true", "false", ""])),
                "card": draw(st.sampled_from([*CARDS, ""])),
                "email": draw(st.sampled_from([*MAILS, ""])),
            },
        )
        for key in people
    ]
    named = draw(st.lists(NAMES, max_size=6))
    for number, who in enumerate(named):
        what = {"order": f"o{number}", "lines": [LINE]} if number % 2 else {"key": f"e{number}", "type": "call"}
        found.append(("orders" if number % 2 else "events", {**what, "at": "2026-03-01T08:00:00Z", **who}))
    return found


def people(session: Session) -> dict[str, Any]:
    """Who everybody is, what they show and what they did, by names that do not depend on the order of records."""
    keys = {one.id: one.key for one in session.scalars(select(Contact))}
    shown = ("merged_into", "city", "email", "email_consent", "attributes")
    return {
        "contacts": {
            one.key: {name: getattr(one, name) for name in shown[1:]} | {"into": keys.get(one.merged_into or 0)}
            for one in session.scalars(select(Contact))
        },
        "orders": {one.key: keys.get(one.contact_id or 0) for one in session.scalars(select(Order))},
        "events": {one.key: keys.get(one.contact_id or 0) for one in session.scalars(select(Event))},
    }


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_records_in_any_order_give_the_same_people(
    database: Database, config: Config, now: datetime, data: st.DataObject
) -> None:
    """Whoever comes first, in how many calls ever; and a second time changes nothing."""
    given_ = data.draw(records())
    order_ = data.draw(st.permutations(given_))
    seen = []
    for sequence in (given_, order_):
        with database.engine.execution_options(writes=True).connect() as connection, connection.begin() as transaction:
            session = Session(connection, expire_on_commit=False)
            _take_all(session, config, sequence, now)
            once = people(session)
            _take_all(session, config, sequence, now)
            session.expire_all()
            assert people(session) == once
            seen.append(once)
            session.close()
            transaction.rollback()
    assert seen[0] == seen[1]


def _take_all(session: Session, config: Config, sequence: Sequence[tuple[str, dict[str, Any]]], now: datetime) -> None:
    for kind, record in sequence:
        take(session, config, kind, record, now=now)
        session.expire_all()


def a_shop(session: Session, config: Config, now: datetime) -> dict[str, int]:
    """Three customers with history, consent, places on lists and a device each."""
    for number, city in enumerate(("Dover", "Deal", "")):
        key = f"C-{number}"
        facts = {"city": city, "email": f"{number}@s.example", "email_consent": "true" if number else "false"}
        own = {"size": number, "pet": "cat"} if number == 1 else {}
        take(session, config, "contacts", {"key": key, **facts, "attributes": own, "card": f"4{number}"}, now=now)
        take(session, config, "orders", order(f"o-{key}", now, contact=key), now=now)
        take(session, config, "events",
             {"key": f"e-{key}", "type": "identify", "at": now.isoformat(), "contact": key, "visitor": f"v{number}"},
             now=now)  # fmt: skip
    session.expire_all()
    ids = {one.key: one.id for one in session.scalars(select(Contact))}
    for number, stands in enumerate((("C-0", "C-1"), ("C-1", "C-2"), ("C-2",)), start=1):
        session.add(ContactList(id=number, name=str(number), criteria={}, created_at=now, updated_at=now))
        session.flush()
        for key in stands:
            session.add(ListMember(list_id=number, contact_id=ids[key]))
            session.add(ListPick(list_id=number, contact_id=ids[key], added=number != 2, at=now, author=key))
    session.flush()
    return ids


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_merged_and_undone_all_is_as_before(
    database: Database, config: Config, now: datetime, data: st.DataObject
) -> None:
    """Two merges of three people, in any direction, undone in any order: history, attributes, consent, places."""
    pairs = data.draw(st.permutations([("C-0", "C-1"), ("C-1", "C-2"), ("C-2", "C-0")]))[:2]
    backwards = data.draw(st.booleans())
    with database.engine.execution_options(writes=True).connect() as connection, connection.begin() as transaction:
        session = Session(connection, expire_on_commit=False)
        ids = a_shop(session, config, now)
        before = state(session)
        merges = []
        for one, other in pairs:
            merged, kept = (contacts.get(session, ids[key]).id for key in (one, other))
            merges.append(identity.join(session, merged, kept, evidence="same", author="ann", now=now).id)
            session.expire_all()
        [whole] = contacts.search(session, "")
        assert {one.contact_id for one in session.scalars(select(Order))} == {whole.id}
        assert {one.contact_id for one in session.scalars(select(ListMember))} == {whole.id}
        assert whole.email_consent is False  # one of them said no
        for merge_id in reversed(merges) if backwards else merges:
            identity.part(session, merge_id, author="ann", now=now)
            session.expire_all()
        assert state(session) == before
        assert not session.scalars(select(MergedRow)).all() + session.scalars(select(MergedPlace)).all()
        session.close()
        transaction.rollback()


def test_counts_follow_a_merge_and_its_undo(database: Database, config: Config, now: datetime) -> None:
    """The warehouse, whether it was refreshed in between or not; and one that is built anew knows no merged ones."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        ids = a_shop(session, config, now)
    warehouse.refresh()
    tables = ("contacts", "orders", "events", "traits")
    before = {name: _rows(warehouse, name) for name in tables}
    for refreshed in (True, False):
        with database.begin() as session:
            merge = identity.join(session, ids["C-1"], ids["C-0"], evidence="", author="ann", now=now).id
        if refreshed:
            warehouse.refresh()
            assert {row["id"] for row in copied(warehouse, "contacts")} == {ids["C-0"], ids["C-2"]}
            assert {row["contact_id"] for row in copied(warehouse, "orders")} == {ids["C-0"], ids["C-2"]}
            warehouse.rebuild()
            assert {row["id"] for row in copied(warehouse, "contacts")} == {ids["C-0"], ids["C-2"]}
        with database.begin() as session:
            identity.part(session, merge, author="ann", now=now)
        warehouse.refresh()
        assert {name: _rows(warehouse, name) for name in tables} == before
    warehouse.close()


def _rows(warehouse: Warehouse, name: str) -> list[str]:
    return sorted(map(str, warehouse.execute(warehouse.table(name)).to_pylist()))


def test_what_comes_in_after_a_merge(database: Database, config: Config, now: datetime) -> None:
    """Goes back with the undo when it names the merged one, stays when it names the kept one."""
    with database.begin() as session:
        ids = a_shop(session, config, now)
        merge = identity.join(session, ids["C-1"], ids["C-0"], evidence="", author="ann", now=now)
        take(
            session, config, "orders", order("late-1", now, contact="C-1"), order("late-0", now, contact="C-0"), now=now
        )
        take(session, config, "contacts", {"key": "C-1", "city": "Ware"}, {"key": "C-0", "region": "Kent"}, now=now)
        session.expire_all()
        whole = find(session, "C-1")
        assert (whole.id, whole.city, whole.region, whole.attributes) == (
            ids["C-0"],
            "Dover",
            "Kent",
            {"size": 1, "pet": "cat"},
        )
        assert {one.contact_id for one in session.scalars(select(Order).where(Order.key.startswith("late")))} == {
            whole.id
        }
        whole.attributes = whole.attributes | {"colour": "red"}
        consent.record(session, ids["C-1"], "sms", granted=True, origin="call", now=now)
        identity.part(session, merge.id, author="ann", now=now)
        session.expire_all()
        owners = {one.key: one.contact_id for one in session.scalars(select(Order))}
        assert (owners["late-1"], owners["late-0"]) == (ids["C-1"], ids["C-0"])
        one, other = contacts.get(session, ids["C-0"]), contacts.get(session, ids["C-1"])
        assert (one.city, one.region, one.attributes, one.sms_consent) == ("Dover", "Kent", {"colour": "red"}, True)
        assert (other.city, other.region, other.attributes) == ("Ware", None, {"size": 1, "pet": "cat"})


@pytest.mark.parametrize(
    ("kept", "merged", "expected"),
    [
        ((True, "api", 0), (False, "api", 1), False),
        ((False, "api", 0), (True, "survey", 1), True),
        ((False, "api", 0), (True, "import", 1), False),
        ((False, "api", 0), (True, "survey", 0), False),
        ((True, "import", 0), (True, "api", 1), True),
        (None, (True, "api", 1), True),
        ((False, "import", 0), None, False),
        (None, None, None),
    ],
)
def test_consent_is_the_stricter_word(
    database: Database,
    now: datetime,
    kept: tuple[bool, str, int] | None,
    merged: tuple[bool, str, int] | None,
    expected: bool | None,
) -> None:
    """Unless somebody said yes anew, after every no; both words stay in the ledger."""
    with database.begin() as session:
        people_ = []
        for key, word in (("a", kept), ("b", merged)):
            one = Contact(key=key, email="x@s.example", created_at=now, updated_at=now)
            session.add(one)
            session.flush()
            people_.append(one)
            if word:
                at = now + timedelta(days=word[2])
                consent.record(session, one.id, "email", word[0], origin=word[1], now=at)
        identity.join(session, people_[1].id, people_[0].id, evidence="", author="ann", now=now)
        session.expire_all()
        assert contacts.get(session, people_[1].id).email_consent is expected
        assert len(session.scalars(select(Consent)).all()) == sum(map(bool, (kept, merged)))


def test_a_yes_for_another_address_is_none_for_this(database: Database, now: datetime) -> None:
    """Who allowed mail to an address that is not shown has not allowed it to the one that is."""
    with database.begin() as session:
        one, other = (Contact(key=key, email=f"{key}@s.example", created_at=now, updated_at=now) for key in "ab")
        session.add_all([one, other])
        session.flush()
        consent.record(session, other.id, "email", granted=True, origin="api", now=now)
        identity.join(session, other.id, one.id, evidence="", author="ann", now=now)
        assert (one.email, one.email_consent) == ("a@s.example", None)


def test_a_word_said_while_merged_is_the_kept_ones(database: Database, now: datetime) -> None:
    """Also when it says what the merged one's did: undone, the no of either is still a no."""
    with database.begin() as session:
        one, other = (Contact(key=key, email="x@s.example", created_at=now, updated_at=now) for key in "ab")
        session.add_all([one, other])
        session.flush()
        consent.record(session, other.id, "email", granted=False, origin="api", now=now)
        merge = identity.join(session, other.id, one.id, evidence="", author="ann", now=now)
        consent.record(session, one.id, "email", granted=False, origin="manual", now=now)
        consent.withdraw_all(session, "sms", {other.id: None}, origin="campaign", now=now)
        identity.part(session, merge.id, author="ann", now=now)
        session.expire_all()
        said = [(stands.email_consent, stands.sms_consent) for stands in (one, other)]
        assert said == [(False, False), (False, None)]


def test_undone_by_a_person_stays_undone(database: Database, config: Config, now: datetime) -> None:
    """The record that named both does not merge them again; another person's merge is asked for anew."""
    with database.begin() as session:
        take(session, config, "contacts", {"key": "C-1", "card": "4711"}, now=now)
        take(session, config, "orders", order("s1", now, card="4711"), now=now)
        merge = session.scalars(select(Merge)).one()
        identity.part(session, merge.id, author="ann", now=now)
        take(session, config, "orders", order("s2", now, card="4711"), now=now)
        take(session, config, "contacts", {"key": "C-1", "city": "Dover"}, now=now)
        session.expire_all()
        assert find(session, "card:4711").key == "card:4711"
        with pytest.raises(Conflict):
            identity.part(session, merge.id, author="ann", now=now)


def test_undone_by_a_person_stays_undone_by_way_of_others(database: Database, config: Config, now: datetime) -> None:
    """Two who were parted are not one through a customer whom both could join, nor through whom a person merged with
    one of them; the next look finds the same.
    """
    mail = {"email": "a@x.example"}
    with database.begin() as session:
        take(session, config, "orders", order("o1", now, **mail), now=now)
        take(session, config, "orders", order("o2", now, card="1", **mail), now=now)
        identity.part(session, session.scalars(select(Merge)).one().id, author="ann", now=now)
        take(session, config, "orders", order("o3", now, **mail), now=now)
        for city in ("Dover", "York"):
            take(session, config, "contacts", {"key": "C-1", "city": city, **mail}, now=now)
            session.expire_all()
            assert [find(session, key).key for key in ("card:1", "email:a@x.example")] == ["C-1", "email:a@x.example"]


def test_two_who_were_parted_are_not_one_when_a_record_speaks_of_one_alone(
    database: Database, config: Config, now: datetime
) -> None:
    """The other, who shares no name with it, is a part of the customer already."""
    with database.begin() as session:
        take(session, config, "orders", order("o1", now, card="9"), order("o2", now, email="z@x.example"), now=now)
        card, mail = (find(session, key).id for key in ("card:9", "email:z@x.example"))
        merge = identity.join(session, mail, card, evidence="", author="ann", now=now)
        identity.part(session, merge.id, author="ann", now=now)
        take(session, config, "contacts", {"key": "C-3", "card": "9", "email": "z@x.example"}, now=now)
        take(session, config, "orders", order("o3", now, email="z@x.example", phone="+442071838750"), now=now)
        session.expire_all()
        assert [find(session, key).key for key in ("card:9", "email:z@x.example")] == ["C-3", "email:z@x.example"]


def test_nobody_joins_whom_a_person_merged_with_the_one_they_were_parted_from(
    database: Database, config: Config, now: datetime
) -> None:
    """Ann says that C-2 is the card's owner, and that the address is not."""
    with database.begin() as session:
        take(session, config, "orders", order("o1", now, email="a@x.example"), now=now)
        take(session, config, "orders", order("o2", now, card="1", email="a@x.example"), now=now)
        identity.part(session, session.scalars(select(Merge)).one().id, author="ann", now=now)
        take(session, config, "contacts", {"key": "C-2"}, now=now)
        card, customer = find(session, "card:1").id, find(session, "C-2").id
        identity.join(session, card, customer, evidence="", author="ann", now=now)
        take(session, config, "contacts", {"key": "C-2", "email": "a@x.example"}, now=now)
        session.expire_all()
        assert [find(session, key).key for key in ("card:1", "email:a@x.example")] == ["C-2", "email:a@x.example"]


def test_what_cannot_be_merged(database: Database, config: Config, now: datetime) -> None:
    """Oneself, who is gone, who was merged meanwhile; a customer is kept before somebody known by a card."""
    with database.begin() as session:
        ids = a_shop(session, config, now)
        take(session, config, "orders", order("s1", now, card="999"), now=now)
        stranger = find(session, "card:999").id
        for other, error in ((ids["C-0"], Invalid), (10**6, NotFound)):
            with pytest.raises(error):
                identity.join(session, other, ids["C-0"], evidence="", author="ann", now=now)
        merge = identity.join(session, ids["C-0"], stranger, evidence="", author="ann", now=now)
        assert (merge.merged_id, merge.kept_id) == (stranger, ids["C-0"])
        with pytest.raises(Conflict):
            identity.join(session, stranger, ids["C-1"], evidence="", author="ann", now=now)


def test_erasing_forgets_all_of_a_person(database: Database, config: Config, now: datetime) -> None:
    """Merged ones too, each with their own address suppressed, and the audit with them."""
    with database.begin() as session:
        ids = a_shop(session, config, now)
        identity.join(session, ids["C-1"], ids["C-0"], evidence="", author="ann", now=now)
        contacts.erase(session, ids["C-1"], now)
        session.expire_all()
        assert session.scalars(select(Contact.key)).all() == ["C-2"]
        assert all(consent.is_suppressed(session, "email", f"{number}@s.example") for number in (0, 1))
        assert {one.contact_id for one in session.scalars(select(Order))} == {None, ids["C-2"]}
        assert not any(session.scalars(select(table)).all() for table in KEPT_APART)


def test_likely_duplicates(database: Database, config: Config, now: datetime) -> None:
    """The same telephone, or name and postcode; not those whom a person parted, and not junk that many share."""
    with database.begin() as session:
        here = {"first_name": "Ann", "last_name": "Lee", "postcode": "CT16 1AA"}
        take(session, config, "contacts", {"key": "a", **here}, {"key": "b", **here, "first_name": "ANN"},
             {"key": "c", "phone": "+442071838750"}, {"key": "d", "phone": "+442071838750"},
             {"key": "e", **here, "postcode": "X"},
             *({"key": f"j{number}", "phone": "+442071838751"} for number in range(30)), now=now)  # fmt: skip
        found = duplicates.likely(session)
        assert [(one.one.key, one.other.key, one.why) for one in found] == [("a", "b", "name"), ("c", "d", "phone")]
        first = found[0]
        merge = identity.join(session, first.other.id, first.one.id, evidence="", author="ann", now=now)
        session.expire_all()
        assert len(duplicates.likely(session)) == 1
        identity.part(session, merge.id, author="ann", now=now)
        assert len(duplicates.likely(session)) == 1


def test_a_look_at_two_as_one_shows_what_the_merge_shows(database: Database, config: Config, now: datetime) -> None:
    """Merged ones among them, too; nothing is written, so looking waits for nobody who writes."""
    with database.begin() as session:
        for key, more in (("C-1", {"city": "Rye", "email_consent": True}), ("C-2", {"first_name": "Ann"}),
                          ("C-3", {"email_consent": False, "attributes": {"size": "40"}})):  # fmt: skip
            take(session, config, "contacts", {"key": key, "email": "ann@shop.example", **more}, now=now)
        ids = [find(session, key).id for key in ("C-1", "C-2", "C-3")]
        identity.join(session, ids[1], ids[0], evidence="", author="ann", now=now)
    with database.begin() as _writer, database.read() as session:
        seen = facts_of(merging.preview(session, ids[2], ids[0]))
        with pytest.raises(Conflict):
            merging.preview(session, ids[1], ids[2])
        with pytest.raises(Invalid):
            merging.preview(session, ids[0], ids[0])
    with database.begin() as session:
        assert find(session, "C-1").attributes == {}
        identity.join(session, ids[2], ids[0], evidence="", author="ann", now=now)
        assert facts_of(find(session, "C-1")) == seen
        assert seen["first_name"] == "Ann"


def facts_of(contact: Contact) -> dict[str, Any]:
    """What a contact shows."""
    return {name: getattr(contact, name) for name in facts.FACTS}
