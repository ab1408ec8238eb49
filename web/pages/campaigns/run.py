"""A campaign on its way: how far it is, at what pace, why somebody got nothing; pause, cancel, decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy.orm import Session

from campaigns import planning, sends
from campaigns.models import FINAL, LIVE, Campaign
from engine import lists
from engine.models import ContactList
from web.pages.campaigns.door import blueprint, remember
from web.services import services, utcnow
from web.shell import toast

MARK: Final = timedelta(seconds=10)  # the pace is that of the last 10 to 20 seconds

TOLD: Final = {
    "pause": lazy_gettext("Paused"),
    "resume": lazy_gettext("It goes on"),
    "cancel": lazy_gettext("Cancelled: what has not left stays here"),
    "unschedule": lazy_gettext("Back to draft"),
    "send_late": lazy_gettext("It is being sent"),
    "skip_late": lazy_gettext("Skipped"),
}
STEPS: Final[dict[str, Callable[..., Campaign]]] = {
    "pause": planning.pause,
    "resume": planning.resume,
    "cancel": planning.cancel,
    "unschedule": planning.unschedule,
    "send_late": planning.send_late,
    "skip_late": planning.skip_late,
}


@dataclass(frozen=True)
class Pace:
    """Messages a second since a mark, and how long the rest takes at that pace. `marks`: for the next look."""

    per_second: float | None
    left: timedelta | None
    marks: str


def screen(session: Session, campaign: Campaign) -> str:
    """The whole page."""
    return render_template("campaigns/run.html", **_context(session, campaign))


@blueprint.get("/<int:campaign_id>/progress")
def progress(campaign_id: int) -> ResponseReturnValue:
    """The part that renews itself; it stops when nothing is left to send."""
    with services().database.read() as session:
        return render_template("campaigns/live.html", **_context(session, planning.get(session, campaign_id)))


@blueprint.post("/<int:campaign_id>/<any(pause,resume,cancel,unschedule,send_late,skip_late):word>")
def step(campaign_id: int, word: str) -> ResponseReturnValue:
    """One change of state."""
    with services().database.begin() as session:
        STEPS[word](session, campaign_id, now=utcnow())
    toast(str(TOLD[word]))
    return redirect(url_for(".show", campaign_id=campaign_id), 303)


@blueprint.post("/<int:campaign_id>/again")
def again(campaign_id: int) -> ResponseReturnValue:
    """Send once more to those of whom nobody knows whether they have it."""
    with services().database.begin() as session:
        number = planning.send_again(session, campaign_id, now=utcnow())
    toast(gettext("%(n)s messages are sent once more", n=number))
    return redirect(url_for(".show", campaign_id=campaign_id), 303)


def _context(session: Session, campaign: Campaign) -> dict[str, Any]:
    now = utcnow()
    states = planning.progress(session, campaign.id)
    live = sum(states.get(state, 0) for state in LIVE)
    gone = sum(states.get(state, 0) for state in ("accepted", "failed", "unknown", "expired", "cancelled"))
    fired = sends.fired_at(session, campaign.id)
    changed = planning.is_list_changed(session, campaign)
    countdown = _countdown(campaign, now)
    return {
        "campaign": campaign,
        "list": session.get(ContactList, campaign.list_id) if campaign.list_id else None,
        "states": [(state, states[state]) for state in (*LIVE, *FINAL) if state in states],
        "unknown": states.get("unknown", 0),
        "reasons": sends.reasons(session, campaign.id) if states else [],
        "newest": sends.newest(session, campaign.id) if gone else [],
        "done": gone,
        "changed": changed,
        "people": _people(session, campaign, now) if changed else None,
        "out": states.get("accepted", 0),
        "total": gone + live,
        "pace": pace(gone, live, request.args.get("marks", ""), now),
        "fired_at": fired,
        "countdown": countdown,
        "polls": campaign.status in ("scheduled", "sending", "paused"),
        "every": "1s" if campaign.status == "sending" or countdown is not None else "3s",
    }


def _countdown(campaign: Campaign, now: datetime) -> str | None:
    """How long it can still be taken back, for one that goes out in a moment; "" when the moment has come."""
    if campaign.status != "scheduled" or campaign.due_at is None or campaign.due_at > now + planning.NEAR:
        return None
    seconds = max(0, ceil((campaign.due_at - now).total_seconds()))
    minutes = gettext("%(n)s min", n=seconds // 60) if seconds >= 60 else ""
    return f"{minutes} {gettext('%(n)s s', n=seconds % 60)}".strip() if seconds else ""


def _people(session: Session, campaign: Campaign, now: datetime) -> int | None:
    """Counted once for every change: the page asks every three seconds."""
    key = "people", *((one.id, one.version, one.updated_at) for one in lists.behind(session, campaign.list_id or 0))
    return remember(key, now, lambda: planning.people(session, services().warehouse, campaign, now))


def pace(gone: int, live: int, marks: str, now: datetime) -> Pace:
    """From two marks (seconds:messages) that the page carries from look to look, the older 10 to 20 seconds back."""
    here = f"{now.timestamp():.1f}:{gone}"
    known = [mark for mark in map(_mark, marks.split(",")[:2]) if mark is not None]
    if not known:
        return Pace(None, None, f"{here},{here}")
    (at, before), newer = known[0], known[-1]
    seconds = now.timestamp() - at
    if seconds < 1 or gone < before:
        return Pace(None, None, marks)
    rate = (gone - before) / seconds
    left = timedelta(seconds=live / rate) if rate else None
    old_enough = now - datetime.fromtimestamp(newer[0], UTC) >= MARK
    return Pace(rate, left, f"{newer[0]:.1f}:{newer[1]},{here}" if old_enough else marks)


def _mark(text: str) -> tuple[float, int] | None:
    seconds, _, number = text.partition(":")
    if len(text) > 40 or not number.isdecimal() or not seconds.replace(".", "", 1).isdecimal():
        return None
    if float(seconds) > 4e9:  # no moment of this century
        return None
    return float(seconds), int(number)
