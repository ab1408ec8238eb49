"""An import is taken back as a whole."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine import contacts, intake, lists
from engine.config import Config
from engine.database import Base, Database
from engine.errors import Conflict, NotFound
from engine.intake import journal, undo
from engine.models import (
    Consent,
    Contact,
    ContactList,
    Event,
    Identity,
    Import,
    ImportChange,
    Item,
    ListMember,
    ListPick,
    Merge,
    Order,
    OrderLine,
)
from engine.warehouse import Warehouse
from web import housekeeping

File = tuple[str, list[dict[str, str]]]  # kind, records


class Shop:
    """A database that files come into."""

    def __init__(self, database: Database, config: Config, folder: Path, now: datetime) -> None:
        self.database, self.config, self.now = database, config, now
        self._path = folder / "file.csv"

    def take(self, kind: str, records: list[dict[str, str]], **options: Any) -> Import:
        """Import records as a file; every import at a moment of its own."""
        self.now += timedelta(seconds=1)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for record in records for name in record)))
        writer.writeheader()
        writer.writerows(records)
        self._path.write_text(text.getvalue())
        return intake.import_file(self.database, self.config, kind, self._path, now=self.now, **options)

    def undo(self, run: Import, **options: Any) -> dict[tuple[str, str, str], int]:
        """Take it back, having seen before what that would do."""
        self.now += timedelta(seconds=1)
        with self.database.read() as session:
            before = undo.preview(session, run.id, self.now)
        done = undo.told(undo.undo(self.database, run.id, now=self.now, **options))
        assert {what: count for what, count in before.items() if count} == dict(done)
        return dict(done)

    def state(self) -> dict[str, Any]:
        """All that came in, by the names people know it by."""
        with self.database.read() as session:
            keys = {row.id: row.key for row in session.execute(select(Contact.id, Contact.key))}
            items = {row.id: row.key for row in session.execute(select(Item.id, Item.key))}
            orders = {row.id: row.key for row in session.execute(select(Order.id, Order.key))}
            names = {"contact_id": keys, "merged_into": keys, "merged_id": keys, "kept_id": keys, "item_id": items,
                     "order_id": orders}  # fmt: skip

            def rows(model: Any, *leave_out: str) -> list[str]:
                found = session.execute(select(model.__table__)).mappings()
                kept = [
                    {name: names[name].get(value) if name in names else value for name, value in row.items()
                     if name not in ("id", "revision", "updated_at", *leave_out)}
                    for row in found
                ]  # fmt: skip
                return sorted(map(repr, kept))

            standing = select(Merge.merged_id, Merge.kept_id).where(Merge.undone_at.is_(None))
            return {
                **{model.__tablename__: rows(model) for model in (Contact, Item, Order, OrderLine, Event, Consent)},
                "identities": rows(Identity),
                "merges": sorted((keys[one], keys[two]) for one, two in session.execute(standing)),
            }


@pytest.fixture
def shop(database: Database, config: Config, tmp_path: Path, now: datetime) -> Shop:
    """An empty one."""
    return Shop(database, config, tmp_path, now)


PEOPLE = st.sampled_from([f"C{number}" for number in range(4)])
GOODS = st.sampled_from(["wine", "tea", "glass"])
CARDS = st.sampled_from(["", "4711", "4712"])
MAILS = st.sampled_from(["", "ann@shop.example", "bob@shop.example"])
DAYS = st.integers(1, 20).map(lambda day: f"2026-01-{day:02} 10:00:00")


def records(**columns: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, str]]]:
    """A few records of these columns."""
    return st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=5)


CONTACTS = records(
    key=PEOPLE,
    email=MAILS,
    first_name=st.sampled_from(["", "Ann", "Bob"]),
    birth_date=st.sampled_from(["", "1980-03-31", "1990-01-01"]),
    email_consent=st.sampled_from(["", "true"]),
    card=CARDS,
    **{"attributes.size": st.sampled_from(["", "40", "true"])},
)
ITEMS = records(key=GOODS, title=st.sampled_from(["", "One", "Two"]), price=st.sampled_from(["", "1", "2.50"]))
ORDERS = records(
    order=st.sampled_from(["O1", "O2", "O3"]),
    at=st.just("2026-01-01 10:00:00"),
    contact=st.one_of(st.just(""), PEOPLE),
    card=CARDS,
    item=GOODS,
    quantity=st.sampled_from(["1", "2", "-1"]),
    unit_price=st.sampled_from(["1", "2.50"]),
    title=st.sampled_from(["", "One", "Two"]),
)
EVENTS = records(
    key=st.sampled_from([f"e{number}" for number in range(8)]),
    type=st.sampled_from(["item_view", "identify"]),
    at=DAYS,
    contact=st.one_of(st.just(""), PEOPLE),
    visitor=st.sampled_from(["v1", "v2"]),
    item=st.one_of(st.just(""), GOODS),
)
FILES = st.one_of(
    st.tuples(st.just("contacts"), CONTACTS),
    st.tuples(st.just("items"), ITEMS),
    st.tuples(st.just("orders"), ORDERS),
    st.tuples(st.just("events"), EVENTS),
)


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=st.lists(FILES, max_size=3), last=FILES)
def test_an_undone_import_never_was(shop: Shop, before: list[File], last: File) -> None:
    """Import some, import one more, undo it: all tables are as they were, whatever came."""
    _empty(shop.database)
    for kind, some in before:
        shop.take(kind, some)
    expected = shop.state()
    run = shop.take(*last)
    shop.undo(run)
    assert shop.state() == expected


def _empty(database: Database) -> None:
    with database.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name != "revision":
                session.execute(table.delete())


ANN = {"key": "C1", "email": "ann@shop.example", "first_name": "Ann"}
LINE = {"order": "O1", "at": "2026-01-01 10:00:00", "contact": "C1", "item": "wine", "quantity": "2", "unit_price": "5"}


def test_what_was_changed_since_or_has_a_life_of_its_own_stays(shop: Shop) -> None:
    """And is counted with the reason; the same person's other fields come back."""
    shop.take("contacts", [ANN | {"city": "Dover", "age": "40"}])
    people = [{"key": f"C{number}", "first_name": "Cy", "city": "Kent", "age": "41"} for number in range(1, 6)]
    run = shop.take("contacts", people)
    shop.take("contacts", [{"key": "C1", "city": "Rye"}, {"key": "C2", "city": "Rye"}])
    shop.take("orders", [LINE | {"contact": "C3"}])
    with shop.database.begin() as session:
        four = session.scalars(select(Contact.id).where(Contact.key == "C4")).one()
        saved = Base.metadata.tables["lists"]
        times = {"frozen_at": shop.now, "created_at": shop.now, "updated_at": shop.now}
        list_id = session.execute(
            saved.insert().values(name="All", criteria={}, version=1, **times).returning(saved.c.id)
        ).scalar_one()
        session.add(ListMember(list_id=list_id, contact_id=four))
    assert shop.undo(run) == {
        ("contacts", "removed", ""): 1,
        ("contacts", "kept", "changed"): 2,  # C1's city, and C2
        ("contacts", "kept", "orders"): 1,
        ("contacts", "kept", "list_members"): 1,
    }
    with shop.database.read() as session:
        found = {one.key: (one.first_name, one.city, one.age) for one in session.scalars(select(Contact))}
    assert found["C1"] == ("Ann", "Rye", 40)
    assert sorted(found) == ["C1", "C2", "C3", "C4"]


def test_a_yes_was_never_said_and_a_no_stays(shop: Shop) -> None:
    """Of those who were here before: what was said before the undone yes stands again."""
    shop.take("contacts", [{"key": "C1"}, {"key": "C2"}, {"key": "C3", "email_consent": "true"}])
    said = [{"key": "C1", "email_consent": "true"}, {"key": "C2", "email_consent": "false"},
            {"key": "C3", "email_consent": "false"}, {"key": "C4", "email_consent": "true"}]  # fmt: skip
    run = shop.take("contacts", said)
    shop.take("orders", [LINE | {"contact": "C4"}])
    shop.undo(run)
    with shop.database.read() as session:
        words = session.execute(select(Contact.key, Contact.email_consent).order_by(Contact.key)).all()
        ledger = session.execute(select(Contact.key, Consent.granted).join(Consent).order_by(Consent.id)).all()
    assert [tuple(word) for word in words] == [("C1", None), ("C2", False), ("C3", False), ("C4", None)]
    assert [tuple(word) for word in ledger] == [("C3", True), ("C2", False), ("C3", False)]


def test_replaced_orders_come_back_with_their_lines(shop: Shop) -> None:
    """One that was replaced again meanwhile stays as it is."""
    shop.take("orders", [LINE, LINE | {"item": "tea"}, LINE | {"order": "O2"}])
    before = shop.state()
    run = shop.take("orders", [LINE | {"quantity": "7", "item": "glass"}, LINE | {"order": "O2", "quantity": "9"}])
    shop.undo(run)
    assert shop.state() == before
    run = shop.take("orders", [LINE | {"quantity": "7"}, LINE | {"order": "O2", "quantity": "9"}])
    shop.take("orders", [LINE | {"order": "O2", "quantity": "11"}])
    assert shop.undo(run) == {("orders", "restored", ""): 1, ("orders", "kept", "changed"): 1}


def test_the_warehouse_follows(shop: Shop) -> None:
    """What went is gone there, what came back is there."""
    shop.take("orders", [LINE, LINE | {"item": "tea"}])
    warehouse = Warehouse(shop.database, shop.config.folder / "warehouse", shop.config)
    tables = ("contacts", "items", "orders", "order_lines", "events")

    def copied() -> dict[str, int]:
        warehouse.refresh()
        return {name: warehouse.execute(warehouse.table(name)).num_rows for name in tables}

    before = copied()
    orders = [LINE | {"quantity": "7"}, LINE | {"order": "O2", "contact": "C7", "item": "glass"}]
    runs = [shop.take("orders", orders), shop.take("events", [{"type": "call", "at": LINE["at"], "contact": "C8"}])]
    assert copied() != before
    for run in reversed(runs):
        shop.undo(run)
    assert copied() == before
    warehouse.close()


class Killed(BaseException):
    """As if by kill -9: nothing is tidied up after it."""


def test_a_killed_import_is_undone_and_a_killed_undo_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is written along with the rows, and marked along with what is taken back."""
    monkeypatch.setattr("engine.intake.files.WRITE", 10)
    shop.take("contacts", [{"key": f"C{number:03}", "city": "Rye"} for number in range(0, 100, 3)])
    before = shop.state()

    def kill_at(share: float) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            if done >= total * share:
                raise Killed

        return progress

    people = [{"key": f"C{number:03}", "city": "Kent", "email": f"c{number}@shop.example"} for number in range(100)]
    with pytest.raises(Killed):
        shop.take("contacts", people, progress=kill_at(0.8))
    with shop.database.begin() as session:
        run = session.scalars(select(Import).order_by(Import.id.desc())).first()
        assert run
        run.finished_at = None  # nobody was left to write it
        assert 0 < session.scalar(select(func.count()).select_from(Contact)) < 100  # type: ignore[operator]
        assert undo.may(session, run.id, shop.now)
        assert journal.counted(session, run.id, "contacts")[0] > 0
    assert shop.state() != before
    with pytest.raises(Killed):
        undo.undo(shop.database, run.id, now=shop.now, progress=kill_at(0.4))
    assert shop.state() != before
    with shop.database.read() as session:
        assert undo.is_held(session, run.id)  # nobody knows yet
    with monkeypatch.context() as later, shop.database.read() as session:
        later.setattr("engine.intake.undo.run.HELD", timedelta())
        assert not undo.is_held(session, run.id)
    undo.undo(shop.database, run.id, now=shop.now)
    assert shop.state() == before
    with shop.database.read() as session:
        assert not undo.is_held(session, run.id)


def test_whoever_takes_steps_has_it_in_hand(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the whole takes: each step says so anew."""
    monkeypatch.setattr("engine.intake.files.WRITE", 5)
    run = shop.take("contacts", [{"key": f"C{number:03}"} for number in range(20)])
    seen: list[datetime] = []

    def look(_done: int, _total: int) -> None:
        with shop.database.read() as session:
            seen.append(session.get_one(Import, run.id).undo_started_at or shop.now)

    undo.undo(shop.database, run.id, now=shop.now, progress=look)
    assert len(seen) >= 4
    assert seen == sorted(set(seen))


def test_when_an_import_cannot_be_undone(shop: Shop) -> None:
    """Twice, after thirty days, or when there is none; an import that is being undone writes no more."""
    run = shop.take("contacts", [ANN])
    with shop.database.begin() as session:
        for number, now, error, words in (
            (run.id + 1, shop.now, NotFound, "no import"),
            (run.id, shop.now + journal.LIFE, Conflict, "older than 30 days"),
        ):
            with pytest.raises(error, match=words):
                undo.check(session, number, now)
    shop.undo(run)
    with pytest.raises(Conflict, match="undone already"):
        undo.undo(shop.database, run.id, now=shop.now)
    late = journal.Journal()
    with shop.database.begin() as session, pytest.raises(Conflict, match="being undone"):
        late.save(session, run.id)


def test_an_import_from_before_the_journal_is_left_alone(shop: Shop) -> None:
    """Nothing is known of what it changed, so nothing is offered, and it is not called undone."""
    with shop.database.begin() as session:
        run = Import(kind="contacts", file_name="old.csv", started_at=shop.now, finished_at=shop.now, created=3)
        session.add(run)
    with pytest.raises(Conflict, match="before imports could be undone"):
        undo.undo(shop.database, run.id, now=shop.now)
    with shop.database.read() as session:
        assert not undo.may(session, run.id, shop.now)
        assert session.get_one(Import, run.id).undone_at is None


def test_two_undos_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The later goes on, the former ends with a word, and what is done is done once."""
    monkeypatch.setattr("engine.intake.files.WRITE", 5)
    before = shop.state()
    run = shop.take("contacts", [{"key": f"C{number:03}"} for number in range(20)])

    began: list[int] = []

    def meanwhile(done: int, _total: int) -> None:
        began.append(done)
        if len(began) == 1:
            undo.undo(shop.database, run.id, now=shop.now)

    with pytest.raises(Conflict, match="somebody else"):
        undo.undo(shop.database, run.id, now=shop.now, progress=meanwhile)
    assert shop.state() == before
    with shop.database.read() as session:
        assert undo.told(session.get_one(Import, run.id)) == {("contacts", "removed", ""): 20}


def test_a_list_is_as_before(shop: Shop) -> None:
    """Who was taken off by hand stays off; who was put on by hand stays on; the others go, and that is told."""
    shop.take("contacts", [{"key": key} for key in ("C-1", "C-2", "C-3")])
    with shop.database.begin() as session:
        wine = ContactList(name="Wine", criteria={}, created_at=shop.now, updated_at=shop.now)
        session.add(wine)
        session.flush()
        off, on, _ = session.scalars(select(Contact.id).order_by(Contact.key))
        for contact_id, added in ((off, False), (on, True)):
            lists.pick(session, wine.id, np.array([contact_id]), added=added, now=shop.now, author="ann")
    before = picked(shop)

    def put(session: Session, keys: Sequence[str]) -> int:
        return lists.pick_keys(session, wine.id, keys, now=shop.now, author="import file.csv")

    run = shop.take("contacts", [{"key": key, "city": "Rye"} for key in ("C-1", "C-2", "C-3")], written=put)
    assert picked(shop) == before | {("C-3", True, "import file.csv")}
    assert shop.undo(run)["list_picks", "removed", ""] == 1
    assert picked(shop) == before


def picked(shop: Shop) -> set[tuple[str, bool, str]]:
    """Who was put on a list or taken off it, and by whom."""
    with shop.database.read() as session:
        rows = select(Contact.key, ListPick.added, ListPick.author).join(Contact, Contact.id == ListPick.contact_id)
        return {(row.key, row.added, row.author) for row in session.execute(rows)}


def test_the_journal_lives_for_thirty_days(shop: Shop) -> None:
    """It holds what people were before."""
    shop.take("contacts", [ANN])
    shop.now += journal.LIFE
    shop.take("items", [{"key": "wine"}])
    housekeeping.sweep(shop.database, shop.config, shop.now)
    with shop.database.read() as session:
        assert session.scalars(select(ImportChange.table_name)).all() == ["items"]


def test_an_erased_person_is_in_no_journal(shop: Shop) -> None:
    """Nor is whoever was merged with them; others come back as they were, and both imports can be undone."""
    first = shop.take("contacts", [ANN, {"key": "C2", "email": "bob@shop.example", "card": "4711"}, {"key": "C3"}])
    shop.take("orders", [LINE | {"contact": "", "card": "4711"}])
    second = shop.take("contacts", [{"key": f"C{number}", "email": f"c{number}@new.example"} for number in (1, 2, 3)])
    with shop.database.begin() as session:
        number = session.scalars(select(Contact.id).where(Contact.key == "C2")).one()
        contacts.erase(session, number, shop.now)
        written = [zlib.decompress(rows).decode() for rows in session.scalars(select(ImportChange.rows))]
    assert not any("bob@shop.example" in text or "c2@new.example" in text for text in written)
    assert any("ann@shop.example" in text and "c1@new.example" in text for text in written)
    assert shop.undo(second) == {("contacts", "restored", ""): 2}
    assert shop.undo(first) == {("contacts", "kept", "changed"): 2}
