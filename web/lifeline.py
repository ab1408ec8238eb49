"""A process ends when the one that started it is gone, even by kill -9: nobody would tell it otherwise, and it would
go on holding the port and the sender's lock.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

PATIENCE: Final = 25.0  # seconds a process has to finish what it is doing before it is killed
FOLLOW: Final = "RAPPORT_LIFELINE"  # tells a process that its standard input is a lifeline


@contextmanager
def held() -> Iterator[tuple[int, Mapping[str, str]]]:
    """Standard input and environment of processes that shall end with this one. Only this process has the other end
    of the pipe: whatever becomes of it, the system closes it, and they read the end.
    """
    followed, ours = os.pipe()
    try:
        yield followed, {**os.environ, FOLLOW: "1"}
    finally:
        os.close(followed)
        os.close(ours)


def follow() -> None:
    """End with the process that holds our lifeline, if one does."""
    if os.environ.pop(FOLLOW, None):
        _end_after(lambda: os.read(0, 1))


def follow_parent() -> None:
    """End with the process that forked this one (a web server's worker), if one did."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _end_after(parent.join)


def _end_after(wait: Callable[[], object]) -> None:
    def end() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)

    threading.Thread(target=end, name="lifeline", daemon=True).start()
