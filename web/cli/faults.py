"""What the world around does wrong (a database that does not answer, a full disk), in one sentence with the remedy."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from engine.config import Config
from engine.database import shown

Remedies = tuple[tuple[str, str], ...]  # what the message holds, what helps; the first that fits

WRITE: Final = "Give this user the right to write there, or set workspace.path or database.url to another place."

FILES: Final[Remedies] = (
    (
        r"No space left on device|Disk quota exceeded|disk is full|disk I/O error|File too large",
        "Free some space if the disk is full, then run the command again.",
    ),
    (r"Read-only file system|Permission denied|Operation not permitted|readonly database|unable to open", WRITE),
    (r"Not a directory|File exists", "Where a folder is wanted stands a file: set workspace.path to another place."),
)
STORED: Final[Remedies] = (
    (r"permission denied|must be owner", "Make the user of database.url the owner of the database."),
    (r"not a database|malformed", "Restore it from a backup, or name another file in database.url."),
    (r"database is locked", "Another process has been writing for 30 s: wait for it to end, or stop it."),
)
CONNECT: Final[Remedies] = (
    (
        r"password|role \S+ does not exist|pg_hba|authentication",
        "Check the user and the password in database.url, and that the server lets them in.",
    ),
    (r"database \S+ does not exist", "Make it with `createdb`, or name another one in database.url."),
    (r"too many clients|connection slots", "Raise the server's max_connections, or start fewer processes."),
    (r"invalid (\w+ value|connection option)", "Check what stands behind ? in database.url."),
    (r"", "Start the server, or check host and port in database.url."),
)


def explained(error: Exception, config: Config | None) -> str | None:
    """The sentence; None for what is no fault of the surroundings but one of the program."""
    if isinstance(error, BrokenPipeError):  # whoever reads our output has seen enough
        return None
    if isinstance(error, DBAPIError):
        return _database(error, config)
    remedy = _remedy(FILES, str(error))
    if isinstance(error, OSError) and error.filename:
        return _sentence(f"{error.filename}: {error.strerror}", remedy or "")
    return _sentence(_first_line(error), remedy) if remedy else None


def _database(error: DBAPIError, config: Config | None) -> str | None:
    if config is None:
        return None
    url = make_url(config.database_url)
    lost = url.get_backend_name() != "sqlite" and (error.statement is None or error.connection_invalidated)
    text = re.sub(r"^connection (failed|is bad): ", "", _first_line(error.orig or error))
    remedy = _remedy((*FILES, *STORED, *(CONNECT if lost else ())), text)
    if remedy is None:
        return None
    if url.password:
        text = text.replace(str(url.password), "***")
    return _sentence(f"{shown(url)}: {text}", remedy)


def _remedy(remedies: Remedies, text: str) -> str | None:
    return next((remedy for pattern, remedy in remedies if re.search(pattern, text)), None)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _sentence(text: str, remedy: str) -> str:
    return f"{text.rstrip('.')}. {remedy}".strip()
