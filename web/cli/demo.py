"""A shop to look at: `rapport demo`."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from engine import schema
from engine.config import Config
from engine.database import Database
from web.cli import server
from web.demo import workspace
from web.demo.stories import SHOP
from web.services import utcnow

TRY = (
    "Open the report of “A quarter off everything”: attribution shows a gain, the holdout shows the loss.",
    "Build a list of bakers with a garden, and watch the count while you do.",
    "Write them a mail with a product block, send it, and read it in the outbox.",
)


@click.command("demo")
@click.option("--serve/--no-serve", default=True, help="Make the shop only.")
@click.option("--fresh", is_flag=True, help="Throw the demo shop away and make a new one.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed is another shop.")
@click.option("--contacts", type=click.IntRange(500, 200_000), default=20_000, show_default=True)
@click.pass_context
def demo(ctx: click.Context, *, serve: bool, fresh: bool, seed: int, contacts: int) -> None:
    """Make a believable shop in a workspace of its own and show it; a second time it is kept."""
    config = workspace.settings(ctx.obj)
    console = Console()
    marker = workspace.read(config.folder)
    if marker is None or fresh:
        wanted = workspace.Marker(seed=seed, contacts=contacts)
        marker = make(config, wanted, console, utcnow())
    else:
        kept(config, marker, replace(marker, seed=seed, contacts=contacts, version=workspace.VERSION), console)
    greet(config, marker, console)
    if serve:
        os.environ.update(workspace.environment())  # for the processes of `run`
        ctx.obj = config
        ctx.invoke(server.run)


def make(config: Config, marker: workspace.Marker, console: Console, now: datetime) -> workspace.Marker:
    """Make the shop with a bar for each step."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        return workspace.make(config, marker, now=now, progress=progress)


def kept(config: Config, marker: workspace.Marker, wanted: workspace.Marker, console: Console) -> None:
    """Bring a workspace that is there up to this program's tables; say so when it is not what was asked for."""
    database = Database(config.database_url)
    schema.upgrade(database)
    database.close()
    if marker != wanted:
        console.print("The demo shop of last time is kept; `rapport demo --fresh` makes a new one.")


def greet(config: Config, marker: workspace.Marker, console: Console) -> None:
    """Where it is, how to get in, what to try."""
    console.print(f"\n[bold]{SHOP}[/bold] is at [bold]{config.server.public_url}[/bold]\n")
    for name, value in (("log-in", workspace.EMAIL), ("password", marker.password), ("API key", marker.key)):
        console.print(f"  {name:<10}{value}", soft_wrap=True)
    console.print("\nThree things to try:")
    for number, words in enumerate(TRY, 1):
        console.print(f"  {number}. {words}")
    console.print()
