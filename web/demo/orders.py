"""What people bought: rhythm, baskets, prices and returns.

Rhythm follows BG/NBD (Fader, Hardie & Lee 2005) with gamma instead of exponential gaps: a person buys at a rate of
their own and after each order leaves for good with a chance of their own. Gaps pass in busy time: a December day
is longer than a February one, so the whole shop is seasonal and nobody's rhythm is.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from web.demo.people import DAYS, Floats, Ints
from web.demo.world import World

GAP_SHAPE = 1.8  # above 1: more regular than chance
RATE_SHAPE, GAP_DAYS = 1.4, 55.0  # the rates of people: gamma; the gap at the mean rate
LEAVING = (0.9, 1.75)  # chance to leave after an order: beta
MOST_ORDERS = 80
MOST_LINES = 10
QUANTITY = np.array([1, 2, 3, 4, 6])
BUSY_MONTH = (0.92, 0.82, 0.92, 0.95, 0.97, 0.92, 0.86, 0.88, 0.98, 1.06, 1.34, 1.72)
BUSY_WEEKDAY = (1.0, 0.95, 0.95, 0.98, 1.05, 1.12, 1.1)
HOURS = {  # share of the orders in each hour of the day
    "web": (1, 0, 0, 0, 0, 1, 2, 4, 5, 6, 6, 6, 8, 7, 6, 5, 5, 6, 7, 9, 11, 11, 7, 3),
    "store": (0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 9, 12, 14, 13, 12, 11, 11, 9, 3, 0, 0, 0, 0, 0),
}
USUAL, PARTNER = 0.22, 0.46  # chance that a line is one's usual, or goes with what is in the basket already
PROMOTION = 0.11  # share of orders at a reduced price
RETURNS = 0.045
UNKNOWN = 0.12  # share of the customers in a shop who do not say who they are
DEARER = 0.965  # prices of a year ago


def generate_visits(rng: np.random.Generator, world: World) -> pd.DataFrame:
    """When who buys where, without campaigns: columns contact, at, channel, unknown (paid in a shop without saying who
    they are), cause (-1: no campaign's).
    """
    people, busy = world.people, _busy(world.now)
    who = np.flatnonzero(people.ordering)
    gap = GAP_DAYS * RATE_SHAPE / rng.gamma(RATE_SHAPE, size=len(who))
    leaving = rng.beta(*LEAVING, size=len(who))
    wait = np.where(rng.random(len(who)) < 0.6, 0.0, rng.exponential(25, len(who)))
    old = people.joined[who] == 0  # customers before the history begins: anywhere in their rhythm
    wait += old * rng.exponential(90, len(who))
    clock = np.interp(people.joined[who] + wait, np.arange(DAYS + 1), busy)
    alive = np.flatnonzero(clock < busy[-1])
    contacts, moments = [], []
    for _ in range(MOST_ORDERS):
        contacts.append(who[alive])
        moments.append(clock[alive])
        alive = alive[rng.random(len(alive)) > leaving[alive]]
        clock[alive] += rng.gamma(GAP_SHAPE, gap[alive] / GAP_SHAPE)
        alive = alive[clock[alive] < busy[-1]]
    contact = np.concatenate(contacts)
    channel = _channels(rng, world, contact)
    at = _moments(rng, np.interp(np.concatenate(moments), busy, np.arange(DAYS + 1)), channel, world.now)
    unknown = (channel == "store") & (rng.random(len(contact)) < UNKNOWN)
    visits = pd.DataFrame({"contact": contact, "at": at, "channel": channel, "unknown": unknown, "cause": -1})
    return visits.drop_duplicates(["contact", "at"], ignore_index=True)


def generate_baskets(rng: np.random.Generator, world: World, visits: pd.DataFrame) -> pd.DataFrame:
    """What is in each visit's basket: one row a line with visit (row), item, quantity, unit_price, unit_cost."""
    goods, contact = world.assortment, visits["contact"].to_numpy()
    basket = _fill(rng, world, contact, world.month(visits["at"].to_numpy()))
    visit, place = np.nonzero(basket >= 0)
    item = basket[visit, place]
    many = (rng.random(len(item))[:, None] > goods.quantities[item]).sum(axis=1)
    years = (world.end - visits["at"].to_numpy()[visit]) // (365 * 86_400)
    return pd.DataFrame(
        {
            "visit": visit,
            "item": item,
            "quantity": QUANTITY[many],
            "unit_price": _pennies(goods.items["price"].to_numpy()[item] * DEARER**years),
            "unit_cost": _pennies(goods.items["cost"].to_numpy()[item] * DEARER**years),
        }
    )


def add_discounts(rng: np.random.Generator, lines: pd.DataFrame, code: Floats) -> pd.DataFrame:
    """Price reductions: a campaign's code where there is one (share of the price, per visit), else now and then.
    `usual` is what would have been given without campaigns.
    """
    season = rng.choice([0.05, 0.1, 0.15, 0.2], size=len(code), p=[0.3, 0.4, 0.2, 0.1])
    usual = np.where(rng.random(len(code)) < PROMOTION, season, 0.0)
    share = np.where(code > 0, code, usual)
    full = (lines["quantity"] * lines["unit_price"]).to_numpy()
    visit = lines["visit"].to_numpy()
    return lines.assign(discount=_pennies(full * share[visit]), usual=_pennies(full * usual[visit]))


def add_returns(
    rng: np.random.Generator, world: World, visits: pd.DataFrame, lines: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits and lines with the returns behind them (`returns`: the visit, -1): one piece, at the price paid."""
    back = (
        visits["at"].to_numpy() + rng.integers(3, 25, len(visits)) * 86_400 + rng.integers(-9_000, 9_000, len(visits))
    )
    chosen = np.flatnonzero((rng.random(len(visits)) < RETURNS) & ~visits["unknown"] & (back < world.end - 3600))
    first = lines.drop_duplicates("visit").set_index("visit").iloc[chosen]  # every visit has a line
    paid = (first["unit_price"] - first["discount"] / first["quantity"]).to_numpy()
    returned = visits.iloc[chosen].assign(at=back[chosen], returns=chosen)
    brought = first.assign(quantity=-1, unit_price=_pennies(paid), discount=0, usual=0).reset_index(drop=True)
    brought["visit"] = len(visits) + np.arange(len(chosen))
    everything = pd.concat([visits.assign(returns=-1), returned], ignore_index=True)
    return everything, pd.concat([lines, brought], ignore_index=True)


def _fill(rng: np.random.Generator, world: World, contact: Ints, month: Ints) -> Ints:
    """Items by visit and place, -1 for none: one's usual, or what goes with another line, or what one likes."""
    goods = world.assortment
    household = world.people.contacts["household_size"].fillna(2).to_numpy(dtype=float)[contact]
    size = 1 + rng.negative_binomial(1.5, 1.5 / (1.5 + 1.12 + 0.22 * household)).clip(0, MOST_LINES - 1)
    usual = _usuals(rng, world)
    basket = np.full((len(contact), MOST_LINES), -1, dtype=np.int64)
    for line in range(MOST_LINES):
        here = np.flatnonzero(size > line)
        item = world.draw(rng, contact[here], month[here])
        chance = rng.random(len(here))
        item = np.where(chance < USUAL, usual[contact[here], rng.integers(0, usual.shape[1], len(here))], item)
        if line:
            beside = basket[here, rng.integers(0, line, len(here))]
            rank = (rng.random(len(here)) ** 1.7 * goods.partners.shape[1]).astype(int)
            item = np.where((chance > 1 - PARTNER) & (beside >= 0), goods.partners[beside, rank], item)
        fits = (goods.first_month[item] <= month[here]) & ~(basket[here] == item[:, None]).any(axis=1)
        basket[here, line] = np.where(fits, item, -1)
    empty = np.flatnonzero((basket < 0).all(axis=1))
    basket[empty, 0] = world.draw(rng, contact[empty], month[empty])
    return basket


def _usuals(rng: np.random.Generator, world: World) -> Ints:
    """Four things each person buys again and again: food and the like, sold since the beginning."""
    good = world.assortment.staple & (world.assortment.first_month == 0)
    usual = np.empty((world.count, 4), dtype=np.int64)
    for place in range(usual.shape[1]):
        drawn = rng.choice(np.flatnonzero(good), size=world.count)
        again = np.arange(world.count)
        for _ in range(4):  # by then nearly everybody has one to their taste
            tried = world.draw(rng, again, rng.integers(0, 12, len(again)))
            drawn[again[good[tried]]] = tried[good[tried]]
            again = again[~good[tried]]
        usual[:, place] = drawn
    return usual


def _pennies(amount: Floats) -> Ints:
    return np.asarray(np.round(amount / 100).astype(np.int64) * 100)


def _busy(now: datetime) -> Floats:
    """Busy time gone by at the start of each day of the history (one day of it is an average day)."""
    days = pd.date_range(pd.Timestamp(now).normalize() - pd.Timedelta(days=DAYS - 1), periods=DAYS)
    level = np.array(BUSY_MONTH)[days.month - 1] * np.array(BUSY_WEEKDAY)[days.day_of_week]
    level *= np.where((days.month == 11) & (days.day >= 23), 1.5, 1.0)  # the week of Black Friday
    level *= np.where((days.month == 12) & (days.day >= 21), 0.45, 1.0)  # too late for the post
    return np.concatenate([[0.0], np.cumsum(level)])


def _channels(rng: np.random.Generator, world: World, contact: Ints) -> npt.NDArray[np.str_]:
    near = world.people.store[contact] != ""
    age = world.people.contacts["age"].fillna(45).to_numpy(dtype=float)[contact]
    in_store = near & (rng.random(len(contact)) < np.clip(0.15 + 0.006 * age, 0, 0.6))
    return np.where(in_store, "store", np.where(rng.random(len(contact)) < 0.015, "phone", "web"))


def _moments(rng: np.random.Generator, day: Floats, channel: npt.NDArray[np.str_], now: datetime) -> Ints:
    """The day's number and a believable hour; never after `now`."""
    midnight = int(pd.Timestamp(now).normalize().timestamp()) - (DAYS - 1) * 86_400 + day.astype(np.int64) * 86_400
    seconds = np.empty(len(day), dtype=np.int64)
    for name, shares in HOURS.items():
        here = np.flatnonzero((channel == "web") == (name == "web"))
        hour = rng.choice(24, size=len(here), p=np.array(shares) / sum(shares))
        seconds[here] = hour * 3600 + rng.integers(0, 3600, len(here))
    at = midnight + seconds
    return np.where(at < now.timestamp() - 600, at, at - 86_400)
