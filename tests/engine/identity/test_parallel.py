"""Many name people at once through all doors: everybody waits for their turn, and nobody is turned away."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import intake, website
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Form
from engine.sources import forms
from engine.sources.forms import Answer

THREADS, CALLS, PEOPLE = 8, 25, 4
FORM = {
    "title": "Wine",
    "language": "en",
    "questions": [
        {"name": "mail", "type": "email", "label": "Your e-mail", "target": "email"},
        {"name": "given", "type": "text", "label": "Your name", "target": "first_name"},
    ],
    "consents": {"email": "You may write to me about wine."},
}


def told(dice: random.Random, name: str, now: datetime, config: Config) -> Callable[[Session], Any]:
    """One call at one of the doors, about one of a few people."""
    who = dice.randrange(PEOPLE)
    mail, moment = f"p{who}@shop.example", now + timedelta(seconds=dice.randrange(1000))
    line = {"item": "wine", "quantity": 1, "unit_price": "5"}
    order = {"order": name, "at": moment.isoformat(), "lines": [line]}
    visitor = f"visitor-{who:08}-{dice.randrange(2):08}"
    page = {"type": "page_view", "visitor": visitor, "key": f"page-{name:>016}".replace(" ", "0")}
    known = {"type": "identify", "visitor": visitor, "key": f"known-{name:>016}".replace(" ", "0"), "email": mail}
    records: dict[str, tuple[str, dict[str, Any]]] = {
        "mail": ("orders", order | {"email": mail}),
        "card": ("orders", order | {"card": f"47{who}", "email": mail}),
        "number": ("orders", order | {"contact": f"C-{who}"}),
        "contact": ("contacts", {"key": f"C-{who}", "email": mail, "email_consent": dice.random() < 0.5}),
        "named": ("contacts", {"key": f"C-{who}", "card": f"47{who}", "first_name": name}),
    }
    door = dice.choice(["website", "form", *records])

    def work(session: Session) -> Any:
        if door == "website":
            return website.take(session, [page, known], None, lambda _word: None, now=now, config=config)
        if door == "form":
            form = session.scalars(select(Form)).one()
            given = Answer({"mail": mail, "given": name}, {"email"}, visitor, name)
            return forms.answer(session, form, given, now=now, config=config)
        kind, record = records[door]
        return intake.accept(session, kind, [record], now=now, config=config)

    return work


@pytest.mark.parametrize("seed", range(2))
def test_all_doors_at_once(database: Database, config: Config, now: datetime, seed: int) -> None:
    """No call fails, also of those that take no second turn; the order of locks is the same everywhere."""
    with database.begin() as session:
        forms.save(session, None, "Wine", "survey", FORM, now=now)
    config = replace(config, tracking=replace(config.tracking, identify="any"))

    def calls(thread: int) -> None:
        dice = random.Random(seed * 100 + thread)
        for call in range(CALLS):
            work = told(dice, f"{thread}-{call}", now, config)
            with database.begin() as session:
                work(session)

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(calls, thread) for thread in range(THREADS)]:
            done.result()
    with database.read() as session:
        customers = {f"C-{who}" for who in range(PEOPLE)}
        assert customers <= set(session.scalars(select(Contact.key).where(Contact.merged_into.is_(None))))


def test_who_is_turned_away_takes_another_turn(database: Database) -> None:
    """What PostgreSQL took back, because two waited for each other, is done again; other errors are not."""
    tried: list[int] = []

    def work(session: Session) -> str:
        session.execute(select(Contact.id))
        tried.append(1)
        if len(tried) < 3:
            raise psycopg.errors.DeadlockDetected
        return "done"

    assert database.retried(work) == "done"
    assert len(tried) == 3

    def broken(_session: Session) -> None:
        tried.append(1)
        raise psycopg.errors.UniqueViolation

    with pytest.raises(psycopg.errors.UniqueViolation):
        database.retried(broken)
    assert len(tried) == 4
