"""What people did without buying: visits to the website, surveys, calls and flyers, and answers to our mails.

A web session is a row of item views; searches and carts hang on them. Some sessions end in an order, some in an
abandoned cart, most in nothing; a quarter belong to visitors we never got to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.models import OWN_KEYS
from web.demo.people import Ints
from web.demo.sources import FLYERS, FORMS, FOUND_US
from web.demo.stories import PLANS, SITE
from web.demo.world import World

WEB_EVENTS = 30  # per contact
ANONYMOUS = 0.25  # share of the sessions without an order
DAY = 86_400
DEVICES = np.array([{"device": "phone"}, {"device": "laptop"}, {"device": "tablet"}], dtype=object)
LINK = f"{SITE}/new"

# Not on the web: events per contact, origin, properties to choose from; under "" several that belong together.
ELSEWHERE: Mapping[str, tuple[float, str, Mapping[str, tuple[Any, ...]]]] = {
    "survey": (0.16, "survey", {
        "form": tuple(form[0] for form in FORMS if form[2] == "survey"),
        "score": (10, 10, 9, 9, 9, 8, 8, 8, 7, 7, 6, 5, 3, 1),
        "found_us": FOUND_US,
    }),
    "call": (0.09, "call", {
        "subject": ("delivery", "delivery", "return", "a question about an item", "invoice", "complaint"),
        "minutes": (1, 2, 2, 3, 3, 4, 5, 8, 12),
        "solved": (True, True, True, False),
    }),
    "flyer_scan": (0.07, "flyer", {"": tuple({"code": code, "flyer": name} for code, name in FLYERS)}),
}  # fmt: skip


def generate_events(
    rng: np.random.Generator, world: World, visits: pd.DataFrame, lines: pd.DataFrame, born: Ints
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events (contact, item and value -1 for none; at in seconds) and the visitors known to be contacts."""
    bought = visits[(visits["channel"] == "web") & (visits["returns"] < 0)]
    orders = _order_views(rng, world, bought, lines)
    missing = WEB_EVENTS * world.count - 1.16 * len(orders) - orders["cart"].sum()
    others = _other_views(rng, world, visits, born, sessions=int(max(missing, world.count) / 4.3))
    others["session"] += len(visits)
    views = pd.concat([orders, others], ignore_index=True)
    views["device"], visitors = _visitors(rng, views, born)
    web = _web(rng, world, views)
    happened = web["at"].between(1, world.end - 1)
    events = pd.concat([web[happened], _elsewhere(rng, born, world.end)], ignore_index=True)
    return events.sort_values("at", kind="stable", ignore_index=True), visitors


class Answer(NamedTuple):
    """What came back from a message, as campaigns.feedback writes it down."""

    kind: str
    moment: str  # column of the sends that says when, NaN for never
    key: str
    more: Callable[[Any], dict[str, Any]]


def _shown(send: Any) -> dict[str, Any]:
    return {"recommendation_id": send.shown, "placement": "email"}


ANSWERS = (
    Answer("open", "opened", "open:{0.id}:person", lambda send: {"machine": False}),
    Answer("click", "clicked", "click:{0.id}:{0.link}:person", lambda send: {"machine": False, "link": LINK}),
    Answer("impression", "opened", "impression:{0.id}:{0.shown}", _shown),
    Answer("recommendation_click", "chosen", "recommendation_click:{0.id}:{0.shown}:{0.item_id}", _shown),
    Answer("unsubscribe", "unsubscribed", "unsubscribe:{0.id}", lambda send: {"how": "link"}),
    Answer("bounce", "bounced", "bounce:{0.id}:permanent", lambda send: {"bounce": "permanent"}),
)


def answers(rng: np.random.Generator, world: World, sends: pd.DataFrame) -> pd.DataFrame:
    """Events of what came back from `sends` (with their ids)."""
    mail = np.array([plan.channel == "email" for plan in PLANS])[sends["campaign"]]
    month = world.month(sends["at"].fillna(world.start).to_numpy())
    item = world.draw(rng, sends["contact"].to_numpy(), month)
    rows = sends.assign(
        link=sends["campaign"] + 1,
        item_id=item + 1,
        shown=[f"{number:016x}" for number in rng.integers(1, 2**62, len(sends))],
        chosen=sends["clicked"].where(mail & (rng.random(len(sends)) < 0.3)),
        unsubscribed=sends["left"].where(sends["outcome"] == "unsubscribed"),
        bounced=sends["left"].where(sends["outcome"] == "bounced"),
    )
    parts = []
    for answer in ANSWERS:
        mine: Any = rows[rows[answer.moment].notna()]
        told = [
            {"send_id": send.id, "campaign_id": send.campaign + 1, "channel": PLANS[send.campaign].channel}
            | answer.more(send)
            for send in mine.itertuples()
        ]
        part = {
            "key": [OWN_KEYS + answer.key.format(send) for send in mine.itertuples()],
            "contact": mine["contact"],
            "at": mine[answer.moment].astype(np.int64),
            "type": answer.kind,
            "item": mine["item_id"] - 1 if answer.kind == "recommendation_click" else -1,
            "value": -1,
            "origin": "campaign",
            "properties": pd.Series(told, index=mine.index, dtype=object),
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _order_views(rng: np.random.Generator, world: World, bought: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Everything bought was looked at and put in the cart, other things were looked at as well."""
    mine = lines[lines["visit"].isin(bought.index)]
    looked = np.repeat(bought.index.to_numpy(), rng.poisson(1.9, len(bought)))
    then = bought.loc[looked]
    other = world.draw(rng, then["contact"].to_numpy(), world.month(then["at"].to_numpy()))
    views = pd.DataFrame(
        {
            "session": np.concatenate([mine["visit"], looked]),
            "item": np.concatenate([mine["item"], other]),
            "cart": np.repeat([True, False], [len(mine), len(looked)]),
        }
    )
    views = _in_turn(rng, views)
    visit = bought.loc[views["session"]]
    length = views.groupby("session")["turn"].transform("max").to_numpy() * 45 + 150
    return views.assign(contact=visit["contact"].to_numpy(), start=visit["at"].to_numpy() - length, abandoned=False)


def _other_views(
    rng: np.random.Generator, world: World, visits: pd.DataFrame, born: Ints, sessions: int
) -> pd.DataFrame:
    """Sessions without an order: before one, at any time, or of strangers (their numbers run down from -1)."""
    kind = rng.choice(3, size=sessions, p=[0.5, 0.5 - ANONYMOUS, ANONYMOUS])
    near = rng.integers(0, len(visits), sessions)
    buyer, then = visits["contact"].to_numpy()[near], visits["at"].to_numpy()[near]
    anybody = rng.integers(0, world.count, sessions)
    life = born[anybody] + rng.random(sessions) ** 1.6 * (world.end - born[anybody])
    before = np.where(rng.random(sessions) < 0.2, 6 * DAY, 0)  # some looked around before they told us who they are
    start = np.select(
        [kind == 0, kind == 1],
        [then - rng.exponential(5 * DAY, sessions) - 1800, life - before],
        then + rng.normal(0, 2 * DAY, sessions),
    )
    stranger = -1 - rng.integers(0, int(sessions * ANONYMOUS / 1.7) + 1, sessions)
    contact = np.select([kind == 0, kind == 1], [buyer, anybody], stranger)
    views = _in_turn(rng, pd.DataFrame({"session": np.repeat(np.arange(sessions), 1 + rng.poisson(2.4, sessions))}))
    session = views["session"].to_numpy()
    liking = np.where(contact < 0, anybody, contact)[session]
    leaves_cart = (rng.random(sessions) < 0.2)[session]
    first = views["turn"].to_numpy() == 0
    return views.assign(
        item=world.draw(rng, liking, world.month(start)[session]),
        cart=leaves_cart & (first | (rng.random(len(views)) < 0.3)),
        abandoned=leaves_cart & first,
        contact=contact[session],
        start=start[session],
    )


def _in_turn(rng: np.random.Generator, views: pd.DataFrame) -> pd.DataFrame:
    """Shuffled within the session, numbered from 0 by `turn`."""
    mixed = views.iloc[np.lexsort((rng.random(len(views)), views["session"].to_numpy()))].reset_index(drop=True)
    return mixed.assign(turn=mixed.groupby("session").cumcount())


def _visitors(rng: np.random.Generator, views: pd.DataFrame, born: Ints) -> tuple[Ints, pd.DataFrame]:
    """The browser of each view, as a number, and whose it is. Two in five people have a second one."""
    count = len(born)
    second = rng.random(count) < 0.4
    contact = views["contact"].to_numpy()
    chance = rng.random(int(views["session"].max()) + 1)[views["session"]]
    browser = contact * 2 + (second[contact] & (chance < 0.35))
    mine = np.unique(browser[contact >= 0])
    known = pd.DataFrame({"contact": mine // 2, "visitor": _names(mine), "at": born[mine // 2]})
    return np.where(contact < 0, 2 * count - contact, browser), known


def _names(device: Ints) -> npt.NDArray[np.object_]:
    """The cookie of a browser: its number, scrambled by a multiplication modulo the prime 2^61 - 1."""
    numbers = [f"{(int(number) + 1) * 0x1F3A5C7D9B2E4F61 % (2**61 - 1):016x}" for number in device]
    return np.array(numbers, dtype=object)


def _web(rng: np.random.Generator, world: World, views: pd.DataFrame) -> pd.DataFrame:
    """Views and what hangs on them, as events."""
    prices = world.assortment.items["price"].to_numpy()
    at = views["start"].to_numpy() + views["turn"].to_numpy() * 45 + rng.uniform(8, 35, len(views))
    seen = views[["contact", "item", "device"]].assign(at=at, type="item_view", value=-1)
    cart = seen[views["cart"]].assign(type="cart_add")
    cart = cart.assign(at=cart["at"] + 6, value=prices[cart["item"]])
    worth = cart["value"].groupby(views.loc[cart.index, "session"]).transform("sum")
    left = cart[views.loc[cart.index, "abandoned"]].assign(type="cart_abandon", item=-1)
    left = left.assign(at=left["at"] + 1800, value=worth[left.index])
    sought = seen[(views["turn"] < 3) & (rng.random(len(views)) < 0.17)].assign(type="search")
    contact = sought["contact"].to_numpy()
    chinese = world.people.contacts["language"].eq("zh").to_numpy()[contact] & (contact >= 0)
    terms = world.assortment.searches.to_numpy()[sought["item"], chinese.astype(int)]
    sought = sought.assign(at=sought["at"] - 5, item=-1)
    events: Any = pd.concat([seen, cart, left, sought], ignore_index=True)
    device = events.pop("device").to_numpy()
    properties = DEVICES[device % 7 % 3]
    properties[-len(sought) :] = [
        on | {"query": str(term)} for on, term in zip(properties[-len(sought) :], terms, strict=True)
    ]
    code, numbers = pd.factorize(device)
    return pd.DataFrame(events).assign(
        at=events["at"].astype(np.int64),
        contact=events["contact"].clip(lower=-1),
        visitor=_names(np.asarray(numbers))[code],
        origin="web",
        properties=properties,
    )


def _elsewhere(rng: np.random.Generator, born: Ints, end: float) -> pd.DataFrame:
    """Surveys, calls and flyers, at any time since we know the person."""
    parts = []
    for kind, (each, origin, choices) in ELSEWHERE.items():
        count = int(each * len(born))
        contact = rng.integers(0, len(born), count)
        at = born[contact] + rng.random(count) * (end - 60 - born[contact])
        drawn = {name: rng.integers(0, len(values), count) for name, values in choices.items()}
        picked = [{name: choices[name][picks[row]] for name, picks in drawn.items()} for row in range(count)]
        properties = [told.pop("", {}) | told for told in picked]
        rows: dict[str, Any] = {
            "contact": contact,
            "at": at.astype(np.int64),
            "type": kind,
            "origin": origin,
            "item": -1,
            "value": -1,
        }
        parts.append(pd.DataFrame(rows | {"properties": properties}))
    return pd.concat(parts, ignore_index=True)
