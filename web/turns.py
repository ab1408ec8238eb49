"""Who may ask the warehouse: a few at once and not for long, so that the doors of strangers, log-in and /health always
find a thread that is free.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import has_request_context, request

from engine.config import Config
from engine.errors import Busy
from engine.warehouse.guard import Guard

HELD: Final = "rapport.turn"  # of a request that has one
PATIENCE: Final = 2.0  # seconds that a quarter of the threads may wait for a turn,
MOMENT: Final = 0.1  # and the others: a count while typing takes less


class Turns(Guard):
    """Of the threads of a server, half may look for people at once, and a quarter may wait for that. Work that belongs
    to no request (imports, the tick) has no limit.
    """

    def __init__(self, config: Config) -> None:
        threads = config.server.threads
        self._seconds = config.warehouse.longest_seconds
        self._turns = threading.Semaphore(max(threads // 2, 1))
        self._seats = threading.Semaphore(threads // 4)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One for a request, whatever it looks for within. Raises Busy."""
        if not has_request_context() or HELD in request.environ:
            yield
            return
        if not (self._turns.acquire(blocking=False) or self._waited()):
            raise Busy("The server is counting for others just now: try again in a few seconds.", seconds=5)
        request.environ[HELD] = True
        try:
            yield
        finally:
            del request.environ[HELD]
            self._turns.release()

    def deadline(self) -> float | None:
        """That of a question of a request."""
        return time.monotonic() + self._seconds if has_request_context() else None

    def _waited(self) -> bool:
        if not self._seats.acquire(blocking=False):
            return self._turns.acquire(timeout=MOMENT)
        try:
            return self._turns.acquire(timeout=PATIENCE)
        finally:
            self._seats.release()
