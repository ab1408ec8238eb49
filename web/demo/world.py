"""The people and the items together: who takes what, when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from web.demo.items import Assortment, month_of
from web.demo.people import DAYS, Floats, Ints, People


@dataclass(frozen=True)
class World:
    """What all parts of the history draw from. Moments are seconds since 1970, contacts and items are rows."""

    people: People
    assortment: Assortment
    now: datetime

    @property
    def count(self) -> int:
        """Contacts."""
        return len(self.people.taste)

    @cached_property
    def end(self) -> float:
        """The moment `now`."""
        return self.now.timestamp()

    @cached_property
    def start(self) -> int:
        """The moment the history begins."""
        return int((self.now - timedelta(days=DAYS)).timestamp())

    def month(self, at: Ints | Floats) -> Ints:
        """Month of the history."""
        return month_of((np.asarray(at) - self.start) / 86_400, self.now)

    def draw(self, rng: np.random.Generator, contact: Ints, month: Ints) -> Ints:
        """An item for each contact, as they like it in that month."""
        return self.assortment.draw(rng, month, self.people.taste[contact], self.people.band[contact])
