"""What the palette finds: people, lists and campaigns by name."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from campaigns.models import Campaign
from engine import contacts
from engine.models import ContactList
from web.services import services

blueprint = Blueprint("search", __name__)

MOST = 5  # of each kind


@blueprint.get("/search")
def found() -> ResponseReturnValue:
    """A few of each kind."""
    words = request.args.get("q", "").strip()[:100]
    with services().database.read() as session:
        people = contacts.search(session, words, limit=MOST, warehouse=services().warehouse) if words else []
        named = {
            table: session.scalars(
                select(table)
                .where(table.name.icontains(words, autoescape=True), table.deleted_at.is_(None))
                .order_by(table.updated_at.desc())
                .limit(MOST if words else 0)
            ).all()
            for table in (ContactList, Campaign)
        }
        return render_template(
            "fragments/found.html", people=people, lists=named[ContactList], campaigns=named[Campaign]
        )
