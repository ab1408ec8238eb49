"""The training that serves, the items that an input names, and what contacts hold, as rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from engine.catalogue import Catalogue
from engine.config import Config
from engine.criteria.comparisons import LEVELS
from engine.criteria.scored import Input, Score
from engine.errors import Invalid, Unreadable
from engine.models import Item
from engine.values import Clock, Words
from recommender.arrays import Ints
from recommender.fitted import Fitted, load
from recommender.training import current

REMEDY: Final = "No training serves yet: train on the page Recommendations or with `rapport train`."


def item_input(key: str, en: str, zh: str) -> Input:
    """An item, by its number in the shop."""
    return Input(key, "choice", Words(en, zh), suggest="item")


def category_input(key: str, en: str, zh: str) -> Input:
    """A category and all below it."""
    return Input(key, "path", Words(en, zh), suggest="category")


def fitted(catalogue: Catalogue) -> Fitted:
    """The training that serves; raises Invalid that says how to get one."""
    assert catalogue.warehouse is not None
    return serving(catalogue.session, catalogue.warehouse.config)


def serving(session: Session, config: Config) -> Fitted:
    """The same for a page."""
    training = current(session)
    if training is None:
        raise Invalid(REMEDY)
    folder = config.folder / training.folder
    try:
        return _opened(folder, (folder / "training.json").stat().st_mtime_ns)
    except (OSError, Unreadable) as error:
        raise Invalid(f"The training that serves cannot be read ({error}): train again.") from None


@lru_cache(maxsize=2)
def _opened(folder: Path, _written: int) -> Fitted:
    """Mapped once: every keystroke asks."""
    return load(folder)


def of_item(catalogue: Catalogue, key: str, field: str) -> tuple[Ints, Words]:
    """The item as an array of one id, and what it is called. Raises Invalid."""
    query = select(Item.id, Item.title).where(Item.key == key)
    found = catalogue.session.execute(query).first()
    if found is None:
        raise Invalid(f"There is no item '{key[:80]}'; take its number from your catalogue.", field=field)
    name = found.title or key
    return _ids([found.id]), Words(f"“{name}”", f"“{name}”")


def of_category(catalogue: Catalogue, path: str, field: str) -> tuple[Ints, Words]:
    """The items of a category and all below it, and its name. Raises Invalid."""
    ids = catalogue.session.scalars(select(Item.id).where(_within(path))).all()
    if not ids:
        raise Invalid(f"No item is in the category '{path[:80]}'.", field=field)
    return _ids(ids), Words(f"an item of “{path}”", f"类别“{path}”的商品")


def named(catalogue: Catalogue, given: Mapping[str, Any], prefix: str) -> tuple[Ints, Words] | None:
    """What `<prefix>.item` or `<prefix>.category` name; None when neither is given. Raises Invalid for both."""
    item, category = given[f"{prefix}.item"], given[f"{prefix}.category"]
    if item is not None and category is not None:
        raise Invalid("Name an item or a category, not both.", field=f"{prefix}.category")
    if item is not None:
        return of_item(catalogue, item, f"{prefix}.item")
    return None if category is None else of_category(catalogue, category, f"{prefix}.category")


def titles(catalogue: Catalogue, ids: Iterable[int]) -> dict[int, str]:
    """What items are called, by id: their title, or number."""
    query = select(Item.id, Item.title, Item.key).where(Item.id.in_(list(ids)))
    return {number: title or key for number, title, key in catalogue.session.execute(query)}


def unasked(words: Words, contrary: Words) -> Score:
    """The score of criteria that are saved and not asked: nobody looks at its rows."""
    return Score(_nobody, words, contrary)


def stamp(table: pa.Table) -> str:
    """A short mark of what a score is made of."""
    found = hashlib.blake2b(digest_size=8)
    for column in table.columns:
        found.update(column.combine_chunks().to_numpy(zero_copy_only=False).tobytes())
    return found.hexdigest()


def holdings(warehouse: Any, items: Any) -> Any:
    """What contacts hold: (contact_id, item_id, at: their last purchase) of the items in a table with item_id, for
    those of whom the units bought and returned leave something. As recommender.interactions.last_kept.
    """
    orders, lines = warehouse.table("orders"), warehouse.table("order_lines")
    orders = orders.filter(orders.contact_id.notnull())
    lines = lines.select("order_id", "item_id", "quantity").semi_join(items, "item_id")
    rows = lines.inner_join(orders.select("contact_id", order_id=orders.id, at=orders.ordered_at), "order_id")
    held = rows.group_by("contact_id", "item_id").agg(net=rows.quantity.sum(), at=rows.at.max(where=rows.quantity > 0))
    return held.filter(held.net > 0, held["at"].notnull()).select("contact_id", "item_id", "at")


def _ids(found: Any) -> Ints:
    return np.array(found, np.int64)


def _within(path: str) -> ColumnElement[bool]:
    lower = func.lower(Item.category)
    return or_(lower == path.lower(), lower.startswith((path + LEVELS).lower(), autoescape=True))


def _nobody(_warehouse: Any, _clock: Clock, _currency: str) -> Any:
    raise AssertionError("these criteria were parsed to be saved")
