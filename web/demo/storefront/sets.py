"""Sets that cost less together. Rapport tells which are on sale (docs/recommendations.md, Bundles); what they take off
a cart is the shop's own sum.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from engine import money
from web.demo.storefront.cart import Line
from web.demo.storefront.rapport import Away, Rapport, Refused
from web.demo.storefront.settings import Settings

FRESH: Final = 5.0  # seconds until it is asked again
PATIENCE: Final = 1.0  # seconds that a page waits for the answer
PENNY: Final = 100  # ten-thousandths


@dataclass(frozen=True)
class Bundle:
    """A set on sale: keys of its items, the one that leads first; price of one of each, in ten-thousandths."""

    key: str
    name: str
    items: tuple[str, ...]
    price: int


@dataclass(frozen=True)
class Saving:
    """So many of a set are in the cart, and save so much, in ten-thousandths."""

    name: str
    times: int
    saves: int


@dataclass(frozen=True)
class Bill:
    """A cart as it is charged. off: what sets take off the line of each key; amounts in ten-thousandths."""

    lines: Sequence[Line]
    savings: Sequence[Saving]
    off: Mapping[str, int]

    @classmethod
    def of(cls, lines: Sequence[Line], sets: Sequence[Bundle]) -> Bill:
        """With every set that is whole, the one that saves most first; one piece counts in one set alone."""
        left = {line.item.key: line.quantity for line in lines}
        prices = {line.item.key: line.item.price for line in lines}
        whole = [
            (sum(prices[key] for key in one.items) - one.price, one) for one in sets if prices.keys() >= set(one.items)
        ]
        savings, off = [], dict.fromkeys(left, 0)
        for each, one in sorted(whole, key=lambda pair: -pair[0]):
            times = min(left[key] for key in one.items)
            if each <= 0 or times <= 0:
                continue
            savings.append(Saving(one.name, times, times * each))
            for key, part in shared(times * each, {key: times * prices[key] for key in one.items}).items():
                left[key] -= times
                off[key] += part
        return cls(lines, savings, off)

    @property
    def total(self) -> int:
        """What is paid."""
        return sum(line.total for line in self.lines) - sum(self.off.values())

    @property
    def is_short(self) -> bool:
        """More of something is wanted than there is."""
        return any(line.is_short for line in self.lines)

    @property
    def bought(self) -> list[dict[str, Any]]:
        """Lines of an order: item, quantity, unit_price, and discount of the line."""
        return [
            {
                "item": line.item.key,
                "quantity": line.quantity,
                "unit_price": line.item.price,
                "discount": self.off[line.item.key],
            }
            for line in self.lines
        ]


def shared(amount: int, prices: Mapping[str, int]) -> dict[str, int]:
    """An amount, no more than all prices together, over lines in proportion to their prices: in whole pennies, what is
    left on the last lines, and on none more than its price.
    """
    whole = sum(prices.values())
    parts = {key: amount * price // whole // PENNY * PENNY for key, price in prices.items()}
    left = amount - sum(parts.values())
    for key in reversed(parts):
        more = min(left, prices[key] - parts[key])
        parts[key], left = parts[key] + more, left - more
    return parts


class Sets:
    """What is on sale, FRESH seconds at most behind Rapport; while it is away, what it told last."""

    def __init__(self, settings: Settings) -> None:
        self._rapport, self._currency = Rapport(settings), settings.currency
        self._known: tuple[Bundle, ...] = ()
        self._asked = -FRESH
        self._lock = threading.Lock()

    def on_sale(self) -> tuple[Bundle, ...]:
        """One page asks, the others do not wait for it."""
        if time.monotonic() - self._asked >= FRESH and self._lock.acquire(blocking=False):
            try:
                with suppress(Away, Refused):
                    self._known = tuple(map(_bundle, self._rapport.bundles(self._currency, PATIENCE)))
                self._asked = time.monotonic()
            finally:
                self._lock.release()
        return self._known


def _bundle(told: Mapping[str, Any]) -> Bundle:
    return Bundle(told["key"], told["name"], tuple(told["items"]), money.parse(told["price"]))
