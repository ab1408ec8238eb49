"""The file `current`: which files of which tables belong together. Renaming it is the one switch readers see.

Every table of one refresh comes from one SQL snapshot, but each is committed by itself; a reader who took the
newest version of each could meet an order line without its order. So readers follow this file alone. It is
written last: after a crash it is behind the tables, the rows in between are read again, and since rows replace
their older selves by id that changes nothing.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path


@dataclass(frozen=True)
class State:
    """Where one table stands."""

    version: int  # of the Delta table
    mark: str  # the SQL snapshot it shows (engine.warehouse.extract)
    shape: str  # of its columns or its computation


@dataclass(frozen=True)
class Current:
    """Which files belong together."""

    generation: str  # folder of the tables
    source: str  # the SQL database they were copied from
    token: str = ""  # what it holds since (engine.warehouse.descent),
    signed: bool = False  # and whether that came after everything shown here
    as_of: datetime | None = None
    tables: dict[str, State] = field(default_factory=dict)

    def later(self, before: Current) -> timedelta:
        """By how much this is the same at another moment; nothing when it is something else."""
        if self.as_of is None or before.as_of is None or replace(before, as_of=self.as_of) != self:
            return timedelta()
        return self.as_of - before.as_of


def read(folder: Path) -> Current | None:
    """The present state; None when there is none that can be used."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        data = json.loads((folder / "current").read_text(encoding="utf-8"))
        tables = {name: State(**state) for name, state in data.pop("tables").items()}
        as_of = datetime.fromisoformat(data.pop("as_of"))
        return Current(**data, as_of=as_of, tables=tables)
    return None


def write(folder: Path, current: Current) -> None:
    """Switch to this state: all of it or nothing."""
    text = json.dumps(asdict(current), default=datetime.isoformat)
    beside = folder / "current.new"  # one writer at a time: the lock is held
    beside.write_text(text, encoding="utf-8")
    beside.replace(folder / "current")


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a file's lock against other threads and processes; False when it is taken and we do not wait.
    The kernel lets go when the holder dies.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
