"""The loaded shop is what intake, the audience and the report would have made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from campaigns import attribution, audience, roi
from campaigns.models import Campaign, Send
from engine import criteria, intake
from engine.catalogue import Catalogue
from engine.config import Config
from engine.database import Base, Database
from engine.models import OWN_KEYS, Contact, ContactList
from engine.money import to_decimal
from web.demo.load import insert, load
from web.demo.shop import Shop
from web.demo.stories import LISTS, PLANS

pytestmark = pytest.mark.xdist_group("demo")


def records(frame: pd.DataFrame, *, money: tuple[str, ...] = (), **names: str) -> Iterator[dict[str, Any]]:
    """Rows as the API gets them: named as intake names them, without what is missing."""
    for row in frame.rename(columns=names).to_dict("records"):
        known = {name: value for name, value in row.items() if isinstance(value, dict) or not pd.isna(value)}
        yield known | {name: str(to_decimal(known[name])) for name in money if name in known}


def order_records(shop: Shop) -> Iterator[dict[str, Any]]:
    """The newest orders with their lines."""
    orders = shop.orders.tail(500)
    lines = shop.order_lines[shop.order_lines["order_id"].isin(orders["id"])]
    lines = lines.assign(item=shop.items.set_index("id")["key"].loc[lines["item_id"]].to_numpy())
    lines = lines[["order_id", "item", "quantity", "unit_price", "unit_cost", "discount"]]
    by_order = {key: group.drop(columns="order_id") for key, group in lines.groupby("order_id")}
    keys = shop.contacts.set_index("id")["key"]
    heads = orders.assign(contact=orders["contact_id"].map(keys))
    heads = heads[["id", "key", "contact", "ordered_at", "channel", "store", "currency"]]
    for head in records(heads, key="order", ordered_at="at"):
        own = by_order[head.pop("id")]
        yield head | {"lines": list(records(own, money=("unit_price", "unit_cost", "discount")))}


def own(frame: pd.DataFrame, kind: str, *more: str) -> pd.DataFrame:
    """The columns of the frame that intake takes."""
    names = [column.name for column in intake.KINDS[kind].columns if column.name in frame]
    return frame[[*names, *more]]


def test_intake_finds_nothing_new(config: Config, database: Database, small: Shop, now: datetime) -> None:
    """The same shop through the public door afterwards changes nothing: keys, digests and values are intake's own."""
    load(database, small)
    later = now + timedelta(days=1)
    keys = {name: frame.set_index("id")["key"] for name, frame in small.tables() if name in ("contacts", "items")}
    events = small.events[~small.events["key"].str.startswith(OWN_KEYS)].tail(500)  # the rest is our own to note
    events = events.assign(
        contact=events["contact_id"].map(keys["contacts"]), item=events["item_id"].map(keys["items"])
    )
    given = {
        "contacts": records(own(small.contacts, "contacts", "attributes"), money=("income",)),
        "items": records(own(small.items, "items", "attributes"), money=("price", "cost")),
        "orders": order_records(small),
        "events": records(own(events, "events", "occurred_at", "properties"), money=("value",), occurred_at="at"),
    }
    for kind, rows in given.items():
        wanted = list(islice(rows, 500))
        with database.begin() as session:
            accepted = intake.accept(session, kind, wanted, now=later, config=config)
        assert (accepted.created, accepted.updated, accepted.rejected) == (0, 0, []), kind
        assert accepted.unchanged == len(wanted)


def test_rows_and_numbers_go_on(database: Database, small: Shop, now: datetime) -> None:
    """Every frame is there whole, and the next row of the shop gets the next number (PostgreSQL's sequences)."""
    counts = load(database, small)
    with database.begin() as session:
        for name, count in counts.items():
            assert session.scalar(select(func.count()).select_from(Base.metadata.tables[name])) == count
        new = Contact(key="new", created_at=now, updated_at=now)
        session.add(new)
        session.flush()
        assert new.id == 501


def test_frames_are_tables(small: Shop) -> None:
    """Every frame but the truth is a table and names only columns of it."""
    names = {field.name for field in fields(small)} - {"truth"}
    assert names == {name for name, _ in small.tables()}
    for name, frame in small.tables():
        assert set(frame) <= set(Base.metadata.tables[name].c.keys())


def test_lists_can_be_read(database: Database, config: Config) -> None:
    """The saved lists are valid criteria."""
    with database.read() as session:
        catalogue = Catalogue(session, None, config.locale.zone, config.locale.currency)
        for name, data in LISTS.items():
            assert criteria.sentence(criteria.parse(data, catalogue)), name


def campaign_tables(database: Database, shop: Shop) -> None:
    """What a report reads."""
    names = ("contacts", "suppressions", "lists", "campaigns", "variants", "firings", "sends", "orders")
    with database.begin() as session:
        for name in names:
            insert(session, Base.metadata.tables[name], getattr(shop, name))


def test_reports_tell_the_truth(database: Database, shop: Shop, now: datetime) -> None:
    """The interval of each report covers what the campaign truly earned; one gained, one lost while attribution shows
    a gain, and where too few of the holdout bought there is no figure.
    """
    campaign_tables(database, shop)
    with database.begin() as session:
        attribution.attribute(session, now=now)
        reports = {plan.name: roi.report(session, number, now=now) for number, plan in enumerate(PLANS, 1)}
    truth = shop.truth.set_index("campaign")
    told = {name: report for name, report in reports.items() if report.increment}
    assert set(told) == {"A quarter off everything", "New roasts", "Table for six"}
    for name, report in told.items():
        assert report.control.revenue.buyers >= 30
        assert report.costs.total * 10_000 == pytest.approx(truth.loc[name, "cost"])
        assert report.increment is not None
        assert report.increment.profit.low <= truth.loc[name, "profit"] / 10_000 <= report.increment.profit.high, name
    assert reports["New roasts"].verdict.code == "gain"
    assert reports["A quarter off everything"].verdict.code == "loss"
    assert reports["A quarter off everything"].attributed.profit > 0
    assert reports["Shop evening"].verdict.code == "few buyers"
    assert reports["We kept your seat"].interim


def test_the_ledger_is_the_audience_s(database: Database, small: Shop) -> None:
    """campaigns.audience would draw the same holdout and leave out the same people, but for those who left since."""
    campaign_tables(database, small)
    with database.begin() as session:
        campaign = session.scalars(select(Campaign).order_by(Campaign.id.desc())).first()
        assert campaign is not None
        ledger = session.execute(
            select(Send.contact_id, Send.state, Send.reason).where(
                Send.campaign_id == campaign.id,
                Send.outcome.is_distinct_from("unsubscribed"),
                Send.outcome.is_distinct_from("bounced"),
            )
        ).all()
        placed = session.execute(audience.place(session, campaign, [row.contact_id for row in ledger])).all()
        listed = session.get(ContactList, campaign.list_id)
    expected = {row.contact_id: (row.state.replace("accepted", "queued"), row.reason) for row in ledger}
    assert {row.contact_id: (row.state, row.reason) for row in placed} == expected
    assert listed is not None
    assert listed.name == PLANS[-1].list_name
