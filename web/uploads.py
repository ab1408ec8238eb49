"""Files on their way in. Each lies in the workspace with its state beside it until it is imported, a day at most.

Any process can show it and go on with it: the kernel's lock on the file says whether somebody is at work on it, and
the kernel lets go when that process dies.
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, Literal

from engine.errors import Conflict, NotFound, TooLarge
from engine.intake import Kind, Reading
from engine.intake.files import Empty, Repeats
from engine.intake.finding import Find, Wins

LIFE: Final = timedelta(days=1)  # long enough to come back tomorrow; the file holds people's data in the clear

_TOKEN = re.compile(r"[0-9a-f]{32}")

Stage = Literal["mapping", "checking", "checked", "importing", "refreshing", "finished"]


@dataclass
class Upload:
    """A file on its way in. `file_name` is the browser's and only shown, `token` names it here."""

    token: str
    kind: str
    file_name: str
    size: int
    uploaded_at: datetime
    stage: Stage = "mapping"
    encoding: str | None = None  # chosen; None: found by looking
    read_as: str = ""  # the encoding it was read in
    header: list[str] = field(default_factory=list)
    sample: list[list[str]] = field(default_factory=list)  # its first records
    mapping: dict[str, str] = field(default_factory=dict)  # header -> column, "" leaves it out
    time_format: str | None = None
    comma: bool = False  # numbers are written 1.234,56
    empty: Empty = "keep"
    repeats: Repeats = "keep"
    find: Find = "key"
    wins: Wins = "file"
    remembered: bool = False  # these choices are those of the last file with this header
    origin: str = "import"  # of contacts it brings who do not say their own
    list_id: int | None = None  # the list that its contacts are put on
    problem: str | None = None  # why the last step failed
    started_at: datetime | None = None  # of the present or last step; the Import row has the same
    share: float = 0.0  # of that step, in [0, 1]
    counts: dict[str, int] = field(default_factory=dict)  # what the check found, or what an import had done
    forecast: dict[str, Any] = field(default_factory=dict)  # what the check said would change (engine.intake.Forecast)
    stopped: bool = False  # by hand, half way
    import_id: int | None = None

    @property
    def reading(self) -> Reading:
        """How the file is meant."""
        return Reading(self.empty, self.repeats, self.comma, self.time_format, self.encoding, self.find, self.wins)

    @property
    def columns(self) -> Kind:
        """The columns that its kind has, as the file is meant."""
        return self.reading.kind(self.kind)


class Uploads:
    """The folder of uploads of a workspace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, size: int | None) -> IO[bytes]:
        """A new file that is about to take `size` bytes; raises TooLarge when the disk has no room for them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if (size or 0) > shutil.disk_usage(self._folder).free:
            raise TooLarge("The disk of the workspace has no room for this file; free some and send it again.")
        return self.path(secrets.token_hex(16)).open("x+b")

    def path(self, token: str) -> Path:
        """Where the bytes are."""
        return self._folder / _checked(token)

    def rejects(self, token: str) -> Path:
        """What the check refused; imports have their own file, in the folder of rejects."""
        return self._folder / f"{_checked(token)}.rejects"

    def find(self, token: str) -> Upload:
        """The upload of this token; raises NotFound."""
        with suppress(OSError, ValueError, TypeError):
            return _upload(json.loads(self._state(token).read_text(encoding="utf-8")))
        raise NotFound("This upload is gone: files are kept for a day. Choose the file again.")

    def save(self, upload: Upload) -> None:
        """Write the state: all of it or nothing."""
        state = self._state(upload.token)
        beside = state.with_suffix(f".{secrets.token_hex(4)}")  # two tabs may save at once
        beside.write_text(json.dumps(asdict(upload), default=datetime.isoformat), encoding="utf-8")
        beside.replace(state)

    def forget(self, token: str) -> None:
        """Delete all but the state."""
        self.go_on(token)
        self.rejects(token).unlink(missing_ok=True)
        self.path(token).unlink(missing_ok=True)

    def ask_to_stop(self, token: str) -> None:
        """Whoever works on it, in whatever process, sees it and stops."""
        self._stop(token).touch()

    def is_stopping(self, token: str) -> bool:
        """Somebody asked to stop."""
        return self._stop(token).exists()

    def go_on(self, token: str) -> None:
        """Nobody asks to stop any more."""
        self._stop(token).unlink(missing_ok=True)

    def delete(self, token: str) -> None:
        """Delete all of it."""
        for path in self._folder.glob(f"{_checked(token)}*"):
            path.unlink(missing_ok=True)

    def all(self) -> list[Upload]:
        """Every upload, newest first."""
        found = []
        for path in self._folder.glob("*.json"):
            with suppress(NotFound):
                found.append(self.find(path.stem))
        return sorted(found, key=lambda upload: upload.uploaded_at, reverse=True)

    def sweep(self, now: datetime) -> None:
        """Delete what nobody has touched for a day."""
        old = (now - LIFE).timestamp()
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError, NotFound):
                if path.stat().st_mtime < old and not self.is_busy(path.name.partition(".")[0]):
                    path.unlink()

    def is_busy(self, token: str) -> bool:
        """A process, this or another, is at work on it."""
        lock = self._try_lock(token)
        if lock is not None:
            lock.close()
        return lock is None and self.path(token).exists()

    def lock(self, token: str) -> IO[bytes]:
        """Take the lock, which ends when the file is closed; raises Conflict when somebody has it."""
        for _ in range(10):  # a page that only asks holds it for microseconds
            lock = self._try_lock(token)
            if lock is not None:
                return lock
            time.sleep(0.01)
        raise Conflict("This file is being worked on already, or it is gone.")

    def _try_lock(self, token: str) -> IO[bytes] | None:
        try:
            file = self.path(token).open("r+b")
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def _stop(self, token: str) -> Path:
        return self._folder / f"{_checked(token)}.stop"

    def _state(self, token: str) -> Path:
        return self._folder / f"{_checked(token)}.json"


def _checked(token: str) -> str:
    """A token that cannot lead out of the folder; raises NotFound."""
    if not _TOKEN.fullmatch(token):
        raise NotFound("There is no such upload.")
    return token


def _upload(data: dict[str, Any]) -> Upload:
    for name in ("uploaded_at", "started_at"):
        data[name] = data[name] and datetime.fromisoformat(data[name])
    return Upload(**data)
