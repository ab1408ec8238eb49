"""What imports leave in the workspace, and how long it may stay: it holds people's data in the clear.

Erasing a person does not search these files, so their life is short: see docs/intake.md.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

# Refused records wait for somebody to mend them; a month is also what the law gives for erasing a person (GDPR 12(3)).
REJECTS_LIFE: Final = timedelta(days=30)

_PREFIX: Final = "intake-"


def sweep(workspace: Path, now: datetime) -> None:
    """Delete files of refused records older than REJECTS_LIFE, and what imports that were killed left in `tmp`."""
    old = (now - REJECTS_LIFE).timestamp()
    for path in (workspace / "rejects").glob("*"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if path.stat().st_mtime < old:
                path.unlink()
    folder = workspace / "tmp"
    if folder.is_dir():
        with _door(folder):
            _clear(folder)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder within `folder` for one import; what imports that were killed left there goes first.

    The kernel's lock on it says that its process lives: a number of a process would be given again, and means nothing
    in another container.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _door(folder):
        _clear(folder)
        mine = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        lock = _lock(mine)
    try:
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        os.close(lock)


@contextmanager
def _door(folder: Path) -> Iterator[None]:
    """One at a time: nobody clears a folder between its making and its lock."""
    door = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(door)


def _clear(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError, BlockingIOError):  # it ended a moment ago, or it lives
            lock = _lock(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> int:
    """Take the lock of a folder, which ends when the number is closed; raises BlockingIOError when somebody has it."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(number, how)
    except BlockingIOError:
        os.close(number)
        raise
    return number
