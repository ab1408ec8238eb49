"""How a list lies over others: who is on both, and on which of several at once. Of dynamic lists it shows the people of
the tick's last look, so that fifty lists of a million people cost milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy.orm import Session

from engine.catalogue import open_catalogue
from engine.lists import bits
from engine.lists.following import remembered
from engine.lists.people import member_ids
from engine.lists.saved import browse, get
from engine.models import ContactList, ListState

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

MOST: Final = 50  # lists that one is laid over, the newest
TOGETHER: Final = 4  # of them taken together, those it shares most people with


@dataclass(frozen=True)
class Overlap:
    """Another list of `size` people, of whom `both` are on this one, too."""

    one: ContactList
    size: int
    both: int
    union: int

    @property
    def jaccard(self) -> float:
        """Share of all people of either list who are on both, in [0, 1]."""
        return self.both / self.union if self.union else 0.0


@dataclass(frozen=True)
class Together:
    """People of this list who are on exactly these of the others."""

    lists: tuple[ContactList, ...]
    count: int


@dataclass(frozen=True)
class Overlaps:
    """Of a list of `size` people. `unseen`: dynamic lists that the tick has not looked at yet."""

    size: int
    others: list[Overlap]
    together: list[Together]
    unseen: list[ContactList]


def overlaps(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> Overlaps:
    """A list beside the MOST newest others, those it shares most people with first; and how the first TOGETHER of them
    divide it, largest part first.
    """
    mine = _people(session, warehouse, get(session, list_id))
    here = bits.blocks(member_ids(session, warehouse, list_id, now)) if mine is None else mine
    size, others, unseen = bits.size(here), [], []
    people = {}
    for one in browse(session, limit=MOST + 1):
        theirs = None if one.id == list_id else _people(session, warehouse, one)
        if theirs is None:
            unseen += [one] if one.id != list_id else []
            continue
        people[one.id] = theirs
        both, whole = bits.size(bits.both(here, theirs)), bits.size(theirs)
        others.append(Overlap(one, whole, both, size + whole - both))
    others.sort(key=lambda row: (-row.both, -row.jaccard, row.one.id))
    return Overlaps(size, others, _together(here, [row for row in others if row.both][:TOGETHER], people), unseen)


def _people(session: Session, warehouse: Warehouse, one: ContactList) -> bits.Blocks | None:
    """Who is on a list, None when nobody has looked yet."""
    if one.frozen_at is not None:
        return bits.blocks(np.sort(open_catalogue(session, warehouse).members(one.id)["contact_id"].to_numpy()))
    return remembered(session, one.id) if session.get(ListState, one.id) else None


def _together(here: bits.Blocks, others: list[Overlap], people: dict[int, bits.Blocks]) -> list[Together]:
    found = []
    for count in range(len(others) + 1):
        for chosen in combinations(others, count):
            rest: bits.Blocks = here
            for row in others:
                rest = (bits.both if row in chosen else bits.without)(rest, people[row.one.id])
            found.append(Together(tuple(row.one for row in chosen), bits.size(rest)))
    return sorted((part for part in found if part.count), key=lambda part: -part.count)
