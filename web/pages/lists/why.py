"""Why somebody is on a list or not: their tree, beside their name or on a page of its own."""

from __future__ import annotations

import json
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from sqlalchemy.orm import Session

from engine import contacts, criteria, lists
from engine.catalogue import open_catalogue
from engine.criteria import Criteria
from engine.errors import Invalid
from engine.models import Contact
from engine.values import Style
from engine.why import why, words
from web.pages.lists.rows import blueprint
from web.services import services, utcnow


@blueprint.get("/<int:list_id>/why/<int:contact_id>")
def why_listed(list_id: int, contact_id: int) -> ResponseReturnValue:
    """Of a saved list, picks by hand included."""
    with services().database.read() as session:
        one, person = lists.get(session, list_id), contacts.get(session, contact_id)
        told = _told(session, lists.whole(session, services().warehouse, list_id), person)
        is_part = "HX-Request" in request.headers
        return render_template("lists/why.html" if is_part else "lists/why_page.html", one=one, person=person, **told)


@blueprint.post("/why/<int:contact_id>")
def why_found(contact_id: int) -> ResponseReturnValue:
    """Of the criteria that a page has just counted."""
    with services().database.read() as session:
        asked = criteria.parse(_given(), open_catalogue(session, services().warehouse))
        return render_template("lists/why.html", **_told(session, asked, contacts.get(session, contact_id)))


def _given() -> Any:
    try:
        return json.loads(request.form.get("asked", ""))
    except (ValueError, RecursionError):
        raise Invalid("These criteria are not complete JSON; load the page again.", field="asked") from None


def _told(session: Session, asked: Criteria, person: Contact) -> dict[str, Any]:
    """What the templates show; `why` is None when the warehouse does not know them yet."""
    found = why(session, services().warehouse, asked, [person.id], utcnow())
    style = Style(str(get_locale()), asked.zone, asked.currency)
    return {"why": found[0] if found else None, "words": words, "style": style}
