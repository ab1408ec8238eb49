"""The demo's storefront is opened: it gets a database of its own, keys to Rapport's doors, and items that say where
they are.

What is there already stays as it is, so a demo shop of an older Rapport gets a storefront too.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from engine import intake
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Item, Order, OrderLine
from web.api import access
from web.demo.storefront import store
from web.demo.storefront.settings import FILE, Settings
from web.demo.stories import SHOP

if TYPE_CHECKING:
    from web.demo.workspace import Marker

SCOPES: Final = (
    "contacts:read",
    "contacts:write",
    "events:write",
    "items:write",
    "orders:write",
    "recommendations:read",
)
NAME: Final = "Storefront of the demo"  # of its keys
LATELY: Final = timedelta(days=90)
FACES: Final = 9  # people one can be
REGULARS: Final = 400  # they are chosen among those with the most orders who still come


def furnish(database: Database, config: Config, marker: Marker, url: str, now: datetime) -> Marker:
    """Everything the storefront at `url` needs; the marker then holds its keys."""
    with database.begin() as session:
        marker = _keys(session, marker, url, now)
        _place(session, config, url, now)
    settings = Settings(
        folder=str(config.folder.resolve()),
        url=url,
        rapport=config.server.public_url.rstrip("/"),
        name=SHOP,
        currency=config.locale.currency,
        key=marker.shop_key,
        browser_key=marker.browser_key,
        site=config.tracking.site,
        secret=config.tracking.secret or marker.signing,
        cookie_key=marker.cookie_key,
    )
    settings.write(config.folder / FILE)
    own = Database(settings.store)
    try:
        store.prepare(own)
        with own.begin() as shop, database.read() as session:
            if shop.execute(select(store.ITEMS.c.key).limit(1)).first() is None:
                _stock(session, shop, now)
    finally:
        own.close()
    return marker


def settings_file(config: Config) -> Path:
    """Where the storefront's process reads what it needs to know."""
    return config.folder / FILE


def _keys(session: Session, marker: Marker, url: str, now: datetime) -> Marker:
    """A secret key for its server, a public one bound to its origin, and words to sign with."""
    if not marker.shop_key:
        key = access.add_key(session, f"{NAME}, its server", SCOPES, now=now)
        signing, cookie_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        marker = replace(marker, shop_key=key, signing=signing, cookie_key=cookie_key)
    if marker.browser_origin != url:
        if marker.browser_key:
            access.revoke_key(session, marker.browser_key, now=now)
        key = access.add_browser_key(session, f"{NAME}, its pages", [url], now=now)
        marker = replace(marker, browser_key=key, browser_origin=url)
    return marker


def _place(session: Session, config: Config, url: str, now: datetime) -> None:
    """Items say where they are and what they look like; again when the storefront has moved."""
    wanted = {
        key: {"key": key, "url": f"{url}/items/{key.lower()}", "image_url": f"{url}/pictures/{key.lower()}.svg"}
        for key in session.scalars(select(Item.key).order_by(Item.id))
    }
    there = {
        key: {"key": key, "url": place, "image_url": picture}
        for key, place, picture in session.execute(select(Item.key, Item.url, Item.image_url))
    }
    moved = [record for key, record in wanted.items() if there[key] != record]
    if moved:
        intake.accept(session, "items", moved, now=now, config=config)


def _stock(session: Session, shop: Session, now: datetime) -> None:
    """The shop's own database, from what the demo made up of its past."""
    sold: Mapping[int, int] = dict(
        session.execute(
            select(OrderLine.item_id, func.sum(OrderLine.quantity))
            .join(Order)
            .where(Order.ordered_at > now - LATELY, OrderLine.quantity > 0)
            .group_by(OrderLine.item_id)
        ).all()
    )
    shop.execute(
        insert(store.ITEMS),
        [
            {
                "key": item.key,
                "title": item.title,
                "category": item.category,
                "brand": item.brand,
                "price": item.price,
                "stock": item.stock or 0,
                "active": item.active,
                "sold": int(sold.get(item.id, 0)),
                "listed": item.created_at,
            }
            for item in session.scalars(select(Item).where(Item.recommendable, Item.price.is_not(None)))
        ],
    )
    about = dict(_faces(session, now))
    people = select(Contact.id, Contact.key, Contact.email, Contact.first_name, Contact.last_name).where(
        Contact.email.is_not(None), Contact.merged_into.is_(None)
    )
    shop.execute(
        insert(store.PEOPLE),
        [
            {
                "key": one.key,
                "email": one.email,
                "first_name": one.first_name or "",
                "last_name": one.last_name or "",
                "about": about.get(one.id, ""),
            }
            for one in session.execute(people)
        ],
    )


def _faces(session: Session, now: datetime) -> Iterable[tuple[int, str]]:
    """Regulars, each fond of something else: id and words."""
    orders = func.count()
    regulars = dict(
        session.execute(
            select(Order.contact_id, orders)
            .join(Contact, Contact.id == Order.contact_id)
            .where(Contact.email.is_not(None), Contact.email_consent.is_(True), Contact.merged_into.is_(None))
            .where(Order.total > 0)
            .group_by(Order.contact_id)
            .having(func.max(Order.ordered_at) > now - LATELY)
            .order_by(orders.desc(), Order.contact_id)
            .limit(REGULARS)
        ).all()
    )
    tastes: dict[int, Counter[str]] = {}
    bought = (
        select(Order.contact_id, Item.category, func.count())
        .join(OrderLine, OrderLine.order_id == Order.id)
        .join(Item, Item.id == OrderLine.item_id)
        .where(Order.contact_id.in_(regulars), OrderLine.quantity > 0, Item.category.is_not(None))
        .group_by(Order.contact_id, Item.category)
    )
    for contact, category, lines in session.execute(bought):
        assert contact is not None  # as asked
        assert category is not None
        tastes.setdefault(contact, Counter())[" > ".join(category.split(" > ")[:2])] += lines
    fond = sorted(
        ((count / taste.total(), kind, who) for who, taste in tastes.items() for kind, count in taste.most_common(1)),
        key=lambda one: (-one[0], one[2]),
    )
    chosen: dict[str, int] = {}
    for _share, kind, who in fond:
        chosen.setdefault(kind, who)
    for kind, who in list(chosen.items())[:FACES]:
        yield who, f"Mostly {kind.rpartition(' > ')[2].lower()}, {regulars[who]} order{'s' * (regulars[who] > 1)}"
