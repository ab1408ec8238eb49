"""One turn of answers: questions in, items with reasons out, the same way for one and for a thousand."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from engine import identity
from engine.errors import Invalid, nearest
from engine.models import Item
from recommender import history
from recommender.answers import Answer, Reason, Recommended, Request, reason
from recommender.fitted import Chosen, Fitted, stack
from recommender.history import EMPTY, History
from recommender.interactions import Ints
from recommender.placements import Plan
from recommender.shelf import Filter, Shelf
from recommender.sources.base import Because, Query

SPARE: Final = 5  # items more than asked for: one may have sold out since the last look
FADING: Final = 0.8  # weight of each earlier step of a session
BATCH: Final = 1000  # questions of one turn, ids of one statement

# Built once: building them takes longer than running them.
_ITEM: Final = Item.__table__.c
_SHOWN: Final = ("id", "title", "key", "price", "currency", "url", "image_url", "category")
_ACTIVE: Final = select(*(_ITEM[column] for column in _SHOWN)).where(
    _ITEM.id.in_(bindparam("ids", expanding=True)), _ITEM.active, _ITEM.recommendable
)
_STOCKED: Final = _ACTIVE.where(_ITEM.stock.is_(None) | (_ITEM.stock > 0))

Details = dict[int, Row[Any]]  # item id -> what is shown


@dataclass(frozen=True)
class State:
    """What answers now. rows: shelf row of each item number."""

    training_id: int | None
    fitted: Fitted
    plans: dict[str, Plan]
    shelf: Shelf
    rows: Ints

    def plan(self, key: str) -> Plan:
        """The placement; raises Invalid with the nearest known one."""
        if key not in self.plans:
            raise Invalid(f"There is no placement '{key}'.{nearest(key, self.plans)}", field="placement")
        return self.plans[key]


@dataclass(frozen=True)
class Question:
    """context: item ids and weights of what is looked at; excluded: item ids; missing: keys nobody knows."""

    context: dict[int, float]
    history: History
    excluded: Ints
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turn:
    """Questions that share a placement, a filter and a number of items."""

    session: Session
    state: State
    plan: Plan
    filter: Filter
    n: int
    explain: bool

    def question(self, request: Request, now: datetime) -> Question:
        """Keys to ids, the contact's or visitor's history, and what must not be offered."""
        known = self._ids({*request.items, *request.cart, *request.session, *request.exclude})
        context: dict[int, float] = {}
        for step, key in enumerate(reversed(request.session)):
            context.setdefault(known.get(key, 0), FADING**step)
        context |= {known.get(key, 0): 1.0 for key in (*request.items, *request.cart)}
        context.pop(0, None)  # no item has id 0: these are the unknown keys
        asked = dict.fromkeys((*request.items, *request.cart, *request.session))
        barred = [*context, *(known[key] for key in request.exclude if key in known)]
        missing = tuple(key for key in asked if key not in known)
        return self.about(_history(self.session, request, now), context, barred, missing)

    def about(
        self,
        past: History,
        context: dict[int, float] | None = None,
        barred: Sequence[int] = (),
        missing: tuple[str, ...] = (),
    ) -> Question:
        """A question about somebody with a history, looking at `context`."""
        bought = past.bought if self.plan.rules.exclude_purchased else np.empty(0, np.int64)
        return Question(context or {}, past, np.concatenate([np.array(barred, np.int64), bought]), missing)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer for each."""
        query, ids = self._query(questions), self.state.fitted.item_ids
        chosen = self.state.fitted.choose(self.plan.sources, query, self.n + SPARE)
        details = self._details(ids[one.item] for found in chosen for one in found)
        kept = [[one for one in found if int(ids[one.item]) in details][: self.n] for found in chosen]
        reasons = self._reasons(questions, query, kept) if self.explain else {}
        return [
            Answer(
                f"{self.state.training_id or 0}.{secrets.token_urlsafe(16)}",
                self.plan.key,
                self.state.training_id,
                self.state.training_id is None,
                tuple(
                    _recommended(details[int(ids[one.item])], one, rank, reasons.get((row, one.item)))
                    for rank, one in enumerate(found, 1)
                ),
                questions[row].missing,
            )
            for row, found in enumerate(kept)
        ]

    def _query(self, questions: Sequence[Question]) -> Query:
        fitted, width = self.state.fitted, len(self.state.fitted.item_ids)
        contexts = [(np.fromiter(ask.context, np.int64), list(ask.context.values())) for ask in questions]
        return Query(
            stack([(fitted.numbers(items), weights) for items, weights in contexts], width),
            stack([(fitted.numbers(ask.history.items), ask.history.weights) for ask in questions], width),
            stack([(fitted.numbers(ask.excluded), np.ones(len(ask.excluded))) for ask in questions], width),
            self.state.shelf.allowed(self.state.rows, replace(self.filter, in_stock=self._in_stock)),
        )

    @property
    def _in_stock(self) -> bool:
        return self.plan.rules.in_stock if self.filter.in_stock is None else self.filter.in_stock

    def _ids(self, keys: set[str]) -> dict[str, int]:
        """Item ids of keys; those the shelf does not know may be newer than it."""
        shelf = self.state.shelf.keys
        known = {key: shelf[key] for key in keys if key in shelf}
        if len(known) < len(keys):
            newer = select(Item.key, Item.id).where(Item.key.in_(keys - known.keys()))
            known |= dict(self.session.execute(newer).all())
        return known

    def _details(self, item_ids: Iterable[int]) -> Details:
        """What is shown of the items that may still be offered: the database has the last word."""
        statement, connection = _STOCKED if self._in_stock else _ACTIVE, self.session.connection()
        ids = sorted({int(item) for item in item_ids})
        batches = (ids[first : first + BATCH] for first in range(0, len(ids), BATCH))
        return {row.id: row for some in batches for row in connection.execute(statement, {"ids": some})}

    def _reasons(
        self, questions: Sequence[Question], query: Query, kept: list[list[Chosen]]
    ) -> dict[tuple[int, int], Reason]:
        found: dict[tuple[int, int], Because] = {}
        for row, chosen in enumerate(kept):
            for name in dict.fromkeys(one.source for one in chosen):
                items = np.array([one.item for one in chosen if one.source == name], np.int64)
                because = self.state.fitted.sources[name].explain(query, row, items)
                found |= {(row, int(item)): why for item, why in zip(items, because, strict=True)}
        ids = self.state.fitted.item_ids
        titles = self.state.shelf.titles
        bought = [set(question.history.bought.tolist()) for question in questions]
        return {
            (row, item): reason(
                because,
                [titles.get(int(ids[led]), "") for led in because.items],
                [int(ids[led]) for led in because.items],
                bought=all(int(ids[led]) in bought[row] for led in because.items),
            )
            for (row, item), because in found.items()
        }


def _history(session: Session, request: Request, now: datetime) -> History:
    contact_id = request.contact_id
    if contact_id is None and request.visitor:
        contact_id = identity.contact_of_visitor(session, request.visitor)
    if contact_id is not None:
        return history.of_contacts(session, [contact_id], now).get(contact_id, EMPTY)
    return history.of_visitor(session, request.visitor, now) if request.visitor else EMPTY


def _recommended(row: Row[Any], chosen: Chosen, rank: int, why: Reason | None) -> Recommended:
    return Recommended(
        item_id=row.id,
        key=row.key,
        title=row.title,
        price=row.price,
        currency=row.currency,
        url=row.url,
        image_url=row.image_url,
        category=row.category,
        score=round(chosen.score, 6),
        rank=rank,
        source=chosen.source,
        reason=why,
    )
