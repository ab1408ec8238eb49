"""What each condition says of every contact, kept while the data stand: lists are counted while they are typed.

A leaf gives two masks, one bit for each contact in the order of ids (a million are 125 kB): of whom it is true, and
of whom the value it compares is unknown. Groups are bit operations on masks. The compared values are kept too: while
a marketer types, one leaf changes, mostly its value, and a comparison of a kept column takes 3 ms, the sum over
twenty million events behind it 60 to 300.

Everything is kept by the SQL that finds it, which names the state of each table it reads and the bounds in time it
reads them for, so that nothing is kept too long: other rows or another hour are other SQL. Relative windows move with
the clock; a moment therefore stands still for up to a minute while the data do (`Kept.moment`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine import criteria
from engine.criteria import Criteria, Node
from engine.criteria.expression import COMBINE, AnyLeaf, People, listed
from engine.criteria.nodes import Group, Membership
from engine.criteria.units import CONTACT, base
from engine.kept import Kept, kept
from engine.warehouse.reader import written

if TYPE_CHECKING:
    from engine.warehouse import Pin, Warehouse

DENSE: Final = 8  # ids so much thinner than 1, 2, 3 ... are looked up in a table, thinner ones by halving
VALUES: Final = "kept values"

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Mask:
    """One bit for each of `size` contacts, in the order of their ids; bits beyond are 0. Combines with & | ~ like the
    Ibis columns it stands for.
    """

    bits: Bits
    size: int

    @staticmethod
    def of(flags: npt.NDArray[np.bool_]) -> Mask:
        """From one boolean for each contact."""
        return Mask(np.packbits(flags, bitorder="little"), len(flags))

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.bits.nbytes

    @cached_property
    def count(self) -> int:
        """Of how many it is true."""
        return int(np.bitwise_count(self.bits).sum())

    @property
    def flags(self) -> npt.NDArray[np.bool_]:
        """One boolean for each contact."""
        return np.unpackbits(self.bits, count=self.size, bitorder="little").view(np.bool_)

    def cast(self, _kind: str) -> npt.NDArray[np.int16]:
        """Numbers to add up."""
        return self.flags.astype(np.int16)

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.bits & other.bits, self.size)

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.bits | other.bits, self.size)

    def __invert__(self) -> Mask:
        bits = ~self.bits
        if self.size % 8:
            bits[-1] &= (1 << self.size % 8) - 1
        return Mask(bits, self.size)


@dataclass(frozen=True)
class Verdict:
    """What one leaf says."""

    true: Mask
    unknown: Mask

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.true.nbytes + self.unknown.nbytes


class Base:
    """All contacts: their ids, ascending, and the order in which people are drawn."""

    def __init__(self, rows: pa.Table) -> None:
        ids, buckets = rows["id"].to_numpy(), rows["bucket"].to_numpy()
        if not (ids[1:] > ids[:-1]).all():  # as they mostly come; sorting a million takes 60 ms
            sorting = np.argsort(ids)
            ids, buckets = ids[sorting], buckets[sorting]
        self.ids: npt.NDArray[np.int64] = ids
        drawn = np.sort((buckets.astype(np.uint64) << np.uint64(32)) | np.arange(len(ids), dtype=np.uint64))
        self.drawn = drawn.astype(np.uint32)  # places by bucket
        self._first = int(self.ids[0]) if len(ids) else 0
        span = int(self.ids[-1]) - self._first + 1 if len(ids) else 0
        self._places = np.full(span if span <= DENSE * len(ids) else 0, -1, np.int32)
        if len(self._places):
            self._places[self.ids - self._first] = np.arange(len(ids), dtype=np.int32)

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.ids.nbytes + self.drawn.nbytes + self._places.nbytes

    def places(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where these ids are; -1: nowhere."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        table = self._places if len(self._places) else None
        if table is not None:
            inside = (ids >= self._first) & (ids <= self.ids[-1])
            return np.where(inside, table[np.where(inside, ids - self._first, 0)], -1).astype(np.int64)
        found = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[found] == ids, found, -1)

    def holds(self, ids: npt.NDArray[np.int64]) -> Mask:
        """Those among `ids`."""
        flags = np.zeros(len(self.ids), np.bool_)
        places = self.places(ids)
        flags[places[places >= 0]] = True
        return Mask.of(flags)

    def everyone(self) -> Mask:
        """All."""
        return Mask.of(np.ones(len(self.ids), np.bool_))

    def first(self, mask: Mask, limit: int) -> list[int]:
        """The ids of up to `limit` contacts of the mask, those with the smallest buckets."""
        flags, found, step = mask.flags, np.zeros(0, np.uint32), max(1024, limit)
        for start in self._starts(step):
            part = self.drawn[start : start * 4 + step]
            found = np.concatenate([found, part[flags[part]]])
            if len(found) >= limit:
                break
        return [int(number) for number in self.ids[found[:limit]]]

    def _starts(self, step: int) -> Iterator[int]:
        """Four times as far each time."""
        start = 0
        while start < len(self.ids):
            yield start
            start = start * 4 + step


@dataclass(frozen=True)
class Texts:
    """A column of texts: the different ones, and of each contact which it has; the one after the last is none."""

    different: pa.Array
    codes: npt.NDArray[np.uint32]

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.codes.nbytes + self.different.nbytes)

    @property
    def few(self) -> bool:
        """Is it worth it? Addresses are nearly all different."""
        return len(self.different) * 8 <= len(self.codes)

    def judged(self, name: str, ask: Callable[[dict[str, pa.Table]], pa.Table]) -> Verdict:
        """What `ask` says of each text, contact_id being its place, as a verdict on the contacts."""
        texts = pa.concat_arrays([self.different, pa.nulls(1, self.different.type)])
        said = ask({VALUES: pa.table({"contact_id": np.arange(len(texts)), name: texts})})
        places = said["contact_id"].to_numpy()
        return Verdict(
            *(Mask.of(_scattered(said[name].to_numpy(), places)[self.codes]) for name in ("true", "unknown"))
        )


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
        self._unit = asked.unit or CONTACT
        self._about = (state, self.moment, asked.zone.key, asked.currency, self._unit)
        self.base = self._kept.get(("base", pin.names["contacts"], self._unit), self._base)
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

    def _find(self, leaves: Iterable[Node]) -> dict[Node, Verdict]:
        asked = list(leaves)
        if len(asked) == 1:
            return {asked[0]: self._verdict(asked[0])}
        return dict(zip(asked, self._kept.pool.map(self._verdict, asked), strict=True))

    def _verdict(self, leaf: Node) -> Verdict:
        if isinstance(leaf, Membership):  # its people may change while it and the warehouse stay the same
            if self._unit != CONTACT:
                return self._ask(leaf)
            on = self.base.holds(leaf.members["contact_id"].to_numpy())
            return Verdict(on, self.base.holds(np.zeros(0, np.int64)))
        return self._kept.get(("leaf", leaf, *self._about), lambda: self._ask(cast(AnyLeaf, leaf)))

    def _ask(self, leaf: AnyLeaf) -> Verdict:
        people = criteria.people(replace(self._asked, root=leaf), self._pin, self.moment)
        ((key, name),), side = people.columns.items(), people.side(leaf)
        kind = people.table.schema()[name]
        if side is None and kind.is_string():
            return self._text(people, leaf, key, name)
        values, empty = side or (people.table.select("contact_id", value=people.table[name]), None)
        column = ibis.table({"contact_id": "int64", name: kind}, name=VALUES)
        sql, tables = written(_asking(people.over(column), leaf))
        changes = isinstance(leaf, Membership)
        found_by = written(values)[0] if changes else self._column_sql(key, values)
        found = (self._pin.names["contacts"], self._unit, name, empty, found_by)

        def judge() -> Verdict:
            rows = self._kept.get(("values", *found), lambda: self._values(name, values, empty))
            return self._aligned(self._pin.query(sql, {**tables, VALUES: rows}))

        return self._kept.get(("verdict", sql, *found), judge)

    def _text(self, people: People, leaf: AnyLeaf, key: Hashable, name: str) -> Verdict:
        """Of a column of texts: compared in the files the first time, from then on each different one once."""
        column = self._column_sql(key, people.table.select("contact_id", value=people.table[name]))
        if self._kept.again(column):
            texts = self._kept.get(("texts", column), lambda: self._texts(self._pin.query(column)))
            if texts.few:
                asking = people.over(ibis.table({"contact_id": "int64", name: "string"}, name=VALUES))
                short, _ = written(_asking(asking, leaf))
                query = self._pin.query
                return self._kept.get(
                    ("verdict", short, column), lambda: texts.judged(name, lambda few: query(short, few))
                )
        sql, tables = written(_asking(people, leaf))
        return self._kept.get(("verdict", sql), lambda: self._aligned(self._pin.query(sql, tables)))

    def _column_sql(self, key: Hashable, values: Any) -> str:
        """The SQL of a column: Ibis takes 2 to 8 ms to write it, and it is the same while one types."""
        return str(self._kept.get(("sql", key, *self._about), lambda: np.str_(written(values)[0])))

    def _texts(self, rows: pa.Table) -> Texts:
        texts = rows["value"].combine_chunks().dictionary_encode()
        codes = np.full(len(self.base.ids), len(texts.dictionary), np.uint32)
        codes[self.base.places(rows["contact_id"].to_numpy())] = texts.indices.fill_null(
            len(texts.dictionary)
        ).to_numpy()
        return Texts(texts.dictionary, codes)

    def _base(self) -> Base:
        return Base(self._pin.query(*written(base(self._pin, self._unit).select("id", "bucket"))))

    def _values(self, name: str, values: Any, empty: Any) -> pa.Table:
        """One value for each contact, in the order of ids: those of the rows, `empty` where there is none."""
        rows = self._pin.query(*written(values))
        ids = rows["contact_id"].to_numpy()
        if empty is None and np.array_equal(ids, self.base.ids):
            return pa.table({"contact_id": self.base.ids, name: rows["value"]})
        places = self.base.places(ids)
        taken = np.full(len(self.base.ids), -1)
        taken[places[places >= 0]] = np.flatnonzero(places >= 0)
        column = rows["value"].combine_chunks().take(pa.array(taken, mask=taken < 0))
        if empty is not None:
            column = pc.fill_null(column, pa.scalar(empty, column.type))
        return pa.table({"contact_id": self.base.ids, name: column})

    def _aligned(self, rows: pa.Table) -> Verdict:
        """Verdicts that come in any order."""
        ids = rows["contact_id"].to_numpy()
        if np.array_equal(ids, self.base.ids):
            return Verdict(*(Mask(_bits(rows[name]), len(ids)) for name in ("true", "unknown")))
        places = self.base.places(ids)
        return Verdict(*(Mask.of(_scattered(rows[name].to_numpy(), places)) for name in ("true", "unknown")))


def _asking(people: People, leaf: AnyLeaf) -> Any:
    return people.table.select("contact_id", true=people.truth(leaf), unknown=people.unknown(leaf))


def _leaves(node: Node, unit: str) -> Iterator[Node]:
    """The leaves that decide, those of the lists it names included."""
    if (instead := listed(node, unit)) is not None:
        yield from _leaves(instead, unit)
    elif isinstance(node, Group):
        for child in node.nodes:
            yield from _leaves(child, unit)
    else:
        yield node


def _scattered(flags: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(places), np.bool_)
    found[places] = flags
    return found


def _bits(flags: pa.ChunkedArray) -> Bits:
    """Arrow's booleans are bits already."""
    array = flags.combine_chunks()
    if array.offset % 8 or not len(array):
        return np.packbits(flags.to_numpy(), bitorder="little")
    bits = np.frombuffer(array.buffers()[1], np.uint8)[array.offset // 8 :][: (len(array) + 7) // 8].copy()
    if len(array) % 8:
        bits[-1] &= (1 << len(array) % 8) - 1
    return bits
