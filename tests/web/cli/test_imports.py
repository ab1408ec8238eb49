"""`rapport import`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from engine.config import Config
from engine.database import Database
from engine.intake import KINDS
from engine.models import Contact
from web.cli import main

CONTACTS = "no,name,shoe\nC1,Ann,42\nC2,Bob,\n"


@pytest.fixture
def settings_file(config: Config, tmp_path: Path) -> Path:
    """A settings file of the test's workspace."""
    path = tmp_path / "settings.toml"
    path.write_text(f'[workspace]\npath = "{config.folder}"\n[database]\nurl = "{config.database_url}"\n')
    return path


def run(settings_file: Path, content: str, *options: str) -> Result:
    """Import a file of contacts."""
    path = settings_file.with_name("people.csv")
    path.write_text(content)
    arguments = ["--config", str(settings_file), "import", "contacts", str(path), *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


MAPS = ("--map", "no=key", "--map", "name=first_name")


def test_a_file_goes_in(database: Database, settings_file: Path) -> None:
    """Mapped by hand, told in words, status 0; a dry run beforehand says the same and writes nothing."""
    for options, words in (
        (("--dry-run",), "2 records: 2 contacts would be created, 0 updated, 0 unchanged; 0 records refused."),
        ((), "2 records: 2 contacts created, 0 updated, 0 unchanged; 0 records refused."),
        ((), "2 records: 0 contacts created, 0 updated, 2 unchanged; 0 records refused."),
    ):
        result = run(settings_file, CONTACTS, *MAPS, "--map", "shoe=attributes.shoe", *options)
        assert (result.exit_code, result.stdout) == (0, words + "\n")
        assert "contacts" in result.stderr
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 2


def test_refused_records_are_told(settings_file: Path) -> None:
    """Line, field and reason on the terminal, the file of all of them, and status 1."""
    result = run(settings_file, CONTACTS + ",Cy,\n", *MAPS, "--ignore-unknown")
    assert result.exit_code == 1
    assert "2 contacts created" in result.stdout
    assert "  line 4, key: is missing.\n" in result.stdout
    assert "All refused records: " in result.stdout
    result = run(settings_file, CONTACTS + ",Cy,\n", *MAPS, "--ignore-unknown", "--refuse-all")
    assert "Nothing was written" in result.stdout


def test_a_header_that_does_not_fit_is_an_error(settings_file: Path) -> None:
    """One sentence with the remedy, no traceback."""
    result = run(settings_file, CONTACTS, "--map", "no=key", "--map", "name=fist_name")
    assert result.exit_code == 1
    assert "Did you mean 'first_name'?" in result.stderr
    assert run(settings_file, CONTACTS, "--map", "no").exit_code == 2


def test_a_missing_file_is_an_error(settings_file: Path) -> None:
    """It says which."""
    arguments = ["--config", str(settings_file), "import", "items", "nowhere.csv"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, "nowhere.csv cannot be opened" in result.stderr) == (1, True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_can_be_asked(kind: str) -> None:
    """Without a file, every column of the kind is named."""
    result = CliRunner().invoke(main, ["import", kind], catch_exceptions=False, env={"COLUMNS": "200"})
    assert all(column.name in result.stdout for column in KINDS[kind].columns)
