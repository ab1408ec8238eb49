"""Contacts: find people, and everything known about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy.orm import Session

from campaigns import visits
from engine import consent, contacts, identity, lists
from engine.errors import Invalid
from engine.identity import audit
from engine.intake.leftovers import REJECTS_LIFE
from engine.models import Contact
from engine.timeline import Place
from recommender.answers import Request
from web.pages import history as told
from web.pages.lists.tabs import lists_of
from web.services import services, utcnow
from web.shell import toast

blueprint = Blueprint("contacts", __name__, url_prefix="/contacts")

PAGE: Final = 50  # people of one page

FACTS: Final = (
    ("key", lazy_gettext("Customer number")),
    ("email", lazy_gettext("E-mail")),
    ("phone", lazy_gettext("Telephone")),
    ("city", lazy_gettext("City")),
    ("region", lazy_gettext("Region")),
    ("country", lazy_gettext("Country")),
    ("education", lazy_gettext("Education")),
    ("household_size", lazy_gettext("People in the household")),
    ("household", lazy_gettext("Household")),
    ("account", lazy_gettext("Account")),
    ("language", lazy_gettext("Language")),
    ("origin", lazy_gettext("Came in by")),
)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """People by what is typed, fifty at a time."""
    words, after = request.args.get("q", "").strip()[:200], request.args.get("after", type=int)
    with services().database.read() as session:
        found = contacts.search(session, words, after=after, limit=PAGE + 1, warehouse=services().warehouse)
        people = found[:PAGE]
        return render_template(
            "contacts/index.html",
            people=people,
            traits=_traits([person.id for person in people]),
            total=_total(),
            words=words,
            next=url_for(".index", q=words, after=people[-1].id) if len(found) > PAGE else None,
            first=url_for(".index", q=words) if after else None,
        )


@blueprint.get("/<int:contact_id>")
def show(contact_id: int) -> ResponseReturnValue:
    """One person: facts, consent, what they bought, what we would offer, everything that happened."""
    now = utcnow()
    with services().database.read() as session:
        contact = contacts.get(session, contact_id)
        if contact.id != contact_id:  # merged: old links lead to the one that was kept
            return redirect(url_for(".show", contact_id=contact.id))
        return render_template(
            "contacts/show.html",
            contact=contact,
            age=_age(contact, now),
            facts=FACTS,
            standings=consent.standings(session, contact),
            traits=_traits([contact_id]).get(contact_id),
            offers=services().recommender.recommend(session, Request("home", contact_id, n=4), now=now),
            lists=lists_of(session, contact),
            addable=lists.browse(session, limit=200),
            **_history(session, contact_id, _cursor("cursor"), now),
            merges=audit.of_contact(session, contact_id),
            visitors=identity.visitors_of(session, contact_id),
            rejects_life=REJECTS_LIFE.days,
        )


@blueprint.get("/<int:contact_id>/history")
def history(contact_id: int) -> ResponseReturnValue:
    """The next part of the history, before a place in it."""
    with services().database.read() as session:
        contact, cursor = contacts.get(session, contact_id), _cursor("cursor")
        return render_template(
            "contacts/history.html", contact=contact, **_history(session, contact_id, cursor, utcnow())
        )


@blueprint.get("/<int:contact_id>/live")
def live(contact_id: int) -> ResponseReturnValue:
    """What came in after a place in the history; 204 while that is what is shown."""
    after = _cursor("after")
    with services().database.read() as session:
        contact = contacts.get(session, contact_id)
        entries, seen = visits.since(session, contact.id, _kind(), after)
        if seen == request.args.get("seen"):
            return "", 204
        shown = told.History.read(session, contact.id, entries)
        return render_template(
            "contacts/live.html", contact=contact, kind=_kind(), fresh=shown, settled=after, seen=seen, told=told
        )


@blueprint.post("/<int:contact_id>/consent")
def save_consent(contact_id: int) -> ResponseReturnValue:
    """Write down what somebody said, on the telephone for instance. A yes with evidence lifts a suppression."""
    channel, granted = request.form.get("channel", ""), request.form.get("granted") == "yes"
    evidence = request.form.get("evidence", "").strip()[:500] or None
    with services().database.begin() as session:
        contact = contacts.get(session, contact_id)
        stands = {one.channel: one for one in consent.standings(session, contact)}.get(channel)
        if granted and stands and stands.address and stands.suppression:
            if evidence is None:
                raise Invalid(gettext("They asked to be left alone: write down how and when they took it back."),
                              field="evidence")  # fmt: skip
            consent.lift(session, channel, stands.address)
        consent.record(session, contact_id, channel, granted, origin="manual", evidence=evidence, now=utcnow())
    toast(gettext("Written down"))
    return redirect(url_for(".show", contact_id=contact_id), 303)


@blueprint.post("/<int:contact_id>/erase")
def erase(contact_id: int) -> ResponseReturnValue:
    """Forget a person for good; the customer number must be typed, because nothing brings them back."""
    with services().database.begin() as session:
        contact = contacts.get(session, contact_id)
        if request.form.get("key", "").strip() != contact.key:
            raise Invalid(
                gettext("Type the customer number %(key)s to erase this person.", key=contact.key), field="key"
            )
        contacts.erase(session, contact_id, utcnow())
    services().warehouse.refresh()
    toast(gettext("Erased. Their addresses will never be written to again."))
    return redirect(url_for(".index"), 303)


def _total() -> int:
    """How many there are, by the warehouse, which knows; the database would go through a million rows at every look."""
    warehouse = services().warehouse
    number: int = warehouse.execute(warehouse.table("contacts").count())[0][0].as_py()
    return number


def _traits(contact_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What the warehouse has computed about these people, by contact."""
    traits = services().warehouse.table("traits")
    rows = services().warehouse.execute(traits.filter(traits.contact_id.isin(contact_ids)))
    return {row["contact_id"]: row for row in rows.to_pylist()}


def _age(contact: Contact, now: datetime) -> int | None:
    """Whole years, from the birth date if it is known."""
    born, today = contact.birth_date, now.date()
    if born is None:
        return contact.age
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _kind() -> str:
    """The part of the history that is asked for."""
    kind = request.args.get("kind", "")
    return kind if kind in told.PARTS else ""


def _cursor(name: str) -> Place | None:
    """A place in the history, from the address."""
    given = request.args.get(name, "")
    return Place.parse(given) if given else None


def _history(session: Session, contact_id: int, cursor: Place | None, now: datetime) -> dict[str, Any]:
    """A page of the history: what may still grow, what is settled, and where the next page begins."""
    found = visits.page(session, contact_id, _kind(), cursor, now)
    shown = told.History.read(session, contact_id, found.entries)
    fresh = 0 if cursor else found.live
    return {
        "kind": _kind(),
        "cursor": cursor,
        "fresh": replace(shown, entries=found.entries[:fresh]),
        "shown": replace(shown, entries=found.entries[fresh:]),
        "settled": found.settled,
        "seen": visits.seen(visits.moments(found.entries[:fresh])),
        "next": found.next,
        "told": told,
    }
