"""How many people each door brought, from the warehouse: what it has copied so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import ibis

from engine.dialect import json_text
from engine.sources import flyers, forms
from engine.warehouse import Warehouse

LATELY: Final = timedelta(days=30)
MOST: Final = 100  # different origins


@dataclass(frozen=True)
class Brought:
    """People who came in by an origin: all, and in the last 30 days."""

    people: int
    lately: int


@dataclass(frozen=True)
class Told:
    """Events of one form or flyer: how many, how many lately, of how many browsers that are still strangers and of how
    many people.
    """

    events: int
    lately: int
    strangers: int
    people: int


def origins(warehouse: Warehouse, now: datetime) -> dict[str, Brought]:
    """By origin, the most first; "" for those of whom nobody knows."""
    contacts = warehouse.table("contacts")
    counted = contacts.group_by(origin=contacts.origin.coalesce("")).agg(
        people=ibis._.count(), lately=(ibis._.created_at >= now - LATELY).sum()
    )
    rows = warehouse.execute(counted.order_by(ibis.desc("people"), "origin").limit(MOST)).to_pylist()
    return {row["origin"]: Brought(row["people"], row["lately"]) for row in rows}


def of_forms(warehouse: Warehouse, now: datetime) -> dict[str, Told]:
    """Answers by the form's key."""
    return _told(warehouse, forms.EVENT, "form", now)


def of_flyers(warehouse: Warehouse, now: datetime) -> dict[str, Told]:
    """Scans by code."""
    return _told(warehouse, flyers.EVENT, "code", now)


def answers(warehouse: Warehouse, key: str, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Answers of a form, the newest first: id, contact_id, occurred_at and answers; `before` is the last id seen."""
    events = warehouse.table("events")
    mine = (events.type == forms.EVENT) & (json_text(events.properties, "form") == key)
    if before is not None:
        mine &= events.id < before
    columns = events.filter(mine).select("id", "contact_id", "occurred_at", "properties")
    rows = warehouse.execute(columns.order_by(ibis.desc("id")).limit(limit)).to_pylist()
    return [row | {"answers": _answers(row.pop("properties"))} for row in rows]


def _answers(properties: str | None) -> dict[str, Any]:
    told: Mapping[str, Any] = json.loads(properties or "{}")
    return {name: value for name, value in told.items() if name != "form"}


def _told(warehouse: Warehouse, event: str, name: str, now: datetime) -> dict[str, Told]:
    events = warehouse.table("events")
    mine = events.filter(events.type == event).mutate(key=json_text(events.properties, name))
    counted = mine.group_by("key").agg(
        events=ibis._.count(),
        lately=(ibis._.occurred_at >= now - LATELY).sum(),
        strangers=ibis._.visitor.nunique(where=ibis._.contact_id.isnull()),
        people=ibis._.contact_id.nunique(),
    )
    rows = warehouse.execute(counted.filter(counted.key.notnull())).to_pylist()
    return {row["key"]: Told(**{field: row[field] or 0 for field in Told.__annotations__}) for row in rows}
