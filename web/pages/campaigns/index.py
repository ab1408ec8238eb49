"""All campaigns, and the way into one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from campaigns import planning, plans, roi
from campaigns.models import Campaign, Send
from engine import lists
from engine.models import CHANNELS, ContactList
from web.pages.campaigns import compose, report, run
from web.pages.campaigns.door import blueprint, recall, remember
from web.services import services, utcnow
from web.shell import toast

PAGE: Final = 50
RUNNING: Final = ("sending", "paused", "late")
ENDED: Final = ("finished", "cancelled")
QUIET: Final = ("draft", *ENDED)  # may be deleted

CHIPS: Final = (
    ("", lazy_gettext("All"), ()),
    ("draft", lazy_gettext("Drafts"), ("draft",)),
    ("scheduled", lazy_gettext("Scheduled"), ("scheduled",)),
    ("running", lazy_gettext("Running"), RUNNING),
    ("finished", lazy_gettext("Finished"), ("finished",)),
    ("cancelled", lazy_gettext("Cancelled"), ("cancelled",)),
)

# What a new e-mail may begin with.
STARTS: Final = (
    ("blank", lazy_gettext("Empty"), lazy_gettext("Nothing in it yet")),
    ("letter", lazy_gettext("Letter"), lazy_gettext("Heading, a few lines, one button")),
    ("picks", lazy_gettext("Picked for each reader"), lazy_gettext("A letter with items that fit who reads it")),
)


@dataclass(frozen=True)
class Row:
    """A line of the table. `sent` and `matched` of what is on its way, counted as a report's funnel counts them; what
    has ended is in its report.
    """

    campaign: Campaign
    list_name: str | None
    sent: int
    matched: int
    report: roi.Report | None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Newest first, fifty at a time, by state and name."""
    state, words = request.args.get("state", ""), request.args.get("q", "").strip()[:200]
    before, now = request.args.get("before", type=int), utcnow()
    with services().database.read() as session:
        rows = _rows(session, _matching(state, words, before), now)
        shown = rows[:PAGE]
        return render_template(
            "campaigns/index.html",
            rows=shown,
            missing=[row.campaign.id for row in shown if row.campaign.status in ENDED and row.report is None],
            chips=_chips(session),
            state=state,
            words=words,
            ended=ENDED,
            quiet=QUIET,
            next=url_for(".index", state=state, q=words, before=shown[-1].campaign.id) if len(rows) > PAGE else None,
            first=url_for(".index", state=state, q=words) if before else None,
        )


@blueprint.get("/results")
def results() -> ResponseReturnValue:
    """What ended campaigns earned, for the cells of the table that wait for it."""
    ids = [int(part) for part in request.args.get("ids", "").split(",")[:PAGE] if part.isdecimal() and len(part) < 19]
    now = utcnow()
    with services().database.read() as session:
        found = session.scalars(select(Campaign).where(Campaign.id.in_(ids), Campaign.deleted_at.is_(None))).all()
        reports = {campaign.id: earned(session, campaign, now) for campaign in found}
    return render_template("campaigns/results.html", reports=reports)


def earned(session: Session, campaign: Campaign, now: datetime) -> roi.Report:
    """The report of an ended campaign: 20 to 200 ms when it is not known from the last minutes."""
    return remember(_key(campaign), now, lambda: roi.report(session, campaign.id, now=now))


def _key(campaign: Campaign) -> tuple[Any, ...]:
    return "report", campaign.id, campaign.version, campaign.updated_at


def _matching(state: str, words: str, before: int | None) -> Any:
    statement = (
        select(Campaign, ContactList.name)
        .outerjoin(ContactList, ContactList.id == Campaign.list_id)
        .where(Campaign.deleted_at.is_(None))
        .order_by(Campaign.id.desc())
        .limit(PAGE + 1)
    )
    states = next((states for name, _, states in CHIPS if name == state), ())
    if states:
        statement = statement.where(Campaign.status.in_(states))
    if words:
        statement = statement.where(Campaign.name.icontains(words, autoescape=True))
    return statement.where(Campaign.id < before) if before else statement


def _rows(session: Session, statement: Any, now: datetime) -> list[Row]:
    found = session.execute(statement).all()
    counts = _sent(session, [campaign.id for campaign, _ in found if campaign.status in RUNNING])
    return [
        Row(
            campaign,
            list_name,
            *counts.get(campaign.id, (0, 0)),
            recall(_key(campaign), now) if campaign.status in ENDED else None,
        )
        for campaign, list_name in found
    ]


def _sent(session: Session, ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """How many messages of each campaign were accepted, and how many people were on its list."""
    if not ids:
        return {}
    accepted = func.count(case((Send.state == "accepted", 1)))
    counted = select(Send.campaign_id, accepted, func.count()).where(Send.campaign_id.in_(ids))
    return {row[0]: (row[1], row[2]) for row in session.execute(counted.group_by(Send.campaign_id))}


def _chips(session: Session) -> list[tuple[str, Any, int]]:
    """Name, words and number of campaigns of each filter."""
    states = select(Campaign.status, func.count()).where(Campaign.deleted_at.is_(None)).group_by(Campaign.status)
    counts = {row[0]: row[1] for row in session.execute(states)}
    return [
        (name, words, sum(counts.get(status, 0) for status in wanted) if wanted else sum(counts.values()))
        for name, words, wanted in CHIPS
    ]


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """Name, channel and list; the draft is made when it is sent."""
    with services().database.read() as session:
        return render_template(
            "campaigns/new.html",
            lists=lists.browse(session, limit=200),
            list_id=request.args.get("list", type=int),
            starts=STARTS,
        )


@blueprint.post("")
def create() -> ResponseReturnValue:
    """Make a draft and open it."""
    form = request.form
    channel = form.get("channel", "email")
    plan = {
        "name": form.get("name", "").strip() or gettext("New campaign"),
        "channel": channel if channel in CHANNELS else "email",
        "list_id": form.get("list_id", type=int),
        "blocks": _start(form.get("start", "")),
    }
    with services().database.begin() as session:
        campaign = planning.create(session, plan, now=utcnow(), config=services().config)
        campaign_id = campaign.id
    return redirect(url_for(".show", campaign_id=campaign_id) + "#goal", 303)


def _start(name: str) -> list[dict[str, Any]]:
    hello = gettext("Hello") + " {{ contact.first_name | default: '" + gettext("there") + "' }},\n\n"
    letter: list[dict[str, Any]] = [{"type": "heading", "text": ""}, {"type": "text", "text": hello}]
    button: list[dict[str, Any]] = [{"type": "button", "label": gettext("Have a look"), "url": ""}]
    picks: list[dict[str, Any]] = [{"type": "products", "title": gettext("Picked for you"), "n": 3}]
    starts: dict[str, Sequence[dict[str, Any]]] = {"letter": letter + button, "picks": letter + picks + button}
    return list(starts.get(name, ()))


Screen = Callable[[Session, Campaign], ResponseReturnValue]
SCREENS: Final[dict[str, Screen]] = {
    "draft": compose.screen,
    "scheduled": run.screen,
    "sending": run.screen,
    "paused": run.screen,
    "late": run.screen,
    "finished": report.screen,
    "cancelled": report.screen,
}


@blueprint.get("/<int:campaign_id>")
def show(campaign_id: int) -> ResponseReturnValue:
    """A campaign: a draft to write, one to watch, or the report of one."""
    with services().database.read() as session:
        campaign = planning.get(session, campaign_id)
        return SCREENS[campaign.status](session, campaign)


@blueprint.post("/<int:campaign_id>/copy")
def copy(campaign_id: int) -> ResponseReturnValue:
    """The same again, as a draft."""
    with services().database.begin() as session:
        name = gettext("Copy of %(name)s", name=planning.get(session, campaign_id).name)[: plans.NAME]
        made = planning.copy(session, campaign_id, name=name, now=utcnow(), config=services().config).id
    toast(gettext("Copied. This is the new draft."))
    return redirect(url_for(".show", campaign_id=made), 303)


@blueprint.post("/<int:campaign_id>/delete")
def delete(campaign_id: int) -> ResponseReturnValue:
    """Put a campaign away; the message that says so offers to bring it back."""
    with services().database.begin() as session:
        name = planning.get(session, campaign_id).name
        planning.delete(session, campaign_id, now=utcnow())
    toast(gettext("“%(name)s” is deleted", name=name), url_for(".restore", campaign_id=campaign_id))
    return redirect(url_for(".index"), 303)


@blueprint.post("/<int:campaign_id>/restore")
def restore(campaign_id: int) -> ResponseReturnValue:
    """Bring a deleted campaign back."""
    with services().database.begin() as session:
        planning.undo_delete(session, campaign_id, now=utcnow())
    return "", 204
