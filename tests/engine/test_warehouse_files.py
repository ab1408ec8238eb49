"""The files of the warehouse: erased people leave them, a rebuild stands beside them, other processes follow."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ibis import _
from sqlalchemy import Table, select, text, update

from engine.config import Config, WarehouseConfig
from engine.database import Base, Database, next_revision
from engine.errors import Unavailable
from engine.models import Contact, Event, Watermark
from engine.warehouse import Mirror, Pin, Warehouse, fill, parts, register, tables
from engine.warehouse import current as switch
from tests.engine.copies import add, assert_exact, copied, parquet, remove

MARKER = "zz-erase-me-zz"  # sorts last, so that it would be the largest value in any statistics


@pytest.fixture
def folder(config: Config) -> Path:
    """The warehouse's folder."""
    return config.folder / "warehouse"


@pytest.fixture
def warehouse(database: Database, folder: Path, config: Config) -> Iterator[Warehouse]:
    """An empty warehouse."""
    warehouse = Warehouse(database, folder, config)
    yield warehouse
    warehouse.close()


@pytest.fixture
def other(database: Database, folder: Path, config: Config) -> Iterator[Warehouse]:
    """The same warehouse as another process sees it."""
    other = Warehouse(database, folder, config)
    yield other
    other.close()


def holding(folder: Path, marker: str) -> list[str]:
    """The files whose bytes hold the marker."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and marker.encode() in path.read_bytes()]


def add_people(database: Database, now: datetime, count: int = 20) -> int:
    """Contacts with an event each; the id of the one who carries the marker."""
    with database.begin() as session:
        for number in range(count):
            contact = add(session, Contact, now, key=f"k{number}", email=f"{number}@shop.example")
            add(session, Event, now, key=f"e{number}", contact_id=contact)
        marked = add(session, Contact, now, key=MARKER, email=f"{MARKER}@shop.example", attributes={"note": MARKER})
        add(session, Event, now, key=MARKER, contact_id=marked, visitor=MARKER, properties={"search": MARKER})
    return marked


def erase(database: Database, contact_id: int) -> None:
    """Delete a contact and their events in SQL."""
    with database.begin() as session:
        for row in session.scalars(text("SELECT id FROM events WHERE contact_id = :id"), {"id": contact_id}).all():
            remove(session, Event, row)
        remove(session, Contact, contact_id)


@pytest.mark.parametrize("tail", [1, 26])
def test_erased_bytes_are_gone(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, tail: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an erasure no file in the folder holds a byte of the person, the Delta log included, and no later
    refresh or rebuild brings them back.
    """
    monkeypatch.setattr(parts, "SMALL_PARTS", 5)
    warehouse.refresh()
    marked = add_people(database, now)
    warehouse.refresh()
    for number in range(tail):  # older versions of the person, a checkpoint of the log, merged parts
        with database.begin() as session:
            session.execute(
                update(Contact).where(Contact.id == marked).values(age=number, revision=next_revision(session))
            )
            add(session, Event, now, key=f"{MARKER}{number}", contact_id=marked)
        warehouse.refresh()
    assert holding(folder, MARKER)
    erase(database, marked)
    warehouse.refresh()
    assert holding(folder, MARKER) == []
    for action in (warehouse.refresh, warehouse.rebuild):
        action()
        assert holding(folder, MARKER) == []
    assert_exact(warehouse, database)


def test_erasure_survives_a_crash(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies after it committed the deletion, before it deleted the files, leaves that to the next one."""
    marked = add_people(database, now)
    warehouse.refresh()
    erase(database, marked)
    with monkeypatch.context() as patch:
        patch.setattr(parts, "sweep", _die)
        with pytest.raises(KeyboardInterrupt):
            warehouse.refresh()
    assert holding(folder, MARKER)
    warehouse.refresh()
    assert holding(folder, MARKER) == []
    assert_exact(warehouse, database)


def test_erasure_when_the_clock_went_back(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime
) -> None:
    """Replaced files that seem to be from the future hold the person too."""
    marked = add_people(database, now)
    warehouse.refresh()
    with database.begin() as session:
        session.execute(update(Contact).values(age=1, revision=next_revision(session)))
    warehouse.refresh()
    for path in folder.rglob("*.parquet"):
        os.utime(path, (2**32, 2**32))
    erase(database, marked)
    warehouse.refresh()
    assert holding(folder, MARKER) == []


def test_erasure_clears_what_a_killed_rebuild_left(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a rebuild that was killed half-way hold people too: an erasure deletes them."""
    marked = add_people(database, now)
    warehouse.refresh()
    with monkeypatch.context() as patch:
        patch.setattr(fill.Filling, "_compute", _die)
        with pytest.raises(KeyboardInterrupt):
            warehouse.rebuild()
    assert len(list(folder.glob("*/_delta_log"))) + len(list(folder.glob("*/contacts"))) == 2
    erase(database, marked)
    warehouse.refresh()
    assert holding(folder, MARKER) == []


def _die(*_given: object, **_named: object) -> None:
    raise KeyboardInterrupt


def test_erasure_clears_what_a_killed_reader_spilled(
    warehouse: Warehouse, other: Warehouse, database: Database, folder: Path, now: datetime
) -> None:
    """DuckDB's spilled pages hold people too: those of dead processes go with an erasure, those in use stay."""
    marked = add_people(database, now)
    warehouse.refresh()
    in_use = set((folder / "temp").iterdir())
    assert len(in_use) == 2
    dead = folder / "temp" / "dead"
    dead.mkdir()
    (dead / "duckdb_temp_storage.tmp").write_text(MARKER)
    erase(database, marked)
    warehouse.refresh()
    assert holding(folder, MARKER) == []
    assert set((folder / "temp").iterdir()) == in_use
    other.close()
    assert len(list((folder / "temp").iterdir())) == 1


def test_a_query_larger_than_memory(database: Database, config: Config, now: datetime, folder: Path) -> None:
    """A sort that does not fit into warehouse.memory_mb spills to the workspace and succeeds."""
    small = replace(config, warehouse=WarehouseConfig(threads=1, memory_mb=48))
    warehouse = Warehouse(database, folder, small)
    rows = warehouse._reader.query(
        "SELECT count(*) AS n FROM (SELECT i, md5(i::text) AS m FROM range(1000000) AS r(i) ORDER BY m, i OFFSET 1)"
    )
    assert rows.to_pylist() == [{"n": 999_999}]
    warehouse.close()


def test_a_reader_elsewhere_starts_again(
    warehouse: Warehouse, other: Warehouse, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query whose files another process deleted after it had looked starts again with the new files."""
    marked = add_people(database, now)
    warehouse.refresh()
    count = other.table("contacts").count()
    assert other.execute(count).to_pylist() == [{"CountStar(contacts)": 21}]
    follow, calls = other._follow, []

    def erased_after_looking() -> Pin:
        pin = follow()
        calls.append(1)
        if len(calls) == 1:
            erase(database, marked)
            warehouse.refresh()
        return pin

    monkeypatch.setattr(other, "_follow", erased_after_looking)
    assert other.execute(count).to_pylist() == [{"CountStar(contacts)": 20}]
    assert len(calls) == 2


def test_missing_files_name_the_remedy(warehouse: Warehouse, database: Database, folder: Path, now: datetime) -> None:
    """Files somebody deleted by hand: the error says which command makes them anew, and it does."""
    add_people(database, now)
    warehouse.refresh()
    for path in parquet(folder, "contacts"):
        path.unlink()
    with pytest.raises(Unavailable, match="rapport warehouse rebuild"):
        warehouse.execute(warehouse.table("contacts"))
    warehouse.rebuild()
    assert_exact(warehouse, database)


def test_a_disk_that_refuses_names_the_remedy(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a part that somebody deleted and that a change must rewrite: the error says what helps, and the
    next refresh after it goes on.
    """
    marked = add_people(database, now)
    warehouse.refresh()
    erase(database, marked)
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", _full)
        with pytest.raises(Unavailable, match=r"No space left.*room"):
            warehouse.refresh()
    part = parquet(folder, "contacts")[0]
    kept = part.read_bytes()
    for damaged in (None, b"", kept[: len(kept) // 2]):
        part.unlink()
        if damaged is not None:
            part.write_bytes(damaged)
        for action in (warehouse.refresh, lambda: copied(warehouse, "contacts")):
            with pytest.raises(Unavailable, match="rapport warehouse rebuild"):
                action()
        part.write_bytes(kept)
    warehouse.refresh()
    assert_exact(warehouse, database)


def _full(*_given: object, **_named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_processes_follow_each_other(warehouse: Warehouse, other: Warehouse, database: Database, now: datetime) -> None:
    """What one process refreshed, the other sees at its next query, with the moment it shows."""
    for number in range(3):
        with database.begin() as session:
            add(session, Contact, now, key=str(number))
        refreshed = warehouse.refresh()
        assert other.as_of == refreshed.as_of
        assert len(copied(other, "contacts")) == number + 1
        assert other.refresh().rows == {}


def test_rebuild_while_others_read(
    warehouse: Warehouse, other: Warehouse, database: Database, folder: Path, now: datetime
) -> None:
    """Rebuilds go on beside the readers of another process, who always see all rows; old files are gone after."""
    add_people(database, now)
    warehouse.refresh()
    stop = threading.Event()

    def rebuild() -> None:
        for _round in range(4):
            warehouse.rebuild()
        stop.set()

    builder = threading.Thread(target=rebuild)
    builder.start()
    counts = set()
    while not stop.is_set():
        counts.update(row["n"] for row in other.execute(other.table("events").aggregate(n=_.count())).to_pylist())
    builder.join()
    assert counts == {21}
    assert len([path for path in folder.iterdir() if path.is_dir() and path.name != "temp"]) == 1
    assert_exact(other, database)


def test_rebuild_takes_along_what_happens_meanwhile(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime
) -> None:
    """Rows added and people erased while a rebuild runs are right when it switches."""
    marked = add_people(database, now)
    warehouse.refresh()
    told: list[tuple[str, int, int]] = []

    def meanwhile(table: str, done: int, total: int) -> None:
        if not told:
            with database.begin() as session:
                add(session, Event, now, key="new")
            erase(database, marked)
        told.append((table, done, total))

    warehouse.rebuild(meanwhile)
    assert_exact(warehouse, database)
    assert holding(folder, MARKER) == []
    assert told[0] == ("contacts", 21, 21)
    assert told[-1][0] == "sends" if "sends" in tables.TABLES else "events"


def test_progress_reaches_the_end(warehouse: Warehouse, database: Database, now: datetime) -> None:
    """Each table's progress ends with all its rows."""
    add_people(database, now)
    last: dict[str, tuple[int, int]] = {}
    warehouse.rebuild(lambda table, done, total: last.update({table: (done, total)}))
    assert last == {table.name: (n, n) for table in tables.mirrors() for n in [len(copied(warehouse, table.name))]}


def tables_of(database: Database) -> dict[Table, list[dict[str, Any]]]:
    """What a logical backup holds: all rows of all tables."""
    with database.read() as session:
        return {
            table: [dict(row) for row in session.execute(select(table)).mappings()]
            for table in Base.metadata.sorted_tables
        }


def restore(database: Database, backup: dict[Table, list[dict[str, Any]]]) -> None:
    """Bring all tables back as they were: nobody notes a deletion, ids are given out again."""
    with database.begin() as session:
        for table in reversed(backup):
            session.execute(table.delete())
        for table, rows in backup.items():
            if rows:
                session.execute(table.insert(), rows)
        if not database.is_sqlite:
            for name in MIRRORED:
                session.execute(
                    text(f"SELECT setval('{name}_id_seq', (SELECT coalesce(max(id), 0) + 1 FROM {name}), false)")
                )


MIRRORED = ("contacts", "events")


def generation(folder: Path) -> str:
    """Which build of the warehouse is in use."""
    present = switch.read(folder)
    assert present is not None
    return present.generation


def test_older_backup_is_noticed(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """The database came back from an older backup and has gone further than it was: people whom it no longer knows
    leave the copy, and their ids are those of others. A second look finds nothing to do.
    """
    add_people(database, now, 3)
    warehouse.refresh()
    backup = tables_of(database)
    with database.begin() as session:
        ghosts = [add(session, Contact, now, key=f"ghost{number}") for number in range(3)]
    warehouse.refresh()
    before = generation(folder)
    restore(database, backup)
    for number in range(5):
        with database.begin() as session:
            row_id = add(session, Contact, now, key=f"new{number}")
        assert number or row_id == ghosts[0]
    warehouse.refresh()
    assert_exact(warehouse, database)
    assert generation(folder) != before
    assert "went back to an older state" in caplog.text
    assert warehouse.refresh().rows == {}


def test_a_backup_of_what_is_shown_is_no_older_one(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime
) -> None:
    """A backup made after the last refresh that moved something holds everything shown: no need to build anew."""
    add_people(database, now, 3)
    warehouse.refresh()
    before = generation(folder)
    backup = tables_of(database)
    with database.begin() as session:  # counts further, and changes nothing
        next_revision(session)
    warehouse.refresh()
    restore(database, backup)
    with database.begin() as session:
        add(session, Contact, now, key="new")
    assert warehouse.refresh().rows["contacts"] == 1
    assert generation(folder) == before
    assert_exact(warehouse, database)


def test_workspaces_that_share_a_database(database: Database, config: Config, now: datetime) -> None:
    """Two warehouses of one database, each with its own pace: neither makes the other build anew. Copies of one
    workspace part at the first disagreement.
    """
    folders = [config.folder / name for name in ("one", "two", "copy")]
    first, second = (Warehouse(database, folder, config) for folder in folders[:2])
    add_people(database, now, 3)
    first.refresh()
    second.refresh()
    built = [generation(folder) for folder in folders[:2]]
    shutil.copytree(folders[0], folders[2], ignore=shutil.ignore_patterns("temp"))
    for number in range(6):
        with database.begin() as session:
            add(session, Contact, now, key=f"new{number}")
        first.refresh()
        if number % 2:
            second.refresh()
    assert [generation(folder) for folder in folders[:2]] == built
    copy = Warehouse(database, folders[2], config)
    rebuilt = set()
    for number in range(4):
        with database.begin() as session:
            add(session, Contact, now, key=f"newer{number}")
        for each in (first, copy):
            each.refresh()
            assert_exact(each, database)
        rebuilt.add((generation(folders[0]), generation(folders[2])))
    assert len(rebuilt) <= 2
    with database.read() as session:
        names = set(session.scalars(select(Watermark.name)))
    assert len(names) == 3, "a row for each warehouse, none for those that were replaced"
    for each in (first, second, copy):
        each.close()


def test_a_kill_before_the_switch_builds_nothing_anew(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the token and the switch, again and again: the database still holds the token remembered."""
    warehouse.refresh()
    before = generation(folder)
    for number in range(3):
        with database.begin() as session:
            add(session, Contact, now, key=str(number))
        with monkeypatch.context() as patch:
            patch.setattr(switch, "write", _die)
            with pytest.raises(KeyboardInterrupt):
                warehouse.refresh()
    warehouse.refresh()
    assert generation(folder) == before
    assert_exact(warehouse, database)


def test_a_refresh_does_not_wait_for_a_writer(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an import holds SQLite's lock the copy is brought up without its token, which follows with the next."""
    monkeypatch.setattr("engine.warehouse.warehouse.WAIT_MS", 1)
    warehouse.refresh()
    before = generation(folder)
    add_people(database, now, 3)
    with database.begin() as writer:
        next_revision(writer)
        assert warehouse.refresh().rows["contacts"] == 4
        present = switch.read(folder)
        assert present is not None
        assert present.signed != database.is_sqlite
        assert len(copied(warehouse, "contacts")) == 4
    assert warehouse.refresh().rows == {}
    present = switch.read(folder)
    assert present is not None
    assert (present.signed, present.generation) == (True, before)
    with database.read() as session:
        assert present.token in session.get_one(Watermark, f"warehouse {before}").mark


def test_another_server_is_noticed(warehouse: Warehouse, database: Database, folder: Path, now: datetime) -> None:
    """A backup of PostgreSQL on another server, at the same address: transactions are numbered anew there."""
    if database.is_sqlite:
        return  # its numbers are in the file
    add_people(database, now)
    warehouse.refresh()
    present = switch.read(folder)
    assert present is not None
    source, _, server = present.source.rpartition(" ")
    assert server.isdigit()
    switch.write(folder, replace(present, source=f"{source} {int(server) + 1}"))
    warehouse.refresh()
    assert generation(folder) != present.generation
    assert_exact(warehouse, database)


def test_other_database_is_noticed(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace whose settings now name another database gets a copy of that one."""
    add_people(database, now)
    warehouse.refresh()
    before = switch.read(folder)
    monkeypatch.setattr(warehouse, "_source", "postgresql+psycopg://elsewhere/rapport")
    warehouse.refresh()
    after = switch.read(folder)
    assert before is not None
    assert after is not None
    assert before.generation != after.generation
    assert_exact(warehouse, database)


def test_new_columns_are_noticed(
    warehouse: Warehouse,
    database: Database,
    folder: Path,
    now: datetime,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a migration changed a table's columns the copy is built anew with them."""
    monkeypatch.setattr(tables, "TABLES", dict(tables.TABLES))
    full = tables.TABLES["contacts"]
    register(Mirror(Contact.__table__, ["key"]))  # type: ignore[arg-type]
    add_people(database, now)
    old = Warehouse(database, folder, config)
    old.refresh()
    assert old.execute(old.table("contacts")).column_names == ["id", "key"]
    old.close()
    register(full)
    warehouse.refresh()
    assert_exact(warehouse, database)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"tables": {}}'])
def test_damaged_switch_is_built_anew(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, damage: str
) -> None:
    """A `current` file cut off by a power failure does not stop anything."""
    add_people(database, now, 3)
    warehouse.refresh()
    (folder / "current").write_text(damage)
    assert warehouse.as_of is None
    warehouse.refresh()
    assert_exact(warehouse, database)


def test_old_files_stay_for_running_queries(
    warehouse: Warehouse, database: Database, folder: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary change leaves the replaced file for a minute: somebody may be in the middle of reading it."""
    add_people(database, now)
    warehouse.refresh()
    before = parquet(folder, "contacts")
    for path in before:
        os.utime(path, (0, 0))  # made long ago: the minute counts from the change

    def change(age: int) -> set[Path]:
        with database.begin() as session:
            session.execute(update(Contact).values(age=age, revision=next_revision(session)))
        warehouse.refresh()
        return set(parquet(folder, "contacts"))

    assert set(before) < change(1)
    monkeypatch.setattr(parts, "KEEP_SECONDS", 0)
    assert set(before).isdisjoint(change(2))
