"""Whether the database is still the one that a copy was made of, or went back to an older state of itself.

Numbers do not tell: a database that came back from a backup counts on from there, and soon is as far as it was. So a
refresh that moved something leaves a fresh token in the database after it took its snapshot, and the file `current`
remembers it. Who finds that token sees a state that came after the snapshot; a backup from before does not hold it.

The row keeps two tokens: the one just left, and the one that `current` still remembers if we are killed before the
switch. Each generation has a row of its own: workspaces that share a database do not disturb each other, and copies of
one workspace part for good when one of them is built anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from engine.database import Database

LEAVE = text(
    "INSERT INTO watermarks (name, mark) VALUES (:name, :mark) ON CONFLICT (name) DO UPDATE SET mark = excluded.mark"
)
FORGET = text("DELETE FROM watermarks WHERE name = :name")
HELD = text("SELECT mark FROM watermarks WHERE name = :name")


def holds(connection: Connection, generation: str, token: str) -> bool:
    """Whether the database that `connection` sees holds this generation's token."""
    return token in (connection.scalar(HELD, {"name": _name(generation)}) or "").split()


def leave(database: Database, generation: str, token: str, remembered: str, *, former: str, wait_ms: int) -> bool:
    """Write the token beside the one remembered, and forget a `former` generation. False when somebody else has been
    writing to SQLite for `wait_ms`.
    """
    with database.engine.connect().execution_options(writes=True) as connection, _patience(connection, wait_ms):
        try:
            with connection.begin():
                connection.execute(LEAVE, {"name": _name(generation), "mark": f"{token} {remembered}".strip()})
                if former:
                    connection.execute(FORGET, {"name": _name(former)})
        except OperationalError as error:
            if connection.dialect.name != "sqlite" or "locked" not in str(error.orig):
                raise
            return False
    return True


@contextmanager
def _patience(connection: Connection, wait_ms: int) -> Iterator[None]:
    """Let SQLite wait so long for the lock instead of its 30 s."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    usual = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    driver.execute(f"PRAGMA busy_timeout = {wait_ms}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {usual}")


def _name(generation: str) -> str:
    return f"warehouse {generation}"
