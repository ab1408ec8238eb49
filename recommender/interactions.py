"""What contacts bought and viewed, as matrices that sources learn from.

Items are numbered by falling number of orders, so that number 0 is the best-seller: "the head" is a slice, and a
stable sort breaks ties by popularity (worth .03 recall on Ta-Feng: P-TopFreq .104, GP-TopFreq .133).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from engine.database import EPOCH, microseconds

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DAY: Final = 86_400_000_000  # microseconds
NOBODY: Final = -1  # the contact of a guest's order
LARGEST_BASKET: Final = 1000  # an order of more items is a stock list: 1,000,000 pairs that say nothing

FAINT: Final = 2**-20  # a taste that teaches nothing, 5 years old; far below it float32 takes ten times as long
HALF_LIFE_DAYS: Final = 90  # of what a contact did: HR@10 .557, without halving .493 (docs/why.md)
EVENT_WEIGHTS: Final = {"item_view": 0.2, "cart_add": 0.5, "wishlist_add": 0.5}  # a purchase weighs 1


@dataclass(frozen=True)
class Log:
    """Who did what with which item, one row per order line or event; arrays of one length.

    order: order id (0 for events); contact: contact id or NOBODY; item: item id; amount: units (negative: returned)
    or the event's weight; at: microseconds since 1970.
    """

    order: Ints
    contact: Ints
    item: Ints
    amount: npt.NDArray[np.float64]
    at: Ints

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Log:
        """From (order, contact, item, amount, at) rows."""
        columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
        return cls(
            np.array(columns[0], np.int64),
            np.array([NOBODY if contact is None else contact for contact in columns[1]], np.int64),
            np.array(columns[2], np.int64),
            np.array(columns[3], np.float64),
            np.array([microseconds(at) for at in columns[4]], np.int64),
        )

    def __len__(self) -> int:
        return len(self.item)

    @property
    def buyers(self) -> Ints:
        """Who bought: the contact; a guest's order is a buyer of its own, below NOBODY."""
        return np.where(self.contact == NOBODY, NOBODY - 1 - self.order, self.contact)

    def take(self, chosen: Any) -> Log:
        """The rows of a mask or index array."""
        return Log(self.order[chosen], self.contact[chosen], self.item[chosen], self.amount[chosen], self.at[chosen])


@dataclass(frozen=True)
class Items:
    """The shop's recommendable items: ids, whether each may be offered now, and its category path."""

    ids: Ints
    offerable: Mask
    categories: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, bool, str | None]]) -> Items:
        """From (id, active, category) rows."""
        ids, offerable, categories = list(zip(*rows, strict=True)) or ((), (), ())
        return cls(np.array(ids, np.int64), np.array(offerable, bool), tuple(category or "" for category in categories))


@dataclass(frozen=True)
class Interactions:
    """Everything known before `until`. Postage, fees and unknown items are not in; an item no longer sold is
    learned from but not offerable.
    """

    purchases: Log
    views: Log
    items: Items
    until: datetime

    @cached_property
    def lines(self) -> Log:
        """Net purchases: one row per order and item whose units add up to more than nothing."""
        log = self.purchases.take(np.isin(self.purchases.item, self.items.ids))
        order = np.lexsort((log.item, log.order))
        log = log.take(order)
        starts = np.flatnonzero(_changes(log.order, log.item))
        net = np.add.reduceat(log.amount, starts) if len(starts) else np.zeros(0)
        kept = log.take(starts[net > 0])
        return Log(kept.order, kept.contact, kept.item, net[net > 0], kept.at)

    @cached_property
    def item_ids(self) -> Ints:
        """Item id of each number: by falling number of orders, then id."""
        places = np.searchsorted(np.sort(self.items.ids), self.lines.item)
        counts = np.bincount(places, minlength=len(self.items.ids))
        ids = np.sort(self.items.ids)
        return ids[np.lexsort((ids, -counts))]

    @cached_property
    def offerable(self) -> Mask:
        """Whether the item of each number may be offered."""
        return self.items.offerable[self._rows]

    @cached_property
    def categories(self) -> list[str]:
        """Category path of each number, "" when unknown."""
        return [self.items.categories[row] for row in self._rows]

    @cached_property
    def _rows(self) -> Ints:
        """Row in `items` of each number."""
        order = np.argsort(self.items.ids)
        return order[np.searchsorted(self.items.ids, self.item_ids, sorter=order)]

    def numbers(self, item_ids: Ints) -> Ints:
        """Number of each item id, -1 for an unknown one."""
        return numbers(self.item_ids, item_ids)

    @cached_property
    def baskets(self) -> sparse.csr_array:
        """Orders x items, 1 where bought."""
        return self._held(self._usual.order)

    @cached_property
    def buyers(self) -> sparse.csr_array:
        """Buyers x items, 1 where ever bought."""
        return self._held(self._usual.buyers)

    @cached_property
    def _usual(self) -> Log:
        """The lines without orders of more than LARGEST_BASKET items."""
        _, row, sizes = np.unique(self.lines.order, return_inverse=True, return_counts=True)
        return self.lines.take(sizes[row] <= LARGEST_BASKET)

    def _held(self, holders: Ints) -> sparse.csr_array:
        """Holders x items of the usual lines, ones."""
        matrix = _matrix(np.unique(holders, return_inverse=True)[1], self.numbers(self._usual.item), self._width)
        matrix.data[:] = 1
        return matrix

    @cached_property
    def tastes(self) -> sparse.csr_array:
        """Contacts x items: what a contact has to do with an item, as in `tastes`, halved from the newest on."""
        newest = max((int(log.at.max()) for log in (self.kept, self.seen) if len(log)), default=0)
        contact, item, weight = tastes(self.kept, self.seen, EPOCH + timedelta(microseconds=newest))
        told = weight >= FAINT
        contact, item, weight = contact[told], item[told], weight[told]
        return _matrix(np.unique(contact, return_inverse=True)[1], self.numbers(item), self._width, weight)

    @cached_property
    def seen(self) -> Log:
        """The views of known items."""
        return self.views.take(np.isin(self.views.item, self.items.ids))

    @cached_property
    def kept(self) -> Log:
        """The last purchase of each contact and item, without what went back as a whole in another order."""
        log = self.purchases.take((self.purchases.contact != NOBODY) & np.isin(self.purchases.item, self.items.ids))
        return last_kept(log)

    def between(self, start: datetime, end: datetime) -> Interactions:
        """Only what happened in [start, end)."""
        low, high = microseconds(start), microseconds(end)
        purchases, views = (log.take((log.at >= low) & (log.at < high)) for log in (self.purchases, self.views))
        return Interactions(purchases, views, self.items, end)

    @property
    def _width(self) -> int:
        return len(self.item_ids)


def numbers(item_ids: Ints, wanted: Ints, order: Ints | None = None) -> Ints:
    """Place of each of `wanted` in `item_ids` (`order` sorts them), -1 where absent."""
    if not len(item_ids):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(item_ids) if order is None else order
    places = np.minimum(np.searchsorted(item_ids, wanted, sorter=order), len(item_ids) - 1)
    found = order[places]
    return np.where(item_ids[found] == wanted, found, -1)


def tastes(kept: Log, seen: Log, until: datetime) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """(contact, item, weight), one row for each pair, by contact and item: a purchase weighs 1, an event its weight,
    both halved every HALF_LIFE_DAYS and added up to 1 at most.
    """
    contact, item, at = (
        np.concatenate([getattr(kept, column), getattr(seen, column)]) for column in ("contact", "item", "at")
    )
    age = np.maximum(microseconds(until) - at, 0) / DAY
    weight = np.concatenate([np.ones(len(kept)), seen.amount]) * np.exp2(-age / HALF_LIFE_DAYS)
    order = np.lexsort((item, contact))
    contact, item, weight = contact[order], item[order], weight[order]
    starts = np.flatnonzero(_changes(contact, item))
    total = np.add.reduceat(weight, starts) if len(starts) else weight
    return contact[starts], item[starts], np.minimum(total, 1.0)


def _changes(first: Ints, second: Ints) -> Mask:
    """Where a new pair begins in two arrays sorted together."""
    changed = np.ones(len(first), bool)
    changed[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return changed


def last_kept(log: Log) -> Log:
    """One row per contact and item: its last purchase, if the units bought and returned leave something."""
    log = log.take(np.lexsort((log.at, log.item, log.contact)))
    group = np.cumsum(_changes(log.contact, log.item)) - 1
    groups = int(group[-1]) + 1 if len(group) else 0
    net = np.bincount(group, log.amount, groups)
    last = np.full(groups, -1, np.int64)
    bought = np.flatnonzero(log.amount > 0)
    last[group[bought]] = bought  # rows are in time order: the last assignment stays
    return log.take(last[(net > 0) & (last >= 0)])


def load(warehouse: Warehouse, now: datetime, history_days: int) -> Interactions:
    """Purchases and views of the last `history_days` from the warehouse."""
    since = now - timedelta(days=history_days)
    orders, lines, events = (warehouse.table(name) for name in ("orders", "order_lines", "events"))
    orders = orders.filter(orders.ordered_at >= since, orders.ordered_at < now)
    orders = orders.select(order_id=orders.id, contact_id=orders.contact_id, at=orders.ordered_at)
    purchases = lines.select("order_id", "item_id", amount=lines.quantity).join(orders, "order_id")
    weighed = events.type.cases(*EVENT_WEIGHTS.items(), else_=0.0)
    views = events.filter(
        events.occurred_at >= since,
        events.occurred_at < now,
        events.item_id.notnull(),
        events.contact_id.notnull(),
        events.type.isin(list(EVENT_WEIGHTS)),
    ).select(
        order_id=events.id, contact_id=events.contact_id, item_id=events.item_id, amount=weighed, at=events.occurred_at
    )
    items = warehouse.table("items")
    items = items.filter(items.recommendable).select("id", "active", "category")
    found = warehouse.execute(items)
    return Interactions(
        _log(warehouse.execute(purchases)),
        _log(warehouse.execute(views)),
        Items(
            found["id"].to_numpy().astype(np.int64),
            found["active"].to_numpy().astype(bool),
            tuple(category or "" for category in found["category"].to_pylist()),
        ),
        now,
    )


def _log(table: Any) -> Log:
    """A Log from an Arrow table of order_id, contact_id, item_id, amount, at."""
    at = table["at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return Log(
        table["order_id"].to_numpy().astype(np.int64),
        table["contact_id"].fill_null(NOBODY).to_numpy().astype(np.int64),
        table["item_id"].to_numpy().astype(np.int64),
        table["amount"].to_numpy().astype(np.float64),
        at.to_numpy().astype(np.int64),
    )


def _matrix(row: Ints, column: Ints, width: int, data: Any = None) -> sparse.csr_array:
    values = np.ones(len(row), np.float32) if data is None else np.asarray(data, np.float32)
    height = int(row.max()) + 1 if len(row) else 0
    return sparse.csr_array((values, (row.astype(np.int32), column.astype(np.int32))), shape=(height, width))
