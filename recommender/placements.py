"""Placements: where an offer appears, which sources fill it in which order, and what may not be shown there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.database import insert_new
from engine.errors import Invalid, nearest
from recommender.models import Placement
from recommender.sources import SOURCES


@dataclass(frozen=True)
class Rules:
    """What may not be shown: what the contact bought already, what is out of stock."""

    exclude_purchased: bool = False
    in_stock: bool = True


@dataclass(frozen=True)
class Plan:
    """A placement as it is used: sources in order, and rules."""

    key: str
    name: str
    sources: tuple[str, ...]
    rules: Rules


DEFAULTS: Final = {
    plan.key: plan
    for plan in (
        Plan(
            "home",
            "Home page",
            ("collaborative", "trending", "popular", "newest"),
            Rules(exclude_purchased=True),
        ),
        Plan("item", "Item page", ("rules", "popular_in_category", "popular", "newest"), Rules()),
        Plan("cart", "Cart", ("rules", "collaborative", "popular_in_category", "popular", "newest"), Rules()),
        Plan("email", "E-mail", ("collaborative", "popular", "newest"), Rules(exclude_purchased=True)),
    )
}


def seed(session: Session, now: datetime) -> None:
    """Write the placements every shop has, unless they are there."""
    rows = [
        {
            "key": plan.key,
            "name": plan.name,
            "sources": list(plan.sources),
            "rules": asdict(plan.rules),
            "updated_at": now,
        }
        for plan in DEFAULTS.values()
    ]
    insert_new(session, Placement.__table__, rows, ["key"])  # type: ignore[arg-type]


def read(session: Session) -> dict[str, Plan]:
    """All placements by key: those of the shop, and the seeded ones nobody wrote yet."""
    return DEFAULTS | {
        row.key: Plan(row.key, row.name, tuple(row.sources), rules(row.rules))
        for row in session.scalars(select(Placement))
    }


def edit(
    session: Session, key: str, *, name: str, sources: Sequence[str], given: Mapping[str, Any], now: datetime
) -> Placement:
    """Write a placement; raises Invalid for a source or rule that does not exist, twice the same source, or none."""
    if not sources or len(set(sources)) < len(sources):
        raise Invalid("Name the sources in their order, each once, at least one.", field="sources")
    for source in sources:
        if source not in SOURCES:
            raise Invalid(f"There is no source '{source}'.{nearest(source, SOURCES)}", field="sources")
    row = session.scalar(select(Placement).where(Placement.key == key)) or Placement(key=key)
    row.name, row.sources, row.rules, row.updated_at = name, list(sources), asdict(rules(given)), now
    session.add(row)
    return row


def rules(given: Mapping[str, Any]) -> Rules:
    """Rules from JSON; raises Invalid naming what is not known."""
    known = {field.name for field in fields(Rules)}
    for name, value in given.items():
        if name not in known:
            raise Invalid(f"There is no rule '{name}'.{nearest(name, known)}", field=f"rules.{name}")
        if not isinstance(value, bool):
            raise Invalid(f"{name} must be true or false.", field=f"rules.{name}")
    return Rules(**given)
