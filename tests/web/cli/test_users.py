"""Users and keys from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.config import Config
from engine.database import Database
from web import auth
from web.api import access
from web.cli import main
from web.services import utcnow


class Shell:
    """Runs `rapport ...` in the workspace of the test."""

    def __init__(self, config: Config) -> None:
        self.environment = {
            "RAPPORT_WORKSPACE__PATH": config.workspace.path,
            "RAPPORT_DATABASE__URL": config.database.url,
        }

    def __call__(self, *words: str, **more: str) -> Result:
        """Run and return what happened."""
        return CliRunner().invoke(main, list(words), env=self.environment, **more)  # type: ignore[arg-type]


@pytest.fixture
def rapport(config: Config) -> Shell:
    """The command."""
    return Shell(config)


def test_a_user_is_made_and_kept_out(rapport: Shell, config: Config, database: Database, tmp_path: Path) -> None:
    """By a password file or at the prompt; a new password counts, a disabled user cannot log in."""
    file = tmp_path / "password"
    file.write_text("correct horse battery\n")
    assert rapport("user", "add", "mei@shop.example", "--password-file", str(file)).exit_code == 0
    typed = "another good password\n" * 2
    assert rapport("user", "password", "mei@shop.example", input=typed).exit_code == 0
    token = auth.log_in(
        database,
        config.security,
        "mei@shop.example",
        "another good password",
        address="192.0.2.1",
        browser="",
        now=utcnow(),
    )
    assert rapport("user", "disable", "mei@shop.example").exit_code == 0
    assert auth.recognise(database, config.security, token, utcnow()) is None
    assert rapport("user", "list").output == "mei@shop.example  admin  disabled\n"


def test_the_first_user_is_an_administrator(rapport: Shell, tmp_path: Path) -> None:
    """The next ones are not unless it is said; `user role` changes it."""
    file = tmp_path / "password"
    file.write_text("correct horse battery\n")
    for email, *role in (("ann@shop.example",), ("ben@shop.example",), ("cleo@shop.example", "--role", "admin")):
        assert rapport("user", "add", email, *role, "--password-file", str(file)).exit_code == 0
    assert rapport("user", "role", "ann@shop.example", "marketer").exit_code == 0
    assert rapport("user", "role", "nobody@shop.example", "admin").exit_code == 1
    assert rapport("user", "list").output.split() == [
        *("ann@shop.example", "marketer", "ben@shop.example", "marketer", "cleo@shop.example", "admin")
    ]


def test_faults_are_sentences(rapport: Shell) -> None:
    """Status 1 and what to do, never a traceback."""
    for words, said in (
        (("user", "disable", "nobody@shop.example"), "rapport user list"),
        (("key", "add", "Till", "--scope", "order:write"), "'orders:write'"),
        (("key", "revoke", "00000000"), "no key"),
    ):
        result = rapport(*words)
        assert (result.exit_code, said in result.output) == (1, True), result.output


def test_a_key_is_made_and_revoked(rapport: Shell, database: Database) -> None:
    """Shown once; the list shows its beginning."""
    made = rapport("key", "add", "Till", "--scope", "orders:write", "--scope", "events:write").output.strip()
    key = access.find_key(database, made, utcnow())
    assert key
    assert key.scopes == ["events:write", "orders:write"]
    prefix = made.partition(".")[0]
    assert rapport("key", "list").output == f"{prefix}  Till  events:write orders:write\n"
    assert rapport("key", "revoke", prefix).exit_code == 0
    assert access.find_key(database, made, utcnow()) is None


def test_migrate_twice(rapport: Shell) -> None:
    """The second time there is nothing to do."""
    assert [rapport("migrate").exit_code for _ in range(2)] == [0, 0]


def test_every_command_loads() -> None:
    """The help of each names it."""
    for word in main.list_commands(main.make_context("rapport", ["--help"], resilient_parsing=True)):  # type: ignore[attr-defined]
        assert CliRunner().invoke(main, [word, "--help"]).exit_code == 0, word


def test_a_key_of_web_pages(rapport: Shell, database: Database) -> None:
    """Public, bound to origins; never with scopes of its own, and one of both is said."""
    made = rapport("key", "add", "Shop", "--origin", "https://shop.example", "--origin", "http://localhost:8000")
    key = access.find_key(database, made.output.strip(), utcnow())
    assert key
    assert (key.origins, key.scopes) == (["https://shop.example", "http://localhost:8000"], list(access.BROWSER))
    assert rapport("key", "list").output == f"{made.output.strip()}  Shop  https://shop.example http://localhost:8000\n"
    for words in ((), ("--scope", "tick:run", "--origin", "https://shop.example")):
        refused = rapport("key", "add", "Shop", *words)
        assert (refused.exit_code, "--origin for a public key" in refused.output) == (2, True)
    refused = rapport("key", "add", "Shop", "--origin", "http://shop.example")
    assert (refused.exit_code, "not encrypted" in refused.output) == (1, True)
