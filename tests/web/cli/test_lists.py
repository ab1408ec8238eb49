"""`rapport list`: what a marketer does without a browser."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine import lists
from engine.config import Config
from engine.database import Database
from engine.models import Contact
from engine.warehouse import Warehouse
from tests.engine.copies import add
from web.cli import main


@pytest.fixture
def rapport(
    config: Config, database: Database, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The command, in a workspace with three contacts and the list "Adults"."""
    with database.begin() as session:
        for number, age in enumerate((17, 18, None)):
            add(session, Contact, now, key=f"c{number}", age=age)
        lists.save(session, None, "Adults", {"all": [{"field": "age", "operator": "at_least", "value": 18}]}, now=now)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAPPORT_WORKSPACE__PATH", str(config.folder))
    monkeypatch.setenv("RAPPORT_DATABASE__URL", config.database.url)
    return lambda *words, **more: CliRunner().invoke(main, ["list", *map(str, words)], **more)


def test_a_list_from_words_to_file(rapport: Callable[..., Result], tmp_path: Path) -> None:
    """Shown, counted, frozen, exported."""
    shown = rapport("show", 1).output
    assert "People aged at least 18" in shown
    assert "1  aged at least 18  (1 unknown)" in shown
    assert "1  of 3 contacts" in shown
    assert rapport("count", 1).output == "1\n"
    assert rapport("freeze", 1).output == "Members: 1.\n"
    assert rapport("all").output.split() == ["1", "1", "frozen", "Adults"]
    assert rapport("all", "nothing").output == ""
    assert rapport("export", 1, tmp_path / "adults.csv").exit_code == 0
    with (tmp_path / "adults.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == ["c1"]
    assert rapport("export", 1, "-").output.count("\n") == 2


def test_criteria_are_counted_and_saved(rapport: Callable[..., Result], tmp_path: Path) -> None:
    """From a file or from standard input, in words or for a program; a wrong name is named."""
    asked = '{"field": "age", "operator": "at_least", "value": 18}'
    said = "People aged at least 18\n         1  aged at least 18  (1 unknown)\n         1  of 3 contacts\n"
    (tmp_path / "adults.json").write_text(asked)
    assert rapport("count", "--criteria", "adults.json").output == said
    told = json.loads(rapport("count", "--criteria", "-", "--json", input=asked).output)
    assert (told["count"], told["base"], told["clauses"][0]["unknown"]) == (1, 3, 1)
    assert rapport("create", "Grown", "--criteria", "-", input=asked).output == "List 2, Grown, is saved.\n"
    changed = asked.replace("18", "17")
    assert rapport("edit", 2, "--criteria", "-", input=changed).output == "List 2, Grown, is saved.\n"
    assert rapport("count", 2).output == "2\n"
    assert "Did you mean 'age'?" in rapport("count", "--criteria", "-", input=asked.replace("age", "agee")).output
    for words in (("count",), ("count", 1, "--criteria", "adults.json")):
        assert (rapport(*words).exit_code, "or --criteria FILE" in rapport(*words).output) == (2, True)


def test_a_list_that_is_not_there_is_a_message(rapport: Callable[..., Result], tmp_path: Path) -> None:
    """No traceback, and no file left behind."""
    for word in ("show", "count", "freeze"):
        answer = rapport(word, 7)
        assert (answer.exit_code, answer.output) == (1, "Error: There is no list 7.\n")
    assert rapport("export", 7, tmp_path / "none.csv").exit_code == 1
    assert not (tmp_path / "none.csv").exists()


def test_people_are_picked(rapport: Callable[..., Result], tmp_path: Path) -> None:
    """By words and by a file, put on, taken off, and left to the criteria again."""
    (tmp_path / "keys.txt").write_text("c0\nwho@mail.example\n")
    added = rapport("pick", 1, "c2", "--file", tmp_path / "keys.txt")
    assert "Put on the list: 2." in added.output
    assert ("already" in added.output, "Not known: who@mail.example" in added.output) == (False, True)
    assert rapport("pick", 1, "c2").output == "Put on the list: 0. Were already on it: 1.\n"
    assert [line.split()[1] for line in rapport("members", 1).output.splitlines()] == ["c0", "c1", "c2"]
    assert "Taken off the list: 1." in rapport("pick", 1, "c1", "--as", "remove").output
    assert [one["key"] for one in json.loads(rapport("members", 1, "--json").output)] == ["c0", "c2"]
    assert "Came or went as the criteria say: 3." in rapport("pick", 1, "c0", "c1", "c2", "--as", "undo").output
    assert rapport("count", 1).output == "1\n"


def test_versions_are_shown_and_brought_back(rapport: Callable[..., Result]) -> None:
    """With what they say."""
    assert rapport("edit", 1, "--name", "Grown up").exit_code == 0
    told = rapport("versions", 1).output
    assert ("command line" in told, told.count("People aged at least 18")) == (True, 2)
    assert rapport("revert", 1, 1).exit_code == 0
    found = json.loads(rapport("versions", 1, "--json").output)
    assert [(one["version"], one["name"]) for one in found] == [(3, "Adults"), (2, "Grown up"), (1, "Adults")]
    assert rapport("revert", 1, 9).exit_code == 1


def test_what_there_is_to_know(
    rapport: Callable[..., Result], config: Config, database: Database, now: datetime
) -> None:
    """Profile, overlap and growth, in lines."""
    with database.begin() as session:
        lists.save(session, None, "Everybody", {"all": []}, now=now)
    profile = rapport("profile", 1).output
    assert ("1 of 3 contacts" in profile, "age" in profile) == (True, True)
    assert "the tick has not looked yet" in rapport("overlap", 1).output
    with contextlib.closing(Warehouse(database, config.folder / "warehouse", config)) as warehouse:
        lists.follow(database, warehouse, now)
    assert "1 of          3   0.333  Everybody" in rapport("overlap", 1).output
    assert rapport("growth", 1).output == "2026-03-02           1  +0 -0\n"
    assert json.loads(rapport("growth", 1, "--json").output) == [
        {"day": "2026-03-02", "size": 1, "joined": 0, "left": 0}
    ]


def test_why_somebody_is_on_a_list(rapport: Callable[..., Result]) -> None:
    """As an outline, or for a program; an unknown person is named."""
    told = rapport("why", 1, "c2").output
    assert "Does not meet the criteria" in told
    assert "- aged at least 18  [unknown]" in told
    (found,) = json.loads(rapport("why", 1, "c1", "--json").output)
    assert (found["met"], found["tree"]["nodes"][0]["value"]) == (True, "18")
    assert "Nobody is known as 'c9'" in rapport("why", 1, "c9").output
