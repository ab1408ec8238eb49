"""What happened with one contact, as their rows tell it: events, orders and consent, newest first and part by part."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Self, TypeVar

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.functions import coalesce

from engine.errors import Invalid
from engine.models import Consent, Event, Item, Order

KINDS: Final = ("event", "order", "consent", "send")  # moments of one instant stand in this order, then the later row

At = InstrumentedAttribute[datetime] | coalesce[datetime]
Row = TypeVar("Row", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True)
class Thing:
    """The item that a moment is about."""

    id: int
    key: str
    title: str | None
    url: str | None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.title or self.key


@dataclass(frozen=True)
class Place:
    """Where in a history a moment stands. No two have the same, so a part that begins after one repeats and loses
    none, however many share an instant: those of a file that knows only the day.
    """

    at: datetime
    kind: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind}.{self.id}@{self.at.astimezone(UTC).isoformat()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` wrote; raises Invalid."""
        what, _, at = text.partition("@")
        kind, _, number = what.partition(".")
        try:
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is not None and kind in KINDS and number.isascii() and 0 <= int(number) < 2**63:
                return cls(moment.astimezone(UTC), kind, int(number))
        except (ValueError, OverflowError):
            pass
        raise Invalid(f"'{text[:60]}' does not say where a page begins: use the `next` of the page before.",
                      field="cursor")  # fmt: skip

    def older(self, kind: str, at: At, number: InstrumentedAttribute[int]) -> ColumnElement[bool]:
        """Of rows of `kind`: those after this place, newest first."""
        if kind == self.kind:
            return (at <= self.at) & ((at < self.at) | (number < self.id))
        return at <= self.at if KINDS.index(kind) > KINDS.index(self.kind) else at < self.at

    def newer(self, kind: str, at: At, number: InstrumentedAttribute[int]) -> ColumnElement[bool]:
        """Those before it."""
        if kind == self.kind:
            return (at >= self.at) & ((at > self.at) | (number > self.id))
        return at >= self.at if KINDS.index(kind) < KINDS.index(self.kind) else at > self.at


@dataclass(frozen=True)
class Span:
    """The part of a history between two places, neither of them in it; None: to its end. `kinds` are looked at, and
    of events those for which `events` holds.
    """

    before: Place | None = None
    after: Place | None = None
    kinds: frozenset[str] = frozenset(KINDS)
    events: ColumnElement[bool] | None = None

    def of(self, kind: str, rows: Row, at: At, number: InstrumentedAttribute[int], limit: int) -> Row:
        """The newest `limit` of `rows` that lie in it, newest first."""
        older = self.before.older(kind, at, number) if self.before else true()
        newer = self.after.newer(kind, at, number) if self.after else true()
        return rows.where(older, newer).order_by(at.desc(), number.desc()).limit(limit)


@dataclass(frozen=True)
class Moment:
    """One entry of a contact's history; `amount` in ten-thousandths of `currency`. Of an event also its item, whose
    browser it was, where it came from and what else it told.
    """

    at: datetime
    kind: str  # of KINDS
    title: str
    detail: str
    amount: int | None = None
    currency: str | None = None
    id: int = 0
    item: Thing | None = None
    visitor: str | None = None
    origin: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.at, self.kind, self.id)


Source = Callable[[Session, int, Span, int], Iterable[Moment]]


def timeline(session: Session, contact_id: int, span: Span = Span(), limit: int = 50) -> list[Moment]:
    """What happened with a contact within a span, newest first: at most `limit` moments."""
    return merged([_events, _orders, _consents], session, contact_id, span, limit)


def merged(sources: Iterable[Source], session: Session, contact_id: int, span: Span, limit: int) -> list[Moment]:
    """The newest moments of all sources, in the order of their kinds."""
    found = (source(session, contact_id, span, limit) for source in sources)
    return list(islice(heapq.merge(*found, key=lambda moment: moment.at, reverse=True), limit))


def _events(session: Session, contact_id: int, span: Span, limit: int) -> Iterator[Moment]:
    if "event" not in span.kinds:
        return
    rows = (
        select(Event.id, Event.type, Event.occurred_at, Event.value, Event.visitor, Event.origin, Event.properties,
               Item.id.label("item_id"), Item.key, Item.title, Item.url)
        .outerjoin(Item, Item.id == Event.item_id)
        .where(Event.contact_id == contact_id, true() if span.events is None else span.events)
    )  # fmt: skip
    for row in session.execute(span.of("event", rows, Event.occurred_at, Event.id, limit)):
        item = None if row.item_id is None else Thing(row.item_id, row.key, row.title, row.url)
        detail = item.name if item else str(row.properties.get("query") or "")
        yield Moment(row.occurred_at, "event", row.type, detail, row.value, None, row.id, item, row.visitor, row.origin,
                     row.properties)  # fmt: skip


def _orders(session: Session, contact_id: int, span: Span, limit: int) -> Iterator[Moment]:
    if "order" not in span.kinds:
        return
    rows = select(Order).where(Order.contact_id == contact_id)
    for order in session.scalars(span.of("order", rows, Order.ordered_at, Order.id, limit)):
        yield Moment(order.ordered_at, "order", order.key, order.channel or "", order.total, order.currency, order.id)


def _consents(session: Session, contact_id: int, span: Span, limit: int) -> Iterator[Moment]:
    if "consent" not in span.kinds:
        return
    rows = select(Consent).where(Consent.contact_id == contact_id)
    for word in session.scalars(span.of("consent", rows, Consent.at, Consent.id, limit)):
        said = f"{word.channel} {'granted' if word.granted else 'withdrawn'}"
        yield Moment(word.at, "consent", said, word.origin, id=word.id)
