"""What a campaign earned: funnel, costs, attributed revenue, and beside it what it caused, measured on the holdout.

Increment = n * (mean of those assigned to get it - mean of the holdout), over everybody assigned (intention to
treat), orders and returns of the window that starts when the campaign fired. Profit = increment in margin - messages -
fixed cost; ROI = profit / cost, with the interval of the profit divided by the cost (campaigns.experiment).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from babel.numbers import format_currency
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from campaigns import audience, experiment
from campaigns.experiment import Interval, Method
from campaigns.models import LIVE, Campaign, Conversion, Firing, Send
from campaigns.outcomes import NOBODY, Outcome, outcomes
from campaigns.planning import get
from engine import money
from engine.models import Order


@dataclass(frozen=True)
class Funnel:
    """People at each step. `matched` = `excluded` (by reason) + `held` + `assigned`; `assigned` = `waiting` + `sent` +
    `failed` + `unknown` + `withdrawn`; the rest is part of `sent`.
    """

    matched: int
    excluded: Mapping[str, int]
    held: int
    assigned: int
    waiting: int
    sent: int
    delivered: int  # known to be: many servers tell nothing, so that only who opened is counted
    opened: int
    clicked: int
    unsubscribed: int
    complained: int
    bounced: int
    failed: int
    unknown: int
    withdrawn: int  # cancelled, expired, or opted out between the draw and the message


@dataclass(frozen=True)
class Costs:
    """In units of the currency."""

    fixed: float
    messages: float

    @property
    def total(self) -> float:
        """All of it, to the ten-thousandth that amounts have."""
        return round(self.fixed + self.messages, 4)


@dataclass(frozen=True)
class Attributed:
    """Orders credited by last touch, returns taken off, and the people who made them: an upper bound of what the
    campaign caused, unless a later message took its credits.
    """

    revenue: float
    margin: float
    buyers: int
    orders: int
    profit: float
    roi: float | None


@dataclass(frozen=True)
class Increment:
    """What the campaign caused, each with its 95 % interval, in units of the currency. `roi` None: it cost nothing."""

    method: Method
    per_contact: Interval
    revenue: Interval
    profit: Interval
    roi: Interval | None


@dataclass(frozen=True)
class Verdict:
    """One word for machines, one sentence for people. `interim`: the window is open and it may turn round."""

    code: str
    sentence: str
    interim: bool


@dataclass(frozen=True)
class Report:
    """All figures of a campaign as of a moment; None where there is no honest figure."""

    campaign_id: int
    currency: str
    as_of: datetime
    window_days: int
    window_start: datetime | None
    window_end: datetime | None
    interim: bool
    funnel: Funnel
    costs: Costs
    attributed: Attributed
    treated: Outcome
    control: Outcome
    increment: Increment | None
    overstated: float | None  # attributed / incremental revenue, where that is above zero for sure
    detectable: float | None  # smallest true increment per contact that such a holdout shows in 4 of 5 trials
    mismatch: float | None  # chance of a split as uneven as this
    verdict: Verdict
    warnings: list[str] = field(default_factory=list)

    @property
    def definition(self) -> str:
        """How the figures are counted, in words."""
        return (
            f"Orders and returns within {self.window_days} days of the campaign, in {self.currency}, of everybody drawn"
            " to get it and of everybody held out, whether or not a message reached them. Buyers: those with an order"
            " in that time; returns take away from the revenue, and who only returned something is no buyer. Profit:"
            " the margin caused, less the costs. Attributed: orders within"
            f" {self.window_days} days of an accepted message, credited to the last one before the order."
        )


def report(session: Session, campaign_id: int, *, now: datetime) -> Report:
    """The report as of `now`. Raises NotFound."""
    campaign = get(session, campaign_id)
    start = session.scalar(select(func.min(Firing.fired_at)).where(Firing.campaign_id == campaign_id))
    end = start + timedelta(days=campaign.window_days) if start else None
    funnel = _funnel(session, campaign_id)
    messages = funnel.sent * campaign.message_cost
    costs = Costs(campaign.fixed_cost / money.UNIT, messages / money.UNIT)
    arms = _arms(session, campaign, start, min(end, now)) if start and end else {}
    treated, control = arms.get("treated", NOBODY), arms.get("control", NOBODY)
    chance = _mismatch(campaign, treated, control) if start else None
    increment = None if chance is None or chance < experiment.MISMATCH else _increment(treated, control, costs)
    attributed = _attributed(session, campaign, costs)
    interim = end is not None and now < end
    n, share = treated.revenue.n + control.revenue.n, campaign.holdout
    case_ = _Case(campaign, start, end, interim, treated, control, chance, increment)
    caused = increment.revenue if increment else Interval(0, 0)
    return Report(
        campaign_id=campaign_id,
        currency=campaign.currency,
        as_of=now,
        window_days=campaign.window_days,
        window_start=start,
        window_end=end,
        interim=interim,
        funnel=funnel,
        costs=costs,
        attributed=attributed,
        treated=treated,
        control=control,
        increment=increment,
        overstated=attributed.revenue / caused.value if caused.low > 0 else None,
        detectable=experiment.detectable(n, share, control.revenue.variance**0.5) if increment else None,
        mismatch=chance,
        verdict=_verdict(case_),
        warnings=_warnings(case_, funnel),
    )


def _funnel(session: Session, campaign_id: int) -> Funnel:
    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((condition, 1)))

    seen = Send.outcome.in_(("delivered", "unsubscribed", "complained")) | Send.opened_at.is_not(None)
    drawn = audience.assigned()
    steps = {
        "matched": number(Send.id.is_not(None)),
        "held": number(Send.state == "held"),
        "assigned": number(Send.next_at.is_not(None)),
        "waiting": number(Send.state.in_(LIVE)),
        "sent": number(Send.state == "accepted"),
        "delivered": number(seen),
        "opened": number(Send.opened_at.is_not(None)),
        "clicked": number(Send.clicked_at.is_not(None)),
        "unsubscribed": number(Send.outcome == "unsubscribed"),
        "complained": number(Send.outcome == "complained"),
        "bounced": number(Send.outcome == "bounced"),
        "failed": number(Send.state == "failed"),
        "unknown": number(Send.state == "unknown"),
        "withdrawn": number(drawn & Send.state.in_(("cancelled", "expired", "suppressed"))),
    }
    of_campaign = Send.campaign_id == campaign_id
    counts = session.execute(select(*(column.label(name) for name, column in steps.items())).where(of_campaign)).one()
    reasons = select(Send.reason, func.count()).where(of_campaign, Send.state == "suppressed", ~drawn)
    excluded = {str(reason): count for reason, count in session.execute(reasons.group_by(Send.reason))}
    ordered: dict[str, int] = {reason: excluded[reason] for reason in audience.EXCLUSIONS if reason in excluded}
    return Funnel(excluded=ordered, **counts._mapping)


def _arms(session: Session, campaign: Campaign, start: datetime, end: datetime) -> dict[str, Outcome]:
    people = (
        select(Send.contact_id, case((Send.state == "held", "control"), else_="treated").label("arm"))
        .where(Send.campaign_id == campaign.id, audience.assigned())
        .subquery()
    )
    return outcomes(session, people, start=start, end=end, currency=campaign.currency)


def _attributed(session: Session, campaign: Campaign, costs: Costs) -> Attributed:
    row = session.execute(
        select(
            func.coalesce(func.sum(Order.total * Conversion.credit), 0),
            func.coalesce(func.sum(func.coalesce(Order.margin, Order.total) * Conversion.credit), 0),
            func.count(case((Order.total > 0, Order.contact_id)).distinct()),
            func.count(case((Order.total > 0, 1))),
        )
        .join(Conversion, Conversion.order_id == Order.id)
        .where(Conversion.campaign_id == campaign.id, Order.currency == campaign.currency)
    ).one()
    revenue, margin = float(row[0]) / money.UNIT, float(row[1]) / money.UNIT
    profit = round(margin - costs.total, 4)
    return Attributed(revenue, margin, row[2], row[3], profit, profit / costs.total if costs.total else None)


def _mismatch(campaign: Campaign, treated: Outcome, control: Outcome) -> float | None:
    if campaign.holdout == 0 or treated.revenue.n + control.revenue.n == 0:
        return None
    return experiment.mismatch(treated.revenue.n, control.revenue.n, campaign.holdout)


def _increment(treated: Outcome, control: Outcome, costs: Costs) -> Increment | None:
    how = experiment.method(treated.margin, control.margin)
    if how is None:
        return None
    per_contact = experiment.difference(treated.revenue, control.revenue, how)  # the same people are its buyers
    margin = experiment.difference(treated.margin, control.margin, how)
    n = treated.revenue.n
    profit = margin.scaled(n, shift=-costs.total)
    return Increment(
        method=how,
        per_contact=per_contact,
        revenue=per_contact.scaled(n),
        profit=profit,
        roi=profit.scaled(1 / costs.total) if costs.total else None,
    )


@dataclass(frozen=True)
class _Case:
    """What the verdict is about."""

    campaign: Campaign
    start: datetime | None
    end: datetime | None
    interim: bool
    treated: Outcome
    control: Outcome
    mismatch: float | None
    increment: Increment | None

    @property
    def sure(self) -> int:
        """1: earned for sure, -1: lost for sure, 0: cannot tell."""
        if self.increment is None:
            return 0
        return 1 if self.increment.profit.low > 0 else -1 if self.increment.profit.high < 0 else 0

    def amounts(self) -> dict[str, Any]:
        """The figures that the sentences name."""
        profit = self.increment.profit if self.increment else Interval(0, 0)
        shown = {"profit": abs(profit.value), "low": profit.low, "high": profit.high}
        whole = max(abs(profit.low), abs(profit.high)) >= 100  # no penny of it is known
        return {name: money_words(value, self.campaign.currency, whole=whole) for name, value in shown.items()} | {
            "people": self.treated.revenue.n + self.control.revenue.n,
            "control": self.control.revenue.n,
            "buyers": self.control.revenue.buyers,
            "share": _share(self.campaign.holdout),
            "least": experiment.FEW_BUYERS,
        }


# The first line that fits is the verdict: once the window has closed, and, where that differs, while it is open. Costs
# count from the first day and orders come by and by, so that nothing is called lost before the end.
VERDICTS: Final[tuple[tuple[str, Callable[[_Case], bool], str, str], ...]] = (
    ("waiting", lambda c: c.start is None, "Nothing has been sent yet.", ""),
    (
        "no holdout",
        lambda c: c.campaign.holdout == 0,
        "Nobody was held out, so nobody can say what the campaign caused. Attributed revenue is at best an upper bound:"
        " it counts everybody who would have bought anyway.",
        "",
    ),
    (
        "broken",
        lambda c: c.mismatch is not None and c.mismatch < experiment.MISMATCH,
        "The draw is broken: {control:,} of {people:,} people are held out where {share} were planned, further off than"
        " chance goes once in a thousand campaigns. Find out why before believing any figure.",
        "",
    ),
    (
        "few buyers",
        lambda c: c.increment is None,
        "Too few buyers to tell: {buyers} among the {control:,} held out, {least} are needed. Next time hold out more"
        " people, or write to more. Clicks show interest, not sales.",
        "So far too few buyers to tell: {buyers} among the {control:,} held out, {least} are needed.",
    ),
    (
        "gain",
        lambda c: c.sure > 0,
        "The campaign earned about {profit} after its costs, beyond what would have been bought anyway (95% interval:"
        " {low} to {high}).",
        "So far the campaign has earned about {profit} after its costs, beyond what would have been bought anyway (95%"
        " interval: {low} to {high}).",
    ),
    (
        "loss",
        lambda c: c.sure < 0,
        "The campaign lost about {profit}: what it caused does not pay for it (95% interval of the profit: {low} to"
        " {high}).",
        "So far the campaign has not paid for itself: about {profit} are missing (95% interval of the profit: {low} to"
        " {high}).",
    ),
    (
        "unclear",
        lambda _: True,
        "Cannot tell gain from loss: the profit may be anything between {low} and {high} (95% interval).",
        "So far gain cannot be told from loss: the profit may be anything between {low} and {high} (95% interval).",
    ),
)

# 14 looks at Hillstrom's control group halved at random: 19 to 22 % on spend outside 95 % at one of them.
PEEKING: Final = (
    "The 95% hold for one look, after the window has closed: who looks every day and stops at the first clear figure"
    " finds a gain or a loss in about one of five campaigns without any effect."
)


def _verdict(given: _Case) -> Verdict:
    code, _, closed, so_far = next(verdict for verdict in VERDICTS if verdict[1](given))
    if not given.interim or given.end is None:
        return Verdict(code, closed.format_map(given.amounts()), interim=False)
    until = f"Orders count until {given.end.day} {given.end:%b %Y}"
    decide = ": decide after that day." if given.increment else "."
    return Verdict(code, f"{(so_far or closed).format_map(given.amounts())} {until}{decide}", interim=True)


def _warnings(given: _Case, funnel: Funnel) -> list[str]:
    """What to keep in mind when reading the figures."""
    unknown_cost = given.treated.unknown_cost + given.control.unknown_cost
    checks = (
        (given.campaign.holdout == 0, "No holdout: next time hold out 10% to learn what the campaign causes."),
        (given.interim, "The window is still open: every figure may change."),
        (given.interim and given.increment is not None, PEEKING),
        (unknown_cost > 0, f"Orders and returns without a known cost: {unknown_cost:,}. All of it counts as margin."),
        (funnel.unknown > 0, f"Messages of which nobody knows whether they arrived: {funnel.unknown:,}."),
        (funnel.waiting > 0, f"Messages not sent yet: {funnel.waiting:,}."),
    )
    return [words for applies, words in checks if applies]


# How the sentences write figures, everywhere they are read: a browser, a terminal, the API. web.format does the same.
MINUS: Final = "−"


def money_words(amount: float, currency: str, *, whole: bool) -> str:
    """£1,205, −£12.50, £0."""
    value = Decimal(str(round(amount, 0 if whole else 2)))
    pattern = "¤#,##0" if whole or not value else None
    words = format_currency(abs(value), currency, pattern, locale="en", currency_digits=pattern is None)
    return f"{MINUS if value < 0 else ''}{words}"


def _share(value: float) -> str:
    """10%."""
    return f"{value * 100:g}%"
