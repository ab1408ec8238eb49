"""One bit for each contact, and values of contacts of which few are different."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

DENSE: Final = 8  # ids so much thinner than 1, 2, 3 ... are looked up in a table, thinner ones by halving
FEW: Final = 4_000  # different values, judged in Python in 2 to 5 ms; SQL takes 4 to be written, 4 to judge a million
SAMPLE: Final = 8_192  # of them tell whether there are few

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

    @staticmethod
    def arrow(flags: pa.ChunkedArray) -> Mask:
        """The same; Arrow's booleans are bits already."""
        return Mask(_bits(flags), len(flags))

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

    def places(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Where these ids are; -1: nowhere."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        if not len(self._places):
            found = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            return np.where(self.ids[found] == ids, found, -1)
        if not len(ids) or (ids.min() >= self._first and ids.max() <= self.ids[-1]):
            return self._places[ids - self._first]
        inside = (ids >= self._first) & (ids <= self.ids[-1])
        return np.where(inside, self._places[np.where(inside, ids - self._first, 0)], -1)

    def holds(self, ids: npt.NDArray[np.int64]) -> Mask:
        """Those among `ids`."""
        return Mask.of(self.spread(ids, np.ones(len(ids), np.bool_), missing=False))

    def spread(self, ids: npt.NDArray[np.int64], values: npt.NDArray[Any], missing: Any) -> npt.NDArray[Any]:
        """Of each contact its value, `missing` where `ids` does not name it."""
        if np.array_equal(ids, self.ids):
            return values
        places = self.places(ids)
        if len(places) and places.min() < 0:
            places, values = places[places >= 0], values[places >= 0]
        found = np.full(len(self.ids), missing, values.dtype)
        found[places] = values
        return found

    def column(self, rows: pa.Table, empty: Any) -> pa.Array:
        """Of each contact the value of its row, `empty` where there is none."""
        ids, values = rows["contact_id"].to_numpy(), rows["value"].combine_chunks()
        if not np.array_equal(ids, self.ids):
            taken = self.spread(ids, np.arange(len(ids)), -1)
            values = values.take(pa.array(taken, mask=taken < 0))
        return values if empty is None else pc.fill_null(values, pa.scalar(empty, values.type))

    def nobody(self) -> Mask:
        """None."""
        return Mask.of(np.zeros(len(self.ids), np.bool_))

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
class Coded:
    """A column of few different values: these, and of each contact which it has; the one after the last is none."""

    different: pa.Array
    codes: npt.NDArray[Any]

    @staticmethod
    def of(base: Base, rows: pa.Table, empty: Any) -> Coded | None:
        """From rows of contact_id and value, `empty` being that of contacts without one; None if not few."""
        column = rows["value"].combine_chunks()
        if pa.types.is_nested(column.type) or not _few(column[:: len(column) // SAMPLE + 1]):
            return None
        coded = column.dictionary_encode()
        values = coded.dictionary
        if len(values) > FEW:
            return None
        lacking = len(values)
        if empty is not None:
            values = pa.concat_arrays([values, pa.array([empty], values.type)])
            lacking = pc.index(values, pa.scalar(empty, values.type)).as_py()
        codes = coded.indices.fill_null(lacking).to_numpy().astype(np.min_scalar_type(len(values)))
        return Coded(values, base.spread(rows["contact_id"].to_numpy(), codes, lacking))

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.codes.nbytes + self.different.nbytes)

    @property
    def column(self) -> pa.Array:
        """One value for each contact."""
        return self.at(slice(None))

    def at(self, places: Any) -> pa.Array:
        """The values of some."""
        codes = self.codes[places]
        return self.different.take(pa.array(codes, mask=codes == len(self.different)))

    @cached_property
    def unknown(self) -> Mask:
        """Who has none."""
        return Mask.of(self.codes == len(self.different))

    def judged(self, says: Callable[[Any], bool]) -> Mask:
        """Whose value, None included, it says yes to."""
        values = [*self.different.to_pylist(), None]
        return Mask.of(np.fromiter(map(says, values), np.bool_, len(values))[self.codes])


def _few(sample: pa.Array) -> bool:
    """Hardly any of a column of ids or amounts come twice."""
    return len(sample) < SAMPLE // 2 or len(sample.unique()) <= FEW


def _bits(flags: pa.ChunkedArray) -> Bits:
    """Arrow's booleans are bits already."""
    array = flags.combine_chunks()
    if array.offset % 8 or not len(array):
        return np.packbits(flags.to_numpy(), bitorder="little")
    bits = np.frombuffer(array.buffers()[1], np.uint8)[array.offset // 8 :][: (len(array) + 7) // 8].copy()
    if len(array) % 8:
        bits[-1] &= (1 << len(array) % 8) - 1
    return bits
