"""What the warehouse knows of a few contacts: the values that leaves compare, and the rows behind what they did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import ibis
import pyarrow as pa

from engine import criteria, fields
from engine.criteria import Criteria
from engine.criteria.expression import AnyLeaf
from engine.criteria.nodes import Deed, EventLeaf, Group, Happening, Leaf, Since
from engine.criteria.nodes import Sequence as Steps
from engine.criteria.rows import ROWS, Tables
from engine.criteria.scored import Scored
from engine.criteria.units import CONTACT, Together
from engine.fields import Field
from engine.values import Clock, Words

MOST_ROWS: Final = 5_000  # of one kind of event and one contact; with more, only the warehouse's answer is told
ALL_ROWS: Final = 20_000  # of one kind of event and all contacts asked about together
SHOWN: Final = ("title", "campaign")  # what a row is about, told with it

Row = Mapping[str, Any]
Ask = Callable[[Any], pa.Table]  # runs an expression


@dataclass(frozen=True)
class Asked:
    """Criteria asked of a few contacts at a moment; `run` runs an expression over `tables`."""

    criteria: Criteria
    tables: Tables
    run: Ask
    ids: tuple[int, ...]
    now: datetime

    @property
    def clock(self) -> Clock:
        """The moment, on the shop's clock."""
        return Clock(self.now, self.criteria.zone)


@dataclass(frozen=True)
class Source:
    """The rows of one behaviour with the tables that the fields asked of them need."""

    behaviour: fields.Behaviour
    tables: frozenset[str]


@dataclass
class Told:
    """The rows of each source and contact, by time; the columns that hold what fields say of them."""

    columns: dict[tuple[Source, str, str], str] = field(default_factory=dict)
    rows: dict[tuple[Source, int], list[Row]] = field(default_factory=dict)
    cut: set[Source] = field(default_factory=set)

    def value(self, source: Source, row: Row, name: Field, kind: str) -> Any:
        """What `name`, read as `kind`, is in a row."""
        return row[self.columns[source, name.key, kind]]

    def is_cut(self, source: Source, contact_id: int) -> bool:
        """Are there more rows than are followed?"""
        return source in self.cut or len(self.rows.get((source, contact_id), ())) > MOST_ROWS


def source(happening: Happening, property_: Field | None = None) -> Source:
    """Where the rows are; among order lines when something of a line is asked."""
    named = [leaf.field for leaf in happening.where] + ([property_] if property_ else [])
    return Source(happening.behaviour, frozenset(row.table for row in named))


def reading(deed: Deed) -> str:
    """The type a measured property is read as."""
    assert deed.property
    return deed.property.type if deed.measure.key == "distinct" else deed.reading


def happenings(node: AnyLeaf) -> list[tuple[Happening, Field | None, str]]:
    """The rows a leaf looks at, with the property it measures and the type of that."""
    if isinstance(node, Steps):
        return [(step.happening, None, "") for step in node.steps]
    if not isinstance(node, EventLeaf):
        return []
    deed = node.deed
    own = (deed.happening(), deed.property, reading(deed) if deed.property else "")
    return [own, (deed.window.happening, None, "")] if isinstance(deed.window, Since) else [own]


def told(asked: Asked, leaves: Iterable[AnyLeaf]) -> Told:
    """The rows that the leaves look at: one query for each source."""
    found, wanted = Told(), dict[Source, dict[tuple[str, str], Field]]()
    for leaf in leaves:
        for happening, property_, kind in happenings(leaf):
            named = wanted.setdefault(source(happening, property_), {})
            named |= {(one.field.key, one.question.type): one.field for one in happening.where}
            named |= {(property_.key, kind): property_} if property_ else {}
    for one, named in wanted.items():
        for number, (key, kind) in enumerate(named):
            found.columns[one, key, kind] = f"c{number}"
        rows = asked.run(_rows(asked, one, named)).to_pylist()
        found.cut |= {one} if len(rows) > ALL_ROWS else set()
        for row in sorted(rows, key=lambda row: (row["at"], row["id"])):
            found.rows.setdefault((one, row["contact_id"]), []).append(row)
    return found


def _rows(asked: Asked, one: Source, named: Mapping[tuple[str, str], Field]) -> Any:
    kind, clock = one.behaviour.rows, asked.clock
    known = fields.ROW_FIELDS[kind]
    shown = {key: known[key] for key in SHOWN if key in known and (kind != "orders" or "items" in one.tables)}
    tables = set(one.tables) | {row.table for row in shown.values()}
    rows = ROWS[kind](asked.tables, one.behaviour.key, tables)
    rows = rows.filter(rows.contact_id.isin(asked.ids))
    columns = {f"c{number}": _column(rows, row, read, clock) for number, ((_, read), row) in enumerate(named.items())}
    names = [name for name in ("contact_id", "at", "id", "order_id", "item_id", "currency") if name in rows.columns]
    told = {f"shown_{key}": row.column(rows, clock) for key, row in shown.items()}
    amounts = {name: rows[name] for name in rows.columns if name.startswith("line_")}
    return rows.select(*names, **columns, **told, **amounts).limit(ALL_ROWS + 1)


def _column(rows: Any, row: Field, kind: str, clock: Clock) -> Any:
    return fields.read_as(row, kind).column(rows, clock)


MOVING: Final[Mapping[str, tuple[str, ...]]] = {  # fields whose value moves with the clock, from these columns
    "age": ("birth_date", "age"),
    "recency": ("last_order_at",),
    "overdue": ("last_order_at", "mean_gap_days"),
}


def moves(asked: Asked, leaf: Leaf) -> bool:
    """Does the value of its field change as time goes by?"""
    earlier, later = (Clock(asked.now - timedelta(days=days), asked.criteria.zone) for days in (1_000, 0))
    one, other = (
        leaf.field.column(fields.source(asked.tables, leaf.field.table, clock), clock) for clock in (earlier, later)
    )
    return not one.equals(other)


def stored(asked: Asked, leaves: Sequence[Leaf]) -> dict[Leaf, dict[int, Any]]:
    """By leaf and contact: the value compared; of a field that moves the columns it is made of, as a tuple."""
    found: dict[Leaf, dict[int, Any]] = {}
    for table in dict.fromkeys(leaf.field.table for leaf in leaves):
        mine = [leaf for leaf in leaves if leaf.field.table == table]
        rows = fields.source(asked.tables, table, asked.clock)
        number = rows.id if table == "contacts" else rows.contact_id
        columns = {f"v{place}": _stored(rows, leaf, asked.clock) for place, leaf in enumerate(mine)}
        shown = rows.select(number=number, **columns)
        by_id = {row["number"]: row for row in asked.run(shown.filter(shown.number.isin(asked.ids))).to_pylist()}
        for place, leaf in enumerate(mine):
            found[leaf] = {one: _filled(leaf, by_id.get(one, {}).get(f"v{place}")) for one in asked.ids}
    return found


def _stored(rows: Any, leaf: Leaf, clock: Clock) -> Any:
    if names := MOVING.get(leaf.field.key):
        return ibis.struct({name: rows[name] for name in names})
    return _column(rows, leaf.field, leaf.question.type, clock)


def _filled(leaf: Leaf, value: Any) -> Any:
    if leaf.field.key in MOVING:
        return value or dict.fromkeys(MOVING[leaf.field.key])
    return leaf.field.empty if value is None else value


def answered(asked: Asked, leaves: Sequence[AnyLeaf]) -> dict[tuple[AnyLeaf, int], tuple[bool, Any]]:
    """By leaf and contact: the verdict and the value that the warehouse gives."""
    if not leaves:
        return {}
    people = criteria.people(replace(asked.criteria, root=Group("all", tuple(leaves))), asked.tables, asked.now)
    columns: dict[str, Any] = {}
    for place, leaf in enumerate(leaves):
        columns |= {f"t{place}": people.truth(leaf), f"v{place}": people.value(leaf)}
    rows = people.table.filter(people.table.contact_id.isin(asked.ids)).select("contact_id", **columns)
    return {
        (leaf, row["contact_id"]): (row[f"t{place}"], row[f"v{place}"])
        for row in asked.run(rows).to_pylist()
        for place, leaf in enumerate(leaves)
    }


def reasons(asked: Asked, leaves: Sequence[AnyLeaf]) -> dict[AnyLeaf, Mapping[int, Words]]:
    """By leaf that knows them and contact: why they are meant; of units several people would have to be told."""
    if (asked.criteria.unit or CONTACT) != CONTACT:
        return {}
    return {
        leaf: leaf.score.reasons(asked.tables, asked.run, asked.clock, asked.ids)
        for leaf in leaves
        if isinstance(leaf, Scored) and leaf.score.reasons
    }


def standing(asked: Asked) -> dict[int, int]:
    """By contact: the one that stands for its household or account; only those that the warehouse knows."""
    unit = asked.criteria.unit or CONTACT
    if unit == CONTACT:
        contacts = asked.tables.table("contacts")
        rows = contacts.select(member_id=contacts.id, owner_id=contacts.id)
    else:
        rows = Together(asked.tables, unit).owners
    found = asked.run(rows.filter(rows.member_id.isin(asked.ids))).to_pylist()
    return {row["member_id"]: row["owner_id"] for row in found}
