"""The day on which somebody usually buys an item, or something of a category, again.

By recommender.due, over the whole history of the warehouse: nothing has to be trained, and an order counts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import ibis
import pyarrow as pa

from engine import dialect
from engine.catalogue import Catalogue
from engine.criteria.scored import Input, Kind, Score
from engine.database import EPOCH
from engine.errors import Invalid
from engine.values import TYPES, Clock, Style, Words
from recommender.criteria.published import category_input, holdings, item_input, named, unasked
from recommender.due import LEAST, NUDGE, QUARTILES

MOST: Final = 1_000


def _make(given: Mapping[str, Any], catalogue: Catalogue) -> Score:
    if given["due.item"] is None and given["due.category"] is None:
        raise Invalid("Name an item or a category.", field="due")
    if catalogue.warehouse is None:
        return unasked(Words("", ""), Words("", ""))
    found = named(catalogue, given, "due")
    assert found is not None
    items, name = pa.table({"item_id": found[0]}), found[1]

    def rows(warehouse: Any, clock: Clock, _currency: str) -> Any:
        return _due(warehouse, clock, items, given["times"]).select("contact_id", value=ibis._.due)

    def reasons(tables: Any, run: Callable[[Any], Any], clock: Clock, ids: Sequence[int]) -> Mapping[int, Words]:
        known = _due(tables, clock, items, given["times"])
        told = run(known.filter(known.contact_id.isin(list(ids)))).to_pylist()
        return {row["contact_id"]: _told(row, clock, catalogue.currency) for row in told}

    return Score(rows, Words(f"day to buy {name.en} again", f"再次购买{name.zh}的日期"), reasons=reasons)


def _due(warehouse: Any, clock: Clock, items: pa.Table, times: int) -> Any:
    """contact_id; bought: days on which they bought it; last of them; low, days and high until they usually do again;
    due: that day.
    """
    bought = _bought(warehouse, clock, ibis.memtable(items))
    before = bought.day.lag().over(ibis.window(group_by="contact_id", order_by="day"))
    gaps = bought.mutate(gap=(bought.day - before).cast("float64"))
    usual = gaps.agg(
        **dict(zip(("low", "middle", "high"), map(gaps.gap.quantile, QUARTILES), strict=True)),
        everybody=gaps.gap.count(),
    )
    own = gaps.group_by("contact_id").agg(
        bought=gaps.count(), gaps=gaps.gap.count(), told=gaps.gap.ln().sum().fill_null(0.0), last=gaps.day.max()
    )
    known = own.filter(own.bought >= times).cross_join(usual.filter(usual.everybody >= LEAST))
    known = known.mutate(days=((known.told + known.middle.ln()) / (known.gaps + 1)).exp())
    spread = {"low": known.days * known.low / known.middle, "high": known.days * known.high / known.middle}
    known = known.mutate(**{name: _whole(days) for name, days in spread.items()}, days=_whole(known.days))
    last, due = (  # DuckDB makes a timestamp of a date and an interval; Ibis takes it for a date and drops a lone cast
        (ibis.literal(EPOCH.date()) + day.as_interval("D")).cast("timestamp").cast("date")
        for day in (known["last"], known["last"] + known.days)
    )
    return known.select("contact_id", "bought", "low", "days", "high", last=last, due=due)


def _bought(warehouse: Any, clock: Clock, items: Any) -> Any:
    """contact_id and day (of the shop, from 1970 on) of purchases that did not go back as a whole."""
    orders, lines = warehouse.table("orders"), warehouse.table("order_lines")
    lines = lines.filter(lines.quantity > 0).select("order_id", "item_id").semi_join(items, "item_id")
    day = dialect.local(orders.ordered_at, clock.zone).date().epoch_days()
    days = orders.filter(orders.contact_id.notnull()).select("contact_id", order_id=orders.id, day=day)
    kept = holdings(warehouse, items)
    rows = lines.inner_join(days, "order_id").semi_join(kept, ["contact_id", "item_id"])
    return rows.select("contact_id", "day").distinct()


def _whole(days: Any) -> Any:
    """As recommender.due.whole."""
    return ibis.greatest((days + 0.5 + NUDGE).floor().cast("int64"), 1)


def _told(row: Mapping[str, Any], clock: Clock, currency: str) -> Words:
    """On how many days it was bought, and when that is done again."""
    en, zh = (_day(row["last"], Style(language, clock.zone, currency)) for language in ("en", "zh"))
    days, low, high = (f"{row[name]:,}" for name in ("days", "low", "high"))
    times = "once" if row["bought"] == 1 else f"on {row['bought']:,} days"
    return Words(
        f"bought {times}, last on {en}, usual again after {days} {'day' if row['days'] == 1 else 'days'}"
        f" (between {low} and {high})",
        f"购买过{row['bought']:,}天，上次为{zh}，通常{days}天后再次购买（{low}至{high}天之间）",
    )


def _day(day: date, style: Style) -> str:
    return TYPES["date"].words(day, style)


KIND: Final = Kind(
    "due",
    Words("Due to buy again", "到期再次购买"),
    "The day on which the contact usually buys the item, or anything of the category, again: the last day they bought"
    " it and their usual gap, which is the geometric mean of the gaps between the days they bought it and of the median"
    f" of everybody's. Unknown while there are fewer than {LEAST} gaps of anybody, and for what went back as a whole."
    " `in_next` finds who is due within so many days from tomorrow, `in_last` who was due in the last so many, today"
    " included, `days_ago` who is overdue by more. `times` wants it bought on so many days.",
    {"due": {"category": "Food > Coffee"}, "operator": "in_next", "value": 7},
    (
        item_input("due.item", "item", "商品"),
        category_input("due.category", "category", "类别"),
        Input("times", "number", Words("bought on at least so many days", "至少购买过多少天"),
              default=1, least=1, most=MOST, whole=True),
    ),
    _make,
    type="date",
    begins={"operator": "in_next", "value": 7},  # a mail every week reaches everybody in time, and nobody twice
)  # fmt: skip
