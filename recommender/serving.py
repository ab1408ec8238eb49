"""The Recommender: one per process, holds the published training in mapped memory and answers from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database
from engine.errors import Unreadable
from engine.models import Item, Order, OrderLine
from recommender import history, placements
from recommender.answering import BATCH, State, Turn
from recommender.answers import Answer, Request
from recommender.fitted import Fitted, load
from recommender.history import EMPTY
from recommender.models import Published, Training
from recommender.shelf import Filter, Shelf
from recommender.sources.base import Settings, Source
from recommender.sources.popular import POPULAR_DAYS, Newest, Popular

CHECKED: Final = 1.0  # seconds between looks at the switch, the placements and the shelf
BORROWED: Final = 60.0  # seconds that best-sellers counted in SQL answer when no training does

log = structlog.get_logger(__name__)


class Recommender:
    """Answers for all placements. A damaged training is refused and the one before it goes on serving."""

    def __init__(self, database: Database, folder: Path, config: Config) -> None:
        self.database = database
        self.folder = folder
        self.config = config
        self.problem: str | None = None  # why the published training does not serve
        self._state: State | None = None
        self._lock = threading.Lock()
        self._checked = -CHECKED
        self._counted = -BORROWED
        self._refused: int | None = None

    def recommend(self, session: Session, request: Request, *, now: datetime) -> Answer:
        """One answer; raises Invalid for an unknown placement, never for an unknown contact or item."""
        state = self._current(session, now)
        turn = Turn(session, state, state.plan(request.placement), request.filter, request.n, explain=request.explain)
        return turn.answer([turn.question(request, now)])[0]

    def recommend_many(
        self, session: Session, placement: str, contact_ids: Sequence[int], n: int, *, now: datetime
    ) -> dict[int, Answer]:
        """An answer for each contact, by two statements for every BATCH of them."""
        state = self._current(session, now)
        turn = Turn(session, state, state.plan(placement), Filter(), n, explain=True)
        answers: dict[int, Answer] = {}
        for first in range(0, len(contact_ids), BATCH):
            some = list(contact_ids[first : first + BATCH])
            known = history.of_contacts(session, some, now)
            questions = [turn.about(known.get(contact, EMPTY)) for contact in some]
            answers |= zip(some, turn.answer(questions), strict=True)
        return answers

    def reload(self) -> None:
        """Look at the switch, the placements and the items again at the next question."""
        self._checked = -CHECKED
        self._refused = None

    def _current(self, session: Session, now: datetime) -> State:
        if self._state is None:
            with self._lock:
                return self._state or self._look(session, now)
        if time.monotonic() - self._checked > CHECKED and self._lock.acquire(blocking=False):
            try:
                return self._look(session, now)
            finally:
                self._lock.release()
        return self._state

    def _look(self, session: Session, now: datetime) -> State:
        """Bring the state up to date; the lock is held."""
        old = self._state
        shelf = (old.shelf if old else Shelf()).refreshed(session)
        training_id, fitted = self._fitted(session, old, now)
        unchanged = old is not None and old.fitted is fitted and old.shelf is shelf
        rows = old.rows if old is not None and unchanged else shelf.rows(fitted.item_ids)
        self._state = State(training_id, fitted, placements.read(session), shelf, rows)
        self._checked = time.monotonic()
        return self._state

    def _fitted(self, session: Session, old: State | None, now: datetime) -> tuple[int | None, Fitted]:
        """The training of the switch; if it is damaged the one before it; else best-sellers counted in SQL."""
        wanted = session.execute(select(Training.id, Training.folder).join(Published)).first()
        if wanted and (old is None or old.training_id != wanted.id) and self._refused != wanted.id:
            try:
                fitted = load(self.folder / Path(wanted.folder).name)
            except Unreadable as error:
                self.problem, self._refused = error.message, wanted.id
                log.error("training refused", training=wanted.id, error=error.message)  # noqa: TRY400
            else:
                self.problem = self._refused = None
                return wanted.id, fitted
        if old is not None and old.training_id is not None:
            return old.training_id, old.fitted
        if old is None or time.monotonic() - self._counted > BORROWED:
            self._counted = time.monotonic()
            return None, best_sellers(session, now)
        return None, old.fitted


def best_sellers(session: Session, now: datetime) -> Fitted:
    """What answers when no training does: items by buyers of the last POPULAR_DAYS, then the newest."""
    who = func.coalesce(Order.contact_id, -Order.id)
    counted = (
        select(OrderLine.item_id, func.count(who.distinct()))
        .join(Order, Order.id == OrderLine.order_id)
        .where(Order.ordered_at > now - timedelta(days=POPULAR_DAYS), Order.ordered_at <= now, OrderLine.quantity > 0)
        .group_by(OrderLine.item_id)
    )
    buyers = dict(session.execute(counted).all())
    ids = np.array(session.scalars(select(Item.id).where(Item.recommendable)).all(), np.int64)
    counts = np.array([buyers.get(int(item), 0) for item in ids], np.int32)
    order = np.lexsort((-ids, -counts))
    ids, counts = ids[order], counts[order]
    sources: dict[str, Source] = {
        Popular.name: Popular(counts.astype(np.float64), counts),
        Newest.name: Newest.of(ids, np.ones(len(ids), bool)),
    }
    return Fitted(ids, sources, Settings(), now)
