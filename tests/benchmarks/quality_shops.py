"""Public data as shops: imported through the door for files, learned from as `rapport train --tune` does, and asked by
the protocol of who published figures for them (../shared/data/README.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import select

from engine import config as settings
from engine import schema
from engine.database import Database
from engine.intake.files import import_file
from engine.models import Contact, Item
from recommender import evaluation, interactions, tuning
from recommender.arrays import Ints
from recommender.evaluation import Case, Questions
from recommender.interactions import Interactions
from recommender.sources import SOURCES
from recommender.sources.base import Settings
from recommender.trail import Trail
from web.services import Services, opened

DATA: Final = Path(__file__).parents[3] / "shared" / "data"
UNTIL: Final = datetime(2026, 1, 1, tzinfo=UTC)  # of shops without dates: their last step is a day before
NOTHING: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Shop:
    """What was imported, and the ids of the shop's own numbers."""

    known: Interactions
    items: dict[str, int]
    contacts: dict[str, int]

    def ids(self, keys: Sequence[Any]) -> Ints:
        """Item ids."""
        return np.array([self.items[str(key)] for key in keys], np.int64)

    def past(self, contact: Any) -> Trail:
        """What a contact did, by item id."""
        row = int(np.searchsorted(self.known.people, self.contacts[str(contact)]))
        trail = self.known.trails.of_row(row)
        return trail.renamed(self.known.item_ids[trail.items])


@contextmanager
def kept(until: datetime, **files: pd.DataFrame) -> Iterator[Services]:
    """A workspace with these records: items, orders, events."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"workspace": {"path": folder}, "log": {"level": "error"}, "recommender": {"history_days": 36_500}}
        config = settings.build(given)
        database = Database(config.database_url)
        schema.upgrade(database)
        database.close()
        with opened(config) as services:
            for kind, records in files.items():
                path = Path(folder) / f"{kind}.parquet"
                records.to_parquet(path, index=False)
                run = import_file(services.database, config, kind, path, now=until)
                assert not run.rejected, (kind, run.rejected)
            services.warehouse.refresh()
            yield services


@contextmanager
def imported(until: datetime, **files: pd.DataFrame) -> Iterator[Shop]:
    """What is learned from a shop of these records."""
    with kept(until, **files) as services:
        with services.database.read() as session:
            items = dict(session.execute(select(Item.key, Item.id)).all())
            contacts = dict(session.execute(select(Contact.key, Contact.id)).all())
        yield Shop(interactions.load(services.warehouse, until, 36_500), items, contacts)


def tuned(shop: Shop, split: tuning.Split) -> Settings:
    """Settings chosen on the validation that `split` makes of what the shop knows."""
    return tuning.tune(shop.known, Settings(reasons=False), split, tuning.Teller(_told))


def _told(told: str) -> None:
    print("    validation:", told, flush=True)


def by_days(days: float, most: int = tuning.MOST) -> tuning.Split:
    """The last so many days are asked about."""

    def split(known: Interactions) -> tuple[Interactions, tuning.Asked]:
        before, after = evaluation.split(known, known.until - timedelta(days=days))
        return before, evaluation.cases(before, after, seed=1, most=most)

    return split


def only(task: str, split: tuning.Split) -> tuning.Split:
    """The questions of one task alone, and of what belongs to it."""

    def parted(known: Interactions) -> tuple[Interactions, tuning.Asked]:
        before, asked = split(known)
        return before, {name: cases for name, cases in asked.items() if name in (task, *WITH.get(task, ()))}

    return parted


WITH: Final = {"session": ("returning",)}


def answer(
    shop: Shop, source: str, task: str, chosen: Settings, cases: Sequence[Case], n: int
) -> tuple[Any, Questions]:
    """items, q x n, that the source finds, learned from all that the shop knows; and what was asked. Told beside
    best-sellers, as validation was.
    """
    questions = Questions.of(task, cases, shop.known.item_ids)
    learned, popular = (SOURCES[name].fit(shop.known, chosen, seed=1) for name in (source, "popular"))
    found = learned.candidates(questions.query, n).items
    ours, theirs = (questions.ndcg(one) for one in (found, popular.candidates(questions.query, n).items))
    told = f"{ours.mean():.4f} ± {evaluation.error(ours):.4f}, best-sellers {theirs.mean():.4f}"
    print(f"    test: {len(cases)} questions, nDCG@10 {told}", flush=True)
    return found, questions


def ranks(found: Any, questions: Questions) -> list[Ints]:
    """For each question the places, from 0, of what is true."""
    return [np.flatnonzero(np.isin(row, truth) & (row >= 0)) for row, truth in zip(found, questions.truth, strict=True)]


def steps(sequences: Sequence[Sequence[Sequence[Any]]], contacts: Sequence[Any]) -> pd.DataFrame:
    """Orders of contacts whose steps have an order but no dates: a day apart, the last a day before UNTIL."""
    rows = [
        (f"{contact}-{number}", UNTIL - timedelta(days=len(sequence) - number), str(contact), str(item), 1, "1")
        for contact, sequence in zip(contacts, sequences, strict=True)
        for number, step in enumerate(sequence)
        for item in step
    ]
    return pd.DataFrame(rows, columns=["order", "at", "contact", "item", "quantity", "unit_price"])


Figures = dict[str, float]
Protocol = Callable[[], Figures]
