"""`rapport demo` makes its workspace once."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import pytest
from click.testing import CliRunner
from rich.console import Console
from sqlalchemy import select

from campaigns.models import Campaign
from engine.config import Config, Server, load
from engine.database import Database
from engine.errors import Conflict
from engine.models import ContactList
from recommender import bundles, comparisons
from web.auth import is_password
from web.cli import main
from web.cli.demo import greet
from web.demo import offers, workspace
from web.models import User

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder; the demo's folder in it."""
    monkeypatch.chdir(tmp_path)
    for name in workspace.environment(Config()):
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
    steps = re.findall(r"^  ([A-Z][a-z: ]+?) +([\d,]+) +[\d.]+ s$", first.output, re.MULTILINE)
    assert [name for name, _ in steps] == [*dict.fromkeys(name for name, _ in steps)]  # each step once
    assert dict(steps) | {"Contacts": "500", "Order lines": dict(steps)["Warehouse: order lines"]} == dict(steps)
    assert {"Shop made up", "Orders credited to messages", "Lists followed", "Recommendations"} <= dict(steps).keys()
    middle = first.output.partition("\n\n")[2].partition("\n\n")[0]
    assert len(middle.splitlines()) == len(steps)  # and nothing else
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
        offered = bundles.charged(session, datetime.now(UTC).date())
        assert [one.name for one in offered] == [name for name, _, _ in offers.BUNDLES]
        compared = comparisons.latest(session, "home")
        assert (compared.id, comparisons.as_running(compared).arm("x")) == (1, offers.COMPARED.arm("x"))
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


def test_ctrl_c_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes of the half-made shop; a foreign file in it is not needed for the next start to make it anew."""
    with monkeypatch.context() as patch:
        patch.setattr(workspace, "generate", _interrupted)
        stopped = CliRunner().invoke(main, ["demo", "--no-serve", "--contacts", "500"])
    assert stopped.exit_code == 1
    assert "the next `rapport demo` makes the shop anew" in stopped.output
    assert workspace.read(here) is None


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_a_kill_leaves_is_recognised(here: Path) -> None:
    """Before its marker was in place, while an older shop was being thrown away, or when the database was deleted."""
    here.mkdir(parents=True)
    (here / "demo.json.new").write_text("{")
    assert workspace.read(here) is None
    workspace.Marker(finished=True).write(here)
    assert workspace.read(here) is None
    (here / "rapport.db").touch()
    assert workspace.read(here) is not None
    (here / "warehouse").mkdir()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    config = workspace.settings(load(environ={}))
    with pytest.raises(KeyboardInterrupt):
        workspace.make(config, workspace.Marker(), now=datetime.now(UTC), progress=killed)
    assert [path.name for path in here.iterdir()] == ["demo.json"]
    assert workspace.read(here) is None


def test_a_port_that_is_taken_is_told_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made, with the port and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("RAPPORT_SERVER__PORT", str(port))
        result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 2
    assert f"127.0.0.1:{port} cannot be listened on" in result.output
    assert f"RAPPORT_SERVER__PORT={port + 1}" in result.output
    assert not here.exists()


def test_a_taken_port_of_the_storefront_is_told_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the next one, unless another is said."""
    with socket.socket() as taken, socket.socket() as free:
        for one in (taken, free):
            one.bind(("127.0.0.1", 0))
        taken.listen()
        free_port, port = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        monkeypatch.setenv("RAPPORT_SERVER__PORT", str(free_port))
        result = CliRunner().invoke(main, ["demo", "--shop-port", str(port)])
    assert result.exit_code == 2
    assert f"The storefront's port {port} is taken: say another with --shop-port." in result.output
    assert not here.exists()


def test_the_storefront_is_next_door() -> None:
    """One port on, or back where there is none; its origin is the one that may send."""
    for port, expected in ((8000, 8001), (65_535, 65_534)):
        config = Config(server=Server(port=port))
        url = f"http://127.0.0.1:{expected}"
        assert workspace.storefront(config) == url
        assert workspace.settings(config, {}).shop.origins == url
    assert workspace.settings(Config(), {}, shop_port=9).shop.origins == "http://127.0.0.1:9"


def test_who_follows_what_is_printed_gets_in(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real command: at the printed address, with the printed log-in and key, on the port that was set."""
    with socket.socket() as probe, socket.socket() as other:
        for one in (probe, other):
            one.bind(("127.0.0.1", 0))
        port, shop_port = probe.getsockname()[1], other.getsockname()[1]
    monkeypatch.setenv("RAPPORT_SERVER__PORT", str(port))
    command = [sys.executable, "-m", "web.cli", "demo", "--contacts", "500", "--shop-port", str(shop_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = "".join(iter(process.stdout.readline, "Four things to try:\n"))
            address = re.search(r"is at (http\S+)", lines)[1]  # type: ignore[index]
            said = dict(re.findall(r"^  (Log-in|Password|API key) +(\S+)$", lines, re.MULTILINE))
            front = re.search(r"storefront is at (http\S+)", lines)[1]  # type: ignore[index]
            assert (address, front) == (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{shop_port}")
            _wait_until_ready(address)
            browser = build_opener(HTTPCookieProcessor())
            form = urlencode({"email": said["Log-in"], "password": said["Password"]}).encode()
            page = browser.open(Request(f"{address}/login", form, {"Origin": address}), timeout=30).read().decode()
            assert "Robin Marsh" in page
            assert f'href="{front}"' in page
            _wait_until_ready(front, "/")
            window = browser.open(front, timeout=30).read().decode()
            assert f'src="{address}/t.js"' in window
            assert "Good things" in window
            asked = Request(f"{address}/api/v1/lists", headers={"Authorization": f"Bearer {said['API key']}"})
            assert len(json.load(urlopen(asked, timeout=30))["lists"]) == 8
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    assert process.returncode == 0
    assert here.exists()


def _wait_until_ready(address: str, path: str = "/ready") -> None:
    end = time.monotonic() + 120  # three processes start at once, and import half a gigabyte
    while time.monotonic() < end:
        with suppress(OSError):
            urlopen(address + path, timeout=5)
            return
        time.sleep(0.1)
    raise AssertionError(f"{address} never became ready")


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
    assert load(environ=workspace.environment(demo) | {"RAPPORT_CONFIG": ""}).mail == demo.mail


def test_the_environment_is_honoured(here: Path, tmp_path: Path) -> None:
    """But for what the demo must set; a file of settings, which may be the real shop's, is not. It says where it is."""
    given = {
        "RAPPORT_WORKSPACE__PATH": str(tmp_path / "elsewhere"),
        "RAPPORT_SHOP__ORIGINS": "https://mine.example",
        "RAPPORT_MAIL__TRANSPORT": "smtp",
        "RAPPORT_DATABASE__URL": "sqlite:///real.db",
    }
    demo = workspace.settings(load(environ=given), given)
    assert (demo.folder, demo.shop.origins) == (tmp_path / "elsewhere", "https://mine.example")
    assert (demo.mail.transport, demo.database.url) == ("outbox", "")
    assert load(environ=workspace.environment(demo)).folder == demo.folder
    assert workspace.settings(load(environ=given), {}).folder == here
    console = Console(record=True, width=200)
    greet(demo, workspace.Marker(), workspace.storefront(demo), console)
    assert f"{tmp_path / 'elsewhere'}" in console.export_text()
