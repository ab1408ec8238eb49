"""Every row of the operator table does what its own cases say, on DuckDB."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
import pytest

from engine.criteria.duration import Duration
from engine.criteria.nodes import Question, Window
from engine.criteria.operators import CONTROLS, OPERATORS, Case, Operator, fitting
from engine.fields import FIELDS, ROW_FIELDS
from engine.values import TYPES, Clock, Style
from tests.engine.criteria.world import NOW

ZONE = ZoneInfo("UTC")
STORED = {"number": pa.float64(), "money": pa.int64(), "yes_no": pa.bool_(), "date": pa.date32(),
          "moment": pa.timestamp("us", "UTC"), "choices": pa.list_(pa.string())}  # fmt: skip
CASES = [(row, case) for row in OPERATORS.values() for case in row.cases]


@pytest.mark.parametrize(("row", "case"), CASES, ids=lambda part: part.key if isinstance(part, Operator) else "")
def test_a_case_of_the_table_is_true(row: Operator, case: Case) -> None:
    """The verdict on the stored value; never NULL."""
    values = tuple(TYPES[row.takes or case.type].parse(value, ZONE) for value in case.given)
    table = ibis.memtable(pa.table({"stored": pa.array([case.stored], STORED.get(case.type, pa.string()))}))
    truth = Question(row, case.type, values).truth(table.stored, Clock(NOW, ZONE))
    assert ibis.duckdb.connect().to_pyarrow(truth.name("x")).to_pylist() == [case.expected]


@pytest.mark.parametrize("row", OPERATORS.values(), ids=lambda row: row.key)
def test_a_row_is_whole(row: Operator) -> None:
    """Cases for and against, words in both languages with a place for each value, a contrary that leads back."""
    assert {case.expected for case in row.cases} == {True, False}
    wanted = 1 if row.values < 0 else row.values
    for words in filter(None, (row.words, row.opposite_words, row.amount)):
        for text in (words.en, words.zh):
            assert [f"{{{number}}}" in text for number in range(3)] == [number < wanted for number in range(3)]
    assert OPERATORS[row.opposite].opposite == row.key
    assert row.control in CONTROLS
    assert row.doc.endswith(".")


def test_every_type_can_be_asked_and_written() -> None:
    """Each type of a field fits an operator, and its values survive JSON and have words."""
    samples = {"text": "a", "choice": "a", "path": "A > B", "number": 1.5, "money": 12.99, "date": "2024-02-29",
               "moment": "2024-02-29T10:00:00+00:00", "yes_no": True, "days": 30, "choices": "a", "count": 2,
               "percent": 12.5, "month": 2, "weekday": 7,
               "period": "last_week", "pattern": "^a", "reference": 7}  # fmt: skip
    assert samples.keys() == TYPES.keys()
    for key, row in TYPES.items():
        value = row.parse(samples[key], ZONE)
        assert row.json(value) == samples[key]
        assert row.words(value, Style("en", ZONE, "GBP"))
        assert row.words(value, Style("zh_Hans_CN", ZONE, "CNY"))
    for field in (*FIELDS.values(), *(row for rows in ROW_FIELDS.values() for row in rows.values())):
        assert fitting(field.type)


@pytest.mark.parametrize(
    ("born", "age"),
    [(date(2000, 3, 2), 26), (date(2000, 3, 3), 25), (date(2000, 2, 29), 26), (date(2027, 1, 1), 7), (None, 7)],
)
def test_age_is_in_whole_years_and_falls_back_on_the_declared_one(born: date | None, age: int) -> None:
    """On 2026-03-02 in the shop; a birth date that is yet to come is none."""
    rows = ibis.memtable(pa.table({"birth_date": pa.array([born], pa.date32()), "age": [7]}))
    column = FIELDS["age"].column(rows, Clock(NOW, ZONE))
    assert ibis.duckdb.connect().to_pyarrow(column.name("x")).to_pylist() == [age]


def test_a_birthday_begins_at_midnight_of_the_shop() -> None:
    """At 16:00 UTC it is tomorrow in Shanghai."""
    clock = Clock(datetime(2026, 3, 1, 16, 0, tzinfo=ZONE), ZoneInfo("Asia/Shanghai"))
    rows = ibis.memtable(pa.table({"birth_date": pa.array([date(2000, 3, 2)]), "age": pa.array([None], pa.int64())}))
    assert ibis.duckdb.connect().to_pyarrow(FIELDS["age"].column(rows, clock).name("x")).to_pylist() == [26]


def test_the_stretch_before_is_as_long_by_the_shops_clock() -> None:
    """Three days before one that begins the day after the clocks went forward: 71 hours, from midnight on."""
    london = ZoneInfo("Europe/London")
    clock = Clock(NOW, london)
    window = Window(start=date(2026, 3, 30), end=date(2026, 4, 2))
    assert window.previous(clock) == (datetime(2026, 3, 27, tzinfo=london), datetime(2026, 3, 30, tzinfo=london))
    assert Window(Duration(2, "days")).previous(clock) == (NOW - timedelta(days=4), NOW - timedelta(days=2))


def test_hours_go_by_whatever_the_shops_clock_does() -> None:
    """Two hours, and the two before, at 03:00 of the day on which 01:00 became 02:00; a day is one of the calendar."""
    now = datetime(2026, 3, 29, 2, tzinfo=UTC)
    clock, window = Clock(now, ZoneInfo("Europe/London")), Window(Duration(2, "hours"))
    assert window.bounds(clock) == (now - timedelta(hours=2), now)
    assert window.previous(clock) == (now - timedelta(hours=4), now - timedelta(hours=2))
    assert Window(Duration(1, "days")).bounds(clock) == (now - timedelta(hours=23), now)
