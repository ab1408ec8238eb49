"""Processes that answer beside this one, for a whole audience at once.

Python runs one thread at a time: two threads answer 1.4 times as many contacts as one, two processes twice as many. A
process takes seconds to begin and 190 MB of its own, for the program and 100,000 items; what was learned is mapped once
for all. So they are begun when many are asked for, answer once they are ready, and end when nobody has asked for IDLE
seconds, or with whoever began them: their standard input ends then, even by kill -9.
"""

from __future__ import annotations

import gc
import os
import pickle
import select as waiting
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.database import Database
from recommender import batches, history
from recommender.algebra import THREADS
from recommender.answering import Row, State, Turn
from recommender.bundles import OnSale
from recommender.fitted import load
from recommender.models import Training
from recommender.shelf import Shelf

LARGE: Final = 10_000  # contacts of one question: fewer are answered before the processes are ready
MEMORY: Final = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MOST: Final = min(THREADS, 4, MEMORY // 2**31)  # a machine of less than 2 GiB has no room for any
IDLE: Final = 60.0
PATIENCE: Final = 60.0  # seconds for a turn, which takes a fifth of one

_GONE: Final = (OSError, EOFError, ValueError, pickle.UnpicklingError)  # ValueError: a pipe that is closed

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """What a process needs to answer a turn as this one would. mark: of the shelf; turn: its fields without the state
    and the arm; shown: what stood in the last mails of each contact.
    """

    training_id: int
    mark: str
    suppressed: tuple[str, ...]
    bundles: tuple[OnSale, ...]
    turn: tuple[Any, ...]
    contact_ids: Sequence[int]
    now: datetime
    shown: Sequence[Sequence[int]]

    @classmethod
    def of(cls, turn: Turn, contact_ids: Sequence[int], now: datetime, shown: Sequence[Sequence[int]]) -> Self | None:
        """Nothing where no training serves: then there is little to do."""
        state = turn.state
        if state.training_id is None:
            return None
        told = (turn.plan, turn.filter, turn.n, turn.now, turn.explain, turn.figures, turn.personal)
        return cls(state.training_id, state.shelf.mark, state.suppressed, state.bundles, told, contact_ids, now, shown)


class Crew:
    """The processes of one Recommender. Any number of threads may ask."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._address = database.url.render_as_string(hide_password=False), folder
        self._lock = threading.Lock()
        self._hands: list[_Hand] = []
        self._free: list[_Hand] = []

    def begin(self, job: Job) -> None:
        """Have MOST processes; new ones get ready for such a job, and nobody waits for them."""
        job = job._replace(suppressed=(), bundles=(), turn=(), contact_ids=(), shown=())  # a pipe takes 64 KB
        with self._lock:
            for hand in [one for one in self._free if one.has_ended]:
                self._forget(hand)
            for _ in range(MOST - len(self._hands)):
                hand = _Hand((*self._address, IDLE, job))
                self._hands.append(hand)
                self._free.append(hand)

    def rows(self, job: Job) -> list[Row] | None:
        """What is shown to each contact; None where no process is free, or the one that was asked came to nothing."""
        with self._lock:
            hand = next((one for one in self._free if one.is_ready), None)
            if hand is None:
                return None
            self._free.remove(hand)
        rows = hand.ask(job)
        with self._lock:
            self._free.append(hand)
            if rows is None:
                self._forget(hand)
        return rows

    @property
    def ready(self) -> int:
        """How many processes could be asked."""
        with self._lock:
            return sum(one.is_ready for one in self._free)

    @property
    def pids(self) -> list[int]:
        """Their numbers."""
        with self._lock:
            return [one.pid for one in self._hands]

    def close(self) -> None:
        """End them."""
        with self._lock:
            for hand in list(self._free):
                self._forget(hand)

    def _forget(self, hand: _Hand) -> None:
        self._hands.remove(hand)
        self._free.remove(hand)
        hand.end()


class _Hand:
    """One process, seen from here. It tells one thing for each that it is told, the first once it is ready."""

    def __init__(self, hello: tuple[str, Path, float, Job]) -> None:
        alone = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        environment = {**os.environ, **alone, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-c", "from recommender.crew import work; work()"]
        self._process = subprocess.Popen(  # noqa: S603  # ours; in a session of its own: Ctrl-C is for us
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        self.pid = self._process.pid
        self._is_ready = False
        self._tell(hello)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_ready(self) -> bool:
        if not self._is_ready and self._process.stdout and _waits(self._process.stdout, 0):
            self._is_ready = self._told() is not None
        return self._is_ready

    def ask(self, job: Job) -> list[Row] | None:
        """None where it ended, could not, or takes too long."""
        assert self._process.stdout
        return self._told() if self._tell(job) and _waits(self._process.stdout, PATIENCE) else None

    def end(self) -> None:
        self._process.kill()  # it holds nothing but what it reads
        self._process.communicate()

    def _tell(self, what: Any) -> bool:
        assert self._process.stdin
        try:
            pickle.dump(what, self._process.stdin)
            self._process.stdin.flush()
        except _GONE:
            return False
        return True

    def _told(self) -> list[Row] | None:
        assert self._process.stdout
        try:
            rows: list[Row] | None = pickle.load(self._process.stdout)  # noqa: S301  # our own process
        except _GONE:
            return None
        return rows


def work() -> None:
    """What such a process does: answer what comes in, until nothing does."""
    given, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed
    url, folder, idle, job = pickle.load(given)  # noqa: S301  # from who began us
    desk = _Desk(Database(url), folder)
    try:
        while True:
            pickle.dump(desk.rows(job), told)
            told.flush()
            if not _waits(given, idle):
                return
            job = pickle.load(given)  # noqa: S301
    except (EOFError, BrokenPipeError):
        return


@dataclass
class _Desk:
    """The state of one such process."""

    database: Database
    folder: Path
    state: State | None = None

    def rows(self, job: Job) -> list[Row] | None:
        """What is shown to each contact; None where it cannot be told."""
        try:
            with self.database.read() as session:
                self.state = self._current(session, job)
            if not job.contact_ids:
                return []
            turn = Turn(self.state, *job.turn)
            return batches.rows(turn, history.of_contacts(self.database, job.contact_ids, job.now), job.shown)
        except Exception as error:
            log.warning("a turn is answered by who asked", error=repr(error))
            return None

    def _current(self, session: Session, job: Job) -> State:
        """The state of whoever asks; its items are as new at least."""
        old = self.state
        if old is None or old.training_id != job.training_id:
            path = session.scalars(select(Training.folder).where(Training.id == job.training_id)).one()
            fitted = load(self.folder / Path(path).name, checked=False)
        else:
            fitted = old.fitted
        shelf = old.shelf if old else Shelf()
        shelf = shelf if shelf.mark == job.mark else shelf.refreshed(session)
        same = old and old.fitted is fitted and old.shelf is shelf
        if old and same and (old.suppressed, old.bundles) == (job.suppressed, job.bundles):
            return old
        if not same:
            gc.freeze()  # else each collection looks through all items
        rows = old.rows if old and same else shelf.rows(fitted.item_ids)
        return State(job.training_id, fitted, {}, job.suppressed, shelf, rows, bundles=job.bundles)


def _waits(stream: Any, seconds: float) -> bool:
    """Whether there is something to read, or an end of it."""
    poll = waiting.poll()
    poll.register(stream, waiting.POLLIN)
    return bool(poll.poll(seconds * 1000))
