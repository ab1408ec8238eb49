"""`rapport copy-to`: the whole database into another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import and_, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from campaigns.delivery.lock import lock_of
from campaigns.models import Send
from engine import copying, schema
from engine.config import Config, DatabaseConfig
from engine.database import Database, database_now, shown
from engine.errors import Conflict, Unavailable
from web.cli import faults, migrate
from web.services import opened_database


@click.command("copy-to")
@click.argument("url")
@click.pass_obj
def copy_to(config: Config, url: str) -> None:
    """Copy everything into the empty database at URL: the way from SQLite to PostgreSQL.

    Stop `rapport run`, `serve` and `work` first. All or nothing is copied; the present database stays as it is.
    """
    assert migrate.TABLES, "imported, so that all tables are known"
    begun = time.monotonic()
    with opened_database(config) as source, closing(Database(url)) as target:
        copying.refuse_itself(source, target)
        with _nobody_sends(source), source.begin() as reading:
            _refuse_leases(reading, source)
            with _faults_of(config, url), _bars() as progress:
                schema.upgrade(target)
                with target.begin() as writing:
                    copied = copying.copy(reading, writing, progress)
    for table, rows in copied.items():
        if rows:
            click.echo(f"{table:16} {rows:>12,}")
    click.echo(f"Copied {sum(copied.values()):,} rows to {shown(target.url)} in {time.monotonic() - begun:.0f} s.")
    click.echo("Set database.url to it before anything is started: both would send the same campaigns.")


def _nobody_sends(source: Database) -> AbstractContextManager[object]:
    return lock_of(source) if source.is_sqlite else nullcontext()


def _refuse_leases(reading: Session, source: Database) -> None:
    """On PostgreSQL a worker shows by what it holds. On SQLite a dead one left that: we have the sender's lock."""
    if source.is_sqlite:
        return
    copying.hold(reading)
    held = and_(Send.state.in_(("leased", "sending")), Send.lease_until >= database_now(reading))
    if count := reading.scalar(select(func.count()).select_from(Send).where(held)):
        raise Conflict(f"A worker holds {count} messages of this database: stop all workers, then copy.")


@contextmanager
def _faults_of(config: Config, url: str) -> Iterator[None]:
    """What is wrong with the other database, told of its address."""
    try:
        yield
    except DBAPIError as error:
        sentence = faults.explained(error, replace(config, database=DatabaseConfig(url=url)))
        if sentence is None:
            raise
        raise Unavailable(sentence) from error


@contextmanager
def _bars() -> Iterator[copying.Progress]:
    """A bar for each table."""
    columns = TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table)
            progress.update(tasks[table], completed=done, total=total)

        yield advance
