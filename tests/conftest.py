"""Fixtures for all tests: a fixed moment, settings in a temporary workspace, and both real databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis
import psycopg
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import make_url, select

import campaigns.models
import engine.models
import recommender.models
import web.models
from engine import config as settings
from engine import schema
from engine.config import Config
from engine.database import Base, Database
from engine.warehouse.spark import STACK, Spark
from tests import repeated
from web import auth
from web.api import access
from web.app import create_app
from web.models import WebSession
from web.services import Services, open_services, utcnow

TABLES = (engine.models, recommender.models, campaigns.models, web.models)  # all packages' tables, for migrations
POSTGRESQL = os.environ.get("RAPPORT_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")

QUICK = auth.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # 30 ms less for each who is logged in

hypothesis.settings.register_profile("rapport", deadline=None)  # speed is measured in tests/benchmarks
hypothesis.settings.load_profile("rapport")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-skips`: a skipped test is a failure (for machines that must have everything)."""
    parser.addoption("--no-skips", action="store_true", help="fail when a test was skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn skips into a failing exit when they are not allowed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A test's name goes into the environment, where Linux takes no more than 128 KiB."""
    return f"{argname} of {len(val)}" if isinstance(val, str | bytes) and len(val) > 200 else None


@pytest.fixture(autouse=True)
def surroundings() -> Iterator[None]:
    """Commands leave settings in the environment for the processes they start; the next test begins without."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session", autouse=True)
def once() -> Iterator[None]:
    """What every application compiles is compiled once in a process."""
    with repeated.once():
        yield


@pytest.fixture
def now() -> datetime:
    """A Monday morning."""
    return datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated SQLite file, copied for each test."""
    path = tmp_path_factory.mktemp("template") / "rapport.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture(scope="session")
def postgresql_url(worker_id: str) -> Iterator[str]:
    """A migrated PostgreSQL database for this test process, dropped at the end."""
    server = make_url(POSTGRESQL)
    name = f"rapport_test_{os.getpid()}_{worker_id}"
    try:
        admin = psycopg.connect(
            server.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=3,
        )
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers (Debian: apt-get install postgresql; see RAPPORT_TEST_POSTGRESQL)")
    admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    admin.execute(f'CREATE DATABASE "{name}"')
    url = server.set(database=name).render_as_string(hide_password=False)
    database = Database(url)
    schema.upgrade(database)
    database.close()
    yield url
    admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    admin.close()


@pytest.fixture(scope="session")
def postgresql(postgresql_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Into that database, past the program."""
    url = make_url(postgresql_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@pytest.fixture
def emptied_url(postgresql_url: str, postgresql: psycopg.Connection[Any]) -> str:
    """That database without rows, numbering anew, in one question; TRUNCATE makes new files for every table and index,
    0.5 s a test.
    """
    deleted = "".join(f'DELETE FROM "{table.name}";' for table in reversed(Base.metadata.sorted_tables))
    postgresql.execute(f"{deleted} SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'")
    return postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """Settings of an empty workspace on either database."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        (tmp_path / "rapport.db").write_bytes(template.read_bytes())
        url = ""
    else:
        url = request.getfixturevalue("emptied_url")
    return settings.build({"workspace": {"path": str(tmp_path)}, "database": {"url": url}})


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    """An empty database with all tables; the test runs once on SQLite and once on PostgreSQL."""
    database = Database(config.database_url)
    yield database
    database.close()


@pytest.fixture
def services(config: Config) -> Iterator[Services]:
    """All services over an empty workspace."""
    services = open_services(config)
    yield services
    services.close()


@pytest.fixture
def app(services: Services) -> APIFlask:
    """The web application."""
    app = create_app(services)
    app.testing = True
    return app


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    """A browser that is not logged in."""
    return app.test_client()


class HeaderClient(FlaskClient):
    """A client that sends the same headers with every request."""

    headers: dict[str, str]

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        kwargs["headers"] = {**self.headers, **(kwargs.get("headers") or {})}
        return super().open(*args, **kwargs)


@pytest.fixture
def marketer(app: APIFlask, services: Services) -> HeaderClient:
    """A browser of marketer@shop.example, logged in; sends the CSRF token as the pages' script does."""
    return _logged_in(app, services, "marketer")


@pytest.fixture
def admin(app: APIFlask, services: Services) -> HeaderClient:
    """A browser of admin@shop.example, logged in."""
    return _logged_in(app, services, "admin")


def _logged_in(app: APIFlask, services: Services, role: str) -> HeaderClient:
    with services.database.begin() as session, patch.object(auth, "_HASHER", QUICK):
        user = auth.add_user(session, f"{role}@shop.example", "Mei", "correct horse battery", role=role, now=utcnow())
        token = auth.open_session(session, user, browser="test", now=utcnow())
        session.flush()
        csrf = session.scalars(select(WebSession.csrf).where(WebSession.user_id == user.id)).one()
    client = HeaderClient(app, app.response_class)
    client.headers = {"X-CSRF-Token": csrf}
    client.set_cookie("rapport", token)
    return client


@pytest.fixture
def key(services: Services) -> dict[str, str]:
    """The header of an API key with all scopes."""
    with services.database.begin() as session:
        made = access.add_key(session, "test", list(access.SCOPES), now=utcnow())
    return {"Authorization": f"Bearer {made}"}


@pytest.fixture
def api(app: APIFlask, key: dict[str, str]) -> HeaderClient:
    """A program that uses the API with `key`."""
    client = HeaderClient(app, app.response_class)
    client.headers = key
    return client


@pytest.fixture(scope="module")
def spark() -> Iterator[Spark]:
    """A session on this machine, for tests of the group "spark": the next one is in the same Java, which takes 1 GB.
    It compiles quickly, not well (C1): the questions are small and new, and its better compiler took half of all time.
    """
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {STACK}",
        "spark.sql.shuffle.partitions": "2",
    }
    with Spark("local[2]", **settings) as spark:
        yield spark
