"""What may be offered now: the items' state in memory, brought up to date by what changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from engine.database import snapshot_mark, written_since
from engine.models import Deletion, Item
from recommender.interactions import Ints, Mask, numbers

UNPRICED: Final = -1
COLUMNS: Final = ("id", "key", "title", "active", "recommendable", "stock", "price", "category")


@dataclass(frozen=True)
class Filter:
    """What the storefront wants: a category path or one above it, in stock, prices in ten-thousandths."""

    category: str | None = None
    in_stock: bool | None = None
    price_min: int | None = None
    price_max: int | None = None


@dataclass(frozen=True)
class State:
    """One array per column, one row per item; price is UNPRICED when there is none."""

    ids: Ints
    active: Mask
    stocked: Mask
    price: Ints
    category: Ints

    @classmethod
    def empty(cls) -> State:
        """No items."""
        none = np.empty(0, np.int64)
        return cls(none, none.astype(bool), none.astype(bool), none, none)

    def at(self, rows: Ints) -> State:
        """Of each row its state; row -1 is an item that is gone, and not active."""
        if not len(self.ids):
            return State(np.full(len(rows), -1), *(np.zeros(len(rows), column.dtype) for column in self._columns()[1:]))
        columns = [column[rows] for column in self._columns()]
        return replace(State(*columns), active=columns[1] & (rows >= 0))

    def written(self, places: Ints, rows: list[tuple[Any, ...]]) -> State:
        """A copy with `rows` at `places`, longer if need be."""
        size = max(len(self.ids), int(places.max()) + 1)
        columns = []
        for column, values in zip(self._columns(), zip(*rows, strict=True), strict=True):
            grown = np.zeros(size, column.dtype)
            grown[: len(column)] = column
            grown[places] = values
            columns.append(grown)
        return State(*columns)

    def _columns(self) -> list[Any]:
        return [self.ids, self.active, self.stocked, self.price, self.category]


@dataclass(frozen=True)
class Shelf:
    """`places`: row of an item id; `keys`: id of an item key; `titles`: what an item id is called; `paths`: code of a
    category path. The four only grow, so readers of an older shelf may go on; `state` is replaced at every change;
    `mark`: what was seen.
    """

    state: State = field(default_factory=State.empty)
    places: dict[int, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)
    mark: str = ""

    def refreshed(self, session: Session) -> Shelf:
        """This shelf with what was written since; itself when nothing was."""
        mark = snapshot_mark(session)
        wanted = (getattr(Item, column) for column in COLUMNS)
        written, deleted = (written_since(session, self.mark, one.__table__.c.revision) for one in (Item, Deletion))
        changed: Sequence[Any] = session.execute(select(*wanted).where(written)).all()
        gone = select(Deletion.row_id).where(Deletion.table_name == "items", deleted)
        gone_ids = [row for row in session.scalars(gone) if row in self.places] if self.places else []
        if not changed and not gone_ids:
            return self  # and its mark: what it did not see is as little as before
        rows = [self._row(row) for row in changed] + [(row, False, False, UNPRICED, 0) for row in gone_ids]
        places = np.array([self.places.setdefault(row[0], len(self.places)) for row in rows], np.int64)
        return replace(self, state=self.state.written(places, rows), mark=mark)

    def rows(self, item_ids: Ints) -> Ints:
        """Row of each item id, -1 for one that is gone."""
        return numbers(self.state.ids, item_ids)

    def allowed(self, rows: Ints, wanted: Filter) -> Mask:
        """Which of the items at `rows` may be offered."""
        state = self.state.at(rows)
        mask = state.active.copy()
        if wanted.in_stock is not False:
            mask &= state.stocked
        if wanted.price_min is not None:
            mask &= state.price >= max(wanted.price_min, 0)
        if wanted.price_max is not None:
            mask &= (state.price <= wanted.price_max) & (state.price != UNPRICED)
        if wanted.category is not None:
            mask &= np.isin(state.category, self._codes(wanted.category))
        return mask

    def _codes(self, path: str) -> Sequence[int]:
        below = path + " > "
        return [code for known, code in self.paths.items() if known == path or known.startswith(below)]

    def _row(self, row: Row[Any]) -> tuple[Any, ...]:
        self.keys[row.key] = row.id
        self.titles[row.id] = row.title or row.key
        code = self.paths.setdefault(row.category or "", len(self.paths))
        price = UNPRICED if row.price is None else row.price
        return row.id, row.active and row.recommendable, row.stock is None or row.stock > 0, price, code
