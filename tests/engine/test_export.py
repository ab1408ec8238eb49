"""Exported cells: nothing runs as a formula, numbers and telephones stay what they are."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from engine import export

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\tx", "\rx", "\nx", " =1", "＝1", "＋x", "－x",
            "＠x", "-", "+1;=2", "+44 20 7946 0000", '=HYPERLINK("http://x")', "-2+3+cmd|' /C calc'!A0"]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    """OWASP's list, and the full-width forms that Excel in Chinese and Japanese takes for operators."""
    assert export.cell(text) == "'" + text


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
