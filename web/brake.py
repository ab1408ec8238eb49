"""So many calls of one address in a minute, at doors that anybody may knock at."""

from __future__ import annotations

import threading
import time
from typing import Final

from flask import request

from engine.errors import TooMany
from web import auth

CALLS: Final = 240  # of one address in a minute, and process: a busy office behind one address
MINUTE: Final = 60  # seconds
PLACES: Final = 50_000  # addresses remembered


class Brake:
    """Kept in memory alone: an address is personal data."""

    def __init__(self, most: int = CALLS) -> None:
        self._most, self._lock = most, threading.Lock()
        self._minute, self._calls = 0, dict[str, int]()

    def holds(self, place: str) -> bool:
        """Count a call; True when it is one too many."""
        with self._lock:
            minute = int(time.monotonic() // MINUTE)
            if minute != self._minute or len(self._calls) > PLACES:
                self._minute, self._calls = minute, {}
            self._calls[place] = self._calls.get(place, 0) + 1
            return self._calls[place] > self._most

    def check(self) -> None:
        """Count the call of this request; raises TooMany."""
        if self.holds(auth.network(request.remote_addr or "")):
            raise TooMany("Too many calls from one address; try again in a minute.", seconds=MINUTE)
