"""When something is usually bought again: from the days that pass between the days on which a contact buys it.

A person's gaps lie around a middle of their own, so theirs are averaged, in logarithms, with the median of everybody's,
which counts as one gap more. On the last gap of 120,087 contacts and items of Online Retail II the logarithm of that is
off by 1.042, of the person's own median by 1.079, of everybody's by 1.066. Between the quartiles of everybody's, moved
along, lie half of the gaps of whoever has bought it five times.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recommender.arrays import DAY, Floats, Ints
from recommender.trail import Trail

LEAST: Final = 5  # gaps of anybody from which a thing has a usual one
QUARTILES: Final = (0.25, 0.5, 0.75)
NUDGE: Final = 1e-9  # so that halves are rounded up, whichever engine took the logarithm


class Usual(NamedTuple):
    """Days after which it is bought again: half of the time between `low` and `high`; from so many `gaps`."""

    low: int
    days: int
    high: int
    gaps: int


def usual(own: npt.NDArray[Any], everybody: npt.NDArray[Any]) -> Usual | None:
    """Of somebody with these gaps of their own, in days; everybody: a row of `rhythm`. None where nobody knows."""
    low, middle, high, gaps = (float(number) for number in everybody)
    if gaps < LEAST:
        return None
    days = math.exp((float(np.log(own).sum()) + math.log(middle)) / (len(own) + 1))
    return Usual(whole(days * low / middle), whole(days), whole(days * high / middle), int(gaps))


def whole(days: float) -> int:
    """Rounded, halves up, and never none."""
    return max(math.floor(days + 0.5 + NUDGE), 1)


def between(at: Ints) -> Ints:
    """Days between the days, by UTC, of one thing bought at these moments in their order."""
    return np.asarray(np.diff(np.unique(at // DAY)), np.int64)


def rhythm(trail: Trail, width: int) -> Floats:
    """width x 4: the quartiles of the gaps of each item, in days, and how many there are."""
    bought = trail.where(trail.weights >= 1)
    rows, items, day = np.unique(np.stack([bought.rows, bought.items, bought.at // DAY]), axis=1)
    again = (np.diff(rows) == 0) & (np.diff(items) == 0)
    item, gap = items[1:][again], np.diff(day)[again]
    found = np.zeros((width, len(QUARTILES) + 1), np.float32)
    order = np.lexsort((gap, item))
    names, starts, sizes = np.unique(item[order], return_index=True, return_counts=True)
    place = starts[:, None] + (sizes[:, None] - 1) * np.array(QUARTILES)
    below, above = (gap[order][edge(place).astype(np.int64)] for edge in (np.floor, np.ceil))
    found[names, :-1] = below + (above - below) * (place % 1)
    found[names, -1] = sizes
    return found
