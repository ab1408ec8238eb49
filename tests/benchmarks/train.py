"""How long a training takes and what memory it needs: `make bench NAME=train ARGS="--quick"`.

Makes a seeded shop of a million contacts, 100,000 items and 16 million interactions (train_shop.py; not timed), and
runs `rapport train` on it in a process of its own: everything from reading the history to the switch, evaluation
included. Seconds and largest resident memory are told, stage by stage. Then the training is served by one worker and by
four, and after the same questions the memory of all processes is added up, shared pages once (PSS).

    --quick            a tenth of everything
    --workspace PATH   keep the shop there, or go on with the one that is
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from engine import config as settings
from engine.config import Config
from engine.database import Database
from recommender import training
from recommender.models import Training
from tests.benchmarks.train_shop import KNOWN, Size, fill
from tests.served import Served
from web.services import utcnow

GIB = 2**20  # in KiB, as the kernel counts
LOOK = 0.2  # seconds between looks at the memory
WORKERS = (1, 4)
ASKED = 800  # questions before the memory of a server is told
CLIENTS = 8


@dataclass
class Watched:
    """A process's resident memory (KiB) at moments, its CPU seconds and its end."""

    memory: list[tuple[datetime, int]] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0

    def between(self, start: datetime, end: datetime) -> int:
        """The most it had."""
        return max((size for at, size in self.memory if start <= at <= end), default=0)


def main() -> None:
    """Make the shop, train, serve, and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workspace", type=Path)
    given = parser.parse_args()
    size = Size(100_000, 10_000, 1_600_000) if given.quick else Size()
    with _folder(given.workspace) as folder:
        config = settings.build({"workspace": {"path": str(folder)}, "log": {"level": "warning"}})
        if not (folder / "warehouse" / "current").exists():
            fill(config, size)
        print(f"{os.cpu_count()} cores, {size.contacts:,} contacts, {size.items:,} items, {size.interactions:,} in all")
        watched = _trained(config)
        _tell(config, watched)
        _serve(config, size)
    print("train:", f"seconds={watched.seconds:.0f}", f"rss_gib={watched.peak / GIB:.2f}")


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _trained(config: Config) -> Watched:
    """`rapport train`, watched."""
    found, begun = Watched(), time.monotonic()
    own = os.environ | {"RAPPORT_WORKSPACE__PATH": str(config.folder)}
    process = subprocess.Popen([sys.executable, "-m", "web.cli", "train"], env=own)
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            found.memory.append((utcnow(), _kib(process.pid, "status", "VmRSS")))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    _, status, used = os.wait4(process.pid, 0)
    over.set()
    looking.join()
    found.seconds, found.cpu, found.peak = time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss
    assert status == 0, "the training failed"
    return found


def _tell(config: Config, watched: Watched) -> None:
    """Seconds and memory of each stage, and how good it is."""
    database = Database(config.database_url)
    with database.read() as session:
        made: Training = training.trainings(session)[0]
    database.close()
    at = made.started_at
    print(f"{watched.cpu:.0f} CPU seconds, load {os.getloadavg()[1]:.0f}\n{'stage':<30}{'seconds':>9}{'GiB':>6}")
    for stage, seconds in made.metrics["seconds"].items():
        end = at + timedelta(seconds=seconds)
        print(f"{stage:<30}{seconds:>9.1f}{watched.between(at, end) / GIB:>6.2f}")
        at = end
    for task in ("for_you", "cross_sell", "next_purchase", "session"):
        scores = made.metrics[task]
        ours, popular = scores["training"]["ndcg"], scores["popular"]["ndcg"]
        print(f"{task:<15}nDCG@10 {ours:.4f}, best-sellers {popular:.4f}, {scores['training']['cases']:,} cases")


def _serve(config: Config, size: Size) -> None:
    """Memory of a server, with shared pages counted once."""
    draw = random.Random(1)
    bodies = [
        json.dumps(
            {"placement": "home", "contact": str(draw.randint(1, KNOWN))}
            if number % 2
            else {"placement": "item", "context": {"items": [str(draw.randint(1, size.items))]}}
        ).encode()
        for number in range(ASKED)
    ]
    for workers in WORKERS:
        database = Database(config.database_url)
        with Served(config, database, RAPPORT_SERVER__WORKERS=str(workers)) as served:
            _ask(served, bodies)
            shared = sum(_kib(number, "smaps_rollup", "Pss") for number in served.processes())
            each = [_kib(number, "smaps_rollup", "Pss_Anon") for number in served.processes()[:-1]]
        database.close()
        own = ", ".join(f"{size / 1024:.0f}" for size in each)
        print(f"{workers} worker{'s' * (workers > 1)}: {shared / 1024:.0f} MiB PSS in all, of that their own: {own}")


def _ask(served: Served, bodies: list[bytes]) -> None:
    """Each on a connection of its own, so that every worker has its share."""

    def ask(first: int) -> None:
        for body in itertools.islice(bodies, first, None, CLIENTS):
            client = served.client()
            status, answer = served.post(client, "/api/v1/recommendations", body)
            assert status == 200, answer
            assert answer["items"], answer
            client.close()

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(ask, range(CLIENTS)))


def _kib(number: int, file: str, name: str) -> int:
    """A figure of a process; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{number}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


if __name__ == "__main__":
    main()
