"""Items."""

from __future__ import annotations

from sqlalchemy.orm import Session

from engine.intake.bulk import Counts, Staged
from engine.intake.parsing import Batch, Reject
from engine.intake.writers.context import ITEMS, Context, Folded, fold


def prepare(batch: Batch, _currency: str) -> tuple[Folded, list[Reject]]:
    """One record per key."""
    return fold(batch, "attributes")


def write(session: Session, items: Folded, context: Context) -> Counts:
    """Insert what is new, change what differs."""
    staged = Staged(session, ITEMS, items.columns, context.journal)
    defaults = {"attributes": {}, "currency": context.currency, "active": True, "recommendable": True}
    created = staged.insert(defaults, context.now)
    updated = staged.update(context.now)
    return Counts(created, updated, items.rows - created - updated)
