"""Lists on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from engine import criteria, lists
from engine.config import Config
from web.services import opened, utcnow


@click.group("list")
def group() -> None:
    """Saved criteria and the people they find."""


@group.command("all")
@click.argument("words", default="")
@click.pass_obj
def show_all(config: Config, words: str) -> None:
    """Show all lists, newest first, or those with WORDS in their name."""
    with opened(config) as services, services.database.read() as session:
        for found in lists.browse(session, words=words, limit=1000):
            kind = "frozen" if found.frozen_at else "dynamic"
            size = "-" if found.size is None else f"{found.size:,}"
            click.echo(f"{found.id:>6}  {size:>10}  {kind:<7}  {found.name}")


@group.command("show")
@click.argument("list_id", type=int)
@click.pass_obj
def show(config: Config, list_id: int) -> None:
    """Say who is on a list, and count it clause by clause."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        asked = lists.load(session, services.warehouse, list_id)
        language = config.locale.language
        click.echo(criteria.sentence(asked, language))
        found = lists.preview(services.warehouse, asked, now=utcnow(), limit=5, language=language)
        for clause in found.clauses:
            click.echo(f"{clause.count:>10,}  {clause.sentence}  ({clause.unknown:,} unknown)")
        click.echo(f"{found.count:>10,}  of {found.base:,} contacts")


@group.command("count")
@click.argument("list_id", type=int)
@click.pass_obj
def count(config: Config, list_id: int) -> None:
    """Count a list now."""
    with opened(config) as services, services.database.begin() as session:
        services.warehouse.refresh()
        click.echo(lists.count(session, services.warehouse, list_id, utcnow()))


@group.command("freeze")
@click.argument("list_id", type=int)
@click.pass_obj
def freeze(config: Config, list_id: int) -> None:
    """Keep the people who are on the list now."""
    with opened(config) as services, services.database.begin() as session:
        services.warehouse.refresh()
        click.echo(f"Members: {lists.freeze(session, services.warehouse, list_id, utcnow()):,}.")


@group.command("export")
@click.argument("list_id", type=int)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(config: Config, list_id: int, file: Path) -> None:
    """Write the people on a list to FILE as CSV ("-": to standard output)."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        pieces = lists.export_csv(session, services.warehouse, list_id, utcnow())
        with click.open_file(str(file), "w", encoding="utf-8", atomic=True) as out:
            for piece in pieces:
                out.write(piece)
