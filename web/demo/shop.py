"""The demo shop: everything that is loaded, as frames with the columns of the tables, made from a seed and a moment.

Fennel & Oak of York sells what a kitchen, a table and a larder need. Nothing here is a real person, address or
telephone number. The same seed, moment and number of contacts give the same shop to the last byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import pandas as pd

from web.demo import offers, rows
from web.demo.campaigns import Audience, play, split
from web.demo.events import answers, generate_events
from web.demo.items import generate_items
from web.demo.orders import add_discounts, add_returns, generate_baskets, generate_visits
from web.demo.people import Ints, generate_people
from web.demo.stories import PLANS
from web.demo.world import World


@dataclass(frozen=True)
class Shop:
    """Frames named after the tables, parents first; `truth` is for tests and is not loaded: one row per past campaign
    with what it really changed.
    """

    contacts: pd.DataFrame
    identities: pd.DataFrame
    consents: pd.DataFrame
    suppressions: pd.DataFrame
    items: pd.DataFrame
    orders: pd.DataFrame
    order_lines: pd.DataFrame
    events: pd.DataFrame
    lists: pd.DataFrame
    campaigns: pd.DataFrame
    variants: pd.DataFrame
    firings: pd.DataFrame
    sends: pd.DataFrame
    links: pd.DataFrame
    truth: pd.DataFrame

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Table names and frames, in the order in which they can be inserted."""
        return ((field.name, getattr(self, field.name)) for field in fields(self) if field.name != "truth")

    def digest(self) -> str:
        """SHA-256 over all frames."""
        sums = hashlib.sha256()
        for name, frame in self.tables():
            sums.update(f"{name}\n{frame.to_csv(index=False)}".encode())
        return sums.hexdigest()


def generate(seed: int, now: datetime, contacts: int = 20_000) -> Shop:
    """Make the shop as it is at `now`. Pure; 20,000 contacts take 3 s."""
    chances = (np.random.default_rng([seed, step]) for step in range(100))  # one stream a step: a change in one
    assortment = generate_items(next(chances), now)  # of them does not shuffle the others
    world = World(generate_people(next(chances), now, contacts), assortment, now)
    visits = generate_visits(next(chances), world)
    lines = generate_baskets(next(chances), world, visits)
    born = _born(next(chances), world, visits)
    drawing = next(chances)
    splits = [split(drawing) for _ in PLANS]
    reach = play(next(chances), Audience(world, visits, lines, born), splits)
    caused = generate_baskets(next(chances), world, reach.extra)
    lines = pd.concat([lines, caused.assign(visit=caused["visit"] + len(visits))], ignore_index=True)
    visits = pd.concat([visits, reach.extra], ignore_index=True)
    code = np.concatenate([reach.code, [PLANS[number].code for number in reach.extra["cause"]]])
    lines = add_discounts(next(chances), lines, code)
    visits, lines = add_returns(next(chances), world, visits, lines)
    events, visitors = generate_events(next(chances), world, visits, lines, born)
    orders, order_lines = rows.orders(world, visits, lines)
    sends = rows.sends(world, reach)
    told = answers(next(chances), world, reach.sends.assign(id=sends["id"]))
    offered = offers.shown(next(chances), world, events)
    return Shop(
        contacts=rows.contacts(world, born, reach.left),
        identities=rows.identities(visitors),
        consents=rows.consents(world, reach.left, born),
        suppressions=rows.suppressions(world, reach.left),
        items=rows.items(world),
        orders=orders,
        order_lines=order_lines,
        events=rows.events(pd.concat([events, told, offered], ignore_index=True)),
        lists=rows.lists(now),
        campaigns=rows.campaigns(splits, now),
        variants=rows.variants(),
        firings=rows.firings(reach, now),
        sends=sends,
        links=rows.links(),
        truth=rows.truth(visits, lines, reach, now),
    )


def _born(rng: np.random.Generator, world: World, visits: pd.DataFrame) -> Ints:
    """When each contact came in: on the day they joined, at the latest just before their first order."""
    joined = world.start + world.people.joined * 86_400 + rng.integers(0, 3600, world.count)
    first = visits.groupby("contact")["at"].min().reindex(range(world.count)).fillna(np.inf).to_numpy()
    born = np.minimum(joined, first - rng.integers(60, 1500, world.count))
    return np.minimum(born, world.end - 3600).astype(np.int64)
