"""One import being taken back: the order of its steps, and what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.orm import Session

from engine.database import Base
from engine.models import Consent, Contact, Event, Identity, Item, Order, OrderLine

CHANGED: Final = "changed"  # why a thing is kept: somebody wrote to it since

# What is done first: what hangs on others goes before them.
STEPS: Final = (
    ("events", "created"),
    ("events", "changed"),
    ("orders", "replaced"),
    ("orders", "created"),
    ("identities", "changed"),
    ("identities", "created"),
    ("consents", "created"),
    ("items", "created"),
    ("contacts", "created"),
    ("items", "changed"),
    ("contacts", "changed"),
)

TABLES: Final[dict[str, Table]] = {
    model.__tablename__: Base.metadata.tables[model.__tablename__]
    for model in (Contact, Item, Order, OrderLine, Event, Identity, Consent)
}

WHOLE: Final = {"synchronize_session": False}

Tally = Counter[tuple[str, str, str]]  # (table, removed | restored | kept, why kept) -> how many
Gone = Mapping[str, Collection[int]]  # table -> ids that count as gone


@dataclass
class Work:
    """One import being taken back, or looked at."""

    session: Session
    now: datetime
    revisions: set[int]  # of the import's and the undo's own transactions: what they wrote last, nobody wrote since
    began: datetime  # the import
    writes: bool = False
    gone: Gone = field(default_factory=dict)
    tally: Tally = field(default_factory=Counter)


def held(work: Work, rows: Any) -> Any:
    """Nobody else changes them meanwhile."""
    return rows.with_for_update() if work.writes else rows
