"""Surroundings that are at fault end a command with one sentence, the remedy and status 2; no password is shown."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import event, make_url
from sqlalchemy.exc import OperationalError

from engine import lists, schema
from engine.config import Config
from engine.database import Database
from web.cli import main

PASSWORD = "correct horse"


def call(*words: str, **settings: str) -> Result:
    """`rapport` with settings from the environment."""
    return CliRunner().invoke(main, words, env={f"RAPPORT_{name}": value for name, value in settings.items()})


def refused(result: Result, *said: str) -> None:
    """Status 2, one line, what was said, no password."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.output.splitlines() if "\N{BOX DRAWINGS HEAVY HORIZONTAL}" not in line]
    assert len(lines) == 1  # beside a progress bar
    for words in said:
        assert words in result.output
    assert PASSWORD not in result.output
    assert "correct%20horse" not in result.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "an example: postgresql+psycopg://user:password@host/name"),
        ("mysql://a:{password}@h/x", "not mysql://"),
        ("postgresql+psycopg2://a:{password}@h/x", "not postgresql+psycopg2://"),
        ("postgresql+psycopg://a:{password}@h:many/x", "no database address"),
        ("postgresql+psycopg://a:{password}@h.invalid/x", "check host and port in database.url"),
        ("postgresql+psycopg://a:{password}@127.0.0.1:{port}/x", "Start the server"),
        ("postgresql+psycopg://a@127.0.0.1:{port}/x?sslmode=bogus&password={password}", "behind ? in database.url"),
        ("sqlite:///{folder}", "Give this user the right to write there"),
        ("sqlite:///{folder}/notes.txt", "Restore it from a backup"),
        ("sqlite:///{folder}/notes.txt/x/rapport.db", "set workspace.path"),
    ],
)
@pytest.mark.parametrize("word", ["migrate", "tick"])
def test_a_wrong_address(url: str, said: str, word: str, tmp_path: Path) -> None:
    """Of another kind, unreadable, where nobody answers, or a file that is no database."""
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be read as the head of one" * 20)
    with socket.socket() as free:  # bound, never listening: refused
        free.bind(("127.0.0.1", 0))
        given = {"password": "correct%20horse", "port": free.getsockname()[1], "folder": tmp_path}
        refused(call(word, DATABASE__URL=url.format(**given)), said)


def test_a_server_that_refuses(postgresql_url: str) -> None:
    """Somebody it does not know, or a database that it does not have."""
    known = make_url(postgresql_url)
    nobody = known.set(username="rapport_nobody", password=PASSWORD)
    nowhere = known.set(password=PASSWORD, database="rapport_nowhere")
    for url, said in ((nobody, "Check the user and the password"), (nowhere, "Make it with `createdb`")):
        address = url.render_as_string(hide_password=False)
        refused(call("migrate", DATABASE__URL=address), said, url.render_as_string(hide_password=True))


def test_a_database_of_another_version(config: Config, database: Database) -> None:
    """Empty or older: which command; newer: which program. `migrate` leaves a newer one alone."""
    where = {"WORKSPACE__PATH": config.workspace.path, "DATABASE__URL": config.database.url}
    version = "SELECT version_num FROM alembic_version"
    with database.engine.begin() as connection:
        head = connection.exec_driver_sql(version).scalar_one()
    try:
        for word in ("migrate", "tick", "run"):
            _set_version(database, "9999")
            refused(call(word, **where), "A newer Rapport made this database (version 9999)")
        _set_version(database, None)
        refused(call("tick", **where), "is empty: run `rapport migrate`.")
    finally:
        _set_version(database, head)
    schema.check(database)


def _set_version(database: Database, version: str | None) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
        if version:
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{version}')")


def test_a_full_disk(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the database says in its own words, and the system in others; nothing half-done is kept."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    file = tmp_path / "contacts.csv"
    file.write_text("key,email\n" + "".join(f"c{number},c{number}@shop.example\n" for number in range(5000)))
    original = Database.__init__

    def small(database: Database, url: str) -> None:
        original(database, url)
        with database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        database.engine.pool.dispose()
        limit = f"PRAGMA max_page_count={pages + 5}"
        event.listen(database.engine, "connect", lambda connection, _entry: connection.execute(limit))

    with monkeypatch.context() as patch:
        patch.setattr(Database, "__init__", small)
        refused(call("import", "contacts", str(file), WORKSPACE__PATH=str(tmp_path)), "Free some space")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "warehouse"))

    monkeypatch.setattr(lists, "browse", full)
    refused(call("list", "all", WORKSPACE__PATH=str(tmp_path)), "Free some space", "warehouse: No space left on device")


def test_a_disk_that_cannot_be_written(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only or without room, in the words of the database: never the remedy of a server."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())

    for words, remedy in (
        ("attempt to write a readonly database", "Give this user the right to write there"),
        ("disk I/O error", "Free some space"),  # a full disk without room for what WAL shares
    ):
        error = OperationalError(None, {}, Exception(words))
        monkeypatch.setattr(lists, "browse", Mock(side_effect=error))
        refused(call("list", "all", WORKSPACE__PATH=str(tmp_path)), remedy, f"rapport.db: {words}")


def test_a_fault_of_the_program_is_not_hidden(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong statement is ours: its traceback must be seen."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())

    def wrong(*_: object, **__: object) -> None:
        raise OperationalError("SELEC", {}, Exception('near "SELEC": syntax error'))

    monkeypatch.setattr(lists, "browse", wrong)
    assert isinstance(call("list", "all", WORKSPACE__PATH=str(tmp_path)).exception, OperationalError)


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    """The variable or the file, the setting, and what it may be."""
    refused(call("serve", SENDGRID__WEBHOOK_PUBLIC_KEY="AAAA"), "copy the Verification Key")
    refused(
        call("tick", SERVER__PORT="99999"), "RAPPORT_SERVER__PORT: server.port must be", "from 1 to 65535, not '99999'"
    )
    (tmp_path / "shop.toml").write_text("[sending]\nconnections = 0\n")
    refused(
        CliRunner().invoke(main, ["--config", str(tmp_path / "shop.toml"), "tick"]), "shop.toml: sending.connections"
    )
    refused(CliRunner().invoke(main, ["--config", str(tmp_path / "none.toml"), "tick"]), "none.toml does not exist")
