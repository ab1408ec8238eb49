"""From parsed records to rows: one file per kind.

`prepare` looks at whole groups of one key and needs no database; `write` runs in one transaction. Both take batches
sorted by key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from engine.intake.bulk import Counts
from engine.intake.parsing import Batch, Reject
from engine.intake.writers import contacts, events, items, orders
from engine.intake.writers.context import Context


@dataclass(frozen=True)
class Writer:
    """How a kind is written."""

    prepare: Callable[[Batch, str], tuple[Any, list[Reject]]]  # (batch, the shop's currency)
    write: Callable[[Session, Any, Context], Counts]


WRITERS: Final = {
    "contacts": Writer(contacts.prepare, contacts.write),
    "items": Writer(items.prepare, items.write),
    "orders": Writer(orders.prepare, orders.write),
    "events": Writer(events.prepare, events.write),
}
