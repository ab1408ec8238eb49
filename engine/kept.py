"""What was found in a warehouse and is kept in memory until it is no longer asked for or too much.

Whoever keeps something names, in its key, the states of the tables it came of (`Pin.names`, `Warehouse.parts`): after
a change the key is another, and what was kept under the old one goes by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np

from engine.database import EPOCH

LIMIT: Final = 2**28  # bytes: the values of thirty leaves about a million contacts
STILL: Final = timedelta(minutes=1)
THREADS: Final = 4  # things found at the same time for one question; DuckDB has threads of its own

Found = TypeVar("Found")


class Kept:
    """What was found, by what finds it: thread-safe, up to LIMIT bytes, what nobody asked for longest goes first. Who
    asks for what another is just finding waits for it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit, self.bytes = limit, 0
        self.pool = ThreadPoolExecutor(THREADS, "leaves")
        self._lock = threading.Lock()
        self._found: dict[Hashable, Future[Any]] = {}
        self._moment: tuple[Hashable, datetime] = ("", EPOCH)

    def moment(self, state: Hashable, now: datetime) -> datetime:
        """The moment to ask at: that of the first question about this state of the data in the last minute."""
        with self._lock:
            known, moment = self._moment
            if known != state or not moment <= now < moment + STILL:
                self._moment = (state, now)
            return self._moment[1]

    def get(self, key: Hashable, find: Callable[[], Found]) -> Found:
        """What is kept under `key`, else what `find` gives, which must have `nbytes`."""
        with self._lock:
            future = self._found.pop(key, None)
            known, future = future is not None, future or Future()
            self._found[key] = future  # the last one asked for is last
        if not known:
            self._fill(key, future, find)
        return cast(Found, future.result())

    def find(self, key: Hashable) -> Any:
        """What is kept under `key`, None when there is nothing yet."""
        with self._lock:
            future = self._found.get(key)
            if future is None or not future.done():
                return None
            self._found[key] = self._found.pop(key)
        return future.result()

    def again(self, key: Hashable) -> bool:
        """Was this asked before?"""
        first: list[Any] = []

        def mark() -> Any:
            first.append(key)
            return np.zeros(0, np.uint8)

        self.get(("asked", key), mark)
        return not first

    def _fill(self, key: Hashable, future: Future[Any], find: Callable[[], Any]) -> None:
        try:
            future.set_result(find())
        except BaseException as error:  # whoever waits gets it too, and the next one tries again
            with self._lock:
                self._found.pop(key, None)
            future.set_exception(error)
            return
        with self._lock:
            self.bytes += future.result().nbytes
            self._trim()

    def _trim(self) -> None:
        for key, future in list(self._found.items()):
            if self.bytes <= self.limit:
                return
            if future.done():
                self.bytes -= future.result().nbytes
                del self._found[key]


_KEPT: WeakKeyDictionary[Any, Kept] = WeakKeyDictionary()
_LOCK = threading.Lock()


def kept(warehouse: Any) -> Kept:
    """What was found in a warehouse, for all threads of the process."""
    with _LOCK:
        if warehouse not in _KEPT:
            _KEPT[warehouse] = Kept()
        return _KEPT[warehouse]
