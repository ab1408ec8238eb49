"""Import of files, through the real database."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from engine import consent, intake
from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, Invalid, RapportError, TooLarge, Unreadable
from engine.intake import Reading, files
from engine.models import Consent, Contact, Deletion, Event, Import, Item, Order, OrderLine

Importer = Callable[..., Import]

CONTACTS = b"key,email,first_name,age\nC1,ANN@Shop.example,Ann,46\nC2,bob@shop.example,Bob,\n"

ORDERS = b"""order,at,contact,item,quantity,unit_price,discount,unit_cost
O1,2026-02-01 10:00:00,C1,wine,2,9.99,0.98,4
O2,2026-02-02 10:00:00,,glass,1,3.001,,
O1,2026-02-01 10:00:00,C1,glass,-1,3,,1
"""


@pytest.fixture
def importer(database: Database, config: Config, now: datetime, tmp_path: Path) -> Importer:
    """Imports bytes as a file."""

    def run(kind: str, content: bytes, name: str = "file.csv", **options: Any) -> Import:
        path = tmp_path / name
        path.write_bytes(content)
        return intake.import_file(database, config, kind, path, now=now, **options)

    return run


def counts(run: Import) -> tuple[int, int, int, int, int]:
    """What an import says it did."""
    return run.rows, run.created, run.updated, run.unchanged, run.rejected


def rejects(config: Config, run: Import) -> list[dict[str, str]]:
    """The rejects file."""
    assert run.rejects_file is not None
    with (config.folder / "rejects" / run.rejects_file).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def rows(database: Database, model: Any) -> list[dict[str, Any]]:
    """All rows of a table."""
    with database.read() as session:
        statement = select(model.__table__).order_by(model.__table__.c.id)
        return [dict(row._mapping) for row in session.execute(statement)]


def test_the_same_file_twice_changes_nothing(importer: Importer, database: Database) -> None:
    """Not a count, not a revision, not a row of any table but the list of imports."""
    for kind, content, things in (("contacts", CONTACTS, 2), ("orders", ORDERS, 2)):
        assert importer(kind, content).created == things
        before = [rows(database, model) for model in (Contact, Item, Order, OrderLine, Event, Consent, Deletion)]
        again = importer(kind, content)
        assert (again.created, again.updated, again.unchanged, again.rejected) == (0, 0, things, 0)
        assert before == [
            rows(database, model) for model in (Contact, Item, Order, OrderLine, Event, Consent, Deletion)
        ]


def test_contacts_are_created_and_changed(importer: Importer, database: Database) -> None:
    """A second file changes what it says and leaves alone what it does not name; an empty cell says nothing."""
    importer("contacts", CONTACTS)
    changed = importer("contacts", b"key,first_name,age,city\nC1,Anna,,Dover\nC2,Bob,,\nC3,Cy,33,\n")
    assert counts(changed) == (3, 1, 1, 1, 0)
    ann, bob, cy = rows(database, Contact)
    assert (ann["email"], ann["first_name"], ann["age"], ann["city"]) == ("ann@shop.example", "Anna", 46, "Dover")
    assert ann["revision"] > bob["revision"]
    assert (cy["key"], cy["origin"]) == ("C3", "import")
    assert len({row["bucket"] for row in (ann, bob, cy)}) == 3
    assert counts(importer("contacts", b"key,email,age\nC1,,\nC2,bob@shop.example,\n")) == (2, 0, 0, 2, 0)


def test_records_of_one_key_are_one_contact(importer: Importer, database: Database) -> None:
    """The last word on each field counts, even when the records stand far apart."""
    run = importer("contacts", b"key,city,attributes.size,attributes.club\nC1,Dover,42,\nC2,,,\nC1,Deal,,gold\nC1,,,\n")
    assert counts(run) == (4, 2, 0, 2, 0)
    first = rows(database, Contact)[0]
    assert (first["city"], first["attributes"]) == ("Deal", {"size": 42, "club": "gold"})


def test_own_fields_are_merged(importer: Importer, database: Database) -> None:
    """A new attribute joins the old ones; the same one again changes nothing."""
    importer("contacts", b"key,attributes.size,attributes.vip\nC1,42,true\n")
    assert counts(importer("contacts", b"key,attributes.club\nC1,gold\n")) == (1, 0, 1, 0, 0)
    assert counts(importer("contacts", b"key,attributes.size\nC1,42\n")) == (1, 0, 0, 1, 0)
    assert rows(database, Contact)[0]["attributes"] == {"size": 42, "vip": True, "club": "gold"}


CLEAR = Reading(empty="clear")


def test_empty_cells_can_clear(importer: Importer, database: Database) -> None:
    """When asked: columns the file has and cells that are empty, nothing else, and once."""
    importer("contacts", b"key,email,city,age,attributes.size,attributes.club\nC1,a@shop.example,Dover,46,42,gold\n")
    content = b"key,email,age,attributes.size\nC1,,46,\n"
    assert counts(importer("contacts", content)) == (1, 0, 0, 1, 0)
    assert counts(importer("contacts", content, reading=CLEAR)) == (1, 0, 1, 0, 0)
    ann = rows(database, Contact)[0]
    assert (ann["email"], ann["city"], ann["age"], ann["attributes"]) == (None, "Dover", 46, {"club": "gold"})
    assert counts(importer("contacts", content, reading=CLEAR)) == (1, 0, 0, 1, 0)


def test_the_last_word_clears_or_gives(importer: Importer, database: Database) -> None:
    """Field by field, for records of one key; a new contact with nothing in a field has nothing there."""
    head = b"key,city,country,attributes.size\n"
    importer("contacts", head + b"C1,Dover,GB,1\nC2,Dover,GB,1\n")
    records = b"C1,,GB,\nC1,Deal,,2\nC2,Deal,,2\nC2,,GB,\nC3,,,\nC4,Deal,GB,2\nC4,,,\n"
    assert counts(importer("contacts", head + records, reading=CLEAR)) == (7, 2, 2, 3, 0)
    found = [(row["city"], row["country"], row["attributes"]) for row in rows(database, Contact)]
    assert found == [("Deal", None, {"size": 2}), (None, "GB", {}), (None, None, {}), (None, None, {})]


def test_what_lasts_is_never_cleared(importer: Importer, database: Database) -> None:
    """Origin, consent, what an item must have; an order's and an event's empty cells mean what they always mean."""
    importer("contacts", b"key,origin,email_consent\nC1,survey,true\n")
    importer("contacts", b"key,origin,email_consent,sms_consent\nC1,,,\n", reading=CLEAR)
    contact = rows(database, Contact)[0]
    assert (contact["origin"], contact["email_consent"], len(rows(database, Consent))) == ("survey", True, 1)
    importer("items", b"key,title,price,currency,active,recommendable\nI1,Lamp,3,EUR,false,false\n")
    importer("items", b"key,title,price,currency,active,recommendable\nI1,,,,,\n", reading=CLEAR)
    item = rows(database, Item)[0]
    assert [item[name] for name in ("title", "price", "currency", "active", "recommendable")] == [
        None, None, "EUR", False, False,
    ]  # fmt: skip
    for kind, content in (("orders", ORDERS), ("events", b"type,at,contact,item\ncall,2026-02-01,C1,\n")):
        importer(kind, content)
        again = importer(kind, content, reading=CLEAR)
        assert (again.created, again.updated) == (0, 0)


def test_repeated_lines_of_an_order(importer: Importer, database: Database) -> None:
    """Dropped when asked, wherever they stand; what differs in one cell stays; a dry run counts, both ways."""
    line = b"O1,2026-02-01,C1,wine,2,9.99\n"
    content = (
        b"order,at,contact,item,quantity,unit_price\n" + line + b"O2" + line[2:] + line + line.replace(b"2,9", b"3,9")
    )
    drop = Reading(repeats="drop")
    assert [importer("orders", content, dry_run=True, reading=how).repeated for how in (Reading(), drop)] == [1, 1]
    assert importer("orders", content).repeated == 0
    assert [order["units"] for order in rows(database, Order)] == [7, 2]
    run = importer("orders", content, reading=drop)
    assert (run.rows, run.updated, run.unchanged, run.repeated, run.rejected) == (4, 1, 1, 1, 0)
    assert [order["units"] for order in rows(database, Order)] == [5, 2]
    assert importer("orders", content, reading=drop, refuse_all=True).unchanged == 2
    assert [run["repeated"] for run in rows(database, Import)] == [0, 1, 1]


def test_decimal_commas(importer: Importer, database: Database, config: Config) -> None:
    """A file of the continent, as its spreadsheets write it; a point there is no decimal point."""
    content = b"order;at;item;quantity;unit_price\nO1;2026-02-01;wine;2;1.234,50\nO2;2026-02-01;wine;1;12.99\n"
    run = importer("orders", content, reading=Reading(comma=True))
    assert counts(run) == (2, 1, 0, 0, 1)
    assert rows(database, Order)[0]["total"] == 24_690_000
    assert "decimal comma" in rejects(config, run)[0]["message"]
    refused = rejects(config, importer("orders", content))
    assert [row["line"] for row in refused] == ["2"]
    assert "say that this file has decimal commas" in refused[0]["message"]


def test_the_header_again_is_no_record(importer: Importer, database: Database, config: Config) -> None:
    """Files joined end to end make no contact called "key"."""
    run = importer("contacts", b"key,first_name\nC1,Ann\nkey,first_name\nC2,Bo\n")
    assert counts(run) == (3, 2, 0, 0, 1)
    assert [(row["line"], row["message"]) for row in rejects(config, run)] == [("3", "The line is the header again.")]


def test_stopped_in_the_middle(importer: Importer, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written stays and is counted; the same file again brings the rest."""
    monkeypatch.setattr(files, "WRITE", 10)
    content = b"key\n" + b"".join(b"C%02d\n" % number for number in range(40))

    def stop(done: int, total: int) -> None:
        if done > total * 0.7:
            raise Conflict("Stopped.")

    with pytest.raises(Conflict):
        importer("contacts", content, progress=stop)
    run = rows(database, Import)[0]
    assert (run["rows"], run["created"], run["error"]) == (40, len(rows(database, Contact)), "Stopped.")
    assert 0 < run["created"] < 40
    assert run["finished_at"] is not None
    assert importer("contacts", content).created == 40 - run["created"]


def test_a_title_that_stands_twice(importer: Importer, database: Database) -> None:
    """Each can be named: whoever imports says which one is meant."""
    content = b"key,email,email,\nC1,ann@shop.example,bo@shop.example,\n"
    with pytest.raises(Invalid, match=re.escape("There is no column 'email (2)' in contacts")):
        importer("contacts", content)
    importer("contacts", content, mapping={"email": "", "email (2)": "email"})
    assert rows(database, Contact)[0]["email"] == "bo@shop.example"


def test_broken_off_is_not_complete(importer: Importer, database: Database) -> None:
    """Ctrl-C is told by the row of the import as well."""

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importer("contacts", CONTACTS, progress=interrupt)
    assert "broken off" in rows(database, Import)[0]["error"]


def test_orders_add_up(importer: Importer, database: Database) -> None:
    """Lines are gathered wherever they stand; total, units and margin are exact; a stranger's order has no contact."""
    assert counts(importer("orders", ORDERS)) == (3, 2, 0, 0, 0)
    first, second = rows(database, Order)
    assert (first["total"], first["units"], first["margin"]) == (160_000, 1, 90_000)  # 2*9.99-0.98-3 less 2*4-1
    assert first["ordered_at"] == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert (second["total"], second["margin"], second["contact_id"]) == (30_010, None, None)
    assert [row["key"] for row in rows(database, Contact)] == ["C1"]
    assert sorted(row["key"] for row in rows(database, Item)) == ["glass", "wine"]
    assert sorted(row["quantity"] for row in rows(database, OrderLine)) == [-1, 1, 2]


def test_a_changed_order_is_replaced(importer: Importer, database: Database) -> None:
    """Its old lines go, with a note for the warehouse; the other order stays as it is."""
    importer("orders", ORDERS)
    lines, (_, other) = rows(database, OrderLine), rows(database, Order)
    run = importer("orders", ORDERS.replace(b"wine,2", b"wine,3"))
    assert counts(run) == (3, 0, 1, 1, 0)
    first, second = rows(database, Order)
    assert (first["total"], first["units"]) == (259_900, 2)
    assert second == other
    gone = {row["id"] for row in lines if row["order_id"] == first["id"]}
    assert {(row["table_name"], row["row_id"]) for row in rows(database, Deletion)} == {
        ("order_lines", i) for i in gone
    }
    assert len(rows(database, OrderLine)) == 3


def test_an_orders_line_order_is_no_content(importer: Importer) -> None:
    """The same lines in another order are the same order."""
    head, *lines = ORDERS.strip().split(b"\n")
    importer("orders", ORDERS)
    assert counts(importer("orders", b"\n".join([head, *reversed(lines)]))) == (3, 0, 0, 2, 0)


def test_margin_takes_the_items_cost(importer: Importer, database: Database) -> None:
    """A line without a cost has its item's cost at that time; a later cost does not rewrite history."""
    importer("items", b"key,title,cost\nwine,Wine,4\n")
    importer("orders", b"order,at,item,quantity,unit_price\nO1,2026-02-01,wine,2,10\n")
    importer("items", b"key,cost\nwine,5\n")
    again = importer("orders", b"order,at,item,quantity,unit_price\nO1,2026-02-01,wine,2,10\n")
    assert again.unchanged == 1
    assert rows(database, Order)[0]["margin"] == 120_000
    assert rows(database, OrderLine)[0]["unit_cost"] == 40_000


def test_a_lines_own_cost_goes_before_the_items(importer: Importer, database: Database) -> None:
    """It is kept as given; costs that add up to more than can be stored make no margin, and no error."""
    importer("items", b"key,title,cost\nwine,Wine,4\nrock,Rock,100000000\n")
    head = b"order,at,item,quantity,unit_price,unit_cost\n"
    importer("orders", head + b"O1,2026-02-01,wine,2,10,3\nO2,2026-02-01,rock,2000000000,1,\n")
    assert [row["margin"] for row in rows(database, Order)] == [140_000, None]
    assert [row["unit_cost"] for row in rows(database, OrderLine)] == [30_000, 10**12]


def test_line_numbers_name_lines(importer: Importer, database: Database) -> None:
    """The last of two lines with the same number counts; equal lines without a number both count."""
    content = b"order,at,item,quantity,unit_price,line\nA,2026-01-01,x,1,1,1\nA,2026-01-01,x,5,1,1\n"
    importer("orders", content + b"B,2026-01-01,x,1,1,\nB,2026-01-01,x,1,1,\n")
    assert [row["units"] for row in rows(database, Order)] == [5, 2]


def test_an_untitled_item_takes_a_title(importer: Importer, database: Database) -> None:
    """Order lines name items nobody named; they never rename one."""
    head = b"order,at,item,quantity,unit_price,title\n"
    for number, title in ((b"1", b""), (b"2", b"Lantern"), (b"3", b"damaged")):
        importer("orders", head + b"O" + number + b",2026-01-01,L,1,1," + title + b"\n")
    assert rows(database, Item)[0]["title"] == "Lantern"


def test_one_bad_line_refuses_its_order(importer: Importer, database: Database, config: Config) -> None:
    """Half an order would be a wrong total; every line of it is in the rejects file with its original cells."""
    run = importer("orders", ORDERS.replace(b"wine,2", b"wine,two"))
    assert counts(run) == (3, 1, 0, 0, 2)
    assert [row["key"] for row in rows(database, Order)] == ["O2"]
    first, second = rejects(config, run)
    assert (first["line"], first["field"], first["quantity"]) == ("2", "quantity", "two")
    assert "'two' is not a whole number" in first["message"]
    assert (second["line"], second["message"]) == ("4", "Line 2 of the same order was refused.")
    assert second["item"] == "glass"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"O1,2026-01-01,x,1,1,GBP\nO1,2026-01-01,x,1,1,EUR\n", "different currencies"),
        (b"O1,2026-01-01,x,1,1,\nO1,2026-01-01,x,1,1,EUR\n", "different currencies"),  # none is the shop's
        (b"O1,2026-01-01,x,2000000000,99999999,\n", "adds up to more"),
        (b"O1,2026-01-01,x,2000000000,1,\nO1,2026-01-01,y,2000000000,1,\n", "adds up to more"),
        (b"O1,2026-01-01,x,1,1,\n" * 10_001, "more than 10000 lines"),
    ],
)
def test_what_cannot_be_one_order_is_refused(importer: Importer, config: Config, lines: bytes, words: str) -> None:
    """Two currencies, sums beyond 64 bits and endless orders never reach the database."""
    run = importer("orders", b"order,at,item,quantity,unit_price,currency\n" + lines)
    assert (run.created, run.rejected) == (0, run.rows)
    assert words in rejects(config, run)[0]["message"]


def test_events_join_the_known_visitor(importer: Importer, database: Database) -> None:
    """What an anonymous visitor did joins the contact once the visitor is identified, and from then on at once."""
    importer("events", b"type,at,visitor,item\nitem_view,2026-02-01T10:00:00Z,v1,wine\n")
    assert rows(database, Event)[0]["contact_id"] is None
    importer("events", b"type,at,visitor,contact\nidentify,2026-02-01T11:00:00Z,v1,C1\n")
    importer("events", b"type,at,visitor,item\nitem_view,2026-02-01T12:00:00Z,v1,wine\n")
    contact = rows(database, Contact)[0]
    assert [row["contact_id"] for row in rows(database, Event)] == [contact["id"]] * 3


def test_an_event_that_names_its_contact_is_theirs(importer: Importer, database: Database) -> None:
    """Even on a device that is known as somebody else's; the latest word says whose it is."""
    head = b"type,at,visitor,contact\n"
    words = b"identify,2026-02-02T11:00:00Z,v1,C2\nidentify,2026-02-01T11:00:00Z,v1,C1\n"
    importer("events", head + words + b"item_view,2026-02-01T10:00:00Z,v1,\n")
    importer("events", head + b"search,2026-02-03,v1,C1\nsearch,2026-02-04,v1,\n")
    keys = {row["id"]: row["key"] for row in rows(database, Contact)}
    found = sorted((row["occurred_at"].day, row["type"], keys[row["contact_id"]]) for row in rows(database, Event))
    assert found == [
        (1, "identify", "C1"), (1, "item_view", "C2"), (2, "identify", "C2"), (3, "search", "C1"), (4, "search", "C2")
    ]  # fmt: skip


def test_an_event_stays_what_it_was(importer: Importer, database: Database) -> None:
    """The first record of a key counts, in a file as over time: events are never rewritten."""
    head = b"key,type,at,contact,value\n"
    assert counts(importer("events", head + b"e1,view,2026-02-01,C1,1\ne1,view,2026-02-01,C2,2\n")) == (2, 1, 0, 1, 0)
    assert counts(importer("events", head + b"e1,view,2026-02-01,C1,3\n")) == (1, 0, 0, 1, 0)
    assert [row["value"] for row in rows(database, Event)] == [10_000]
    assert [row["key"] for row in rows(database, Contact)] == ["C1"]


def test_events_without_a_key_are_unique_by_content(importer: Importer, database: Database) -> None:
    """The same event twice is one; another property makes another event."""
    head = b"type,at,contact,value,properties.page\n"
    run = importer("events", head + b"view,2026-02-01,C1,1.5,a\nview,2026-02-01,C1,1.5,a\nview,2026-02-01,C1,1.5,b\n")
    assert counts(run) == (3, 2, 0, 1, 0)
    assert sorted(row["properties"]["page"] for row in rows(database, Event)) == ["a", "b"]
    assert {row["value"] for row in rows(database, Event)} == {15_000}


def test_consent_goes_to_the_ledger_when_it_changes(importer: Importer, database: Database) -> None:
    """First word, no word, the same word, the opposite word: two entries."""
    for word in (b"true", b"", b"yes", b"false", b"no"):
        importer("contacts", b"key,email_consent\nC1," + word + b"\n", "list.csv", origin="survey")
    ledger = [(row["channel"], row["granted"], row["origin"], row["evidence"]) for row in rows(database, Consent)]
    assert ledger == [
        ("email", True, "survey", "import list.csv"),
        ("email", False, "survey", "import list.csv"),
    ]
    assert rows(database, Contact)[0]["email_consent"] is False


def test_an_old_file_overturns_no_withdrawal(importer: Importer, database: Database) -> None:
    """A file's yes is as old as the file, whatever its origin; a no counts from any file."""
    said = [("yes", "survey"), ("no", "import"), ("yes", "import"), ("yes", "survey")]
    states = []
    for word, origin in said:
        importer("contacts", f"key,city,email_consent\nC1,Dover,{word}\n".encode(), "list.csv", origin=origin)
        states.append(rows(database, Contact)[0]["email_consent"])
    assert states == [True, False, False, False]
    assert [row["granted"] for row in rows(database, Consent)] == [True, False]


@pytest.mark.parametrize("reason", ["unsubscribe", "bounce", "erased"])
@pytest.mark.parametrize("is_file", [True, False])
def test_no_yes_overturns_the_no_of_a_suppressed_address(
    importer: Importer, database: Database, config: Config, now: datetime, *, is_file: bool, reason: str
) -> None:
    """Whatever door it comes in by, also for a number; other fields of the record count. Of other people a file's yes
    overturns no no, a living word does.
    """
    head = "key,city,phone,sms_consent\n"
    importer("contacts", f"{head}C1,Dover,+442071838750,no\nC2,Dover,+442071838751,no\n".encode(), origin="survey")
    with database.begin() as session:
        address = "+442071838750"
        consent.suppress(session, "sms", consent.erased(address) if reason == "erased" else address, reason, now)
    said = [{"key": "C1", "city": "Deal", "sms_consent": True}, {"key": "C2", "city": "Dover", "sms_consent": True}]
    for updated in (1, 0) if is_file else (2, 0):
        if is_file:
            run: Any = importer("contacts", f"{head}C1,Deal,,yes\nC2,Dover,,yes\n".encode(), origin="survey")
        else:
            with database.begin() as session:
                run = intake.accept(session, "contacts", said, now=now, config=config)
        assert run.updated == updated
    found = [(row["city"], row["sms_consent"]) for row in rows(database, Contact)]
    assert found == [("Deal", False), ("Dover", not is_file)]
    given = [] if is_file else [True]
    assert [row["granted"] for row in rows(database, Consent)] == [False, False, *given]


def test_a_yes_is_for_the_address_that_comes_with_it(database: Database, config: Config, now: datetime) -> None:
    """With a new address it counts, though the old one is suppressed; back at the old one, a new no stays."""

    def say(*, word: bool, **more: str) -> None:
        with database.begin() as session:
            record = {"key": "C1", "email_consent": word, **more}
            intake.accept(session, "contacts", [record], now=now, config=config)

    with database.begin() as session:
        consent.suppress(session, "email", "c1@x.example", "unsubscribe", now)
    for number, word in ((1, False), (2, True), (1, True)):
        say(word=word, email=f"c{number}@x.example")
    assert [row["granted"] for row in rows(database, Consent)] == [False, True]
    say(word=False)
    say(word=True)
    assert rows(database, Contact)[0]["email_consent"] is False


def test_a_dry_run_writes_nothing(importer: Importer, database: Database, config: Config) -> None:
    """It counts like the real run and leaves every table as it was; the rejects can be read beforehand."""
    importer("orders", ORDERS)
    before = [rows(database, model) for model in (Contact, Item, Order, OrderLine, Import)]
    content = ORDERS.replace(b"wine,2", b"wine,3") + b"O3,2026-02-03,C9,new,1,1,,\nO4,,C9,new,1,1,,\n"
    run = importer("orders", content, dry_run=True)
    assert counts(run) == (5, 1, 1, 1, 1)
    assert before == [rows(database, model) for model in (Contact, Item, Order, OrderLine, Import)]
    assert rejects(config, run)[0]["message"] == "is missing."


def test_refuse_all_writes_nothing_for_one_bad_record(importer: Importer, database: Database) -> None:
    """One bad record, or an order that does not add up, and the file is refused; a good file goes in."""
    bad = importer("contacts", CONTACTS + b"C3,no address,,\n", refuse_all=True)
    assert counts(bad) == (3, 0, 0, 0, 1)
    assert bad.error is not None
    huge = b"order,at,item,quantity,unit_price\nO1,2026-01-01,x,1,1\nO2,2026-01-01,x,2000000000,99999999\n"
    assert importer("orders", huge, refuse_all=True).created == 0
    assert rows(database, Contact) == rows(database, Order) == rows(database, Item) == []
    assert importer("contacts", CONTACTS, refuse_all=True).created == 2


def test_the_import_is_kept(importer: Importer, database: Database) -> None:
    """Its row tells what came, how it was read and where the refused records are."""
    run = importer("contacts", CONTACTS + b"C3,x,,\n")
    (row,) = rows(database, Import)
    assert (row["kind"], row["file_name"], row["encoding"]) == ("contacts", "file.csv", "utf-8")
    assert (row["rows"], row["created"], row["rejected"]) == (3, 2, 1)
    assert row["rejects_file"] == run.rejects_file == f"{row['id']}-file.csv"
    assert row["finished_at"] is not None


NAMES = "key,first_name,city\nC1,王小明,北京市\nC2,李雷,上海市\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (NAMES.encode(), "utf-8"),
        (NAMES.encode("utf-8-sig"), "utf-8-sig"),
        (NAMES.encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + NAMES.encode("utf-16-be"), "utf-16"),
        (NAMES.encode("gb18030"), "gb18030"),
        (gzip.compress(NAMES.encode("gb18030"), mtime=0), "gb18030"),
        (NAMES.replace("\n", "\r\n").encode(), "utf-8"),
        (NAMES.replace("\n", "\r").encode(), "utf-8"),
        (NAMES.replace("\nC2", "\r\n\nC2").encode(), "utf-8"),
        (NAMES.replace(",", ";").encode(), "utf-8"),
        (NAMES.replace(",", "\t").encode(), "utf-8"),
        (NAMES.replace(",", "|").encode(), "utf-8"),
        (NAMES.replace("key", '" KEY "').replace("first_name", "First Name").encode(), "utf-8"),
    ],
)
def test_every_way_to_write_a_file(importer: Importer, database: Database, content: bytes, encoding: str) -> None:
    """Encodings, line ends, delimiters and spellings of headers all give the same contacts."""
    run = importer("contacts", content)
    assert (run.encoding, counts(run)) == (encoding, (2, 2, 0, 0, 0))
    found = [(row["key"], row["first_name"], row["city"]) for row in rows(database, Contact)]
    assert found == [("C1", "王小明", "北京市"), ("C2", "李雷", "上海市")]


def test_western_text_is_not_taken_for_chinese(importer: Importer, database: Database) -> None:
    """Windows-1252 bytes happen to be valid GB18030; they are refused until the encoding is named."""
    content = "key,first_name\nC1,Jérôme\nC2,Hélène\n".encode("cp1252")
    assert content.decode("gb18030")
    with pytest.raises(Unreadable, match="cp1252"):
        importer("contacts", content)
    importer("contacts", content, reading=Reading(encoding="cp1252"))
    assert [row["first_name"] for row in rows(database, Contact)] == ["Jérôme", "Hélène"]


def test_parquet(importer: Importer, database: Database) -> None:
    """Typed columns go in as they are; whole floats (a customer number in a column with gaps) lose their point."""
    table = pa.table(
        {
            "order": [1.0, 2.0],
            "at": pa.array([datetime(2026, 1, 1, 12), datetime(2026, 1, 2)], pa.timestamp("ns")),
            "contact": [13085.0, None],
            "item": ["x", "y"],
            "quantity": pa.array([2, 3], pa.int16()),
            "unit_price": [0.1, 2.5],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    assert counts(importer("orders", sink.getvalue().to_pybytes(), "o.parquet")) == (2, 2, 0, 0, 0)
    assert [(row["key"], row["total"]) for row in rows(database, Order)] == [("1", 2_000), ("2", 75_000)]
    assert [row["key"] for row in rows(database, Contact)] == ["13085"]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", Unreadable, "empty"),
        (b"\n\n", Unreadable, "empty"),
        (b"\x1f\x8bbroken", Unreadable, "damaged gzip"),
        (gzip.compress(CONTACTS, mtime=0)[:-10], Unreadable, "damaged gzip"),
        (b"PAR1broken", Unreadable, "damaged Parquet"),
        (b"PK\x03\x04rest", Unreadable, "save it as CSV"),
        (b"\xff\xff\xff\xff", Unreadable, "Save it as UTF-8"),
        (b"k\0e\0y\0\n", Unreadable, "NUL"),
        (b'"key,email\nC1,x\n', Unreadable, "line 1"),
        (b"key,emial\nC1,x\n", Invalid, "Did you mean 'email'"),
        (b"email\nx@y.example\n", Invalid, "column key is missing"),
        (b"key,email,E-Mail\nC1,x,y\n", Invalid, "'email', 'E-Mail' all mean 'email'"),
        (b"key," + b",".join(b"c%d" % i for i in range(100_000)) + b"\n", Invalid, "99999 more columns"),
        (b"key," + b",".join(b"attributes.c%d" % i for i in range(201)) + b"\n", Invalid, "at most 200"),
    ],
)
def test_files_that_cannot_be_read(importer: Importer, content: bytes, error: type[RapportError], words: str) -> None:
    """Each gets one error that says what to do."""
    with pytest.raises(error, match=words):
        importer("contacts", content)


def test_unknown_columns_can_be_left_out(importer: Importer) -> None:
    """All of them, by a flag; or one by one, mapped to nothing."""
    content = b"customer,shoe,e mail,\nC1,42,a@b.example,0\n"
    assert importer("contacts", content, ignore_unknown=True).created == 1
    assert importer("contacts", content, mapping={"SHOE": ""}).unchanged == 1
    assert importer("contacts", content, mapping={"shoe": "attributes.shoe"}).updated == 1
    with pytest.raises(Invalid, match=r"no column 'shoes'.*Did you mean 'shoe'"):
        importer("contacts", content, mapping={"shoes": ""})
    with pytest.raises(Invalid, match="no column 'fone'"):
        importer("contacts", content, mapping={"shoe": "fone"})


def test_broken_lines_cost_only_themselves(importer: Importer, config: Config, database: Database) -> None:
    """An open quote does not swallow the file; the line is named and the next one is read."""
    content = b'key,city\nC1,Dover\nC2,"open\nC3,Deal\nC4,"a" b\nC5\nC6,x,y\n\nC7,"two\nlines"\nC8,\0\n'
    run = importer("contacts", content)
    assert counts(run) == (8, 3, 0, 0, 5)
    assert [row["key"] for row in rows(database, Contact)] == ["C1", "C3", "C7"]
    found = {row["line"]: row["message"] for row in rejects(config, run)}
    assert list(found) == ["3", "5", "6", "7", "11"]
    assert "quote" in found["3"]
    assert found["6"] == "The line has 1 cells, the header has 2."
    assert "NUL" in found["11"]


def test_a_quote_that_is_never_closed_is_bounded(importer: Importer) -> None:
    """Not even a long file is read into one cell."""
    lines = b"".join(b"C%d,Dover\n" % number for number in range(1, 100_000))
    run = importer("contacts", b'key,city\nC0,"open\n' + lines, dry_run=True)
    assert (run.rows, run.created, run.rejected) == (100_000, 99_999, 1)


def test_rejects_are_safe_in_a_spreadsheet(importer: Importer, config: Config) -> None:
    """A formula in a cell stays text, a plain number stays a number."""
    run = importer("contacts", b'key,email,city,age\nC1,"=HYPERLINK(""x"")",@SUM,-5\n')
    (row,) = rejects(config, run)
    assert (row["email"], row["city"], row["age"]) == ('\'=HYPERLINK("x")', "'@SUM", "-5")
    assert "Also age:" in row["message"]


def test_rejects_are_written_like_exports(importer: Importer, config: Config, database: Database) -> None:
    """With the mark by which Excel reads UTF-8, and safe from formulas in full-width letters, after blanks and in the
    header; mended, the file is imported as it is.
    """
    run = importer(
        "contacts", "key,first_name,last_name,email,＝f\nC1,＝1+1, =cmd|x,nowhere,梅\n".encode(), ignore_unknown=True
    )
    assert run.rejects_file is not None
    content = (config.folder / "rejects" / run.rejects_file).read_bytes()
    assert content.startswith("\ufeffline,field,message,key,first_name,last_name,email,'＝f\r\n2,email,".encode())
    (row,) = rejects(config, run)
    assert (row["first_name"], row["last_name"], row["'＝f"]) == ("'＝1+1", "' =cmd|x", "梅")
    mended = content.replace(b",nowhere,", b",c1@x.example,")
    assert counts(importer("contacts", mended, ignore_unknown=True)) == (1, 1, 0, 0, 0)
    (contact,) = rows(database, Contact)
    assert [contact[name] for name in ("email", "first_name", "last_name")] == ["c1@x.example", "＝1+1", "=cmd|x"]


def test_rejects_are_mended_in_rounds(importer: Importer, config: Config, database: Database) -> None:
    """Each round tells its own faults, by the lines of the file that was given, and no cell changes on the way: neither
    what the guard against formulas touches nor apostrophes that were there before.
    """
    keys = ["=1+1", "-C2", "@C3", "\tC4", "＋C5", "'C6", "'=C7", "''@C8", "+4912345", "'+4912345", "'"]
    original = ["key,email,line,age,'=f", *(f"{key},nowhere,7,old,{key}" for key in keys)]
    content = "\n".join(original).encode()
    for number in range(3):
        run = importer("contacts", content, mapping={"LINE": "attributes.line", "'=f": "attributes.f"})
        assert counts(run) == (11, 0, 0, 0, 11)
        assert run.rejects_file is not None
        path = config.folder / "rejects" / run.rejects_file
        faults = intake.rejects.first(path, 2)
        assert [(fault["line"], fault["field"]) for fault in faults] == [("2", "email"), ("3", "email")]
        assert ("Also age" in faults[0]["message"]) == (number < 2)
        again, content = content, path.read_bytes()
        assert content.startswith("\ufeffline,field,message,key,email,line,age,''=f\r\n2,email,".encode())
        assert "\r\n5,email," in content.decode()
        assert ",'\tC4,nowhere,7," in content.decode()
        if number == 1:
            assert content == again  # a round in which nothing was mended
            content = content.replace(b",old,", b",46,")
    content = content.replace(b",nowhere,", b",,")
    run = importer("contacts", content, mapping={"line": "attributes.line", "'=f": "attributes.f"})
    assert counts(run) == (11, 11, 0, 0, 0)
    written = rows(database, Contact)
    assert {row["key"] for row in written} == {key.strip() for key in keys}
    assert {str(row["attributes"]["f"]) for row in written} == {key.strip() for key in keys}
    assert {row["attributes"]["line"] for row in written} == {7}


def test_rejects_saved_by_a_spreadsheet(importer: Importer, database: Database) -> None:
    """Without the mark and with semicolons; in any other file such columns are unknown and an apostrophe stays."""
    assert counts(importer("contacts", b"line;field;message;key\n2;key;;'=C1\n")) == (1, 1, 0, 0, 0)
    assert counts(importer("contacts", b"key\n'=C1\n")) == (1, 1, 0, 0, 0)
    assert {row["key"] for row in rows(database, Contact)} == {"=C1", "'=C1"}
    for header in (b"line,message,field,key", b"Line,field,message,key", b"key,line,field,message"):
        with pytest.raises(Invalid, match="There is no column"):
            importer("contacts", header + b"\n1,2,3,4\n")


def test_a_gzip_bomb_is_stopped(database: Database, config: Config, now: datetime, tmp_path: Path) -> None:
    """A small file that unpacks to more than the limit is refused by what it unpacks to."""
    small = Config(
        workspace=config.workspace,
        database=config.database,
        intake=type(config.intake)(max_upload_mb=1, max_line_kb=64),
    )
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"key\n" + b"0" * 3_000_000, mtime=0))
    with pytest.raises(TooLarge, match="max_upload_mb"):
        intake.import_file(database, small, "contacts", path, now=now)


def test_times(importer: Importer, database: Database, config: Config) -> None:
    """Moments become UTC; what could be day or month first is refused until the format is named."""
    head = b"type,contact,at\n"
    content = (
        head + b"a,C1,2026-02-01T10:00:00+02:00\nb,C1,2026-02-01 10:00:00\nc,C1,03/02/2026 10:00\nd,C1,2027-01-01\n"
    )
    run = importer("events", content)
    assert counts(run) == (4, 2, 0, 0, 2)
    assert sorted(row["occurred_at"].hour for row in rows(database, Event)) == [8, 10]
    slashes, later = rejects(config, run)
    assert "time format" in slashes["message"]
    assert "future" in later["message"]
    importer("events", head + b"c,C1,03/02/2026 10:00\n", reading=Reading(time_format="%d/%m/%Y %H:%M"))
    assert datetime(2026, 2, 3, 10, tzinfo=UTC) in {row["occurred_at"] for row in rows(database, Event)}
    with pytest.raises(Invalid, match="no time format"):
        importer("events", content, reading=Reading(time_format="%Q"))


def test_progress_reaches_the_end(importer: Importer) -> None:
    """It only grows, and ends with the size of the file."""
    seen: list[tuple[int, int]] = []
    importer("contacts", CONTACTS, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTACTS), len(CONTACTS))


def test_nothing_is_left_behind(importer: Importer, config: Config) -> None:
    """The stage is gone afterwards, also after an error."""
    importer("contacts", CONTACTS)
    with pytest.raises(Unreadable):
        importer("contacts", b"")
    assert list((config.folder / "tmp").iterdir()) == []


def test_an_order_is_never_cut_in_two(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the parts in which a file is written, each order is written once, with all its lines."""
    monkeypatch.setattr(files, "WRITE", 10)
    lines = b"".join(b"O%d,2026-01-01,I%d,1,1\n" % (number % 20, number) for number in range(20 * 7))
    content = b"order,at,item,quantity,unit_price\n" + lines
    assert counts(importer("orders", content)) == (140, 20, 0, 0, 0)
    assert counts(importer("orders", content)) == (140, 0, 0, 20, 0)


def test_big_files_are_written_in_parts(importer: Importer, database: Database) -> None:
    """50,000 records in several transactions, keys in any order, each once."""
    numbers = sorted(range(50_000), key=lambda number: number * 7919 % 50_021)
    content = b"key,city\n" + b"".join(b"C%05d,Dover\n" % (number % 45_000) for number in numbers)
    assert counts(importer("contacts", content)) == (50_000, 45_000, 0, 5_000, 0)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 45_000
