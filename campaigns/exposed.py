"""What people did who saw a variant of a placement: who they are, in which arm, what they clicked and bought.

All of it is one expression over the warehouse, boiled down there to sufficient statistics of each arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import ibis
import pyarrow as pa
from ibis import _
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.content.products import PLACEMENT
from campaigns.experiment import Arm
from campaigns.models import Offered, Send
from engine import money
from engine.database import microseconds
from engine.dialect import first, json_text, last
from engine.dialect import microseconds as micros
from engine.warehouse import Warehouse
from recommender import comparisons
from recommender.comparisons import ARMS, Running
from recommender.models import Comparison

SAMPLE: Final = 2_000  # impressions whose variant is looked up
CREDIT_DAYS: Final = 7  # an item bought so long after a click on its offer is credited to the recommendation
READ: Final = 50_000  # mails at a time
_CREDIT: Final = CREDIT_DAYS * 86_400_000_000  # microseconds


class Metric(NamedTuple):
    """A figure per person that arms are compared by."""

    unit: Literal["share", "number", "money"]
    words: str


METRICS: Final[Mapping[str, Metric]] = {
    "clickers": Metric("share", "People who clicked an offer"),
    "orders": Metric("number", "Orders a person"),
    "revenue": Metric("money", "Revenue a person"),
    "margin": Metric("money", "Margin a person"),
    "credited": Metric("money", "Margin a person of items bought after a click"),
}


@dataclass(frozen=True)
class Figures:
    """An arm. shown: recommendations seen; clicked: of these; orders, revenue, margin: of its people, whatever they
    bought; credited: what they bought within CREDIT_DAYS of clicking it. Amounts in units of the currency.
    outcomes: by METRICS, per person.
    """

    people: int
    shown: int
    clicked: int
    orders: int
    credited_orders: int
    credited_revenue: float
    unknown_cost: int
    crossed: int  # people who saw other arms later
    outcomes: Mapping[str, Arm]

    @property
    def click_rate(self) -> float | None:
        """Recommendations clicked of those seen."""
        return self.clicked / self.shown if self.shown else None

    def each(self, metric: str) -> float:
        """The figure per person."""
        return self.outcomes[metric].mean


_NOTHING: Final = Arm(0, 0.0, 0.0, 0)
NOBODY: Final = Figures(0, 0, 0, 0, 0, 0.0, 0, 0, dict.fromkeys(METRICS, _NOTHING))


def figures(
    session: Session, warehouse: Warehouse, row: Comparison, until: datetime, currency: str
) -> dict[str, Figures]:
    """Of each arm, counting what happened before `until` and orders in `currency`."""
    found = _each_arm(warehouse, Told(session, warehouse, row, until, currency))
    arms = [arm for arm in ARMS if arm != "holdout" or row.holdout]
    return {arm: found.get(arm[0], NOBODY) for arm in arms}


class Time(NamedTuple):
    """From `since` on, before `until`."""

    since: datetime
    until: datetime


class Seen:
    """Who saw a placement in that time, as far as the warehouse's last refresh tells."""

    def __init__(self, session: Session, warehouse: Warehouse, placement: str, time: Time) -> None:
        self._warehouse, self._placement, self._until = warehouse, placement, time.until
        self._mails = with_offers(session, time) if placement == PLACEMENT else None  # once: they may be a million
        told = _AtPlacement(warehouse, placement, time, "", self._mails)
        [found] = warehouse.execute(told.impressions.agg(at=_.at.min())).to_pylist()
        self.first: datetime | None = found["at"]  # None: nobody saw it

    def figures(self, since: datetime, currency: str) -> Figures:
        """Of all who saw it from `since` on, as if it had been one arm of a comparison that began then."""
        told = _AtPlacement(self._warehouse, self._placement, Time(since, self._until), currency, self._mails)
        return _each_arm(self._warehouse, told).get(_AtPlacement.ARM, NOBODY)


def _each_arm(warehouse: Warehouse, told: Told) -> dict[str, Figures]:
    """By the letter of the arm; who nobody is in is left out."""
    found = warehouse.execute(_totals(_each(told))).to_pylist()
    return {one["arm"]: _figures(one) for one in found}


def strays(session: Session, warehouse: Warehouse, row: Comparison, until: datetime) -> float:
    """The share of the newest SAMPLE impressions that show a variant which is neither that of their contact nor that of
    their visitor: their answer was made for somebody else.
    """
    told = Told(session, warehouse, row, until, "")
    newest = told.seen.order_by(_.at.desc(), "who", "rec").limit(SAMPLE).select("contact_id", "visitor", "rec")
    found = warehouse.execute(newest).to_pylist()
    drawn = comparisons.as_running(row)
    return sum(not _is_theirs(drawn, **one) for one in found) / max(1, len(found))


def _is_theirs(drawn: Running, contact_id: int | None, visitor: str | None, rec: str) -> bool:
    ways = [drawn.variant(contact_id, None), drawn.variant(None, visitor)]
    return any(one is not None and rec.endswith(f".{one.mark}") for one in ways)


def clicked(session: Session, warehouse: Warehouse, row: Comparison, until: datetime, currency: str) -> pa.Table:
    """Each recommendation that was clicked: its id, the variant shown, its first click, how many, and the orders,
    revenue and margin of what was bought of it (amounts in units of `currency`); the oldest first.
    """
    told = Told(session, warehouse, row, until, currency)
    clicks = told.clicks.group_by("rec").agg(first_click=_.at.min(), clicks=_.count())
    bought = told.credited.group_by("rec").agg(
        orders=_.order_id.nunique(), revenue=_.revenue.sum() / money.UNIT, margin=_.margin.sum() / money.UNIT
    )
    arms = {arm[0]: arm for arm in ARMS}
    found = clicks.filter(_.rec.right(1).isin(list(arms))).left_join(bought, "rec").order_by("first_click", "rec")
    return warehouse.execute(
        found.select(
            _.first_click, _.clicks,
            recommendation_id=_.rec,
            variant=_.rec.right(1).cases(*arms.items()),
            **{name: found[name].fill_null(0) for name in ("orders", "revenue", "margin")},
        ).select("recommendation_id", "variant", "first_click", "clicks", "orders", "revenue", "margin")
    )  # fmt: skip


class Told:
    """What is known of a comparison, as Ibis tables over the warehouse; `who` names a person."""

    def __init__(self, session: Session, warehouse: Warehouse, row: Comparison, until: datetime, currency: str) -> None:
        self._warehouse, self._currency = warehouse, currency
        self._since, self._until, self._named = row.started_at, until, f"%.{row.id}_"
        self._mails = _mails(session, self._named, self._since, until) if row.placement == PLACEMENT else None

    def _mine(self, events: Any) -> Any:
        """Whether an event names a recommendation of the comparison."""
        return events.rec.like(self._named)

    def _armed(self, seen: Any) -> Any:
        """Impressions with the letter of their arm."""
        return seen.mutate(arm=_.rec.right(1)).filter(_.arm.isin([arm[0] for arm in ARMS]))

    def _told(self, kind: str) -> Any:
        """Events of a type that count."""
        events = self._warehouse.table("events")
        told = events.filter(
            events.type == kind, events.occurred_at >= self._since, events.occurred_at < self._until
        ).mutate(rec=json_text(events.properties, "recommendation_id"))
        known = "c" + told.contact_id.cast("string")
        mine = told.filter(self._mine(told))
        return (
            mine.mutate(who=ibis.ifelse(mine.contact_id.notnull(), known, "v" + mine.visitor))
            .filter(_.who.notnull())
            .select("who", "contact_id", "visitor", "item_id", "rec", at="occurred_at")
        )

    @property
    def seen(self) -> Any:
        """who, contact_id, visitor, rec, at of what the site told."""
        return self._told("impression").drop("item_id")

    @property
    def impressions(self) -> Any:
        """who, contact_id, rec, at; a mail is one from its leaving on."""
        seen = self.seen.drop("visitor")
        return seen if self._mails is None else seen.union(ibis.memtable(self._mails))

    @property
    def people(self) -> Any:
        """who, contact_id, `since` and `arm` of the first exposure, whether others came too, recommendations shown."""
        seen = self._armed(self.impressions)
        # By recommendation first: to count different texts within each of a million groups is slow.
        each = seen.group_by("who", "rec").agg(contact_id=_.contact_id.max(), at=_.at.min(), arm=_.arm.max())
        return each.group_by("who").agg(
            contact_id=_.contact_id.max(),
            since=_.at.min(),
            arm=first(each.arm, each.at, each.rec),
            crossed=_.arm.min() != _.arm.max(),
            shown=_.count(),
        )

    @property
    def clicks(self) -> Any:
        """who, contact_id, item_id, rec, at."""
        return self._told("recommendation_click")

    def orders(self) -> Any:
        """Of contacts, in the time and the currency."""
        orders = self._warehouse.table("orders")
        return orders.filter(
            orders.contact_id.notnull(),
            orders.currency == self._currency,
            orders.ordered_at >= self._since,
            orders.ordered_at < self._until,
        )

    @property
    def credited(self) -> Any:
        """Each line of an order once: the last click of its contact on its item that is not older than CREDIT_DAYS."""
        clicks = self.clicks.filter(_.contact_id.notnull(), _.item_id.notnull())
        orders = self.orders().select("contact_id", "ordered_at", order_id="id")
        lines = self._warehouse.table("order_lines").filter(_.quantity > 0)
        bought = lines.join(orders, "order_id").select(
            "order_id", "item_id", "contact_id", "ordered_at", "quantity", "unit_price", "unit_cost", "discount",
            line="id",
        )  # fmt: skip
        met = bought.join(clicks, ["contact_id", "item_id"])
        age = micros(met.ordered_at) - micros(met.at)
        met = met.filter((age >= 0) & (age < _CREDIT))
        revenue = met.quantity * met.unit_price - met.discount
        margin = revenue - met.quantity * met.unit_cost.fill_null(0)
        return (
            met.mutate(revenue=revenue, margin=margin)
            .group_by("line", "order_id", "who")
            .agg(rec=last(met.rec, met.at, met.rec), revenue=_.revenue.max(), margin=_.margin.max())
        )


class _AtPlacement(Told):
    """What is known of a placement, as if all who saw it had been in one arm."""

    ARM: Final = "a"

    def __init__(self, warehouse: Warehouse, placement: str, time: Time, currency: str, mails: pa.Table | None) -> None:
        self._warehouse, self._currency, self._mails = warehouse, currency, mails
        self._since, self._until, self._named = *time, placement

    @property
    def impressions(self) -> Any:
        seen = self.seen.drop("visitor")
        if self._mails is None:
            return seen
        sends = self._warehouse.table("sends")
        sent = sends.filter(sends.accepted_at >= self._since, sends.accepted_at < self._until)
        mails = sent.semi_join(ibis.memtable(self._mails), "id").select(
            "contact_id", who="c" + _.contact_id.cast("string"), rec="send " + _.id.cast("string"), at="accepted_at"
        )  # without a comparison a mail has no id of a recommendation
        return seen.union(mails.select(*seen.columns))

    def _mine(self, events: Any) -> Any:
        here = json_text(events.properties, "placement") == self._named
        if self._mails is None:
            return here
        # Who opens or clicks a mail from before would be in no comparison that began with this time.
        before = self._warehouse.table("sends").filter(_.accepted_at < self._since)
        return here & json_text(events.properties, "send_id").try_cast("int64").fill_null(0).notin(before.id)

    def _armed(self, seen: Any) -> Any:
        return seen.mutate(arm=ibis.literal(self.ARM))


def with_offers(session: Session, time: Time) -> pa.Table:
    """`id` of the sends that left in that time with recommendations."""
    statement = select(Offered.send_id).join(Send, Send.id == Offered.send_id)
    statement = statement.where(Send.accepted_at >= time.since, Send.accepted_at < time.until)
    found = session.scalars(statement, execution_options={"yield_per": READ}).partitions()
    return pa.table({"id": pa.chunked_array([pa.array(ids, pa.int64()) for ids in found], pa.int64())})


def _mails(session: Session, named: str, since: datetime, until: datetime) -> pa.Table:
    """Mails with recommendations of such a name, as impressions."""
    statement = (
        select(Send.contact_id, Offered.recommendation_id, Send.accepted_at)
        .join(Send, Send.id == Offered.send_id)
        .where(Offered.recommendation_id.like(named))
        .where(Send.accepted_at >= since, Send.accepted_at < until)
    )
    rows = session.execute(statement).all()
    at = pa.array([one[2] and microseconds(one[2]) for one in rows], pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "who": pa.array([f"c{one[0]}" for one in rows], pa.string()),
            "contact_id": pa.array([one[0] for one in rows], pa.int64()),
            "rec": pa.array([one[1] for one in rows], pa.string()),
            "at": at,
        }
    )


def _each(told: Told) -> Any:
    """One row per person with what they did."""
    people = told.people
    clicks = told.clicks.group_by("who", "rec").agg().group_by("who").agg(clicked=_.count())
    orders = told.orders()
    after = people.filter(_.contact_id.notnull()).join(
        orders, [people.contact_id == orders.contact_id, orders.ordered_at >= people.since]
    )
    bought = after.group_by("who").agg(
        revenue=_.total.sum(),
        margin=ibis.coalesce(_.margin, _.total).sum(),
        orders=(_.total > 0).sum(),
        unknown_cost=_.margin.isnull().sum(),
    )
    credit = told.credited.group_by("who").agg(
        credited=_.margin.sum(), credited_revenue=_.revenue.sum(), credited_orders=_.order_id.nunique()
    )
    table = people
    for part in (clicks, bought, credit):
        columns = [name for name in part.columns if name != "who"]
        table = (
            table.left_join(part, "who").drop("who_right").mutate(**{name: _[name].fill_null(0) for name in columns})
        )
    return table


def _totals(people: Any) -> Any:
    """Sufficient statistics of each arm; amounts as floating point, for the square of one overflows 64 bits."""
    values = {
        "orders": people.orders.cast("float64"),
        **{name: people[name].cast("float64") / money.UNIT for name in ("revenue", "margin", "credited")},
    }
    return people.group_by("arm").agg(
        people=people.count(),
        shown=people.shown.sum(),
        clicked=people.clicked.sum(),
        clickers=(people.clicked > 0).sum(),
        buyers=(people.orders > 0).sum(),
        credited_buyers=(people.credited_orders > 0).sum(),
        credited_orders=people.credited_orders.sum(),
        credited_revenue=people.credited_revenue.cast("float64").sum() / money.UNIT,
        unknown_cost=people.unknown_cost.sum(),
        crossed=people.crossed.sum(),
        **{f"{name}_sum": value.sum() for name, value in values.items()},
        **{f"{name}_squares": (value * value).sum() for name, value in values.items()},
    )


def _figures(found: Mapping[str, Any]) -> Figures:
    n = int(found["people"])
    buyers = {"credited": int(found["credited_buyers"])}
    clickers = int(found["clickers"])
    outcomes = {"clickers": Arm(n, clickers, clickers, clickers)} | {
        name: Arm(n, found[f"{name}_sum"], found[f"{name}_squares"], buyers.get(name, int(found["buyers"])))
        for name in METRICS
        if name != "clickers"
    }
    whole = ("shown", "clicked", "credited_orders", "unknown_cost", "crossed")
    return Figures(
        people=n,
        orders=int(found["orders_sum"]),
        credited_revenue=float(found["credited_revenue"]),
        outcomes={name: outcomes[name] for name in METRICS},
        **{name: int(found[name]) for name in whole},
    )
