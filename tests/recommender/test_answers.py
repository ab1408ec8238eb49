"""Reasons say no more than is known."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.database import microseconds
from recommender.answers import reason
from recommender.due import Usual
from recommender.sources.base import Because


@pytest.mark.parametrize(
    ("because", "titles", "text"),
    [
        (Because("rules", (1,), 42, 310), ["Tea"], "42 of 310 buyers of Tea also bought it"),
        (Because("rules"), [], "goes with it"),
        (
            Because("next_purchase", (1,), 3, again=Usual(24, 30, 41, 12)),
            ["Tea"],
            "you bought it 3 times, usual again after 30 days (between 24 and 41)",
        ),
        (
            Because("next_purchase", (1,), 2, again=Usual(1, 1, 1, 5)),
            ["Tea"],
            "you bought it 2 times, usual again after 1 day",
        ),
        (Because("next_purchase", (1,), 1), ["Tea"], "you bought it once"),
        (Because("next_purchase"), [], "follows what you bought"),
        (Because("session", (1,)), ["Tea"], "looked at after Tea"),
        (Because("session"), [], "looked at in visits like this one"),
        (Because("similar", (1,)), ["Tea"], "related to Tea"),
        (Because("upsell", (1,), 20, 50), ["Tea"], "a step up from Tea"),
        (Because("popular", n=1), [], "bought by 1 person in the last 30 days"),
        (Because("popular"), [], "often bought"),
        (Because("newest"), [], "new in the shop"),
    ],
)
def test_words(because: Because, titles: list[str], text: str) -> None:
    """By what led to it, by how many people, or plainly."""
    assert reason(because, titles, [], bought=True).text == text


def test_due_is_a_day_of_the_shop() -> None:
    """Bought on 1 March at 23:30 UTC, which is 2 March in Shanghai, and usual again after 30 days."""
    at = microseconds(datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    because = Because("next_purchase", (1,), 3, again=Usual(24, 30, 41, 12), at=at)
    told = [reason(because, ["Tea"], [], bought=True, zone=zone) for zone in (UTC, ZoneInfo("Asia/Shanghai"))]
    assert [one.due for one in told] == ["2026-03-31", "2026-04-01"]
    assert (told[0].days, told[0].between, told[0].gaps) == (30, (24, 41), 12)
