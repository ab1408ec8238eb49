"""The running program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from web.cli.server import supervise

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
FALL = [sys.executable, "-c", "raise SystemExit(3)"]
DEAF = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]


def test_one_falls_all_end() -> None:
    """The fallen one is named, the other is not left behind."""
    assert supervise({"serve": SLEEP, "work": FALL}, threading.Event()) == "work"


def test_stop_ends_all() -> None:
    """A wanted stop is no fault."""
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert supervise({"serve": SLEEP, "work": SLEEP}, stop) is None


def test_who_does_not_listen_is_killed() -> None:
    """After its time to finish."""
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    assert supervise({"work": DEAF}, stop, patience=0.3) is None
    assert time.monotonic() - start < 10


@pytest.fixture
def environment(sqlite_template: Path, tmp_path: Path) -> dict[str, str]:
    """A workspace and a free port."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {**os.environ, "RAPPORT_WORKSPACE__PATH": str(tmp_path), "RAPPORT_SERVER__PORT": str(port)}


@pytest.fixture
def running(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`rapport run`, answering."""
    process = subprocess.Popen([sys.executable, "-m", "web.cli", "run"], env=environment)
    yield process
    process.kill()
    process.wait()


def _run(word: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "web.cli", word]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _status(environment: dict[str, str], path: str) -> int:
    try:
        port = environment["RAPPORT_SERVER__PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


def _wait_for(environment: dict[str, str], status: int) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if _status(environment, "/ready") == status:
            return True
        time.sleep(0.1)
    return False


def test_stops_cleanly(running: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    """Asked to stop, web and worker end by themselves within 30 s and the port is free."""
    assert _wait_for(environment, 200)
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 0
    assert _status(environment, "/ready") == 0


def _children(pid: int) -> list[int]:
    """All processes below one."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(word) for task in tasks for word in task.read_text().split()]
    return found + [below for child in found for below in _children(child)]


def _alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be counted by its parent does not."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("victim", ["run", "serve"])
def test_nobody_outlives_a_kill(running: subprocess.Popen[bytes], environment: dict[str, str], victim: str) -> None:
    """After kill -9 of the whole, or of the web server, its children end too: the port is free and so is the lock of
    the one sender that SQLite allows.
    """
    assert _wait_for(environment, 200)
    family = _children(running.pid)
    assert len(family) == 3  # web server, its worker, and the sender
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family}
    killed = running.pid if victim == "run" else next(pid for pid, line in words.items() if b"serve" in line)
    os.kill(killed, signal.SIGKILL)
    end = time.monotonic() + 30
    while any(map(_alive, family)) and time.monotonic() < end:
        time.sleep(0.1)
    left = [words[pid] for pid in family if _alive(pid)]
    for pid in filter(_alive, family):
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert _status(environment, "/ready") == 0
    assert _run("tick", environment).returncode == 0


def test_port_in_use_is_a_sentence(environment: dict[str, str]) -> None:
    """Not a traceback from a child process."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["RAPPORT_SERVER__PORT"])))
        taken.listen()
        done = _run("serve", environment)
    assert done.returncode == 2
    assert "set server.port to another" in done.stderr
    assert "Traceback" not in done.stderr


def test_tick_is_for_cron(environment: dict[str, str]) -> None:
    """One tick, one line, and the end."""
    done = _run("tick", environment)
    assert (done.returncode, done.stdout) == (0, "Fired 0, finished 0, late 0; nothing to send.\n"), done.stderr
