"""What contacts bought and viewed, as matrices that sources learn from.

Items are numbered by falling number of orders, so that number 0 is the best-seller: "the head" is a slice, and a
stable sort breaks ties by popularity (worth .03 recall on Ta-Feng: P-TopFreq .104, GP-TopFreq .133).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from engine.database import EPOCH, microseconds
from recommender.arrays import DAY, Ints, Mask, changes, distinct, ordered, places
from recommender.trail import Trail

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

NOBODY: Final = -1  # the contact of a guest's order
UNPRICED: Final = -1
SMALL: Final = 2**31  # ids below take four bytes
VISIT_GAP: Final = 3_600_000_000  # microseconds: who does nothing for an hour begins another visit
LARGEST_BASKET: Final = 1000  # an order of more items is a stock list: 1,000,000 pairs that say nothing

HALF_LIFE_DAYS: Final = 90  # of what a contact did: HR@10 .557, without halving .493 (docs/why.md)
EVENT_WEIGHTS: Final = {"item_view": 0.2, "cart_add": 0.5, "wishlist_add": 0.5}  # a purchase weighs 1


@dataclass(frozen=True)
class Log:
    """Who did what with which item, one row per order line or event; arrays of one length.

    order: order id, for an event the number of its visit (0: unknown); contact: contact id or NOBODY; item: item id;
    amount: units (negative: returned) or the event's weight; at: microseconds since 1970.
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

    def within(self, low: int, high: int) -> Log:
        """What happened in [low, high); nothing is copied where the rows are in the order of time."""
        if (self.at[1:] >= self.at[:-1]).all():
            return self.take(slice(*np.searchsorted(self.at, [low, high]).tolist()))
        return self.take((self.at >= low) & (self.at < high))

    def take(self, chosen: Any) -> Log:
        """The rows of a mask, index array or slice."""
        return Log(self.order[chosen], self.contact[chosen], self.item[chosen], self.amount[chosen], self.at[chosen])


@dataclass(frozen=True, eq=False)
class Items:
    """The shop's recommendable items: ids; whether each may be offered now; category path, title and brand, "" when
    unknown; price and cost in ten-thousandths of the shop's currency, UNPRICED when unknown.
    """

    ids: Ints
    offerable: Mask
    categories: tuple[str, ...]
    titles: tuple[str, ...]
    brands: tuple[str, ...]
    prices: Ints
    costs: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Items:
        """From (id, active, category, title, brand, price, cost) rows; what stands at their end may be missing."""
        columns = list(zip(*([*row, *_UNKNOWN[len(row) :]] for row in rows), strict=True)) or [()] * len(_UNKNOWN)
        ids, offerable, *texts, prices, costs = columns
        categories, titles, brands = (tuple(text or "" for text in column) for column in texts)
        money = (np.array([UNPRICED if one is None else one for one in column], np.int64) for column in (prices, costs))
        return cls(np.array(ids, np.int64), np.array(offerable, bool), categories, titles, brands, *money)

    def take(self, rows: Ints) -> Items:
        """The items at `rows`, in that order."""
        categories, titles, brands = (
            tuple(column[row] for row in rows.tolist()) for column in (self.categories, self.titles, self.brands)
        )
        ids, offerable, prices, costs = self.ids[rows], self.offerable[rows], self.prices[rows], self.costs[rows]
        return Items(ids, offerable, categories, titles, brands, prices, costs)


_UNKNOWN: Final = (None, True, None, None, None, None, None)


@dataclass(frozen=True, eq=False)
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
        log = self.purchases.take(self._is_known(self.purchases))
        order = ordered(log.item, log.order)
        log = log.take(order)
        starts = np.flatnonzero(changes(log.order, log.item))
        net = np.add.reduceat(log.amount, starts) if len(starts) else np.zeros(0)
        kept = log.take(starts[net > 0])
        return Log(kept.order, kept.contact, kept.item, net[net > 0], kept.at)

    @cached_property
    def item_ids(self) -> Ints:
        """Item id of each number: by falling number of orders, then id."""
        ids = self._known
        counts = np.bincount(places(ids, self.lines.item), minlength=len(ids))
        return ids[np.lexsort((ids, -counts))]

    @cached_property
    def _known(self) -> Ints:
        return np.sort(self.items.ids)

    @property
    def offerable(self) -> Mask:
        """Whether the item of each number may be offered."""
        return self.catalogue.offerable

    @cached_property
    def catalogue(self) -> Items:
        """The items by number."""
        return self.items.take(self.rows)

    @cached_property
    def rows(self) -> Ints:
        """Row of each number in `items`."""
        order = np.argsort(self.items.ids)
        found: Ints = order[np.searchsorted(self.items.ids, self.item_ids, sorter=order)]
        return found

    def numbers(self, item_ids: Ints) -> Ints:
        """Number of each item id, -1 for an unknown one."""
        return numbers(self.item_ids, item_ids)

    @cached_property
    def baskets(self) -> sparse.csr_array:
        """Orders x items, 1 where bought."""
        return self._held(np.cumsum(changes(self._usual.order)) - 1)

    @cached_property
    def basket_days(self) -> npt.NDArray[np.float64]:
        """How many days before the last one each of `baskets` was bought."""
        at = self._usual.at[changes(self._usual.order)]
        return np.asarray((at.max(initial=0) - at) / DAY)

    @cached_property
    def buyers(self) -> sparse.csr_array:
        """Buyers x items, 1 where ever bought."""
        buyers = self._usual.buyers
        order = ordered(buyers)
        row = np.empty(len(order), np.int64)
        row[order] = np.cumsum(changes(buyers[order])) - 1
        return self._held(row)

    @cached_property
    def _usual(self) -> Log:
        """The lines without orders of more than LARGEST_BASKET items."""
        row = np.cumsum(changes(self.lines.order)) - 1
        usual = np.bincount(row) <= LARGEST_BASKET if len(row) else row
        return self.lines if np.all(usual) else self.lines.take(usual[row])

    def _held(self, holders: Ints) -> sparse.csr_array:
        """Holders x items of the usual lines, ones; `holders`: the row of each."""
        matrix = _matrix(holders, self.numbers(self._usual.item), self._width)
        matrix.data[:] = 1
        return matrix

    @cached_property
    def newest(self) -> datetime:
        """When a contact did something last: an old shop teaches as on the day after."""
        last = max((int(log.at.max()) for log in (self.kept, self.seen) if len(log)), default=0)
        return EPOCH + timedelta(microseconds=last)

    @cached_property
    def people(self) -> Ints:
        """Contacts who bought or viewed, by id: one for each row of `trails`."""
        return distinct(np.concatenate([self.kept.contact, self.seen.contact]))

    @cached_property
    def trails(self) -> Trail:
        """What each of `people` bought and viewed; nothing of an item that went back as a whole."""
        lines = self.lines.take((self.lines.contact != NOBODY) & ~among(self.lines, self._settled[1]))
        logs = (lines, self.seen)
        contact, item, order, at = (np.concatenate([getattr(log, name) for log in logs]) for name in _TOLD)
        weight = np.concatenate([np.ones(len(lines)), self.seen.amount])
        rows = places(self.people, contact)
        return Trail.of(rows, len(self.people), items=self.numbers(item), weights=weight, occasions=order, at=at)

    def held(self, half_life_days: float | None) -> sparse.csr_array:
        """`people` x items: what each holds, halved by so many days until `newest`."""
        known = self._held_by
        if half_life_days not in known:
            known.clear()  # tuning asks for many, parts of one blend for the same
            known[half_life_days] = self.trails.matrix(self._width, self.newest, half_life_days=half_life_days)
        return known[half_life_days]

    def forget_held(self) -> None:
        """Let go of it: .2 GB at sixteen million interactions, which nobody asks for any more."""
        self._held_by.clear()

    @cached_property
    def _held_by(self) -> dict[float | None, sparse.csr_array]:
        return {}

    @cached_property
    def visits(self) -> Trail:
        """What was viewed in each visit of anybody, known or not; visits by their number."""
        log = self.views.take(self._is_known(self.views) & (self.views.order > 0))
        log = log.take(ordered(log.order))
        begins = changes(log.order)
        found, rows = log.order[begins], np.cumsum(begins) - 1
        return Trail.of(
            rows, len(found), items=self.numbers(log.item), weights=log.amount, occasions=log.order, at=log.at
        )

    @cached_property
    def seen(self) -> Log:
        """The views of known items by known contacts."""
        return self.views.take(self._is_known(self.views) & (self.views.contact != NOBODY))

    @cached_property
    def kept(self) -> Log:
        """The last purchase of each contact and item, without what went back as a whole in another order."""
        return self._settled[0]

    @cached_property
    def _settled(self) -> tuple[Log, Log]:
        return last_kept(self.purchases.take((self.purchases.contact != NOBODY) & self._is_known(self.purchases)))

    def _is_known(self, log: Log) -> Mask:
        return places(self._known, log.item) >= 0

    def between(self, start: datetime, end: datetime) -> Interactions:
        """Only what happened in [start, end)."""
        low, high = microseconds(start), microseconds(end)
        purchases, views = (log.within(low, high) for log in (self.purchases, self.views))
        return Interactions(purchases, views, self.items, end)

    @property
    def _width(self) -> int:
        return len(self.item_ids)


Of = TypeVar("Of")
Made = TypeVar("Made")


def once(make: Callable[[Of], Made]) -> Callable[[Of], Made]:
    """Have it made once for as long as what it is made of is there: several parts and sources ask."""
    made: WeakKeyDictionary[Of, Made] = WeakKeyDictionary()

    @wraps(make)
    def found(given: Of) -> Made:
        if given not in made:
            made[given] = make(given)
        return made[given]

    return found


def numbers(item_ids: Ints, wanted: Ints, order: Ints | None = None) -> Ints:
    """Place of each of `wanted` in `item_ids` (`order` sorts them), -1 where absent."""
    if not len(item_ids):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(item_ids) if order is None else order
    if len(wanted) > len(item_ids):
        at = places(item_ids[order], wanted)
        return np.where(at >= 0, order[at], -1)
    at = np.minimum(np.searchsorted(item_ids, wanted, sorter=order), len(item_ids) - 1)
    found = order[at]
    return np.where(item_ids[found] == wanted, found, -1)


def visits(who: Ints, at: Ints) -> Ints:
    """Number of the visit, from 1, of each event: a visit ends when who it is does nothing for VISIT_GAP."""
    order = ordered(at, who)
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(who[order]) != 0) | (np.diff(at[order]) > VISIT_GAP)
    found = np.empty(len(order), np.int64)
    found[order] = np.cumsum(begins)
    return found


def tastes(kept: Log, seen: Log, until: datetime) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """(contact, item, weight), one row for each pair, by contact and item: a purchase weighs 1, an event its weight,
    both halved every HALF_LIFE_DAYS and added up to 1 at most.
    """
    contact, item, at = (
        np.concatenate([getattr(kept, column), getattr(seen, column)]) for column in ("contact", "item", "at")
    )
    age = np.maximum(microseconds(until) - at, 0) / DAY
    weight = np.concatenate([np.ones(len(kept)), seen.amount]) * np.exp2(-age / HALF_LIFE_DAYS)
    order = ordered(item, contact)
    contact, item, weight = contact[order], item[order], weight[order]
    starts = np.flatnonzero(changes(contact, item))
    total = np.add.reduceat(weight, starts) if len(starts) else weight
    return contact[starts], item[starts], np.minimum(total, 1.0)


_TOLD: Final = ("contact", "item", "order", "at")


def among(log: Log, others: Log) -> Mask:
    """Which rows are of a contact and item of `others`, which are in the order of both."""
    width = max(int(log.item.max(initial=0)), int(others.item.max(initial=0))) + 1
    known, asked = (one.contact.astype(np.int64) * width + one.item for one in (others, log))
    return places(known, asked) >= 0


def last_kept(log: Log) -> tuple[Log, Log]:
    """One row per contact and item: the last purchase where the units bought and returned leave something, and the
    first row where they do not.
    """
    log = log.take(ordered(log.at, log.item, log.contact))
    begins = changes(log.contact, log.item)
    group, starts = np.cumsum(begins) - 1, np.flatnonzero(begins)
    groups = len(starts) if len(log) else 0
    net, starts = np.bincount(group, log.amount, groups), starts[:groups]
    last = np.full(groups, -1, np.int64)
    bought = np.flatnonzero(log.amount > 0)
    last[group[bought]] = bought  # rows are in time order: the last assignment stays
    return log.take(last[net > 0]), log.take(starts[net <= 0])


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
        events.contact_id.notnull() | events.visitor.notnull(),
        events.type.isin(list(EVENT_WEIGHTS)),
    ).select("contact_id", "visitor", "item_id", amount=weighed, at=events.occurred_at)
    items = warehouse.table("items")
    ours = items.currency == warehouse.config.locale.currency  # prices of others are not compared
    money = {f"our_{name}": ours.ifelse(items[name], None) for name in ("price", "cost")}
    items = items.filter(items.recommendable).mutate(**money)
    found = warehouse.execute(items.select("id", "active", "category", "title", "brand", "our_price", "our_cost"))
    return Interactions(
        _log(warehouse.execute(purchases)),
        _views(warehouse.execute(views)),
        Items.of(list(zip(*(column.to_pylist() for column in found.columns), strict=True))),
        now,
    )


def _views(table: Any) -> Log:
    """A Log from an Arrow table of contact_id, visitor, item_id, amount, at. Whose visit an event belongs to: the
    contact's, else the visitor's.
    """
    visitor = table["visitor"].combine_chunks().dictionary_encode().indices.fill_null(0).to_numpy()
    contact = table["contact_id"].fill_null(NOBODY).to_numpy()
    who = np.where(contact == NOBODY, NOBODY - 1 - visitor, contact).astype(np.int64)
    at = table["at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy().astype(np.int64)
    return _log(table.append_column("order_id", pa.array(visits(who, at))))


def _log(table: Any) -> Log:
    """A Log from an Arrow table of order_id, contact_id, item_id, amount, at."""
    at = table["at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    order, contact, item = map(_slim, (table["order_id"], table["contact_id"].fill_null(NOBODY), table["item_id"]))
    found = Log(order, contact, item, table["amount"].to_numpy().astype(np.float32), at.to_numpy().astype(np.int64))
    return found.take(np.argsort(found.at, kind="stable"))  # in time: a split of it copies nothing, .4 GB less


def _slim(column: Any) -> Ints:
    """Half as large where the numbers are small enough: there are a dozen such arrays, of millions each."""
    values: Ints = column.to_numpy()
    small = not len(values) or int(values.max()) < SMALL
    return values.astype(np.int32 if small else np.int64)


def _matrix(row: Ints, column: Ints, width: int, data: Any = None) -> sparse.csr_array:
    values = np.ones(len(row), np.float32) if data is None else np.asarray(data, np.float32)
    height = int(row.max()) + 1 if len(row) else 0
    return sparse.csr_array((values, (row.astype(np.int32), column.astype(np.int32))), shape=(height, width))
