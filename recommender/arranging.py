"""From candidates to a row on a page: put forward, pinned, buried, capped, mixed, whatever source it is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recommender.answers import PINNED
from recommender.arrays import Ints, Mask
from recommender.business import Rules
from recommender.shelf import Shelf

POOL: Final = 50  # candidates looked at where the best are not simply the first
LEVELS: Final = 3  # of a category path that make items alike
BURIED: Final = 10.0  # taken from the worth of what is shown last; worths lie between -1 and 1

Worth = npt.NDArray[np.float64]


class Found(NamedTuple):
    """A candidate. number: that of the training, -1 for what is pinned."""

    item_id: int
    number: int
    score: float
    source: str


@dataclass(frozen=True)
class Arrangement:
    """What the rules of a placement say today. pins: item ids by position, each item at the first of
    its positions; buried: item ids.
    """

    rules: Rules
    shelf: Shelf
    pins: Mapping[int, int]
    buried: frozenset[int]
    now: datetime

    @classmethod
    def of(cls, rules: Rules, shelf: Shelf, now: datetime, allowed: Any) -> Arrangement:
        """Of this moment; `allowed` says which item ids may be offered at all."""
        today = now.date()
        wanted = [(pin.position, shelf.keys.get(pin.item)) for pin in rules.pins if pin.holds(today)]
        pins = [(position, item) for position, item in wanted if item is not None]
        may = allowed([item for _, item in pins])
        buried = (pin.item for pin in rules.buries if pin.holds(today))
        kept = {position or 1: item for (position, item), shown in zip(pins, may, strict=True) if shown}
        first = {item: position for position, item in sorted(kept.items(), reverse=True)}
        at = {position: item for item, position in first.items()}
        return cls(rules, shelf, at, frozenset(shelf.ids_of(buried)), now)

    def arrange(self, found: Sequence[Found], barred: Ints, n: int) -> list[Found]:
        """The row of n: each pin at its place, else what is worth most beside what stands before it."""
        pins = {place: item for place, item in self.pins.items() if item not in barred}
        fixed = {item: Found(item, -1, 0.0, PINNED) for item in pins.values()}
        free = [one for one in self._boosted(found) if one.item_id not in fixed]
        row = _Row([*free, *fixed.values()], self)
        places = {position: len(free) + list(fixed).index(item) for position, item in pins.items()}
        while len(row.chosen) < n:
            place = places.pop(len(row.chosen) + 1, None)
            place = row.best(len(free)) if place is None else place
            if place is None:  # no more candidates: the pins of later positions move up
                if not places:
                    break
                place = places.pop(min(places))
            row.put(place)
        return row.chosen

    def _boosted(self, found: Sequence[Found]) -> list[Found]:
        """Each source's finds in the order of their scores times what the boosts make of them."""
        if not (self.rules.boost_margin or self.rules.boost_freshness):
            return list(found)
        ids = [one.item_id for one in found]
        margin, fresh = self.shelf.margins(ids), self.shelf.freshness(ids, self.now)
        factors = 1 + self.rules.boost_margin * margin + self.rules.boost_freshness * fresh
        scored = [one._replace(score=one.score * float(by)) for one, by in zip(found, factors, strict=True)]
        runs = (list(run) for _, run in groupby(scored, key=lambda one: one.source))
        return [one for run in runs for one in sorted(run, key=lambda one: -one.score)]


class _Row:
    """A row in the making: what each candidate is worth beside what was chosen."""

    def __init__(self, found: Sequence[Found], plan: Arrangement) -> None:
        self.chosen: list[Found] = []
        self._found, self._rules = found, plan.rules
        categories = [plan.shelf.shown[one.item_id].category for one in found]
        paths = [path.split(" > ") if path else [] for path in categories]
        self._worth: Worth = 1 - np.arange(len(found)) / max(len(found), 1)
        self._worth -= BURIED * np.array([one.item_id in plan.buried for one in found], bool)
        self._groups = [" > ".join(path[: plan.rules.category_depth]) for path in paths]
        self._counts: dict[str, int] = {}
        self._free: Mask = np.ones(len(found), bool)
        self._alike = alike(found, paths, plan.shelf) if plan.rules.diversity else None
        self._nearest: Worth = np.zeros(len(found))

    def best(self, among: int) -> int | None:
        """The place of what is worth most of the first `among`."""
        if not self._free[:among].any():
            return None
        share = self._rules.diversity
        worth = (1 - share) * self._worth[:among] - share * self._nearest[:among]
        return int(np.argmax(np.where(self._free[:among], worth, -np.inf)))

    def put(self, place: int) -> None:
        """Choose it."""
        self.chosen.append(self._found[place])
        self._free[place] = False
        group = self._groups[place]
        self._counts[group] = self._counts.get(group, 0) + 1
        if group and self._counts[group] == self._rules.category_cap:
            self._free &= np.array([other != group for other in self._groups], bool)
        if self._alike is not None:
            self._nearest = np.maximum(self._nearest, self._alike[place])


def alike(found: Sequence[Found], paths: Sequence[Sequence[str]], shelf: Shelf) -> Worth:
    """How alike each two are, from 0 to 1: half by the levels of the category they share, a quarter each by brand and
    by price within a factor of two.
    """
    levels = [_same([tuple(path[:level]) if len(path) >= level else None for path in paths]) for level in _LEVELS]
    shown = [shelf.shown[one.item_id] for one in found]
    brand = _same([one.brand for one in shown])
    price = _same([one.price and int(one.price).bit_length() for one in shown])
    together: Worth = np.sum(levels, axis=0) / (2 * LEVELS) + brand / 4 + price / 4
    return together


_LEVELS: Final = range(1, LEVELS + 1)


def _same(values: Sequence[Any]) -> Worth:
    """1 where two values are equal and known."""
    codes: dict[Any, int] = {}
    code = np.array([codes.setdefault(value, len(codes)) if value else -1 - at for at, value in enumerate(values)])
    same: Worth = (code[:, None] == code[None, :]).astype(np.float64)
    return same
