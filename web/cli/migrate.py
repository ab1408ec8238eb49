"""The shape of the tables."""

from __future__ import annotations

from contextlib import closing

import click

import campaigns.models
import engine.models
import recommender.models
import web.models
from engine import schema
from engine.config import Config
from engine.database import Database

TABLES = (engine.models, recommender.models, campaigns.models, web.models)  # what a migration is written from


@click.command()
@click.pass_obj
def migrate(config: Config) -> None:
    """Bring the database to the newest version."""
    with closing(Database(config.database_url)) as database:
        schema.upgrade(database)
    click.echo("The database is up to date.")


@click.command()
@click.argument("message")
@click.pass_obj
def migration(config: Config, message: str) -> None:
    """Write a migration from the difference between the models and a migrated database."""
    with closing(Database(config.database_url)) as database:
        click.echo(schema.draft(database, message))
