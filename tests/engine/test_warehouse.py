"""The warehouse is an exact copy of the SQL tables, at every refresh, whatever happened in between."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from ibis import _
from sqlalchemy import BigInteger, cast, insert, select, update

from campaigns.models import Send
from engine.config import Config
from engine.database import Database, next_revision
from engine.errors import ConfigError, Conflict, NotFound
from engine.models import BUCKETS, Contact, Event, Item, Order, OrderLine
from engine.warehouse import Mirror, Warehouse, extract, parts, register, tables
from engine.warehouse import current as switch
from engine.warehouse.extract import Extract
from tests.engine.copies import add, assert_exact, copied, parquet, remove


@pytest.fixture
def warehouse(database: Database, config: Config) -> Iterator[Warehouse]:
    """An empty warehouse."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    yield warehouse
    warehouse.close()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 rows, merged when more than 3 are half empty: a few rows go through all of the code."""
    monkeypatch.setattr(parts, "PART_ROWS", 8)
    monkeypatch.setattr(parts, "SMALL_PARTS", 3)


def test_values_survive(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """Every kind of value comes through as it is: moments to the microsecond, dates, truth, "" and NULL, any text."""
    moment = now + timedelta(microseconds=123_457)
    odd = 'quote " comma , back \\ tab \t line\nnext \r\n 商店 é \\N'
    with database.begin() as session:
        add(session, Contact, moment, key="a", first_name=odd, last_name="", email_consent=True, sms_consent=False)
        add(
            session, Contact, now, key="b", birth_date=date(1970, 2, 28), age=0, income=-(10**15), attributes={"a": [1]}
        )
        add(session, Contact, datetime.fromisoformat("1969-12-31T23:59:59.5+00:00"), key="NULL", attributes={"x": odd})
        add(session, Event, moment, key="e", value=None, properties={"n": 1.5, "s": None})
        add(session, Event, now, key="f", value=-1, properties=3)
    warehouse.refresh()
    assert_exact(warehouse, database)


def test_long_values_survive(
    warehouse: Warehouse, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of a megabyte and more come through, in smaller batches."""
    monkeypatch.setattr(extract, "BATCH_BYTES", 2**20)
    with database.begin() as session:
        for number in range(3):
            add(session, Event, now, key=str(number), properties={"text": '"é\n' * 500_000})
        add(session, Event, now, key="short")
    warehouse.refresh()
    assert_exact(warehouse, database)


def test_server_settings_do_not_matter(database: Database, config: Config, now: datetime) -> None:
    """A PostgreSQL server in another time zone that writes dates the German way gives the same moments."""
    if database.is_sqlite:
        return  # keeps moments as numbers
    german = database.url.update_query_dict({"options": "-c timezone=Asia/Kolkata -c datestyle=German"})
    elsewhere = Database(german.render_as_string(hide_password=False))
    with database.begin() as session:
        add(session, Contact, datetime.fromisoformat("1899-12-31T23:59:59.000001+00:00"), key="a")
    warehouse = Warehouse(elsewhere, config.folder / "warehouse", config)
    warehouse.refresh()
    assert_exact(warehouse, database)
    warehouse.close()
    elsewhere.close()


def test_empty_tables_have_their_columns(warehouse: Warehouse) -> None:
    """Before the first refresh and without rows, a table answers with its columns and types."""
    assert warehouse.as_of is None
    for step in ("before", "after"):
        for name, table in tables.TABLES.items():
            answer = warehouse.execute(warehouse.table(name))
            assert (answer.num_rows, answer.schema) == (0, table.schema), (step, name)
        warehouse.refresh()
    assert warehouse.as_of is not None


def test_unknown_table_names_the_nearest(warehouse: Warehouse) -> None:
    """A misspelt table is not found, and the error says which was meant."""
    with pytest.raises(NotFound, match="Did you mean 'orders'"):
        warehouse.table("order")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("seed", range(2))
def test_any_history_ends_exact(warehouse: Warehouse, database: Database, now: datetime, seed: int) -> None:
    """Random inserts, changes and deletions with refreshes in between: after each refresh the copy equals SQL."""
    chance = random.Random(seed)
    for step in range(6):
        with database.begin() as session:
            for number in range(chance.randrange(12)):
                key = f"{step}-{number}"
                contact = add(session, Contact, now, key=key, age=chance.randrange(90))
                item = add(session, Item, now, key=key, price=chance.randrange(10**6))
                order = add(session, Order, now, key=key, contact_id=contact, total=chance.randrange(10**6))
                add(session, OrderLine, now, order_id=order, item_id=item)
                add(session, Event, now, key=key, contact_id=contact)
            events = list(session.scalars(select(Event.id)))
            for row_id in chance.sample(events, min(len(events), chance.randrange(6))):
                remove(session, Event, row_id)
            contacts = list(session.scalars(select(Contact.id)))
            moved = chance.sample(contacts, min(len(contacts), chance.randrange(6)))
            session.execute(
                update(Contact).where(Contact.id.in_(moved)).values(age=step, revision=next_revision(session))
            )
        warehouse.refresh()
        assert_exact(warehouse, database)


def test_nothing_new_writes_nothing(warehouse: Warehouse, database: Database, now: datetime, config: Config) -> None:
    """A refresh without news leaves every file alone; it only says that the copy is as new as now."""
    with database.begin() as session:
        add(session, Contact, now, key="a")
    first = warehouse.refresh()
    files = {path: path.stat().st_mtime_ns for path in config.folder.rglob("*.parquet")}
    second = warehouse.refresh()
    assert second.rows == {}
    assert second.as_of > first.as_of
    assert {path: path.stat().st_mtime_ns for path in config.folder.rglob("*.parquet")} == files


def test_late_commit_is_not_lost(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """On PostgreSQL a lower id and transaction number commits after a higher one was copied, and still comes along."""
    if database.is_sqlite:
        return  # one writer: nothing commits late
    with database.begin() as slow:
        add(slow, Event, now, key="slow")
        with database.begin() as fast:
            add(fast, Event, now, key="fast")
        warehouse.refresh()
        assert [row["key"] for row in copied(warehouse, "events")] == ["fast"]
    warehouse.refresh()
    assert [row["key"] for row in copied(warehouse, "events")] == ["slow", "fast"]


def test_open_transaction_holds_nothing_back(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """While somebody's transaction stays open, rows committed after it began are copied, and copied once."""
    if database.is_sqlite:
        return  # one writer: no transaction is open beside another
    warehouse.refresh()
    with database.begin() as idle:
        next_revision(idle)
        with database.begin() as session:
            add(session, Event, now, key="a")
        assert warehouse.refresh().rows == {"events": 1}
        assert warehouse.refresh().rows == {}
    assert len(copied(warehouse, "events")) == 1


@pytest.mark.usefixtures("small_parts")
def test_reused_id(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """SQLite gives a deleted last row's id to the next: the copy ends with the new row, not without it."""
    with database.begin() as session:
        row_id = add(session, Event, now, key="old")
    warehouse.refresh()
    with database.begin() as session:
        remove(session, Event, row_id)
        add(session, Event, now, id=row_id, key="new")
    warehouse.refresh()
    assert [row["key"] for row in copied(warehouse, "events")] == ["new"]


@pytest.mark.usefixtures("small_parts")
def test_small_files_are_merged(
    warehouse: Warehouse, database: Database, now: datetime, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty refreshes of one event each leave a handful of parts, in id order and apart, and few old files."""
    monkeypatch.setattr(parts, "KEEP_SECONDS", 0)
    for number in range(40):
        with database.begin() as session:
            add(session, Event, now, key=str(number))
        warehouse.refresh()
    present = switch.read(config.folder / "warehouse")
    assert present is not None
    table = DeltaTable(config.folder / "warehouse" / present.generation / "events")
    ranges = sorted((part.low, part.high) for part in parts._parts(table))
    assert len(ranges) <= 2 * 40 / parts.PART_ROWS + parts.SMALL_PARTS
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))
    assert len(parquet(config.folder / "warehouse", "events")) == len(ranges)
    assert_exact(warehouse, database)


@pytest.mark.usefixtures("small_parts")
def test_lines_never_without_their_order(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """While orders come in and refreshes run, a reader never meets a line whose order or item is missing."""
    stop = threading.Event()

    def write() -> None:
        for number in range(60):
            with database.begin() as session:
                item = add(session, Item, now, key=str(number))
                order = add(session, Order, now, key=str(number), total=1)
                add(session, OrderLine, now, order_id=order, item_id=item)
        stop.set()

    def refresh() -> None:
        while not stop.is_set():
            warehouse.refresh()

    lines, orders, items = (warehouse.table(name) for name in ("order_lines", "orders", "items"))
    orphans = lines.anti_join(orders, lines.order_id == orders.id).union(
        lines.anti_join(items, lines.item_id == items.id)
    )
    threads = [threading.Thread(target=action) for action in (write, refresh)]
    for thread in threads:
        thread.start()
    found = []
    while not stop.is_set():
        found.append(warehouse.execute(orphans).num_rows)
    for thread in threads:
        thread.join()
    warehouse.refresh()
    assert len(found) > 3
    assert set(found) == {0}
    assert_exact(warehouse, database)


def test_all_tables_are_of_one_moment(
    warehouse: Warehouse, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that is committed after the orders were read and before the lines are comes along as a whole, next."""
    warehouse.refresh()
    with database.begin() as session:
        first = add(session, Order, now, key="first")
        item = add(session, Item, now, key="item")
        add(session, OrderLine, now, order_id=first, item_id=item)
    kind = extract.SqliteExtract if database.is_sqlite else extract.PostgresqlExtract
    rows = kind.rows

    def rows_with_a_late_order(self: Extract, mirror: Mirror, since: str | None = None) -> Iterator[pa.Table]:
        if mirror.name == "order_lines":
            transaction.close()
        return rows(self, mirror, since)

    with monkeypatch.context() as patch, ExitStack() as transaction:
        session = transaction.enter_context(database.begin())
        late = add(session, Order, now, key="late")
        add(session, OrderLine, now, order_id=late, item_id=item)
        if not database.is_sqlite:  # a later one ends first, so that the snapshot counts the open one among its own
            with database.begin() as session:
                next_revision(session)
        patch.setattr(kind, "rows", rows_with_a_late_order)
        warehouse.refresh()
    assert [row["order_id"] for row in copied(warehouse, "order_lines")] == [first]
    warehouse.refresh()
    assert_exact(warehouse, database)


def test_a_crash_before_the_switch_shows_nothing(
    warehouse: Warehouse, database: Database, config: Config, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh that dies when all tables are committed changes nothing for readers; the next one ends exact."""
    warehouse.refresh()
    with database.begin() as session:
        for number in range(3):
            contact = add(session, Contact, now, key=str(number))
            add(session, Event, now, key=str(number), contact_id=contact)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            warehouse.refresh()
    other = Warehouse(database, config.folder / "warehouse", config)
    assert copied(other, "contacts") == copied(other, "events") == []
    other.close()
    warehouse.refresh()
    assert_exact(warehouse, database)


def _die(*_given: object, **_named: object) -> None:
    raise KeyboardInterrupt


def test_other_process_wins_without_a_lock(tmp_path: Path) -> None:
    """Where no file lock helps (an object store), the second of two writers from the same version fails unharmed."""
    schema = tables.TABLES["traits"].schema
    parts.create(tmp_path, schema)
    one = pa.Table.from_pylist([{"contact_id": 1}], schema=schema)
    first, second = (parts.Change(DeltaTable(tmp_path), tmp_path, schema) for _ in range(2))
    for change in (first, second):
        change.add(one)
    first.commit(7)
    with pytest.raises(Conflict):
        second.commit(7)
    assert DeltaTable(tmp_path).count() == 1


def test_no_extension_is_fetched(warehouse: Warehouse) -> None:
    """DuckDB runs on what is in its package: nothing installed, nothing loaded by itself, no file outside read."""
    run = warehouse._reader.query
    settings = run("SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'").to_pylist()
    assert {row["value"] for row in settings} == {"false"}
    extensions = run("SELECT extension_name, install_mode FROM duckdb_extensions() WHERE installed OR loaded")
    assert {row["install_mode"] for row in extensions.to_pylist()} == {"STATICALLY_LINKED"}
    for statement in ("INSTALL sqlite_scanner", "LOAD delta", "SELECT * FROM read_text('/etc/hostname')"):
        with pytest.raises(duckdb.Error):
            run(statement)


def test_split_is_the_same_everywhere(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """(a * bucket + s) mod (2^31 - 1) below a tenth chooses the same people in SQL and here, about 10 %, and two
    campaigns' choices are independent: about 1 % are in both.
    """
    generator = np.random.default_rng(4)
    people = 20_000
    buckets = generator.integers(0, BUCKETS, people).tolist()
    stamps = {"attributes": {}, "created_at": now, "updated_at": now}
    with database.begin() as session:
        revision = next_revision(session)
        rows = [{"key": str(n), "bucket": bucket, "revision": revision, **stamps} for n, bucket in enumerate(buckets)]
        session.connection().execute(insert(Contact), rows)
    warehouse.refresh()
    held = []
    for a, s in generator.integers(1, BUCKETS, (2, 2)).tolist():
        place = (cast(Contact.bucket, BigInteger) * a + s) % BUCKETS
        with database.read() as session:
            in_sql = set(session.scalars(select(Contact.id).where(place < BUCKETS // 10)))
        contacts = warehouse.table("contacts")
        here = warehouse.execute(contacts.filter((_.bucket * a + s) % BUCKETS < BUCKETS // 10).select("id"))
        assert set(here["id"].to_pylist()) == in_sql
        held.append(in_sql)
    assert all(0.09 < len(ids) / people < 0.11 for ids in held)
    assert 0.007 < len(held[0] & held[1]) / people < 0.013


def test_upper_packages_add_tables(
    warehouse: Warehouse, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered table is filled at the next refresh with the columns asked for; the others stay as they are."""
    monkeypatch.setattr(tables, "TABLES", dict(tables.TABLES))
    tables.TABLES.pop("sends", None)
    with database.begin() as session:
        add(session, Contact, now, key="a")
    warehouse.refresh()
    register(Mirror(table=Send.__table__, columns=["contact_id", "state", "accepted_at"]))  # type: ignore[arg-type]
    assert warehouse.refresh().rows == {"sends": 0}
    assert warehouse.execute(warehouse.table("sends")).column_names == ["id", "contact_id", "state", "accepted_at"]
    assert_exact(warehouse, database)


def test_folder_with_a_quote(database: Database, config: Config, now: datetime) -> None:
    """A workspace called "it's 100 % ours" works: no letter of it is taken for a sign."""
    with database.begin() as session:
        add(session, Contact, now, key="a")
    warehouse = Warehouse(database, config.folder / "it's 100 % ours", config)
    warehouse.refresh()
    assert len(copied(warehouse, "contacts")) == 1
    warehouse.close()
    with pytest.raises(ConfigError, match="pattern"):
        Warehouse(database, config.folder / "shop*", config)
