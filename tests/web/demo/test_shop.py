"""The demo shop is repeatable, consistent, and lively enough for every screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import time_machine
from scipy import sparse

from tests.web.demo.conftest import NOW
from web.demo import offers
from web.demo.shop import Shop, generate

pytestmark = pytest.mark.xdist_group("demo")
FICTION = "|".join(
    (
        r"\+447700900\d{3}",  # Ofcom
        r"\+44(207946|113496|114496|115496|117496|118496|121496|131496|141496|151496|161496|191498)0\d{3}",
        r"\+44(292018|289649)[06]\d{3}",
        r"\+3363998\d{4}",  # Arcep
        r"\+1\d{3}555010\d",  # NANPA
    )
)


def pounds(amounts: pd.Series[int]) -> pd.Series[float]:
    """Amounts in pounds."""
    return amounts / 10_000


def test_a_seed_and_a_moment_make_the_shop(small: Shop) -> None:
    """The same seed and moment give the same bytes whatever the clock says; another seed gives another shop."""
    with time_machine.travel(datetime(2031, 7, 1, tzinfo=UTC)):
        assert generate(1, NOW, 500).digest() == small.digest()
    assert generate(2, NOW, 500).digest() != small.digest()


def test_history_ends_now(shop: Shop) -> None:
    """Three years of history end within the last day, and no moment lies after now."""
    at = shop.orders["ordered_at"]
    assert NOW - timedelta(days=1) < at.max() < NOW
    assert NOW - timedelta(days=1100) < at.min() < NOW - timedelta(days=1060)
    for frame, column in ((shop.events, "occurred_at"), (shop.contacts, "created_at"), (shop.sends, "clicked_at")):
        assert frame[column].max() <= NOW


def test_sizes(shop: Shop) -> None:
    """As announced: 20,000 contacts, 600 items in a tree of three levels, 600,000 web events, surveys and calls."""
    assert len(shop.contacts) == 20_000
    assert len(shop.items) == 600
    assert shop.items["title"].is_unique
    assert set(shop.items["category"].str.count(" > ")) == {2}
    types = shop.events["type"].value_counts()
    assert 570_000 < types[["item_view", "search", "cart_add", "cart_abandon"]].sum() < 630_000
    assert types[["survey", "call", "flyer_scan", "open", "click", "unsubscribe"]].min() > 100


def test_people_are_fictional(shop: Shop) -> None:
    """Addresses are at reserved domains (RFC 2606), numbers in ranges reserved for fiction, each used once."""
    people = shop.contacts
    email, phone = people["email"].dropna(), people["phone"].dropna()
    assert email.str.fullmatch(r"[a-z.]+\d+@(example\.(com|net|org)|(post|mail)\.example)").all()
    assert phone.str.fullmatch(FICTION).all(), phone[~phone.str.fullmatch(FICTION)].head()
    assert email.is_unique
    assert phone.is_unique
    assert people["language"].eq("zh").sum() > 500
    assert 0.4 < people["income"].isna().mean() < 0.6


def test_orders_add_up(shop: Shop) -> None:
    """Totals, margins and units are the sums of the lines; returns are orders below zero."""
    lines = shop.order_lines
    amount = lines["quantity"] * lines["unit_price"] - lines["discount"]
    sums = pd.DataFrame({"total": amount, "margin": amount - lines["quantity"] * lines["unit_cost"]})
    sums = sums.assign(units=lines["quantity"]).groupby(lines["order_id"]).sum()
    orders = shop.orders.set_index("id")
    for name in sums:
        assert (sums[name] == orders[name]).all()
    returned = orders["total"] < 0
    assert orders.loc[returned, "key"].str.startswith("R").all()
    assert 0.03 < returned.mean() < 0.06


def test_nobody_acts_before_they_came(shop: Shop) -> None:
    """Orders follow the day a contact came in; consent at present is the last word of the ledger."""
    came = shop.contacts.set_index("id")["created_at"]
    known = shop.orders.dropna(subset="contact_id")
    assert (known["ordered_at"].to_numpy() > came.loc[known["contact_id"]].to_numpy()).all()
    for channel in ("email", "sms"):
        ledger = shop.consents[shop.consents["channel"] == channel].groupby("contact_id")["granted"].last()
        present = shop.contacts.set_index("id")[f"{channel}_consent"].dropna().astype(bool)
        assert ledger.sort_index().equals(present.rename("granted").rename_axis("contact_id"))


def test_people_come_back(shop: Shop) -> None:
    """Half of the buyers bought again, an order is worth 40 to 60 pounds and holds two to three kinds of thing."""
    bought = shop.orders[shop.orders["total"] > 0]
    visits = bought["contact_id"].value_counts()
    lines = shop.order_lines[shop.order_lines["order_id"].isin(bought["id"])]
    assert 0.4 < (visits > 1).mean() < 0.6
    assert 40 < pounds(bought["total"]).mean() < 60
    assert 2.2 < len(lines) / len(bought) < 2.8
    assert 0.15 < bought["channel"].eq("store").mean() < 0.3


def test_rows_were_seen_and_clicked(shop: Shop) -> None:
    """For five weeks, at two placements; a click follows an impression of the same item in the same row, and leads to a
    look at it. The arms of the comparison are those that anybody asking then would have been shown.
    """
    told = shop.events[
        shop.events["type"].isin(("impression", "recommendation_click")) & (shop.events["origin"] == "web")
    ]
    assert NOW - timedelta(days=36) < told["occurred_at"].min()
    assert told["occurred_at"].max() < NOW
    about = pd.DataFrame(told["properties"].tolist(), index=told.index)
    rows = told[["type", "item_id", "visitor", "contact_id", "occurred_at"]].join(about)
    seen, clicked = (rows[rows["type"] == kind] for kind in ("impression", "recommendation_click"))
    assert set(seen["placement"]) == set(clicked["placement"]) == {"home", "item"}
    assert not seen.duplicated(["recommendation_id", "item_id"]).any()
    assert 0.02 < clicked["recommendation_id"].nunique() / seen["recommendation_id"].nunique() < 0.06
    both = clicked.merge(seen, on=["recommendation_id", "item_id", "rank", "visitor"], suffixes=("", "_seen"))
    assert len(both) == len(clicked)
    assert (both["occurred_at"] > both["occurred_at_seen"]).all()
    views = shop.events[shop.events["type"] == "item_view"][["visitor", "item_id", "occurred_at"]]
    looks = clicked.reset_index().merge(views, on=["visitor", "item_id"], suffixes=("", "_view"))
    after = looks[looks["occurred_at_view"] > looks["occurred_at"]]
    assert after["index"].nunique() == len(clicked)
    compared = seen[seen["variant"].notna()].drop_duplicates("recommendation_id")
    assert set(compared["placement"]) == {"home"}
    for one in compared.head(500).itertuples():
        who = f"visitor {one.visitor}" if pd.isna(one.contact_id) else f"contact {one.contact_id}"
        assert offers.COMPARED.arm(who) == one.variant
        assert str(one.recommendation_id).endswith(f".{offers.COMPARED.id}{one.variant[0]}")


def test_a_few_things_sell_best(shop: Shop) -> None:
    """A fifth of the items make between 45 and 75 % of the sales, as shops report; some are out of stock."""
    sold = shop.order_lines["item_id"].value_counts()
    assert 0.45 < sold.head(120).sum() / sold.sum() < 0.75
    assert 10 < (shop.items["stock"] == 0).sum() < 50


def test_december_is_busy(shop: Shop) -> None:
    """The year has a shape: ornaments sell before Christmas, seeds in spring."""
    category = shop.items.set_index("id")["category"].loc[shop.order_lines["item_id"]].to_numpy()
    month = shop.orders.set_index("id")["ordered_at"].dt.month.loc[shop.order_lines["order_id"]].to_numpy()
    ornaments = np.bincount(month[category == "Gifts > Christmas > Ornaments"], minlength=13)
    seeds = np.bincount(month[category == "Garden > Outdoors > Seeds"], minlength=13)
    assert ornaments[11:].sum() > 0.5 * ornaments.sum()
    assert seeds[3:6].sum() > 0.35 * seeds.sum()


def test_things_go_together(shop: Shop) -> None:
    """Flour is bought with baking sugar at least twice as often as chance would have it, noodles with soy sauce."""
    lines = shop.order_lines[shop.order_lines["quantity"] > 0]
    kinds, names = pd.factorize(shop.items.set_index("id")["category"].loc[lines["item_id"]])
    baskets = sparse.csr_array((np.ones(len(lines)), (lines["order_id"], kinds))).astype(bool).astype(int)
    both = (baskets.T @ baskets).toarray()
    lift = both * shop.orders["total"].gt(0).sum() / np.outer(both.diagonal(), both.diagonal())
    place = {name.rpartition(" > ")[2]: number for number, name in enumerate(names)}
    for one, other in (("Flour", "Sugar and cocoa"), ("Noodles", "Soy and sesame"), ("Espresso machines", "Beans")):
        assert lift[place[one], place[other]] > 2


def test_the_rich_buy_the_fine_one(shop: Shop) -> None:
    """Taste follows the person: the quarter with the highest income buys fine things far more often."""
    fine = shop.items.set_index("id")["attributes"].map(lambda own: own["range"] == "fine")
    owner = shop.orders.set_index("id")["contact_id"].loc[shop.order_lines["order_id"]]
    income = shop.contacts.set_index("id")["income"].reindex(owner.to_numpy()).astype(float).to_numpy()
    low, high = np.nanquantile(income, [0.25, 0.75])
    share = fine.loc[shop.order_lines["item_id"]].to_numpy()
    assert share[income >= high].mean() > 2 * share[income <= low].mean()
