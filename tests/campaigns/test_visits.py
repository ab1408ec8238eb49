"""A history folded into visits: none is torn, none is lost, and a long one is read in bounded parts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from campaigns import visits
from campaigns.visits import MOST, Entry, Visit, moments, page, since
from engine.database import Database
from engine.models import Event
from engine.timeline import Moment, Place
from tests.campaigns import shop

MINUTE = timedelta(minutes=1)
BROWSER = "browser-of-the-first"


def tell(session: Session, at: list[datetime], kind: str = "item_view", visitor: str | None = BROWSER) -> None:
    """Events of contact 1 at these moments."""
    made = {"contact_id": 1, "type": kind, "visitor": visitor, "origin": "web", "properties": {}, "revision": 1}
    first = (session.query(Event).count() + 1) if at else 0
    session.execute(insert(Event), [made | {"key": f"e{first + n}", "occurred_at": one} for n, one in enumerate(at)])


def read(session: Session, name: str, now: datetime) -> list[list[Entry]]:
    """All pages."""
    pages, before = [], None
    while True:
        found = page(session, 1, name, before, now)
        pages.append(found.entries)
        before = found.next
        if before is None:
            return pages


def shape(entries: list[Entry]) -> list[tuple[str, int]]:
    """What each entry is, and of how many moments."""
    return [("visit", len(one.moments)) if isinstance(one, Visit) else (one.title, 1) for one in entries]


def test_what_is_a_visit(database: Database, now: datetime) -> None:
    """One browser without a pause of an hour; an order meanwhile stands beside it, one event alone is no visit."""
    with database.begin() as session:
        shop.contact(session, 1, now)
        shop.order(session, "O1", 1, now - 30 * MINUTE, 5)
        tell(session, [now - n * MINUTE for n in (0, 59, 119)])
        tell(session, [now - n * MINUTE for n in (10, 20)], visitor="browser-of-another")
        tell(session, [now - n * MINUTE for n in (180,)])
        tell(session, [now - n * MINUTE for n in (5,)], kind="call")
    with database.read() as session:
        [entries] = read(session, "", now)
        assert shape(entries) == [("visit", 3), ("call", 1), ("visit", 2), ("O1", 1), ("item_view", 1)]
        assert [shape(one) for one in read(session, "orders", now)] == [[("O1", 1)]]
        assert [shape(one) for one in read(session, "answers", now)] == [[("call", 1)]]
        assert [shape(one) for one in read(session, "visits", now)] == [[("visit", 3), ("visit", 2), ("item_view", 1)]]
        assert [shape(one) for one in read(session, "consent", now)] == [[]]


def test_pages_end_between_visits(database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their size; a visit that never ends is cut after MOST moments, and nothing is lost or repeated."""
    for name, value in {"ENTRIES": 3, "ENOUGH": 20, "MOST": 60, "CHUNK": 7}.items():
        monkeypatch.setattr(visits, name, value)
    sizes = [2, 9, 31, 2, 5, 40, 3, 3, 200, 4]
    starts = [now - timedelta(days=n + 1) for n in range(len(sizes))]
    with database.begin() as session:
        shop.contact(session, 1, now)
        for start, size in zip(starts, sizes, strict=True):
            tell(session, [start + n * MINUTE for n in range(size)])
    with database.read() as session:
        pages = read(session, "", now)
    whole = [len(one.moments) for entries in pages for one in entries if isinstance(one, Visit)]
    assert (whole[:8], whole[-1], sum(whole)) == (sizes[:8], sizes[-1], sum(sizes))
    assert all(len(moments(entries)) <= 60 for entries in pages)
    ids = [one.id for entries in pages for one in moments(entries)]
    assert len(set(ids)) == sum(sizes)


def test_a_day_without_hours(database: Database, now: datetime) -> None:
    """Events of one instant are read on, each once, in pages of any size."""
    with database.begin() as session:
        shop.contact(session, 1, now)
        tell(session, [now] * 700, kind="call")
        for number in range(5):
            shop.order(session, f"O{number}", 1, now, 1)
    with database.read() as session:
        pages = read(session, "", now)
    found = [one for entries in pages for one in entries if isinstance(one, Moment)]
    assert len(found) == 705
    assert len({one.place for one in found}) == 705


def test_what_may_still_grow(database: Database, now: datetime) -> None:
    """Moments after the settled place are told again with what came in since, late ones too."""
    with database.begin() as session:
        shop.contact(session, 1, now)
        assert page(session, 1, "", None, now).settled is None
        tell(session, [now - n * MINUTE for n in (300, 301, 40, 50)])
        found = page(session, 1, "", None, now)
        entries, seen = since(session, 1, "", found.settled)
        assert (shape(entries), found.live) == ([("visit", 2)], 1)
        assert seen == visits.seen(moments(found.entries[:1]))
        tell(session, [now - 45 * MINUTE])
        late, other = since(session, 1, "", found.settled)
        assert (shape(late), other != seen) == ([("visit", 3)], True)
        later = page(session, 1, "", None, now + timedelta(hours=3))
        assert later.live == 0
        assert since(session, 1, "", later.settled)[0] == []


def test_a_long_history_is_read_in_bounded_parts(database: Database, now: datetime) -> None:
    """Of a visit of 20,000 events a page holds no more than MOST."""
    brought: list[int] = []
    with database.begin() as session:
        shop.contact(session, 1, now)
        tell(session, [now - n * MINUTE for n in range(20_000)])
    with database.read() as session:
        before: Place | None = None
        for _ in range(4):
            found = page(session, 1, "", before, now)
            brought.append(len(moments(found.entries)))
            before = found.next
    assert max(brought) <= MOST
    assert sum(brought) == 4 * MOST
