"""What each source finds, what it learned that from, and what a question must hold for it to find anything. One table
feeds the page of a placement and docs/recommendations.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

Signal = Literal[
    "page", "cart", "visit", "past"
]  # items on the page, in the cart, of this visit; what somebody did before


class Needs(NamedTuple):
    """any_of: it finds something only where one of these is there; empty: always."""

    any_of: frozenset[Signal]
    words: str


NOTHING: Final = Needs(frozenset(), "nothing")
_HELD: Final = Needs(frozenset(("page", "cart")), "the set's first item on the page or in the cart")
_CLICKED: Final = Needs(frozenset(("page", "visit")), "an item on the page or of this visit")
_LOOKED_AT: Final = Needs(frozenset(("page", "cart", "visit")), "an item on the page, in the cart or of this visit")
_PAST: Final = Needs(frozenset(("past",)), "a contact who ordered")
_ANY: Final = Needs(frozenset(("page", "cart", "visit", "past")), f"{_LOOKED_AT.words}, or somebody with a history")


class About(NamedTuple):
    """finds: in one line; learned: from what."""

    finds: str
    learned: str
    needs: Needs


ABOUT: Final[Mapping[str, About]] = {
    "bundles": About("what completes a set that a marketer made", "nothing: it is made", _HELD),
    "rules": About(
        "what is bought together with what is looked at",
        "orders; titles, categories, brands and prices for what is new",
        _LOOKED_AT,
    ),
    "collaborative": About(
        "what people with the same taste and the same last steps bought", "purchases and views of contacts", _ANY
    ),
    "next_purchase": About(
        "what comes in a contact's next order, bought before or not", "the orders of contacts, in their order", _ANY
    ),
    "buy_again": About(
        "of what a contact bought before, what comes in their next order", "what `next_purchase` learned", _PAST
    ),
    "session": About(
        "what visits like this one looked at next, also of strangers", "visits: an hour of silence ends one", _CLICKED
    ),
    "similar": About(
        "what can stand in place of what is looked at, first what visits look at beside it",
        "titles, categories, brands and prices; visits",
        _ANY,
    ),
    "upsell": About(
        "a step up in price as far as people here go, by what it gains",
        "visits, purchases, prices and costs",
        _LOOKED_AT,
    ),
    "trending": About("what sells more than usual these days", "orders", NOTHING),
    "popular_in_category": About("best-sellers of the category of what is looked at", "orders", _ANY),
    "popular": About("best-sellers of the shop", "orders", NOTHING),
    "newest": About("what came into the shop last", "nothing: the catalogue tells", NOTHING),
}

# What a question at a placement can hold at most; at any other all of it.
HERE: Final[Mapping[str, frozenset[Signal]]] = {
    "home": frozenset(("cart", "visit", "past")),
    "email": frozenset(("past",)),
}


def is_idle(source: str, placement: str) -> bool:
    """Whether a source can never find anything at a placement."""
    needed = ABOUT[source].needs.any_of
    return bool(needed) and placement in HERE and needed.isdisjoint(HERE[placement])


# Where the item of a question stands at the placements of the start; None: who asks is known, and nothing else. At a
# placement of the shop's own it is one of the visit.
USUAL: Final[Mapping[str, Signal | None]] = {
    "home": "visit",
    "item": "page",
    "similar": "page",
    "upsell": "page",
    "cart": "cart",
    "again": None,
    "next": None,
    "email": None,
}
_LIKELIEST: Final[tuple[Signal, ...]] = ("visit", "page", "cart", "past")  # what a question holds beside the usual


def asked_with(sources: Sequence[str], placement: str) -> frozenset[Signal]:
    """What a question at a placement holds, so that it is one that happens there and each source that can answer finds
    what it needs: "past" stands for somebody with a history, who asks everywhere.
    """
    possible = HERE.get(placement, frozenset(_LIKELIEST))
    needs = [needed for needed in (ABOUT[source].needs.any_of & possible for source in sources) if needed]
    own: Signal | None = "visit" if any("visit" in needed for needed in needs) else None
    usual = USUAL.get(placement, own)
    held: set[Signal] = {"past"} if usual is None else {"past", usual}
    for needed in needs:
        if needed.isdisjoint(held):
            held.add(next(signal for signal in _LIKELIEST if signal in needed))
    return frozenset(held)


def led_by_past(sources: Sequence[str]) -> bool:
    """Whether the first source that needs anything can answer from somebody's history alone."""
    needs = [ABOUT[source].needs.any_of for source in sources]
    return "past" in next(filter(None, needs), _PAST.any_of)
