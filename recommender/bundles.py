"""Bundles: two to four items for a price of their own, made by a marketer, and what became of each.

The first item leads: the source `bundles` offers the others where it is looked at. A bundle is offered on its days
while all its items may be, and while it is cheaper than they are one by one. One with an item that is suppressed
everywhere is not on sale at all, so that no row tells a price that no cart charges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final, NamedTuple

import ibis
import numpy as np
import pyarrow as pa
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from engine.database import microseconds, take_turn
from engine.dialect import microseconds as moment
from engine.errors import Conflict, Invalid, Noted, NotFound
from engine.models import Item
from engine.warehouse import Warehouse
from recommender.business import KINDS, About
from recommender.fitted import Fitted
from recommender.models import Bundle
from recommender.placements import RESERVED, check_key, suppressed
from recommender.shelf import Shelf
from recommender.sources.bundles import Bundles, Offer

LEAST_ITEMS: Final = 2
MOST_ITEMS: Final = 4
MOST: Final = 500
NAME: Final = 128
DISCOUNT: Final = About("share", "score", "Discount", "", None, 0.01, 0.9)
_TURN: Final = "bundles"  # two who make one at once write one after the other, so that neither is lost and MOST holds
BEFORE_DAYS: Final = 365  # at most so long before a bundle is looked at beside it


class OnSale(NamedTuple):
    """What of a bundle makes its offer."""

    key: str
    name: str
    items: tuple[str, ...]
    price: int | None
    discount: float | None


class Charged(NamedTuple):
    """A bundle as a shop charges it: its items' keys, the lead first; the price of the set, and what that saves beside
    the items one by one, in ten-thousandths.
    """

    key: str
    name: str
    items: tuple[str, ...]
    price: int
    saves: int
    currency: str


class Take(NamedTuple):
    """Orders that hold the whole set, and those that hold its lead item, since the bundle is offered and in the equally
    long time before (at most BEFORE_DAYS).
    """

    since: int = 0
    lead_since: int = 0
    before: int = 0
    lead_before: int = 0


def find(session: Session, key: str) -> Bundle:
    """The bundle; raises NotFound."""
    found = session.scalar(select(Bundle).where(Bundle.key == key))
    if found is None:
        raise NotFound(f"There is no bundle '{key[:80]}'.")
    return found


def read(session: Session) -> list[Bundle]:
    """All of them, the newest first."""
    return list(session.scalars(select(Bundle).order_by(Bundle.id.desc())))


def edit(session: Session, key: str, given: Mapping[str, Any], now: datetime, currency: str) -> Bundle:
    """Write a bundle as `planned` understands it. Raises Faults that name the fields, and Conflict where another sells
    the same items on its days.
    """
    check_key(key)
    hold(session)
    made = session.scalar(select(Bundle).where(Bundle.key == key))
    if made is None:
        if (session.scalar(select(func.count()).select_from(Bundle)) or 0) >= MOST:
            raise Invalid(f"There are {MOST} bundles; delete one first.", field="key")
        made = Bundle(key=key, created_at=now)
    told = planned(session, given, currency)
    _check_alone(session, key, told, now.date())
    for name, value in told.items():
        setattr(made, name, value)
    made.updated_at = now
    session.add(made)
    session.flush()
    return made


def make(session: Session, given: Mapping[str, Any], now: datetime, currency: str) -> Bundle:
    """A new bundle, under a key of the letters of its name that nobody has; who asks twice for the same in every
    respect, as by a double click, gets the first. Raises as `edit`.
    """
    hold(session)
    told = planned(session, given, currency)
    for one in read(session):
        if is_as(one, told):
            return one
    slug = re.sub(r"[^a-z0-9]+", "-", str(given.get("name") or "").lower()).strip("-")[:50]
    slug = slug if slug[:1].isalpha() and slug != RESERVED else f"set-{slug}".rstrip("-")
    taken = set(session.scalars(select(Bundle.key)))
    free = next(key for key in (slug, *(f"{slug}-{number}" for number in range(2, MOST + 2))) if key not in taken)
    return edit(session, free, given, now, currency)


def hold(session: Session) -> None:
    """Let nobody else write a bundle until the transaction ends."""
    take_turn(session, _TURN)


def planned(session: Session, given: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """The columns of a bundle from its name, items (keys, the lead first), price in currency units or discount as a
    share, from and until (days, both included) and active. Raises Faults that name the fields.
    """
    noted, days = Noted(), dict[str, date | None]()
    items, price, discount = dict[str, int | None](), None, None
    name = str(given.get("name") or "").strip()
    if not 1 <= len(name) <= NAME:
        noted.found.append(Invalid(f"Give the bundle a name of up to {NAME} letters.", field="name"))
    with noted:
        items = _items(session, given.get("items"), currency)
    with noted:
        price, discount = _price(given, items)
    for column, field in (("since", "from"), ("until", "until")):
        with noted:
            days[column] = _day(given, field)
    since, until = days.get("since"), days.get("until")
    if since and until and until < since:
        noted.found.append(Invalid("The last day is before the first.", field="until"))
    noted.tell()
    told = {"name": name, "items": list(items), "price": price, "discount": discount}
    return told | days | {"active": bool(given.get("active", True))}


def is_as(bundle: Bundle, told: Mapping[str, Any]) -> bool:
    """Whether a bundle is what is `planned`, in every respect."""
    return all(getattr(bundle, name) == value for name, value in told.items())


def _check_alone(session: Session, key: str, told: Mapping[str, Any], today: date) -> None:
    """Raise Conflict for items that another bundle sells on a day from today on: both would be offered at once. Leads
    tell two apart, as each is offered elsewhere; the order of the others does not.
    """
    if not told["active"]:
        return
    first, last = max(told["since"] or today, today), told["until"] or date.max
    lead, *others = told["items"]
    for one in session.scalars(select(Bundle).where(Bundle.active, Bundle.key != key).order_by(Bundle.id)):
        shared = (one.since or today) <= last and first <= (one.until or date.max)
        if shared and one.items[0] == lead and set(one.items[1:]) == set(others):
            raise Conflict(
                f"“{one.name}” ({one.key}) sells the same items; change that one, or switch it off first.",
                field="items",
            )


def delete(session: Session, key: str) -> None:
    """Take a bundle away; orders keep what was bought. Raises NotFound."""
    session.delete(find(session, key))


def on_sale(session: Session, today: date) -> tuple[OnSale, ...]:
    """What is offered today, in the order they were made; without those of which an item is suppressed everywhere."""
    query = select(Bundle.key, Bundle.name, Bundle.items, Bundle.price, Bundle.discount).where(
        Bundle.active,
        or_(Bundle.since.is_(None), Bundle.since <= today),
        or_(Bundle.until.is_(None), Bundle.until >= today),
    )
    rows, hidden = session.execute(query.order_by(Bundle.id)), frozenset(suppressed(session))
    return tuple(
        OnSale(row.key, row.name, tuple(row.items), row.price, row.discount)
        for row in rows
        if hidden.isdisjoint(row.items)
    )


def charged(session: Session, today: date) -> list[Charged]:
    """What a shop charges today for sets: those on sale of which all items are sold and dearer one by one. Whether they
    are in stock the shop knows best.
    """
    sets = on_sale(session, today)
    wanted = {key for one in sets for key in one.items}
    query = select(Item.key, Item.price, Item.currency).where(
        Item.key.in_(wanted), Item.active, Item.recommendable, Item.price.is_not(None)
    )
    known = {row.key: row for row in session.execute(query)}
    found = []
    for one in sets:
        rows = [known[key] for key in one.items if key in known]
        apart, currencies = sum(row.price for row in rows), {row.currency for row in rows}
        price = cost(apart, one.price, one.discount)
        if len(rows) == len(one.items) and len(currencies) == 1 and price < apart:
            found.append(Charged(one.key, one.name, one.items, price, apart - price, currencies.pop()))
    return found


def source(sets: Sequence[OnSale], shelf: Shelf, fitted: Fitted) -> Bundles:
    """The source of what is on sale; without sets whose items nobody knows, have no price, or are cheaper apart."""
    offers = [offer for offer in map(partial(_offer, shelf=shelf, fitted=fitted), sets) if offer]
    return Bundles(tuple(sorted(offers, key=lambda offer: -offer.saves)))


def _offer(bundle: OnSale, shelf: Shelf, fitted: Fitted) -> Offer | None:
    ids = [shelf.keys.get(key, 0) for key in bundle.items]
    numbers = fitted.numbers(np.array(ids, np.int64))
    shown = [shelf.shown[item] for item in ids if item in shelf.shown]
    prices = [one.price for one in shown if one.price is not None]
    currencies = {one.currency for one in shown}
    if (numbers < 0).any() or len(prices) < len(ids) or len(currencies) > 1:
        return None
    price = cost(sum(prices), bundle.price, bundle.discount)
    saves = sum(prices) - price
    items = tuple(int(number) for number in numbers)
    return Offer(bundle.key, bundle.name, items, price, saves, currencies.pop()) if saves > 0 else None


def cost(apart: int, price: int | None, discount: float | None) -> int:
    """What a set costs whose items cost `apart` one by one, in ten-thousandths, rounded to hundredths."""
    if price is not None:
        return price
    return round(apart * (1 - (discount or 0)) / 100) * 100


def amount(price: Any) -> int | None:
    """A price as it is typed, in ten-thousandths. Raises Invalid."""
    return None if price is None else KINDS["amount"].read(price, DISCOUNT, "price")


def taken(warehouse: Warehouse, bundles: Sequence[Bundle], now: datetime) -> dict[int, Take]:
    """What became of each bundle, by its id."""
    if not bundles:
        return {}
    asked = ibis.memtable(_asked(bundles, now, warehouse.config.locale.zone))
    orders, lines = warehouse.table("orders"), warehouse.table("order_lines")
    ids = warehouse.table("items").select("key", item_id="id")
    held = lines.filter(lines.quantity > 0).select("order_id", "item_id").distinct()
    told = held.inner_join(ids, "item_id").inner_join(asked, "key")
    told = told.inner_join(orders.select(order_id=orders.id, at=moment(orders.ordered_at)), "order_id")
    told = told.filter(told["at"] >= told.before, told["at"] < microseconds(now))
    each = told.group_by("bundle", "order_id").agg(
        whole=told.count() == told.size.max(), lead=told.lead.any(), later=(told["at"] >= told.start).any()
    )
    counted = each.group_by("bundle").agg(
        since=(each.whole & each.later).sum(),
        lead_since=(each.lead & each.later).sum(),
        before=(each.whole & ~each.later).sum(),
        lead_before=(each.lead & ~each.later).sum(),
    )
    rows = warehouse.execute(counted).to_pylist()
    found = {row.pop("bundle"): Take(**{name: int(count or 0) for name, count in row.items()}) for row in rows}
    return {bundle.id: found.get(bundle.id, Take()) for bundle in bundles}


def _asked(bundles: Sequence[Bundle], now: datetime, zone: tzinfo) -> pa.Table:
    rows = []
    for bundle in bundles:
        start = begins(bundle, zone)
        long = min(max(now - start, timedelta()), timedelta(days=BEFORE_DAYS))
        rows += [
            {
                "bundle": bundle.id,
                "key": key,
                "lead": place == 0,
                "size": len(bundle.items),
                "start": microseconds(start),
                "before": microseconds(start - long),
            }
            for place, key in enumerate(bundle.items)
        ]
    return pa.Table.from_pylist(rows)


def begins(bundle: Bundle, zone: tzinfo) -> datetime:
    """When it could be bought first; its days are those of the shop's `zone`."""
    if bundle.since is None:
        return bundle.created_at
    return max(bundle.created_at, datetime.combine(bundle.since, datetime.min.time(), zone))


def _day(given: Mapping[str, Any], field: str) -> date | None:
    value = given.get(field)
    try:
        return value if isinstance(value, date) else date.fromisoformat(value) if value else None
    except (TypeError, ValueError):
        raise Invalid("Write a day like 2026-12-24.", field=field) from None


def _items(session: Session, given: Any, currency: str) -> dict[str, int | None]:
    """Prices of the items by their keys, the lead first."""
    keys = list(KINDS["items"].read(given, DISCOUNT, "items"))
    if not LEAST_ITEMS <= len(keys) <= MOST_ITEMS:
        raise Invalid(f"Name {LEAST_ITEMS} to {MOST_ITEMS} different items, the one that leads first.", field="items")
    query = select(Item.key, Item.price, Item.currency).where(Item.key.in_(keys))
    known, noted = {row.key: row for row in session.execute(query)}, Noted()
    for place, key in enumerate(keys):
        words = ""
        if key not in known:
            words = f"There is no item '{key[:80]}'; take its number from your catalogue."
        elif known[key].currency != currency:
            words = f"'{key}' is not sold in {currency}, as the shop is."
        if words:
            noted.found.append(Invalid(words, field=f"items.{place}"))
    noted.tell()
    return {key: known[key].price for key in keys}


def _price(given: Mapping[str, Any], items: Mapping[str, int | None]) -> tuple[int | None, float | None]:
    price, discount = given.get("price"), given.get("discount")
    if (price is None) == (discount is None):
        raise Invalid("Give the bundle a price, or a discount: one of the two.", field="price")
    if price is None:
        return None, KINDS["share"].read(discount, DISCOUNT, "discount")
    asked = amount(price)
    apart = [one for one in items.values() if one is not None]
    known = len(apart) == len(items) > 0  # none where the items themselves are at fault
    if asked is None or asked <= 0 or (known and asked >= sum(apart)):
        raise Invalid("Ask more than nothing, and less than the items cost one by one.", field="price")
    return asked, None
