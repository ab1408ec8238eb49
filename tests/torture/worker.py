"""A sender process for tests: drains until nothing is live, then exits with 0; SIGTERM asks it to stop cleanly."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from campaigns.delivery import Evidence, Sender
from campaigns.models import LIVE
from engine import config as settings
from engine.database import Database
from engine.errors import Conflict
from tests.sink import accepted
from tests.torture.ledger import render, states


def command(url: str, port: int, *, log: Path | None = None, **options: object) -> list[str]:
    """The command line of a worker."""
    words = [sys.executable, "-m", "tests.torture.worker", url, str(port)]
    words += ["--log", str(log)] if log else []
    return words + [f"--{name}={value}" for name, value in options.items()]


def reader(log: Path) -> Evidence:
    """The far end's own log as evidence."""

    def evidence(_session: Session, send_ids: Sequence[int]) -> set[int]:
        return set(accepted(log)).intersection(send_ids)

    return evidence


def main() -> None:
    """Drain until nothing is queued, leased or sending (and, with evidence, nothing unknown)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("port", type=int)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--connections", default="8")
    parser.add_argument("--batch", default="500")
    parser.add_argument("--lease", default="60")
    parser.add_argument("--resolve-after", type=float, default=1.0, dest="resolve_after")
    given = parser.parse_args()
    logging.basicConfig(level="WARNING", format=f"worker {given.port} %(message)s")
    config = settings.build(
        {
            "mail": {"transport": "smtp", "smtp_port": given.port},
            "sending": {
                "connections": given.connections, "batch": given.batch, "lease_seconds": given.lease,
                "retry_seconds": 0, "max_attempts": 50,
            },
        }
    )  # fmt: skip
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    database = Database(given.url)
    waiting = (*LIVE, "unknown") if given.log else LIVE
    evidence = reader(given.log) if given.log else None
    sender = Sender(database, config, render, evidence=evidence, resolve_after=timedelta(seconds=given.resolve_after))
    print("ready", flush=True)
    with sender:
        while not stop.is_set() and any(states(database)[state] for state in waiting):
            try:
                sender.drain(stop)
            except Conflict as error:
                print(error, flush=True)
            stop.wait(0.1)
    database.close()


if __name__ == "__main__":
    main()
