"""A carrier that lets nobody through is left alone for a while, instead of trying every message on it."""

from __future__ import annotations

import threading
import time
from typing import Final

SHORTEST: Final = 1.0
LONGEST: Final = 60.0


class Rest:
    """For each channel: failures in a row and until when it rests (1 s, doubling to 60 s, or what the carrier asks).

    One refused connection is no reason to stop the others: the rest begins when as many failed in a row as there are
    connections.
    """

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def works(self, channel: str) -> None:
        """A message went through."""
        if self._failures.get(channel):
            with self._lock:
                self._failures[channel] = 0

    def fails(self, channel: str, asked: float | None = None) -> float:
        """The carrier let nobody through, or asked to be left alone so many seconds; how long the message waits."""
        with self._lock:
            failures = self._failures[channel] = self._failures.get(channel, 0) + 1
            rounds = failures // self._connections
            wait = asked if asked is not None else min(SHORTEST * 2 ** min(max(rounds - 1, 0), 10), LONGEST)
            if asked is not None or rounds:
                self._until[channel] = max(self._until.get(channel, 0.0), time.monotonic() + wait)
        return wait

    def left(self, channel: str) -> float:
        """Seconds that the channel still rests."""
        return max(0.0, self._until.get(channel, 0.0) - time.monotonic())

    def rests(self, channel: str) -> bool:
        """The channel is not to be used now."""
        return self.left(channel) > 0
