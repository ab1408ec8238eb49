"""What is asked, what is answered, and the words for why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from engine.database import EPOCH
from engine.errors import Invalid
from recommender.business import Filter
from recommender.due import Usual
from recommender.sources.base import Because
from recommender.sources.popular import POPULAR_DAYS, TRENDING_DAYS

MOST: Final = 100  # items of one answer, and of each list in a question
KEPT: Final = 32 << 20  # bytes of answers for whoever asks the same while nothing changes: some 4,000 rows of eight
EVERYTHING: Final = Filter()
PINNED: Final = "pin"  # stands where a source would


@dataclass(frozen=True)
class Request:
    """One question. Lists hold item keys, the newest last; `exclude` is never offered; `rules` stand in the place of
    the placement's own of the same name. before: what the rows above show, not offered again. strict: no best-sellers
    where nothing fits better; figures: reasons may tell how many people; personal: who asks is the contact that a
    visitor belongs to, else what counts is what this browser did, and reasons name only what the question does.
    """

    placement: str
    contact_id: int | None = None
    visitor: str | None = None
    items: Sequence[str] = ()
    cart: Sequence[str] = ()
    session: Sequence[str] = ()
    n: int = 10
    exclude: Sequence[str] = ()
    before: Sequence[str] = ()
    filter: Filter = EVERYTHING
    rules: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = True
    strict: bool = False
    figures: bool = True
    personal: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST:
            raise Invalid(f"n must be between 1 and {MOST}.", field="n")
        for name in ("items", "cart", "session", "exclude"):
            if len(getattr(self, name)) > MOST:
                raise Invalid(f"At most {MOST} {name} can be given.", field=name)


class Reason(NamedTuple):
    """Why an item is offered. because: titles of what led to it; support: buyers of those and the item; n: buyers of
    those (popular: lately); confidence = support / n; lift: how many times more often than by chance. A buyer is a
    contact, or a guest's order. What does not apply is None. because_ids: their item ids. days: after which it is
    usually bought again, half of the time between those of `between`, from so many `gaps`; due: that day, ISO 8601.
    """

    kind: str
    because: tuple[str, ...] = ()
    support: int | None = None
    n: int | None = None
    confidence: float | None = None
    lift: float | None = None
    text: str = ""
    because_ids: tuple[int, ...] = ()
    days: int | None = None
    between: tuple[int, int] | None = None
    gaps: int | None = None
    due: str | None = None


class InSet(NamedTuple):
    """The bundle in which an item is offered; price of the whole set and what that saves, in ten-thousandths."""

    key: str
    name: str
    price: int
    saves: int


class Recommended(NamedTuple):
    """One item offered, as recommender.shelf.Shown tells it; rank from 1."""

    item_id: int
    key: str
    title: str | None
    price: int | None
    currency: str
    url: str | None
    image_url: str | None
    category: str | None
    brand: str | None
    score: float | None  # None where figures are not told: margins may stand in it
    rank: int
    source: str
    reason: Reason | None
    bundle: InSet | None = None


class Answer(NamedTuple):
    """items, best first. degraded: no training serves, so only best-sellers answer. missing_ids: keys nobody knows.
    variant: the arm of the comparison that runs at the placement, if one does and somebody was named.
    """

    recommendation_id: str
    placement: str
    training_id: int | None
    degraded: bool
    items: tuple[Recommended, ...]
    missing_ids: tuple[str, ...]
    variant: str | None = None

    @property
    def source(self) -> str | None:
        """The source that found most of the items, the better placed one of equals."""
        counts: dict[str, int] = {}
        for item in self.items:
            counts[item.source] = counts.get(item.source, 0) + 1
        return max(counts, key=counts.__getitem__, default=None)


def reason(
    because: Because,
    titles: Sequence[str],
    ids: Sequence[int],
    *,
    bought: bool,
    figures: bool = True,
    zone: tzinfo = UTC,
) -> Reason:
    """The reason in words; `titles` and `ids` are of what led to it. `bought`: the contact bought that, rather than
    looked at it. `figures`: it may tell how many people. `zone`: of the shop's days.
    """
    known = because if figures or because.kind in PERSONAL else because._replace(support=None, n=None)
    numbers = (because.support, because.n, because.confidence, because.lift) if figures else (None,) * 4
    return Reason(
        because.kind, tuple(titles), *numbers, _text(known, titles, bought=bought), tuple(ids), *_again(because, zone)
    )


def _again(because: Because, zone: tzinfo) -> tuple[Any, ...]:
    """The last fields of a reason."""
    if because.again is None or because.at is None:
        return (None,) * 4
    low, days, high, gaps = because.again
    last = (EPOCH + timedelta(microseconds=because.at)).astimezone(zone).date()
    return days, (low, high), gaps, str(last + timedelta(days=days))


def pinned() -> Reason:
    """The reason of what a rule puts there."""
    return Reason(PINNED, text="chosen by the shop")


def chosen(kind: str) -> Reason:
    """The reason where it may not tell what the contact did."""
    return Reason(kind, text="chosen for you")


PERSONAL: Final = frozenset({"next_purchase", "buy_again"})  # what the contact bought, naming no other item
_BESIDE: Final = {
    "similar": "related to",  # by what they are, and the visits that look at both
    "upsell": "a step up from",
    "session": "often looked at after",
    "bundles": "in a set with",
}
_ALONE: Final = {  # of what has no numbers to tell
    "newest": "new in the shop",
    "bundles": "cheaper in a set",
    "trending": "in demand these days",
    "rules": "a good match",
    "similar": "of a similar kind",
    "upsell": "a step up",
    "collaborative": "chosen for you",
    "session": "looked at in visits like yours",
    "next_purchase": "often bought next",
}
_TOLD_BY_PEOPLE: Final = frozenset({"trending", "popular", "popular_in_category"})
_SPANS: Final = ((365.25, 549, "year"), (30.44, 56, "month"), (7, 11, "week"), (1, 0, "day"))  # days, said from, of it


def _text(because: Because, titles: Sequence[str], *, bought: bool) -> str:
    if because.kind in PERSONAL and because.support:
        return _bought(because.support, because.again)
    named = [title for title in titles if title]  # of what is not sold any more nobody knows it
    words = _led(because, named, bought=bought) if named else None
    if words is None and (because.kind not in _TOLD_BY_PEOPLE or not because.n):
        words = _ALONE.get(because.kind, "often bought")
    return words or _counted(because)


def _led(because: Because, titles: Sequence[str], *, bought: bool) -> str | None:
    """In words of what led to it."""
    if because.kind == "rules":
        led = " and ".join(titles)
        return (
            f"{because.support} of {because.n} buyers of {led} also bought it"
            if because.n
            else f"often bought with {led}"
        )
    if because.kind == "collaborative":  # the one that says most: two rarely fit beneath a title
        return f"because you {'bought' if bought else 'looked at'} {titles[0]}"
    return f"{_BESIDE[because.kind]} {titles[0]}" if because.kind in _BESIDE else None


def _bought(times: int, again: Usual | None) -> str:
    """Of what was bought before; who bought it once has no habit yet."""
    if again is None:
        return "you bought it before" if times == 1 else f"you bought it {times} times"
    span = _span(again.days)
    return f"often bought again after {span}" if times == 1 else f"you buy it about every {span.removeprefix('1 ')}"


def _span(days: int) -> str:
    """As people say it: 30 days are 4 weeks, 129 are 4 months."""
    size, _, name = next(span for span in _SPANS if days >= span[1])
    number = round(days / size)
    return f"{number} {name}{'s' if number > 1 else ''}"


def _counted(because: Because) -> str:
    """By how many people."""
    people = "1 person" if because.n == 1 else f"{because.n} people"
    if because.kind == "trending":
        return f"bought by {people} in the last {TRENDING_DAYS} days, more than usual"
    return f"bought by {people} in the last {POPULAR_DAYS} days"
