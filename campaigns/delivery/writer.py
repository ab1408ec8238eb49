"""One thread writes the ledger: what many connections learn at the same time is committed together."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from campaigns.channels.base import Receipt
from campaigns.delivery import ledger
from campaigns.delivery.group import Accepted, Call, Crossing, Group
from campaigns.delivery.ledger import Leased, Settlement
from engine.database import Database, database_now

log = logging.getLogger(__name__)

T = TypeVar("T")
Entry = Accepted | Settlement | Crossing | Call | None

GROUP_SECONDS: Final = 0.005
EX_SOFTWARE: Final = 70  # sysexits.h


class Writer:
    """Commits groups of transitions. When it cannot, the process ends: connections that could no longer write down
    what they did must not go on.
    """

    def __init__(self, database: Database, process: str, lease: timedelta, connections: int) -> None:
        self.counts: Counter[str] = Counter()
        self._database = database
        self._process = process
        self._lease = lease
        self._connections = connections
        self._queue: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="send ledger", daemon=True)
        self._thread.start()

    def accept(self, leased: Leased, receipt: Receipt) -> None:
        """Write down that a leased send was accepted, with the next group; does not wait. A process that dies before
        leaves the row `sending`, hence unknown: at most one for each connection, for `cross` waits for all before it.
        """
        self._queue.put(Accepted(leased, receipt))

    def settle(self, settlement: Settlement) -> None:
        """Write down what else became of a leased send, with the next group; does not wait."""
        self._queue.put(settlement)

    def cross(self, leased: Leased) -> str:
        """Mark a leased send as about to be sent and wait until that is durable; its state then."""
        crossing = Crossing(leased)
        self._queue.put(crossing)
        return crossing.wait()

    def call(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction of its own, after everything said before, and wait for it."""
        call = Call(work)
        self._queue.put(call)
        result: T = call.wait()
        return result

    def close(self) -> None:
        """Write what is left and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException:
            log.critical("The send ledger cannot be written; the process ends.", exc_info=True)
            os._exit(EX_SOFTWARE)

    def _serve(self) -> None:
        beat = float("inf") if self._database.is_sqlite else self._lease.total_seconds() / 3
        due = time.monotonic() + (0 if beat < float("inf") else beat)
        goes_on = True
        while goes_on:
            left = due - time.monotonic()
            if left <= 0:
                self._transact(self._keep_house)
                due = time.monotonic() + beat
            elif (first := self._next(left)) is not _NOTHING:
                goes_on = self._group(first)

    def _keep_house(self, session: Session) -> None:
        """PostgreSQL: renew our leases, and take over what others let lapse."""
        now = database_now(session)
        ledger.renew(session, self._process, now=now, lease=self._lease)
        ledger.recover(session, now=now, owners_are_dead=False)

    def _next(self, seconds: float) -> Entry:
        """The next entry, or _NOTHING after so long."""
        try:
            return self._queue.get(timeout=None if seconds == float("inf") else max(seconds, 0.0))
        except queue.Empty:
            return _NOTHING

    def _group(self, entry: Entry) -> bool:
        """Collect and commit a group that begins with `entry`; False when the end was asked for."""
        group = Group(self._connections)
        until = time.monotonic() + GROUP_SECONDS
        while isinstance(entry, (Accepted, Settlement, Crossing)):
            group.add(entry)
            entry = _NOTHING if group.full else self._next(until - time.monotonic())
        self._commit(group)
        if isinstance(entry, Call) and entry is not _NOTHING:
            self._answer(entry)
        return entry is not None

    def _commit(self, group: Group) -> None:
        self._transact(partial(group.write, lease=self._lease))
        if not self._database.is_sqlite and (granted := group.granted()):
            overtaken = self._transact(lambda session: ledger.objections(session, granted))
            if overtaken:
                self._transact(partial(group.take_back, overtaken=overtaken))
        group.answer()
        self.counts.update(group.counts)

    def _answer(self, call: Call) -> None:
        try:
            call.answer(self._transact(call.work))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            call.fail(error)

    def _transact(self, work: Callable[[Session], T]) -> T:
        """Do `work` and commit. Deadlocks (40P01), serialisation failures (40001), a full disk and a database that
        restarts are waited for, for as long as the lease: a guarded write may be repeated, the second time it finds
        nothing to do.
        """
        patience = time.monotonic() + self._lease.total_seconds()
        for attempt in itertools.count():
            try:
                with self._database.begin() as session:
                    return work(session)
            except (OperationalError, InterfaceError) as error:
                if time.monotonic() > patience:
                    raise
                log.warning("The send ledger waits for the database: %s", error.orig)
                time.sleep(min(0.01 * 2**attempt, 1.0))
        raise AssertionError


_NOTHING: Final = Call(lambda _session: None)
