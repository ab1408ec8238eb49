"""What each business rule does to a row, through the Recommender and both databases; the shop has one source of an
order known by thought: `newest` offers A19, A18 ... A0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from engine.database import Database, next_revision
from engine.models import Contact, Item
from recommender import placements
from recommender.answers import Request
from recommender.serving import Recommender
from tests.recommender.shop import NOW

Row = Callable[..., list[str]]


@pytest.fixture
def row(shop: None, recommender: Recommender, database: Database) -> Row:
    """The keys that a placement of these rules shows."""

    def ask(given: dict[str, Any], n: int = 5, sources: tuple[str, ...] = ("newest",), **asked: Any) -> list[str]:
        with database.begin() as session:
            placements.edit(session, "till", name="Till", sources=sources, given=given, now=NOW)
        recommender.reload()
        with database.read() as session:
            answer = recommender.recommend(session, Request("till", n=n, **asked), now=NOW)
        assert [item.rank for item in answer.items] == list(range(1, len(answer.items) + 1))
        return [item.key for item in answer.items]

    return ask


@pytest.fixture
def written(shop: None, database: Database) -> Callable[..., None]:
    """Change an item."""

    def write(key: str, **values: Any) -> None:
        with database.begin() as session:
            values["revision"] = next_revision(session)
            session.execute(update(Item).where(Item.key == key).values(values))

    return write


def test_without_rules_the_source_decides(row: Row) -> None:
    """The plain order."""
    assert row({}) == ["A19", "A18", "A17", "A16", "A15"]


def test_masks(row: Row, written: Callable[..., None]) -> None:
    """Price, margin, category and suppression take items out of every source, and the row stays full."""
    written("A19", price=200_000, cost=150_000)
    written("A18", price=50_000, cost=10_000, category="Tea > Green")
    written("A17", price=None)
    assert row({"price_min": "6"}, 3) == ["A19", "A16", "A15"]
    assert row({"price_max": "6"}, 3) == ["A18"]
    assert row({"margin_min": 0.5}, 3) == ["A18"]
    assert row({"margin_max": 0.5}, 3) == ["A19"]
    assert row({"categories": ["Tea"]}, 3) == ["A18"]
    assert row({"categories_denied": ["Tea > Green"]}, 3) == ["A19", "A17", "A16"]
    assert row({"suppressed": ["A19", "A17", "nobody knows it"]}, 2) == ["A18", "A16"]
    assert row({"margin_min": 0.5}, 3, sources=("popular", "trending", "newest")) == ["A18"]


def test_what_is_shown_nowhere(row: Row, database: Database) -> None:
    """An item suppressed everywhere is gone from every placement, until it is taken off the list."""
    with database.begin() as session:
        placements.suppress(session, ["A19", "A18"], NOW)
    assert row({}, 2) == ["A17", "A16"]
    with database.begin() as session:
        placements.suppress(session, ["A18", "gone"], NOW + timedelta(days=1))
        assert placements.suppressed(session) == ("A18", "gone")
    assert row({}, 2) == ["A19", "A17"]


def test_price_against_the_item_on_the_page(row: Row, written: Callable[..., None]) -> None:
    """Items cost 9.99. From 1 on nothing cheaper than what is looked at, up to 1 nothing dearer; nothing looked at,
    nothing to measure against."""
    written("A19", price=200_000)
    written("A0", price=150_000)
    assert row({"price_ratio_min": 1}, 3, items=["A0"]) == ["A19"]
    assert row({"price_ratio_max": 1}, 2, items=["A0"]) == ["A18", "A17"]
    assert row({"price_ratio_min": 1}, 2, cart=["A0", "A1"]) == ["A19"]
    assert row({"price_ratio_min": 1}, 2) == ["A19", "A18"]
    assert row({"price_ratio_min": 1}, 2, items=["unknown"]) == ["A19", "A18"]
    written("A0", price=100_000)
    written("A19", price=110_000)
    assert row({"price_ratio_min": 1.1}, 2, items=["A0"]) == ["A19"], "a tenth more than 10 is 11"


def test_who_asks(row: Row, database: Database) -> None:
    """Contact 4 bought A18, A16 ...; each rule hides its own, the page's item never comes back."""
    with database.read() as session:
        contact = session.scalars(select(Contact.id).where(Contact.key == "C4")).one()
    assert row({"exclude_purchased": True}, 2, contact_id=contact) == ["A19", "A17"]
    assert row({}, 2, contact_id=contact) == ["A19", "A18"]
    looked = {"items": ["A19"], "cart": ["A18"], "session": ["A17"]}
    assert row({}, 2, **looked) == ["A16", "A15"]
    assert row({"exclude_cart": False, "exclude_viewed": False}, 2, **looked) == ["A18", "A17"]
    assert row({}, 2, rules={"exclude_cart": False}, **looked) == ["A18", "A16"]


def test_not_shown_in_the_last_mails(row: Row, recommender: Recommender, database: Database) -> None:
    """Whoever sends mails tells what stood in them; asked is as far back as the rule says, and only then."""
    asked: list[int] = []

    def shown(_session: Any, contact_ids: Any, mails: int) -> dict[int, list[int]]:
        asked.append(mails)
        with database.read() as session:
            number = session.scalars(select(Item.id).where(Item.key == "A19")).one()
        return {contact_ids[0]: [number]}

    def many() -> list[str]:
        with database.read() as session:
            answers = recommender.recommend_many(session, "till", [7, 8], 1, now=NOW, shown=shown)
        return [answer.items[0].key for answer in answers.values()]

    row({"unseen_mails": 3})
    assert many() == ["A18", "A19"]
    with database.read() as session:
        alone = recommender.recommend(session, Request("till", contact_id=7, n=1), now=NOW, shown=shown)
        assert alone.items[0].key == "A18"
        recommender.recommend(session, Request("till", n=1), now=NOW, shown=shown)
    row({})
    assert many() == ["A19", "A19"]
    assert asked == [3, 3]


def test_boosts(row: Row, written: Callable[..., None]) -> None:
    """Scores of `newest` fall by 1 from 20: by a margin of .9 A10 (11 * 1.9) passes A19 (20) at full strength, and
    not A18 (19) at .8 of it (11 * 1.72); A1, half as new as can be every 30 days, passes nobody."""
    written("A10", price=100_000, cost=10_000)
    assert row({"boost_margin": 1}, 2) == ["A10", "A19"]
    assert row({"boost_margin": 0.8}, 3) == ["A19", "A18", "A10"]
    assert row({}, 1, rules={"boost_margin": 1.0}) == ["A10"]
    for number in range(20):
        written(f"A{number}", created_at=NOW - timedelta(days=0 if number == 12 else 3000))
    assert row({"boost_freshness": 1}, 2) == ["A12", "A19"]


def test_pins_and_buries(row: Row, written: Callable[..., None]) -> None:
    """A pin stands at its position while it holds and may be shown; what is buried comes after all else."""
    day, before = NOW.date().isoformat(), (NOW - timedelta(days=1)).date().isoformat()
    assert row({"pins": [{"item": "A3", "position": 2, "from": day, "until": day}]}, 3) == ["A19", "A3", "A18"]
    assert row({"pins": [{"item": "A3", "position": 2, "until": before}]}, 3) == ["A19", "A18", "A17"]
    assert row({"pins": [{"item": "A3", "position": 1}]}, 2, exclude=["A3"]) == ["A19", "A18"]
    assert row({"pins": [{"item": "A3", "position": 1}, {"item": "?", "position": 2}], "price_max": 1}) == []
    twice = [{"item": "A3", "position": place} for place in (4, 2)]
    assert row({"pins": twice}, 5) == ["A19", "A3", "A18", "A17", "A16"], "once, at its first position"
    written("A3", stock=0)
    assert row({"pins": [{"item": "A3", "position": 1}]}, 1) == ["A19"]
    few = {"categories": ["All"], "price_min": "9.99", "buries": [{"item": "A19"}]}
    assert row(few, 2) == ["A18", "A17"]
    assert row(few, 100)[-1] == "A19"
    pinned = {
        "pins": [{"item": "A5", "position": 9}],
        "suppressed": [f"A{number}" for number in range(20) if number > 6],
    }
    assert row(pinned, 9) == ["A6", "A4", "A2", "A1", "A0", "A5"], "a row that ends sooner ends with its pins"


def test_days_are_the_shops(row: Row, recommender: Recommender) -> None:
    """NOW is nine in the morning of 2 March in London and eleven in the evening on Kiritimati; an hour later it is the
    third there."""
    pinned = {"pins": [{"item": "A3", "position": 1, "from": "2026-03-03"}]}
    assert row(pinned, 1) == ["A19"]
    there = replace(recommender.config.locale, timezone="Pacific/Kiritimati")  # 14 hours ahead
    recommender.config = replace(recommender.config, locale=there)
    assert row(pinned, 1) == ["A19"]
    with recommender.database.read() as session:
        later = NOW + timedelta(hours=1)
        assert recommender.recommend(session, Request("till", n=1), now=later).items[0].key == "A3"


def test_a_pin_the_training_does_not_know(row: Row, database: Database) -> None:
    """An item that came after the training can be pinned, with its reason."""
    from tests.recommender.shop import add_items  # noqa: PLC0415

    with database.begin() as session:
        add_items(session, 1, key="late")
    assert row({"pins": [{"item": "late", "position": 1}]}, 2) == ["late", "A19"]


def test_cap_and_variety(row: Row, written: Callable[..., None]) -> None:
    """A cap counts at its level of the path and does not count what has no category; variety mixes categories."""
    for number in range(20):
        written(f"A{number}", category="Tea > Green" if number > 12 else "Tea > Black" if number > 10 else "Cups")
    assert row({"category_cap": 2}, 9) == ["A19", "A18", "A10", "A9"]
    assert row({"category_cap": 2, "category_depth": 2}, 9) == ["A19", "A18", "A12", "A11", "A10", "A9"]
    assert row({"diversity": 0.9}, 3)[:2] == ["A19", "A10"]
    assert row({"diversity": 0}, 3) == ["A19", "A18", "A17"]
    written("A17", category=None)
    written("A16", category=None)
    assert row({"category_cap": 1}, 9) == ["A19", "A17", "A16", "A10"]
