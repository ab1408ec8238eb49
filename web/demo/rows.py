"""From the history to rows of the tables: ids, keys, amounts, moments. One function a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from campaigns.content.messages import digest
from engine.intake.parsing import Batch
from engine.intake.writers import orders as intake
from web.demo.campaigns import Reach, fired_at
from web.demo.events import LINK
from web.demo.people import Ints
from web.demo.stories import LISTS, PLANS, blocks
from web.demo.world import World

CURRENCY = "GBP"
DAY = 86_400


def moments(seconds: Any) -> pd.Series[Any]:
    """Aware moments from seconds since 1970; NaN is none."""
    whole = np.floor(np.asarray(seconds, dtype=float) * 1e6)
    return pd.Series(pd.to_datetime(whole, unit="us", utc=True)).dt.as_unit("us")


def numbered(columns: Mapping[str, Any]) -> pd.DataFrame:
    """A frame with ids from 1; Series are taken by position."""
    plain = {name: value.array if isinstance(value, pd.Series) else value for name, value in columns.items()}
    frame = pd.DataFrame(plain)
    frame.insert(0, "id", np.arange(1, len(frame) + 1))
    return frame


def _id(rows: Any) -> Any:
    """Ids of rows; -1 is nobody."""
    given = pd.Series(np.asarray(rows, dtype=np.int64) + 1, dtype="Int64")
    return given.where(given > 0)


def contacts(world: World, born: Ints, left: pd.DataFrame) -> pd.DataFrame:
    """The contacts as they are now: who unsubscribed has withdrawn consent."""
    frame = world.people.contacts.copy()
    changed = born.copy()
    for channel, gone in left[left["reason"] == "unsubscribe"].groupby("channel"):
        frame.loc[gone["contact"], f"{channel}_consent"] = False
        changed[gone["contact"]] = gone["left"]
    return numbered({**frame, "created_at": moments(born), "updated_at": moments(changed)})


def identities(visitors: pd.DataFrame) -> pd.DataFrame:
    """Browsers of contacts."""
    at = moments(visitors["at"])
    return numbered(
        {"contact_id": visitors["contact"] + 1, "kind": "visitor", "value": visitors["visitor"], "created_at": at}
    )


def consents(world: World, left: pd.DataFrame, born: Ints) -> pd.DataFrame:
    """The ledger: the word given at the door, and the one taken back."""
    parts = []
    for channel in ("email", "sms"):
        given = world.people.contacts[f"{channel}_consent"].dropna().astype(bool)
        origin = world.people.contacts["origin"].loc[given.index]
        row = given.index.to_numpy()
        asked = pd.DataFrame({"contact_id": row + 1, "channel": channel, "granted": given, "origin": origin})
        parts.append(asked.assign(evidence="asked by " + origin, at=born[row]))
    back = left[left["reason"] == "unsubscribe"]
    evidence = back["channel"].map({"email": "link", "sms": "STOP"})
    withdrawn = back[["channel"]].assign(contact_id=back["contact"] + 1, granted=False, origin="campaign")
    parts.append(withdrawn.assign(evidence=evidence, at=back["left"]))
    ledger = pd.concat(parts, ignore_index=True).sort_values("at", kind="stable", ignore_index=True)
    return numbered({**ledger, "at": moments(ledger["at"])})


def suppressions(world: World, left: pd.DataFrame) -> pd.DataFrame:
    """Addresses of those who left."""
    addresses = world.people.contacts[["email", "phone"]].to_numpy()
    address = addresses[left["contact"], (left["channel"] == "sms").astype(int)]
    return numbered(
        {"channel": left["channel"], "address": address, "reason": left["reason"], "at": moments(left["left"])}
    )


def items(world: World) -> pd.DataFrame:
    """The assortment."""
    first = world.assortment.first_month
    listed = world.start + np.where(first > 0, first * 30.4 - 20, -200) * DAY
    rest = {"currency": CURRENCY, "image_url": None, "recommendable": True}
    stamps = {"created_at": moments(listed), "updated_at": moments(np.full(len(first), world.end - DAY))}
    return numbered({**world.assortment.items, **rest, **stamps})


def orders(world: World, visits: pd.DataFrame, lines: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders in the order of time, and their lines; sums and digest are those of intake."""
    turn = np.argsort(visits["at"].to_numpy(), kind="stable")
    place = np.argsort(turn)
    lines = lines.assign(order=place[lines["visit"]]).sort_values("order", kind="stable", ignore_index=True)
    visits = visits.iloc[turn].reset_index(drop=True)
    bought, in_store = visits["returns"] < 0, visits["channel"] == "store"
    letter = visits["channel"].str[0].str.upper().where(bought, "R")
    head = pd.DataFrame(
        {
            "key": letter + (np.arange(len(visits)) + 100_001).astype(str),
            "contact": visits["contact"].where(~visits["unknown"], -1),
            "at": visits["at"],
            "channel": visits["channel"],
            "store": pd.Series(world.people.store[visits["contact"]], dtype=object).where(in_store, None),
        }
    )
    prepared = _prepared(world, head, lines)
    cost = (lines["quantity"] * lines["unit_cost"]).groupby(lines["order"]).sum().to_numpy()
    total = np.array([order.total for order in prepared])
    frame = {
        "key": head["key"],
        "contact_id": _id(head["contact"]),
        "ordered_at": moments(head["at"]),
        "channel": head["channel"],
        "store": head["store"],
        "currency": CURRENCY,
        "total": total,
        "margin": total - cost,
        "units": [order.units for order in prepared],
        "digest": [order.digest for order in prepared],
    }
    columns = ("quantity", "unit_price", "unit_cost", "discount")
    ids = {"order_id": lines["order"] + 1, "item_id": lines["item"] + 1}
    return numbered(frame), numbered({**ids, **{name: lines[name] for name in columns}})


def _prepared(world: World, head: pd.DataFrame, lines: pd.DataFrame) -> list[intake.PreparedOrder]:
    """The orders as intake makes them from a file with these lines."""
    mine = head.loc[lines["order"]]
    buyer = [f"C{contact + 1:06d}" if contact >= 0 else None for contact in mine["contact"].tolist()]
    columns: dict[str, list[Any]] = {
        "order": mine["key"].tolist(),
        "at": (mine["at"] * 1_000_000).tolist(),
        "contact": buyer,
        "channel": mine["channel"].tolist(),
        "store": mine["store"].tolist(),
        "item": world.assortment.items["key"].to_numpy()[lines["item"]].tolist(),
        **{name: lines[name].tolist() for name in ("quantity", "unit_price", "discount", "unit_cost")},
    }
    prepared, rejects = intake.prepare(Batch(list(range(len(lines))), columns), CURRENCY)
    assert not rejects
    return prepared.orders


def events(events: pd.DataFrame) -> pd.DataFrame:
    """Events in the order of time; those with a key keep it."""
    frame = events.sort_values("at", kind="stable", ignore_index=True)
    own = "demo-" + pd.Series(np.arange(1, len(frame) + 1)).astype(str)
    return numbered(
        {
            "key": frame["key"].where(frame["key"].notna(), own),
            "contact_id": _id(frame["contact"]),
            "visitor": frame["visitor"],
            "type": frame["type"],
            "occurred_at": moments(frame["at"]),
            "item_id": _id(frame["item"]),
            "value": frame["value"].astype("Int64").where(frame["value"] >= 0),
            "origin": frame["origin"],
            "properties": frame["properties"],
        }
    )


def lists(now: datetime) -> pd.DataFrame:
    """The saved lists."""
    made = moments([(now - timedelta(days=300 - 30 * number)).timestamp() for number in range(len(LISTS))])
    rest = {"frozen_at": None, "size": None, "counted_at": None, "version": 1, "deleted_at": None}
    return numbered(
        {"name": list(LISTS), "criteria": list(LISTS.values()), **rest, "created_at": made, "updated_at": made}
    )


def campaigns(splits: list[tuple[int, int]], now: datetime) -> pd.DataFrame:
    """The past campaigns."""
    fired = pd.Series([fired_at(plan, now) for plan in PLANS])
    return numbered(
        {
            **{name: [getattr(plan, name) for plan in PLANS] for name in ("name", "channel", "window_days", "holdout")},
            "status": "finished",
            "list_id": [list(LISTS).index(plan.list_name) + 1 for plan in PLANS],
            "due_at": fired,
            "split_a": [a for a, _ in splits],
            "split_s": [s for _, s in splits],
            "fixed_cost": [plan.fixed_cost * 10_000 for plan in PLANS],
            "message_cost": [round(plan.message_cost * 10_000) for plan in PLANS],
            "currency": CURRENCY,
            "version": 1,
            "created_at": fired - timedelta(days=4),
            "updated_at": fired - timedelta(days=1),
            "deleted_at": None,
        }
    )


def variants() -> pd.DataFrame:
    """What the past campaigns said."""
    mail = [plan.channel == "email" for plan in PLANS]
    pairs = list(zip(PLANS, mail, strict=True))
    return numbered(
        {
            "campaign_id": range(1, len(PLANS) + 1),
            "name": "A",
            "subject": [plan.subject if is_mail else "" for plan, is_mail in pairs],
            "preheader": [plan.preheader for plan in PLANS],
            "blocks": [blocks(plan.body, heading=plan.name) if is_mail else [] for plan, is_mail in pairs],
            "text": ["" if is_mail else plan.subject for plan, is_mail in pairs],
        }
    )


def firings(reach: Reach, now: datetime) -> pd.DataFrame:
    """One firing for each past campaign."""
    fired = pd.Series([fired_at(plan, now) for plan in PLANS])
    done = moments(reach.sends.groupby("campaign")["at"].max() + 1)
    return numbered({"campaign_id": range(1, len(PLANS) + 1), "due_at": fired, "fired_at": fired, "finished_at": done})


def sends(world: World, reach: Reach) -> pd.DataFrame:
    """The ledger of the past campaigns."""
    rows = reach.sends
    number, contact = rows["campaign"].to_numpy(), rows["contact"].to_numpy()
    by_mail = np.array([plan.channel == "email" for plan in PLANS])[number]
    fired = np.array([fired_at(plan, world.now).timestamp() for plan in PLANS])[number]
    addresses = world.people.contacts[["email", "phone"]].to_numpy()
    return numbered(
        {
            **dict.fromkeys(("firing_id", "campaign_id", "variant_id"), number + 1),
            "contact_id": contact + 1,
            "step": 1,
            "channel": np.where(by_mail, "email", "sms"),
            "address": addresses[contact, np.where(by_mail, 0, 1)],
            "state": rows["state"],
            "reason": rows["reason"].where(rows["reason"] != "", None),
            "attempts": rows["state"].eq("accepted").astype(int),
            "next_at": moments(np.where(rows["state"] == "accepted", fired, np.nan)),
            "accepted_at": moments(rows["at"]),
            "outcome": rows["outcome"],
            "opened_at": moments(rows["opened"]),
            "clicked_at": moments(rows["clicked"]),
            "created_at": moments(fired),
        }
    )


def links() -> pd.DataFrame:
    """Where the past campaigns' button leads."""
    return numbered({"campaign_id": range(1, len(PLANS) + 1), "url": LINK, "digest": digest(LINK)})


def truth(visits: pd.DataFrame, lines: pd.DataFrame, reach: Reach, now: datetime) -> pd.DataFrame:
    """What each campaign changed, in ten-thousandths: margin of the extra orders (returns within the window taken
    off), less reductions given on orders that would have come anyway; and its costs.
    """
    net = lines["quantity"] * (lines["unit_price"] - lines["unit_cost"]) - lines["discount"]
    margin = net.groupby(lines["visit"]).sum()
    reduced = (lines["discount"] - lines["usual"]).groupby(lines["visit"]).sum()
    rows = []
    for number, plan in enumerate(PLANS):
        end = fired_at(plan, now).timestamp() + plan.window_days * DAY
        caused = visits.index[(visits["cause"] == number) & (visits["at"] < end)]
        anyway = np.flatnonzero(reach.coded_by == number)
        states = reach.sends.loc[reach.sends["campaign"] == number, "state"]
        sent, held = int(states.eq("accepted").sum()), int(states.eq("held").sum())
        change = int(margin.loc[caused].sum() - reduced.iloc[anyway].sum())
        cost = plan.fixed_cost * 10_000 + sent * round(plan.message_cost * 10_000)
        rows.append((plan.name, sent, held, len(caused), change, cost))
    table = pd.DataFrame(rows, columns=["campaign", "treated", "held", "extra_orders", "change", "cost"])
    return table.assign(profit=table["change"] - table["cost"])
