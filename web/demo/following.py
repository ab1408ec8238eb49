"""The last four weeks of the demo's lists: who joined and left them, and what their criteria were before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import lists
from engine.models import ContactList, ListVersion
from web.services import Services

LOOKS: Final = 8
APART: Final = timedelta(days=4)
AUTHOR: Final = "Robin Marsh"
MENDED: Final = "Hosts with money to spend"  # the list that had fewer conditions once


def remember(session: Session) -> None:
    """Every list's first version; one had its conditions one by one."""
    for one in session.scalars(select(ContactList).order_by(ContactList.id)):
        kept = one.criteria["all"]
        stages = [{"all": kept[:2]}, {"all": kept[:3]}, one.criteria] if one.name == MENDED else [one.criteria]
        for version, criteria in enumerate(stages, 1):
            at = one.created_at + (version - 1) * 5 * APART
            session.add(ListVersion(list_id=one.id, version=version, name=one.name, criteria=criteria, at=at,
                                    author=AUTHOR))  # fmt: skip
        one.version = len(stages)


def follow(services: Services, now: datetime, progress: Callable[[int, int], None]) -> None:
    """Look at all lists every fourth day of four weeks as the tick does, with what is known today."""
    for look in range(LOOKS):
        lists.follow(services.database, services.warehouse, now - (LOOKS - 1 - look) * APART, seconds=60)
        progress(look + 1, LOOKS)
