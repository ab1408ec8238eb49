"""Sets of contacts as bits: one for each of 65,536 ids, block by block. A million members are 16 blocks of 8 KiB."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.lists.people import Ids

BLOCK: Final = 2**16  # ids
Bits = npt.NDArray[np.uint8]  # BLOCK bits in BLOCK / 8 bytes
Blocks = Mapping[int, Bits]  # id // BLOCK -> bits; a block without anybody is not there


def blocks(ids: Ids) -> dict[int, Bits]:
    """Of ascending ids."""
    numbers, starts = np.unique(ids // BLOCK, return_index=True)
    found = {}
    for number, part in zip(numbers.tolist(), np.split(ids, starts[1:]) if len(ids) else [], strict=True):
        flags = np.zeros(BLOCK, dtype=bool)
        flags[part % BLOCK] = True
        found[number] = np.packbits(flags)
    return found


def ids(found: Blocks) -> Ids:
    """The ids, ascending."""
    parts = [np.flatnonzero(np.unpackbits(found[number])) + number * BLOCK for number in sorted(found)]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)


def size(found: Blocks) -> int:
    """How many there are."""
    return sum(int(np.bitwise_count(bits).sum(dtype=np.int64)) for bits in found.values())


def both(one: Blocks, other: Blocks) -> dict[int, Bits]:
    """Who is in both."""
    return {number: one[number] & other[number] for number in one.keys() & other.keys()}


def without(one: Blocks, other: Blocks) -> dict[int, Bits]:
    """Who is in one and not in the other."""
    return {number: bits & ~other[number] if number in other else bits for number, bits in one.items()}


def holds(packed: bytes, contact_id: int) -> bool:
    """Is the contact among those of its packed block?"""
    place = contact_id % BLOCK
    return bool(zlib.decompress(packed)[place // 8] >> (7 - place % 8) & 1)


def pack(bits: Bits) -> bytes:
    """As they are kept."""
    return zlib.compress(bits.tobytes(), 1)


def unpack(packed: bytes) -> Bits:
    """The other way."""
    return np.frombuffer(zlib.decompress(packed), np.uint8)
