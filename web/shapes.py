"""What people chose for a file, kept by its kind and its header: next month's export needs no choosing.

It lies in the workspace and holds no record, only headers. Clearing by empty cells is not kept: it is asked for anew.
"""

from __future__ import annotations

import json
from contextlib import suppress
from copy import copy
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from engine.intake.kinds import kind
from web.uploads import Upload

KEPT: Final = 200  # shapes; the one not used for longest goes
LARGEST: Final = 2**16  # bytes of one: 500 columns with names of 60 letters
_CHOICES: Final = ("mapping", "time_format", "comma", "repeats", "find", "wins")


class Shapes:
    """The folder of shapes of a workspace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, upload: Upload) -> None:
        """Choose as the last time, if there was one; columns that are no more are left out. `remembered` only when that
        is another choice than the names alone would make.
        """
        with suppress(OSError, ValueError):
            path = self._path(upload)
            before = [copy(getattr(upload, name)) for name in _CHOICES]
            chosen: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            wanted = kind(upload.kind)
            for title, name in chosen["mapping"].items():
                upload.mapping[title] = name if wanted.column(name) else ""
            for name in _CHOICES[1:]:
                setattr(upload, name, chosen.get(name, getattr(upload, name)))
            upload.remembered = before != [getattr(upload, name) for name in _CHOICES]

    def keep(self, upload: Upload) -> None:
        """For the next file with this header."""
        text = json.dumps({name: getattr(upload, name) for name in _CHOICES})
        if len(text) > LARGEST:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(upload).write_text(text, encoding="utf-8")
        newest = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest[KEPT:]:
            path.unlink(missing_ok=True)

    def _path(self, upload: Upload) -> Path:
        shape = json.dumps([upload.kind, *map(str.strip, upload.header)])
        return self._folder / f"{blake2b(shape.encode(), digest_size=16).hexdigest()}.json"
