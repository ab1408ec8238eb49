"""The Recommender: one per process, holds the published training in mapped memory and answers from any thread."""

from __future__ import annotations

import atexit
import gc
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine import identity
from engine.config import Config
from engine.database import Database
from engine.errors import Unreadable
from engine.models import Item, Order, OrderLine
from recommender import batches, bundles, comparisons, crew, history, placements
from recommender.algebra import each
from recommender.answering import Asked, Row, State, Turn, warm
from recommender.answers import KEPT, Answer, Request
from recommender.comparisons import Variant
from recommender.crew import Crew, Job
from recommender.fitted import Fitted, load
from recommender.history import NOTHING
from recommender.kept import ITEM_BYTES, Kept
from recommender.models import Published, Training
from recommender.placements import Plan
from recommender.shelf import Shelf
from recommender.sources.base import Settings, Source
from recommender.sources.popular import POPULAR_DAYS, Newest, Popular

CHECKED: Final = 1.0  # seconds between looks at the switch, the placements and the shelf
STALE: Final = 5.0  # seconds after which nobody is answered by what was seen then
BORROWED: Final = 60.0  # seconds that best-sellers counted in SQL answer when no training does

_SWITCH: Final = select(Training.id, Training.folder).join(Published)

Seen = Callable[[Session, Sequence[int], int], Mapping[int, Sequence[int]]]  # contacts, mails: item ids of each

atexit.register(gc.unfreeze)  # what `_settle` puts aside ends like everything else, or libraries tell of leaks

log = structlog.get_logger(__name__)


class Recommender:
    """Answers for all placements. A damaged training is refused and the one before it goes on serving."""

    def __init__(self, database: Database, folder: Path, config: Config) -> None:
        self.database = database
        self.folder = folder
        self.config = config
        self.problem: str | None = None  # why the published training does not serve
        self._state: State | None = None
        self.crew = Crew(database, folder)
        self._rows: Kept[Row] = Kept(KEPT)
        self._lock = threading.Lock()
        self._aside = ThreadPoolExecutor(1, "training")
        self._loading: tuple[int, Future[Fitted]] | None = None
        self._checked = -STALE
        self._counted = -BORROWED
        self._refused: int | None = None

    def recommend(
        self,
        session: Session,
        request: Request,
        *,
        now: datetime,
        shown: Seen | None = None,
        plan: Plan | None = None,
    ) -> Answer:
        """One answer; `shown` as in `recommend_many`; `plan` in place of the placement's, to look at one that
        is not saved. Raises Invalid for an unknown placement, never for an unknown contact or item.
        """
        state = self._current(session, now)
        request, variant = (request, None) if plan else _drawn(session, state, request)
        moment = self._here(now).replace(second=0, microsecond=0)  # so that equal questions of a minute are equal
        turn = Turn.of(state, request, moment, plan, variant=variant)
        asked = Asked.of(request, state.shelf)
        done = self._done(session, request, now) if turn.is_personal(asked) else NOTHING
        contact_id = request.contact_id
        before = _before(session, turn, [contact_id], shown).get(contact_id, ()) if contact_id is not None else ()
        asked = asked._replace(done=done, shown=tuple(before))
        row = self._rows.of((turn, asked), lambda: turn.row(asked), lambda made: _bytes(turn, asked, made))
        return turn.told(row, _missing(state, request))

    def _done(self, session: Session, request: Request, now: datetime) -> str:
        contact_id = request.contact_id
        if contact_id is None and request.visitor:
            if not request.personal:
                return history.of_browser(self.database, request.visitor, now)
            contact_id = identity.contact_of_visitor(session, request.visitor)
        if contact_id is not None:
            return history.of_contact(self.database, contact_id, now)
        return history.of_visitor(self.database, request.visitor, now) if request.visitor else NOTHING

    def recommend_many(
        self,
        session: Session,
        placement: str,
        contact_ids: Sequence[int],
        n: int,
        *,
        now: datetime,
        shown: Seen | None = None,
    ) -> dict[int, Answer]:
        """An answer for each contact, by one statement for every turn of them, several turns at once: what is
        committed is read, whatever `session` has written. `shown` tells what stood in the last mails of contacts; it is
        asked where the placement's rule wants to know.
        """
        state, asked, here = self._current(session, now), Request(placement, n=n), self._here(now)
        turns = [
            (Turn.of(state, asked, here, variant=variant), part)
            for variant, ids in _arms(state, placement, list(dict.fromkeys(contact_ids)))
            for part in batches.parts(ids)
        ]

        is_large = len(contact_ids) >= crew.LARGE
        first = Job.of(turns[0][0], (), now, ()) if is_large else None
        if first:
            self.crew.begin(first)

        def answered(given: tuple[Turn, Sequence[int]]) -> Iterable[tuple[int, Answer]]:
            turn, ids = given
            with self.database.read() as own:
                before = _before(own, turn, ids, shown)
            barred = [before.get(contact, ()) for contact in ids]
            job = Job.of(turn, ids, now, barred) if is_large else None
            rows = self.crew.rows(job) if job else None
            if rows is None:
                rows = batches.rows(turn, history.of_contacts(self.database, ids, now), barred)
            return zip(ids, map(turn.told, rows), strict=True)

        found = each(answered, turns) if len(turns) > 1 else map(answered, turns)
        return dict(chain.from_iterable(found))

    def reload(self) -> None:
        """Look at the switch, the placements and the items again at the next question. A training that was published
        is read first: who calls this waits for that, and no answer does.
        """
        self._refused = None
        with self.database.read() as session:
            wanted = session.execute(_SWITCH).first()
        with self._lock:
            old = self._state
            future = self._begun(*wanted) if wanted and old and old.training_id != wanted.id else None
        if future:
            wait([future])
        with self._lock:  # whoever looks now may have looked before what has changed
            self._checked = -STALE

    def known(self, session: Session, keys: Iterable[str], now: datetime) -> set[str]:
        """Those keys whose items stand in what answers now; others wait for the next training."""
        state = self._current(session, now)
        ids = {key: item for key in keys if (item := state.shelf.keys.get(key)) is not None}
        numbers = state.fitted.numbers(np.array(list(ids.values()), np.int64))
        return {key for key, number in zip(ids, numbers, strict=True) if number >= 0}

    def _here(self, now: datetime) -> datetime:
        """The same moment on the shop's clock: pins hold for its days."""
        return now.astimezone(self.config.locale.zone)

    def _current(self, session: Session, now: datetime) -> State:
        """The state, no older than CHECKED. Whoever comes while somebody looks goes on with the old one, unless that
        is STALE: nobody may have asked for an hour.
        """
        state, age = self._state, time.monotonic() - self._checked
        if state is not None and age <= CHECKED:
            return state
        if not self._lock.acquire(blocking=state is None or age > STALE):
            return state  # type: ignore[return-value]  # there is one, or we had waited
        try:
            if self._state is None or time.monotonic() - self._checked > CHECKED:
                state = self._look(session, now)
                if state is not self._state:
                    self._rows.clear()
                self._state = state
                self._checked = time.monotonic()
            return self._state
        finally:
            self._lock.release()

    def _look(self, session: Session, now: datetime) -> State:
        """What answers from now on: the same state while nothing changes. The lock is held."""
        old = self._state
        shelf = (old.shelf if old else Shelf()).refreshed(session)
        training_id, fitted = self._fitted(session, old, now)
        plans, suppressed = placements.read(session), placements.suppressed(session)
        compared, sets = comparisons.running(session), bundles.on_sale(session, self._here(now).date())
        if old is None or old.training_id != training_id:
            self._aside.submit(_settle)
        if old is None or old.fitted is not fitted or len(old.shelf.state.ids) != len(shelf.state.ids):
            rows = shelf.rows(fitted.item_ids)
            return State(training_id, fitted, plans, suppressed, shelf, rows, comparisons=compared, bundles=sets)
        same = old.shelf is shelf and (old.plans, old.suppressed) == (plans, suppressed)
        same = same and (old.comparisons, old.bundles) == (compared, sets)
        if same:
            return old
        return State(training_id, fitted, plans, suppressed, shelf, old.rows, comparisons=compared, bundles=sets)

    def _fitted(self, session: Session, old: State | None, now: datetime) -> tuple[int | None, Fitted]:
        """The training of the switch; until it is loaded, or if it is damaged, the one before it; else best-sellers
        counted in SQL.
        """
        wanted = session.execute(_SWITCH).first()
        if wanted and (old is None or old.training_id != wanted.id) and self._refused != wanted.id:
            fitted = self._loaded(wanted.id, wanted.folder, patient=old is None)
            if fitted:
                return wanted.id, fitted
        if old is not None and old.training_id is not None:
            return old.training_id, old.fitted
        if old is None or time.monotonic() - self._counted > BORROWED:
            self._counted = time.monotonic()
            return None, best_sellers(session, now)
        return None, old.fitted

    def _begun(self, training_id: int, folder: str) -> Future[Fitted]:
        """The training on its way, read aside. The lock is held."""
        if self._loading is None or self._loading[0] != training_id:
            self._loading = training_id, self._aside.submit(_read, self.folder / Path(folder).name)
        return self._loading[1]

    def _loaded(self, training_id: int, folder: str, *, patient: bool) -> Fitted | None:
        """The training, once it is read: checking its files takes seconds, and no answer waits for that unless nothing
        else answers.
        """
        future = self._begun(training_id, folder)
        if not (patient or future.done()):
            return None
        self._loading = None
        try:
            fitted = future.result()
        except Unreadable as error:
            self.problem, self._refused = error.message, training_id
            log.error("training refused", training=training_id, error=error.message)  # noqa: TRY400
            return None
        self.problem = self._refused = None
        return fitted


def _drawn(session: Session, state: State, request: Request) -> tuple[Request, Variant | None]:
    """The arm of who asks, where a comparison runs: of a visitor who is known, the contact's. The question becomes
    the contact's where it is personal.
    """
    compared = state.comparisons.get(request.placement)
    if compared is None:
        return request, None
    contact_id = request.contact_id
    if contact_id is None and request.visitor:
        contact_id = identity.contact_of_visitor(session, request.visitor)
        request = replace(request, contact_id=contact_id) if request.personal else request
    return request, compared.variant(contact_id, request.visitor)


def _arms(state: State, placement: str, contact_ids: Sequence[int]) -> list[tuple[Variant | None, list[int]]]:
    """Contacts by the arm they fall to."""
    compared = state.comparisons.get(placement)
    if compared is None:
        return [(None, list(contact_ids))]
    found: dict[str, tuple[Variant | None, list[int]]] = {}
    for contact_id in contact_ids:
        variant = compared.variant(contact_id, None)
        found.setdefault(variant.mark if variant else "", (variant, []))[1].append(contact_id)
    return list(found.values())


def _before(
    session: Session, turn: Turn, contact_ids: Sequence[int], shown: Seen | None
) -> Mapping[int, Sequence[int]]:
    """What stood in the mails that the placement's rule looks at."""
    mails = turn.plan.rules.unseen_mails
    return shown(session, contact_ids, mails) if shown and mails else {}


def _missing(state: State, request: Request) -> tuple[str, ...]:
    """Keys of what is looked at that nobody knows."""
    keys = state.shelf.keys
    return tuple(dict.fromkeys(key for key in (*request.items, *request.cart, *request.session) if key not in keys))


def _bytes(turn: Turn, asked: Asked, row: Row) -> int:
    """What an answer and its question take in memory, about."""
    ids = sum(map(len, (asked.items, asked.cart, asked.session, asked.exclude, asked.shown)))
    letters = len(asked.done) + sum(len(text) for part in turn.filter if isinstance(part, tuple) for text in part)
    return ITEM_BYTES * (len(row) + 2) + 8 * ids + letters


def _settle() -> None:
    """What stays is not looked through by each collection: with 100,000 items that holds all up for 220 ms. What is
    garbage goes first, or it would stay for good.
    """
    gc.collect()
    gc.freeze()


def _read(folder: Path) -> Fitted:
    """The training, ready for its first question; raises Unreadable for one that this version cannot use."""
    try:
        fitted = load(folder)
        warm(fitted)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, AssertionError) as error:
        raise Unreadable(f"The training in {folder.name} cannot be used ({error}); train again.") from error
    return fitted


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
