"""Processes that answer beside this one: the same answers, nothing lost when one ends, and none is left behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from engine.config import Config
from engine.database import Database
from engine.models import Contact
from recommender import batches, crew, placements
from recommender.answers import Answer
from recommender.serving import Recommender
from tests.recommender.shop import NOW

pytestmark = pytest.mark.usefixtures("shop")
BEGINS = """
import pickle, sys, time
from recommender.crew import Crew
from engine.database import Database
url, folder, job = pickle.load(sys.stdin.buffer)
crew = Crew(Database(url), folder)
crew.begin(job)
print(*crew.pids, flush=True)
time.sleep(60)
"""


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_there(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def seen(answers: dict[int, Answer]) -> dict[int, Any]:
    """All but the number of each answer."""
    return {contact: answer._replace(recommendation_id="") for contact, answer in answers.items()}


class Asking:
    """A mailing to everybody, so large that processes are begun for it."""

    def __init__(self, recommender: Recommender, database: Database) -> None:
        self.recommender, self.database = recommender, database
        with database.read() as session:
            self.ids = list(session.scalars(select(Contact.id)))

    def ask(self) -> dict[int, Any]:
        with self.database.read() as session:
            return seen(self.recommender.recommend_many(session, "email", self.ids, 5, now=NOW, shown=self.shown))

    def shown(self, _session: object, contact_ids: Any, _mails: int) -> dict[int, list[int]]:
        return {contact: [contact % 7 + 1] for contact in contact_ids}

    def begin(self) -> dict[int, Any]:
        """Ask, and wait for the process."""
        found = self.ask()
        until(lambda: self.recommender.crew.ready == crew.MOST)
        return found


@pytest.fixture
def mailing(recommender: Recommender, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """Answered by one process beside this one."""
    monkeypatch.setattr(crew, "LARGE", 1)
    monkeypatch.setattr(crew, "MOST", 1)
    yield Asking(recommender, database)
    recommender.crew.close()


def test_answers_are_the_same(mailing: Asking, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes them, and whatever has changed since the process began."""
    here = mailing.begin()
    assert any(answer.items for answer in here.values())
    with monkeypatch.context() as patched:
        patched.setattr(batches, "rows", None)  # this process does not answer
        assert mailing.ask() == here
    with database.begin() as session:
        placements.suppress(session, ["A1", "A2"], NOW)
        placements.edit(session, "email", name="E-mail", sources=["collaborative"], given={"in_stock": False}, now=NOW)
    mailing.recommender.reload()
    with monkeypatch.context() as patched:
        patched.setattr(crew, "LARGE", 10**9)
        changed = mailing.ask()
    assert changed != here
    monkeypatch.setattr(batches, "rows", None)
    assert mailing.ask() == changed


def test_nothing_is_lost_with_a_process(mailing: Asking) -> None:
    """Who asked answers instead, and the next mailing begins another process."""
    here = mailing.begin()
    [pid] = mailing.recommender.crew.pids
    os.kill(pid, signal.SIGKILL)
    assert mailing.ask() == here
    assert mailing.begin() == here
    assert pid not in mailing.recommender.crew.pids


def test_who_is_not_asked_ends(mailing: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """After IDLE seconds; so does one that cannot answer."""
    monkeypatch.setattr(crew, "IDLE", 0.1)
    here = mailing.ask()
    [pid] = mailing.recommender.crew.pids
    until(lambda: not is_there(pid))
    assert mailing.ask() == here


def test_ends_with_who_began_it(mailing: Asking, database: Database, config: Config) -> None:
    """Even when that one is killed."""
    asked: list[crew.Job] = []
    mailing.recommender.crew.begin = asked.append  # type: ignore[method-assign]
    mailing.ask()
    folder = config.folder / "trainings"
    given = pickle.dumps((database.url.render_as_string(hide_password=False), folder, asked[0]))
    parent = subprocess.Popen([sys.executable, "-c", BEGINS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin
    assert parent.stdout
    parent.stdin.write(given)
    parent.stdin.flush()
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    assert all(is_there(pid) for pid in pids)
    parent.kill()
    parent.communicate()
    until(lambda: not any(is_there(pid) for pid in pids))
