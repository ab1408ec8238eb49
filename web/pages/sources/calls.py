"""The page for the person at the telephone: a number, who that is, what they say. One flow for the keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import tokens
from engine import consent, contacts, lists
from engine.consent import ADDRESSES
from engine.errors import Conflict, Invalid, NotFound
from engine.models import CHANNELS, Contact, Event, Item, Order
from engine.sources import calls as core
from engine.sources import people
from engine.sources.calls import Before, Call
from web import security
from web.errors import status_of
from web.pages.sources.door import blueprint
from web.services import services, utcnow
from web.shell import toast

RECENT: Final = 100_000  # events among which the last calls are looked for
LIMITS: Final = {"note": 1000, "subject": 200, "interest": 256, "item": 128}
FACTS: Final = ("email", "first_name", "last_name")


@blueprint.get("/calls")
def calls() -> ResponseReturnValue:
    """Type a number or a name; who it is, and what to write down."""
    return _page(request.args.get("q", "").strip()[:100], request.args.get("contact", type=int))


@blueprint.post("/calls")
def save_call() -> ResponseReturnValue:
    """Write the call down; what is refused comes back with everything typed."""
    now, config, by = utcnow(), services().config, security.user()
    try:
        call = _call(request.form)
        with services().database.begin() as session:
            before, contact = core.record(session, _whom(session), call, by=by.name, now=now, config=config)
            name = contacts.get(session, contact.id).name
    except (Invalid, Conflict, NotFound) as error:
        known = request.form.get("contact", type=int)
        return _page(request.form.get("q", "")[:100], known, fault=error), status_of(error)
    undo = url_for(".undo_call", token=_signed(before, by.id))
    toast(gettext("The call of %(name)s is written down", name=name), undo=undo)
    return redirect(url_for(".calls"), 303)


@blueprint.post("/calls/undo/<token>")
def undo_call(token: str) -> ResponseReturnValue:
    """Take the last entry back; only who made it may."""
    user_id, before = _read(token)
    if user_id != security.user().id:
        raise NotFound(gettext("Only who wrote a call down can take it back."))
    with services().database.begin() as session:
        gone = core.take_back(session, before, by=security.user().name, now=utcnow(), config=services().config)
    toast(gettext("Taken back, and the new contact with it") if gone else gettext("Taken back"))
    return redirect(url_for(".calls"), 303)


def _call(given: Mapping[str, str]) -> Call:
    texts = {name: given.get(name, "").strip() for name in LIMITS}
    for name, limit in LIMITS.items():
        if len(texts[name]) > limit:
            raise Invalid(gettext("This is longer than %(limit)s characters.", limit=limit), field=name)
    words = {channel: given.get(f"{channel}_consent", "") for channel in CHANNELS}
    said = {
        channel: (word == "yes", given.get(f"{channel}_wording", "").strip()[:1000])
        for channel, word in words.items()
        if word in ("yes", "no")
    }
    facts = {name: fact for name in FACTS if (fact := given.get(name, "").strip()[:300])}
    return Call(**texts, again=_day(given.get("call_again", "").strip()), consents=said, facts=facts)


def _day(given: str) -> date | None:
    try:
        day = date.fromisoformat(given) if given else None
    except ValueError:
        day = date.min
    if day is not None and not 2000 <= day.year < 2200:
        raise Invalid(gettext("This is no day; write it like 2026-03-31."), field="call_again")
    return day


def _whom(session: Session) -> int | str:
    """The caller's contact, or the number of somebody new: who has this number already is not made twice."""
    known = request.form.get("contact", type=int)
    if known:
        return contacts.get(session, known).id
    given = request.form.get("phone", "").strip()[:100]
    if not given:
        raise Invalid(gettext("Give the number they call from; by it they are found the next time."), field="phone")
    try:
        phone = consent.normalise("sms", given, services().config.locale.country)
    except Invalid as error:
        raise Invalid(error.message, field="phone") from None
    there = people.find(session, None, phone)
    return there.id if there else phone


def _signed(before: Before, user_id: int) -> str:
    words = ["-".join([channel, *word]) for channel, word in before.consents.items()]
    return tokens.signer(services().config).sign(
        "call", user_id, before.event_id, int(before.made), before.again, *words
    )


def _read(token: str) -> tuple[int, Before]:
    user_id, event_id, made, again, *words = tokens.signer(services().config).read("call", token)
    said = {channel: (word, reason) for channel, word, reason in (part.split("-") for part in words)}
    return int(user_id), Before(int(event_id), made == "1", again, said)


def _page(words: str, contact_id: int | None, fault: Invalid | Conflict | NotFound | None = None) -> str:
    with services().database.read() as session:
        found, phone = core.find(session, words, services().config.locale.country) if words else ([], None)
        one = session.get(Contact, contact_id) if contact_id else found[0] if len(found) == 1 else None
        return render_template(
            "sources/calls.html",
            words=words,
            found=found,
            phone=phone,
            one=one,
            glance=_glance(session, one) if one else {},
            recent=_recent(session),
            fault=fault,
            given=request.form,
            limits=LIMITS,
            items=session.execute(
                select(Item.key, Item.title).where(Item.active).order_by(Item.title).limit(500)
            ).all(),
            categories=session.scalars(
                select(Item.category).where(Item.category.is_not(None)).distinct().order_by(Item.category).limit(200)
            ).all(),
        )


def _glance(session: Session, contact: Contact) -> dict[str, Any]:
    """Who it is: last orders, lists, consent, what happened lately."""
    orders = select(Order).where(Order.contact_id == contact.id).order_by(Order.ordered_at.desc()).limit(3)
    mine = select(Event).where(Event.contact_id == contact.id, Event.type == core.EVENT)
    return {
        "orders": session.scalars(orders).all(),
        "lists": [one.name for one in lists.kept_on(session, contact.id)[:5]],
        "standings": consent.standings(session, contact),
        "calls": session.scalars(mine.order_by(Event.occurred_at.desc()).limit(3)).all(),
        "reachable": {one.channel: one.address for one in consent.standings(session, contact)},
        "again": contact.attributes.get(core.AGAIN),
        "channels": ADDRESSES,
    }


def _recent(session: Session) -> list[tuple[Event, Contact]]:
    """The last calls written down."""
    newest = select(func.coalesce(func.max(Event.id), 0)).scalar_subquery()
    statement = (
        select(Event, Contact)
        .join(Contact, Contact.id == Event.contact_id)
        .where(Event.id > newest - RECENT, Event.type == core.EVENT)
        .order_by(Event.id.desc())
        .limit(8)
    )
    return [(row.Event, row.Contact) for row in session.execute(statement)]
