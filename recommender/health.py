"""How healthy the catalogue is for recommendations: what is never offered, what is shown though it is sold out, what
rules drop because something about it is missing, and which placements answer nothing.

Two honest looks, both bounded: what the placements answer now, asked for a sample of people and pages, and what people
were shown in the last DAYS by their impressions. A sample tells what is offered often for certain, and what is never
offered only as far as it went: whoever shows this says how many answers it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import cycle, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.models import Order
from recommender import placements
from recommender.answers import Request
from recommender.arrays import Ints, Mask
from recommender.business import Pin, Rules
from recommender.placements import Plan
from recommender.sources.about import Signal, asked_with, led_by_past

if TYPE_CHECKING:
    from engine.warehouse import Warehouse
    from recommender.serving import Recommender

PEOPLE: Final = 80  # who ordered last: asked about at every placement
PAGES: Final = 80  # items, each looked at by a stranger where an item is looked at
ROW: Final = 8  # items of an answer
DAYS: Final = 28  # of impressions
LATEST: Final = 2_000  # orders looked through for the last people
TOP: Final = 10  # items that the concentration is told of
LISTS: Final[Mapping[Signal, str]] = {"page": "items", "cart": "cart", "visit": "session"}  # of a question

PRICES: Final = ("price_min", "price_max", "price_ratio_min", "price_ratio_max")
MARGINS: Final = ("margin_min", "margin_max", "boost_margin")
CATEGORIES: Final = ("categories", "category_cap")


@dataclass(frozen=True)
class Reach:
    """What one placement answered. places: how often it offered each item, by id; empty: answers without any item."""

    plan: Plan
    asked: int
    empty: int
    places: Mapping[int, int]
    sources: Mapping[str, int]

    @property
    def top_share(self) -> float:
        """Share of the places that its TOP items take; 0 when it offers nothing."""
        return concentration(self.places)


def concentration(places: Mapping[int, int]) -> float:
    """Share of all places that the TOP most frequent items take."""
    return sum(sorted(places.values(), reverse=True)[:TOP]) / max(sum(places.values()), 1)


def ask(session: Session, recommender: Recommender, keys: Sequence[str], *, now: datetime) -> list[Reach]:
    """Ask every placement what it is asked in a shop: for the people who ordered last and, where an item is looked at,
    for strangers, with `keys` on the page, in the cart or of the visit.
    """
    people = _people(session)
    plans = placements.read(session).values()
    return [_reach(session, recommender, plan, _questions(plan, people, keys[:PAGES]), now) for plan in plans]


def _questions(plan: Plan, people: Sequence[int], keys: Sequence[str]) -> list[Request]:
    """Of one placement. A page and a cart are there for all; a visit alone for strangers where history leads."""
    held = asked_with(plan.sources, plan.key)
    lists = [name for signal, name in LISTS.items() if signal in held]
    bare = Request(plan.key, n=ROW, explain=False)
    looking: list[dict[str, Any]] = [dict.fromkeys(lists, (key,)) for key in keys] if lists else []
    strangers = [replace(bare, **given) for given in looking]
    alone = not strangers or (lists == ["session"] and led_by_past(plan.sources))
    known = zip(people, repeat(bare) if alone else cycle(strangers), strict=False)
    return [*(replace(asked, contact_id=contact) for contact, asked in known), *strangers] or [bare]


def _people(session: Session) -> list[int]:
    known = select(Order.contact_id).where(Order.contact_id.is_not(None))
    latest = session.scalars(known.order_by(Order.ordered_at.desc(), Order.id).limit(LATEST))
    return list(dict.fromkeys(contact for contact in latest if contact is not None))[:PEOPLE]


def _reach(session: Session, recommender: Recommender, plan: Plan, asked: Sequence[Request], now: datetime) -> Reach:
    places: Counter[int] = Counter()
    sources: Counter[str] = Counter()
    empty = 0
    for request in asked:
        found = recommender.recommend(session, request, now=now, plan=plan).items
        empty += not found
        places.update(one.item_id for one in found)
        sources.update(one.source for one in found)
    return Reach(plan, len(asked), empty, places, sources)


@dataclass(frozen=True, eq=False)
class Goods:
    """The shop's items, one row each: all of them, sold or not."""

    ids: Ints
    keys: npt.NDArray[Any]
    columns: Mapping[str, list[Any]]
    sold: Mask  # active, and meant to be recommended
    stocked: Mask

    @classmethod
    def read(cls, warehouse: Warehouse) -> Goods:
        """From the warehouse as it is."""
        items = warehouse.table("items")
        wanted = ("id", "key", "title", "category", "brand", "price", "cost", "currency", "stock", "image_url",
                  "active", "recommendable")  # fmt: skip
        table = warehouse.execute(items.select(*wanted).order_by("id"))
        columns = {name: table[name].to_pylist() for name in wanted}
        sold = np.array(columns["active"], bool) & np.array(columns["recommendable"], bool)
        stocked = np.array([stock is None or stock > 0 for stock in columns["stock"]], bool)
        return cls(np.array(columns["id"], np.int64), np.array(columns["key"], object), columns, sold, stocked)

    def __len__(self) -> int:
        return len(self.ids)

    def lacks(self, name: str) -> Mask:
        """Which have nothing there."""
        return np.array([value is None or value == "" for value in self.columns[name]], bool)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Row of each key."""
        return {key: row for row, key in enumerate(self.keys.tolist())}


def seen(warehouse: Warehouse, event: str, *, now: datetime) -> dict[int, int]:
    """How many events of a type there were of each item in the last DAYS."""
    events = warehouse.table("events")
    lately = events.filter(
        events.type == event, events.item_id.notnull(), events.occurred_at >= now - timedelta(days=DAYS)
    )
    counted = lately.group_by("item_id").agg(n=lately.count())
    table = warehouse.execute(counted)
    return dict(zip(table["item_id"].to_pylist(), table["n"].to_pylist(), strict=True))


class Idle(NamedTuple):
    """A pin that puts nothing anywhere, and why: "unknown", "not sold", "sold out" or "suppressed"."""

    plan: Plan
    pin: Pin
    why: str


@dataclass(frozen=True, eq=False)
class Health:
    """What was found. learned: item ids of the training that serves, empty without one; shown and clicked: events of
    the last DAYS by item id; suppressed: keys shown nowhere.
    """

    goods: Goods
    reaches: Sequence[Reach]
    learned: Ints
    shown: Mapping[int, int]
    clicked: Mapping[int, int]
    suppressed: Sequence[str] = ()
    at: datetime | None = None
    _masks: dict[str, Mask] = field(default_factory=dict)

    @cached_property
    def offered(self) -> Mapping[int, int]:
        """How often all placements together offered each item."""
        total: Counter[int] = Counter()
        for reach in self.reaches:
            total.update(reach.places)
        return total

    @property
    def asked(self) -> int:
        """Answers looked at."""
        return sum(reach.asked for reach in self.reaches)

    @cached_property
    def offerable(self) -> Mask:
        """Which items placements may show: sold, in stock and not suppressed everywhere."""
        return self.goods.sold & self.goods.stocked & ~np.isin(self.goods.keys, np.array(self.suppressed, object))

    @property
    def reached(self) -> int:
        """How many of these some answer offered."""
        return int((self.offerable & self._among(self.offered)).sum())

    @property
    def dead(self) -> list[Reach]:
        """Placements that answer nothing, whoever asks."""
        return [reach for reach in self.reaches if reach.empty == reach.asked]

    def rows(self, check: str) -> Ints:
        """Rows of the items that a check finds."""
        return np.flatnonzero(self.mask(check)).astype(np.int64)

    def mask(self, check: str) -> Mask:
        """Which items a check finds; looked at once."""
        if check not in self._masks:
            self._masks[check] = CHECKS[check].find(self)
        return self._masks[check]

    @property
    def lost(self) -> int:
        """Items that the training that serves knows and the shop does not have any more: it never offers them."""
        return int((~np.isin(self.learned, self.goods.ids)).sum())

    def dropped_by(self, check: str) -> list[Plan]:
        """The placements whose rules drop, or cannot weigh, what a check finds."""
        names = CHECKS[check].rules
        return [reach.plan for reach in self.reaches if any(_is_set(reach.plan.rules, name) for name in names)]

    @property
    def idle(self) -> list[Idle]:
        """Pins that put nothing anywhere, though today is one of their days."""
        today = self.at.date() if self.at else None
        pins = [(reach.plan, pin) for reach in self.reaches for pin in reach.plan.rules.pins]
        found = [(plan, pin, self._why(plan, pin)) for plan, pin in pins if today is None or pin.holds(today)]
        return [Idle(plan, pin, why) for plan, pin, why in found if why]

    def _why(self, plan: Plan, pin: Pin) -> str:
        row = self.goods.rows.get(pin.item)
        if row is None:
            return "unknown"
        if not self.goods.sold[row]:
            return "not sold"
        if plan.rules.in_stock and not self.goods.stocked[row]:
            return "sold out"
        return "suppressed" if pin.item in {*self.suppressed, *plan.rules.suppressed} else ""

    def _among(self, counted: Mapping[int, int]) -> Mask:
        return np.isin(self.goods.ids, np.fromiter(counted, np.int64, len(counted)))


def _is_set(rules: Rules, name: str) -> bool:
    return bool(getattr(rules, name) != getattr(_PLAIN, name))


_PLAIN: Final = Rules()


class Check(NamedTuple):
    """What is looked for; rules: those of a placement that drop it, or cannot weigh it."""

    find: Callable[[Health], Mask]
    rules: Sequence[str] = ()


def _lacking(name: str) -> Callable[[Health], Mask]:
    return lambda health: health.goods.sold & health.goods.lacks(name)


def _sold_out_shown(health: Health) -> Mask:
    return health.goods.sold & ~health.goods.stocked & health._among(health.offered)


def _unlearned(health: Health) -> Mask:
    if not len(health.learned):
        return np.zeros(len(health.goods), bool)
    return health.goods.sold & ~np.isin(health.goods.ids, health.learned)


CHECKS: Final = {
    "never_offered": Check(
        lambda health: health.offerable & ~health._among(health.offered) & ~health._among(health.shown)
    ),
    "never_seen": Check(lambda health: health.offerable & ~health._among(health.shown)),
    "sold_out_shown": Check(_sold_out_shown),
    "no_price": Check(_lacking("price"), (*PRICES, *MARGINS)),
    "no_cost": Check(_lacking("cost"), MARGINS),
    "no_category": Check(_lacking("category"), CATEGORIES),
    "no_title": Check(_lacking("title")),
    "no_picture": Check(_lacking("image_url")),
    "unlearned": Check(_unlearned),
    "not_sold": Check(lambda health: ~health.goods.sold & np.isin(health.goods.ids, health.learned)),
}


def look(
    session: Session, warehouse: Warehouse, recommender: Recommender, learned: Ints, *, now: datetime, seed: int
) -> Health:
    """All of it. learned: item ids of the training that serves; `now` on the shop's clock. Takes about a millisecond
    for each of the (PEOPLE + PAGES) answers of each placement.
    """
    goods = Goods.read(warehouse)
    sold = goods.keys[goods.sold & goods.stocked]
    pages = np.random.default_rng(seed).permutation(len(sold))[:PAGES]
    reaches = ask(session, recommender, [str(key) for key in sold[pages]], now=now)
    shown, clicked = (seen(warehouse, event, now=now) for event in ("impression", "recommendation_click"))
    return Health(goods, reaches, learned, shown, clicked, placements.suppressed(session), now)
