"""The plain-Python answer to criteria: one contact at a time, from the JSON, sharing no table with the product."""

from __future__ import annotations

import calendar
import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Any

from tests.engine.criteria.world import NOW, ZONE, Row, World

UNIT = 10_000


class Asked:
    """Criteria about a world: of contacts, or of the households or accounts they belong to."""

    def __init__(self, data: Any, world: World) -> None:
        self.unit, self.world = data.get("unit", "contact"), world
        names = [contact.get(self.unit) for contact in world.contacts]
        own = [name is None or self.unit == "contact" for name in names]
        firsts = {name: contact["id"] for name, contact in reversed(list(zip(names, world.contacts, strict=True)))}
        self.owner = {
            contact["id"]: contact["id"] if alone else firsts[name]
            for contact, name, alone in zip(world.contacts, names, own, strict=True)
        }
        self.standing = [contact for contact in world.contacts if self.owner[contact["id"]] == contact["id"]]
        events, orders = ([{**row, "contact_id": self.owner.get(row["contact_id"])} for row in rows]
                          for rows in (world.events, world.orders))  # fmt: skip
        self.together = replace(world, contacts=self.standing, events=events, orders=orders)

    def true(self, node: Any, contact: Row) -> bool:
        """Is the node true of the unit that the contact stands for?"""
        if "include" in node:
            is_out = "exclude" in node and self.true(node["exclude"], contact)
            return self.true(node["include"], contact) and not is_out
        for key, meets in GROUPS.items():
            if key in node:
                return meets([self.true(child, contact) for child in node[key]])
        if "not" in node:
            return not self.true(node["not"], contact)
        if "at_least" in node:
            return sum(self.true(child, contact) for child in node["of"]) >= node["at_least"]
        if {"event", "sequence", "sample"} & node.keys():
            return true(node, contact, self.together)
        if node.get("operator") in CONTRARIES and node["operator"] != "unknown":
            return not self.true({**node, "operator": CONTRARIES[node["operator"]]}, contact)
        if node.get("operator") == "unknown":
            return not self.true({**node, "operator": "known"}, contact)
        return any(true(node, member, self.world) for member in self.members(contact))

    def is_unknown(self, node: Any, contact: Row) -> bool:
        """Is the value that a leaf compares unknown of all members?"""
        if "event" in node:
            return value(node, contact, self.together) is None
        return all(value(node, member, self.world) is None for member in self.members(contact))

    def members(self, contact: Row) -> list[Row]:
        """Of the unit that the contact stands for."""
        return [one for one in self.world.contacts if self.owner[one["id"]] == contact["id"]]


GROUPS: dict[str, Callable[[list[bool]], bool]] = {"all": all, "any": any, "none": lambda flags: not any(flags)}


def true(node: Any, contact: Row, world: World) -> bool:
    """Is a leaf true of the contact?"""
    if "sequence" in node:
        return follows(node, contact, world)
    if "sample" in node:
        return drawn(node["sample"], contact)
    if "list" in node:
        listed = world.lists[node["list"]]
        return contact["id"] in listed if isinstance(listed, list) else Asked(listed, world).true(listed, contact)
    operator = node["operator"].removeprefix("not_")
    if operator in EXTREMES:
        values = (value(node, other, world) for other in world.contacts)
        known = [one for one in values if one is not None]
        is_in = EXTREMES[operator](value(node, contact, world), known, node["value"])
        return is_in is not node["operator"].startswith("not_")
    return answer(node, value(node, contact, world))


def drawn(sample: Any, contact: Row) -> bool:
    """Is the contact's place in the shuffle of that seed among the first so many percent?"""
    digest, prime = hashlib.sha256(f"sample {sample.get('seed', 1)}".encode()).hexdigest(), 2**31 - 1
    a, s = 1 + int(digest[:16], 16) % (prime - 1), int(digest[16:32], 16) % prime
    place = (a * contact["bucket"] + s) % prime
    return place + 1 <= prime * Fraction(str(sample["percent"])) / 100


def _among_highest(own: Any, known: list[Any], percent: float) -> bool:
    """Fewer than that share of all are higher."""
    return own is not None and sum(one > own for one in known) < len(known) * Fraction(str(percent)) / 100


def _among_lowest(own: Any, known: list[Any], percent: float) -> bool:
    return own is not None and sum(one < own for one in known) < len(known) * Fraction(str(percent)) / 100


EXTREMES: dict[str, Callable[[Any, list[Any], float], bool]] = {
    "top_percent": _among_highest,
    "bottom_percent": _among_lowest,
}


def value(leaf: Any, contact: Row, world: World) -> Any:
    """What the leaf compares; None when unknown."""
    if "event" in leaf:
        return measured(leaf, contact, world)
    return FIELDS[leaf["field"]](contact, _trait(contact, world), leaf)


def _trait(contact: Row, world: World) -> Row:
    return next((row for row in world.traits if row["contact_id"] == contact["id"]), {})


def _age(contact: Row, _trait: Row, _leaf: Any) -> int | None:
    born, today = contact["birth_date"], NOW.astimezone(ZONE).date()
    if born is None or born > today:
        return contact["age"]
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _own(name: str) -> Callable[[Row, Row, Any], Any]:
    return lambda contact, _trait, leaf: _read((contact["attributes"] or {}).get(name), leaf)


def _read(stored: Any, leaf: Any) -> Any:
    """A stored JSON value read as the type of what it is compared with."""
    given = leaf.get("value")
    given = given[0] if isinstance(given, list) else given
    if stored is None or given is None:
        return stored
    if "has_" in leaf["operator"]:
        return stored if isinstance(stored, list) else [str(stored)]
    if isinstance(given, str):
        return str(stored)
    try:
        number = float(stored)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _recency(_contact: Row, trait: Row, _leaf: Any) -> int | None:
    last = trait.get("last_order_at")
    if last is None:
        return None
    return max(int((NOW - last.replace(microsecond=0)).total_seconds()), 0) // 86_400


def _overdue(_contact: Row, trait: Row, _leaf: Any) -> float | None:
    last, gap = trait.get("last_order_at"), trait.get("mean_gap_days")
    if last is None or not gap:
        return None
    return max(int((NOW - last.replace(microsecond=0)).total_seconds()), 0) / (gap * 86_400)


FIELDS: dict[str, Callable[[Row, Row, Any], Any]] = {
    **{
        name: lambda contact, _trait, _leaf, name=name: contact[name]  # type: ignore[misc]
        for name in ("first_name", "country", "birth_date", "income", "email_consent", "created_at")
    },
    "age": _age,
    "email_domain": lambda contact, _trait, _leaf: contact["email"] and contact["email"].split("@")[1].lower(),
    "attributes.size": _own("size"),
    "attributes.tags": _own("tags"),
    "recency": _recency,
    "overdue": _overdue,
    "order_count": lambda _contact, trait, _leaf: trait.get("order_count") or 0,
    "spend": lambda _contact, trait, _leaf: trait.get("spend") or 0,
    "margin": lambda _contact, trait, _leaf: trait.get("margin"),
    "last_order_at": lambda _contact, trait, _leaf: trait.get("last_order_at"),
    "favourite_category": lambda _contact, trait, _leaf: trait.get("favourite_category"),
}
MONEY = {"income", "spend", "margin", "value", "total", "amount", "unit_price"}


def answer(leaf: Any, stored: Any) -> bool:
    """The operator's verdict; a negative operator is the contrary of its positive."""
    operator = leaf["operator"]
    if operator == "unknown":
        return stored is None
    if operator in CONTRARIES:
        return not answer({**leaf, "operator": CONTRARIES[operator]}, stored)
    if stored is None:
        return False
    if operator == "known":
        return True
    measured_in_money = leaf.get("property") in MONEY and leaf["measure"] != "distinct" and "compared_to" not in leaf
    is_money = leaf.get("field") in MONEY or measured_in_money
    given = leaf["value"] if isinstance(leaf["value"], list) else [leaf["value"]]
    if is_money:
        given = [round(amount * UNIT) for amount in given]
    if isinstance(stored, date):
        return _time(operator, stored, given)
    if isinstance(stored, list):
        return HELD[operator]([_fold(one) for one in stored], [_fold(one) for one in given])
    return PLAIN[operator](_fold(stored), [_fold(one) for one in given])


def _fold(given: Any) -> Any:
    return given.lower() if isinstance(given, str) else given


PLAIN: dict[str, Callable[[Any, list[Any]], bool]] = {
    "is": lambda stored, given: stored == given[0],
    "in": lambda stored, given: stored in given,
    "contains": lambda stored, given: given[0] in stored,
    "starts_with": lambda stored, given: stored.startswith(given[0]),
    "ends_with": lambda stored, given: stored.endswith(given[0]),
    "within": lambda stored, given: stored == given[0] or stored.startswith(given[0] + " > "),
    "at_least": lambda stored, given: stored >= given[0],
    "at_most": lambda stored, given: stored <= given[0],
    "more_than": lambda stored, given: stored > given[0],
    "less_than": lambda stored, given: stored < given[0],
    "between": lambda stored, given: given[0] <= stored <= given[1],
    "matches": lambda stored, given: re.search(given[0], stored) is not None,
}
HELD: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "has_any": lambda stored, given: bool(set(stored) & set(given)),
    "has_all": lambda stored, given: set(stored) >= set(given),
    "has_at_least": lambda stored, given: len(stored) >= given[0],
}
RELATIVE = {"in_last", "in_next", "days_ago"}
CALENDAR = {"in_period", "in_month", "on_weekday", "anniversary_in_next", "anniversary_in_last"}
CONTRARIES = {"unknown": "known"} | {f"not_{key}": key for key in EXTREMES} | {
    f"not_{key}": key
    for key in (*PLAIN, *HELD, *RELATIVE, *CALENDAR, "on", "before", "after")
} | {"is_not": "is"}  # fmt: skip


def _time(operator: str, stored: date, given: list[Any]) -> bool:
    """Days are days on the shop's calendar; a stored moment is compared by the day it falls on there."""
    if operator in CALENDAR:
        return _calendar(operator, stored, given[0])
    if operator in RELATIVE:
        return _relative(operator, stored, given[0])
    days = [date.fromisoformat(one) for one in given]
    day = stored.astimezone(ZONE).date() if isinstance(stored, datetime) else stored
    return {
        "on": day == days[0],
        "before": day < days[0],
        "after": day > days[0],
        "between": days[0] <= day <= days[-1],
    }[operator]


def _calendar(operator: str, stored: date, given: Any) -> bool:
    """Day by day: which days of the calendar are meant, and is it one of them?"""
    day = stored.astimezone(ZONE).date() if isinstance(stored, datetime) else stored
    today = NOW.astimezone(ZONE).date()
    if operator == "in_month":
        return bool(day.month == given)
    if operator == "on_weekday":
        return day.isoweekday() == given
    if operator == "in_period":
        return _name(day, given) == _period(today, given)
    days = range(1, given + 1) if operator == "anniversary_in_next" else range(1 - given, 1)
    return any(_comes_round(day, today + timedelta(days=number)) for number in days)


def _comes_round(day: date, on: date) -> bool:
    if (day.month, day.day) == (2, 29) and not calendar.isleap(on.year):
        return (on.month, on.day) == (3, 1)
    return (on.month, on.day) == (day.month, day.day)


def _name(day: date, given: str) -> Any:
    """What the day, week ... that a day is in is called."""
    unit = given.rpartition("_")[2]
    months = day.year * 12 + day.month - 1
    names = {"week": day.isocalendar()[:2], "month": months, "quarter": months // 3, "year": day.year}
    return names.get(unit, day)


def _period(today: date, given: str) -> Any:
    which, _, unit = given.rpartition("_")
    if not which:
        return today + timedelta(days={"yesterday": -1, "today": 0, "tomorrow": 1}[given])
    size = {"week": 7, "month": 31, "quarter": 92, "year": 366}[unit]
    own = _name(today, given)
    step = {"last": -1, "this": 0, "next": 1}[which]
    days = (today + timedelta(days=step * number) for number in range(size + 1))
    return own if not step else next(name for name in (_name(day, given) for day in days) if name != own)


def _relative(operator: str, stored: date, days: int) -> bool:
    if isinstance(stored, datetime):
        local = NOW.astimezone(ZONE)
        back, ahead = local - timedelta(days=days), local + timedelta(days=days)
        return {"in_last": back <= stored < NOW, "in_next": NOW <= stored < ahead, "days_ago": stored < back}[operator]
    past = (NOW.astimezone(ZONE).date() - stored).days
    return {"in_last": 0 <= past < days, "in_next": 0 > past >= -days, "days_ago": past >= days}[operator]


def measured(leaf: Any, contact: Row, world: World) -> Any:
    """The measure of the contact's rows, or its change in percent."""
    rows, within = happened(leaf, contact, world), leaf.get("within")
    if "compared_to" in leaf:
        now = _measure(leaf, [row for row in rows if _inside(row["at"], within)])
        before = _measure(leaf, [row for row in rows if _inside(row["at"], _before(within))])
        known = before is not None and before > 0 and now is not None
        return (float(now) - float(before)) * 100 / float(before) if known else None
    if within and "since" in within:
        return _measure(leaf, _since(rows, within, contact, world))
    return _measure(leaf, [row for row in rows if _inside(row["at"], within)])


def happened(leaf: Any, contact: Row, world: World) -> list[Row]:
    """The contact's rows for which all conditions hold."""
    rows = [row for row in _rows(leaf["event"], world) if row["contact_id"] == contact["id"]]
    if _needs_lines(leaf):
        rows = [row for row in rows if row["quantity"] > 0]
    for condition in leaf.get("where", ()):
        rows = [row for row in rows if answer(condition, _condition_value(row, condition))]
    return rows


def follows(node: Any, contact: Row, world: World) -> bool:
    """Is there a chain of rows, each later than the one before?"""
    first, *steps = node["sequence"]
    moments = {row["at"] for row in happened(first, contact, world) if _inside(row["at"], node.get("within"))}
    for step in steps:
        later = {row["at"] for row in happened(step, contact, world)}
        wait = _lasting(step)
        if "not" in step:
            assert wait is not None
            return any(at + wait <= NOW and not any(at < one < at + wait for one in later) for at in moments)
        moments = {
            one for one in later if any(at < one and (wait is None or one < at + wait) for at in moments)
        }  # fmt: skip
    return bool(moments)


def _since(rows: list[Row], within: Any, contact: Row, world: World) -> list[Row]:
    others = [row["at"] for row in happened(within["since"], contact, world) if row["at"] <= NOW]
    if not others:
        return []
    end = max(others) + (_lasting(within) or timedelta(days=10**5))
    return [row for row in rows if max(others) < row["at"] < end]


def _before(within: Any) -> Any:
    """The stretch before, as the shop's clock has it; hours and minutes as they go by."""
    if lasting := _lasting(within, "last_"):
        end = (_midnight(within["before"]) if "before" in within else NOW).astimezone(_zone(within))
        return {"start": end - 2 * lasting, "end": end - lasting}
    start, end = (date.fromisoformat(within[key]) for key in ("from", "to"))
    return {"start": _midnight((start - (end - start)).isoformat()), "end": _midnight(within["from"])}


def _measure(leaf: Any, rows: list[Row]) -> Any:
    measure = leaf["measure"]
    if measure == "count":
        return len({row["order"] for row in rows}) if leaf["event"] in {"order", "return"} else len(rows)
    if measure in MOMENTS:
        return MOMENTS[measure]([row["at"] for row in rows]) if rows else None
    name = leaf["property"]
    if leaf["event"] in {"order", "return"} and name in MONEY:
        rows = [row for row in rows if row["currency"] == "GBP"]
    if leaf["event"] == "order" and not _needs_lines(leaf):
        rows = list({row["order"]: row for row in rows}.values())
    lines = _needs_lines(leaf) and name == "total"
    values = {_place(row, leaf): row["line_total"] if lines else _own_value(row, leaf) for row in rows}
    if measure in {"first", "last"}:
        return values[(min if measure == "first" else max)(values)] if values else None
    return AGGREGATES[measure]([one for one in values.values() if one is not None])


def _place(row: Row, leaf: Any) -> Any:
    """In time; of the same instant by number."""
    return row["at"], row["line"] if _needs_lines(leaf) or leaf["event"] == "return" else row["id"]


def _own_value(row: Row, leaf: Any) -> Any:
    return _condition_value(row, {**leaf, "field": leaf["property"]})


MOMENTS: dict[str, Callable[[list[datetime]], Any]] = {
    "first_at": min,
    "last_at": max,
    "days_since": lambda moments: max(int((NOW - max(moments).replace(microsecond=0)).total_seconds()), 0) // 86_400,
}
AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "sum": sum,
    "minimum": lambda values: min(values, default=None),
    "maximum": lambda values: max(values, default=None),
    "average": lambda values: sum(values) / len(values) if values else None,
    "distinct": lambda values: len(set(values)),
}


def _needs_lines(leaf: Any) -> bool:
    names = {condition["field"] for condition in leaf.get("where", ())} | {leaf.get("property")}
    return leaf["event"] == "order" and bool(names & {"item", "category", "unit_price"})


def _condition_value(row: Row, condition: Any) -> Any:
    name = condition["field"]
    if name == "hour":
        return row["at"].astimezone(ZONE).hour
    if name.startswith("properties."):
        return _read((row["properties"] or {}).get(name.partition(".")[2]), condition)
    return None if name in MONEY and row.get("currency", "GBP") != "GBP" else row[name]


def _rows(event: str, world: World) -> list[Row]:
    items = {item["id"]: item for item in world.items}

    def with_item(row: Row, item_id: int | None) -> Row:
        item = items.get(item_id or 0, {})
        return {**row, "item": item.get("key"), "category": item.get("category")}

    if event not in {"order", "return"}:
        return [
            with_item({**row, "at": row["occurred_at"]}, row["item_id"]) for row in world.events if row["type"] == event
        ]
    return [
        with_item(
            {
                **order,
                "order": order["id"],
                "line": line["id"],
                "at": order["ordered_at"],
                "amount": line["discount"] - line["quantity"] * line["unit_price"],
                "units": order["units"] if event == "order" else -line["quantity"],
                "quantity": line["quantity"],
                "unit_price": line["unit_price"],
                "line_total": line["quantity"] * line["unit_price"] - line["discount"],
            },
            line["item_id"],
        )
        for order in world.orders
        for line in world.order_lines
        if line["order_id"] == order["id"] and (order["total"] > 0 if event == "order" else line["quantity"] < 0)
    ]


def _inside(at: datetime, within: Any) -> bool:
    if within is None:
        return True
    if "start" in within:
        return bool(within["start"] <= at < within["end"])
    if lasting := _lasting(within, "last_"):
        end = _midnight(within["before"]) if "before" in within else NOW
        return end.astimezone(_zone(within)) - lasting <= at < end
    return ("from" not in within or _midnight(within["from"]) <= at) and (
        "to" not in within or at < _midnight(within["to"])
    )


def _lasting(given: Any, prefix: str = "") -> timedelta | None:
    """How long: of "days", "hours" and "minutes" whichever is there."""
    found = {key: given[prefix + key] for key in ("days", "hours", "minutes") if prefix + key in given}
    return timedelta(**found) if found else None


def _zone(within: Any) -> tzinfo:
    """Whose clock a window leads back by: days by the shop's."""
    return ZONE if "last_days" in within else UTC


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), ZONE)
