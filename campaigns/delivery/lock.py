"""SQLite has one sender process. The operating system frees the lock when its holder dies, however it dies: holding
it proves every other owner dead, so recovery needs no clock.
"""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from engine.database import Database
from engine.errors import Conflict


class SenderLock:
    """An exclusive lock on a file beside the database; the file says who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises Conflict, naming the holder, when another process has it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise Conflict(
                f"This database already has a sender: {holder}. Stop it first, or move to PostgreSQL for several."
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode())
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


def lock_of(database: Database) -> SenderLock:
    """The lock of a SQLite database."""
    return SenderLock(Path(f"{database.url.database}.sender"))
