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
    assert money.parse(money.to_text(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (185_000, "18.50"), (170_000, "17.00"), (129_900, "12.99"), (10, "0.001"), (-12_345_600, "-1234.56"),
     (money.LIMIT + 1, "100000000000.0001"), (1_000_000, "100.00")],
)  # fmt: skip
def test_a_price_is_written_as_shops_print_it(amount: int, text: str) -> None:
    """Two decimals at least, and up to four where it has them; a point, and nothing between the thousands."""
    assert money.to_text(amount) == text


def test_sums_of_thousandths_do_not_drift() -> None:
    """A thousand times 0.001 is exactly one."""
    assert sum(money.parse("0.001") for _ in range(1000)) == money.parse(Decimal(1))
