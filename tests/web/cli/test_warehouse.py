"""`rapport warehouse refresh` and `rebuild`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.config import Config
from engine.database import Database
from engine.models import Contact
from tests.engine.copies import add
from web.cli import main


@pytest.fixture
def settings_file(config: Config, tmp_path: Path) -> Path:
    """A settings file of the test's workspace."""
    path = tmp_path / "settings.toml"
    path.write_text(f'[workspace]\npath = "{config.folder}"\n[database]\nurl = "{config.database_url}"\n')
    return path


def run(settings_file: Path, word: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(main, ["--config", str(settings_file), "warehouse", word], catch_exceptions=False)


def test_refresh_and_rebuild_say_what_they_did(database: Database, settings_file: Path, now: datetime) -> None:
    """The first refresh copies all, the second nothing, a rebuild all again; each says so and when."""
    with database.begin() as session:
        add(session, Contact, now, key="a")
    first, second, rebuilt = (run(settings_file, word) for word in ("refresh", "refresh", "rebuild"))
    assert [result.exit_code for result in (first, second, rebuilt)] == [0, 0, 0]
    assert "contacts                1\n" in first.stdout
    assert second.stdout.startswith("Rows: 0 in ")
    assert "Rows: 1 in " in rebuilt.stdout
    assert "contacts" in rebuilt.stderr
    assert all(result.stdout.endswith(" UTC.\n") for result in (first, second, rebuilt))
