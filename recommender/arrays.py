"""Kinds of arrays, and time as they count it."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DAY: Final = 86_400_000_000  # microseconds
FAINT: Final = 2**-20  # a weight that teaches nothing; far below it float32 takes ten times as long
