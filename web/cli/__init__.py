"""`rapport`: one file per noun. Commands are imported when they are called: the whole takes seconds to load.

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
from web.cli import faults

COMMANDS = {  # word: module and name of the command or group
    "campaign": "web.cli.campaigns:campaign",
    "demo": "web.cli.demo:demo",
    "import": "web.cli.imports:import_",
    "key": "web.cli.users:key",
    "list": "web.cli.lists:group",
    "migrate": "web.cli.migrate:migrate",
    "migration": "web.cli.migrate:migration",
    "recommend": "web.cli.recommend:recommend",
    "run": "web.cli.server:run",
    "serve": "web.cli.server:serve",
    "tick": "web.cli.server:tick",
    "train": "web.cli.train:train",
    "user": "web.cli.users:user",
    "warehouse": "web.cli.warehouse:warehouse",
    "work": "web.cli.server:work",
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
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

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
            sentence = faults.explained(error, ctx.obj)
            if sentence is None:
                raise
            raise Surroundings(sentence) from error


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
