"""Kinds of arrays, and time as they count it."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DAY: Final = 86_400_000_000  # microseconds
DENSE: Final = 4  # numbers that leave out no more than so many for each that is there are counted rather than sorted
FAINT: Final = 2**-20  # a weight that teaches nothing; far below it float32 takes ten times as long


def ordered(*keys: Ints) -> Ints:
    """As numpy.lexsort: places in the order of the last key, equals by the one before it. Ids of a database leave out
    few numbers, so they are counted: sixteen million take 1 s instead of 8.
    """
    found = _ordered(keys[0])
    for key in keys[1:]:
        found = found[_ordered(key[found])]
    return found


def _ordered(key: Ints) -> Ints:
    if not len(key) or (key[1:] >= key[:-1]).all():
        return np.arange(len(key))
    low = key.min()
    span = int(key.max() - low) + 1
    if span > DENSE * len(key):
        return np.argsort(key, kind="stable")
    cells = (np.ones(len(key), np.int8), (key - low).astype(np.int32), np.arange(len(key) + 1))
    return np.asarray(sparse.csr_array(cells, shape=(len(key), span)).tocsc().indices, np.int64)


def changes(*keys: Ints) -> Mask:
    """Where another combination begins in arrays that are sorted together."""
    changed = np.ones(len(keys[0]), bool)
    changed[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return changed


def contained(known: Ints, asked: Ints) -> Mask:
    """Which of `asked` are among `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(asked), bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked)
