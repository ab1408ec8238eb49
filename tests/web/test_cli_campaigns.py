"""Campaigns on the command line."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.config import Config
from engine.database import Database
from tests.campaigns import shop
from web.cli import main


@pytest.fixture
def command(config: Config, tmp_path: Path) -> list[str]:
    """How to call the program on the test's workspace."""
    file = tmp_path / "config.toml"
    url = f'[database]\nurl = "{config.database.url}"\n' if config.database.url else ""
    file.write_text(f'[workspace]\npath = "{tmp_path}"\n{url}')
    return ["--config", str(file), "campaign"]


def test_see_stop_and_read(database: Database, command: list[str], now: datetime) -> None:
    """list, show, pause, resume, cancel and report say what is so; a wrong number ends with a sentence."""
    with database.begin() as session:
        found = shop.campaign(session, now)
        shop.fire(session, found, shop.crowd(session, 3, now), now)

    def call(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, [*command, *words], catch_exceptions=False)
        return result.exit_code, result.output

    assert "sending    email" in call("list")[1]
    assert "3  queued" in call("show", "1")[1]
    assert call("pause", "1") == (0, "Campaign 1, Spring, is paused.\n")
    assert call("resume", "1") == (0, "Campaign 1, Spring, is sending.\n")
    assert call("cancel", "1") == (0, "Campaign 1, Spring, is cancelled.\n")
    assert call("pause", "1")[0] == 1
    assert "Nobody was held out" in call("report", "1")[1]
    assert json.loads(call("report", "1", "--json")[1])["funnel"]["matched"] == 3
    assert call("show", "9") == (1, "Error: There is no campaign 9.\n")
