"""Amounts are exact."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import money
from engine.errors import Invalid


@pytest.mark.parametrize(
    ("text", "amount"), [("12.99", 129_900), ("0.001", 10), ("-1,234.5", -12_345_000), (" 3 ", 30_000), (0.1, 1_000)]
)
def test_amounts_are_read_exactly(text: str | float, amount: int) -> None:
    """A decimal becomes whole ten-thousandths without rounding."""
    assert money.parse(text) == amount


@pytest.mark.parametrize(
    "text", ["", "abc", "1.23456", "NaN", "Infinity", "1e30", "--1", "£5", "1,5", "12,99", "1,2345.0"]
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    """Neither words nor a fifth decimal get in."""
    with pytest.raises(Invalid):
        money.parse(text)


@given(st.integers(-money.LIMIT, money.LIMIT))
def test_round_trip(amount: int) -> None:
    """Every amount survives being written and read."""
    assert money.parse(money.to_decimal(amount)) == amount
    assert money.parse(str(money.to_decimal(amount))) == amount


def test_sums_of_thousandths_do_not_drift() -> None:
    """A thousand times 0.001 is exactly one."""
    assert sum(money.parse("0.001") for _ in range(1000)) == money.parse(Decimal(1))
