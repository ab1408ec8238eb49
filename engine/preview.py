"""What criteria find, before anything is saved: how many, how many for each clause, and twenty of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ibis

from engine import criteria
from engine.criteria import Criteria, Node
from engine.criteria.expression import COMBINE, People
from engine.criteria.nodes import Group, children

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

PERSON = ("id", "key", "first_name", "last_name", "email", "phone", "country", "city")


@dataclass(frozen=True)
class Clause:
    """One node of the tree: how many people it is true of by itself, of how many the value it compares is unknown,
    and, for the conditions of an "all" at the top, how many are left after it and those before it.
    """

    path: str
    sentence: str
    count: int
    unknown: int
    remaining: int | None


@dataclass(frozen=True)
class Person:
    """One of the people found."""

    id: int
    key: str
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    country: str | None
    city: str | None

    @property
    def name(self) -> str:
        """What to call them on screen."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or self.email or self.key


@dataclass(frozen=True)
class Preview:
    """The answer: `count` of `base` contacts, as the warehouse stood at `as_of`."""

    count: int
    base: int
    clauses: list[Clause]
    people: list[Person]
    as_of: datetime | None
    took_ms: float

    @property
    def share(self) -> float:
        """Of all contacts, in [0, 1]."""
        return self.count / self.base if self.base else 0.0


@ibis.udf.agg.builtin(name="min_by", signature=(("int64", "int64", "int64"), "array<int64>"))  # type: ignore[untyped-decorator]
def _min_by(value: Any, order: Any, count: Any) -> Any:
    """DuckDB's function: the values with the smallest orders."""


def preview(warehouse: Warehouse, asked: Criteria, *, now: datetime, limit: int = 20, language: str = "en") -> Preview:
    """Count and look, in one query and a small second one. The people shown are those with the smallest buckets:
    drawn at random, and the same each time.
    """
    start = time.perf_counter()
    flags = _Flags(criteria.people(asked, warehouse, now), asked.root)
    nodes = [(path, node) for path, node in criteria.walk(asked.root) if path or not isinstance(node, Group)]
    sums = {f"t{index}": flags.truth(node, path) for index, (path, node) in enumerate(nodes)}
    sums |= {
        f"u{index}": flags.unknown(path) for index, (path, _) in enumerate(nodes) if flags.unknown(path) is not None
    }
    if isinstance(asked.root, Group) and asked.root.kind == "all":
        top = [path for path, _ in children(asked.root)]
        sums |= {f"left{path}": flags.table.first_unmet > place for place, path in enumerate(top)}
    found, table = flags.truth(asked.root), flags.table
    row = warehouse.execute(
        table.agg(
            base=table.count(),
            count=found.sum(),
            people=_min_by(table.contact_id, table.bucket, ibis.literal(limit), where=found),
            **{name: flag.sum() for name, flag in sums.items()},
        )
    ).to_pylist()[0]
    clauses = [
        Clause(path, criteria.phrase(asked, node, language), row[f"t{index}"] or 0, row.get(f"u{index}") or 0,
               row.get(f"left{path}"))
        for index, (path, node) in enumerate(nodes)
    ]  # fmt: skip
    people = _people(warehouse, row["people"] or [])
    took = (time.perf_counter() - start) * 1000
    return Preview(row["count"] or 0, row["base"], clauses, people, warehouse.as_of, took)


class _Flags:
    """Each leaf's truth as one column: a tree repeats its leaves in the sums of all nodes above them."""

    def __init__(self, found: People, root: Node) -> None:
        leaves = [(path, node) for path, node in criteria.walk(root) if not isinstance(node, Group)]
        self._names = {path: str(index) for index, (path, _) in enumerate(leaves)}
        columns = {f"t{self._names[path]}": found.truth(node) for path, node in leaves}
        columns |= {f"u{self._names[path]}": found.unknown(node) for path, node in leaves}
        self.table = found.table.select("contact_id", "bucket", **columns)
        self.table = self.table.mutate(first_unmet=self._first_unmet(root))

    def truth(self, node: Node, path: str = "") -> Any:
        """Ibis boolean: is the node at `path` true?"""
        if not isinstance(node, Group):
            return self.table[f"t{self._names[path]}"]
        if not node.nodes:
            return self.table.contact_id.notnull()  # everyone
        return COMBINE[node.kind]([self.truth(child, place) for place, child in children(node, path)], node.least)

    def _first_unmet(self, root: Node) -> Any:
        """Place of the first condition of an "all" at the top that is not met; past the last one when all are."""
        top = children(root) if isinstance(root, Group) and root.kind == "all" else []
        met = [self.truth(child, path).ifelse(len(top), place) for place, (path, child) in enumerate(top)]
        return ibis.least(*met) if met else ibis.literal(0)

    def unknown(self, path: str) -> Any:
        """Ibis boolean: is the value that the leaf at `path`, or under its `not`, compares unknown? None for groups."""
        name = next((self._names[place] for place in (path, f"{path}.not") if place in self._names), None)
        return None if name is None else self.table[f"u{name}"]


def _people(warehouse: Warehouse, ids: Sequence[int]) -> list[Person]:
    """In the order of `ids`; one array is 15 ms faster to compile than twenty values of IN."""
    if not ids:
        return []
    contacts = warehouse.table("contacts").select(*PERSON)
    rows = contacts.filter(ibis.literal(list(ids), "array<int64>").contains(contacts.id))
    found = {row["id"]: Person(**row) for row in warehouse.execute(rows).to_pylist()}
    return [found[number] for number in ids]
