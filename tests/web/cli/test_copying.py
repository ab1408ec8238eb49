"""`rapport copy-to`: a shop that goes on in another database as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import MetaData, Table, func, select, update

from campaigns import attribution
from campaigns.delivery.lock import lock_of
from campaigns.models import Conversion, OutboxMessage, Send
from engine import config as settings
from engine import consent, contacts, copying, lists, schema
from engine.config import Config
from engine.database import Base, Database, database_now, next_revision
from engine.errors import Invalid
from engine.models import Contact, Event, Order
from tests.campaigns import shop
from web import auth
from web.api import access
from web.app import create_app
from web.cli import main
from web.services import opened, utcnow

BIG = 2**53 + 1  # no floating point holds it
NOW = utcnow().replace(microsecond=123_457)


@pytest.fixture
def other(config: Config, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """The settings after the move: the same workspace, an empty database of the other kind."""
    sqlite = f"sqlite:///{tmp_path / 'other.db'}"
    url = sqlite if config.database.url else request.getfixturevalue("emptied_url")
    return settings.build({"workspace": {"path": str(tmp_path)}, "database": {"url": url}})


@pytest.fixture
def target(other: Config) -> Iterator[Database]:
    """The empty database."""
    with contextlib.closing(Database(other.database_url)) as database:
        schema.upgrade(database)
        yield database


def rapport(config: Config, *words: str) -> Result:
    """Run the program with these settings."""
    file = Path(config.workspace.path) / "config.toml"
    file.write_text(f'[workspace]\npath = "{config.workspace.path}"\n[database]\nurl = "{config.database.url}"\n')
    return CliRunner().invoke(main, ["--config", str(file), *words])


def rows(database: Database) -> dict[str, list[Any]]:
    """Everything that the tables hold, as Python sees it; but change numbers and who follows them."""
    here = MetaData()
    here.reflect(database.engine)
    names = here.tables.keys() - {"alembic_version", "revision", "watermarks", "deletions"}
    with database.read() as session:
        return {name: session.execute(_content(Base.metadata.tables[name])).all() for name in names}


def _content(table: Table) -> Any:
    return select(*(column for column in table.c if column.name != "revision")).order_by(*table.primary_key)


@pytest.fixture
def token(database: Database, config: Config) -> str:
    """A shop with a campaign half sent; the log-in of somebody who looks on."""
    with database.begin() as session:
        odd = {"é": [1, 2.5, None, "尺"], "n": BIG, "none": None}
        shop.contact(session, 1, NOW, attributes=odd, birth_date=date(1980, 2, 29), income=BIG, sms_consent=None)
        shop.crowd(session, 19, NOW, first=2)
        shop.contact_list(session, NOW, criteria={"field": "email_consent", "operator": "is", "value": True})
        campaign = shop.campaign(session, NOW - timedelta(days=1), list_id=1, fixed_cost=BIG)
        shop.schedule(session, campaign.id, NOW - timedelta(days=1), config)
        shop.fire(session, campaign, range(1, 21), NOW - timedelta(days=1))
        session.execute(update(Send).where(Send.id > 10).values(next_at=NOW + timedelta(days=9)))
        user = auth.add_user(session, "ann@shop.example", "Ann", "correct horse battery", now=NOW)
        found = auth.open_session(session, user, browser="test", now=NOW)
        access.add_key(session, "Till", ["orders:write"], now=NOW)
        consent.suppress(session, "sms", "+4479000000", "manual", NOW)
    assert "10 accepted" in rapport(config, "tick").output
    with database.begin() as session:
        for number in (1, 2, 12):
            shop.order(session, f"O{number}", number, utcnow() + timedelta(minutes=1), 10)
        seen = Event(key="e", type="item_view", occurred_at=NOW, properties={"odd": odd}, revision=0, contact_id=1)
        session.add(seen)
    with database.begin() as session:
        assert attribution.attribute(session, now=utcnow()) == 2
    return found


@pytest.mark.usefixtures("token")
def test_everything_is_there(database: Database, target: Database, config: Config, other: Config) -> None:
    """Every table that the database itself names, every value, every id; twice is refused."""
    done = rapport(config, "copy-to", other.database_url)
    assert done.exit_code == 0, done.output
    before, after = rows(database), rows(target)
    assert after == before
    assert sum(map(len, before.values())) > 60
    assert f"Copied {sum(map(len, before.values())):,} rows" in done.output
    again = rapport(config, "copy-to", other.database_url)
    assert (again.exit_code, "is not empty (it has api_keys, campaigns," in again.output) == (1, True), again.output
    assert rows(target) == after


def test_the_shop_goes_on(token: str, database: Database, target: Database, config: Config, other: Config) -> None:
    """Lists, report, links, log-in, sending, import and crediting in the new database, in the same workspace."""
    with opened(config) as services, database.begin() as session:
        services.warehouse.refresh()
        assert lists.count(session, services.warehouse, 1, utcnow()) == 20
        mail = session.scalars(select(OutboxMessage).where(OutboxMessage.recipient == "c1@x.example")).one()
        link = mail.headers["List-Unsubscribe"]
        report = json.loads(rapport(config, "campaign", "report", "1", "--json").output)
    assert rapport(config, "copy-to", other.database_url).exit_code == 0

    def told() -> Any:
        return json.loads(rapport(other, "campaign", "report", "1", "--json").output)

    assert {**told(), "as_of": None} == {**report, "as_of": None}
    with target.begin() as session:
        for model in (Contact, Order, Event, Send):
            assert session.scalar(select(func.max(model.revision))) < next_revision(session)
    with target.begin() as session:
        assert attribution.is_behind(session)
        assert attribution.attribute(session, now=utcnow()) == 2  # anew, and the same
        assert session.scalar(select(func.count()).select_from(Conversion)) == 2
    with target.read() as session:
        assert not attribution.is_behind(session)
    with opened(other) as services:
        assert services.warehouse.refresh().rows["contacts"] == 20
        client = create_app(services).test_client()
        assert client.post("/u/" + link.strip("<>").rpartition("/u/")[2]).status_code == 200
        assert auth.recognise(services.database, other.security, token, utcnow())
        with services.database.begin() as session:
            assert consent.is_suppressed(session, "email", "c1@x.example")
            session.execute(update(Send).values(next_at=database_now(session)))
    assert "10 accepted" in rapport(other, "tick").output
    with target.read() as session:
        assert session.scalar(select(func.count(OutboxMessage.recipient.distinct()))) == 20
    file = Path(other.workspace.path) / "new.csv"
    file.write_text("key,email,email_consent\nc1,c1@x.example,\nnew,new@x.example,true\n")
    assert "1 contacts created" in rapport(other, "import", "contacts", str(file)).output
    with opened(other) as services, services.database.begin() as session:
        assert session.scalars(select(Contact.id).where(Contact.key == "new")).one() == 21
        assert services.warehouse.refresh().rows["contacts"] == 1  # not all of them again
        assert lists.count(session, services.warehouse, 1, utcnow()) == 20


@pytest.mark.usefixtures("token")
def test_a_second_try_is_another_database(database: Database, target: Database, config: Config, other: Config) -> None:
    """The warehouse in the workspace is of the first try, at the same address: who went in between is in it no more."""
    assert rapport(config, "copy-to", other.database_url).exit_code == 0
    assert "contacts" in rapport(other, "warehouse", "refresh").output
    with target.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
    with database.begin() as session:
        contacts.erase(session, 20, utcnow())
    assert rapport(config, "copy-to", other.database_url).exit_code == 0
    with opened(other) as services:
        services.warehouse.refresh()
        assert services.warehouse.execute(services.warehouse.table("contacts").count()).column(0).to_pylist() == [19]


@pytest.mark.usefixtures("token")
def test_a_copy_that_is_killed_leaves_nothing(database: Database, target: Database) -> None:
    """Not a row; so the next one is let in."""
    program = f"""
        import os, signal
        import web.cli.migrate
        from engine import copying
        from engine.database import Database
        def die(table, done, total):
            if table == "sends":
                os.kill(os.getpid(), signal.SIGKILL)
        addresses = {database.url.render_as_string(hide_password=False)!r}, {target.url.render_as_string(hide_password=False)!r}
        source, target = map(Database, addresses)
        with source.begin() as reading, target.begin() as writing:
            copying.copy(reading, writing, die)
    """  # noqa: E501
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=300)
    assert killed.returncode == -9
    assert not any(rows(target).values())
    with database.begin() as reading, target.begin() as writing:
        copying.copy(reading, writing)
    assert rows(target) == rows(database)


@pytest.mark.usefixtures("token")
def test_nobody_sends_meanwhile(database: Database, target: Database, config: Config, other: Config) -> None:
    """A worker of the old database, and one that holds messages, must be stopped first."""
    with contextlib.ExitStack() as held:
        if database.is_sqlite:
            held.enter_context(lock_of(database))
        else:
            with database.begin() as session:
                later = database_now(session) + timedelta(minutes=1)
                session.execute(update(Send).where(Send.id == 11).values(state="leased", owner="a", lease_until=later))
        refused = rapport(config, "copy-to", other.database_url)
    assert refused.exit_code == 1
    assert ("Stop it first" if database.is_sqlite else "holds 1 messages of this database") in refused.output
    assert not any(rows(target).values())


@pytest.mark.usefixtures("token")
def test_nobody_writes_meanwhile(database: Database, target: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unsubscribe that came during the copy would be lost: it waits, or fails."""
    monkeypatch.setattr(copying, "PATIENCE", "100ms")

    def write(_table: str, _done: int, _total: int) -> None:
        for held in (database, target):
            with pytest.raises(Exception, match="lock"), held.engine.connect() as connection:  # noqa: PT012
                quick = "SET lock_timeout = '100ms'" if not held.is_sqlite else "PRAGMA busy_timeout = 100"
                connection.exec_driver_sql(quick)
                connection.exec_driver_sql("UPDATE contacts SET age = 1")

    with database.begin() as reading, target.begin() as writing:
        copying.copy(reading, writing, write)
    assert rows(target) == rows(database)
    with database.read() as session:
        assert session.scalar(select(func.count(Contact.age))) == 0


def test_what_the_other_one_cannot_hold(sqlite_template: Path, tmp_path: Path, emptied_url: str) -> None:
    """SQLite measures no text: the row is refused in words that name its table, and nothing is copied."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    with (
        contextlib.closing(Database(f"sqlite:///{tmp_path / 'rapport.db'}")) as database,
        contextlib.closing(Database(emptied_url)) as target,
    ):
        for wrong in ({"city": "x" * 200}, {"city": "a\0b"}, {"attributes": {"own": "a\0b"}}):
            with database.begin() as session:
                shop.contact(session, 1, NOW, **wrong)
            with pytest.raises(Invalid, match="A row of contacts"):  # noqa: SIM117
                with database.begin() as reading, target.begin() as writing:
                    copying.copy(reading, writing)
            with database.begin() as session:
                session.delete(session.get_one(Contact, 1))
        assert not any(rows(target).values())


def test_a_database_is_not_copied_onto_itself(database: Database, config: Config, tmp_path: Path) -> None:
    """However its address is spelled, and at once: nobody waits for their own lock."""
    own = database.url.render_as_string(hide_password=False)
    if database.is_sqlite:
        (tmp_path / "link").symlink_to(tmp_path)
        spelled = [own, *(f"sqlite:///{tmp_path / way / 'rapport.db'}" for way in (".", "link"))]
    else:
        url, other = database.url, "127.0.0.1" if database.url.host == "localhost" else "localhost"
        again = [url.set(port=url.port or 5432), url.set(query={**url.query, "application_name": "x"})]
        if url.host in {"localhost", "127.0.0.1"}:
            again.append(url.set(host=other))
        spelled = [own, *(one.render_as_string(hide_password=False) for one in again)]
    for url_given in spelled:
        done = rapport(config, "copy-to", url_given)
        assert (done.exit_code, "is the database to copy from" in done.output) == (1, True), done.output


def test_faults_are_of_the_other_address(config: Config) -> None:
    """An address that leads nowhere is named, without its password."""
    for url, status, said in (
        ("postgresql+psycopg://ann:hush@127.0.0.1:1/shop", 2, "ann:***@127.0.0.1:1/shop"),
        ("mysql://ann:hush@127.0.0.1/shop", 2, "must start with sqlite:/// or postgresql"),
    ):
        done = rapport(config, "copy-to", url)
        assert (done.exit_code, said in done.output) == (status, True), done.output
        assert "hush" not in done.output
