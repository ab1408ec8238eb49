"""What stands on the shelves: categories, search, order and pages. Read once; stock alone changes and is asked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.demo.storefront.store import ITEMS

PAGE: Final = 24
WORDS: Final = 8  # of a search
SEPARATOR: Final = " > "


@dataclass(frozen=True)
class Item:
    """Something for sale. `price`: ten-thousandths of the currency unit; `sold`: units, lately."""

    key: str
    title: str
    category: str
    brand: str
    price: int
    stock: int  # when it was read
    active: bool
    sold: int
    listed: datetime

    @cached_property
    def words(self) -> str:
        """What a search looks through."""
        return plain(f"{self.title} {self.category} {self.brand}")

    @property
    def slug(self) -> str:
        """Of its page and its picture."""
        return self.key.lower()


@dataclass(frozen=True)
class Category:
    """A part of the shop; `face` stands for it in a tile."""

    path: str
    items: tuple[Item, ...]
    children: tuple[Category, ...]

    @property
    def name(self) -> str:
        """Its own part of the path."""
        return self.path.rpartition(SEPARATOR)[2]

    @property
    def slug(self) -> str:
        """Its address: kitchen/tea-making/teapots."""
        return "/".join(re.sub(r"[^a-z0-9]+", "-", plain(part)).strip("-") for part in self.path.split(SEPARATOR))

    @property
    def face(self) -> Item:
        """Its best-seller."""
        return max(self.items, key=lambda item: item.sold)


Sort = Callable[[Item], Any]
SORTS: Final[dict[str, tuple[str, Sort]]] = {
    "popular": ("Most popular", lambda item: (-item.sold, item.key)),
    "new": ("Newest", lambda item: (-item.listed.timestamp(), item.key)),
    "cheap": ("Price, low to high", lambda item: (item.price, item.key)),
    "dear": ("Price, high to low", lambda item: (-item.price, item.key)),
}


@dataclass(frozen=True)
class Page:
    """A part of what was found; `number` from 1."""

    items: Sequence[Item]
    number: int
    pages: int
    total: int

    @property
    def first(self) -> int:
        """Place of its first item."""
        return (self.number - 1) * PAGE + 1


class Shelves:
    """Everything there is."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.all = {item.key: item for item in items}
        self.sold = [item for item in self.all.values() if item.active]
        self.departments = _children("", self.sold)
        self.categories: dict[str, Category] = {}
        waiting = list(self.departments)
        while waiting:
            category = waiting.pop()
            self.categories[category.slug] = category
            waiting += category.children

    def item(self, key: str) -> Item | None:
        """By key, in whatever case."""
        return self.all.get(key.upper())

    def way(self, path: str) -> list[Category]:
        """The categories from the department down to `path`."""
        parts = path.split(SEPARATOR)
        wanted = {SEPARATOR.join(parts[: depth + 1]) for depth in range(len(parts))}
        found = [category for category in self.categories.values() if category.path in wanted]
        return sorted(found, key=lambda category: len(category.path))

    def search(self, words: str) -> list[Item]:
        """Items in which every word begins a word; those whose title has all of them first."""
        wanted = plain(words).split()[:WORDS]
        if not wanted:
            return []
        found = [item for item in self.sold if all(f" {word}" in f" {item.words}" for word in wanted)]
        return sorted(found, key=lambda item: not all(f" {word}" in f" {plain(item.title)}" for word in wanted))


def read(session: Session) -> Shelves:
    """All of the database."""
    return Shelves(Item(**row._mapping) for row in session.execute(select(ITEMS).order_by(ITEMS.c.key)))


def paged(items: Sequence[Item], sort: str, number: int) -> Page:
    """The page `number` of them; one beyond the last is the last."""
    ordered = sorted(items, key=SORTS[sort][1]) if sort else list(items)
    pages = max(-(-len(ordered) // PAGE), 1)
    number = min(max(number, 1), pages)
    return Page(ordered[(number - 1) * PAGE : number * PAGE], number, pages, len(ordered))


def plain(words: str) -> str:
    """Lower case without accents."""
    flat = unicodedata.normalize("NFKD", words.lower())
    return re.sub(r"[^\w%&']+", " ", "".join(one for one in flat if not unicodedata.combining(one))).strip()


def _children(path: str, items: Sequence[Item]) -> tuple[Category, ...]:
    depth = path.count(SEPARATOR) + 1 if path else 0
    groups: dict[str, list[Item]] = {}
    for item in items:
        parts = item.category.split(SEPARATOR)
        if len(parts) > depth:
            groups.setdefault(SEPARATOR.join(parts[: depth + 1]), []).append(item)
    made = (Category(name, tuple(inside), _children(name, inside)) for name, inside in groups.items())
    return tuple(sorted(made, key=lambda category: -sum(item.sold for item in category.items)))
