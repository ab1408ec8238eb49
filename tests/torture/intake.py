"""kill -9 of the server while events come in: every acknowledged one is there, once.

python -m tests.torture.intake --kills 30 --database sqlite
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from engine import config as settings
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Event
from tests.served import Served
from tests.torture.kill import scratch_database

BATCH = 100


@dataclass(frozen=True)
class Verdict:
    """What clients were told, and what the database holds."""

    kills: int
    acknowledged: int
    repeated: int  # calls that got no answer and were made again
    lost: int
    doubled: int
    unasked: int  # events that nobody was told of: the last call of each client was answered, so there are none
    contacts_doubled: int

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in vars(self).items())


@dataclass
class Clients:
    """Several programs that send events and write down what was acknowledged."""

    served: Served
    count: int = 6
    acknowledged: list[str] = field(default_factory=list)
    repeated: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._threads = [threading.Thread(target=self._work, args=[number]) for number in range(self.count)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Send no more, but have the last call answered."""
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        call = 0
        while not self.stop.is_set():
            keys = [f"{number}-{call}-{place}" for place in range(BATCH)]
            self._send([_event(key) for key in keys])
            self.acknowledged += keys
            call += 1

    def _send(self, events: list[dict[str, str]]) -> None:
        """Until it is acknowledged."""
        body = json.dumps({"events": events}).encode()
        while True:
            client = self.served.client()
            try:
                status, answer = self.served.post(client, "/api/v1/events", body)
                if status == 200 and not answer["rejected"]:
                    return
                raise RuntimeError(f"{status}: {answer}")
            except (OSError, http.client.HTTPException):
                self.repeated += 1
                time.sleep(0.05)
            finally:
                client.close()


def torture(config: Config, database: Database, kills: int, *, seed: int = 7, most: float = 1.0) -> Verdict:
    """Send without a pause, kill the server `kills` times after 0.1 to `most` seconds, and compare both sides."""
    chance = random.Random(seed)
    with Served(config, database) as served:
        clients = Clients(served)
        for _ in range(kills):
            time.sleep(chance.uniform(0.1, most))
            served.kill()
            served.start()
        clients.finish()
    told = clients.acknowledged
    with database.read() as session:
        there = session.scalars(select(Event.key)).all()
        people = session.scalars(select(func.count()).select_from(Contact).group_by(Contact.key)).all()
    return Verdict(
        kills=kills,
        acknowledged=len(told),
        repeated=clients.repeated,
        lost=len(set(told) - set(there)),
        doubled=len(there) - len(set(there)),
        unasked=len(set(there) - set(told)),
        contacts_doubled=sum(count - 1 for count in people),
    )


def main() -> int:
    """One heavy run from the command line; 1 when an event was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, scratch_database(given.database, Path(folder)) as database:
        config = settings.build({"workspace": {"path": folder}})
        verdict = torture(config, database, given.kills, seed=given.seed)
    print(verdict)
    return int(verdict.lost + verdict.doubled + verdict.unasked + verdict.contacts_doubled > 0)


def _event(key: str) -> dict[str, str]:
    """Every fifth is of somebody whom several clients name at once and nobody has met."""
    who = {"visitor": key} if hash(key) % 5 else {"contact": key.partition("-")[2]}
    return {"key": key, "type": "item_view", "at": "2026-02-01T10:00:00Z", "item": f"i{len(key)}", **who}


if __name__ == "__main__":
    sys.exit(main())
