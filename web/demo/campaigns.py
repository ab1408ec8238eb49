"""Past campaigns: who got what, who opened, who left, and the orders that were truly caused.

The generator draws the effect itself, so it knows the truth that a report can only estimate: every extra order is
marked with its campaign, and every reduction given to people who would have bought anyway is added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from engine.models import BUCKETS, CHANNELS
from web.demo.people import Flags, Floats, Ints
from web.demo.stories import PLANS, Plan
from web.demo.world import World

DAY = 86_400
PER_SECOND = 40  # messages handed over
HALF_A_YEAR = 180 * DAY


@dataclass(frozen=True)
class Reach:
    """What the campaigns did: ledger rows, what came back, and what it changed about orders."""

    sends: pd.DataFrame  # campaign (row of PLANS), contact, state, reason, at, outcome, opened, clicked (seconds, NaN)
    extra: pd.DataFrame  # visits caused, with `cause`
    code: Floats  # price reduction of each visit that would have happened anyway
    coded_by: Ints  # the campaign whose reduction that is, -1 for none
    left: pd.DataFrame  # contact, left (seconds), channel, reason: unsubscribe or bounce


@dataclass
class Audience:
    """Who may be spoken to, as it stands while the campaigns go by. Flags per contact."""

    world: World
    visits: pd.DataFrame
    lines: pd.DataFrame
    born: Ints  # when each contact came in

    def __post_init__(self) -> None:
        contacts = self.world.people.contacts
        self.consent = {name: np.array(contacts[f"{name}_consent"].eq(True), dtype=bool) for name in CHANNELS}
        self.address = {"email": contacts["email"].notna().to_numpy(), "sms": contacts["phone"].notna().to_numpy()}
        self.bounced = {name: np.zeros(self.world.count, dtype=bool) for name in CHANNELS}

    def on_list(self, plan: Plan, at: float) -> Flags:
        """Who was on the plan's list that day: stories.LISTS, said again for arrays."""
        rules = {
            "Bakers": self._bakers,
            "Bought nothing for half a year": self._asleep,
        }
        rule = rules.get(plan.list_name)
        willing = self.consent[plan.channel]
        chosen = willing if rule is None else rule(at) & (willing | (plan.list_name != "Bakers"))
        return np.asarray(chosen & (self.born < at), dtype=bool)

    def ledger(self, rng: np.random.Generator, plan: Plan, shuffle: tuple[int, int], at: float) -> pd.DataFrame:
        """One row for everybody on the list, decided as campaigns.audience decides."""
        contact = np.flatnonzero(self.on_list(plan, at))
        address, consent, bounced = (
            flags[plan.channel][contact] for flags in (self.address, self.consent, self.bounced)
        )
        reason = np.select([~address, ~consent, bounced], ["no address", "no consent", "suppressed"], default="")
        bucket = self.world.people.contacts["bucket"].to_numpy()[contact]
        position = (bucket * shuffle[0] + shuffle[1]) % BUCKETS  # below 2^62: exact
        held = (reason == "") & (position < round(plan.holdout * BUCKETS))
        state = np.select([reason != "", held], ["suppressed", "held"], default="accepted")
        turn = np.cumsum(state == "accepted") / PER_SECOND + rng.random(len(contact))
        sent = np.where(state == "accepted", at + turn, np.nan)
        return pd.DataFrame(
            {"contact": contact, "state": state, "reason": np.where(held, "holdout", reason), "at": sent}
        )

    def lose(self, plan: Plan, sends: pd.DataFrame) -> pd.DataFrame:
        """Take out who left; their rows."""
        for outcome, flags, value in (("unsubscribed", self.consent, False), ("bounced", self.bounced, True)):
            flags[plan.channel][sends.loc[sends["outcome"] == outcome, "contact"].to_numpy()] = value
        gone = sends[sends["outcome"].isin(["unsubscribed", "bounced"])]
        reason = np.where(gone["outcome"] == "bounced", "bounce", "unsubscribe")
        return gone[["contact", "left"]].assign(channel=plan.channel, reason=reason)

    def _asleep(self, at: float) -> Flags:
        """Bought, but nothing in the half year before."""
        last = self.visits[self.visits["at"] < at].groupby("contact")["at"].max()
        return last.reindex(range(self.world.count), fill_value=at).lt(at - HALF_A_YEAR).to_numpy(dtype=bool)

    def _bakers(self, at: float) -> Flags:
        """Bought of Pantry > Baking in at least two visits before."""
        baking = self.world.assortment.items["category"].str.startswith("Pantry > Baking").to_numpy(dtype=bool)
        chosen = self.visits.iloc[np.unique(self.lines.loc[baking[self.lines["item"]], "visit"])]
        counts = np.bincount(chosen.loc[chosen["at"] < at, "contact"], minlength=self.world.count)
        return np.asarray(counts >= 2, dtype=bool)


def split(rng: np.random.Generator) -> tuple[int, int]:
    """A campaign's own shuffle of the contacts: split_a and split_s."""
    return int(rng.integers(1, BUCKETS)), int(rng.integers(0, BUCKETS))


def fired_at(plan: Plan, now: datetime) -> datetime:
    """Ten in the morning of the day it was sent."""
    return (now - timedelta(days=plan.days_ago)).replace(hour=10, minute=0, second=0, microsecond=0)


def play(rng: np.random.Generator, audience: Audience, splits: list[tuple[int, int]]) -> Reach:
    """All campaigns, one after the other."""
    world, visits = audience.world, audience.visits
    code, coded_by = np.zeros(len(visits)), np.full(len(visits), -1, dtype=np.int64)
    ledger, caused, gone = [], [], []
    for number, plan in enumerate(PLANS):
        at = fired_at(plan, world.now).timestamp()
        sends = audience.ledger(rng, plan, splits[number], at)
        reached = sends[sends["state"] == "accepted"]
        able = world.people.ordering[reached["contact"]]
        persuaded = able & (rng.random(len(reached)) < plan.extra)
        caused.append(_extra_visits(rng, reached[persuaded], plan, world.end).assign(cause=number))
        within = visits["at"].between(at, at + plan.window_days * DAY, inclusive="left")
        if plan.code:
            mine = (within & visits["contact"].isin(reached["contact"]) & ~visits["unknown"]).to_numpy()
            code[mine], coded_by[mine] = plan.code, number
        keen = persuaded | reached["contact"].isin(visits.loc[within, "contact"]).to_numpy()
        sends = sends.join(_reactions(rng, reached, plan, keen, world.end))
        gone.append(audience.lose(plan, sends))
        ledger.append(sends.assign(campaign=number))
    left = pd.concat(gone, ignore_index=True).drop_duplicates(["contact", "channel"])
    return Reach(pd.concat(ledger, ignore_index=True), pd.concat(caused, ignore_index=True), code, coded_by, left)


def _extra_visits(rng: np.random.Generator, persuaded: pd.DataFrame, plan: Plan, end: float) -> pd.DataFrame:
    """An order within the window for everybody who was persuaded, most of them in the first days, none at night."""
    wait = rng.exponential(2.6 * DAY, len(persuaded)).clip(900, plan.window_days * DAY * 0.95)
    at = (persuaded["at"].to_numpy() + wait).astype(np.int64)
    at += np.where(at // 3600 % 24 < 7, 7 * 3600, 0)
    extra = pd.DataFrame({"contact": persuaded["contact"].to_numpy(), "at": at, "channel": "web", "unknown": False})
    return extra[extra["at"] < end - 600]


def _reactions(rng: np.random.Generator, reached: pd.DataFrame, plan: Plan, keen: Flags, end: float) -> pd.DataFrame:
    """Opens, clicks and leavers. People about to buy open and click far more: that is why attribution flatters."""
    count, sent = len(reached), reached["at"].to_numpy()
    bounced = rng.random(count) < 0.006
    clicks = ~bounced & (rng.random(count) < plan.clicks * np.where(keen, 5.0, 0.8))
    opens = clicks | (~bounced & (rng.random(count) < plan.opens * np.where(keen, 1.8, 1.0)))
    leaves = ~bounced & ~clicks & (rng.random(count) < plan.leaves)
    opened = sent + rng.exponential(7 * 3600, count) + 20
    clicked = opened + rng.exponential(120, count) + 3
    happened = clicked < end
    outcome: Any = np.select([bounced, leaves & happened], ["bounced", "unsubscribed"], default="delivered")
    return pd.DataFrame(
        {
            "outcome": outcome,
            "opened": np.where(opens & happened & (plan.channel == "email"), opened, np.nan),
            "clicked": np.where(clicks & happened, clicked, np.nan),
            "left": np.where(bounced, sent + 30, clicked),
        },
        index=reached.index,
    )
