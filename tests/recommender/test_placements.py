"""The placements a shop begins with, through the Recommender and both real databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from engine.database import Database
from engine.errors import Faults, Invalid
from engine.models import Contact, Item
from recommender import placements
from recommender.answers import Request
from recommender.business import Rules
from recommender.placements import DEFAULTS, Plan
from recommender.serving import Recommender
from recommender.sources import NAMES
from tests.recommender.shop import NOW, add_order
from tests.recommender.test_serving import contact_id

BOUGHT = {f"A{number}" for number in range(0, 20, 2)} - {"A4"}
EVERY = pytest.mark.parametrize("plan", DEFAULTS.values(), ids=list(DEFAULTS))


@EVERY
def test_is_told_on_the_page(plan: Plan) -> None:
    """docs/recommendations.md names key, name and sources of each."""
    page = (Path(__file__).parents[2] / "docs" / "recommendations.md").read_text()
    sources = ", ".join(f"`{name}`" for name in plan.sources)
    assert f"| `{plan.key}` | {plan.name} | {sources} |" in page


@EVERY
def test_is_one_that_could_be_typed(plan: Plan) -> None:
    """A marketer could save each as it is, and each but a step up ends in what every shop has."""
    assert placements.planned(plan.key, plan.name, plan.sources, plan.rules.json()) == plan
    assert plan.sources[-2:] == ("popular", "newest") or plan.key == "upsell"
    assert set(plan.sources) <= set(NAMES)


@EVERY
@pytest.mark.usefixtures("shop")
def test_fills_the_row(recommender: Recommender, database: Database, plan: Plan) -> None:
    """A known contact on the page of an item, with something in the cart, is answered with a full row."""
    request = Request(plan.key, contact_id=contact_id(database, "C4"), items=["A0"], cart=["A6"], session=["A1"], n=6)
    with database.read() as session:
        found = [item.key for item in recommender.recommend(session, request, now=NOW).items]
    assert len(found) == (6 if plan.key != "upsell" else 0), "nothing of this shop is a step up"
    hidden = {"A0", "A6"} | (BOUGHT if plan.rules.exclude_purchased else set())
    assert not hidden & set(found)


@pytest.mark.usefixtures("shop")
def test_buy_again_offers_what_was_bought(recommender: Recommender, database: Database) -> None:
    """What contact 4 orders every three days comes first, and they are told so; strictly, nothing they never bought."""
    with database.begin() as session:
        person = session.scalars(select(Contact).where(Contact.key == "C4")).one()
        item = session.scalars(select(Item).where(Item.key == "A8")).one()
        for days in (9, 6, 3):
            add_order(session, person, [item], NOW - timedelta(days=days))
    known, stranger = (
        Request("again", contact_id=who, n=20, strict=True) for who in (contact_id(database, "C4"), None)
    )
    with database.read() as session:
        first, *others = recommender.recommend(session, known, now=NOW).items
        assert recommender.recommend(session, stranger, now=NOW).items == ()
        everything = recommender.recommend(session, replace(known, strict=False), now=NOW).items
    assert (first.key, first.source) == ("A8", "buy_again")
    assert first.reason is not None
    assert first.reason.text == "you bought it 4 times"
    assert {item.key for item in (first, *others)} <= BOUGHT
    assert others
    assert everything[: len(others) + 1] == (first, *others)
    assert {item.source for item in everything[len(others) + 1 :]} <= {"popular", "newest"}


@pytest.mark.usefixtures("shop")
def test_home_follows_the_visit_of_a_stranger(recommender: Recommender, database: Database) -> None:
    """Somebody nobody knows is answered by what is clicked now; without a click by what sells."""
    with database.read() as session:
        found = [
            recommender.recommend(session, Request("home", session=clicks, n=3), now=NOW) for clicks in ([], ["A1"])
        ]
    assert found[0].source in ("trending", "popular")
    assert found[1].items[0].source in ("session", "collaborative")
    assert {int(item.key[1:]) % 2 for item in found[1].items} == {1}


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("placement", ["item", "cart"])
def test_a_row_is_about_its_own_page(recommender: Recommender, database: Database, placement: str) -> None:
    """Not about what was looked at before: reasons name the item of this page."""
    here = {"cart": ["A0"]} if placement == "cart" else {"items": ["A0"], "cart": ["A3"]}
    with database.read() as session:
        asked = Request(placement, session=["A1", "A3", "A1"], n=3, **here)
        answer = recommender.recommend(session, asked, now=NOW)
    led = {title for item in answer.items if item.reason for title in item.reason.because}
    assert led == {"Item 0"}
    assert {int(item.key[1:]) % 2 for item in answer.items} == {0}


@pytest.mark.usefixtures("shop")
def test_what_a_shop_saved_stays(recommender: Recommender, database: Database) -> None:
    """Beginning anew writes what is not there, and nothing else."""
    with database.begin() as session:
        placements.edit(session, "home", name="Front", sources=["newest"], given={}, now=NOW)
    with database.begin() as session:
        placements.seed(session, NOW)
        found = placements.read(session)
    assert found["home"] == Plan("home", "Front", ("newest",), Rules())
    assert {key: plan for key, plan in found.items() if key != "home"} == {
        key: plan for key, plan in DEFAULTS.items() if key != "home"
    }


@pytest.mark.parametrize(
    ("key", "sources", "field"),
    [
        ("new", ["newest"], "key"),
        ("New", ["newest"], "key"),
        ("news", [["newest"]], "sources"),
        ("news", [{}], "sources"),
        ("news", [None], "sources"),
        ("news", ["newest", "newest"], "sources"),
    ],
)
def test_a_fault_is_named(key: str, sources: list[Any], field: str) -> None:
    """`new` is the address of the empty form, and sources are texts."""
    with pytest.raises(Invalid) as fault:
        placements.planned(key, "Some", sources, {})
    assert fault.value.field == field
    assert placements.planned("news", "Some", ["newest"], {}).key == "news"


def test_every_fault_is_named() -> None:
    """Of key, name, sources and rules at once."""
    with pytest.raises(Faults) as caught:
        placements.planned("New", " ", [], {"price_min": "cheap", "in_stock": 1})
    fields = [fault.field for fault in caught.value.found]
    assert fields == ["key", "name", "sources", "rules.price_min", "rules.in_stock"]
