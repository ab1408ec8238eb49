"""What somebody has left unsaved, as it is offered: told apart by its name, its sentence and its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from flask_babel import get_locale, gettext
from sqlalchemy.orm import Session

from engine import criteria
from engine.catalogue import Catalogue
from engine.errors import Invalid
from engine.models import ContactList
from web.models import ListDraft
from web.pages.lists import builder, drafts
from web.pages.lists.draft import finished
from web.pages.lists.rows import reader


@dataclass(frozen=True)
class Left:
    """One work. `work` goes on with it."""

    work: str
    name: str
    sentence: str
    at: datetime


def again(saved: ContactList | None, draft: ListDraft) -> builder.State:
    """The state that was left."""
    return builder.asked(saved, {"q": draft.criteria, "name": draft.name, "version": str(draft.version)})


def offered(session: Session, saved: ContactList | None) -> list[Left]:
    """Newest first; what holds nothing to save is none."""
    return list(_told(session, saved, reader(session)))


def _told(session: Session, saved: ContactList | None, catalogue: Catalogue) -> Iterator[Left]:
    for one in drafts.left(session, saved.id if saved else None):
        state = again(saved, one)
        if state.is_changed:
            yield Left(one.work, one.name, _sentence(state, catalogue), one.at)


def _sentence(state: builder.State, catalogue: Catalogue) -> str:
    """Of what is finished."""
    try:
        checked = criteria.parse(finished(state.draft).criteria, catalogue, list_id=state.list_id)
    except Invalid:
        return str(gettext("Something here cannot be counted yet."))
    return criteria.sentence(checked, str(get_locale()))
