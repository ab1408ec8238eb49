"""Placements: where an offer appears, which sources fill it in which order, and what may not be shown there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from engine.database import insert_new, take_turn
from engine.errors import Conflict, Invalid, Noted, NotFound, nearest
from engine.models import Item
from recommender import business
from recommender.business import Rules
from recommender.models import Comparison, Placement, SuppressedItem
from recommender.sources import NAMES
from recommender.sources.upsell import FARTHEST, LEAST, STEPS

KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
RESERVED: Final = "new"  # the address of the empty form
_ALL: Final = select(Placement.key, Placement.name, Placement.sources, Placement.rules).order_by(Placement.id)


@dataclass(frozen=True)
class Plan:
    """A placement as it is used: sources in order, and rules."""

    key: str
    name: str
    sources: tuple[str, ...]
    rules: Rules


DEARER: Final = 2 ** (FARTHEST / STEPS)  # times the price: what fills the row goes as far as the source of a step up
DEFAULTS: Final = {
    plan.key: plan
    for plan in (
        Plan(
            "home",
            "Home page",
            ("collaborative", "session", "trending", "popular", "newest"),
            Rules(exclude_purchased=True),
        ),
        Plan(
            "item",
            "Item page: goes with it",
            ("bundles", "rules", "similar", "popular_in_category", "popular", "newest"),
            Rules(),
        ),
        Plan("similar", "Item page: more like this", ("similar", "popular_in_category", "popular", "newest"), Rules()),
        Plan(
            "upsell",
            "Item page: a step up",
            ("upsell", "popular_in_category"),  # a best-seller of another category is no step up: rather fewer
            Rules(price_ratio_min=LEAST, price_ratio_max=DEARER),
        ),
        Plan(
            "cart",
            "Cart",
            ("bundles", "rules", "session", "collaborative", "popular_in_category", "popular", "newest"),
            Rules(),
        ),
        Plan("again", "Buy again", ("buy_again", "popular", "newest"), Rules(exclude_viewed=False)),
        Plan("next", "Next order", ("next_purchase", "collaborative", "popular", "newest"), Rules()),
        Plan(
            "email",
            "E-mail",
            ("collaborative", "trending", "popular", "newest"),
            Rules(exclude_purchased=True, unseen_mails=2),
        ),
    )
}


def seed(session: Session, now: datetime) -> None:
    """Write the placements every shop has, unless they are there."""
    rows = [
        {
            "key": plan.key,
            "name": plan.name,
            "sources": list(plan.sources),
            "rules": plan.rules.json(),
            "updated_at": now,
        }
        for plan in DEFAULTS.values()
    ]
    insert_new(session, Placement.__table__, rows, ["key"])  # type: ignore[arg-type]


def read(session: Session) -> dict[str, Plan]:
    """All placements by key: those of the shop, and the seeded ones nobody wrote yet."""
    return DEFAULTS | {
        row.key: Plan(row.key, row.name, tuple(row.sources), business.parse(row.rules)) for row in session.execute(_ALL)
    }


def suppressed(session: Session) -> tuple[str, ...]:
    """Keys of the items that no placement shows."""
    return tuple(session.scalars(select(SuppressedItem.key).order_by(SuppressedItem.key)))


def suppress(session: Session, keys: Sequence[str], now: datetime) -> None:
    """Show no other items nowhere: those of `keys` alone are kept back from now on, everywhere."""
    wanted = set(business.parse({"suppressed": list(keys)}, "everywhere").suppressed)
    session.execute(delete(SuppressedItem).where(SuppressedItem.key.not_in(wanted)))
    rows = [{"key": key, "at": now} for key in sorted(wanted)]
    insert_new(session, SuppressedItem.__table__, rows, ["key"])  # type: ignore[arg-type]


def edit(
    session: Session, key: str, *, name: str, sources: Sequence[str], given: Mapping[str, Any], now: datetime
) -> Plan:
    """Write a placement; raises Faults for what `planned` refuses, and Conflict while variants of it are compared:
    nobody would see the change, and it would be lost in what is adopted.
    """
    plan = planned(key, name, sources, given)
    _hold_free(session, key, "change")
    row = session.scalar(select(Placement).where(Placement.key == key)) or Placement(key=key)
    row.name, row.sources, row.rules, row.updated_at = plan.name, list(plan.sources), plan.rules.json(), now
    session.add(row)
    return plan


def delete_one(session: Session, key: str) -> None:
    """Delete a placement that the shop made. Raises NotFound, Conflict for one that every shop has (mails are filled by
    one of those) and while variants of it are compared.
    """
    if key in DEFAULTS:
        raise Conflict(f"Every shop has the placement '{key}': edit it, or do not ask for it.")
    _hold_free(session, key, "delete")
    row = session.scalar(select(Placement).where(Placement.key == key))
    if row is None:
        raise NotFound(f"There is no placement '{key}'.")
    session.delete(row)


def unknown_items(session: Session, *plans: Plan) -> dict[str, list[str]]:
    """By the key of each placement, the items that its rules name and nobody knows."""
    named = {plan.key: _named(plan.rules) for plan in plans}
    unknown = set(missing(session, list(chain.from_iterable(named.values()))))
    return {key: [item for item in items if item in unknown] for key, items in named.items()}


def _named(rules: Rules) -> list[str]:
    pinned = (pin.item for pin in (*rules.pins, *rules.buries))
    return list(dict.fromkeys((*rules.suppressed, *pinned)))


def missing(session: Session, keys: Sequence[str]) -> list[str]:
    """Those of the keys that are of no item."""
    known = set(session.scalars(select(Item.key).where(Item.key.in_(keys)))) if keys else set()
    return [key for key in keys if key not in known]


def _hold_free(session: Session, key: str, act: str) -> None:
    hold(session, key)
    if session.scalar(select(Comparison.id).where(Comparison.placement == key, Comparison.ended_at.is_(None))):
        raise Conflict(f"A comparison runs at this placement: stop it, or adopt a variant, before you {act} it.")


def hold(session: Session, key: str) -> None:
    """Let nobody else change the placement, or what is compared there, until the transaction ends."""
    take_turn(session, f"placement {key}")


def check_key(key: str) -> None:
    """Raise Invalid for what is no key of a placement or bundle."""
    if not KEY.fullmatch(key):
        raise Invalid("A key is made of a-z, 0-9, - and _, and begins with a letter.", field="key")
    if key == RESERVED:
        raise Invalid(f"The key '{RESERVED}' is the address of the empty form: choose another.", field="key")


def planned(key: str, name: str, sources: Sequence[str], given: Mapping[str, Any]) -> Plan:
    """A placement as it would be used; raises Faults for a key that is no name, a source or rule that does not exist,
    twice the same source, or none.
    """
    noted, rules = Noted(), Rules()
    with noted:
        check_key(key)
    with noted:
        _check_name(name)
    with noted:
        _check_sources(sources)
    with noted:
        rules = business.parse(given)
    noted.tell()
    return Plan(key, name.strip(), tuple(sources), rules)


def _check_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= 128:
        raise Invalid("Give the placement a name of up to 128 letters.", field="name")


def _check_sources(sources: Sequence[str]) -> None:
    texts = all(isinstance(source, str) for source in sources)
    if not sources or not texts or len(set(sources)) < len(sources):
        raise Invalid("Name the sources in their order, each once, at least one.", field="sources")
    for source in sources:
        if source not in NAMES:
            raise Invalid(f"There is no source '{source}'.{nearest(source, NAMES)}", field="sources")
