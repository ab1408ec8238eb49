"""`rapport`: one file per noun. Commands are imported when they are called: the whole takes 4 s to load, the help
of all 0.1 s.

A command takes the settings and opens what it needs:

    @click.command("freeze")
    @click.argument("list_id", type=int)
    @click.pass_obj
    def freeze(config: Config, list_id: int) -> None:
        with opened(config) as services, services.database.begin() as session:
            ...

Errors of `engine.errors` end the program with their message and status 1; with status 2 when not the command but the
surroundings are at fault: the settings, the database, the disk (web.cli.faults).
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import click

from engine import config as settings
from engine.errors import ConfigError, RapportError, Unavailable

COMMANDS = {  # word: module and name of the command or group, and the first sentence of its help
    "campaign": ("web.cli.campaigns:campaign", "Campaigns: write, estimate, schedule, stop, report."),
    "copy-to": (
        "web.cli.copying:copy_to",
        "Copy everything into the empty database at URL: the way from SQLite to PostgreSQL.",
    ),
    "demo": (
        "web.cli.demo:demo",
        "Make a believable shop in a workspace of its own and show it; a second time it is kept.",
    ),
    "import": ("web.cli.imports:import_", "Import a CSV, gzip CSV or Parquet FILE."),
    "key": ("web.cli.users:key", "Keys of the API."),
    "list": ("web.cli.lists:group", "Saved criteria and the people they find."),
    "migrate": ("web.cli.migrate:migrate", "Bring the database to the newest version."),
    "migration": (
        "web.cli.migrate:migration",
        "Write a migration from the difference between the models and a migrated database.",
    ),
    "recommend": (
        "web.cli.recommend:recommend",
        "Say what to offer for an item, a cart or a contact, and why; to a stranger, what sells.",
    ),
    "recommend-list": (
        "web.cli.recommend:recommend_list",
        'Write what to offer to each contact on a list to FILE as CSV ("-": to standard output).',
    ),
    "run": ("web.cli.server:run", "Serve and work: two processes; when one ends, so does the other."),
    "serve": (
        "web.cli.server:serve",
        "Serve pages, API and public links (no campaign is sent without `rapport work`).",
    ),
    "tick": ("web.cli.server:tick", "Do what is due now and end; for cron, instead of `rapport work`."),
    "train": (
        "web.cli.train:train",
        "Learn from orders and events; publish unless it would serve worse than what serves.",
    ),
    "undo": ("web.cli.imports:undo_", "Take the import NUMBER back as a whole, for 30 days after it began."),
    "user": ("web.cli.users:user", "People who may log in."),
    "warehouse": (
        "web.cli.warehouse:warehouse",
        "The columnar copy that lists and reports read; it can be rebuilt at any time.",
    ),
    "work": ("web.cli.server:work", "Fire what is due and send it, until stopped."),
}


class Surroundings(click.ClickException):
    """Not the command is at fault."""

    exit_code = 2


class Commands(click.Group):
    """A group that imports a command when it is wanted and turns our errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All words."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a word."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = _found(COMMANDS[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(word, sentence) for word, (_place, sentence) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with the message of a known error."""
        try:
            return super().invoke(ctx)
        except RapportError as error:
            outside = isinstance(error, ConfigError | Unavailable)
            raise (Surroundings if outside else click.ClickException)(error.message) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            sentence = _found("web.cli.faults:explained")(error, ctx.obj)  # SQLAlchemy, which the help can do without
            if sentence is None:
                raise
            raise Surroundings(sentence) from error


def _found(place: str) -> Any:
    """What is there, imported now."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


@click.group(cls=Commands)
@click.option("--config", "path", type=click.Path(path_type=Path), help="Settings file; default: config.toml here.")
@click.version_option(package_name="rapport")
@click.pass_context
def main(ctx: click.Context, path: Path | None) -> None:
    """Rapport finds the right people, says the right thing to them, and knows what it earned."""
    os.umask(0o077)  # the workspace holds people's data: for its owner only
    if path:
        os.environ[settings.PREFIX + "CONFIG"] = str(path.resolve())  # for the processes that a command starts
    ctx.obj = settings.load(path)
