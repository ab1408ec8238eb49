"""`rapport --help` and small commands answer at once: they load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from engine.config import Config
from web.cli import COMMANDS, main

HEAVY = {"alembic", "flask", "granian", "sqlalchemy"}  # 0.1 to 0.4 s each
HEAVIEST = {"apiflask", "deltalake", "duckdb", "ibis", "implicit", "mlxtend", "numpy", "pandas", "pyarrow", "scipy"}
PROGRAM = """
import sys
from web.cli import main
try:
    main(sys.argv[2:], prog_name="rapport")
except SystemExit as ended:
    print("loaded", *sorted(set(sys.argv[1].split(",")) & sys.modules.keys()), ended.code)
"""


def loaded(forbidden: set[str], *words: str, folder: Path) -> str:
    """What the command prints, and at the end which of these modules it loaded."""
    command = [sys.executable, "-c", PROGRAM, ",".join(forbidden), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=True).stdout


def test_the_table_says_what_the_commands_say() -> None:
    """The first sentence of each command's help stands in the table, in the order of the words."""
    context = click.Context(main)
    for word, (_place, sentence) in COMMANDS.items():
        command = main.get_command(context, word)  # type: ignore[attr-defined]
        assert command.name == word
        assert sentence == command.get_short_help_str(limit=1000)
    assert list(COMMANDS) == sorted(COMMANDS)


def test_the_help_loads_no_command(tmp_path: Path) -> None:
    """All words with their sentences."""
    said = loaded(HEAVY | HEAVIEST, "--help", folder=tmp_path)
    assert said.endswith("loaded 0\n")
    assert all(f"\n  {word} " in said for word in COMMANDS)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("words", ["key list", "key add Till --scope orders:write", "user list"])
def test_keys_and_users_need_the_database_alone(config: Config, tmp_path: Path, words: str) -> None:
    """No warehouse, no recommender, no API."""
    file = tmp_path / "config.toml"
    file.write_text(f'[workspace]\npath = "{tmp_path}"\n[database]\nurl = "{config.database.url}"\n')
    assert loaded(HEAVIEST, "--config", str(file), *words.split(), folder=tmp_path).endswith("loaded 0\n")
