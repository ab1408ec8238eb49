"""The words that explain sources: whole, in the manual, and true of what each needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.database import Database
from recommender.answers import Request
from recommender.business import Rules
from recommender.placements import Plan
from recommender.serving import Recommender
from recommender.sources import NAMES, SOURCES
from recommender.sources.about import ABOUT, HERE, Signal, is_idle
from recommender.sources.bundles import Bundles
from tests.recommender.shop import NOW
from tests.recommender.test_serving import contact_id

ANSWERED = {  # where the shop of the tests, without trends and dearer items, tells enough
    "rules": ("page", "cart", "visit"),
    "collaborative": ("page", "cart", "visit", "past"),
    "buy_again": ("past",),
    "session": ("visit",),
    "popular_in_category": ("page", "cart", "visit", "past"),
    "popular": ("page", "nothing"),
    "newest": ("page", "nothing"),
}
LEARNED = sorted(set(NAMES) - {Bundles.name})


def test_every_source_is_explained() -> None:
    """And nothing else."""
    assert set(ABOUT) == set(NAMES)
    assert set(SOURCES) <= set(LEARNED)


def test_the_manual_says_the_same() -> None:
    """docs/recommendations.md has a row of each, or of some that share it."""
    page = (Path(__file__).parents[3] / "docs" / "recommendations.md").read_text()
    for name, about in ABOUT.items():
        row = re.escape(f" | {about.finds} | {about.learned} | {about.needs.words} |")
        assert re.search(rf"^\| `{name}`{row}$", page, re.MULTILINE), name


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("signal", ["page", "cart", "visit", "past", "nothing"])
@pytest.mark.parametrize("source", LEARNED)
def test_without_what_it_needs_nothing_is_found(
    recommender: Recommender, database: Database, source: str, signal: Signal
) -> None:
    """Whatever else the question holds. Where something of that is there, most answer in this shop, too."""
    asked = {
        "page": Request("home", items=["A0"]),
        "cart": Request("home", cart=["A0"]),
        "visit": Request("home", session=["A0"]),
        "past": Request("home", contact_id=contact_id(database, "C4")),
        "nothing": Request("home"),
    }[signal]
    plan = Plan("home", "Home", (source,), Rules(exclude_viewed=False, exclude_cart=False))
    with database.read() as session:
        found = recommender.recommend(session, asked, now=NOW, plan=plan).items
    needed = ABOUT[source].needs.any_of
    assert not found or not needed or signal in needed
    assert found or signal not in ANSWERED.get(source, ())


def test_what_can_never_answer() -> None:
    """In a mail nothing is looked at; on the home page no item is, but something in the cart or before may be."""
    assert {name for name in NAMES if is_idle(name, "email")} == {"bundles", "rules", "session", "upsell"}
    assert not any(is_idle(name, key) for name in NAMES for key in ("home", "item", "till"))
    assert set(HERE) == {"home", "email"}
