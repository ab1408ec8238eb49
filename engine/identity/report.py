"""How many are known where: buyers by channel, visitors by whether we know who they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ibis import _
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine.identity.merging import RECORD, STANDS
from engine.models import Merge

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

DAYS = 30  # of visitors


@dataclass(frozen=True)
class Recognition:
    """People, each counted once however many of their names were merged.

    Buyers by the channels of their orders with a total above 0: on the web only, in a store only, both; `elsewhere` on
    others (the web or a store beside them, too) or none; `no_orders`: contacts who never bought. Visitors are browsers'
    names with an event in the last 30 days: `recognised` ones stand with a contact. `merged`: merges that stand, by a
    record or a person.
    """

    contacts: int
    web_only: int
    store_only: int
    both: int
    elsewhere: int
    no_orders: int
    recognised: int
    anonymous: int
    merged_by_records: int
    merged_by_hand: int
    as_of: datetime | None


def recognition(session: Session, warehouse: Warehouse, now: datetime) -> Recognition:
    """The report, as the warehouse stands."""
    people = warehouse.execute(warehouse.table("contacts").count())[0][0].as_py()
    traits = warehouse.table("traits").filter(_.order_count > 0)
    by_channel = warehouse.execute(traits.group_by(_.channels).aggregate(people=_.count())).to_pylist()
    bought = {row["channels"]: int(row["people"]) for row in by_channel}
    buyers = sum(bought.values())
    events = warehouse.table("events")
    lately = events.filter(events.visitor.notnull(), events.occurred_at > now - timedelta(days=DAYS))
    visitors = lately.group_by("visitor").aggregate(known=_.contact_id.notnull().any())
    row = warehouse.execute(visitors.aggregate(known=_.known.sum(), all=_.count())).to_pylist()[0]
    merged = select(Merge.how, func.count().label("number")).where(STANDS).group_by(Merge.how)
    merges = {row.how: row.number for row in session.execute(merged)}
    by_records = merges.pop(RECORD, 0)
    return Recognition(
        contacts=people,
        web_only=bought.pop("web", 0),
        store_only=bought.pop("store", 0),
        both=bought.pop("both", 0),
        elsewhere=sum(bought.values()),
        no_orders=max(people - buyers, 0),
        recognised=row["known"] or 0,
        anonymous=row["all"] - (row["known"] or 0),
        merged_by_records=by_records,
        merged_by_hand=sum(merges.values()),
        as_of=warehouse.as_of,
    )
