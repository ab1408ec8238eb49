"""What somebody has written and not saved: kept on the server at every change, offered again, and never written over
by another page of theirs, nor over what somebody else saved meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from flask import g
from flask_babel import get_locale
from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.orm import Session

from engine import lists
from engine.database import upsert
from engine.lists.versioning import Change
from engine.models import ListVersion
from web.models import ListDraft
from web.pages.lists.builder import State
from web.pages.lists.draft import MOST
from web.pages.lists.rows import reader
from web.pages.lists.work import Work
from web.services import services, utcnow

DRAFTS: Final = cast(Table, ListDraft.__table__)
KEY: Final = ("user_id", "list_id", "work")
LOOKED: Final = 50  # versions among which the one that an editor began from is looked for
SHOWN: Final = 30  # works offered on one page
KEPT: Final = 100  # of one user and list; the oldest go


def keep(state: State) -> None:
    """Remember the state of who is at work, or forget it when there is nothing to save. What is too long to be read
    back is not kept. What the page went on from is replaced, unless another page has changed it since.
    """
    with services().database.begin() as session:
        if not state.is_changed:
            session.execute(delete(ListDraft).where(*_mine(state.list_id), ListDraft.work == state.work.id))
        elif len(state.json) <= MOST:
            _drop_former(session, state.list_id, state.work)
            upsert(session, DRAFTS, [_row(state)], KEY)  # one page's requests may overlap
            _trim(session, state.list_id)


def left(session: Session, list_id: int | None) -> list[ListDraft]:
    """What whoever is at work has not saved of a list, or of new ones (None): each work by itself, newest first."""
    newest = select(ListDraft).where(*_mine(list_id)).order_by(ListDraft.at.desc(), ListDraft.work)
    return list(session.scalars(newest.limit(SHOWN)))


def find(session: Session, list_id: int | None, work: str) -> ListDraft | None:
    """One of them."""
    return session.get(ListDraft, (g.user.id, list_id or 0, work))


def drop(session: Session, list_id: int | None, work: Work) -> None:
    """Forget it, and what it went on from while that is as it was then."""
    session.execute(delete(ListDraft).where(*_mine(list_id), ListDraft.work == work.id))
    _drop_former(session, list_id, work)


def _drop_former(session: Session, list_id: int | None, work: Work) -> None:
    if work.since:
        grown = (ListDraft.work == work.came_from, ListDraft.at == work.since)
        session.execute(delete(ListDraft).where(*_mine(list_id), *grown))


def _row(state: State) -> dict[str, Any]:
    """Of the table."""
    mine = (g.user.id, state.list_id or 0, state.work.id)
    written = {"version": state.version, "name": state.name, "criteria": state.json, "at": utcnow()}
    return dict(zip(KEY, mine, strict=True)) | written


def _mine(list_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return ListDraft.user_id == g.user.id, ListDraft.list_id == (list_id or 0)


def _trim(session: Session, list_id: int | None) -> None:
    newest = select(ListDraft.work).where(*_mine(list_id)).order_by(ListDraft.at.desc(), ListDraft.work).limit(KEPT)
    old = delete(ListDraft).where(*_mine(list_id), ListDraft.work.not_in(newest))
    session.execute(old, execution_options={"synchronize_session": False})


@dataclass(frozen=True)
class Overtaken:
    """What somebody else saved since an editor began: the newest version, and how it differs from the one before."""

    newest: ListVersion
    changes: list[Change]
    renamed_from: str | None


def overtaken(session: Session, state: State) -> Overtaken | None:
    """None while the editor has the newest version."""
    if state.list_id is None or not state.version:
        return None
    versions = lists.versions(session, state.list_id, limit=LOOKED)
    if not versions or versions[0].version <= state.version:
        return None
    newest, began = versions[0], next((one for one in versions if one.version <= state.version), versions[-1])
    catalogue, language = reader(session), str(get_locale())
    older, newer = (lists.reading(one.criteria, catalogue, state.list_id, language) for one in (began, newest))
    renamed_from = began.name if began.name != newest.name else None
    return Overtaken(newest, lists.difference(older, newer), renamed_from)
