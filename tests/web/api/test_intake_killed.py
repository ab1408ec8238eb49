"""kill -9 of a server that takes events in. Heavier runs: `python -m tests.torture.intake --help`."""

from __future__ import annotations

from engine.config import Config
from engine.database import Database
from tests.torture.intake import torture


def test_what_was_acknowledged_is_there(config: Config, database: Database) -> None:
    """Once, whenever the server is killed; a call without an answer can be made again."""
    verdict = torture(config, database, kills=2)
    assert min(verdict.acknowledged, verdict.repeated) > 0, verdict
    assert (verdict.lost, verdict.doubled, verdict.unasked, verdict.contacts_doubled) == (0, 0, 0, 0), verdict
