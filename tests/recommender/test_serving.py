"""What a storefront is answered, through the Recommender and both real databases."""

from __future__ import annotations

import gc
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, event, select, update

from engine import contacts, identity
from engine.config import Config
from engine.database import Database, next_revision
from engine.errors import Invalid
from engine.models import Contact, Deletion, Item, Order, OrderLine
from engine.prepared import Prepared
from recommender import batches, fitted, placements, training
from recommender.answers import Request
from recommender.business import Filter
from recommender.models import Training
from recommender.serving import CHECKED, STALE, Recommender
from recommender.shelf import Shelf
from tests.recommender.shop import NOW, add_contacts, add_event, add_items, add_order


def ask(recommender: Recommender, request: Request) -> list[str]:
    with recommender.database.read() as session:
        return [item.key for item in recommender.recommend(session, request, now=NOW).items]


def contact_id(database: Database, key: str) -> int:
    with database.read() as session:
        return session.scalars(select(Contact.id).where(Contact.key == key)).one()


@pytest.mark.usefixtures("shop")
def test_home_offers_what_is_withheld(recommender: Recommender, database: Database) -> None:
    """Contact 4 has every even item but item 4: it comes first, because of two others they bought."""
    with database.read() as session:
        request = Request("home", contact_id=contact_id(database, "C4"), n=3)
        answer = recommender.recommend(session, request, now=NOW)
    first = answer.items[0]
    assert (first.key, first.source, first.rank) == ("A4", "collaborative", 1)
    assert first.reason is not None
    assert re.fullmatch(r"because you bought Item \d+", first.reason.text)
    assert not answer.degraded
    assert answer.training_id == 1


@pytest.mark.usefixtures("shop")
def test_item_page_says_how_many(recommender: Recommender, database: Database) -> None:
    """18 people bought item 0, 16 of them item 2 too (two lack one of the two)."""
    with database.read() as session:
        answer = recommender.recommend(session, Request("item", items=["A0"], n=9), now=NOW)
    by_key = {item.key: item.reason for item in answer.items}
    why = by_key["A2"]
    assert why is not None
    assert why.text == "16 of 18 buyers of Item 0 also bought it"
    assert (why.support, why.n, why.because) == (16, 18, ("Item 0",))
    assert why.confidence == pytest.approx(16 / 18)
    assert why.lift == pytest.approx((16 / 18) / (18 / 40))
    assert set(by_key) == {f"A{number}" for number in range(2, 20, 2)}


@pytest.mark.usefixtures("shop")
def test_new_purchase_counts_at_once(recommender: Recommender, database: Database) -> None:
    """A stranger buys three odd items after the training: the next answer is odd items, and none of those three."""
    with database.begin() as session:
        stranger = add_contacts(session, 0) or Contact(key="new", attributes={}, created_at=NOW, updated_at=NOW)
        session.add(stranger)
        session.flush()
        bought = session.scalars(select(Item).where(Item.key.in_(["A1", "A3", "A5"]))).all()
        add_order(session, stranger, bought, NOW - timedelta(minutes=1))
    found = ask(recommender, Request("home", contact_id=contact_id(database, "new"), n=7))
    assert sorted(found) == ["A11", "A13", "A15", "A17", "A19", "A7", "A9"]


@pytest.mark.usefixtures("shop")
def test_views_count_before_and_after_they_have_a_name(recommender: Recommender, database: Database) -> None:
    """A visitor who looked at odd items is offered odd items, and so is the contact they turn out to be."""
    with database.begin() as session:
        odd = session.scalars(select(Item).where(Item.key == "A7")).one()
        add_event(session, None, odd, NOW - timedelta(minutes=5), visitor="v1")
    found = ask(recommender, Request("home", visitor="v1", n=5))
    assert all(int(key[1:]) % 2 for key in found)
    with database.begin() as session:
        session.add(Contact(key="new", attributes={}, created_at=NOW, updated_at=NOW))
        session.flush()
        identity.identify(session, "v1", session.scalars(select(Contact.id).where(Contact.key == "new")).one(), NOW)
    assert ask(recommender, Request("home", visitor="v1", n=5)) == found
    assert ask(recommender, Request("home", contact_id=contact_id(database, "new"), n=5)) == found


@pytest.mark.usefixtures("shop")
def test_what_went_back_was_not_bought(recommender: Recommender, database: Database) -> None:
    """Contact 4 returns item 2: it may be offered to them again."""
    home = Request("home", contact_id=contact_id(database, "C4"), n=20)
    assert "A2" not in ask(recommender, home)
    with database.begin() as session:
        contact = session.get_one(Contact, home.contact_id)
        item = session.scalars(select(Item).where(Item.key == "A2")).one()
        add_order(session, contact, [item], NOW - timedelta(hours=1), quantity=-1)
    assert "A2" in ask(recommender, home)


@pytest.mark.usefixtures("shop")
def test_whatever_changes_a_history_counts_at_once(recommender: Recommender, database: Database) -> None:
    """Asked the same before and after, each time answered by what is true then: an old order corrected, an order that
    is another person's, a merge, its undo, an erasure.
    """
    four, five = (contact_id(database, key) for key in ("C4", "C5"))

    def hidden(contact: int) -> set[str]:
        found = ask(recommender, Request("home", contact_id=contact, n=100))
        assert ask(recommender, Request("home", contact_id=contact, n=100)) == found
        return {f"A{number}" for number in range(20)} - set(found)

    even, odd = hidden(four), hidden(five)
    assert even == {f"A{number}" for number in range(0, 20, 2)} - {"A4"}
    assert odd == {f"A{number}" for number in range(1, 20, 2)} - {"A5"}
    with database.begin() as session:
        item = session.scalars(select(Item.id).where(Item.key == "A2")).one()
        mine = select(Order.id).where(Order.contact_id == four)
        corrected = update(OrderLine).where(OrderLine.order_id.in_(mine), OrderLine.item_id == item)
        session.execute(corrected.values(quantity=0, revision=next_revision(session)))
    assert hidden(four) == even - {"A2"}
    with database.begin() as session:
        moved = session.scalars(select(Order).where(Order.contact_id == four).order_by(Order.id)).all()
        for order in moved:
            order.contact_id = five
    assert hidden(four) == set()
    assert hidden(five) == odd | even - {"A2"}
    with database.begin() as session:
        number = identity.join(session, five, four, evidence="test", author="test", now=NOW).id
    assert hidden(four) == odd | even - {"A2"}
    with database.begin() as session:
        identity.part(session, number, author="test", now=NOW)
    assert hidden(four) == set()
    with database.begin() as session:
        contacts.erase(session, five, NOW)
    assert hidden(five) == set()


@pytest.mark.usefixtures("shop")
def test_what_is_looked_at_needs_no_history(recommender: Recommender, database: Database) -> None:
    """On an item page that hides nothing bought, everybody is shown the same, and nobody's history is read."""
    asked = [Request("item", contact_id=contact_id(database, key), items=["A0"], n=9) for key in ("C4", "C5")]
    ask(recommender, asked[0])
    statements: list[str] = []
    with monitored(statements):
        shown = [ask(recommender, request) for request in asked]
    assert shown[0] == shown[1]
    assert not [one for one in statements if "order_lines" in one]
    hiding = [replace(request, rules={"exclude_purchased": True}) for request in asked]
    assert ask(recommender, hiding[0]) != ask(recommender, hiding[1])


@contextmanager
def monitored(statements: list[str]) -> Iterator[None]:
    """Notes what goes through `Prepared.rows`, which no event of SQLAlchemy's tells."""
    rows = Prepared.rows

    def noted(self: Prepared, *given: Any, **values: Any) -> Any:
        statements.append(str(self._query))
        return rows(self, *given, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "rows", noted)
        yield


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "change", [{"stock": 0}, {"active": False}, {"recommendable": False}], ids=["sold out", "inactive", "a fee"]
)
def test_what_may_not_be_offered_any_more(
    recommender: Recommender, database: Database, change: dict[str, object]
) -> None:
    """An item that sells out or leaves the shop is gone once the shelf is looked at again, every second; the row
    is still full.
    """
    item_page = Request("item", items=["A0"], n=5)
    gone = ask(recommender, item_page)[0]
    with database.begin() as session:
        values = {**change, "revision": next_revision(session)}
        session.execute(update(Item).where(Item.key == gone).values(values))
    recommender.reload()
    found = ask(recommender, item_page)
    assert gone not in found
    assert len(found) == 5


@pytest.mark.usefixtures("shop")
def test_an_open_transaction_holds_nothing_back(recommender: Recommender, database: Database) -> None:
    """While somebody's import is open, items of others are on the shelf at once; its own when it commits, however low
    the number of its transaction (PostgreSQL; SQLite has one writer at a time)."""
    late = Request("home", n=100, filter=Filter(categories=("Late",)))
    with database.begin() as session:
        session.execute(update(Item).where(Item.key == "A1").values(category="Late", revision=next_revision(session)))
    recommender.reload()
    assert ask(recommender, late) == ["A1"]
    if database.is_sqlite:
        return
    with database.begin() as slow:
        slow.execute(update(Item).where(Item.key == "A2").values(category="Late", revision=next_revision(slow)))
        with database.begin() as fast:
            fast.execute(update(Item).where(Item.key == "A3").values(category="Late", revision=next_revision(fast)))
        recommender.reload()
        assert set(ask(recommender, late)) == {"A1", "A3"}
        shelf = recommender._state.shelf  # type: ignore[union-attr]
        with database.read() as session:
            assert shelf.refreshed(session) is shelf, "nothing is read twice"
    recommender.reload()
    assert set(ask(recommender, late)) == {"A1", "A2", "A3"}


@pytest.mark.usefixtures("shop")
def test_deleted_item(recommender: Recommender, database: Database) -> None:
    """An item deleted since the training is neither offered nor an error to ask about."""
    with database.begin() as session:
        item = add_items(session, 1, key="late")[0]
        late = item.id
    recommender.reload()
    assert len(ask(recommender, Request("item", items=["late"], n=5))) == 5
    with database.begin() as session:
        session.delete(session.get_one(Item, late))
        session.add(Deletion(table_name="items", row_id=late, revision=next_revision(session)))
    recommender.reload()
    with database.read() as session:
        answer = recommender.recommend(session, Request("item", items=["late"], n=5), now=NOW)
    assert len(answer.items) == 5
    assert "late" not in [item.key for item in answer.items]
    assert answer.missing_ids == ("late",)
    with database.begin() as session:
        add_items(session, 1, key="late")
    recommender.reload()
    with database.read() as session:
        assert recommender.recommend(session, Request("item", items=["late"]), now=NOW).missing_ids == ()


@pytest.mark.usefixtures("shop")
def test_unknown_keys_are_listed(recommender: Recommender, database: Database) -> None:
    """What nobody knows is named, whatever letters it is written in, and the rest is answered."""
    with database.read() as session:
        request = Request("cart", cart=["A0", "nö", "货号"], session=["gone"], exclude=["also unknown"], n=3)
        answer = recommender.recommend(session, request, now=NOW)
    assert answer.missing_ids == ("nö", "货号", "gone")
    assert len(answer.items) == 3


@pytest.mark.usefixtures("shop")
def test_excluded_and_context_are_not_offered(recommender: Recommender) -> None:
    """Neither the page's item, the cart, the session nor what was excluded comes back."""
    found = ask(recommender, Request("cart", items=["A0"], cart=["A2"], session=["A4"], exclude=["A6"], n=100))
    assert len(found) == 16
    assert not {"A0", "A2", "A4", "A6"} & set(found)


@pytest.mark.usefixtures("shop")
def test_filters(recommender: Recommender, database: Database) -> None:
    """Category (and what is below it) and price narrow; an item without a price meets no price."""
    with database.begin() as session:
        for number, values in enumerate(({"category": "All > Cups"}, {"category": "Allotment"}, {"price": None})):
            values["revision"] = next_revision(session)
            session.execute(update(Item).where(Item.key == f"A{number}").values(values))
    recommender.reload()
    everything = ask(recommender, Request("home", n=100))
    assert len(everything) == 20
    assert ask(recommender, Request("home", n=100, filter=Filter(categories=("All > Cups",)))) == ["A0"]
    assert set(everything) - set(ask(recommender, Request("home", n=100, filter=Filter(categories=("All",))))) == {"A1"}
    cheap = Filter(price_min=0, price_max=100_000)
    assert set(everything) - set(ask(recommender, Request("home", n=100, filter=cheap))) == {"A2"}
    assert ask(recommender, Request("home", n=100, filter=Filter(price_min=100_000))) == []
    for one in (Filter(price_max=100_000), Filter(price_min=-50_000)):
        assert set(everything) - set(ask(recommender, Request("home", n=100, filter=one))) == {"A2"}


def test_without_a_training_best_sellers_answer(recommender: Recommender, database: Database) -> None:
    """Before the first training: what most people bought lately, then the newest; and it says so."""
    with database.begin() as session:
        things, people = add_items(session, 4), add_contacts(session, 3)
        for number, contact in enumerate(people):
            add_order(session, contact, things[: number + 1], NOW - timedelta(days=2))
    with database.read() as session:
        answer = recommender.recommend(session, Request("item", items=["A2"], n=3), now=NOW)
    assert answer.degraded
    assert [item.key for item in answer.items] == ["A0", "A1", "A3"]
    texts = [item.reason.text for item in answer.items if item.reason]
    assert texts == [
        "bought by 3 people in the last 30 days",
        "bought by 2 people in the last 30 days",
        "new in the shop",
    ]


def test_best_sellers_are_what_was_bought_lately(recommender: Recommender, database: Database) -> None:
    """Neither what went back, nor orders of 30 days ago, nor those dated ahead; the newest item comes next."""
    with database.begin() as session:
        things, people = add_items(session, 4), add_contacts(session, 3)
        add_order(session, people[0], things[:1], NOW - timedelta(days=29))
        for contact in people:
            add_order(session, contact, things[1:2], NOW - timedelta(days=31))
            add_order(session, contact, things[2:3], NOW + timedelta(days=1))
            add_order(session, contact, things[3:4], NOW - timedelta(days=1), quantity=-1)
    assert ask(recommender, Request("item", n=4)) == ["A0", "A3", "A2", "A1"]


def test_what_is_not_on_the_shelf_is_not_offered(database: Database) -> None:
    """A training may know an item that is gone since: it has no row, which is not the last item's row."""
    with database.begin() as session:
        (item,) = add_items(session, 1)
        shelf = Shelf().refreshed(session)
        rows = shelf.rows(np.array([item.id, 10**9]))
        assert shelf.allowed(rows, Filter()).tolist() == [True, False]


def test_more_items_than_are_read_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are on the shelf, each told as it is now; one that goes keeps its row, and is not active."""
    monkeypatch.setattr("recommender.shelf.READ", 2)
    with database.begin() as session:
        ids = [item.id for item in add_items(session, 5)]
    with database.read() as session:
        known = Shelf().refreshed(session)
    with database.begin() as session:
        session.execute(update(Item).where(Item.id == ids[1]).values(title="Größe 42", revision=next_revision(session)))
        session.execute(delete(Item).where(Item.id == ids[4]))
        session.add(Deletion(table_name="items", row_id=ids[4], revision=next_revision(session)))
    with database.read() as session:
        newer = known.refreshed(session)
    rows = newer.rows_of(ids)
    assert newer.state.ids[rows].tolist() == ids
    assert newer.state.active[rows].tolist() == [True] * 4 + [False]
    assert known.state.active.all()
    assert [newer.shown[item].title for item in ids[:4]] == ["Item 0", "Größe 42", "Item 2", "Item 3"]
    assert (newer.shown[ids[1]].key, newer.shown[ids[1]].url) == ("A1", None)


def test_empty_shop(recommender: Recommender, database: Database) -> None:
    """No items: an answer with nothing in it."""
    with database.read() as session:
        answer = recommender.recommend(session, Request("home", contact_id=99, visitor="x", items=["?"]), now=NOW)
    assert answer.items == ()
    assert answer.missing_ids == ("?",)


def test_unknown_placement(recommender: Recommender, database: Database) -> None:
    """A misspelt placement is refused with the one that was meant."""
    with database.read() as session, pytest.raises(Invalid, match="Did you mean 'home'") as caught:
        recommender.recommend(session, Request("hoem"), now=NOW)
    assert caught.value.field == "placement"


@pytest.mark.parametrize(("given", "field"), [({"n": 0}, "n"), ({"n": 101}, "n"), ({"cart": ["x"] * 101}, "cart")])
def test_sizes_are_bounded(given: dict[str, object], field: str) -> None:
    """Too much of anything is refused."""
    with pytest.raises(Invalid) as caught:
        Request("home", **given)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.usefixtures("shop")
def test_placement_can_be_changed(recommender: Recommender, database: Database) -> None:
    """Sources in order and rules are the marketer's; an unknown one is refused."""
    with database.begin() as session:
        placements.edit(session, "home", name="Home", sources=["newest"], given={"in_stock": False}, now=NOW)
        with pytest.raises(Invalid, match="popular"):
            placements.edit(session, "home", name="Home", sources=["populr"], given={}, now=NOW)
        with pytest.raises(Invalid, match="in_stock"):
            placements.edit(session, "home", name="Home", sources=["newest"], given={"instock": True}, now=NOW)
    recommender.reload()
    assert ask(recommender, Request("home", n=3)) == ["A19", "A18", "A17"]


@pytest.mark.usefixtures("shop")
def test_many_agree_with_one(recommender: Recommender, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailing's answers are those each contact gets alone, by one statement for all of them or in several turns."""
    with database.read() as session:
        ids = list(session.scalars(select(Contact.id).order_by(Contact.id)))
        recommender.recommend_many(session, "email", ids[:1], 5, now=NOW)
        statements: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        with monitored(statements):
            many = recommender.recommend_many(session, "email", [*ids, 10**9], 5, now=NOW)
        assert len(statements) == 1
        monkeypatch.setattr(batches, "SMALLEST", 7)
        in_batches = recommender.recommend_many(session, "email", [*ids, ids[0]], 5, now=NOW)
        assert [one.items for one in in_batches.values()] == [many[contact].items for contact in in_batches]
        assert list(in_batches) == ids
        for contact in ids[:6]:
            alone = recommender.recommend(session, Request("email", contact_id=contact, n=5), now=NOW)
            assert alone.items == many[contact].items
    assert len(many) == len(ids) + 1
    assert len({answer.recommendation_id for answer in many.values()}) == len(many)
    assert many[10**9].items


@pytest.mark.usefixtures("shop")
def test_publishing_delays_no_answer(
    recommender: Recommender, database: Database, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another training is read, the old one answers; the new one as soon as it is read."""
    request, go = Request("item", items=["A0"], n=3), threading.Event()

    def slow(folder: Path) -> fitted.Fitted:
        assert go.wait(30)
        return fitted.load(folder)

    def serving(waits: float = 0) -> int | None:
        end = time.monotonic() + waits
        while True:
            recommender._checked = time.monotonic() - CHECKED - 0.1  # a second later
            with database.read() as session:
                found = recommender.recommend(session, request, now=NOW).training_id
            if found == 2 or time.monotonic() > end:
                return found

    assert serving() == 1
    recommender.reload()  # as whoever saved a placement did
    assert serving() == 1
    monkeypatch.setattr("recommender.serving.load", slow)
    published(database, config)
    assert serving() == 1
    go.set()
    assert serving(waits=30) == 2


def published(database: Database, config: Config) -> None:
    """The training once more, as number 2."""
    shutil.copytree(config.folder / "trainings" / "1", config.folder / "trainings" / "2")
    with database.begin() as session:
        session.add(Training(status="ready", folder="trainings/2", started_at=NOW))
        session.flush()
        training.publish(session, 2, NOW)


@pytest.mark.usefixtures("shop")
def test_who_publishes_waits_and_nobody_else(
    recommender: Recommender, database: Database, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`reload` returns when the training is read; until then the old one answers, however long that takes."""
    request, began, go = Request("item", items=["A0"], n=3), threading.Event(), threading.Event()

    def slow(folder: Path) -> fitted.Fitted:
        began.set()
        assert go.wait(30)
        return fitted.load(folder)

    def serving() -> int | None:
        with database.read() as session:
            return recommender.recommend(session, request, now=NOW).training_id

    assert serving() == 1
    monkeypatch.setattr("recommender.serving.load", slow)
    published(database, config)
    publishing = threading.Thread(target=recommender.reload, daemon=True)
    publishing.start()
    assert began.wait(30)
    recommender._checked = -STALE
    assert serving() == 1
    assert publishing.is_alive()
    go.set()
    publishing.join(30)
    assert serving() == 2


@pytest.mark.usefixtures("shop")
def test_nobody_is_answered_by_what_was_seen_long_ago(recommender: Recommender, database: Database) -> None:
    """Who comes while somebody looks goes on with what was seen a second ago, and waits when that is STALE."""
    ask(recommender, Request("home", n=1))
    state = recommender._state
    with recommender._lock:
        recommender._checked = time.monotonic() - CHECKED - 0.1
        with database.read() as session:
            assert recommender._current(session, NOW) is state
        recommender._checked = time.monotonic() - STALE - 0.1
        asking = threading.Thread(target=ask, args=(recommender, Request("home", n=1)), daemon=True)
        asking.start()
        asking.join(0.3)
        assert asking.is_alive(), "it waits for whoever looks"
    asking.join(30)
    assert not asking.is_alive()


@pytest.mark.usefixtures("shop")
def test_the_shelf_is_no_garbage(recommender: Recommender) -> None:
    """What stays for good is not looked through by every collection: with 100,000 items that took 220 ms."""
    gc.unfreeze()
    ask(recommender, Request("home", n=1))
    recommender._aside.submit(int).result(30)
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    ask(recommender, Request("home", n=1))
    recommender._aside.submit(int).result(30)
    assert gc.get_freeze_count() == 0, "only what is new is put aside"


def test_best_sellers_counted_anew_are_not_put_aside(
    recommender: Recommender, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a training they are counted every minute: putting each aside would keep all garbage of that minute."""
    with database.begin() as session:
        add_items(session, 2)
    settled: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: settled.append(None))
    monkeypatch.setattr(gc, "collect", lambda: settled.append(None) or 0)
    for _ in range(3):
        recommender._counted = recommender._checked = -1e9
        ask(recommender, Request("home", n=1))
        recommender._aside.submit(int).result(30)
    assert len(settled) == 2, "one collection, one freeze: the shelf, once"


@pytest.mark.usefixtures("shop")
def test_unknown_keys_fill_no_memory(recommender: Recommender, database: Database) -> None:
    """A hundred long keys nobody knows, other ones in each question: each is told its own, and one row is kept."""
    for number in range(5):
        unknown = tuple(f"{number}-{key}-{'x' * 100}" for key in range(100))
        with database.read() as session:
            asked = Request("item", items=("A0",), session=unknown, exclude=unknown, n=3)
            answer = recommender.recommend(session, asked, now=NOW)
        assert answer.missing_ids == unknown
        assert len(answer.items) == 3
    assert len(recommender._rows) == 1
    assert recommender._rows.held < 10_000


@pytest.mark.usefixtures("shop")
def test_a_training_of_another_make_is_refused(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole by its checksums, but with arrays that this version does not understand: best-sellers answer."""

    def load(_folder: Path) -> fitted.Fitted:
        raise ValueError("not enough values to unpack")

    monkeypatch.setattr("recommender.serving.load", load)
    assert len(ask(recommender, Request("home", n=3))) == 3
    assert recommender.problem is not None
    assert "train again" in recommender.problem
