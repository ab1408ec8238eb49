"""Exact money: whole ten-thousandths of the currency unit, because real shops have unit prices of 0.001."""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from typing import Final

from engine.errors import Invalid

UNIT: Final = 10_000
LIMIT: Final = 10**15  # 100 thousand million units: nine thousand such rows still add up within 64 bits

_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)


def parse(given: str | int | float | Decimal) -> int:
    """Ten-thousandths from a decimal such as "12.99", "1,234.50" or 0.001; raises Invalid when it is not exact."""
    text = str(given).strip()
    if "," in text and _THOUSANDS.fullmatch(text):  # "1,5" is not fifteen: only groups of three
        text = text.replace(",", "")
    try:
        scaled = Decimal(text) * UNIT
    except DecimalException:  # no number, or one beyond what decimal counts to
        raise Invalid(f"{given!r} is not an amount; write it like 12.99.") from None
    if not scaled.is_finite() or abs(scaled) > LIMIT:
        raise Invalid(f"{given!r} is not an amount that can be stored.")
    if scaled != scaled.to_integral_value():
        raise Invalid(f"{given!r} has more than four decimals.")
    return int(scaled)


def to_decimal(amount: int) -> Decimal:
    """The amount in currency units, exact."""
    return Decimal(amount) / UNIT


def to_text(amount: int) -> str:
    """The amount as shops print it, exact: "18.50", and up to four decimals where it has them, "0.001"."""
    told = f"{to_decimal(amount):.4f}"
    return told[:-2] + told[-2:].rstrip("0")
