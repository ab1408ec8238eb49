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
        (Because("rules", (1, 2)), ["Tea", "Cup"], "often bought with Tea and Cup"),
        (Because("rules"), [], "a good match"),
        (Because("rules", (1,)), [""], "a good match"),
        (Because("rules", (1,), 42, 310), [""], "a good match"),
        (Because("collaborative", (1, 2)), ["Tea", "Cup"], "because you bought Tea"),
        (Because("collaborative"), [], "chosen for you"),
        (
            Because("next_purchase", (1,), 3, again=Usual(24, 30, 41, 12)),
            ["Tea"],
            "you buy it about every 4 weeks",
        ),
        (
            Because("buy_again", (1,), 1, again=Usual(100, 129, 150, 12)),
            ["Tea"],
            "often bought again after 4 months",
        ),
        (Because("next_purchase", (1,), 1), ["Tea"], "you bought it before"),
        (Because("buy_again", (1,), 2), ["Tea"], "you bought it 2 times"),
        (Because("next_purchase"), [], "often bought next"),
        (Because("session", (1,)), ["Tea"], "often looked at after Tea"),
        (Because("session"), [], "looked at in visits like yours"),
        (Because("similar", (1,)), ["Tea"], "related to Tea"),
        (Because("similar"), [], "of a similar kind"),
        (Because("upsell", (1,)), ["Tea"], "a step up from Tea"),
        (Because("bundles", (1,)), ["Tea"], "in a set with Tea"),
        (Because("trending"), [], "in demand these days"),
        (Because("popular", n=1), [], "bought by 1 person in the last 30 days"),
        (Because("popular"), [], "often bought"),
        (Because("newest"), [], "new in the shop"),
    ],
)
def test_words(because: Because, titles: list[str], text: str) -> None:
    """By what led to it, by how many people, or plainly."""
    assert reason(because, titles, [], bought=True).text == text


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (1, "day"), (7, "7 days"), (10, "10 days"), (11, "2 weeks"), (30, "4 weeks"), (55, "8 weeks"),
        (56, "2 months"), (129, "4 months"), (365, "12 months"), (548, "18 months"), (549, "2 years"), (730, "2 years"),
    ],
)  # fmt: skip
def test_a_span_as_people_say_it(days: int, words: str) -> None:
    """In days, weeks, months or years, none of them far from the truth."""
    told = Because("buy_again", (1,), 2, again=Usual(days, days, days, 9))
    assert reason(told, ["Tea"], [], bought=True).text == f"you buy it about every {words}"


def test_due_is_a_day_of_the_shop() -> None:
    """Bought on 1 March at 23:30 UTC, which is 2 March in Shanghai, and usual again after 30 days."""
    at = microseconds(datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    because = Because("next_purchase", (1,), 3, again=Usual(24, 30, 41, 12), at=at)
    told = [reason(because, ["Tea"], [], bought=True, zone=zone) for zone in (UTC, ZoneInfo("Asia/Shanghai"))]
    assert [one.due for one in told] == ["2026-03-31", "2026-04-01"]
    assert (told[0].days, told[0].between, told[0].gaps) == (30, (24, 41), 12)
