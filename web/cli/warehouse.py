"""The columnar copy that lists and reports read."""

from __future__ import annotations

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.config import Config
from engine.warehouse import Refreshed
from web.services import opened


@click.group()
def warehouse() -> None:
    """The columnar copy that lists and reports read; it can be rebuilt at any time."""


@warehouse.command("refresh")
@click.pass_obj
def refresh(config: Config) -> None:
    """Copy what changed since the last refresh (the worker does it at every tick)."""
    with opened(config) as services:
        _tell(services.warehouse.refresh())


@warehouse.command("rebuild")
@click.pass_obj
def rebuild(config: Config) -> None:
    """Copy everything anew, beside the present copy: after a backup was restored, or when files were lost."""
    columns = TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with opened(config) as services, Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def advance(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table)
            progress.update(tasks[table], completed=done, total=total)

        refreshed = services.warehouse.rebuild(advance)
    _tell(refreshed)


def _tell(refreshed: Refreshed) -> None:
    for table, rows in refreshed.rows.items():
        click.echo(f"{table:12} {rows:>12,}")
    total = sum(refreshed.rows.values())
    click.echo(f"Rows: {total:,} in {refreshed.seconds:.2f} s, as of {refreshed.as_of:%F %T} UTC.")
