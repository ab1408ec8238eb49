"""What a campaign earned: what it caused beside what attribution says, from the costs to the last link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flask import Response, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy.orm import Session

from campaigns import planning, roi, sends
from campaigns.experiment import Interval
from campaigns.models import Campaign
from campaigns.outcomes import Outcome
from engine.errors import Invalid
from engine.models import ContactList
from engine.money import UNIT, to_decimal
from web.format import money
from web.pages.campaigns.door import blueprint
from web.pages.campaigns.draft import REASONS
from web.pages.campaigns.plot import Mark, plot
from web.security import is_https
from web.services import services, utcnow
from web.shell import toast

KINDS: Final = {"gain": "good", "loss": "bad", "broken": "bad", "waiting": ""}  # the rest: look closer
COSTS: Final = ("fixed_cost", "message_cost")
HEADLINES: Final = {
    "waiting": lazy_gettext("Nothing was sent"),
    "gain": lazy_gettext("It earned money"),
    "loss": lazy_gettext("It lost money"),
    "unclear": lazy_gettext("Gain or loss: cannot tell"),
    "few buyers": lazy_gettext("Too few buyers to tell"),
    "no holdout": lazy_gettext("What it caused is unknown"),
    "broken": lazy_gettext("The draw is broken"),
}

SO_FAR: Final = {  # while the window is open nothing is over
    "gain": lazy_gettext("So far it has earned money"),
    "loss": lazy_gettext("So far it has not paid for itself"),
    "unclear": lazy_gettext("Gain or loss: cannot tell so far"),
    "few buyers": lazy_gettext("Too few buyers to tell so far"),
}


def screen(session: Session, campaign: Campaign, fault: Invalid | None = None) -> str:
    """The report as of now."""
    return render_template("campaigns/report.html", fault=fault, **_context(session, campaign))


@blueprint.post("/<int:campaign_id>/costs")
def save_costs(campaign_id: int) -> ResponseReturnValue:
    """What it cost in the end."""
    costs = {name: request.form.get(name, "").strip() or "0" for name in COSTS}
    version = request.form.get("version", 0, type=int)
    try:
        with services().database.begin() as session:
            planning.record_costs(session, campaign_id, costs, version=version, now=utcnow())
    except Invalid as error:
        with services().database.read() as session:
            return screen(session, planning.get(session, campaign_id), error), 422
    toast(gettext("Costs saved; profit and ROI follow them"))
    return redirect(url_for(".show", campaign_id=campaign_id), 303)


@blueprint.get("/<int:campaign_id>/sends.csv")
def export(campaign_id: int) -> Response:
    """Everybody of the campaign with what became of the message, as a streamed file."""
    with services().database.read() as session:
        planning.get(session, campaign_id)

    def pieces() -> Iterator[str]:
        with services().database.read() as session:
            yield from sends.export_csv(session, campaign_id)

    name = f"campaign-{campaign_id}-{utcnow():%Y-%m-%d}.csv"  # more opens and clicks may come
    headers = {"Content-Disposition": f"attachment; filename={name}", "X-Accel-Buffering": "no"}
    return Response(stream_with_context(pieces()), mimetype="text/csv", headers=headers)


def _context(session: Session, campaign: Campaign) -> dict[str, Any]:
    services().warehouse.refresh()
    found = roi.report(session, campaign.id, now=utcnow())
    start = found.window_start
    return {
        "campaign": campaign,
        "variant": planning.variant_of(session, campaign.id),
        "list": session.get(ContactList, campaign.list_id) if campaign.list_id else None,
        "report": found,
        "headline": _headline(found.verdict),
        "kind": "warn" if found.verdict.code in SO_FAR and found.interim else KINDS.get(found.verdict.code, "warn"),
        "amount": lambda value: _amount(value, found.currency),
        "plot": _plot(found),
        "funnel": _funnel(found, campaign.channel),
        "arms": _arms(found),
        "left_out": [(REASONS.get(reason, reason), count) for reason, count in found.funnel.excluded.items()],
        "others": _others(found),
        "unheard": _unheard(campaign.channel) if found.funnel.sent else "",
        "links": sends.clicks(services().warehouse, campaign.id, start) if start else [],
        "seen": found.increment.per_contact if found.increment else None,
        "typed": {name: f"{to_decimal(getattr(campaign, name)).normalize():f}" for name in COSTS},
    }


def _headline(verdict: roi.Verdict) -> Any:
    return (SO_FAR if verdict.interim else HEADLINES).get(verdict.code) or HEADLINES[verdict.code]


def _amount(value: float, currency: str) -> str:
    """Units of the currency; small amounts to the penny."""
    return money(round(value * UNIT), currency, whole=abs(value) >= 100)


def _plot(found: roi.Report) -> Any:
    """Attributed and caused revenue on one scale; nothing where there is only one of them."""
    if found.increment is None:
        return ""
    marks = (
        Mark(gettext("Attributed"), Interval(found.attributed.revenue, 0), "attributed"),
        Mark(gettext("Caused"), found.increment.revenue, "caused"),
    )

    def words(value: float) -> str:
        return money(round(value * UNIT), found.currency, whole=True)

    return plot(marks, words)


def _funnel(found: roi.Report, channel: str) -> list[tuple[str, int, float, str]]:
    """(words, people, share of the step that bears it, note). Who opened, clicked or ordered is part of those sent to,
    but not of one another: pictures may be off, and many order without a click.
    """
    f = found.funnel
    could = f.held + f.assigned
    steps = (
        (gettext("On the list"), f.matched, f.matched, ""),
        (gettext("Could be written to"), could, f.matched, gettext("of the list")),
        (gettext("To get it"), f.assigned, could, gettext("of these; the rest is held out")),
        (gettext("Sent"), f.sent, f.assigned, gettext("of those; accepted for delivery")),
        (gettext("Opened"), f.opened, f.sent, gettext("of sent; Apple Mail opens by itself")),
        (gettext("Clicked"), f.clicked, f.sent, gettext("of sent")),
        (gettext("Ordered"), found.attributed.buyers, f.sent, gettext("of sent, clicked or not")),
    )
    shown = [step for step in steps if channel == "email" or step[0] != gettext("Opened")]  # a text shows no picture
    return [(words, count, count / base if base else 0.0, note) for words, count, base, note in shown]


def _arms(found: roi.Report) -> list[dict[str, Any]]:
    """Those who were to get it beside those held out."""
    return [
        {"name": gettext("To get it"), **_arm(found.treated)},
        {"name": gettext("Held out"), **_arm(found.control)},
    ]


def _arm(outcome: Outcome) -> dict[str, Any]:
    revenue = outcome.revenue
    return {
        "n": revenue.n,
        "buyers": revenue.buyers,
        "rate": revenue.buyers / revenue.n if revenue.n else None,
        "orders": outcome.orders,
        "revenue": revenue.total,
        "mean": revenue.mean,
    }


def _unheard(channel: str) -> Any:
    """What the transport of today does not tell; nothing where it tells all."""
    config = services().config
    if channel == "email" and config.mail.transport == "smtp":
        return gettext(
            "Bounced: only what the mail server refused at once. Later returns and complaints are not known."
        )
    if channel == "email" and config.mail.transport == "sendgrid" and not config.sendgrid.webhook_public_key:
        return gettext("Bounces and complaints are not known: SendGrid's Event Webhook is not set up.")
    if channel == "sms" and config.sms.transport == "http" and not is_https():
        return gettext("Whether texts arrived is not known: the carrier needs a public address of ours with https.")
    return ""


def _others(found: roi.Report) -> list[tuple[str, int, float]]:
    """What else became of messages, without what never happened: of those sent, or of those that were to be."""
    f = found.funnel
    lines = (
        (gettext("Unsubscribed"), f.unsubscribed, f.sent),
        (gettext("Reported as spam"), f.complained, f.sent),
        (gettext("Bounced"), f.bounced, f.sent),
        (gettext("Failed"), f.failed, f.assigned),
        (gettext("Unknown"), f.unknown, f.assigned),
        (gettext("Not sent yet"), f.waiting, f.assigned),
        (gettext("Withdrawn before sending"), f.withdrawn, f.assigned),
    )
    return [(words, count, count / base if base else 0.0) for words, count, base in lines if count]
