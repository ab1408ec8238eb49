"""What may be offered now: the items' state in memory, brought up to date by what changed since."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from engine.database import microseconds
from engine.marks import snapshot_mark, written_since
from engine.models import Deletion, Item
from recommender.arrays import DAY, Ints, Mask
from recommender.business import FRESH_DAYS, Filter
from recommender.interactions import numbers

UNPRICED: Final = -1
COLUMNS: Final = (
    *("id", "key", "title", "price", "currency", "url", "image_url", "category", "brand"),
    *("active", "recommendable", "stock", "cost", "created_at"),
)
_QUERY: Final = select(*(getattr(Item, name) for name in COLUMNS))
_GONE: Final = (False, False, UNPRICED, 0, np.nan, 0)
READ: Final = 2_000  # items at a time


class Shown(NamedTuple):
    """What is told of an item; price in ten-thousandths of `currency`."""

    item_id: int
    key: str
    title: str | None
    price: int | None
    currency: str
    url: str | None
    image_url: str | None
    category: str | None
    brand: str | None


class Packed:
    """What is told of each item, by its id: packed it takes a third of a tuple of strings, and 1 us to read. `places`:
    of each item id its place, in the order in which they came.
    """

    def __init__(self) -> None:
        self.places: dict[int, int] = {}
        self._packed: list[bytes] = []

    def __getitem__(self, item_id: int) -> Shown:
        return Shown._make(marshal.loads(self._packed[self.places[item_id]]))  # noqa: S302  # what `put` has packed

    def __contains__(self, item_id: object) -> bool:
        return item_id in self.places

    def put(self, shown: Shown) -> int:
        """Tell this of an item from now on; its place."""
        packed, place = marshal.dumps(tuple(shown)), self.places.get(shown.item_id)
        if place is None:
            self._packed.append(packed)  # before anybody finds its place
            return self.places.setdefault(shown.item_id, len(self._packed) - 1)
        self._packed[place] = packed
        return place


@dataclass(frozen=True)
class State:
    """One array per column, one row per item. price is UNPRICED when there is none; margin is a share of the price,
    NaN where price or cost are unknown; created in microseconds since 1970.
    """

    ids: Ints
    active: Mask
    stocked: Mask
    price: Ints
    category: Ints
    margin: npt.NDArray[np.float64]
    created: Ints

    @classmethod
    def empty(cls) -> State:
        """No items."""
        none = np.empty(0, np.int64)
        return cls(none, none.astype(bool), none.astype(bool), none, none, none.astype(np.float64), none)

    def at(self, rows: Ints) -> State:
        """Of each row its state; row -1 is an item that is gone, and not active."""
        if not len(self.ids):
            return State(np.full(len(rows), -1), *(np.zeros(len(rows), column.dtype) for column in self._columns()[1:]))
        columns = [column[rows] for column in self._columns()]
        return replace(State(*columns), active=columns[1] & (rows >= 0))

    def written(self, places: Ints, columns: Sequence[npt.NDArray[Any]]) -> State:
        """A copy with `columns` at `places`, longer if need be."""
        size = max(len(self.ids), int(places.max()) + 1)
        written = []
        for column, values in zip(self._columns(), columns, strict=True):
            grown = np.zeros(size, column.dtype)
            grown[: len(column)] = column
            grown[places] = values
            written.append(grown)
        return State(*written)

    def _columns(self) -> list[Any]:
        return [self.ids, self.active, self.stocked, self.price, self.category, self.margin, self.created]


@dataclass(frozen=True)
class Shelf:
    """`keys`: id of an item key; `shown`: what is told of an item id, and its row; `paths`: code of a category path.
    Readers of an older shelf may go on, for nothing else is taken from the three than keys of what is gone; `state` is
    replaced at every change; `mark`: what was seen.
    """

    state: State = field(default_factory=State.empty)
    keys: dict[str, int] = field(default_factory=dict)
    shown: Packed = field(default_factory=Packed)
    paths: dict[str, int] = field(default_factory=dict)
    mark: str = ""

    def refreshed(self, session: Session) -> Shelf:
        """The shelf of this moment."""
        mark = snapshot_mark(session)
        if mark == self.mark:
            return self
        wanted = _QUERY.where(written_since(session, self.mark, Item.__table__.c.revision))
        found = session.execute(wanted, execution_options={"yield_per": READ}).partitions()
        changed = [_columns([self._row(row) for row in rows]) for rows in found]
        deleted = written_since(session, self.mark, Deletion.__table__.c.revision)
        gone = select(Deletion.row_id).where(Deletion.table_name == "items", deleted)
        places = self.shown.places
        gone_rows = [(places[row], row, *_GONE) for row in session.scalars(gone) if row in places] if places else []
        if not changed and not gone_rows:
            return self  # and its mark: what it did not see is as little as before
        changed += [_columns(gone_rows)] if gone_rows else []
        for _, item, *_ in gone_rows:
            key = self.shown[item].key
            if self.keys.get(key) == item:  # not of another item since
                self.keys.pop(key, None)
        rows, *columns = (np.concatenate(parts) for parts in zip(*changed, strict=True))
        return replace(self, state=self.state.written(rows, columns), mark=mark)

    def rows(self, item_ids: Ints) -> Ints:
        """Row of each item id, -1 for one that is gone."""
        return numbers(self.state.ids, item_ids)

    def rows_of(self, item_ids: Iterable[int]) -> Ints:
        """The same for a few of them."""
        return np.array([self.shown.places.get(item, -1) for item in item_ids], np.int64)

    def ids_of(self, keys: Iterable[str]) -> list[int]:
        """Ids of the items that are known by these keys."""
        return [item for item in map(self.keys.get, keys) if item is not None]

    def allowed(self, rows: Ints, *wanted: Filter) -> Mask:
        """Which of the items at `rows` may be offered under all filters; the last one that speaks of stock decides."""
        state = self.state.at(rows)
        mask = state.active.copy()
        if next((one.in_stock for one in reversed(wanted) if one.in_stock is not None), True):
            mask &= state.stocked
        for one in wanted:
            self._narrow(mask, rows, state, one)
        return mask

    def _narrow(self, mask: Mask, rows: Ints, state: State, wanted: Filter) -> None:
        between(mask, state.price, wanted.price_min, wanted.price_max)
        if wanted.margin_min is not None:
            mask &= state.margin >= wanted.margin_min  # not so where there is none
        if wanted.margin_max is not None:
            mask &= state.margin <= wanted.margin_max
        if wanted.categories:
            mask &= np.isin(state.category, self._codes(wanted.categories))
        if wanted.categories_denied:
            mask &= ~np.isin(state.category, self._codes(wanted.categories_denied))
        if wanted.suppressed:
            mask &= ~np.isin(rows, self.rows_of(self.ids_of(wanted.suppressed)))

    def margins(self, item_ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Of each item its margin, from 0 to 1; 0 when nobody knows."""
        return np.clip(np.nan_to_num(self.state.at(self.rows_of(item_ids)).margin), 0, 1)

    def freshness(self, item_ids: Sequence[int], now: datetime) -> npt.NDArray[np.float64]:
        """Of each item how new it is: 1 today, half as much every FRESH_DAYS."""
        age = (microseconds(now) - self.state.at(self.rows_of(item_ids)).created) / DAY
        return np.exp2(-np.maximum(age, 0) / FRESH_DAYS)

    def _codes(self, wanted: Sequence[str]) -> Sequence[int]:
        below = tuple(path + " > " for path in wanted)
        known_paths = list(self.paths.items())  # whoever looks at the shelf now may add to them
        return [code for known, code in known_paths if known in wanted or known.startswith(below)]

    def _row(self, row: Row[Any]) -> tuple[Any, ...]:
        """Its place, and then what State says of it."""
        item, price = row.id, row.price
        self.keys[row.key] = item
        place = self.shown.put(Shown._make(row[: len(Shown._fields)]))
        code = self.paths.setdefault(row.category or "", len(self.paths))
        margin = np.nan if not price or row.cost is None else (price - row.cost) / price
        stocked, known = row.stock is None or row.stock > 0, UNPRICED if price is None else price
        active = row.active and row.recommendable
        return place, item, active, stocked, known, code, margin, microseconds(row.created_at)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[npt.NDArray[Any]]:
    """The arrays of rows that `Shelf._row` makes."""
    return [np.array(column) for column in zip(*rows, strict=True)]


def between(mask: Mask, price: Ints, low: float | None, high: float | None) -> Mask:
    """Take out of `mask` what costs less than `low` or more than `high`; what has no price has none of both."""
    if low is not None:
        mask &= price >= max(low, 0)
    if high is not None:
        mask &= (price <= high) & (price != UNPRICED)
    return mask
