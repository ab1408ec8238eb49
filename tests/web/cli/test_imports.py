"""`rapport import`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from engine.config import Config
from engine.database import Database
from engine.intake import KINDS
from engine.models import Contact, Order
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


def test_refused_records_are_mended(config: Config, settings_file: Path) -> None:
    """Their file is taken with the words that brought the first one in; the faults told are those of this round."""
    result = run(settings_file, "no,name,line\n=C1,Ann,x\n,Bob,y\n,Cy,z\n", *MAPS, "--map", "line=attributes.line")
    assert "  line 3, key: is missing.\n  line 4, key: is missing.\n" in result.stdout
    for mended, told in ((",,Bob,", "line 3, key: is missing.\n"), (",,Cy,", "")):
        (path,) = (config.folder / "rejects").iterdir()
        content = path.read_bytes().decode("utf-8-sig").replace(mended, f",=C{told and 2},{mended[2:]}")
        path.unlink()
        result = run(settings_file, content, *MAPS, "--map", "line=attributes.line")
        assert "1 contacts created" in result.stdout
        assert [line.strip() for line in result.stdout.splitlines() if "key:" in line] == told.splitlines()
    assert result.exit_code == 0


def test_unknown_columns_name_their_options(settings_file: Path) -> None:
    """What to say is in the message."""
    result = run(settings_file, CONTACTS, *MAPS)
    assert result.exit_code == 1
    words = " ".join(result.stderr.split())
    assert "no column 'shoe'" in words
    assert "--map HEADER=COLUMN" in words
    assert "--ignore-unknown" in words


def test_empty_cells_clear_when_asked(database: Database, settings_file: Path) -> None:
    """--empty clear, and not without."""
    maps = (*MAPS, "--map", "shoe=attributes.shoe")
    run(settings_file, CONTACTS, *maps)
    for options, changed, attributes in (((), 0, {"shoe": 42}), (("--empty", "clear"), 1, {})):
        result = run(settings_file, CONTACTS.replace("42", ""), *maps, *options)
        assert f"{changed} updated" in result.stdout
        with database.read() as session:
            assert session.scalars(select(Contact.attributes).where(Contact.key == "C1")).one() == attributes


def test_repeats_and_commas(database: Database, settings_file: Path) -> None:
    """--repeats drop says how many; a dry run names the option; --decimal comma reads 2,50."""
    path = settings_file.with_name("orders.csv")
    path.write_text("order;at;item;quantity;unit_price\n" + "O1;2026-02-01;I1;1;2,50\n" * 3)
    arguments = ["--config", str(settings_file), "import", "orders", str(path), "--decimal", "comma"]
    for options, words in (
        (("--dry-run",), "2 lines repeat another line of their order in every column: --repeats drop leaves them out."),
        (("--dry-run", "--repeats", "drop"), "they would be left out."),
        (("--repeats", "drop"), "they were left out."),
    ):
        result = CliRunner().invoke(main, [*arguments, *options], catch_exceptions=False)
        assert (result.exit_code, words in result.stdout) == (0, True), result.output
    with database.read() as session:
        assert session.scalars(select(Order.total)).all() == [25_000]


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


def test_an_import_is_undone(database: Database, settings_file: Path) -> None:
    """Its number is told, a dry run says what would go, and then it goes."""
    number = run(settings_file, CONTACTS, *MAPS, "--map", "shoe=attributes.shoe").stderr.partition("`rapport undo ")[2]
    command = ["--config", str(settings_file), "undo", number.partition("`")[0]]
    for options, words in ((["--dry-run"], "2 contacts would be removed\n"), ([], "2 contacts removed\n")):
        result = CliRunner().invoke(main, [*command, *options], catch_exceptions=False)
        assert (result.exit_code, result.stdout) == (0, words)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 0
    assert "undone already" in CliRunner().invoke(main, command).stderr


def test_a_file_without_customer_numbers(settings_file: Path) -> None:
    """Found by e-mail address; only empty fields are filled; nothing but contacts takes the two."""
    options = ("--find", "email", "--wins", "fill")
    content = "email,first_name\nann@shop.example,Ann\nbob@shop.example,\n"
    assert "2 contacts created" in run(settings_file, content, *options).stdout
    told = run(
        settings_file, content.replace("Ann", "Anna").replace("bob@shop.example,", "bob@shop.example,Bob"), *options
    )
    assert "0 contacts created, 1 updated, 1 unchanged" in told.stdout
    arguments = ["--config", str(settings_file), "import", "items", str(settings_file), "--find", "email"]
    assert "Only contacts take" in CliRunner().invoke(main, arguments).stderr
