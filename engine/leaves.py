"""What each condition says of every contact, kept while the data stand: lists are counted while they are typed.

A leaf gives two masks, one bit for each contact in the order of ids (a million are 125 kB): of whom it is true, and
of whom the value it compares is unknown. Groups are bit operations on masks. The compared values are kept too: while
a marketer types, one leaf changes, mostly its value. Of a column with few different values each of these is judged
once, in Python, and a million contacts take 2 ms; of others SQL compares the column in 10.

Values are kept by the SQL that finds them, which names the state of each table it reads and the bounds in time it
reads them for, so that nothing is kept too long: other rows or another hour are other SQL. Relative windows move with
the clock; a moment therefore stands still for up to a minute while the data do (`Kept.moment`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from ibis.expr.operations import UnboundTable

from engine.criteria import Criteria, Node, plain
from engine.criteria.expression import COMBINE, AnyLeaf, People, column_key, is_negated, is_shared, listed, people_by
from engine.criteria.nodes import EventLeaf, Group, Leaf, Membership, Sequence
from engine.criteria.scored import Scored
from engine.criteria.units import CONTACT, base
from engine.kept import Kept, kept
from engine.masks import Base, Coded, Mask, Verdict
from engine.values import Clock
from engine.warehouse.reader import written
from engine.warehouse.tables import unbound

if TYPE_CHECKING:
    from engine.warehouse import Pin, Warehouse

VALUES: Final = "kept values"
Judging = Leaf | EventLeaf | Sequence | Scored  # leaves that judge a value


class Watched(Clock):
    """A clock that remembers whether its moment was read, and not only its day."""

    was_read = False

    def __getattribute__(self, name: str) -> Any:
        if name == "now":
            object.__setattr__(self, "was_read", True)
        return super().__getattribute__(name)

    @property
    def today(self) -> date:
        """The day it is in the shop."""
        return Clock(object.__getattribute__(self, "now"), self.zone).today


class Tables:
    """The tables of a warehouse by their plain names, whatever state they are in."""

    table = staticmethod(unbound)


@dataclass(frozen=True)
class Source:
    """Where the values of a leaf come from. Ibis takes 5 to 20 ms to write the SQL, which is the same while one types,
    and after the data changed: it names tables and no state of them.
    """

    people: People
    name: str
    sql: str
    rows: Mapping[str, pa.Table]  # that it reads from memory,
    tables: tuple[str, ...]  # and from the warehouse
    empty: Any  # value of contacts without a row
    is_text: bool  # of the contacts' own table
    moment: datetime | None  # that it tells

    @staticmethod
    def of(asked: Criteria, clock: Clock) -> Source:
        """Of what is asked, a leaf alone."""
        watched = Watched(clock.now, clock.zone)
        people = people_by(asked, Tables, watched)
        (name,), side = people.columns.values(), people.side(cast(AnyLeaf, asked.root))
        values, empty = side or (people.table.select("contact_id", value=people.table[name]), None)
        is_text = side is None and people.table.schema()[name].is_string()
        moment = clock.now if watched.was_read else None
        return Source(people, name, *written(values), _read(values), empty, is_text, moment)

    @property
    def nbytes(self) -> int:
        """Memory it takes, roughly: expressions are large."""
        return 50 * len(self.sql) + int(sum(rows.nbytes for rows in self.rows.values()))

    def at(self, clock: Clock) -> People:
        """The people, to be compared by another clock than the first that asked."""
        return replace(self.people, clock=clock)

    def asking(self, leaf: AnyLeaf, clock: Clock) -> str:
        """The SQL of a verdict on VALUES."""
        column = ibis.table({"contact_id": "int64", self.name: self.people.table.schema()[self.name]}, name=VALUES)
        return written(_asking(self.at(clock).over(column), leaf))[0]


@dataclass(frozen=True)
class Listed:
    """A column of many different values."""

    column: pa.Array

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.column.nbytes)

    def at(self, places: Any) -> pa.Array:
        """The values of some."""
        return self.column.take(pa.array(places))


def size(warehouse: Warehouse, asked: Criteria, now: datetime, *, exact: bool = False) -> int:
    """For how many the criteria are true: at `now` if it must be `exact`, else up to a minute before, as previews."""
    return warehouse.pinned(lambda pin: Leaves(pin, kept(warehouse), asked, now, exact=exact).found.count)


def members(warehouse: Warehouse, asked: Criteria, now: datetime, *, exact: bool = True) -> npt.NDArray[np.int64]:
    """The ids of the contacts for whom they are true, ascending: at `now` if it must be `exact`, else up to a minute
    before, as previews.
    """

    def look(pin: Pin) -> npt.NDArray[np.int64]:
        leaves = Leaves(pin, kept(warehouse), asked, now, exact=exact)
        return leaves.base.ids[leaves.found.flags]

    return warehouse.pinned(look)


class Leaves:
    """What the leaves of criteria say, in one state of the data at one moment: `now` if it must be `exact`, else up to
    a minute before.
    """

    def __init__(self, pin: Pin, kept: Kept, asked: Criteria, now: datetime, *, exact: bool = False) -> None:
        self._pin, self._kept, self._asked = pin, kept, asked
        state = tuple(sorted(pin.names.items()))
        self.moment = now if exact else kept.moment(state, now)
        self._clock, self._unit = Clock(self.moment, asked.zone), asked.unit or CONTACT
        self._about = (asked.zone.key, asked.currency, self._unit)
        self._state = (state, self.moment, *self._about)
        self._contacts = (pin.names["contacts"], self._unit)
        self.base = self._kept.get(("base", *self._contacts), self._base)
        self._verdicts = self._find(dict.fromkeys(_leaves(asked.root, self._unit)))

    @property
    def found(self) -> Mask:
        """Of whom the criteria are true."""
        return self.truth(self._asked.root)

    def truth(self, node: Node) -> Mask:
        """Of whom `node` is true."""
        if isinstance(node, Group):
            if not node.nodes:
                return self.base.everyone()
            found = COMBINE[node.kind]([self.truth(child) for child in node.nodes], node.least)
            return found if isinstance(found, Mask) else Mask.of(found)
        if (instead := listed(node, self._unit)) is not None:
            return self.truth(instead)
        return self._verdicts[node].true

    def unknown(self, node: Node) -> int:
        """Of how many the value that a leaf compares is unknown."""
        return self._verdicts[node].unknown.count if node in self._verdicts else 0

    def values(self, leaf: Judging) -> Coded | Listed:
        """What a leaf compares, of each contact."""
        return self._values(self._source(leaf))

    def _find(self, leaves: Iterable[Node]) -> dict[Node, Verdict]:
        """At the same time, but those that are kept: to hand one over to a thread takes longer than to look it up."""
        found = {leaf: self._kept.find(("leaf", leaf, *self._state)) for leaf in leaves}
        new = [leaf for leaf, verdict in found.items() if verdict is None]
        ask = self._kept.pool.map if new[1:] else map
        return cast(dict[Node, Verdict], found | dict(zip(new, ask(self._verdict, new), strict=True)))

    def _verdict(self, leaf: Node) -> Verdict:
        if not isinstance(leaf, Membership):
            return self._kept.get(("leaf", leaf, *self._state), lambda: self._ask(cast(Judging, leaf)))
        if self._unit == CONTACT:  # its people may change while it and the warehouse stay the same
            return Verdict(self.base.holds(leaf.members["contact_id"].to_numpy()), self.base.nobody())
        return self._in_files(people_by(replace(self._asked, root=leaf), Tables, self._clock), leaf)

    def _ask(self, leaf: Judging) -> Verdict:
        source = self._source(leaf)
        if source.is_text and not self._kept.again((column_key(leaf, self._unit), *self._contacts)):
            return self._in_files(source.at(self._clock), leaf)  # faster than to read a million texts
        values = self._values(source)
        if isinstance(values, Coded) and not _compares(leaf, self._unit):
            return self._judged(values, leaf)
        if source.is_text:
            return self._in_files(source.at(self._clock), leaf)
        asking = source.asking(leaf, self._clock)
        about = ("verdict", asking, *self._about_values(source))
        return self._kept.get(about, lambda: self._asked_of(values.column, source.name, asking))

    def _source(self, leaf: Judging) -> Source:
        about: tuple[Any, ...] = ("source", column_key(leaf, self._unit), _type(leaf), self._clock.today, *self._about)
        if isinstance(leaf, Scored):  # it may have looked into the data
            about = (*about, self._state)

        def find() -> Source:
            return Source.of(replace(self._asked, root=leaf), self._clock)

        source = self._kept.get(about, find)
        return source if source.moment in {None, self.moment} else self._kept.get((*about, self.moment), find)

    def _base(self) -> Base:
        rows = base(Tables, self._unit).select("id", "bucket")
        return Base(self._pin.query(self._pin.bound(written(rows)[0], _read(rows))))

    def _about_values(self, source: Source) -> tuple[Any, ...]:
        return (self._pin.bound(source.sql, source.tables), source.name, source.empty, *self._contacts)

    def _values(self, source: Source) -> Coded | Listed:
        return self._kept.get(("values", *self._about_values(source)), lambda: self._looked_up(source))

    def _looked_up(self, source: Source) -> Coded | Listed:
        """Of each contact the value of its row, `empty` where there is none."""
        rows = self._pin.query(self._pin.bound(source.sql, source.tables), source.rows)
        return Coded.of(self.base, rows, source.empty) or Listed(self.base.column(rows, source.empty))

    def _judged(self, values: Coded, leaf: Judging) -> Verdict:
        """Each different value once, in Python."""
        says = partial(_says, leaf, self._clock, is_shared(leaf, self._unit))
        return Verdict(values.judged(says), self.base.nobody() if leaf.question is None else values.unknown)

    def _asked_of(self, column: pa.Array, name: str, asking: str) -> Verdict:
        """Each contact's value, by SQL."""
        return self._aligned(self._pin.query(asking, {VALUES: pa.table({"contact_id": self.base.ids, name: column})}))

    def _in_files(self, people: People, leaf: AnyLeaf) -> Verdict:
        asking = _asking(people, leaf)
        sql, rows = written(asking)
        return self._aligned(self._pin.query(self._pin.bound(sql, _read(asking)), rows))

    def _aligned(self, rows: pa.Table) -> Verdict:
        """Verdicts that come in any order."""
        ids = rows["contact_id"].to_numpy()
        if np.array_equal(ids, self.base.ids):
            return Verdict(*(Mask.arrow(rows[name]) for name in ("true", "unknown")))
        return Verdict(
            *(Mask.of(self.base.spread(ids, rows[name].to_numpy(), missing=False)) for name in ("true", "unknown"))
        )


def _asking(people: People, leaf: AnyLeaf) -> Any:
    return people.table.select("contact_id", true=people.truth(leaf), unknown=people.unknown(leaf))


def _read(rows: Any) -> tuple[str, ...]:
    """The tables of the warehouse that an expression reads."""
    return tuple(sorted({table.name for table in rows.op().find(UnboundTable)}))


def _type(leaf: Judging) -> str:
    """Of the property that is measured: names alone make properties equal."""
    return leaf.deed.property.type if isinstance(leaf, EventLeaf) and leaf.deed.property else ""


def _compares(leaf: Judging, unit: str) -> bool:
    """Each contact with all others?"""
    return not is_shared(leaf, unit) and bool(leaf.question and leaf.question.operator.compares)


def _says(leaf: Judging, clock: Clock, shared: bool, value: Any) -> bool:
    """As `People.truth` of a column."""
    if shared:
        return bool(value) is not is_negated(leaf)
    if leaf.question is None:
        return bool(value) if isinstance(leaf, Sequence) else value is not None
    return plain.truth(leaf.question, value, clock)


def _leaves(node: Node, unit: str) -> Iterator[Node]:
    """The leaves that decide, those of the lists it names included."""
    if (instead := listed(node, unit)) is not None:
        yield from _leaves(instead, unit)
    elif isinstance(node, Group):
        for child in node.nodes:
            yield from _leaves(child, unit)
    else:
        yield node
