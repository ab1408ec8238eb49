"""Whatever the bytes, intake answers with an error of ours or with a count that adds up."""

from __future__ import annotations

import gzip
import io
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from engine import config as configuration
from engine import intake, schema
from engine.config import Config
from engine.database import Database
from engine.errors import RapportError
from engine.intake.records import Broken, Records
from engine.models import Consent, Contact, Order, OrderLine

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)

HEADERS = {
    "contacts": "key,email,phone,age,birth_date,email_consent,attributes.size",
    "items": "key,title,price,stock,category,url",
    "orders": "order,at,contact,item,quantity,unit_price,discount,line",
    "events": "key,type,at,contact,visitor,value,properties.page",
}
CELLS = st.one_of(
    st.sampled_from(["", "C1", "C2", "7", "-1", "1.5", "2026-01-01", "true", "a@b.example", "+442071838750", "A > B"]),
    st.sampled_from(["http://x.example", '"', '""', '"x', "\0", "=1+1", "9" * 30, "1e999", "NaN", "\r", "王", "é"]),
    st.text(max_size=8),
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Config]]:
    """One SQLite workspace for all examples: what earlier ones left behind is part of the test."""
    config = configuration.build({"workspace": {"path": str(tmp_path_factory.mktemp("hostile"))}})
    database = Database(config.database_url)
    schema.upgrade(database)
    yield database, config
    database.close()


def run(workspace: tuple[Database, Config], kind: str, content: bytes) -> tuple[int, int, int, int, int] | None:
    """Import bytes: what was counted, or None for an error of ours."""
    database, config = workspace
    path = Path(config.folder) / "file.csv"
    path.write_bytes(content)
    try:
        done = intake.import_file(database, config, kind, path, now=NOW)
    except RapportError:
        return None
    return done.rows, done.created, done.updated, done.unchanged, done.rejected


EXAMPLES = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EXAMPLES
@given(st.sampled_from(sorted(HEADERS)), st.lists(st.lists(CELLS, min_size=5, max_size=9), max_size=6))
def test_records_add_up_and_are_idempotent(
    workspace: tuple[Database, Config], kind: str, records: list[list[str]]
) -> None:
    """Accepted and rejected make all; importing twice is importing once."""
    content = "\n".join([HEADERS[kind], *(",".join(record) for record in records)]).encode("utf-8", "replace")
    first = run(workspace, kind, content)
    if first is None:
        return
    rows, created, updated, unchanged, rejected = first
    accepted = created + updated + unchanged
    assert accepted + rejected == rows or (kind == "orders" and accepted <= rows - rejected)
    assert run(workspace, kind, content) == (rows, 0, 0, accepted, rejected)


@EXAMPLES
@given(st.sampled_from(sorted(HEADERS)), st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes(
    workspace: tuple[Database, Config], kind: str, content: bytes, with_header: bool, packed: bool
) -> None:
    """With a good header or none, packed or not: never an exception that is not ours."""
    content = HEADERS[kind].encode() + b"\n" + content if with_header else content
    run(workspace, kind, gzip.compress(content) if packed else content)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["2026-01-01", "C1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted({name for header in HEADERS.values() for name in header.split(",")} | {"lines", "type", "properties"})


@EXAMPLES
@given(st.sampled_from(sorted(HEADERS)), st.lists(st.dictionaries(st.sampled_from(NAMES), JSON) | JSON, max_size=4))
def test_any_records(workspace: tuple[Database, Config], kind: str, records: list[object]) -> None:
    """Whatever JSON can say: every record is counted once."""
    database, config = workspace
    with database.begin() as session:
        done = intake.accept(session, kind, records, now=NOW, config=config)  # type: ignore[arg-type]
    assert done.created + done.updated + done.unchanged + len(done.rejected) == len(records)


@given(st.text(alphabet='ab",;\n\r', max_size=60))
def test_every_line_is_in_one_record(text: str) -> None:
    """Records and broken lines come in the order of their lines, none twice; nothing is swallowed silently."""
    found = list(Records(io.StringIO(text, newline=""), 20))
    lines = [record.line if isinstance(record, Broken) else record[0] for record in found]
    assert lines == sorted(set(lines))
    kept = sum(len("".join(record[1])) for record in found if not isinstance(record, Broken))
    if not any(isinstance(record, Broken) for record in found) and '"' not in text:
        assert kept == sum(letter not in ",\n\r" for letter in text)


class Endless(io.RawIOBase):
    """A line of 200 MB that nobody has to store."""

    def __init__(self) -> None:
        self.left = 200_000_000

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self.left)
        self.left -= size
        buffer[:size] = b"x" * size
        return size


@pytest.mark.parametrize("start", [b"", b'"'])
def test_an_endless_line_takes_no_memory(start: bytes) -> None:
    """It is one broken line, however long, with or without an open quote."""
    stream = io.TextIOWrapper(io.BufferedReader(Endless(), 2**20), "utf-8", newline="")
    tracemalloc.start()
    found = list(Records(stream, 2**16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(record) for record in found] == [Broken]
    assert peak < 8 * 2**20


def together(*works: Callable[[], None]) -> None:
    """Run all at the same time; raises what one of them raised."""
    start = Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        start.wait(60)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result()


def test_writers_of_the_same_keys_do_not_fail(database: Database, config: Config, now: datetime) -> None:
    """Several at once, first with the same orders and then with different ones, each in its own sequence: nobody
    fails, no line is there twice, each change of consent is in the ledger once.
    """
    keys = [f"K{key:03d}" for key in range(200)]

    def write(kind: str, number: int, turn: int) -> None:
        line = {"item": f"I{number if turn else 0}", "quantity": turn + 1, "unit_price": 1}
        order = {"at": "2026-01-01", "lines": [line, line]}
        person = {"city": f"Town {number}", "email_consent": bool(turn)}
        turned = keys[number * 50 :] + keys[: number * 50]
        records = [
            order | {"order": key, "contact": key} if kind == "orders" else person | {"key": key} for key in turned
        ]
        with database.begin() as session:
            intake.accept(session, kind, records, now=now, config=config)

    for turn, kind in itertools.product(range(2), ("orders", "contacts")):
        together(*(partial(write, kind, number, turn) for number in range(4)))
        with database.read() as session:
            tables = (Contact, Order, OrderLine)
            count = [session.scalar(select(func.count()).select_from(table)) for table in tables]
            assert count == [200, 200, 400]
            sums = select(Order.total, func.sum(OrderLine.quantity * OrderLine.unit_price)).join(
                OrderLine, OrderLine.order_id == Order.id
            )
            assert all(total == added for total, added in session.execute(sums.group_by(Order.id, Order.total)))
            words = session.scalar(select(func.count()).select_from(Consent))
            assert words == 200 * (turn + (kind == "contacts"))


def test_big_and_small_writers_lock_in_one_order(database: Database, config: Config, now: datetime) -> None:
    """PostgreSQL walks a big and a small batch by different plans; that must not end in a deadlock."""
    keys = [f"K{key:04d}" for key in range(1500)]
    for key in reversed(range(0, 1500, 100)):  # the rows lie in the table the other way round than their keys
        records = [{"key": name} for name in keys[key : key + 100]]
        with database.begin() as session:
            intake.accept(session, "contacts", records, now=now, config=config)

    def write(names: list[str], city: str) -> None:
        with database.begin() as session:
            records = [{"key": name, "city": city} for name in names]
            intake.accept(session, "contacts", records, now=now, config=config)

    for turn in range(3):
        together(partial(write, keys, f"A{turn}"), partial(write, keys[:900], f"B{turn}"))


def test_small_calls_are_quick(database: Database, config: Config, now: datetime) -> None:
    """One event in one transaction needs a handful of statements, however many came before."""
    counted = itertools.count()
    record = {"type": "item_view", "at": "2026-01-01", "contact": "C1", "item": "wine"}
    for number in range(3):
        with database.begin() as session:
            connection = session.connection()
            event.listen(connection, "before_cursor_execute", lambda *_: next(counted))
            begun = next(counted)
            intake.accept(session, "events", [record | {"key": f"e{number}"}], now=now, config=config)
            statements = next(counted) - begun - 1
    assert statements <= 8
