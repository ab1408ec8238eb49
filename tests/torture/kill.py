"""kill -9 at random moments: no mail lost, none doubled.

python -m tests.torture.kill --mails 40000 --kills 15 --database postgresql --workers 4
python -m tests.torture.kill --mails 40000 --freezes 6 --lease 1.5 --database postgresql
python -m tests.torture.kill --mails 20000 --kills 10 --faults drop_after=.01 drop_before=.01 busy=.02 grey=1
"""

from __future__ import annotations

import argparse
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from engine import schema
from engine.database import Database
from tests.conftest import POSTGRESQL
from tests.sink import Sink
from tests.torture.ledger import fill, sends, states
from tests.torture.worker import command


@dataclass(frozen=True)
class Plan:
    """What to send and what to break."""

    mails: int
    kills: int = 0
    freezes: int = 0
    workers: int = 1
    connections: int = 8
    batch: int = 100
    lease: float = 60
    evidence: bool = True
    freeze_seconds: float = 2.5
    bad: int = 0  # this many have an address that does not exist
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 7


@dataclass(frozen=True)
class Verdict:
    """What the far end has and what the ledger says."""

    blows: int
    seconds: float
    doubled: int
    lost: int  # neither at the far end nor `unknown` nor refused by it
    unknown: int
    boasted: int  # `accepted`, but the far end lacks it
    failed: int

    def __str__(self) -> str:
        return " ".join(f"{name}={value:.3g}" for name, value in vars(self).items())


def torture(database: Database, folder: Path, plan: Plan) -> Verdict:
    """Send while workers are killed or frozen, then compare both sides."""
    people = [f"{'bad' if n < plan.bad else 'u'}{n}@x.example" for n in range(plan.mails)]
    random.Random(plan.seed).shuffle(people)
    fill(database, people)
    with Sink(folder / "sink.log", **plan.faults) as sink:
        start = time.monotonic()
        options = {"connections": plan.connections, "batch": plan.batch, "lease": plan.lease}
        url = database.url.render_as_string(hide_password=False)
        words = command(url, sink.port, log=sink.log if plan.evidence else None, **options)
        blows = _strike(plan, sink.log, words)
        seconds = time.monotonic() - start
        arrived = sink.accepted()
    unknown, accepted, failed = (sends(database, state) for state in ("unknown", "accepted", "failed"))
    everybody = set().union(*(sends(database, state) for state in states(database)))
    return Verdict(
        blows=blows,
        seconds=seconds,
        doubled=sum(arrived.values()) - len(arrived),
        lost=len(everybody - set(arrived) - unknown - failed),
        unknown=len(unknown),
        boasted=len(accepted - set(arrived)),
        failed=len(failed),
    )


class Worker:
    """A sender process that is started again after it was killed."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE)

    def lives(self) -> bool:
        """It has not come to its end."""
        return self._process.poll() is None

    def sends(self) -> bool:
        """It has started, and has not come to its end."""
        return bool(select.select([self._process.stdout], [], [], 0)[0]) and self.lives()

    def kill(self) -> None:
        """kill -9, and a new one."""
        self.end()
        self._start()

    def freeze(self, seconds: float) -> None:
        """As if swapped out."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def finish(self) -> None:
        """Wait until it has nothing left to do."""
        assert self._process.wait(120) == 0

    def end(self) -> None:
        """kill -9 for good."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _strike(plan: Plan, log: Path, words: list[str]) -> int:
    """Run workers to the end, hitting one at random whenever the far end has so many mails; how many blows it took."""
    chance = random.Random(plan.seed)
    marks = sorted(chance.sample(range(plan.mails // 50, plan.mails * 9 // 10), plan.kills + plan.freezes))
    workers = [Worker(words) for _ in range(plan.workers)]
    blows = 0
    try:
        while blows < len(marks) and any(worker.lives() for worker in workers):
            time.sleep(chance.uniform(0, 0.02))
            victims = [worker for worker in workers if worker.sends()]
            if not victims or _arrived(log) < marks[blows]:
                continue
            victim = chance.choice(victims)
            victim.freeze(plan.freeze_seconds) if blows < plan.freezes else victim.kill()
            blows += 1
        for worker in workers:
            worker.finish()
    finally:
        for worker in workers:
            worker.end()
    return blows


def _arrived(log: Path) -> int:
    with log.open("rb") as lines:
        return sum(1 for _ in lines)


@contextmanager
def scratch_database(kind: str, folder: Path) -> Iterator[Database]:
    """An empty database that goes away at the end."""
    name = f"rapport_torture_{folder.name}".lower().replace("-", "_")
    server = make_url(POSTGRESQL)
    if kind == "postgresql":
        with _admin() as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
    url = server.set(database=name) if kind == "postgresql" else make_url(f"sqlite:///{folder / 'rapport.db'}")
    database = Database(url.render_as_string(hide_password=False))
    try:
        schema.upgrade(database)
        yield database
    finally:
        database.close()
        if kind == "postgresql":
            with _admin() as admin:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _admin() -> psycopg.Connection:
    url = make_url(POSTGRESQL).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def main() -> int:
    """One heavy run from the command line; 1 when a mail was doubled, lost or claimed without being there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--mails", type=int, default=40_000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--freezes", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--lease", type=float)
    parser.add_argument("--bad", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-evidence", action="store_true", dest="blind")
    parser.add_argument("--faults", nargs="*", default=[])
    given = parser.parse_args()
    several = given.database == "postgresql"
    plan = Plan(
        mails=given.mails,
        kills=given.kills,
        freezes=given.freezes,
        workers=given.workers or (4 if several else 1),
        connections=given.connections,
        batch=500,
        lease=given.lease or (2 if several else 60),
        evidence=not given.blind,
        bad=given.bad,
        faults={name: float(value) for name, value in (fault.split("=") for fault in given.faults)},
        seed=given.seed,
    )
    with tempfile.TemporaryDirectory() as folder, scratch_database(given.database, Path(folder)) as database:
        verdict = torture(database, Path(folder), plan)
    print(f"kill: database={given.database} mails={given.mails} {verdict}")
    return 1 if verdict.doubled or verdict.lost or verdict.boasted else 0


if __name__ == "__main__":
    sys.exit(main())
