"""`rapport demo` makes its workspace once."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from campaigns.models import Campaign
from engine.config import Config, load
from engine.database import Database
from engine.errors import Conflict
from engine.models import ContactList
from web.auth import is_password
from web.cli import main
from web.demo import workspace
from web.models import User

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder; the demo's folder in it."""
    monkeypatch.chdir(tmp_path)
    for name in workspace.environment():
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "var" / "demo"


def test_the_demo_is_made_once(here: Path) -> None:
    """The first call makes everything and says how to get in; the second changes nothing and says the same."""
    call = ["demo", "--no-serve", "--contacts", "500"]
    first = CliRunner().invoke(main, call)
    assert first.exit_code == 0, first.output
    marker = workspace.read(here)
    assert marker is not None
    made = (here / "rapport.db").stat().st_mtime_ns
    second = CliRunner().invoke(main, call)
    for output in (first.output, second.output):
        assert marker.password in output
        assert marker.key in output
    assert workspace.read(here) == marker
    assert (here / "rapport.db").stat().st_mtime_ns == made
    assert stat.S_IMODE((here / "demo.json").stat().st_mode) == 0o600
    database = Database(f"sqlite:///{here / 'rapport.db'}")
    with database.read() as session:
        user = session.scalars(select(User)).one()
        assert is_password(user, marker.password)
        ahead = session.scalars(select(Campaign.status).order_by(Campaign.id.desc()).limit(2)).all()
        assert ahead == ["draft", "scheduled"]
        assert session.scalars(select(ContactList.size).where(ContactList.counted_at.is_(None))).all() == []
    database.close()


def test_an_interrupted_demo_is_made_anew(here: Path, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed call left behind is recognised, removed and made again."""
    config = workspace.settings(load(environ={}))

    def killed(what: str, _done: int, _total: int) -> None:
        if what == "sends":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.make(config, workspace.Marker(contacts=500), now=now, progress=killed)
    assert (here / "rapport.db").exists()
    assert workspace.read(here) is None
    marker = workspace.make(config, workspace.Marker(contacts=500), now=now, progress=lambda *_: None)
    assert workspace.read(here) == marker


def test_a_foreign_folder_is_left_alone(here: Path) -> None:
    """A folder that holds something else is refused, and a damaged marker too."""
    here.mkdir(parents=True)
    (here / "thesis.txt").write_text("important")
    result = CliRunner().invoke(main, ["demo", "--no-serve"])
    assert result.exit_code == 1
    assert "move it away" in result.output
    assert (here / "thesis.txt").exists()
    (here / "demo.json").write_text(json.dumps({"unknown": 1}))
    with pytest.raises(Conflict, match="cannot be read"):
        workspace.read(here)


def test_nothing_leaves_the_machine(config: Config) -> None:
    """Whatever the settings say, the demo has its own database and keeps its mail."""
    real = replace(config, mail=replace(config.mail, transport="smtp"), sms=replace(config.sms, transport="http"))
    demo = workspace.settings(real)
    assert (demo.mail.transport, demo.sms.transport, demo.database.url) == ("outbox", "outbox", "")
    assert load(environ=workspace.environment() | {"RAPPORT_CONFIG": ""}).mail == demo.mail
