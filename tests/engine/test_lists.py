"""Lists over a real warehouse: counts, freezing, pages, exports, and two editors."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import config as settings
from engine import criteria, lists
from engine.catalogue import OFFERED, open_catalogue
from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, Invalid, NotFound
from engine.fields import BEHAVIOURS
from engine.models import Contact, ContactList, Event, Item, Order, OrderLine
from engine.warehouse import Warehouse
from tests.engine.copies import add, remove

UK = {"field": "country", "operator": "is", "value": "United Kingdom"}
ADULT = {"field": "age", "operator": "at_least", "value": 18}
END = datetime(2011, 12, 1, tzinfo=UTC)
START = datetime(2011, 9, 1, 23, tzinfo=UTC)  # 90 days before, midnight of 2 September in London's summer time
LOYAL = {
    "event": "order",
    "measure": "count",
    "operator": "at_least",
    "value": 3,
    "within": {"last_days": 90, "before": "2011-12-01"},
}


@pytest.fixture
def shop(config: Config, database: Database, now: datetime) -> Iterator[Warehouse]:
    """Ten contacts, half in the United Kingdom, a third of unknown age. Contact 1 has three orders that just fit into
    the 90 days before 2011-12-01, contact 2 and 4 two and one just outside, contact 3 three of which one is a return.
    """
    with database.begin() as session:
        for number in range(1, 11):
            add(session, Contact, now, key=f"c{number}", first_name="Ann", bucket=1000 - number,
                country="United Kingdom" if number <= 5 else "France", age=None if number % 3 == 0 else number * 5,
                attributes={"size": number} if number % 2 else {})  # fmt: skip
        moments = {
            1: (START, END - timedelta(microseconds=1), END - timedelta(days=9)),
            2: (START - timedelta(microseconds=1), END - timedelta(days=2), END - timedelta(days=1)),
            3: (START, START, START),
            4: (START, START, END),
        }
        item = add(session, Item, now, key="tea", category="Pantry > Tea")
        for contact, several in moments.items():
            for number, moment in enumerate(several):
                total = -10_000 if (contact, number) == (3, 2) else 10_000
                order = add(
                    session, Order, now, key=f"{contact}-{number}", contact_id=contact, ordered_at=moment, total=total
                )
                add(session, OrderLine, now, order_id=order, item_id=item, unit_price=total)
        add(session, Event, now, key="e1", type="quiz", contact_id=4, item_id=item, properties={"score": 9})
    warehouse = Warehouse(database, config.folder / "warehouse", settings.build(
        {"workspace": {"path": str(config.folder)}, "locale": {"timezone": "Europe/London"}}))  # fmt: skip
    warehouse.refresh()
    yield warehouse
    warehouse.close()


def ask(database: Database, warehouse: Warehouse, data: Any, now: datetime, **more: Any) -> lists.Preview:
    """Preview criteria."""
    with database.read() as session:
        return lists.preview(warehouse, criteria.parse(data, open_catalogue(session, warehouse)), now=now, **more)


def test_three_orders_in_the_90_days_before_a_date(database: Database, shop: Warehouse, now: datetime) -> None:
    """Days begin at midnight of the shop, the start belongs to the window and the end does not, returns are none."""
    found = ask(database, shop, {"all": [UK, LOYAL]}, now)
    assert (found.count, found.base, found.share) == (1, 10, 0.1)
    assert [person.key for person in found.people] == ["c1"]
    assert found.as_of == shop.as_of


def test_the_preview_counts_every_clause_and_those_who_are_unknown(
    database: Database, shop: Warehouse, now: datetime
) -> None:
    """By itself, unknown, and left after it and those before it; unknown ages match the contrary."""
    found = ask(database, shop, {"all": [UK, {"not": ADULT}, {"any": [LOYAL, ADULT]}]}, now)
    assert [(clause.path, clause.count, clause.unknown, clause.remaining) for clause in found.clauses] == [
        ("all[0]", 5, 0, 5),
        ("all[1]", 5, 3, 3),
        ("all[1].not", 5, 3, None),
        ("all[2]", 6, 0, 1),
        ("all[2].any[0]", 1, 0, None),
        ("all[2].any[1]", 5, 3, None),
    ]
    assert found.clauses[1].sentence == "whose age is not at least 18"
    assert found.count == 1


def test_twenty_people_are_shown_always_the_same(database: Database, shop: Warehouse, now: datetime) -> None:
    """Those with the smallest buckets."""
    found = ask(database, shop, criteria.EVERYONE, now, limit=3)
    assert (found.count, found.clauses) == (10, [])
    assert [person.key for person in found.people] == ["c10", "c9", "c8"]
    assert found.people[0].name == "Ann"


def test_nobody_in_an_empty_shop(database: Database, config: Config, now: datetime) -> None:
    """Zero of zero, and a share that is a number."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    warehouse.refresh()
    found = ask(database, warehouse, {"all": [UK, LOYAL]}, now)
    assert (found.count, found.base, found.share, found.people) == (0, 0, 0.0, [])
    assert [clause.count for clause in found.clauses] == [0, 0]
    warehouse.close()


def test_what_the_shop_has_can_be_asked_for(database: Database, shop: Warehouse, now: datetime) -> None:
    """Own attributes, own event types with their properties, categories of items; options to choose from."""
    quiz = {"event": "quiz", "measure": "maximum", "property": "properties.score", "operator": "more_than", "value": 8}
    tea = {**LOYAL, "where": [{"field": "category", "operator": "within", "value": "Pantry"}]}
    size = {"field": "attributes.size", "operator": "between", "value": [3, 7]}
    assert [ask(database, shop, data, now).count for data in (quiz, tea, size)] == [1, 1, 3]
    with database.read() as session:
        catalogue = open_catalogue(session, shop)
        assert catalogue.options(catalogue.field("country")) == [("France", 5), ("United Kingdom", 5)]
        assert "quiz" in [behaviour.key for behaviour in catalogue.behaviours()]


def test_saving_checks_criteria_name_and_version(database: Database, now: datetime) -> None:
    """A second editor gets a Conflict and nothing is overwritten."""
    with database.begin() as session:
        made = lists.save(session, None, " VIP ", UK, now=now)
        assert (made.name, made.version, made.size) == ("VIP", 1, None)
        made.size, made.counted_at = 7, now
    with database.begin() as session:
        changed = lists.save(session, made.id, "VIP", {"all": [UK, ADULT]}, version=1, now=now)
        assert (changed.version, changed.size, changed.counted_at) == (2, None, None)
    with database.begin() as session, pytest.raises(Conflict, match="load it again"):
        lists.save(session, made.id, "Mine", UK, version=1, now=now)
    with database.begin() as session:
        assert lists.get(session, made.id).name == "VIP"
        with pytest.raises(Invalid) as caught:
            lists.save(session, made.id, "VIP", {"all": [UK, {"field": "agee", "operator": "known"}]}, now=now)
        assert caught.value.field == "all[1].field"
        for name in ("", " ", "x" * 129, "a\nb"):
            with pytest.raises(Invalid, match="1 to 128"):
                lists.rename(session, made.id, name, now=now)


def test_a_list_may_not_refer_to_itself(database: Database, shop: Warehouse, now: datetime) -> None:
    """Neither directly nor through another; a deleted list is named."""
    with database.begin() as session:
        first = lists.save(session, None, "first", UK, now=now)
        second = lists.save(session, None, "second", {"all": [{"list": first.id}, ADULT]}, now=now)
        assert lists.member_ids(session, shop, second.id, now).tolist() == [4, 5]
        for data, told in (
            ({"list": first.id}, "The list “first” refers to itself"),
            ({"not": {"all": [ADULT, {"list": second.id}]}}, "each other: “first” → “second” → “first”"),
        ):
            with pytest.raises(Invalid, match=told):
                lists.save(session, first.id, "first", data, now=now)
        with pytest.raises(Conflict, match="“second”"):
            lists.delete(session, first.id, now=now)
        with pytest.raises(Invalid, match="There is no list 99"):
            lists.save(session, None, "third", {"list": 99}, now=now)


def test_a_deleted_list_comes_back_for_30_days(database: Database, now: datetime) -> None:
    """Then it is gone."""
    with database.begin() as session:
        made = lists.save(session, None, "VIP", UK, now=now)
        lists.delete(session, made.id, now=now)
        with pytest.raises(NotFound):
            lists.get(session, made.id)
        assert lists.browse(session) == []
        assert lists.restore(session, made.id, now=now + timedelta(days=30)).name == "VIP"
        lists.delete(session, made.id, now=now)
        with pytest.raises(NotFound):
            lists.restore(session, made.id, now=now + timedelta(days=31))


def test_a_frozen_list_keeps_its_people(database: Database, shop: Warehouse, now: datetime) -> None:
    """Whatever changes later; its criteria are closed, a copy is dynamic, and other lists can refer to it."""
    with database.begin() as session:
        made = lists.save(session, None, "UK", UK, now=now)
        assert lists.count(session, shop, made.id, now) == 5
        assert lists.freeze(session, shop, made.id, now) == 5
        assert (made.size, made.frozen_at, made.version) == (5, now, 2)
        add(session, Contact, now, key="new", country="United Kingdom")
    shop.refresh()
    with database.begin() as session:
        assert lists.freeze(session, shop, made.id, now + timedelta(days=1)) == 5
        assert lists.member_ids(session, shop, made.id, now).tolist() == [1, 2, 3, 4, 5]
        assert lists.count(session, shop, made.id, now) == 5
        with pytest.raises(Conflict, match="copy it"):
            lists.save(session, made.id, "UK", ADULT, now=now)
        assert lists.save(session, made.id, "UK in March", UK, now=now).name == "UK in March"
        copied = lists.copy(session, made.id, "UK now", now=now)
        assert lists.member_ids(session, shop, copied.id, now).tolist() == [1, 2, 3, 4, 5, 11]
        since = lists.save(session, None, "since", {"all": [UK, {"not": {"list": made.id}}]}, now=now)
        assert lists.member_ids(session, shop, since.id, now).tolist() == [11]


def test_people_erased_since_the_last_refresh_are_not_frozen(
    database: Database, shop: Warehouse, now: datetime
) -> None:
    """The warehouse still knows them; the list must not."""
    with database.begin() as session:
        made = lists.save(session, None, "France", {"not": UK}, now=now)
        remove(session, Contact, 7)
        assert lists.freeze(session, shop, made.id, now) == 4
        assert lists.member_ids(session, shop, made.id, now).tolist() == [6, 8, 9, 10]


def test_members_come_in_pages(database: Database, shop: Warehouse, now: datetime) -> None:
    """By id, dynamic and frozen alike."""
    with database.begin() as session:
        made = lists.save(session, None, "UK", UK, now=now)
        for _ in range(2):
            pages = [lists.members(session, shop, made.id, now, after=after, limit=2) for after in (0, 2, 4, 5)]
            assert [[contact.id for contact in page] for page in pages] == [[1, 2], [3, 4], [5], []]
            lists.freeze(session, shop, made.id, now)


def test_pages_of_one_walk_agree(
    database: Database, shop: Warehouse, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page whose people are all gone leads on; merged contacts are left out; nothing is found twice."""
    with database.begin() as session:
        list_id = lists.save(session, None, "All", {"field": "key", "operator": "known"}, now=now).id
    with database.read() as session:
        first, after = lists.page(session, shop, list_id, now, limit=3)
    assert ([one.id for one in first], after) == ([1, 2, 3], 3)
    with database.begin() as session:
        session.get_one(Contact, 4).merged_into = 1
        for gone in (5, 6):
            remove(session, Contact, gone)
    monkeypatch.setattr("engine.warehouse.Pin.query", None)
    later, found = now + timedelta(seconds=50), []
    with database.read() as session:
        while after is not None:
            people, after = lists.page(session, shop, list_id, later, after=after, limit=3)
            found.append([one.id for one in people])
    assert found == [[], [7, 8, 9], [10]]


def test_counting_again_begins_with_the_oldest_count(database: Database, shop: Warehouse, now: datetime) -> None:
    """With no time left one is counted all the same, the next time the other; one that cannot be used is left out."""
    with database.begin() as session:
        adults, french, broken, frozen = (
            lists.save(session, None, name, asked, now=now).id
            for name, asked in (("a", ADULT), ("f", {"not": UK}), ("b", {"list": 1}), ("z", UK))
        )
        lists.save(session, broken, "b", {"field": "attributes.gone", "operator": "known"}, now=now)
        lists.freeze(session, shop, frozen, now)
        session.get_one(ContactList, frozen).size = 99
    shown = [adults, french, frozen]

    def sizes() -> list[int | None]:
        with database.read() as session:
            return [lists.get(session, one).size for one in (adults, french, frozen, broken)]

    assert lists.recount(database, shop, shown, now, seconds=0) == (1, 1)
    assert sizes() == [5, None, 99, None]
    assert lists.recount(database, shop, shown, now + timedelta(seconds=1), seconds=0) == (1, 1)
    assert sizes() == [5, 5, 99, None]
    assert lists.recount(database, shop, [*shown, broken], now, seconds=60) == (2, 0)
    assert sizes() == [5, 5, 99, None]


def test_names_are_those_of_now(database: Database, shop: Warehouse, now: datetime) -> None:
    """What came in, changed or went since the last look is seen by whoever asks next, in one part or in many; the
    type of a name is that of all parts; while nothing changes nothing is read again.
    """

    def names() -> tuple[list[str], dict[str, str]]:
        with database.read() as session:
            found = open_catalogue(session, shop)
            return list(found.own("events")), dict(found.own("attributes"))

    assert names() == (["quiz"], {"attributes.size": "number"})
    with database.begin() as session:
        for number in range(2):
            add(session, Event, now, key=f"p{number}", type="poll", contact_id=4, properties={"score": "x"})
        size = add(session, Contact, now, key="c11", attributes={"size": "XL", "tier": "gold"})
    shop.refresh()
    assert names() == (["poll", "quiz"], {"attributes.size": "text", "attributes.tier": "text"})
    with database.begin() as session:
        remove(session, Contact, size)
    shop.refresh()
    with database.read() as session:
        catalogue = open_catalogue(session, shop)
        assert catalogue.own("attributes") == {"attributes.size": "number"}
        assert catalogue.own("properties", "poll") == {"properties.score": "text"}
        assert catalogue.own("properties", "quiz") == {"properties.score": "number"}
        assert open_catalogue(session, shop).own("events") is catalogue.own("events")


def test_a_flood_of_names_is_bounded(database: Database, shop: Warehouse, now: datetime) -> None:
    """The most frequent are offered, the others found by what is typed; all can be asked for."""
    with database.begin() as session:
        for number in range(OFFERED + 30):
            add(session, Event, now, key=f"n{number}", type=f"noise-{number:03}", contact_id=4, properties={})
        add(session, Event, now, key="again", type="noise-229", contact_id=4, properties={})
    shop.refresh()
    with database.read() as session:
        catalogue = open_catalogue(session, shop)
        offered = [row.key for row in catalogue.behaviours() if row.key not in BEHAVIOURS]
        assert len(offered) == OFFERED
        assert "noise-229" in offered
        assert catalogue.more("events", words="NOISE-22") == [f"noise-22{n}" for n in range(9)]
        assert catalogue.more("attributes") == []
        assert catalogue.behaviour("noise-228").key == "noise-228"


def test_an_export_reads_back(database: Database, shop: Warehouse, now: datetime) -> None:
    """All columns of intake, own attributes, exact amounts, and cells that a spreadsheet would run made harmless."""
    with database.begin() as session:
        person = session.get_one(Contact, 1)
        person.first_name, person.last_name, person.phone = "=cmd|' /C calc'!A0", 'O"Neil,\n梅', "+447911123456"
        person.income, person.email_consent = 123_456_789, False
        made = lists.save(session, None, "UK", UK, now=now)
        text = "".join(lists.export_csv(session, shop, made.id, now))
    assert text.startswith("\ufeffkey,email,phone")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["key"] for row in rows] == ["c1", "c2", "c3", "c4", "c5"]
    assert rows[0] == rows[0] | {
        "first_name": "'=cmd|' /C calc'!A0",
        "last_name": 'O"Neil,\n梅',
        "phone": "+447911123456",
        "income": "12345.6789",
        "email_consent": "false",
        "attributes.size": "1",
        "email": "",
    }
    with database.read() as session, pytest.raises(NotFound):
        lists.export_csv(session, shop, 99, now)


def test_a_list_whose_field_is_gone_says_so(database: Database, shop: Warehouse, now: datetime) -> None:
    """Saved while nothing had come in; asked later, it names the fault instead of finding everybody."""
    with database.begin() as session:
        made = lists.save(
            session, None, "old", {"all": [UK, {"field": "attributes.gone", "operator": "known"}]}, now=now
        )
        for use in (lists.member_ids, lists.count, lists.freeze):
            with pytest.raises(Invalid, match=r"attributes\.gone") as caught:
                use(session, shop, made.id, now)
            assert caught.value.field == "all[1].field"
        with pytest.raises(Invalid):
            lists.save(session, made.id, "old", made.criteria, now=now, catalogue=open_catalogue(session, shop))
