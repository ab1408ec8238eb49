"""Lists on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import click

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.criteria import Criteria
from engine.errors import NotFound
from engine.models import ContactList
from engine.values import Style
from engine.warehouse import Warehouse
from engine.warehouse.spark import over
from engine.why import why as explained
from web import picking
from web.api.why import find as contacts_by
from web.api.why import told as told_of
from web.cli import given
from web.services import Services, opened, opened_database, utcnow

AUTHOR = "command line"
TRAITS = 15  # fields of a profile that are shown
VERSION = ("version", "name", "criteria", "at", "author")
DID = {  # by pick: who moved, and for whom nothing changed
    "add": ("Put on the list", "Were already on it"),
    "remove": ("Taken off the list", "Were not on it"),
    "undo": ("Came or went as the criteria say", "Are where they were"),
}
DAY = ("day", "size", "joined", "left")
SHOWN = ("id", "name", "criteria", "version", "size", "counted_at", "frozen_at", "created_at", "updated_at")


_criteria = partial(
    click.option,
    "--criteria",
    "file",
    metavar="FILE",
    help="Criteria as JSON or TOML, docs/criteria.md; - is standard input.",
)


@click.group("list")
def group() -> None:
    """Saved criteria and the people they find."""


@group.command("all")
@click.argument("words", default="")
@given.as_json
@click.pass_obj
def show_all(config: Config, words: str, *, as_json: bool) -> None:
    """Show all lists, newest first, or those with WORDS in their name."""
    with opened(config) as services, services.database.read() as session:
        found = lists.browse(session, words=words, limit=1000)
    if as_json:
        given.show([_fields(one) for one in found])
        return
    for one in found:
        kind = "frozen" if one.frozen_at else "dynamic"
        size = "-" if one.size is None else f"{one.size:,}"
        click.echo(f"{one.id:>6}  {size:>10}  {kind:<7}  {one.name}")


@group.command("create")
@click.argument("name")
@_criteria(required=True)
@given.as_json
@click.pass_obj
def create(config: Config, name: str, file: str, *, as_json: bool) -> None:
    """Save a list NAME of those whom the criteria find."""
    _save(config, None, name, file, None, as_json=as_json)


@group.command("edit")
@click.argument("list_id", type=int)
@click.option("--name", help="Another name.")
@_criteria()
@click.option("--version", type=int, help="Refuse when it was changed since this version was read.")
@given.as_json
@click.pass_obj
def edit(
    config: Config, list_id: int, name: str | None, file: str | None, version: int | None, *, as_json: bool
) -> None:
    """Change the name or the criteria of a list."""
    _save(config, list_id, name, file, version, as_json=as_json)


@group.command("delete")
@click.argument("list_id", type=int)
@click.pass_obj
def delete(config: Config, list_id: int) -> None:
    """Put a list away; `restore` brings it back within 30 days."""
    with opened_database(config) as database, database.begin() as session:
        lists.delete(session, list_id, now=utcnow())
    click.echo(f"List {list_id} is put away; `rapport list restore {list_id}` brings it back within 30 days.")


@group.command("restore")
@click.argument("list_id", type=int)
@click.pass_obj
def restore(config: Config, list_id: int) -> None:
    """Bring a list back that was put away."""
    with opened_database(config) as database, database.begin() as session:
        _tell(lists.restore(session, list_id, now=utcnow()))


@group.command("show")
@click.argument("list_id", type=int)
@click.pass_obj
def show(config: Config, list_id: int) -> None:
    """Say who is on a list, and count it clause by clause."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        _explain(services.warehouse, lists.load(session, services.warehouse, list_id), config.locale.language)


@group.command("count")
@click.argument("list_id", type=int, required=False)
@_criteria()
@click.option("--spark", metavar="MASTER", help="Ask Spark there (local[4], spark://host:7077) instead of DuckDB.")
@given.as_json
@click.pass_obj
def count(config: Config, list_id: int | None, file: str | None, spark: str | None, *, as_json: bool) -> None:
    """Count a list now, or criteria that are not saved: in words, clause by clause."""
    if (list_id is None) == (file is None):
        raise click.UsageError("Give the number of a list or --criteria FILE.")
    read = given.document(file) if file else None
    with opened(config) as services:
        services.warehouse.refresh()
        if spark:
            size = _on_spark(services, list_id, read, spark)
            given.show({"count": size}) if as_json else click.echo(size)
            return
        if list_id is not None:
            with services.database.begin() as session:
                size = lists.count(session, services.warehouse, list_id, utcnow())
            given.show({"count": size}) if as_json else click.echo(size)
            return
        with services.database.read() as session:
            asked = criteria.parse(read, open_catalogue(session, services.warehouse))
            _explain(services.warehouse, asked, config.locale.language, as_json=as_json)


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


@group.command("members")
@click.argument("list_id", type=int)
@click.option("--after", type=int, default=0, help="The last number of the page before.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@given.as_json
@click.pass_obj
def members(config: Config, list_id: int, after: int, limit: int, *, as_json: bool) -> None:
    """Show who is on a list, by number."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        found = lists.members(session, services.warehouse, list_id, utcnow(), after=after, limit=limit)
        people = [{"id": one.id, "key": one.key, "name": one.name, "email": one.email} for one in found]
    if as_json:
        given.show(people)
        return
    for person in people:
        click.echo(f"{person['id']:>10}  {person['key']:<20}  {person['name']}")


@group.command("why")
@click.argument("list_id", type=int)
@click.argument("contact")
@given.as_json
@click.pass_obj
def why(config: Config, list_id: int, contact: str, *, as_json: bool) -> None:
    """Say why CONTACT (customer number, e-mail or telephone) is on a list or not, and when time will change that."""
    now = utcnow()
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        asked = lists.whole(session, services.warehouse, list_id)
        ids = lists.recognise(session, [contact], country=config.locale.country).ids
        found = explained(session, services.warehouse, asked, [int(one) for one in ids], now)
        if not found:
            raise NotFound(f"Nobody is known as '{contact[:80]}'.")
        style = Style(config.locale.language, asked.zone, asked.currency)
        people = contacts_by(session, [one.contact_id for one in found], [])
        told = [told_of(one, people[one.contact_id], style) for one in found]
    if as_json:
        given.show(told)
        return
    for one in told:
        click.echo(f"{one['name']}: {one['standing']} {one['outlook']}")
        _tree(one["tree"], 0)


def _tree(node: Mapping[str, Any], depth: int) -> None:
    """A node in a line, those below it further in."""
    value = "" if node["value"] is None else f"  [{node['value']}]"
    cause = f"  ({node['cause']})" if node["cause"] else ""
    stays = "" if node["followed"] else "  (as of now)"
    click.echo(f"{'  ' * depth}{'+' if node['met'] else '-'} {node['sentence']}{value}{cause}{stays}")
    for child in node["nodes"]:
        _tree(child, depth + 1)


@group.command("pick")
@click.argument("list_id", type=int)
@click.argument("words", nargs=-1)
@click.option(
    "--file", type=click.File(encoding="utf-8-sig"), help="One customer number or address a line; - is input."
)
@click.option(
    "--as",
    "verdict",
    type=click.Choice(picking.PICKS),
    default="add",
    show_default=True,
    help="Put on the list, take off it, or leave to its criteria again.",
)
@click.pass_obj
def pick(config: Config, list_id: int, words: tuple[str, ...], file: IO[str] | None, verdict: str) -> None:
    """Put people on a list, or take them off, by customer number, e-mail or telephone (WORDS), whatever it asks for."""
    with opened(config) as services:
        asked = [*words, *(file or ())]
        found = picking.pick(services, list_id, verdict, words=asked, now=utcnow(), author=AUTHOR)
    click.echo(_did(verdict, found))
    for word in found.unknown:
        click.echo(f"Not known: {word}", err=True)


def _did(verdict: str, found: picking.Picked) -> str:
    """What a pick did, in a line."""
    if found.moved is None:
        return f"Picks changed: {found.changed:,}. The list's criteria cannot be used today: see `rapport list count`."
    told = [f"{DID[verdict][0]}: {found.moved:,}."]
    told += [f"{DID[verdict][1]}: {found.already:,}."] if found.already else []
    told += [f"Still off it, for its criteria exclude them: {found.left_out:,}."] if found.left_out else []
    return " ".join(told)


@group.command("versions")
@click.argument("list_id", type=int)
@given.as_json
@click.pass_obj
def versions(config: Config, list_id: int, *, as_json: bool) -> None:
    """Show what was saved of a list, newest first."""
    with opened(config) as services, services.database.read() as session:
        found = lists.versions(session, list_id, limit=1000)
        catalogue, language = open_catalogue(session, services.warehouse), config.locale.language
        readings = [lists.reading(one.criteria, catalogue, list_id, language) for one in found]
    if as_json:
        given.show([{name: getattr(one, name) for name in VERSION} for one in found])
        return
    for one, read in zip(found, readings, strict=True):
        click.echo(f"{one.version:>6}  {one.at:%Y-%m-%d %H:%M}  {one.author or '-':<16}  {one.name}")
        click.echo(f"        {read.sentence or read.fault}")


@group.command("revert")
@click.argument("list_id", type=int)
@click.argument("version", type=int)
@click.pass_obj
def revert(config: Config, list_id: int, version: int) -> None:
    """Save an old VERSION of a list as the newest."""
    with opened(config) as services:
        services.warehouse.refresh()
        with services.database.begin() as session:
            catalogue = open_catalogue(session, services.warehouse)
            _tell(lists.revert(session, list_id, version, now=utcnow(), catalogue=catalogue, author=AUTHOR))


@group.command("profile")
@click.argument("list_id", type=int)
@click.pass_obj
def profile(config: Config, list_id: int) -> None:
    """Say how the people of a list differ from all contacts, largest differences first."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        found = lists.profile(session, services.warehouse, list_id, utcnow())
    click.echo(f"{found.size:,} of {found.base:,} contacts")
    for trait in found.traits[:TRAITS]:
        strength = "" if trait.strength is None else f"  (Cramér's V {trait.strength:.2f})"
        click.echo(f"{trait.label(config.locale.language)}{strength}")
        for part in trait.parts:
            value = part.kind if part.kind in ("unknown", "others") else part.value if part.kind == "value" else (
                f"{'' if part.value is None else part.value} .. {'' if part.high is None else part.high}")  # fmt: skip
            click.echo(f"{part.member_share:>9.1%} {part.base_share:>8.1%}  {value}")


@group.command("overlap")
@click.argument("list_id", type=int)
@click.pass_obj
def overlap(config: Config, list_id: int) -> None:
    """Say how many people of a list are on others, too."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        found = lists.overlaps(session, services.warehouse, list_id, utcnow())
        for row in found.others:
            click.echo(f"{row.both:>10,} of {row.size:>10,}  {row.jaccard:>6.3f}  {row.one.name}")
        for one in found.unseen:
            click.echo(f"{'-':>10}     {'-':>10}  {'':>6}  {one.name}: the tick has not looked yet")


@group.command("growth")
@click.argument("list_id", type=int)
@given.as_json
@click.pass_obj
def growth(config: Config, list_id: int, *, as_json: bool) -> None:
    """Show a dynamic list day by day."""
    with opened_database(config) as database, database.read() as session:
        days = [{name: getattr(one, name) for name in DAY} for one in lists.growth(session, list_id)]
    if as_json:
        given.show(days)
        return
    for day in days:
        click.echo(f"{day['day']}  {day['size']:>10,}  +{day['joined']:,} -{day['left']:,}")


def _save(
    config: Config, list_id: int | None, name: str | None, file: str | None, version: int | None, *, as_json: bool
) -> None:
    """A new list, or a change of one that is there, where what is not given stays."""
    read = given.document(file) if file else None
    with opened(config) as services:
        services.warehouse.refresh()
        with services.database.begin() as session:
            there = lists.get(session, list_id) if list_id else None
            saved = lists.save(
                session,
                list_id,
                name if name is not None else there.name if there else "",
                read if read is not None else there.criteria if there else {},
                version=version,
                now=utcnow(),
                catalogue=open_catalogue(session, services.warehouse),
                author=AUTHOR,
            )
    if as_json:
        given.show(_fields(saved))
    else:
        _tell(saved)


def _explain(warehouse: Warehouse, asked: Criteria, language: str, *, as_json: bool = False) -> None:
    """The sentence, of each clause the count and for how many its value is unknown, and how many people in all."""
    found = lists.preview(warehouse, asked, now=utcnow(), limit=1, language=language)
    sentence = criteria.sentence(asked, language)
    if as_json:
        clauses = [vars(clause) for clause in found.clauses]
        given.show({"count": found.count, "base": found.base, "sentence": sentence, "clauses": clauses})
        return
    click.echo(sentence)
    for clause in found.clauses:
        click.echo(f"{clause.count:>10,}  {clause.sentence}  ({clause.unknown:,} unknown)")
    click.echo(f"{found.count:>10,}  of {found.base:,} contacts")


def _on_spark(services: Services, list_id: int | None, read: Any, master: str) -> int:
    warehouse = services.warehouse
    with services.database.read() as session:
        if list_id is not None:
            asked = lists.whole(session, warehouse, list_id)
        else:
            asked = criteria.parse(read, open_catalogue(session, warehouse))
    with over(warehouse, master) as spark:
        size: int = spark.execute(criteria.select(asked, warehouse, utcnow()).count())[0][0].as_py()
    return size


def _tell(found: ContactList) -> None:
    click.echo(f"List {found.id}, {found.name}, is saved.")


def _fields(found: ContactList) -> dict[str, Any]:
    """As the API shows it."""
    return {name: getattr(found, name) for name in SHOWN}
