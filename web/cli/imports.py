"""`rapport import`: files in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine import intake, lists, schema
from engine.config import Config
from engine.database import Database
from engine.intake import FIND, KINDS, WINS, Forecast, Import, Reading, journal, rejects, undo
from engine.intake.files import Empty, Repeats, Written
from engine.intake.finding import Find, Wins
from engine.intake.mapping import UnknownColumn
from engine.intake.sources import ENCODINGS
from web.services import opened_database, utcnow

ORIGIN_LIMIT = 32  # characters of a contact's origin
WORDS = {"removed": "removed", "restored": "as before", "kept": "kept"}
SHOWN = 5  # rejected records told on the terminal; all are in the rejects file


@click.command("import")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--map", "maps", multiple=True, metavar="HEADER=COLUMN", help="Read a column; HEADER= leaves it out.")
@click.option("--dry-run", is_flag=True, help="Count, and write nothing.")
@click.option("--refuse-all", is_flag=True, help="Write nothing if one record is bad.")
@click.option("--ignore-unknown", is_flag=True, help="Leave columns out that nobody knows.")
@click.option("--time-format", metavar="FORMAT", help="Of times that are not ISO 8601, like '%d/%m/%Y %H:%M'.")
@click.option("--encoding", type=click.Choice(ENCODINGS), help="Of a text that is neither UTF-8 nor GB18030.")
@click.option(
    "--decimal", type=click.Choice(["point", "comma"]), default="point", help="Numbers are 1234.56 (point) or 1.234,56."
)
@click.option(
    "--empty",
    type=click.Choice(["keep", "clear"]),
    default="keep",
    help="An empty cell keeps what is known of a contact or item (default), or clears it.",
)
@click.option(
    "--repeats",
    type=click.Choice(["keep", "drop"]),
    default="keep",
    help="Lines of an order that are equal in every column read: keep all (default), or drop all but the first.",
)
@click.option(
    "--find",
    type=click.Choice(list(FIND)),
    default="key",
    help="What says which contact a row means: the customer number (key, default), e-mail, telephone or loyalty card.",
)
@click.option(
    "--wins",
    type=click.Choice(list(WINS)),
    default="file",
    help="For contacts who are here: the file wins (default), what is here, or fill empty fields only.",
)
@click.option("--origin", default="import", show_default=True, help="Of contacts who are new: partner, bought list ...")
@click.option("--list", "list_id", type=int, help="Put the contacts on this list, whatever its criteria say.")
@click.pass_obj
def import_(
    config: Config,
    kind: str,
    file: Path | None,
    maps: Sequence[str],
    *,
    dry_run: bool,
    refuse_all: bool,
    ignore_unknown: bool,
    time_format: str | None,
    encoding: str | None,
    decimal: str,
    empty: Empty,
    repeats: Repeats,
    find: Find,
    wins: Wins,
    origin: str,
    list_id: int | None,
) -> None:
    """Import a CSV, gzip CSV or Parquet FILE. Without a FILE, list the columns of KIND.

    The same file twice changes nothing. Ends with status 1 when records were refused.
    """
    if file is None:
        Console().print(_columns(kind))
        return
    if kind != "contacts" and (find, wins) != ("key", "file"):
        raise click.UsageError("Only contacts take --find and --wins.")
    database = Database(config.database_url)
    bar = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
    now, forecast = utcnow(), Forecast()
    try:
        schema.check(database)
        with Progress(*bar, console=Console(stderr=True)) as progress:
            task = progress.add_task(kind, total=None)
            run = intake.import_file(
                database,
                config,
                kind,
                file,
                now=now,
                mapping=_mapping(maps),
                dry_run=dry_run,
                refuse_all=refuse_all,
                ignore_unknown=ignore_unknown,
                origin=_origin(origin),
                reading=Reading(empty, repeats, decimal == "comma", time_format, encoding, find, wins),
                progress=lambda done, total: progress.update(task, completed=done, total=total),
                written=_onto(database, kind, list_id, file, now),
                forecast=forecast,
            )
    except UnknownColumn as error:
        error.message += " Say so with --map HEADER=COLUMN (--map HEADER= leaves one out) or --ignore-unknown."
        raise
    finally:
        database.close()
    _tell(config, run, dry_run=dry_run, repeats=repeats)
    _tell_forecast(forecast)
    if not dry_run and run.created + run.updated:
        click.echo(f"`rapport undo {run.id}` takes all of this back, for {journal.LIFE.days} days.", err=True)
    if run.rejected:
        raise click.exceptions.Exit(1)


def _origin(given: str) -> str:
    if not 0 < len(given.strip()) <= ORIGIN_LIMIT:
        raise click.BadParameter(f"An origin has 1 to {ORIGIN_LIMIT} characters.", param_hint="--origin")
    return given.strip()


def _onto(database: Database, kind: str, list_id: int | None, file: Path, now: datetime) -> Written | None:
    """Puts what comes in on a list. Raises NotFound for one that is not there."""
    if list_id is None:
        return None
    if kind != "contacts":
        raise click.UsageError("Only contacts can be put on a list.")
    with database.read() as session:
        lists.get(session, list_id)
    author = f"import {file.name}"
    return lambda session, keys: lists.pick_keys(session, list_id, keys, now=now, author=author)


@click.command("undo")
@click.argument("number", type=int)
@click.option("--dry-run", is_flag=True, help="Say what would go, come back and stay; write nothing.")
@click.pass_obj
def undo_(config: Config, number: int, *, dry_run: bool) -> None:
    """Take the import NUMBER back as a whole, for 30 days after it began.

    What it created goes, unless it was changed since or something else is about it; what it changed gets its former
    values back, unless they were changed again. One that was broken off goes on where it was.
    """
    with opened_database(config) as database:
        if dry_run:
            with database.read() as session:
                tally = undo.preview(session, number, utcnow())
        else:
            tally = undo.told(undo.undo(database, number, now=utcnow()))
    would = "would be " if dry_run else ""
    for (table, what, why), count in sorted(tally.items()):
        if count:
            click.echo(f"{count:,} {table} {would}{WORDS[what]}{f' ({why})' if why else ''}")
    if not any(tally.values()):
        click.echo("Nothing to take back.")


def _mapping(maps: Sequence[str]) -> dict[str, str]:
    """HEADER=COLUMN; the last = divides, a header may hold one."""
    for given in maps:
        if "=" not in given:
            raise click.BadParameter(f"{given!r} is not HEADER=COLUMN.", param_hint="--map")
    return {given.rpartition("=")[0]: given.rpartition("=")[2] for given in maps}


def _tell_forecast(forecast: Forecast) -> None:
    """What a dry run saw; nothing after an import."""
    if forecast.doubles:
        click.echo(f"{forecast.doubles:,} records name what another record of the file names too.")
    for name, count in forecast.known.items():
        if count:
            click.echo(f"{count:,} new contacts have the {name} of somebody who is here.")
    for name, count in forecast.fields.most_common():
        click.echo(f"  {name} would change {count:,} times")
    for one in forecast.examples:
        click.echo(f"  {one['key']} {one['field']}: {one['before'] or '-'} -> {one['after'] or '-'}")


def _tell(config: Config, run: Import, *, dry_run: bool, repeats: Repeats) -> None:
    if run.encoding == "gb18030":
        click.echo("The file is not UTF-8; it was read as GB18030.")
    if run.error:
        click.echo(run.error)
    would = "would be " if dry_run else ""
    click.echo(
        f"{run.rows:,} records: {run.created:,} {run.kind} {would}created, {run.updated:,} updated,"
        f" {run.unchanged:,} unchanged; {run.rejected:,} records refused."
    )
    if run.repeated:
        fate = f"they {would or 'were '}left out" if repeats == "drop" else "--repeats drop leaves them out"
        click.echo(f"{run.repeated:,} lines repeat another line of their order in every column: {fate}.")
    if run.rejects_file:
        path = config.folder / "rejects" / run.rejects_file
        for line in rejects.first(path, SHOWN):
            click.echo(f"  line {line['line']}{line['field'] and ', '}{line['field']}: {line['message']}")
        click.echo(f"All refused records: {path}")


def _columns(kind: str) -> Table:
    table = Table("column", "type", "what", "example", box=None)
    for column in KINDS[kind].columns:
        name = f"{column.name} *" if column.required else column.name
        table.add_row(name, column.type.word, column.doc, column.example)
    own = KINDS[kind].open
    if own:
        table.add_row(f"{own}.<name>", "text, number, true or false", "The shop's own field.", "42")
    table.caption = "* required"
    return table
