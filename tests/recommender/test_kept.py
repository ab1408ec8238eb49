"""Results that are kept take no more room than they may."""

from __future__ import annotations

from recommender.kept import Kept


def test_the_same_is_made_once() -> None:
    """Until it is forgotten."""
    kept, made = Kept[str](1000), list[str]()

    def make() -> str:
        made.append("x")
        return "x"

    for _ in range(3):
        assert kept.of("key", make, len) == "x"
    assert len(made) == 1
    kept.clear()
    assert kept.of("key", make, len) == "x"
    assert len(made) == 2


def test_no_more_than_the_room() -> None:
    """What came first goes first; what is too long for its share is given and not kept."""
    kept = Kept[str](1000)
    for number in range(500):
        assert kept.of(number, lambda: "x" * 10, len) == "x" * 10
        assert kept.held <= 1000
    assert (len(kept), kept.held) == (100, 1000)
    assert kept.of(499, lambda: "other", len) == "x" * 10
    assert kept.of(0, lambda: "other", len) == "other"
    assert kept.of("long", lambda: "x" * 11, len) == "x" * 11
    assert kept.of("long", lambda: "y" * 11, len) == "y" * 11
