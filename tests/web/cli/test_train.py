"""`rapport train`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.config import Config
from engine.database import Database
from tests.recommender.shop import add_contacts, add_items, add_order
from web.cli import main
from web.services import utcnow


@pytest.fixture
def run(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Run `rapport` in the test's workspace."""
    monkeypatch.setenv("RAPPORT_WORKSPACE__PATH", config.workspace.path)
    monkeypatch.setenv("RAPPORT_DATABASE__URL", config.database.url)
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, words)


def test_train_list_publish(run: object, database: Database, config: Config) -> None:
    """Train twice, look at the list, go back to the first one; a damaged one is not let in."""

    def rapport(*words: str) -> Result:
        found: Result = run(*words)  # type: ignore[operator]
        return found

    empty = rapport("train")
    assert empty.exit_code == 1
    assert "nothing to learn from" in empty.output
    with database.begin() as session:
        things, people = add_items(session, 4), add_contacts(session, 20)
        for number, contact in enumerate(people):
            add_order(session, contact, things[number % 2 :: 2], utcnow() - timedelta(days=number + 1))
    assert "Training 2 serves." in rapport("train").output
    assert "Training 3 serves." in rapport("train").output
    assert "Training 2 serves." in rapport("train", "--publish", "2").output
    lines = rapport("train", "--list").output.splitlines()
    assert [line[0] for line in lines] == [" ", "*", " "]
    assert [line[:6].replace("*", " ").strip() for line in lines] == ["3", "2", "1"]
    assert "failed" in lines[2]
    assert "There is no training 9" in rapport("train", "--publish", "9").output
    (config.folder / "trainings" / "3" / "items.npy").write_bytes(b"")
    damaged = rapport("train", "--publish", "3")
    assert damaged.exit_code == 1
    assert "damaged" in damaged.output
