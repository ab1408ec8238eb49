"""Contacts: find people, and everything known about one of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Send
from engine import consent, contacts
from engine.contacts import Moment
from engine.errors import Invalid
from engine.intake.leftovers import REJECTS_LIFE
from engine.models import CHANNELS, Contact, ContactList, ListMember
from recommender.answers import Request
from web.services import services, utcnow
from web.shell import toast

blueprint = Blueprint("contacts", __name__, url_prefix="/contacts")

PAGE: Final = 50  # people of one page, moments of one stretch of history

FACTS: Final = (
    ("key", lazy_gettext("Customer number")),
    ("email", lazy_gettext("E-mail")),
    ("phone", lazy_gettext("Telephone")),
    ("city", lazy_gettext("City")),
    ("region", lazy_gettext("Region")),
    ("country", lazy_gettext("Country")),
    ("education", lazy_gettext("Education")),
    ("household_size", lazy_gettext("Household")),
    ("language", lazy_gettext("Language")),
    ("origin", lazy_gettext("Came in by")),
)
ADDRESS: Final = {"email": "email", "sms": "phone"}


@dataclass(frozen=True)
class Standing:
    """How things stand on one channel: the last word of consent, and whether the address is suppressed."""

    channel: str
    address: str | None
    consent: bool | None
    suppressed: bool

    @property
    def reachable(self) -> bool:
        """May be spoken to."""
        return bool(self.address and self.consent and not self.suppressed)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """People by what is typed, fifty at a time."""
    words, after = request.args.get("q", "").strip()[:200], request.args.get("after", type=int)
    with services().database.read() as session:
        found = contacts.search(session, words, after=after, limit=PAGE + 1)
        people = found[:PAGE]
        return render_template(
            "contacts/index.html",
            people=people,
            traits=_traits([person.id for person in people]),
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
        return render_template(
            "contacts/show.html",
            contact=contact,
            age=_age(contact, now),
            facts=FACTS,
            standings=[_standing(session, contact, channel) for channel in CHANNELS],
            traits=_traits([contact_id]).get(contact_id),
            offers=services().recommender.recommend(session, Request("home", contact_id, n=4), now=now),
            lists=_lists(session, contact_id),
            moments=_moments(session, contact_id, None),
            rejects_life=REJECTS_LIFE.days,
        )


@blueprint.get("/<int:contact_id>/history")
def history(contact_id: int) -> ResponseReturnValue:
    """The next stretch of history, before a moment."""
    with services().database.read() as session:
        contact = contacts.get(session, contact_id)
        before = _moment(request.args.get("before", ""))
        return render_template("contacts/history.html", contact=contact, moments=_moments(session, contact_id, before))


@blueprint.post("/<int:contact_id>/consent")
def save_consent(contact_id: int) -> ResponseReturnValue:
    """Write down what somebody said, on the telephone for instance."""
    channel, granted = request.form.get("channel", ""), request.form.get("granted") == "yes"
    evidence = request.form.get("evidence", "").strip()[:500] or None
    with services().database.begin() as session:
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


def _standing(session: Session, contact: Contact, channel: str) -> Standing:
    address = getattr(contact, ADDRESS[channel])
    suppressed = address is not None and consent.is_suppressed(session, channel, address)
    return Standing(channel, address, getattr(contact, f"{channel}_consent"), suppressed)


def _lists(session: Session, contact_id: int) -> Sequence[ContactList]:
    """Frozen lists the person stands on."""
    statement = (
        select(ContactList)
        .join(ListMember, ListMember.list_id == ContactList.id)
        .where(ListMember.contact_id == contact_id, ContactList.deleted_at.is_(None))
        .order_by(ContactList.frozen_at.desc())
        .limit(20)
    )
    return session.scalars(statement).all()


def _moments(session: Session, contact_id: int, before: datetime | None) -> list[Moment]:
    """History with the messages in it, newest first."""
    known = contacts.timeline(session, contact_id, before=before, limit=PAGE)
    sources = (known, _sends(session, contact_id, before))
    return list(islice(heapq.merge(*sources, key=lambda moment: moment.at, reverse=True), PAGE))


def _sends(session: Session, contact_id: int, before: datetime | None) -> Iterable[Moment]:
    statement = (
        select(Send, Campaign.name)
        .join(Campaign, Campaign.id == Send.campaign_id)
        .where(Send.contact_id == contact_id)
        .order_by(Send.created_at.desc())
        .limit(PAGE)
    )
    if before is not None:
        statement = statement.where(Send.created_at < before)
    rows = session.execute(statement).all()
    found = [Moment(send.accepted_at or send.created_at, "send", name, send.state) for send, name in rows]
    return sorted(found, key=lambda moment: moment.at, reverse=True)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment.astimezone(UTC)  # the first and the last day have moments that UTC has not
    except (ValueError, OverflowError):
        raise Invalid(f"'{text[:40]}' is no moment.", field="before") from None
    if moment.tzinfo is None:
        raise Invalid(f"'{text[:40]}' has no time zone.", field="before")
    return moment
