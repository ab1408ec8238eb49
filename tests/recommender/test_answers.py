"""Reasons say no more than is known."""

from __future__ import annotations

import pytest

from recommender.answers import reason
from recommender.sources.base import Because


@pytest.mark.parametrize(
    ("because", "titles", "text"),
    [
        (Because("rules", (1,), 42, 310), ["Tea"], "42 of 310 buyers of Tea also bought it"),
        (Because("rules"), [], "goes with it"),
        (Because("next_purchase", (1,), 3, days=30), ["Tea"], "you bought it 3 times, usual again after 30 days"),
        (Because("next_purchase", (1,), 1), ["Tea"], "you bought it once"),
        (Because("next_purchase"), [], "follows what you bought"),
        (Because("session", (1,)), ["Tea"], "looked at after Tea"),
        (Because("session"), [], "looked at in visits like this one"),
        (Because("similar", (1,)), ["Tea"], "similar to Tea"),
        (Because("upsell", (1,), 20, 50), ["Tea"], "a step up from Tea"),
        (Because("popular", n=1), [], "bought by 1 person in the last 30 days"),
        (Because("popular"), [], "often bought"),
        (Because("newest"), [], "new in the shop"),
    ],
)
def test_words(because: Because, titles: list[str], text: str) -> None:
    """By what led to it, by how many people, or plainly."""
    assert reason(because, titles, [], bought=True).text == text
