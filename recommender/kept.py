"""Results kept for whoever asks the same again, bounded by what they weigh."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

ITEM_BYTES: Final = 1000  # of one recommended item with its reason in memory, at most


Result = TypeVar("Result")


class Kept(Generic[Result]):
    """The latest results, of at most `room` bytes; what came first goes first, for keys hold the minute and are of no
    use in the next. Any number of threads may ask. One that takes more than a SHARE of the room is not kept.
    """

    SHARE: Final = 100  # as many at least are kept

    def __init__(self, room: int) -> None:
        self.room = room
        self.held = 0  # bytes
        self._found: dict[Hashable, tuple[Result, int]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def of(self, key: Hashable, make: Callable[[], Result], size: Callable[[Result], int]) -> Result:
        """What `make` gives, made once; `size`: bytes that result and key take."""
        found = self._found.get(key)
        if found:
            return found[0]
        made = make()
        taken = size(made)
        if taken * self.SHARE > self.room:
            return made
        with self._lock:
            if key not in self._found:
                self._found[key] = made, taken
                self.held += taken
            while self.held > self.room:
                self.held -= self._found.pop(next(iter(self._found)))[1]
        return made

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._found.clear()
            self.held = 0
