"""A history as people read it: what somebody did on the shop's pages in one go is one visit, not fifty events.

Everything else stands by itself. A visit belongs to one browser and ends when that does nothing for VISIT_GAP; what
happens meanwhile, an order for instance, stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from sqlalchemy.orm import Session

from campaigns.history import history, is_browsing, part
from engine.timeline import KINDS, Moment, Place, Thing
from recommender import interactions

VISIT_GAP: Final = timedelta(microseconds=interactions.VISIT_GAP)
ENTRIES: Final = 50  # of a page, and some more where a visit would be torn;
ENOUGH: Final = 500  # moments after which a page ends with the visit,
MOST: Final = 2_000  # and after which it ends in the midst of one
CHUNK: Final = 250  # moments read at once


@dataclass
class Visit:
    """What one browser did without a long pause; moments newest first, at least one."""

    moments: list[Moment] = field(default_factory=list)

    @property
    def at(self) -> datetime:
        """When it was over, as far as is known."""
        return self.moments[0].at

    @property
    def began(self) -> datetime:
        """When it began."""
        return self.moments[-1].at

    def rows(self) -> list[list[Moment]]:
        """Its moments, newest first; what was seen of one row of recommendations together."""
        return [list(some) for _, some in groupby(self.moments, _answer)]

    def items(self, event: str) -> list[Thing]:
        """What somebody did this with, each once, in the order of the first time."""
        things = (moment.item for moment in reversed(self.moments) if moment.title == event and moment.item)
        return list({thing.id: thing for thing in things}.values())

    def count(self, event: str) -> int:
        """How often something happened."""
        return sum(moment.title == event for moment in self.moments)

    def words(self, event: str, name: str) -> list[str]:
        """What events say, each once, in the order of the first time."""
        said = (moment.told.get(name) for moment in reversed(self.moments) if moment.title == event)
        return list(dict.fromkeys(str(word) for word in said if word))


Entry = Moment | Visit


@dataclass(frozen=True)
class Page:
    """Entries, newest first. The first `live` of them may still grow: their moments are all that is newer than
    the place `settled`, or all there is where that is None. `next`: where the next page begins, if there is one.
    """

    entries: list[Entry]
    live: int
    settled: Place | None
    next: Place | None


def _answer(moment: Moment) -> object:
    """The same for impressions of one answer, and for nothing else."""
    answer = moment.told.get("recommendation_id") if moment.title == "impression" else None
    return (answer, moment.told.get("placement")) if answer else moment.place


class _Folded:
    """Entries of moments that come newest first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.taken = 0
        self.last: Moment | None = None
        self._open: dict[str | None, Visit] = {}

    def parts(self, moment: Moment) -> bool:
        """Does no visit reach over to `moment` and what is before it?"""
        return all(visit.began - moment.at > VISIT_GAP for visit in self._open.values())

    def take(self, moment: Moment) -> None:
        self.taken, self.last = self.taken + 1, moment
        if not is_browsing(moment):
            self.entries.append(moment)
            return
        visit = self._open.get(moment.visitor)
        if visit is None or visit.began - moment.at > VISIT_GAP:
            visit = self._open[moment.visitor] = Visit()
            self.entries.append(visit)
        visit.moments.append(moment)

    def plain(self) -> list[Entry]:
        """A visit of one moment is that moment."""
        return [one.moments[0] if isinstance(one, Visit) and len(one.moments) == 1 else one for one in self.entries]


def page(session: Session, contact_id: int, name: str, before: Place | None, now: datetime) -> Page:
    """A page of one of campaigns.history.PARTS. It ends between visits, unless one goes on for MOST moments."""
    folded, settled, live = _Folded(), None, 0
    for moment in _moments(session, contact_id, name, before):
        parted = folded.parts(moment)
        full = len(folded.entries) >= ENTRIES or folded.taken >= ENOUGH
        if folded.last and ((full and parted) or folded.taken >= MOST):
            live, settled = (live, settled) if settled else (len(folded.entries), moment.place)
            return Page(folded.plain(), live, settled, folded.last.place)
        if settled is None and parted and now - moment.at > VISIT_GAP:
            live, settled = len(folded.entries), moment.place
        folded.take(moment)
    return Page(folded.plain(), live if settled else len(folded.entries), settled, None)


def since(session: Session, contact_id: int, name: str, after: Place | None) -> tuple[list[Entry], str]:
    """The entries after a place, newest first, and a word that differs when anything came in. Of more than MOST
    moments the newest.
    """
    found, _ = history(session, contact_id, part(name, after=after), limit=MOST)
    folded = _Folded()
    for moment in found:
        folded.take(moment)
    return folded.plain(), seen(found)


def moments(entries: Sequence[Entry]) -> list[Moment]:
    """All moments of these entries."""
    return [moment for entry in entries for moment in (entry.moments if isinstance(entry, Visit) else [entry])]


def seen(found: Sequence[Moment]) -> str:
    """A word that differs when there is another moment, late ones too."""
    newest = (max((moment.id for moment in found if moment.kind == kind), default=0) for kind in KINDS)
    return ".".join(map(str, (len(found), *newest)))


def _moments(session: Session, contact_id: int, name: str, before: Place | None) -> Iterator[Moment]:
    more = True
    while more:
        found, following = history(session, contact_id, part(name, before=before), limit=CHUNK)
        yield from found
        before, more = following, following is not None
