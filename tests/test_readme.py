"""What README tells people to type works as it stands there, in a folder of their own and without a network."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:<!-- tested: ([^>]+) -->\n)?```sh\n(.*?)```", README, re.DOTALL)
NEEDS = ["bash", "curl"]


def blocks(name: str) -> str:
    """The commands of that name, in README's order."""
    return "".join(commands for marked, commands in BLOCKS if marked == name)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell in an empty folder, with `rapport` on its path and a free port."""
    if missing := [word for word in NEEDS if not shutil.which(word)]:
        pytest.skip(f"{' and '.join(missing)} is not here (Debian: apt-get install {' '.join(missing)})")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**ours, "PATH": path, "RAPPORT_SERVER__PORT": str(port), "HOME": str(tmp_path)}


def run(commands: str, folder: Path, environment: dict[str, str]) -> str:
    """What the commands print; each of them must end well."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving(commands: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """While the commands run a server; it must end well when it is asked to."""
    with subprocess.Popen(["bash", "-c", f"exec {commands}"], cwd=folder, env=environment) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{environment['RAPPORT_SERVER__PORT']}/ready")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert process.returncode == 0


def _wait_until_ready(address: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(OSError):
            urllib.request.urlopen(address, timeout=5)
            return
        time.sleep(0.1)
    raise AssertionError(f"{address} never became ready")


def test_a_shop_of_ones_own(tmp_path: Path, environment: dict[str, str]) -> None:
    """An operator's, a marketer's and a storefront's first five minutes."""
    port = environment["RAPPORT_SERVER__PORT"]
    until, asked = blocks("own shop").split("KEY=", 1)
    said = run(until, tmp_path, environment)
    for words in (
        "The database is up to date.",
        "ann@shop.example can log in",
        "3 records: 3 contacts created",
        "3 orders created",
        "Training 1 serves.",
        "2 of 2 buyers of Teapot also bought it",
        "List 1, British customers, is saved.",
        "Campaign 1, Spring, is draft.",
        "2  on the list",
        "Campaign 1, Spring, is scheduled for",
        "Fired 1, finished 1",
    ):
        assert words in said, said
    with serving(blocks("server"), tmp_path, environment):
        answer = run("KEY=" + asked.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), tmp_path, environment)
    assert '"reason"' in answer
    assert '"SKU-2"' in answer


@pytest.fixture
def renamed(postgresql_url: str, environment: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """The commands for PostgreSQL with a role and a database of the test's own, and `psql` let in as administrator."""
    if not shutil.which("psql"):
        pytest.skip("psql is not here (Debian: apt-get install postgresql-client)")
    server, name = make_url(postgresql_url), f"rapport_readme_{os.getpid()}"
    environment |= {
        "PGHOST": server.host or "", "PGPORT": str(server.port or 5432), "PGUSER": server.username or "",
        "PGPASSWORD": server.password or "", "PGDATABASE": "postgres",
    }  # fmt: skip
    place = f"{server.host}:{server.port}" if server.port else server.host
    ours = {
        "@127.0.0.1/rapport": f"@{place}/{name}",
        "//rapport:": f"//{name}:",
        "ROLE rapport": f"ROLE {name}",
        "DATABASE rapport OWNER rapport": f"DATABASE {name} OWNER {name}",
    }

    def rename(commands: str) -> str:
        for theirs, own in ours.items():
            assert theirs in commands
            commands = commands.replace(theirs, own)
        return commands

    yield rename
    address = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"DROP ROLE IF EXISTS {name}")


def test_postgresql(renamed: Callable[[str], str], tmp_path: Path, environment: dict[str, str]) -> None:
    """The role, the database, the address; and the program works there, not in the workspace."""
    commands = renamed(blocks("PostgreSQL") + blocks("PostgreSQL, new"))
    said = run(f"{commands}rapport tick\n", tmp_path, environment)
    assert "Fired 0, finished 0" in said
    assert not (tmp_path / "var" / "rapport" / "rapport.db").exists()


def test_the_move_to_postgresql(renamed: Callable[[str], str], tmp_path: Path, environment: dict[str, str]) -> None:
    """What was in SQLite is in PostgreSQL, and goes on there without SQLite's file."""
    run(blocks("own shop").split("KEY=", 1)[0], tmp_path, environment)
    commands = renamed(blocks("PostgreSQL") + blocks("PostgreSQL, move"))
    after = "rm var/rapport/rapport.db\nrapport recommend --item SKU-1\nrapport import contacts contacts.csv\n"
    said = run(f"{commands}{after}rapport user list\nrapport campaign list\n", tmp_path, environment)
    for words in ("contacts                    3", "2 of 2 buyers", "3 unchanged", "ann@shop.example  admin", "Spring"):
        assert words in said, said
    assert not (tmp_path / "var" / "rapport" / "rapport.db").exists()


def test_what_is_not_run_is_made() -> None:
    """The other commands need a network: they are targets of the Makefile. Every block is one or the other."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for commands in (commands for marked, commands in BLOCKS if not marked):
        for line in commands.splitlines():
            word, _, rest = line.partition(" ")
            assert (word, rest.split()[0]) in {("make", target) for target in targets} or word == "export", line
    assert {marked for marked, _ in BLOCKS} == {
        "",
        "own shop",
        "server",
        "PostgreSQL",
        "PostgreSQL, new",
        "PostgreSQL, move",
    }
    for target in re.findall(r"`make ([a-z]+)", README):
        assert target in targets


def test_what_it_names_is_there() -> None:
    """Files, folders and settings that README speaks of exist."""
    for path in re.findall(r"\]\(([^)]+)\)|`((?:docs/|[a-z]+/)[\w./]*|[A-Z]\w*\.md|config\.toml)`", README):
        found = path[0] or path[1]
        assert found.startswith(("var/", "http")) or (ROOT / found).exists(), found
