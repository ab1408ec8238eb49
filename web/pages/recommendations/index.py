"""Recommendations: what each placement would offer whom and why, and which training serves."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from campaigns import offered
from engine import contacts, criteria, leaves
from engine.catalogue import open_catalogue
from engine.models import Contact, Item
from recommender import comparisons, placements, training
from recommender.answers import Answer, Request
from web.pages.recommendations.door import blueprint
from web.services import services, utcnow

SHOWN: Final = 8
MOST: Final = 20  # keys that are typed in one field; the API takes 100


@dataclass(frozen=True)
class Trial:
    """A question as typed, whom it is about, and the answer with the time it took (ms). visit: looked at in this
    visit.
    """

    placement: str
    who: str
    items: Sequence[str]
    visit: Sequence[str]
    contact: Contact | None
    answer: Answer
    took_ms: float

    @property
    def stranger(self) -> bool:
        """Somebody was named, but nobody is known by that."""
        return bool(self.who) and self.contact is None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Try a placement, beside what strangers would see; all placements below."""
    with services().database.read() as session:
        plans = placements.read(session)
        trial = _trial(session, plans)
        return render_template(
            "recommendations/index.html",
            plans=plans,
            choices=[(plan.key, plan.name) for plan in plans.values()],
            trial=trial,
            popular=_ask(session, Request(trial.placement, n=SHOWN)),
            now={key: _ask(session, Request(key, n=3)).items for key in plans},
            suppressed=_titled(session, placements.suppressed(session)),
            compared=comparisons.running(session),
            serving=training.current(session),
            known=session.execute(select(Item.key, Item.title).where(Item.active).order_by(Item.id).limit(20)).all(),
            problem=services().recommender.problem,
            lists=_lists(session, trial.answer),
        )


def _trial(session: Session, plans: dict[str, Any]) -> Trial:
    """The question in the address; without one, the first contact who ever gave an e-mail address."""
    placement = request.args.get("placement", "home")
    placement = placement if placement in plans else "home"
    who = request.args.get("who", "").strip()[:254]
    items, visit = (keys_of(request.args.get(name, "")) for name in ("items", "visit"))
    contact = find(session, who)
    start = time.perf_counter()
    asked = Request(placement, contact.id if contact else None, items=items, session=visit, n=SHOWN)
    answer = _ask(session, asked)
    return Trial(placement, who, items, visit, contact, answer, (time.perf_counter() - start) * 1000)


def keys_of(typed: str) -> list[str]:
    """Keys of items that were typed with commas."""
    return [key.strip()[:128] for key in typed.split(",") if key.strip()][:MOST]


def _lists(session: Session, answer: Answer) -> dict[str, tuple[str, int]]:
    """By key of an item that a rule offers: the criteria of those who bought what leads to it, but not the item, and
    how many they find now, if any. The reason's own numbers are others: buyers when the training learned, with guests.
    """
    reasons = {item.key: item.reason for item in answer.items if item.reason and item.reason.kind == "rules"}
    ids = {number for reason in reasons.values() for number in reason.because_ids}
    keys = dict(session.execute(select(Item.id, Item.key).where(Item.id.in_(ids))).all()) if ids else {}
    asked = {
        key: {"all": [*(_bought(keys[number]) for number in reason.because_ids), {"not": _bought(key)}]}
        for key, reason in reasons.items()
        if all(number in keys for number in reason.because_ids)
    }
    warehouse = services().warehouse
    if asked:
        warehouse.refresh()  # as the page of the list does
    catalogue = open_catalogue(session, warehouse)
    return {
        key: (json.dumps(one), size)
        for key, one in asked.items()
        if (size := leaves.size(warehouse, criteria.parse(one, catalogue), utcnow()))
    }


def _bought(key: str) -> dict[str, Any]:
    where = [{"field": "item", "operator": "is", "value": key}]
    return {"event": "order", "measure": "count", "where": where, "operator": "at_least", "value": 1}


def _titled(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """What items are called, by key; "" for one that nobody knows."""
    titles = dict(session.execute(select(Item.key, Item.title).where(Item.key.in_(keys))).all()) if keys else {}
    return {key: (titles[key] or key) if key in titles else "" for key in keys}


def find(session: Session, who: str) -> Contact | None:
    """By customer number or e-mail address; nobody asked for: one of those who can be written to."""
    query = select(Contact).order_by(Contact.id).limit(1)
    if who:
        found = session.scalar(query.where(or_(Contact.key == who, Contact.email == who.lower())))
        return found and contacts.get(session, found.id)
    willing = query.where(Contact.email_consent.is_(True), Contact.merged_into.is_(None))
    return session.scalar(willing) if "who" not in request.args else None


def _ask(session: Session, asked: Request) -> Answer:
    return services().recommender.recommend(session, asked, now=utcnow(), shown=offered.last)
