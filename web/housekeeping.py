"""What the workspace need not keep goes at every tick, also where nobody opens a page; see docs/intake.md."""

from __future__ import annotations

from datetime import datetime

from campaigns import scheduler
from engine.config import Config
from engine.database import Database
from engine.intake import journal, leftovers
from web.uploads import Uploads


def sweep(database: Database, config: Config, now: datetime) -> None:
    """What undoing old imports would need, old files of refused records, uploads nobody imported, what killed imports
    left.
    """
    journal.sweep(database, now)
    leftovers.sweep(config.folder, now)
    Uploads(config.folder / "uploads").sweep(now)


def register() -> None:
    """For every process that ticks."""
    scheduler.at_every_tick(sweep)
