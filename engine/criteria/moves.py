"""Who joined or left a list, and when: events that following the lists writes, by the number of the list.

Only Rapport's own (OWN_KEYS) count: whoever may write events could invent others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import fields
from engine.criteria.rows import register_rows
from engine.dialect import json_text
from engine.fields import Field
from engine.models import OWN_KEYS, ContactList
from engine.values import Clock, Words

KINDS: Final = ("list_join", "list_leave")


def register() -> None:
    """Add the rows and their field."""
    fields.register_view("moves", _moves)
    register_rows("moves", _rows, {LIST.key: LIST}, "Of `list_join` and `list_leave`, and `properties.<name>`",
                  properties=True)  # fmt: skip


def _names(session: Session) -> Mapping[int, str]:
    """Of all lists, deleted ones too: people were on them."""
    return dict(session.execute(select(ContactList.id, ContactList.name)).all())


def _moves(warehouse: Any, _clock: Clock | None) -> Any:
    events = warehouse.table("events")
    mine = events.filter(events.type.isin(KINDS), events.key.startswith(OWN_KEYS))
    number = json_text(mine.properties, "list_id").try_cast("int64")
    return mine.select("id", "contact_id", "type", "properties", at=mine.occurred_at, list_id=number)


def _rows(warehouse: Any, kind: str, _tables: set[str]) -> Any:
    rows = _moves(warehouse, None)
    return rows.filter(rows.type == kind)


LIST: Final = Field(
    "list", "reference", "event", Words("list", "名单"), lambda rows, _clock: rows.list_id, "moves",
    options=True, names=_names,
)  # fmt: skip
