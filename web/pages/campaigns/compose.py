"""Compose: one page for a draft; every edit is saved as it is made, with the version it was made from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy.orm import Session

from campaigns import planning, trial
from campaigns.content.email import CLIPPED
from campaigns.models import Campaign
from campaigns.plans import HOLDOUT_LIMIT
from engine import lists
from engine.errors import Conflict, Invalid
from engine.money import to_decimal
from web.format import money
from web.pages.campaigns import form
from web.pages.campaigns.door import blueprint
from web.pages.campaigns.draft import (
    INSERTS,
    REASONS,
    STEPS,
    TYPED,
    Draft,
    known_reach,
    left_out,
    look,
    power,
    preview,
    reach,
    readers,
    tried,
)
from web.pages.campaigns.draft import checks as review_of
from web.security import foreign, user
from web.services import services, utcnow
from web.shell import toast


def screen(session: Session, campaign: Campaign, read: form.Read | None = None) -> str:
    """The whole page; whom it reaches and how it looks come after it. `read`: what a plain form has just said."""
    draft = look(session, campaign, read.rows, read.refused) if read else look(session, campaign)
    return render_template("campaigns/compose.html", lists=lists.browse(session, limit=200),
                           **_context(session, draft))  # fmt: skip


def _context(session: Session, draft: Draft, contact_id: int | None = None) -> dict[str, Any]:
    """What the parts of the page are drawn from."""
    now, config = utcnow(), services().config
    draft, shown = tried(session, draft, contact_id, now)
    found = known_reach(draft, now)
    return {
        "draft": draft,
        "campaign": draft.campaign,
        "variant": draft.variant,
        "steps": STEPS,
        "inserts": INSERTS,
        "reasons": REASONS,
        "reach": found,
        "left_out": left_out(found) if found else [],
        "power": power(found, draft.campaign, money) if found else "",
        "shown": shown,
        "contact_id": contact_id,
        "checks": review_of(draft, found, shown, now),
        "config": config,
        "zone": config.locale.zone,
        "saved_at": draft.campaign.updated_at.astimezone(config.locale.zone),
        "most_held": round(HOLDOUT_LIMIT * 100),
        "clipped": CLIPPED,
        "typed": TYPED,
        "tester": user().email,
        "fields": draft.fields,
        "amount": _amount,
    }


def _amount(given: int) -> str:
    """Ten-thousandths as they are typed: 950, 0.0042."""
    return f"{to_decimal(given).normalize():f}"


@blueprint.post("/<int:campaign_id>")
def save(campaign_id: int) -> ResponseReturnValue:
    """Keep what was typed. A part of the page is answered with what changed about it; a plain form with the page."""
    posted, now = request.form, utcnow()
    read = form.read(posted, services().config.locale.zone)
    version = posted.get("version", 0, type=int)
    try:
        changed = _keep(campaign_id, read.plan, version, now)
    except Conflict as error:
        return _told(error)
    if not request.headers.get("HX-Request"):
        return _page(campaign_id, read)
    if "channel" in changed:
        return Response("", headers={"HX-Refresh": "true"})
    return _saved(campaign_id, read, changed)


def _page(campaign_id: int, read: form.Read) -> ResponseReturnValue:
    """The page again; with what could not be kept marked, and with what was removed to bring back, if there is any."""
    if not read.refused and not any(form.GONE in block for _, block in read.rows):
        return redirect(url_for(".show", campaign_id=campaign_id) + "#content", 303)
    with services().database.read() as session:
        return screen(session, planning.get(session, campaign_id), read), 422 if read.refused else 200


def _keep(campaign_id: int, plan: dict[str, Any], version: int, now: datetime) -> set[str]:
    """Write what differs; the names of the fields. Raises Conflict when somebody was faster."""
    with services().database.begin() as session:
        campaign = planning.get(session, campaign_id)
        changed = form.changes(plan, campaign, planning.variant_of(session, campaign_id))
        if changed or campaign.version != version or campaign.status != "draft":
            planning.edit(session, campaign_id, changed, version=version, now=now)
    return set(changed)


def _told(error: Conflict) -> ResponseReturnValue:
    if request.headers.get("HX-Request"):
        return render_template("campaigns/conflict.html", message=error.message), 409
    raise error


def _saved(campaign_id: int, read: form.Read, changed: set[str]) -> Response:
    acted = "act" in request.form
    with services().database.read() as session:
        draft = look(session, planning.get(session, campaign_id), read.rows, read.refused)
        context = _context(session, draft, request.form.get("contact", type=int))
        response = make_response(render_template("campaigns/saved.html", acted=acted, changed=changed, **context))
    if changed & form.REACH:
        response.headers["HX-Trigger"] = "reach"
    return response


@blueprint.get("/<int:campaign_id>/reach")
def waterfall(campaign_id: int) -> ResponseReturnValue:
    """Whom it would reach, and the review that depends on it; a time that could not be kept stays a fault in it."""
    now = utcnow()
    services().warehouse.refresh()
    refused = form.read(request.args, services().config.locale.zone).refused
    with services().database.read() as session:
        draft = look(session, planning.get(session, campaign_id), refused=refused)
        reach(session, draft, now)
        return render_template("campaigns/reached.html", counted=True, **_context(session, draft))


@blueprint.get("/<int:campaign_id>/reader")
def reader(campaign_id: int) -> ResponseReturnValue:
    """The message as somebody on the list gets it: the first, or the one before or after `contact`."""
    now, given = utcnow(), request.args.get("contact", type=int)
    with services().database.read() as session:
        draft = look(session, planning.get(session, campaign_id))
        people = readers(session, draft, now)
        ids = [person.id for person in people]
        at = ids.index(given) if given in ids else 0
        at = (at + request.args.get("step", 0, type=int)) % len(people) if people else 0
        person = people[at] if people else None
        context = _context(session, draft, person.id if person else None)
        return render_template("campaigns/preview.html", person=person, place=at + 1, people=len(people), **context)


@blueprint.get("/<int:campaign_id>/message")
def message(campaign_id: int) -> ResponseReturnValue:
    """The mail's own HTML, the bytes that would be sent, locked into a sandbox."""
    with services().database.read() as session:
        draft = look(session, planning.get(session, campaign_id))
        shown = preview(session, draft, request.args.get("contact", type=int), utcnow())
        return foreign(shown.html if shown and shown.html else "")


@blueprint.post("/<int:campaign_id>/test")
def test(campaign_id: int) -> ResponseReturnValue:
    """Send it to one address, marked as a test."""
    ours, to = services(), request.form.get("to", "").strip()
    contact_id = request.form.get("contact", type=int)
    try:
        with ours.database.read() as session:
            made = trial.message(session, campaign_id, to, contact_id=contact_id, now=utcnow(), config=ours.config,
                                 recommender=ours.recommender)  # fmt: skip
        trial.send(ours.database, ours.config, made)
    except Invalid as error:
        return render_template("campaigns/test.html", to=to, fault=error.message, contact_id=contact_id,
                               campaign_id=campaign_id), 422  # fmt: skip
    toast(gettext("The test is on its way to %(to)s", to=made.to))
    return render_template("campaigns/test.html", to=to, sent=True, contact_id=contact_id, campaign_id=campaign_id)


@blueprint.post("/<int:campaign_id>/schedule")
def schedule(campaign_id: int) -> ResponseReturnValue:
    """Let it go: now, or at the time that was chosen. A draft that is not the one that was looked at stays where it
    is and is shown as it has become.
    """
    try:
        toast(_schedule(campaign_id, utcnow()))
    except Conflict:
        with services().database.read() as session:
            still = planning.get(session, campaign_id).status == "draft"
        if not still:  # a second press comes here too
            toast(gettext("It is no draft any more; this is how it stands."))
            return redirect(url_for(".show", campaign_id=campaign_id), 303)
        toast(gettext("Nothing was sent: the draft or its list was changed meanwhile, by somebody else or in another"
                      " tab. This is how it is now."))  # fmt: skip
        return redirect(url_for(".show", campaign_id=campaign_id) + "#review", 303)
    return redirect(url_for(".show", campaign_id=campaign_id), 303)


def _schedule(campaign_id: int, now: datetime) -> str:
    """Check and schedule what was looked at; what to say about it. Raises Conflict when it was changed since."""
    ours = services()
    version = request.form.get("version", default=0, type=int)
    with ours.database.read() as session:
        ready = planning.check(session, ours.warehouse, campaign_id, version=version, now=now, config=ours.config)
        campaign = planning.get(session, campaign_id)
        _confirm(session, campaign, now)
        due = campaign.due_at
    grace = ours.config.sending.undo_seconds
    with ours.database.begin() as session:
        planning.schedule(session, ready, at=due or now + timedelta(seconds=grace), now=now)
    return str(gettext("Scheduled") if due or grace else gettext("It is being sent"))


def _confirm(session: Session, campaign: Campaign, now: datetime) -> None:
    """A large audience must be typed: nobody sends to a hundred thousand by a slip."""
    draft = look(session, campaign)
    found = known_reach(draft, now) or reach(session, draft, now)
    number = "".join(filter(str.isdigit, request.form.get("typed", "")))
    if found is not None and found.sent > TYPED and number != str(found.sent):
        raise Invalid(gettext("Type %(n)s to send to so many people.", n=found.sent), field="typed")
