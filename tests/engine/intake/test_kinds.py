"""The table of columns, the types, and the page made from them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.config import Config
from engine.database import microseconds
from engine.errors import Invalid
from engine.identity.names import NAME_LIMIT
from engine.intake import KINDS, describe, kinds, values
from engine.intake.parsing import parse
from engine.intake.values import Rules
from engine.models import Contact, Event, Item

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
RULES = Rules("GB", ZoneInfo("Europe/London"), "GBP", NOW, NOW)


def test_docs_are_up_to_date() -> None:
    """docs/intake.md is what the table says."""
    page = Path(describe.__file__).parents[2] / "docs/intake.md"
    assert page.read_text(encoding="utf-8") == describe.markdown(), "run: python -m engine.intake.describe"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_examples_are_valid_and_headers_unambiguous(kind: kinds.Kind) -> None:
    """Every column reads its own example; no two columns answer to one header."""
    for column in kind.columns:
        assert column.type.parse(column.example, RULES) is not None
        assert all(kind.find(word) is column for word in (column.name, *column.aliases, column.name.upper()))
    words = [kinds.fold(word) for column in kind.columns for word in {column.name, *column.aliases}]
    assert len(words) - len(set(words)) == sum(
        kinds.fold(alias) == kinds.fold(column.name) for column in kind.columns for alias in column.aliases
    )


@pytest.mark.parametrize(("kind", "model"), [("contacts", Contact), ("items", Item), ("events", Event)])
def test_text_is_as_long_as_its_column(kind: str, model: Any) -> None:
    """A limit that PostgreSQL would raise about is a reject first."""
    for column in KINDS[kind].columns:
        length = getattr(model.__table__.c.get(column.name, Contact.__table__.c.key).type, "length", None)
        if column.name == "card" or (model is not Contact and column.name == "email"):  # names, no columns
            length = NAME_LIMIT
        if column.type.limit and column.type is not values.EMAIL:
            assert column.type.limit == length
            with pytest.raises(Invalid, match="longer"):
                column.type.parse("http://x.example/" + "x" * length, RULES)


@pytest.mark.parametrize("name", ["quiz", "quiz:done", "loyalty.tier", "_ga", "9", "尺码", "größe-2", "x" * 64])
def test_names_that_people_choose_from(name: str) -> None:
    """Of event types and own fields: one word in any script."""
    assert KINDS["events"].column("type").type.parse(f" {name} ", RULES) == name  # type: ignore[union-attr]
    assert KINDS["contacts"].column(f"attributes.{name}") is not None


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a\nb", "<b>", "a'b", "a/b", "a,b", "🙂", "\u202ex", "x" * 65])
def test_names_that_are_refused(name: str) -> None:
    """Blanks, signs, invisible letters, more than 64; the reason says what a name is."""
    if name:
        with pytest.raises(Invalid, match="longer than 64" if len(name) > 64 else r"letters, digits and _ \. : -"):
            KINDS["events"].column("type").type.parse(name, RULES)  # type: ignore[union-attr]
    assert KINDS["contacts"].column(f"attributes.{name}") is None
    with pytest.raises(Invalid, match=r"letters, digits and _ \. : -"):
        raise KINDS["contacts"].unknown(f"attributes.{name}")


def test_keys_of_our_own_events_are_not_taken_from_outside() -> None:
    """Blanks around it hide nothing; what merely holds the word is somebody's key. An event without one gets ours."""
    key = KINDS["events"].columns[0].type
    for taken in ("rapport:open:1:person", "  rapport:"):
        with pytest.raises(Invalid, match="only Rapport's own keys"):
            key.parse(taken, RULES)
    assert [key.parse(free, RULES) for free in ("e:rapport:1", "rapport-1", 7)] == ["e:rapport:1", "rapport-1", "7"]
    cells = {"key": [""], "type": ["call"], "at": ["2026-02-01"], "contact": ["C1"]}
    assert parse(KINDS["events"], [0], cells, RULES).batch.columns["key"][0].startswith("rapport:")


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        (values.MONEY, "12.99", 129_900),
        (values.MONEY, "-0.001", -10),
        (values.MONEY, "1,234.5", 12_345_000),
        (values.MONEY, 0.1, 1_000),
        (values.MONEY, 7, 70_000),
        (values.integer(), " -5 ", -5),
        (values.integer(), "3.0", 3),
        (values.integer(), 3.0, 3),
        (values.BOOLEAN, "Yes", True),
        (values.BOOLEAN, 0, False),
        (values.CURRENCY, "eur", "EUR"),
        (values.DAY, "1980-03-31", "1980-03-31"),
        (values.category(20), " A>B >  C ", "A > B > C"),
        (values.text(9), 13085.0, "13085"),
        (values.text(9), "  x y ", "x y"),
        (values.text(3), "Zoe\u0308", "Zo\u00eb"),  # a letter and its mark are one
        (values.ATTRIBUTE, "Zoe\u0308", "Zo\u00eb"),
        (values.ATTRIBUTE, ["e\u0308", "\u00eb"], ["\u00eb"]),
        (values.ATTRIBUTE, "007", "007"),
        (values.ATTRIBUTE, "7.50", 7.5),
        (values.ATTRIBUTE, "true", True),
        (values.ATTRIBUTE, ["b", " a ", "b"], ["b", "a"]),
        (values.ATTRIBUTE, 10**20, "1" + "0" * 20),
        (values.MOMENT, "2026-01-01 12:00", microseconds(datetime(2026, 1, 1, 12, tzinfo=UTC))),
        (values.MOMENT, "2025-07-01T12:00:00", microseconds(datetime(2025, 7, 1, 11, tzinfo=UTC))),
        (values.MOMENT, "2025-07-01T12:00:00.123456Z", microseconds(datetime(2025, 7, 1, 12, 0, 0, 123456, UTC))),
    ],
)
def test_values(kind: values.Type, given: Any, stored: Any) -> None:
    """What is stored, exactly."""
    found = kind.parse(given, RULES)
    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *((values.MONEY, bad) for bad in ("12,99", "£5", "1.23456", "1e400", "nan", True, [], "9" * 99)),
        *((values.integer(), bad) for bad in ("1.5", "1_000", "٣", "", "99999999999", 2.5, True, float("inf"), None)),
        *(
            (values.MOMENT, bad)
            for bad in ("03/02/2026", "1760000000", 1760000000, "1899-01-01", "2026-03-03", "0001-01-01")
        ),
        *((values.MOMENT, bad) for bad in ("9999-12-31T23:59:59-12:00", "2026-02-30", "noon", None)),
        *((values.DAY, bad) for bad in ("2027-01-01", "31.3.1980", 5)),
        *((values.BOOLEAN, bad) for bad in ("maybe", 2, None)),
        *((values.url(99), bad) for bad in ("javascript:alert(1)", "//x.example", "http://", "http://[", "http://a b")),
        *((values.CURRENCY, bad) for bad in ("pound", "", "12")),
        *((values.text(9), bad) for bad in ("a\0b", "\ud800", b"x", [], True, {})),
        *((values.ATTRIBUTE, bad) for bad in ("x" * 1001, [""], [7], ["x"] * 51, {}, "\0", b"")),
    ],
)
def test_what_is_refused(kind: values.Type, given: Any) -> None:
    """With an error of ours, never another exception."""
    with pytest.raises(Invalid):
        kind.parse(given, RULES)


def test_the_time_zone_is_the_shops() -> None:
    """A wall-clock time in Shanghai is eight hours earlier in UTC."""
    rules = Rules.of(Config(locale=type(Config().locale)(timezone="Asia/Shanghai")), NOW)
    assert values.MOMENT.parse("2026-01-01 08:00:00", rules) == microseconds(datetime(2026, 1, 1, tzinfo=UTC))
