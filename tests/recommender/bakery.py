"""A trained shop of four items whose nine rules are known by thought."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database
from engine.models import Item
from engine.warehouse import Warehouse
from recommender import fitted, training
from recommender.interactions import load
from recommender.models import Training
from recommender.sources.base import Settings
from tests.recommender.shop import NOW, add_contacts, add_items, add_order

TITLES = {"A0": "Bread", "A1": "Butter", "A2": "Jam", "A3": "Tea"}


def bake(database: Database, warehouse: Warehouse, config: Config) -> None:
    """30 bought bread and butter, 10 bread alone, 20 of the 30 jam as well, 25 tea; trained on that, and published."""
    with database.begin() as session:
        bread, butter, jam, tea = things = add_items(session, 4)
        for item in things:
            item.title = TITLES[item.key]
        people = add_contacts(session, 65)
        for number, contact in enumerate(people):
            basket = (
                [tea] if number >= 40 else [bread, *([butter] if number < 30 else []), *([jam] if number < 20 else [])]
            )
            add_order(session, contact, basket, NOW - timedelta(days=5 + number))
        add_order(session, people[0], [butter], NOW - timedelta(days=1), quantity=-1)  # took it back
    warehouse.refresh()
    settings = Settings(minimum_support=0.01, minimum_confidence=0.05)
    learned = fitted.fit(load(warehouse, NOW, 365), settings, seed=1)
    fitted.save(learned, config.folder / "trainings" / "1")
    with database.begin() as session:
        session.add(Training(status="ready", folder="trainings/1", started_at=NOW, finished_at=NOW))
        session.flush()
        training.publish(session, 1, NOW)


def change(session: Session, *keys: str, **values: Any) -> None:
    """Give items other values, as an import does: whoever follows changes hears of it."""
    for item in session.scalars(select(Item).where(Item.key.in_(keys or TITLES))):
        for name, value in values.items():
            setattr(item, name, value)
