"""What came of each placement lately: who saw it, who clicked, and what of it was bought after the click.

It tells what happened after a click, not because of it: some of it would have been bought anyway. What recommendations
add only a comparison with a holdout tells (campaigns.readout). A person, an exposure and the credit of a line of an
order are those of a comparison (campaigns.exposed); each placement is looked at alone, so that an item that was clicked
in two of them counts at both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import ibis
from ibis import _
from sqlalchemy.orm import Session

from campaigns.content.products import PLACEMENT
from campaigns.exposed import CREDIT_DAYS, Time, Told, with_offers
from engine.database import microseconds
from engine.dialect import json_text
from engine.dialect import microseconds as micros
from engine.warehouse import Warehouse
from recommender.answers import PINNED
from recommender.sources import NAMES

WEEKS: Final = 4
DAYS: Final = 7 * WEEKS
_WEEK: Final = 7 * 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Result:
    """clickers: of the people who saw it; of a source, all who clicked its items. orders, revenue, margin: of items
    that were bought within CREDIT_DAYS of a click on them; amounts as stored (engine.money).
    """

    people: int = 0
    clickers: int = 0
    orders: int = 0
    revenue: int = 0
    margin: int = 0

    @property
    def click_share(self) -> float | None:
        """Of the people who saw it; None where nobody did."""
        return self.clickers / self.people if self.people else None


class Closely(NamedTuple):
    """One placement: in all, by week, the oldest first, and by the source of what was clicked, most margin first
    ("": none that is known)."""

    total: Result
    weeks: Sequence[Result]
    sources: Mapping[str, Result]


def everywhere(
    session: Session, warehouse: Warehouse, keys: Collection[str], *, currency: str, now: datetime
) -> dict[str, Result]:
    """The last DAYS of each of these placements, as of the warehouse's last refresh: two statements for all of them."""
    found = _by(_Placed(session, warehouse, keys, currency, now), "placement")
    return {key: found.get(key, Result()) for key in keys}


def closely(session: Session, warehouse: Warehouse, key: str, *, currency: str, now: datetime) -> Closely:
    """The last DAYS of one placement: six statements."""
    told = _Placed(session, warehouse, [key], currency, now)
    weeks = _by(told, "week")
    clicked = told.rows(told.clicked.group_by("source", "who").agg().group_by("source").agg(clickers=_.count()))
    sources = _results("source", clicked, told.rows(told.bought("source")))
    return Closely(
        _by(told, "placement").get(key, Result()),
        [weeks.get(week, Result()) for week in range(WEEKS)],
        dict(sorted(sources.items(), key=lambda one: (-one[1].margin, -one[1].clickers, one[0]))),
    )


def _by(told: _Placed, name: str) -> dict[Any, Result]:
    return _results(name, told.rows(told.reached(name)), told.rows(told.bought(name)))


def _results(name: str, *parts: list[dict[str, Any]]) -> dict[Any, Result]:
    """The rows of all parts together, by the value of their column `name`."""
    merged: dict[Any, dict[str, Any]] = {}
    for row in (row for part in parts for row in part):
        merged.setdefault(row[name], {}).update(row)
    for one in merged.values():
        del one[name]
    return {value: Result(**one) for value, one in merged.items()}


class _Placed(Told):
    """What is known of placements, as Ibis tables over the warehouse. A line of an order is credited once in each:
    `who` of a click is its placement and `rec` its source, so that the last click before the order names it.
    """

    def __init__(
        self, session: Session, warehouse: Warehouse, keys: Collection[str], currency: str, now: datetime
    ) -> None:
        self._warehouse, self._currency, self._keys = warehouse, currency, sorted(keys)
        self._since, self._until = now - timedelta(days=DAYS), now
        self._sent = with_offers(session, Time(self._since, now)) if PLACEMENT in keys else None

    def rows(self, table: Any) -> list[dict[str, Any]]:
        """What the warehouse answers."""
        found: list[dict[str, Any]] = self._warehouse.execute(table).to_pylist()
        return found

    def _events(self, kind: str, since: datetime) -> Any:
        """placement, source, who, contact_id, item_id, at. Everybody who has the public key may name placements and
        sources, so only known ones become groups.
        """
        events = self._warehouse.table("events")
        told = events.filter(events.type == kind, events.occurred_at >= since, events.occurred_at < self._until)
        known, source = "c" + told.contact_id.cast("string"), json_text(told.properties, "source")
        return (
            told.mutate(
                placement=json_text(told.properties, "placement"),
                source=ibis.ifelse(source.isin([*NAMES, PINNED]), source, ""),
                who=ibis.ifelse(told.contact_id.notnull(), known, "v" + told.visitor),
            )
            .filter(_.placement.isin(self._keys), _.who.notnull())
            .select("placement", "source", "who", "contact_id", "item_id", at="occurred_at")
        )

    @property
    def seen(self) -> Any:
        """placement, who, at: impressions, and mails from their leaving on, opened or not."""
        told = self._events("impression", self._since).select("placement", "who", "at")
        if self._sent is None:
            return told
        sent = self._warehouse.table("sends").semi_join(ibis.memtable(self._sent), "id")
        return told.union(
            sent.select(placement=ibis.literal(PLACEMENT), who="c" + _.contact_id.cast("string"), at="accepted_at")
        )

    @property
    def clicked(self) -> Any:
        """Clicks of these days."""
        return self._events("recommendation_click", self._since)

    @property
    def clicks(self) -> Any:
        """Those that an order of these days may be credited to, some from before."""
        told = self._events("recommendation_click", self._since - timedelta(days=CREDIT_DAYS))
        return told.select("contact_id", "item_id", "at", who="placement", rec="source")

    def _week(self, at: Any) -> Any:
        return ((micros(at) - microseconds(self._since)) // _WEEK).cast("int64")

    def reached(self, name: str) -> Any:
        """People and clickers by "placement", or by "week": who saw it and clicked in the same one."""
        by = [name, "who"]
        people, clickers = (one.mutate(week=self._week(one.at)).group_by(by).agg() for one in (self.seen, self.clicked))
        both = people.left_join(clickers.mutate(clicked=1), by)
        return both.group_by(name).agg(people=_.count(), clickers=_.clicked.fill_null(0).sum())

    def bought(self, name: str) -> Any:
        """orders, revenue, margin by "placement", "source", or "week" of the order."""
        orders = self.orders().select(order_id="id", at="ordered_at")
        lines = self.credited.join(orders, "order_id")
        told = lines.mutate(placement=lines.who, source=lines.rec, week=self._week(lines.at))
        return told.group_by(name).agg(
            orders=_.order_id.nunique(),
            revenue=_.revenue.sum().cast("int64"),
            margin=_.margin.sum().cast("int64"),
        )
