"""Rows leave SQL and reach the files with every value as it was, and the files are packed to be read fast."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Float, MetaData, String, Table, insert

from engine.database import Database, UtcDateTime
from engine.warehouse import Mirror, parts
from engine.warehouse.extract import snapshot
from engine.warehouse.pipeline import THREADS, ahead

ODD = Table(
    "odd_values",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("word", String),
    Column("number", BigInteger),
    Column("share", Float),
    Column("agreed", Boolean),
    Column("born", Date),
    Column("at", UtcDateTime),
    Column("more", JSON),
    Column("revision", BigInteger),
)
WORDS = ["", "a,b\nc\td\r", 'say "no"', "back\\slash \\u0041 {}", "梅 🙂", "\x01\x1f\x7f", "null", "2011-12-01", None]
NUMBERS = [2**63 - 1, -(2**63), 0, None]
SHARES = [0.1 + 0.2, 1e-308, 1.7976931348623157e308, 5e-324, 123456789.123456789, None]


def test_every_value_survives(database: Database, now: Any) -> None:
    """Text with anything in it, numbers to the last bit, and nothing at all."""
    rows: list[dict[str, Any]] = [
        {"id": number + 1, "word": WORDS[number % len(WORDS)], "number": NUMBERS[number % len(NUMBERS)],
         "share": SHARES[number % len(SHARES)], "agreed": (True, False, None)[number % 3],
         "born": (now.date(), None)[number % 2], "at": (now, None)[number % 2],
         "more": ({}, {"a\"b": ["🙂", 1.5]}, "text", 7)[number % 4], "revision": 1}
        for number in range(200)
    ]  # fmt: skip
    with database.begin() as session:
        ODD.create(session.connection())
        session.execute(insert(ODD), rows)
    try:
        with snapshot(database) as extract:
            found = pa.concat_tables(extract.rows(Mirror(ODD))).to_pylist()
    finally:
        with database.begin() as session:
            ODD.drop(session.connection())
    for row, expected in zip(found, rows, strict=True):
        assert {name: row[name] for name in ("id", "word", "number", "agreed", "born", "at")} == {
            name: expected[name] for name in ("id", "word", "number", "agreed", "born", "at")
        }
        assert repr(row["share"]) == repr(expected["share"])
    assert {row["more"] for row in found if row["id"] % 4 == 1} == {"{}"}


def test_numbers_and_moments_are_kept_as_differences(tmp_path: Path) -> None:
    """No dictionary where hardly a value comes twice; text stays small."""
    moments = pa.array(range(10**15, 10**15 + 50_000), pa.timestamp("us", "UTC"))
    rows = pa.table({"id": pa.array(range(50_000)), "at": moments, "type": ["item_view", "search"] * 25_000})
    change = parts.Change(parts.create(tmp_path / "t", rows.schema), tmp_path / "t", rows.schema)
    assert change.add(rows) == 50_000
    change.commit(1)
    (path,) = (tmp_path / "t").glob("*.parquet")
    group = pq.ParquetFile(path).metadata.row_group(0)
    packed = {group.column(place).path_in_schema: group.column(place) for place in range(3)}
    assert "DELTA_BINARY_PACKED" in packed["id"].encodings
    assert "DELTA_BINARY_PACKED" in packed["at"].encodings
    assert packed["at"].total_compressed_size < 50_000  # a bit each, instead of eight bytes
    assert {name: column.compression for name, column in packed.items()} == {
        "id": "SNAPPY",
        "at": "SNAPPY",
        "type": "ZSTD",
    }
    assert pq.read_table(path).equals(rows)


def test_steps_overlap_and_keep_their_order() -> None:
    """Several at once, never many more than there are threads, results in the order given, errors raised."""
    taken, most, lock, running = [], [0], threading.Lock(), [0]

    def slow(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01 * (number % 3))
        with lock:
            running[0] -= 1
        if number == 77:
            raise ValueError(number)
        return number

    def numbers() -> Any:
        for number in range(100):
            taken.append(number)
            yield number

    made = ahead(slow, numbers())
    assert [next(made) for _ in range(30)] == list(range(30))
    assert len(taken) <= 30 + THREADS + 1
    with pytest.raises(ValueError, match="77"):
        list(made)
    assert 1 < most[0] <= THREADS
