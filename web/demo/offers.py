"""What the demo shop recommends: bundles, a comparison that has ended, and what its rows showed in the last weeks.

Of each visit, the row of the home page before its first item, and the row beneath an item. What was looked at next
stood in it now and then, and was clicked; so a click leads to the view, the cart and the order that follow it anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.models import Item
from recommender import bundles
from recommender.comparisons import Running
from recommender.models import Comparison
from recommender.placements import DEFAULTS
from web.demo.people import Ints
from web.demo.world import World

DAYS: Final = 35  # in which the rows were there
HOUR: Final = 3600  # of silence ends a visit
SHOWN: Final = 3  # items of a row that were on the screen
HOME: Final = 0.5  # share of the visits that begin at the home page
BENEATH: Final = 0.25  # share of the views after which the row beneath is seen
CLICKS: Final = {"a": 0.05, "b": 0.06, "holdout": 0.035, "": 0.05}  # share of the rows, by what was shown
SOURCES: Final = {"home": "collaborative", "item": "rules"}

COMPARED_DAYS: Final = 28
ENDED: Final = timedelta(days=3)  # ago
COMPARED: Final = Running(1, "the same arms in every demo", 0.1, 0.5, {})  # its number, salt, holdout, share of b
VARIETY: Final = 0.4

OFFERED: Final = timedelta(days=90)  # since when bundles are
BUNDLES: Final = (  # name, titles with the lead first, share off
    ("Filter coffee at home", ("Ethiopia Yirgacheffe Beans 1 kg", "Flat-Bottom Paper Filters x 50"), 0.1),
    ("Oil and vinegar", ("Arbequina Olive Oil 1 l", "Cider Vinegar 500 ml"), 0.12),
    ("Coffee in a good mug", ("Reactive Blue Mug 500 ml", "Guatemala Antigua Ground Coffee 500 g"), 0.15),
    ("A table for six", ("Bubble Tumblers Set of 6", "Recycled Carafe 1 l", "Cork-Top Jug 1 l"), 0.12),
)


def make(session: Session, now: datetime, currency: str) -> None:
    """Bundles of what is sold (another seed sells other things), and the comparison whose arms the rows told."""
    for name, titles, discount in BUNDLES:
        found = dict(session.execute(select(Item.title, Item.key).where(Item.title.in_(titles), Item.active)).all())
        if len(found) == len(titles):
            given = {"name": name, "items": [found[title] for title in titles], "discount": discount}
            bundles.make(session, given, now - OFFERED, currency)
    home = DEFAULTS["home"]
    sources, rules = list(home.sources), home.rules.json()
    start, end = _compared(now)
    session.add(
        Comparison(
            id=COMPARED.id,
            placement=home.key,
            variant_a={"label": "As it is", "sources": sources, "rules": rules},
            variant_b={"label": "More variety", "sources": sources, "rules": rules | {"diversity": VARIETY}},
            share_b=COMPARED.share_b,
            holdout=COMPARED.holdout,
            salt=COMPARED.salt,
            days=COMPARED_DAYS,
            started_at=start,
            ended_at=end,
        )
    )


def shown(rng: np.random.Generator, world: World, events: pd.DataFrame) -> pd.DataFrame:
    """Impressions and clicks beside the item views of `events`, in their columns."""
    views = events[events["type"].eq("item_view") & (events["at"] > world.end - DAYS * 86_400)]
    views = views[["contact", "visitor", "at", "item"]].sort_values(["visitor", "at"], kind="stable", ignore_index=True)
    begins = (views["visitor"] != views["visitor"].shift()) | (views["at"].diff() > HOUR)
    after = views["item"].shift(-1, fill_value=-1).where(~begins.shift(-1, fill_value=True), -1)
    first = views[begins & (rng.random(len(views)) < HOME)]
    liking = np.where(first["contact"] < 0, rng.integers(0, world.count, len(first)), first["contact"])
    month = world.month(first["at"].to_numpy())
    drawn = np.stack([world.draw(rng, liking, month) for _ in range(SHOWN)], axis=1)
    home = _rows(rng, "home", first.assign(at=first["at"] - 25, then=first["item"]), drawn, _arms(first, world.now))
    seen = views.assign(then=after)[rng.random(len(views)) < BENEATH]
    beneath = world.assortment.partners[seen["item"].to_numpy(), :SHOWN]
    item = _rows(rng, "item", seen.assign(at=seen["at"] + 4), beneath, [""] * len(seen))
    told = pd.concat([home, item], ignore_index=True)
    return told[told["at"] < world.end].assign(value=-1, origin="web")


def _rows(
    rng: np.random.Generator, placement: str, asked: pd.DataFrame, items: Ints, arms: Sequence[str]
) -> pd.DataFrame:
    """The rows of a placement; asked: contact, visitor, at, and `then`, what was looked at next (-1: nothing)."""
    then, items = asked["then"].to_numpy(), items.copy()
    clicked = (then >= 0) & (rng.random(len(asked)) < np.array([CLICKS[arm] for arm in arms]))
    place = rng.integers(0, SHOWN, len(asked))
    items[clicked, place[clicked]] = then[clicked]
    ids = rng.integers(1, 2**62, len(asked))
    about = [_about(placement, number, arm) for number, arm in zip(ids.tolist(), arms, strict=True)]
    row, rank = np.repeat(np.arange(len(asked)), SHOWN), np.tile(np.arange(SHOWN), len(asked))
    flat = items.ravel()
    again = pd.DataFrame({"row": row, "item": flat}).duplicated().to_numpy()
    once = np.where(clicked[row] & (flat == then[row]), rank == place[row], ~again)  # a thing stands once in a row
    impressions = _told(asked, "impression", about, (row[once], flat[once], rank[once]))
    where = np.flatnonzero(clicked)
    clicks = _told(asked, "recommendation_click", about, (where, then[where], place[where]))
    return pd.concat([impressions, clicks.assign(at=clicks["at"] + 9)], ignore_index=True)


def _told(
    asked: pd.DataFrame, kind: str, about: Sequence[Mapping[str, Any]], places: tuple[Ints, Ints, Ints]
) -> pd.DataFrame:
    """Events about places: row of `asked`, item, and rank from 0, of each."""
    row, item, rank = places
    told = asked[["contact", "visitor", "at"]].iloc[row].reset_index(drop=True)
    properties: npt.NDArray[np.object_] = np.empty(len(row), dtype=object)
    properties[:] = [about[one] | {"rank": int(at) + 1} for one, at in zip(row, rank, strict=True)]
    return told.assign(at=told["at"] + rank, type=kind, item=item, properties=properties)


def _about(placement: str, number: int, arm: str) -> dict[str, Any]:
    mark = f".{COMPARED.id}{arm[0]}" if arm else ""
    source = "popular" if arm == "holdout" else SOURCES[placement]
    told = {"recommendation_id": f"1.{number:016x}{mark}", "placement": placement, "source": source}
    return told | ({"variant": arm} if arm else {})


def _arms(asked: pd.DataFrame, now: datetime) -> list[str]:
    """What each saw at home: an arm while the comparison ran."""
    start, end = (moment.timestamp() for moment in _compared(now))
    return [
        COMPARED.arm(f"contact {contact + 1}" if contact >= 0 else f"visitor {visitor}") if start <= at < end else ""
        for contact, visitor, at in zip(asked["contact"], asked["visitor"], asked["at"], strict=True)
    ]


def _compared(now: datetime) -> tuple[datetime, datetime]:
    end = now - ENDED
    return end - timedelta(days=COMPARED_DAYS), end
