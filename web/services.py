"""What a process works with: settings, database, warehouse and recommender, opened once and shared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import current_app

from engine import schema
from engine.config import Config
from engine.database import Database
from engine.errors import RapportError

if TYPE_CHECKING:
    from engine.warehouse import Warehouse
    from recommender.serving import Recommender

EXTENSION = "rapport"


@dataclass(frozen=True)
class Services:
    """One per process, thread-safe."""

    config: Config
    database: Database
    warehouse: Warehouse
    recommender: Recommender

    def close(self) -> None:
        """Give connections and files back."""
        self.recommender.crew.close()
        self.warehouse.close()
        self.database.close()


def open_services(config: Config) -> Services:
    """Open everything in the workspace; raises Unavailable when the tables are not of this version and
    ConfigError when the workspace's old key of links is broken.
    """
    # Not above: pandas, DuckDB and SciPy take seconds, and a command that opens the database alone needs none of them.
    from campaigns import tokens  # noqa: PLC0415
    from engine.warehouse import Warehouse  # noqa: PLC0415
    from recommender.serving import Recommender  # noqa: PLC0415

    database = Database(config.database_url)
    try:
        schema.check(database)
        tokens.signer(config)  # made now, not in the middle of somebody's transaction
    except RapportError:
        database.close()
        raise
    return Services(
        config,
        database,
        Warehouse(database, config.folder / "warehouse", config),
        Recommender(database, config.folder / "trainings", config),
    )


@contextmanager
def opened(config: Config) -> Iterator[Services]:
    """`open_services` for a command: closed at the end."""
    services = open_services(config)
    try:
        yield services
    finally:
        services.close()


@contextmanager
def opened_database(config: Config) -> Iterator[Database]:
    """The database alone, for a command that needs no more; raises Unavailable as `open_services` does."""
    database = Database(config.database_url)
    try:
        schema.check(database)
        yield database
    finally:
        database.close()


def services() -> Services:
    """The services of the running app."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def utcnow() -> datetime:
    """The clock, read at the edge only: views and commands hand it on as `now`."""
    return datetime.now(UTC)
