"""What keeps questions to the warehouse from taking the whole process: how many at once, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

import duckdb

from engine.errors import Unavailable

LOOK: Final = 0.25  # seconds between two looks at the queries that run: one that begins late is interrupted too


class Guard:
    """Lets everything in, for as long as it takes: commands and the tick. A web server has another."""

    def turn(self) -> AbstractContextManager[None]:
        """Held while criteria are looked for. Raises Busy."""
        return nullcontext()

    def deadline(self) -> float | None:
        """When a question that is asked now must be answered, by the monotonic clock; None: whenever."""
        return None


class Watch:
    """Interrupts queries that are past their deadline: one thread for all of them, asleep while there are none."""

    def __init__(self) -> None:
        self._running: dict[duckdb.DuckDBPyConnection, float] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def over(self, cursor: duckdb.DuckDBPyConnection, deadline: float | None) -> Iterator[None]:
        """Watch what the cursor runs. Raises Unavailable, with what to do, when it takes too long."""
        if deadline is None:
            yield
            return
        if time.monotonic() >= deadline:
            raise _too_long()
        with self._change:
            self._running[cursor] = deadline
            self._wake()
        try:
            yield
        except duckdb.InterruptException:
            raise _too_long() from None
        finally:
            with self._change:  # never interrupted after it left
                del self._running[cursor]

    def close(self) -> None:
        """End the thread."""
        with self._change:
            self._closed = True
            self._change.notify()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="deadlines", daemon=True)
            self._thread.start()
        elif len(self._running) == 1:
            self._change.notify()

    def _look(self) -> None:
        with self._change:
            while not self._closed:
                self._interrupt(time.monotonic())
                self._change.wait(LOOK if self._running else None)

    def _interrupt(self, now: float) -> None:  # on its own: a loop in `_look` would hold the last cursor while asleep
        for cursor, deadline in self._running.items():
            if now >= deadline:
                cursor.interrupt()


def _too_long() -> Unavailable:
    return Unavailable(
        "This takes longer than a page or a call may (warehouse.longest_seconds): leave conditions out or choose"
        " shorter windows, or raise the setting."
    )
