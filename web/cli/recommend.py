"""What to offer, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy import func, select

from campaigns import offered
from engine import export, lists, money
from engine.config import Config
from engine.lists.people import among
from engine.models import Contact
from recommender.answers import MOST, Answer, Request
from recommender.business import Filter
from web.cli.given import as_json, show
from web.recommendations import shown
from web.services import Services, opened, utcnow

AT_ONCE: Final = 50_000  # contacts of a file for whom is asked together
COLUMNS: Final = (
    *("contact", "rank", "item", "title", "price", "currency", "source", "reason", "recommendation_id", "variant"),
)


@click.command()
@click.option("--placement", metavar="NAME", help="Where it is offered; default: by what is given.")
@click.option("--item", "items", multiple=True, metavar="KEY", help="Looked at now; may be given several times.")
@click.option("--cart", multiple=True, metavar="KEY", help="In the cart; may be given several times.")
@click.option("--contact", metavar="KEY", help="For whom.")
@click.option("--visitor", metavar="ID", help="For whom, when nobody is logged in.")
@click.option("--exclude", multiple=True, metavar="KEY", help="Never to offer; may be given several times.")
@click.option("--category", metavar="PATH", help="Only from this category and below.")
@click.option("-n", default=10, show_default=True, type=click.IntRange(1, MOST))
@as_json
@click.pass_obj
def recommend(config: Config, /, contact: str | None, category: str | None, *, as_json: bool, **given: Any) -> None:
    """Say what to offer for an item, a cart or a contact, and why; to a stranger, what sells."""
    placement = given.pop("placement") or ("cart" if given["cart"] else "item" if given["items"] else "home")
    with opened(config) as services, services.database.read() as session:
        known = select(func.coalesce(Contact.merged_into, Contact.id)).where(Contact.key == contact)
        contact_id = contact and session.scalar(known)
        request = Request(
            placement, contact_id or None, filter=Filter(categories=(category,) if category else ()), **given
        )
        answer = services.recommender.recommend(session, request, now=utcnow(), shown=offered.last)
    missing = (*answer.missing_ids, *([contact] if contact and not contact_id else []))
    if as_json:
        show(shown(answer) | {"missing_ids": missing})
    else:
        _tell(answer, missing)


@click.command("recommend-list")
@click.argument("list_id", type=int)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--placement", default="email", show_default=True, metavar="NAME", help="Where it is offered.")
@click.option("-n", default=4, show_default=True, type=click.IntRange(1, MOST), help="Items for each.")
@click.pass_obj
def recommend_list(config: Config, list_id: int, file: Path, placement: str, n: int) -> None:
    """Write what to offer to each contact on a list to FILE as CSV ("-": to standard output)."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        ids = lists.member_ids(session, services.warehouse, list_id, utcnow()).tolist()
        pieces = export.lines(COLUMNS, _offers(services, ids, placement, n))
        first = next(pieces)  # a fault of what is asked is an error, not half a file
        with click.open_file(str(file), "w", encoding="utf-8", atomic=True) as out:
            out.writelines(chain([first], pieces))


def _offers(services: Services, ids: list[int], placement: str, n: int) -> Iterator[tuple[Any, ...]]:
    """A row of COLUMNS for each item, by contact."""
    with click.progressbar(length=len(ids), file=sys.stderr) as progress:
        for first in range(0, len(ids), AT_ONCE):
            part = ids[first : first + AT_ONCE]
            with services.database.read() as session:
                known = select(Contact.id, Contact.key).where(
                    Contact.id.in_(among(session, part)), Contact.merged_into.is_(None)
                )
                keys = dict(session.execute(known.order_by(Contact.id)).all())
                answers = services.recommender.recommend_many(
                    session, placement, list(keys), n, now=utcnow(), shown=offered.last
                )
            for contact_id, key in keys.items():
                yield from _rows(key, answers[contact_id])
            progress.update(len(part))


def _rows(contact: str, answer: Answer) -> Iterator[tuple[Any, ...]]:
    for one in answer.items:
        price = None if one.price is None else money.to_text(one.price)
        why = one.reason.text if one.reason else None
        named = one.key, one.title, price, one.currency, one.source, why
        yield contact, one.rank, *named, answer.recommendation_id, answer.variant


def _tell(answer: Answer, missing: tuple[str, ...]) -> None:
    for found in answer.items:
        price = "" if found.price is None else f"{money.to_text(found.price)} {found.currency}"
        click.echo(f"{found.rank:>3}  {found.key:12}  {price:>12}  {found.title or ''}")
        if found.reason:
            click.echo(f"     {found.source}: {found.reason.text}")
    if not answer.items:
        click.echo("There is nothing to offer.")
    if missing:
        click.echo(f"Nobody knows {', '.join(missing)}.", err=True)
    if answer.degraded:
        click.echo("No training serves yet, these are best-sellers: run `rapport train`.", err=True)
