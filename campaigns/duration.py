"""How many days a comparison of a placement takes, judging by what those did who saw the placement lately.

What happened is looked at as if it had been one arm of a comparison that began 1, 3, 7, 14, 28 or 56 days ago: how many
people came in so many days, and how much a figure per person varies by then. Between these days it is interpolated;
later ones go on as the last stretch did, new people at its pace, the figure varying as it did at its end. Days before
the first week count: who has been there for a day has bought less than who has been for seven. The rest is
that of campaigns (campaigns.experiment): 80 % power, 95 %, and no verdict below 30 buyers in the smaller arm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from campaigns import experiment
from campaigns.experiment import Arm
from campaigns.exposed import Figures, Seen, Time
from engine.warehouse import Warehouse
from recommender.comparisons import DAYS

LOOKED_BACK: Final = (1, 3, 7, 14, 28, 56)  # days
LONGEST: Final = DAYS[1]


class Split(NamedTuple):
    """How people are shared out, as `recommender.comparisons.start` takes it."""

    share_b: float
    holdout: float


@dataclass(frozen=True)
class Lately:
    """Figures of those who saw a placement in the last so many days, by days, growing; empty: nobody saw it."""

    figures: Mapping[float, Figures]

    @property
    def days(self) -> float:
        """How far back it goes."""
        return max(self.figures, default=0)

    @property
    def people(self) -> int:
        """In all that time."""
        return self.figures[self.days].people if self.figures else 0

    def mean(self, metric: str) -> float:
        """The figure per person, in all that time."""
        return self.figures[self.days].each(metric) if self.figures else 0

    def least(self, metric: str, days: int, split: Split) -> float | None:
        """The smallest true difference between the variants, as a share of the figure, that shows in 4 of 5 comparisons
        of so many days; None where none does, for the figure is 0 or too few people did it.
        """
        if not self.figures:
            return None
        n = self._people(days) * (1 - split.holdout)
        buyers, mean, variance = (self._each(metric, days, part) for part in (_bought, _mean, _variance))
        if mean <= 0 or buyers * n * min(split.share_b, 1 - split.share_b) < experiment.FEW_BUYERS:
            return None
        return experiment.detectable(int(n), split.share_b, math.sqrt(variance) / mean)

    def needed(self, metric: str, difference: float, split: Split) -> int | None:
        """Days after which a true difference of this share of the figure shows; None: not within LONGEST."""
        told = ((days, self.least(metric, days, split)) for days in range(1, LONGEST + 1))
        return next((days for days, least in told if least is not None and least <= difference), None)

    def _people(self, days: float) -> float:
        known, counts = [0.0, *self.figures], [0, *(one.people for one in self.figures.values())]
        then = max(place for place, one in enumerate(known) if one <= known[-1] - 1)  # less than a day may be a night
        pace = (counts[-1] - counts[then]) / (known[-1] - known[then])
        return float(np.interp(days, known, counts)) + pace * max(0.0, days - known[-1])

    def _each(self, metric: str, days: float, part: Callable[[Arm], float]) -> float:
        """Something of the figure, between what it was after the days that are known."""
        told = {one: part(figures.outcomes[metric]) for one, figures in self.figures.items() if figures.people}
        return float(np.interp(days, list(told), list(told.values())))


def _bought(arm: Arm) -> float:
    """The share of people who did it."""
    return arm.buyers / arm.n


def _mean(arm: Arm) -> float:
    return arm.mean


def _variance(arm: Arm) -> float:
    return arm.variance


def lately(session: Session, warehouse: Warehouse, placement: str, *, currency: str, now: datetime) -> Lately:
    """What happened at a placement, as of the warehouse's last refresh. Less than a day tells nothing."""
    seen = Seen(session, warehouse, placement, Time(now - timedelta(days=LOOKED_BACK[-1]), now))
    whole = (now - seen.first) / timedelta(days=1) if seen.first else 0
    if whole < 1:
        return Lately({})
    back = [*(float(days) for days in LOOKED_BACK if days < 0.8 * whole), whole]
    return Lately({days: seen.figures(now - timedelta(days=days), currency) for days in back})
