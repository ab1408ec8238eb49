"""Twelve reference criteria, each with the SQL that somebody would write by hand for it.

Each is a function of a number: 0 is the criteria as they stand, 1, 2 ... are what one gets while typing, one value
changed each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from tests.benchmarks.lists_shop import NOW

DAY: Final = timedelta(days=1)
TYPED: Final = (
    "United Kingdom",
    "U",
    "Un",
    "Uni",
    "Unit",
    "United",
    "United K",
    "United Ki",
    "United Kin",
    "United King",
)


def is_(field: str, operator: str, value: Any) -> dict[str, Any]:
    """A leaf about a field."""
    return {"field": field, "operator": operator, "value": value}


def did(event: str, value: float, days: int | None = None, **more: Any) -> dict[str, Any]:
    """A leaf about an event: at least so many, or so much."""
    within = {"within": {"last_days": days, "before": NOW.date().isoformat()}} if days else {}
    return {"event": event, "measure": "count", "operator": "at_least", "value": value, **within, **more}


def all_(*nodes: Any) -> dict[str, Any]:
    """All of them."""
    return {"all": list(nodes)}


def age(more: int) -> dict[str, Any]:
    """Adults up to an age."""
    return is_("age", "between", [25, 45 + more])


def since(days: int, column: str = "occurred_at") -> str:
    """The window of `did` in SQL."""
    return f"{column} >= TIMESTAMPTZ '{NOW - days * DAY}' AND {column} < TIMESTAMPTZ '{NOW}'"


def having(table: str, where: str, having: str) -> str:
    """Contacts with such rows, as a subquery of ids."""
    where = f"contact_id IS NOT NULL AND {where}"  # NOT IN a set with NULL is true of nobody
    return f"id IN (SELECT contact_id FROM {table} WHERE {where} GROUP BY contact_id HAVING {having})"


def aged(more: int) -> str:
    """`age` in SQL."""
    return f"""coalesce(CASE WHEN birth_date IS NULL THEN age ELSE {NOW.year} - year(birth_date)
        - (month(birth_date) * 100 + day(birth_date) > {NOW.month * 100 + NOW.day})::INT END
        BETWEEN 25 AND {45 + more}, false)"""


UK: Final = is_("country", "is", "United Kingdom")
MAIL: Final = is_("email_consent", "is", True)
WINE: Final = {"where": [is_("category", "within", "Food > Wine")]}
SPENT: Final = {"measure": "sum", "property": "total"}
WEEKS: Final = {"from": (NOW - 37 * DAY).date().isoformat(), "to": (NOW - 7 * DAY).date().isoformat()}
LEFT: Final = {"sequence": [{"event": "item_view"}, {"event": "cart_add", "days": 7, "not": True}], "within": WEEKS}

IS_UK: Final = "coalesce(country = 'United Kingdom', false)"
LEFT_SQL: Final = f"""id IN (
    WITH seen AS (SELECT contact_id, occurred_at AS at FROM events WHERE type = 'item_view'
            AND occurred_at >= TIMESTAMPTZ '{NOW - 37 * DAY}' AND occurred_at < TIMESTAMPTZ '{NOW - 7 * DAY}'),
        added AS (SELECT contact_id, occurred_at AS at FROM events WHERE type = 'cart_add'
            AND occurred_at >= TIMESTAMPTZ '{NOW - 37 * DAY}')
    SELECT contact_id FROM seen LEFT JOIN added USING (contact_id) GROUP BY contact_id, seen.at
    HAVING bool_or(added.at > seen.at AND added.at < seen.at + INTERVAL 168 HOUR) IS NOT TRUE)"""


def viewed(count: int) -> str:
    """Item views in 30 days."""
    return having("events", f"type = 'item_view' AND {since(30)}", f"count(*) >= {count}")


def ordered(count: int) -> str:
    """Orders in 90 days."""
    return having("orders", f"total > 0 AND {since(90, 'ordered_at')}", f"count(*) >= {count}")


def carted(count: int) -> str:
    """Carts in 90 days."""
    return having("events", f"type = 'cart_add' AND {since(90)}", f"count(*) >= {count}")


def spent(amount: int) -> str:
    """Spent in a year."""
    where = f"total > 0 AND currency = 'GBP' AND {since(365, 'ordered_at')}"
    return having("orders", where, f"sum(total) >= {amount * 10_000}")


def searched(count: int) -> str:
    """Searches for wine."""
    return having(
        "events", "type = 'search' AND json_extract_string(properties, '/q') = 'wine'", f"count(*) >= {count}"
    )


def wine(count: int) -> str:
    """Orders of wine."""
    return f"""id IN (SELECT o.contact_id FROM orders o JOIN order_lines l ON l.order_id = o.id
        JOIN items i ON i.id = l.item_id WHERE o.total > 0 AND (i.category = 'Food > Wine' OR
        i.category LIKE 'Food > Wine > %') GROUP BY 1 HAVING count(DISTINCT o.id) >= {count})"""


def highest(percent: int) -> str:
    """Highest spend, whoever has as much as the last of them included."""
    return f"""id IN (SELECT contact_id FROM traits WHERE spend >= (SELECT spend FROM traits ORDER BY spend DESC
        LIMIT 1 OFFSET (SELECT ceil(count(*) * {percent} / 100.0)::BIGINT - 1 FROM contacts)))"""


REFERENCE: Final[Mapping[str, tuple[Callable[[int], Any], Callable[[int], str]]]] = {
    "one attribute": (lambda n: is_("country", "is", TYPED[n % len(TYPED)]),
                      lambda n: f"country = '{TYPED[n % len(TYPED)]}'"),
    "three attributes": (lambda n: all_(UK, age(n), MAIL), lambda n: f"{IS_UK} AND {aged(n)} AND email_consent"),
    "own attribute": (
        lambda n: is_("attributes.size", "at_least", 40 - n / 4),
        lambda n: f"try_cast(json_extract_string(attributes, '/size') AS DOUBLE) >= {40 - n / 4}"),
    "highest percent": (lambda n: all_(UK, is_("spend", "top_percent", 10 + n)),
                        lambda n: f"{IS_UK} AND {highest(10 + n)}"),
    "count in a window": (lambda n: did("item_view", 3 + n, 30), lambda n: viewed(3 + n)),
    "sum in a window": (lambda n: did("order", 200 + n, 365, **SPENT), lambda n: spent(200 + n)),
    "category of items": (lambda n: did("order", 2 + n, **WINE), lambda n: wine(2 + n)),
    "property of events": (lambda n: did("search", 1 + n, where=[is_("properties.q", "is", "wine")]),
                           lambda n: searched(1 + n)),
    "absence": (lambda n: all_(MAIL, {"not": did("cart_add", 1 + n, 90)}),
                lambda n: f"email_consent AND NOT {carted(1 + n)}"),
    "sequence": (lambda n: all_(age(n), LEFT), lambda n: f"{aged(n)} AND {LEFT_SQL}"),
    "at least two of four": (
        lambda n: {"at_least": 2, "of": [UK, did("item_view", 3, 30), did("order", 3 + n, 90), age(0)]},
        lambda n: f"{IS_UK}::INT + ({viewed(3)})::INT + ({ordered(3 + n)})::INT + {aged(0)}::INT >= 2"),
    "four levels": (
        lambda n: all_(MAIL, {"any": [
            all_(UK, did("order", 3, 90), {"not": did("cart_add", 1, 90)}),
            all_(age(0), {"any": [did("order", 200 + n, 365, **SPENT), did("order", 2, **WINE)]}),
            {"none": [UK, did("item_view", 3, 30)]},
            all_(is_("spend", "top_percent", 10), LEFT),
        ]}),
        lambda n: f"""email_consent AND (({IS_UK} AND {ordered(3)} AND NOT {carted(1)})
            OR ({aged(0)} AND ({spent(200 + n)} OR {wine(2)}))
            OR NOT ({IS_UK} OR {viewed(3)})
            OR ({highest(10)} AND {LEFT_SQL}))"""),
}  # fmt: skip
