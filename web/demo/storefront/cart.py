"""The cart: keys and quantities in the signed cookie, nothing else; prices and stock are the shop's of the moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flask import session as cookie

from web.demo.storefront.shelves import Item, Shelves

MOST: Final = 30  # different things: they fit the 4 KiB of a cookie
MOST_EACH: Final = 99


class Refused(Exception):
    """What somebody wants in the cart cannot be; the words say why. `item`: of which."""

    def __init__(self, words: str, item: str = "") -> None:
        super().__init__(words)
        self.words, self.item = words, item


@dataclass(frozen=True)
class Line:
    """So many of an item; `left`: units at hand."""

    item: Item
    quantity: int
    left: int

    @property
    def total(self) -> int:
        """In ten-thousandths."""
        return self.quantity * self.item.price

    @property
    def is_short(self) -> bool:
        """More is wanted than there is."""
        return self.quantity > self.left


def quantity(text: str) -> int:
    """What somebody typed, 0 to MOST_EACH; raises Refused."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4) or int(text) > MOST_EACH:
        raise Refused(f"Choose a quantity from 1 to {MOST_EACH}.")
    return int(text)


def contents(shelves: Shelves) -> dict[str, int]:
    """Keys and quantities; what is no longer sold is left out."""
    kept = cookie.get("cart")
    kept = kept if isinstance(kept, dict) else {}
    found = {key: number for key, number in kept.items() if (item := shelves.item(str(key))) and item.active}
    return dict(list(found.items())[:MOST])


def add(shelves: Shelves, item: Item, number: int, left: int) -> None:
    """Put so many more in; raises Refused."""
    if number < 1:
        raise Refused(f"Choose a quantity from 1 to {MOST_EACH}.", item.key)
    now = contents(shelves)
    if item.key not in now and len(now) >= MOST:
        raise Refused(f"A cart holds {MOST} different things; check out first.", item.key)
    put(shelves, {item.key: now.get(item.key, 0) + number}, {item.key: left})


def add_all(shelves: Shelves, items: Sequence[Item], left: Mapping[str, int]) -> None:
    """Put one more of each in, or nothing; raises Refused."""
    now = contents(shelves)
    wanted = {item.key: now.get(item.key, 0) + 1 for item in items}
    if len(now | wanted) > MOST:
        raise Refused(f"A cart holds {MOST} different things; check out first.")
    put(shelves, wanted, left)


def put(shelves: Shelves, wanted: Mapping[str, int], left: Mapping[str, int]) -> None:
    """Set quantities of things, 0 takes one out; raises Refused when there are not so many."""
    now = contents(shelves)
    for key, number in wanted.items():
        if number == 0:
            now.pop(key, None)
            continue
        if number > min(left.get(key, 0), MOST_EACH):
            raise Refused(shortage(left.get(key, 0)), key)
        now[key] = number
    cookie["cart"] = now


def shortage(left: int) -> str:
    """In words."""
    if left <= 0:
        return "This has just sold out."
    return f"Only {left} left." if left < MOST_EACH else f"Up to {MOST_EACH} of one thing, please."


def empty() -> None:
    """After an order."""
    cookie.pop("cart", None)
