"""What to offer, from the command line."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import func, select

from campaigns import offered
from engine import money
from engine.config import Config
from engine.models import Contact
from recommender.answers import MOST, Answer, Request
from recommender.business import Filter
from web.cli.given import as_json, show
from web.recommendations import shown
from web.services import opened, utcnow


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


def _tell(answer: Answer, missing: tuple[str, ...]) -> None:
    for found in answer.items:
        price = "" if found.price is None else f"{money.to_decimal(found.price)} {found.currency}"
        click.echo(f"{found.rank:>3}  {found.key:12}  {price:>12}  {found.title or ''}")
        if found.reason:
            click.echo(f"     {found.source}: {found.reason.text}")
    if not answer.items:
        click.echo("There is nothing to offer.")
    if missing:
        click.echo(f"Nobody knows {', '.join(missing)}.", err=True)
    if answer.degraded:
        click.echo("No training serves yet, these are best-sellers: run `rapport train`.", err=True)
