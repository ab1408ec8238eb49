"""Exported cells: nothing runs as a formula, numbers and telephones stay what they are."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import export
from engine.intake.values import ATTRIBUTE, Rules

RULES = Rules("GB", UTC, "GBP", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\tx", "\rx", "\nx", " =1", "＝1", "＋x", "－x",
            "＠x", "-", "+1;=2", "+44 20 7946 0000", '=HYPERLINK("http://x")', "-2+3+cmd|' /C calc'!A0"]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    """OWASP's list, and the full-width forms that Excel in Chinese and Japanese takes for operators."""
    assert export.cell(text) == "'" + text


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1), unique=True, max_size=50)
)
@example(["=1+1", "b"])
@example(['"', "a,b", "梅"])
def test_a_list_of_texts_is_read_back_as_the_same(texts: list[str]) -> None:
    """By intake, from a cell that no spreadsheet runs; composed (NFC), as everything is kept."""
    cell = export.cell(texts)
    assert cell[0] == "["
    assert ATTRIBUTE.parse(cell, RULES) == [unicodedata.normalize("NFC", text) for text in texts]


@pytest.mark.parametrize("cell", ['["a", 1]', '["a"', "[x]", "[1]", '["a", " "]', "[" * 1000])
def test_a_cell_that_only_looks_like_a_list_is_a_text(cell: str) -> None:
    """As it always was."""
    assert ATTRIBUTE.parse(cell, RULES) == cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-5, "-5"), ("-5.25", "-5.25"), ("+447911123456", "+447911123456"), (Decimal("-0.0001"), "-0.0001"), (None, ""),
     (True, "true"), (False, "false"), (date(2024, 2, 29), "2024-02-29"), ("a=b", "a=b"), ("梅", "梅"), ("", "")],
)  # fmt: skip
def test_everything_else_is_left_alone(value: Any, cell: str) -> None:
    """Numbers with a sign and E.164 telephones are no formulas."""
    assert export.cell(value) == cell


def test_lines_come_in_pieces() -> None:
    """Memory stays small however many rows there are."""
    pieces = list(export.lines(["n", "=x"], ([number, "a,b"] for number in range(2500))))
    assert len(pieces) == 3
    assert pieces[0].startswith('\ufeffn,\'=x\r\n0,"a,b"\r\n')
    assert "".join(pieces).count("\r\n") == 2501
