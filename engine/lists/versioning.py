"""What a list was: every saved change of its name and criteria, how two differ, and the way back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.catalogue import Catalogue
from engine.errors import NotFound
from engine.lists.saved import get, save
from engine.models import ContactList, ListVersion


def versions(session: Session, list_id: int, *, before: int | None = None, limit: int = 50) -> list[ListVersion]:
    """What was saved of a list, newest first; `before`: the last version of the page before."""
    query = select(ListVersion).where(ListVersion.list_id == get(session, list_id).id)
    query = query.where(ListVersion.version < before) if before else query
    return list(session.scalars(query.order_by(ListVersion.version.desc()).limit(limit)))


def version_of(session: Session, list_id: int, number: int) -> ListVersion:
    """One version; raises NotFound."""
    found = session.get(ListVersion, (get(session, list_id).id, number))
    if found is None:
        raise NotFound(f"List {list_id} has no version {number}.")
    return found


def revert(
    session: Session,
    list_id: int,
    number: int,
    *,
    version: int | None = None,
    now: datetime,
    catalogue: Catalogue | None = None,
    author: str = "",
) -> ContactList:
    """Save what a version held as a new one, so that this can be undone, too. Raises what `save` raises."""
    old = version_of(session, list_id, number)
    return save(session, list_id, old.name, old.criteria, version=version, now=now, catalogue=catalogue, author=author)
