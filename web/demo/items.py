"""What the shop sells: 600 items from the parts in catalogue.csv, their prices, what goes with what, and how likely
each is to be chosen by a person of some taste and price band in some month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from web.demo.catalogue import BRANDS, QUANTITIES, SEASONS, SIZES, TASTES
from web.demo.people import DAYS, Flags, Floats, Ints

ITEMS = 600
MONTHS = 37  # months of the history, the present one included
QUALITY = (0.75, 1.08, 1.7)  # price factor of the cheap, our own and the fine brand
RANGES = ("everyday", "classic", "fine")
PARTNERS = 6  # items that go with an item
LIKING = 14.0  # how much more often a taste's kinds are chosen


@dataclass(frozen=True)
class Assortment:
    """The items, one row each, and what only the generator knows about them (arrays in the same order)."""

    items: pd.DataFrame
    quantities: Floats  # (items, 5): cumulative chances of buying 1, 2, 3, 4, 6
    staple: Flags  # bought again and again
    first_month: Ints  # of the history, in which it is sold
    partners: Ints  # (items, PARTNERS), best first
    chances: Floats  # flat: cumulative chances of the items for each (month, taste, band), see `draw`
    searches: pd.DataFrame  # per item: what is typed to find it, in English and Chinese

    def draw(self, rng: np.random.Generator, month: Ints, taste: Ints, band: Floats) -> Ints:
        """An item for each visit. One search finds all: group g's cumulative chances stand at g .. g + 1."""
        near = np.clip((band + rng.normal(0, 0.35, len(band))).round().astype(int), 0, 2)
        group = (month * len(TASTES) + taste) * len(RANGES) + near
        found = np.searchsorted(self.chances, group + rng.random(len(group)), side="right")
        return np.asarray(np.minimum(found - group * ITEMS, ITEMS - 1))


def generate_items(rng: np.random.Generator, now: datetime) -> Assortment:
    """Build the catalogue as it stands at `now`."""
    with (files("web.demo") / "catalogue.csv").open(encoding="utf-8") as file:
        kinds = pd.read_csv(file, keep_default_na=False)
    table = _titles(rng, kinds)
    kind = table["kind"].to_numpy()
    quality = rng.choice(len(RANGES), size=ITEMS, p=[0.3, 0.45, 0.25])
    department = kinds["path"].str.partition(" > ")[0].to_numpy()[kind]
    pounds = kinds["price"].to_numpy()[kind] * table["factor"].to_numpy() * np.array(QUALITY)[quality]
    price = _shelf_price(pounds * rng.uniform(0.9, 1.12, ITEMS))
    keep = np.where(department == "Pantry", 0.40, 0.52) + rng.normal(0, 0.04, ITEMS)  # margin of the price
    first_month = np.where(rng.random(ITEMS) < 0.14, rng.integers(6, MONTHS, ITEMS), 0)
    number = np.arange(1, ITEMS + 1)
    items = pd.DataFrame(
        {
            "key": [f"FO-{n:04d}" for n in number],
            "title": table["title"],
            "category": kinds["path"].to_numpy()[kind],
            "brand": [BRANDS[name][rank] for name, rank in zip(department, quality, strict=True)],
            "price": price,
            "cost": (price * (1 - keep) / 100).round().astype(np.int64) * 100,
            "stock": np.where(rng.random(ITEMS) < 0.04, 0, rng.gamma(1.4, 45, ITEMS).astype(int) + 1),
            "url": [f"https://fennelandoak.example/items/fo-{n:04d}" for n in number],
            "active": rng.random(ITEMS) > 0.015,
            "attributes": [{"range": RANGES[rank]} for rank in quality],
        }
    )
    return Assortment(
        items,
        quantities=np.array([np.cumsum(QUANTITIES[name][0]) / 100 for name in kinds["bought"]])[kind],
        staple=np.array([QUANTITIES[name][1] for name in kinds["bought"]])[kind],
        first_month=first_month,
        partners=_partners(rng, kinds, kind, quality),
        chances=_chances(_popularity(rng, kinds, kind), kinds.iloc[kind], quality, first_month, now.month),
        searches=pd.DataFrame({"en": table["search"], "zh": kinds["chinese"].to_numpy()[kind]}),
    )


def _titles(rng: np.random.Generator, kinds: pd.DataFrame) -> pd.DataFrame:
    """As many titles of each kind as give ITEMS together, none twice."""
    each, more = divmod(ITEMS, len(kinds))
    rows = []
    for number, parts in enumerate(kinds[["words", "nouns", "sizes"]].itertuples(index=False)):
        made = list(product(*(str(part).split("/") for part in parts)))
        for pick in rng.permutation(len(made))[: each + (number < more)]:
            word, noun, size = made[pick]
            title = " ".join(part for part in (word, noun, size) if part)
            search = f"{word} {noun}" if pick % 2 else noun or word
            rows.append((number, title, SIZES[size], search.strip().lower()))
    return pd.DataFrame(rows, columns=["kind", "title", "factor", "search"])


def _shelf_price(pounds: Floats) -> Ints:
    """Ten-thousandths of a pound: .25, .50, .75 or .95 below ten pounds, .50 or .95 below forty, whole pounds above."""
    steps = np.select([pounds < 10, pounds < 40], [4, 2], 1)
    rounded = np.maximum(np.round(pounds * steps) / steps, 1.25)
    ended = np.where((rounded % 1 == 0) & (pounds < 40), rounded - 0.05, rounded)
    return np.asarray(np.round(ended * 10_000).astype(np.int64))


def _partners(rng: np.random.Generator, kinds: pd.DataFrame, kind: Ints, quality: Ints) -> Ints:
    """Which items an item is bought with: of the kinds it goes with, the ones of its own quality first."""
    names = kinds["path"].str.rpartition(" > ")[2].tolist()
    chosen = np.empty((ITEMS, PARTNERS), dtype=np.int64)
    for item in range(ITEMS):
        wanted = [names.index(name) for name in kinds["goes_with"].iloc[kind[item]].split("/") if name]
        distance = np.abs(quality - quality[item]) + rng.random(ITEMS)
        best = [np.lexsort((distance, kind != one))[:3] for one in wanted or [kind[item]]]
        chosen[item] = np.resize(np.column_stack(best), PARTNERS)  # the best of each kind, then the second ...
    return chosen


def _popularity(rng: np.random.Generator, kinds: pd.DataFrame, kind: Ints) -> Floats:
    """Weight of the kind times Zipf's law within it."""
    rank = np.empty(ITEMS)
    for number in range(len(kinds)):
        mine = np.flatnonzero(kind == number)
        rank[mine] = 1 + rng.permutation(len(mine))
    return np.asarray(kinds["weight"].to_numpy(dtype=float)[kind] / rank**0.9)


def _chances(popular: Floats, kinds: pd.DataFrame, quality: Ints, first_month: Ints, month: int) -> Floats:
    """Chance of each item for each month of the history, taste and price band, made cumulative for `draw`.
    `kinds` has a row per item; the history begins in the month of the year in which it ends.
    """
    likes = np.array([[taste in str(names).split() for names in kinds["tastes"]] for taste in TASTES])
    liked = np.where(likes, LIKING, 1.0)  # (tastes, items)
    fits = np.exp(-((np.arange(len(RANGES))[:, None] - quality[None, :]) ** 2))  # (bands, items)
    calendar = np.array([SEASONS[season] for season in kinds["season"]], dtype=float)
    calendar /= calendar.mean(axis=1, keepdims=True)
    sold = first_month[None, :] <= np.arange(MONTHS)[:, None]
    season = calendar[:, (month - 1 + np.arange(MONTHS)) % 12].T * sold  # (months, items)
    weight: Any = season[:, None, None, :] * liked[None, :, None, :] * fits[None, None, :, :] * popular
    groups = (np.cumsum(weight, axis=3) / weight.sum(axis=3, keepdims=True)).reshape(-1, ITEMS)
    return np.asarray((groups + np.arange(len(groups))[:, None]).ravel())


def month_of(day: Any, now: datetime) -> Ints:
    """Month of the history (0 is the one it begins in) in which a day of the history falls."""
    start = pd.Timestamp(now).tz_convert(None) - pd.Timedelta(days=DAYS)
    moment = start + pd.to_timedelta(day, unit="D")
    months = (moment.year - start.year) * 12 + moment.month - start.month
    return np.clip(np.asarray(months, dtype=np.int64), 0, MONTHS - 1)
