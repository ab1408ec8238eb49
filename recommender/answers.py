"""What is asked, what is answered, and the words for why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.errors import Invalid
from recommender.shelf import Filter
from recommender.sources.base import Because
from recommender.sources.popular import POPULAR_DAYS, TRENDING_DAYS

MOST: Final = 100  # items of one answer, and of each list in a question


@dataclass(frozen=True)
class Request:
    """One question. Lists hold item keys, the newest last; `exclude` is never offered."""

    placement: str
    contact_id: int | None = None
    visitor: str | None = None
    items: Sequence[str] = ()
    cart: Sequence[str] = ()
    session: Sequence[str] = ()
    n: int = 10
    exclude: Sequence[str] = ()
    filter: Filter = field(default_factory=Filter)
    explain: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST:
            raise Invalid(f"n must be between 1 and {MOST}.", field="n")
        for name in ("items", "cart", "session", "exclude"):
            if len(getattr(self, name)) > MOST:
                raise Invalid(f"At most {MOST} {name} can be given.", field=name)


@dataclass(frozen=True)
class Reason:
    """Why an item is offered. because: titles of what led to it; support: buyers of those and the item; n: buyers of
    those (popular: lately); confidence = support / n; lift: how many times more often than by chance. A buyer is a
    contact, or a guest's order. What does not apply is None. because_ids: their item ids.
    """

    kind: str
    because: tuple[str, ...] = ()
    support: int | None = None
    n: int | None = None
    confidence: float | None = None
    lift: float | None = None
    text: str = ""
    because_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recommended:
    """One item offered; price in ten-thousandths of `currency`, rank from 1."""

    item_id: int
    key: str
    title: str | None
    price: int | None
    currency: str
    url: str | None
    image_url: str | None
    category: str | None
    score: float
    rank: int
    source: str
    reason: Reason | None


@dataclass(frozen=True)
class Answer:
    """items, best first. degraded: no training serves, so only best-sellers answer. missing_ids: keys nobody knows."""

    recommendation_id: str
    placement: str
    training_id: int | None
    degraded: bool
    items: tuple[Recommended, ...]
    missing_ids: tuple[str, ...]


def reason(because: Because, titles: Sequence[str], ids: Sequence[int], *, bought: bool) -> Reason:
    """The reason in words; `titles` and `ids` are of what led to it. `bought`: the contact bought that, rather than
    looked at it.
    """
    return Reason(
        because.kind,
        tuple(titles),
        because.support,
        because.n,
        because.confidence,
        because.lift,
        _text(because, titles, bought=bought),
        tuple(ids),
    )


def _text(because: Because, titles: Sequence[str], *, bought: bool) -> str:
    if because.kind == "rules" and because.n:
        return f"{because.support} of {because.n} buyers of {' and '.join(titles)} also bought it"
    if because.kind == "collaborative" and titles:
        return f"because you {'bought' if bought else 'looked at'} {', '.join(titles)}"
    if not because.n:
        return "new in the shop" if because.kind == "newest" else "often bought"
    people = "1 person" if because.n == 1 else f"{because.n} people"
    if because.kind == "trending":
        return f"bought by {people} in the last {TRENDING_DAYS} days, more than usual"
    return f"bought by {people} in the last {POPULAR_DAYS} days"
