"""How fast a list is counted while it is written: `make bench NAME=lists ARGS="--quick"`.

Writes a seeded shop into SQLite, copies it into the warehouse, and asks the reference criteria below: over and over,
in turn, as `POST /api/v1/lists/preview` (count, count of every clause, 20 people, sentence), as the bare count, and
as SQL written by hand for the same count, run by DuckDB on the same files. `ratio` is preview to SQL. The last line
gives p50 and p95 of the slowest preview, and the seconds a refresh takes after 10,000 new events.

    --quick              20,000 contacts, 600,000 events (the demo shop's size)
    --contacts, --events any other size; 1,000,000 and 20,000,000 by default
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from engine import config as settings
from engine import criteria, schema
from engine.catalogue import open_catalogue
from engine.database import Database
from tests.benchmarks.lists_shop import NOW, add_events, fill
from web.api import access
from web.app import create_app
from web.services import Services, open_services

DAY = timedelta(days=1)


def did(event: str, operator: str, value: float, days: int | None = None, **more: Any) -> dict[str, Any]:
    """A leaf about an event, by default its count."""
    within = {"within": {"last_days": days, "before": NOW.date().isoformat()}} if days else {}
    return {"event": event, "measure": "count", "operator": operator, "value": value, **within, **more}


def since(days: int, column: str = "occurred_at") -> str:
    """The same window in SQL."""
    return f"{column} >= TIMESTAMPTZ '{NOW - days * DAY}' AND {column} < TIMESTAMPTZ '{NOW}'"


def is_(field: str, operator: str, value: Any) -> dict[str, Any]:
    """A leaf about a field."""
    return {"field": field, "operator": operator, "value": value}


UK = is_("country", "is", "United Kingdom")
MAIL = is_("email_consent", "is", True)
ADULT = is_("age", "between", [25, 45])
WINE = {"where": [is_("category", "within", "Food > Wine")]}
SPENT = {"measure": "sum", "property": "total"}
AGE = f"""CASE WHEN birth_date IS NULL THEN age ELSE {NOW.year} - year(birth_date)
    - (month(birth_date) * 100 + day(birth_date) > {NOW.month * 100 + NOW.day})::INT END BETWEEN 25 AND 45"""
IS_UK = "country = 'United Kingdom'"


def having(table: str, where: str, having: str) -> str:
    """Contacts with so many rows, as a subquery of ids."""
    return f"id IN (SELECT contact_id FROM {table} WHERE {where} GROUP BY contact_id HAVING {having})"


WINE_ORDERS = """id IN (SELECT o.contact_id FROM orders o JOIN order_lines l ON l.order_id = o.id
    JOIN items i ON i.id = l.item_id WHERE o.total > 0 AND (i.category = 'Food > Wine' OR
    i.category LIKE 'Food > Wine > %') GROUP BY 1 HAVING count(DISTINCT o.id) >= 2)"""
VIEWED = having("events", f"type = 'item_view' AND {since(30)}", "count(*) >= 3")
ORDERED = having("orders", f"total > 0 AND {since(90, 'ordered_at')}", "count(*) >= 3")
SPENDER = having("orders", f"total > 0 AND currency = 'GBP' AND {since(365, 'ordered_at')}", "sum(total) >= 2000000")
SEARCHED = having("events", "type = 'search' AND json_extract_string(properties, '/q') = 'wine'", "count(*) >= 1")
CARTED = having("events", f"type = 'cart_add' AND {since(90)}", "count(*) >= 1")
TRAITS = "id IN (SELECT contact_id FROM traits WHERE order_count >= 5 AND spend >= 3000000)"

REFERENCE: dict[str, tuple[Any, str]] = {
    "one attribute": (UK, IS_UK),
    "three attributes": ({"all": [UK, ADULT, MAIL]}, f"{IS_UK} AND {AGE} AND email_consent"),
    "own attribute": (is_("attributes.size", "at_least", 40),
                      "try_cast(json_extract_string(attributes, '/size') AS DOUBLE) >= 40"),
    "traits": ({"all": [is_("order_count", "at_least", 5), is_("spend", "at_least", 300)]}, TRAITS),
    "count in a window": (did("item_view", "at_least", 3, 30), VIEWED),
    "country and orders": ({"all": [UK, did("order", "at_least", 3, 90)]}, f"{IS_UK} AND {ORDERED}"),
    "sum in a window": (did("order", "at_least", 200, 365, **SPENT), SPENDER),
    "category of items": (did("order", "at_least", 2, **WINE), WINE_ORDERS),
    "absence": ({"all": [MAIL, {"not": did("cart_add", "at_least", 1, 90)}]}, f"email_consent AND NOT {CARTED}"),
    "property of events": (did("search", "at_least", 1, where=[is_("properties.q", "is", "wine")]), SEARCHED),
    "at least two of four": (
        {"at_least": 2, "of": [UK, did("item_view", "at_least", 3, 30), did("order", "at_least", 3, 90), ADULT]},
        f"coalesce({IS_UK}, false)::INT + ({VIEWED})::INT + ({ORDERED})::INT + coalesce({AGE}, false)::INT >= 2",
    ),
    "four levels": (
        {"all": [MAIL, {"any": [
            {"all": [UK, did("order", "at_least", 3, 90), {"not": did("cart_add", "at_least", 1, 90)}]},
            {"all": [ADULT, {"any": [
                did("order", "at_least", 200, 365, **SPENT), did("order", "at_least", 2, **WINE)]}]},
            {"none": [UK, did("item_view", "at_least", 3, 30)]},
        ]}]},
        f"""email_consent AND ((coalesce({IS_UK}, false) AND {ORDERED} AND NOT {CARTED})
            OR (coalesce({AGE}, false) AND ({SPENDER} OR {WINE_ORDERS}))
            OR NOT (coalesce({IS_UK}, false) OR {VIEWED}))""",
    ),
}  # fmt: skip


@dataclass
class Timed:
    """Milliseconds of one criteria."""

    name: str
    people: int
    preview: list[float]
    count: list[float]
    sql: list[float]

    @property
    def ratio(self) -> float:
        """Preview to SQL, of the medians."""
        return statistics.median(self.preview) / statistics.median(self.sql)


def main() -> None:
    """Make the data, measure, and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    contacts, events = (20_000, 600_000) if given.quick else (given.contacts, given.events)
    with tempfile.TemporaryDirectory() as folder:
        config = settings.build({"workspace": {"path": folder}, "log": {"level": "warning"}})
        database = Database(config.database_url)
        schema.upgrade(database)
        fill(database, contacts, events)
        database.close()
        services = open_services(config)
        services.warehouse.rebuild()
        print(f"{os.cpu_count()} cores, {contacts:,} contacts, {events:,} events")
        timed = measure(services, given.repeats)
        refresh = refresh_seconds(services, events)
        services.close()
    report(timed, refresh)


def measure(services: Services, repeats: int) -> list[Timed]:
    """Ask everything in turn, so that a busy moment of the machine falls on all alike."""
    with services.database.begin() as session:
        key = access.add_key(session, "bench", ["lists:read"], now=NOW)
    client, headers = create_app(services).test_client(), {"Authorization": f"Bearer {key}"}
    timed = []
    for name, (data, where) in REFERENCE.items():
        query = f"SELECT count(*) AS n FROM contacts WHERE {where}"

        def preview(data: Any = data) -> int:
            answer = client.post("/api/v1/lists/preview", json={"criteria": data}, headers=headers)
            return int(answer.json["count"])

        def count(data: Any = data) -> int:
            with services.database.read() as session:
                asked = criteria.parse(data, open_catalogue(session, services.warehouse))
            return int(
                services.warehouse.execute(criteria.select(asked, services.warehouse, NOW).count())[0][0].as_py()
            )

        def by_hand(query: str = query) -> int:
            return int(services.warehouse._reader.query(query)["n"][0].as_py())

        ways: list[Callable[[], int]] = [preview, count, by_hand]
        people = {way() for way in ways}  # also warms the caches
        assert len(people) == 1, (name, people)
        times: list[list[float]] = [[], [], []]
        for _ in range(repeats):
            for way, into in zip(ways, times, strict=True):
                start = time.perf_counter()
                way()
                into.append((time.perf_counter() - start) * 1000)
        timed.append(Timed(name, people.pop(), *times))
    return timed


def refresh_seconds(services: Services, events: int) -> float:
    """Median of three refreshes after 10,000 new events each."""
    seconds = []
    for attempt in range(3):
        with services.database.begin() as session:
            add_events(session, events + attempt * 10_000, 10_000, contacts=20_000, seed=attempt)
        seconds.append(services.warehouse.refresh().seconds)
    return statistics.median(seconds)


def report(timed: list[Timed], refresh: float) -> None:
    """A table for people and a line for machines."""
    print(f"{'criteria':<22}{'people':>9}{'preview p50':>13}{'p95':>8}{'count':>8}{'SQL':>8}{'ratio':>7}  ms")
    for row in timed:
        p95 = np.percentile(row.preview, 95)
        print(
            f"{row.name:<22}{row.people:>9,}{statistics.median(row.preview):>13.1f}{p95:>8.1f}"
            f"{statistics.median(row.count):>8.1f}{statistics.median(row.sql):>8.1f}{row.ratio:>7.1f}"
        )
    slowest = max(timed, key=lambda row: statistics.median(row.preview))
    ratios = [row.ratio for row in timed]
    print(
        f"lists: p50_ms={statistics.median(slowest.preview):.1f} p95_ms={np.percentile(slowest.preview, 95):.1f}"
        f" ratio_median={statistics.median(ratios):.2f} ratio_worst={max(ratios):.2f} refresh_s={refresh:.3f}"
    )


if __name__ == "__main__":
    main()
