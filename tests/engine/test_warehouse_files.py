"""The files of the warehouse: erased people leave them, a rebuild stands beside them, other processes follow."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from ibis import _
from sqlalchemy import text, update

from engine.config import Config, WarehouseConfig
from engine.database import Database, next_revision
from engine.errors import Unavailable
from engine.models import Contact, Event
from engine.warehouse import Mirror, Warehouse, fill, parts, register, tables
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

    def erased_after_looking() -> None:
        follow()
        calls.append(1)
        if len(calls) == 1:
            erase(database, marked)
            warehouse.refresh()

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


def test_older_backup_is_noticed(warehouse: Warehouse, database: Database, folder: Path, now: datetime) -> None:
    """The database came back from an older backup: its numbers are smaller than the copy's, which is built anew."""
    add_people(database, now)
    warehouse.refresh()
    present = switch.read(folder)
    assert present is not None
    ahead = {name: replace(state, mark=_later(state.mark)) for name, state in present.tables.items()}
    switch.write(folder, replace(present, tables=ahead))
    warehouse.refresh()
    after = switch.read(folder)
    assert after is not None
    assert after.generation != present.generation
    assert_exact(warehouse, database)
    assert warehouse.refresh().rows == {}


def _later(mark: str) -> str:
    return ":".join(str(int(number) + 10**9) if number else "" for number in mark.split(":"))


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
