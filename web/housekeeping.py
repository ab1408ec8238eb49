"""What the workspace need not keep goes at every tick, also where nobody opens a page; see docs/intake.md."""

from __future__ import annotations

from datetime import datetime

from campaigns import scheduler
from engine.config import Config
from engine.intake import leftovers
from web.uploads import Uploads


def sweep(config: Config, now: datetime) -> None:
    """Old files of refused records, uploads nobody imported, what imports that were killed left."""
    leftovers.sweep(config.folder, now)
    Uploads(config.folder / "uploads").sweep(now)


def register() -> None:
    """For every process that ticks."""
    scheduler.at_every_tick(sweep)
