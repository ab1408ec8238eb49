"""A shop to look at: `rapport demo`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from engine import schema
from engine.config import Config, Server
from engine.database import Database
from engine.errors import ConfigError
from web.cli import server
from web.demo import opening, workspace
from web.demo.stories import SHOP
from web.services import utcnow

TRY = (
    "Shop in the storefront as somebody, buy something, and watch it arrive in their timeline.",
    "Open the report of “A quarter off everything”: attribution shows a gain, the holdout shows the loss.",
    "Build a list of bakers with a garden, and watch the count while you do.",
    "Write them a mail with a product block, send it, and read it in the outbox.",
)


@click.command("demo")
@click.option("--serve/--no-serve", default=True, help="Make the shop only.")
@click.option("--fresh", is_flag=True, help="Throw the demo shop away and make a new one.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed is another shop.")
@click.option("--contacts", type=click.IntRange(500, 200_000), default=20_000, show_default=True)
@click.option("--shop-port", type=click.IntRange(1, 65_535), help="Port of the storefront; default: the next one.")
@click.pass_context
def demo(ctx: click.Context, *, serve: bool, fresh: bool, seed: int, contacts: int, shop_port: int | None) -> None:
    """Make a believable shop in a workspace of its own and show it; a second time it is kept."""
    config = workspace.settings(ctx.obj, shop_port=shop_port)
    url = workspace.storefront(config, shop_port)
    console = Console()
    if serve:  # before half a minute of work
        server.check_port(config.server)
        check_shop_port(url)
    marker = workspace.read(config.folder)
    if marker is None or fresh:
        wanted = workspace.Marker(seed=seed, contacts=contacts)
        marker = make(config, wanted, console, utcnow(), shop_port)
    else:
        wanted = replace(marker, seed=seed, contacts=contacts, version=workspace.VERSION)
        marker = kept(config, marker, wanted, url, console)
    config = workspace.signed(config, marker)
    greet(config, marker, url, console)
    if serve:
        os.environ.update(workspace.environment(config))  # for the processes of `run`
        place = str(opening.settings_file(config))
        server.run_with(config, {"storefront": [sys.executable, "-m", "web.demo.storefront", place]})


def check_shop_port(url: str) -> None:
    """Raise ConfigError when the storefront cannot listen there."""
    port = urlsplit(url).port or 0
    try:
        server.check_port(Server(host="127.0.0.1", port=port))
    except ConfigError as error:
        raise ConfigError(f"The storefront's port {port} is taken: say another with --shop-port.") from error


class Steps:
    """One line for each step that is done, with its count and seconds; on a terminal also a bar for the present one."""

    def __init__(self, console: Console) -> None:
        columns = TextColumn("  {task.description:<32}"), BarColumn(24), MofNCompleteColumn()
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self.bar.add_task("", total=None)
        self._done = ""
        self._since = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """How far `what` is."""
        if what == self._done:
            return
        name = what[:1].upper() + what[1:].replace("_", " ")
        self.bar.update(self._task, description=name, completed=done, total=total)
        if done >= total:
            now = time.monotonic()
            self.bar.console.print(f"  {name:<32}{total:>10,}{now - self._since:>8.1f} s", highlight=False)
            self._done, self._since = what, now


def make(
    config: Config, marker: workspace.Marker, console: Console, now: datetime, shop_port: int | None
) -> workspace.Marker:
    """Make the shop and tell how far it is."""
    console.print(f"\nMaking [bold]{SHOP}[/bold], a demo shop, in {config.folder}\n", soft_wrap=True)
    begun, steps = time.monotonic(), Steps(console)
    try:
        with steps.bar:
            made = workspace.make(config, marker, now=now, progress=steps, shop_port=shop_port)
    except KeyboardInterrupt:
        console.print("Stopped half-way; the next `rapport demo` makes the shop anew.")
        raise
    console.print(f"\nReady in {time.monotonic() - begun:.0f} s.", highlight=False)
    return made


def kept(
    config: Config, marker: workspace.Marker, wanted: workspace.Marker, url: str, console: Console
) -> workspace.Marker:
    """Bring a workspace that is there up to this program's tables and to the storefront's address; say so when it is
    not what was asked for.
    """
    database = Database(config.database_url)
    try:
        schema.upgrade(database)
        found = opening.furnish(database, config, marker, url, utcnow())
    finally:
        database.close()
    if found != marker:
        found.write(config.folder)
    if marker != wanted:
        console.print("The demo shop of last time is kept; `rapport demo --fresh` makes a new one.")
    return found


def greet(config: Config, marker: workspace.Marker, url: str, console: Console) -> None:
    """Where it is, how to get in, what to try."""
    console.print(f"\n[bold]{SHOP}[/bold] is at [bold]{config.server.public_url}[/bold]", soft_wrap=True)
    console.print(f"Its storefront is at [bold]{url}[/bold]\n", soft_wrap=True)
    for name, value in (
        ("Log-in", workspace.EMAIL),
        ("Password", marker.password),
        ("API key", marker.key),
        ("Data", config.folder),
    ):
        console.print(f"  {name:<10}{value}", soft_wrap=True, highlight=False)
    console.print("\nFour things to try:")
    console.print(_numbered(TRY))
    console.print()


def _numbered(lines: Iterable[str]) -> Table:
    """Lines with their numbers, turned under their own beginning."""
    table = Table.grid(padding=(0, 1))
    for number, words in enumerate(lines, 1):
        table.add_row(f"  {number}.", words)
    return table
