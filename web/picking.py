"""Picking people by hand, and what it did: a pick that changes nobody's place on the list is told as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from engine import lists
from engine.errors import Invalid
from engine.lists.people import Ids, present
from web.services import Services

PICKS: Final = ("add", "remove", "undo")


@dataclass(frozen=True)
class Picked:
    """What a pick did. `changed`: picks written or taken back; `moved`: people who came onto the list or went off it by
    that; `already`: who were where the pick puts them; `left_out`: who are off the list though they were put on it,
    for its criteria exclude them. The last three are None when its criteria cannot be used today.
    """

    changed: int
    moved: int | None
    already: int | None
    left_out: int | None
    unknown: list[str]


def pick(
    services: Services,
    list_id: int,
    verdict: str,
    *,
    ids: Sequence[int] = (),
    words: Sequence[str] = (),
    now: datetime,
    author: str,
) -> Picked:
    """Pick by one of PICKS and count the list again."""
    services.warehouse.refresh()
    with services.database.read() as session:
        before = _standing(services, session, list_id, now)
    with services.database.begin() as session:
        found = lists.recognise(session, words, country=services.config.locale.country)
        chosen = np.union1d(np.array(ids, np.int64), found.ids)
        known = np.array(list(chain.from_iterable(present(session, chosen))), np.int64)
        if verdict == "undo":
            changed = lists.unpick(session, list_id, chosen, now=now)
        else:
            changed = lists.pick(session, list_id, chosen, added=verdict == "add", now=now, author=author)
    if changed:
        lists.count_again(services.database, services.warehouse, list_id, now)
    with services.database.read() as session:
        after = _standing(services, session, list_id, now)
    if before is None or after is None:
        return Picked(changed, None, None, None, found.unknown)
    was, stands = np.isin(known, before), np.isin(known, after)
    already = was == stands if verdict == "undo" else (was == stands) & (stands == (verdict == "add"))
    left_out = ~stands & ~already & (was == stands)
    return Picked(changed, int((was != stands).sum()), int(already.sum()), int(left_out.sum()), found.unknown)


def _standing(services: Services, session: Session, list_id: int, now: datetime) -> Ids | None:
    """Who is on the list; None when its criteria cannot be used today."""
    try:
        return lists.member_ids(session, services.warehouse, list_id, now)
    except Invalid:
        return None
