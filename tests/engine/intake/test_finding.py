"""How a row finds its person, and whose word wins."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from engine import identity
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.intake import FIND, WINS, Forecast, Import, Reading
from engine.intake.finding import Find, Wins
from engine.models import Consent, Contact, Identity
from tests.engine.intake.test_undo import FILES, LINE, ORDERS, File, Shop, _empty, records

ANN, BOB = "ann@shop.example", "bob@shop.example"
HERE = [{"key": "C1", "email": ANN, "first_name": "Ann", "attributes.size": "4", "email_consent": "true"},
        {"key": "C2", "email": BOB, "phone": "+442071838750", "card": "4711"}]  # fmt: skip


@pytest.fixture
def shop(database: Database, config: Config, tmp_path: Path, now: datetime) -> Shop:
    """An empty one."""
    return Shop(database, config, tmp_path, now)


def told(shop: Shop, run: Import) -> list[str]:
    """Why records were refused."""
    if not run.rejects_file:
        return []
    with (shop.config.folder / "rejects" / run.rejects_file).open(encoding="utf-8") as file:
        return [line["message"] for line in csv.DictReader(file)]


def test_a_bought_list_has_no_customer_numbers(shop: Shop) -> None:
    """Whoever is here is found, the rest are known by the address; twice changes nothing, undo forgets."""
    shop.take("contacts", HERE)
    before = shop.state()
    people = [
        {"email": ANN.upper(), "city": "Rye"},
        {"email": "cy@shop.example", "city": "Dover", "phone": "+4930123456"},
    ]
    reading = Reading(find="email")
    run = shop.take("contacts", people, reading=reading, origin="bought list")
    assert (run.created, run.updated) == (1, 1)
    first = shop.state()
    with shop.database.read() as session:
        new = session.scalars(select(Contact).where(Contact.key == "email:cy@shop.example")).one()
        assert {"email": new.email, "city": new.city, "phone": new.phone} == people[1]
        assert new.origin == "bought list"
        kinds = session.scalars(select(Identity.kind).where(Identity.contact_id == new.id))
        assert set(kinds) == {"email", "phone"}
        assert session.scalars(select(Contact.city).where(Contact.key == "C1")).one() == "Rye"
    again = shop.take("contacts", people, reading=reading, origin="bought list")
    assert (again.created, again.updated, again.unchanged) == (0, 0, 2)
    assert shop.state() == first
    shop.undo(again)
    shop.undo(run)
    assert shop.state() == before


def test_a_name_joins_the_customer_who_comes_later(shop: Shop) -> None:
    """Who is provisional becomes part of the customer, and is found by the same address as that customer."""
    shop.take("contacts", [{"email": ANN, "city": "Rye"}], reading=Reading(find="email"))
    shop.take("contacts", HERE[:1])
    shop.take("contacts", [{"email": ANN, "last_name": "Lee"}], reading=Reading(find="email"))
    with shop.database.read() as session:
        one = session.scalars(select(Contact).where(Contact.merged_into.is_(None))).one()
        assert (one.key, one.city, one.last_name) == ("C1", "Rye", "Lee")


def test_the_name_that_finds_somebody_is_not_written(shop: Shop) -> None:
    """Of several addresses of theirs a file may have any; theirs stays the one it was."""
    shop.take("contacts", HERE[:1])
    shop.take("orders", [LINE | {"email": "ann@home.example"}])
    run = shop.take("contacts", [{"email": "ann@home.example", "city": "Rye"}], reading=Reading(find="email"))
    assert (run.created, run.updated) == (0, 1)
    with shop.database.read() as session:
        assert tuple(session.execute(select(Contact.email, Contact.city)).one()) == (ANN, "Rye")


def test_names_go_with_the_import_that_gave_them(shop: Shop) -> None:
    """Also those of a contact that was here before, who shows them."""
    shop.take("contacts", [{"email": ANN}], reading=Reading(find="email"))
    before = shop.state()
    run = shop.take("contacts", [{"email": ANN, "phone": "+4930123456"}], reading=Reading(find="email"))
    with shop.database.read() as session:
        assert session.scalars(select(Contact.phone)).one() == "+4930123456"
    shop.undo(run)
    assert shop.state() == before


@pytest.mark.parametrize(
    ("find", "value"), [("email", BOB), ("phone", "+44 20 7183 8750"), ("card", "4711"), ("key", "C2")]
)
def test_every_way_to_find_somebody(shop: Shop, find: Find, value: str) -> None:
    """The same person each time."""
    shop.take("contacts", HERE)
    run = shop.take("contacts", [{find: value, "city": "Rye"}], reading=Reading(find=find))
    assert (run.created, run.updated) == (0, 1)
    with shop.database.read() as session:
        assert session.scalars(select(Contact.key).where(Contact.city == "Rye")).all() == ["C2"]


def test_a_row_that_may_mean_several_people_is_refused(shop: Shop) -> None:
    """With the reason; so is one whose number and name are two people's. The rest comes in."""
    long = "x" * 120 + "@a.example"
    shop.take("contacts", [*HERE, {"key": "C3", "email": ANN}, {"key": "C4", "email": "dee@shop.example"}])
    rows = [{"key": "", "email": ANN}, {"key": "C1", "email": BOB}, {"key": "C4", "email": "new@shop.example"},
            {"key": "C9", "email": "cy@shop.example"}, {"key": "C2", "email": BOB}, {"key": "", "email": long},
            {"key": "C7", "email": ""}]  # fmt: skip
    expected = ["2 people here have this e-mail address", "is that of C2 here, and the row says C1",
                "C4 is here with another", "longer than 120", "is missing"]  # fmt: skip
    for dry_run in (True, False):
        run = shop.take("contacts", rows, reading=Reading(find="email"), dry_run=dry_run)
        assert (run.created, run.updated, run.unchanged, run.rejected) == (1, 0, 1, 5)
        assert all(words in message for words, message in zip(expected, told(shop, run), strict=True)), told(shop, run)
    refused = shop.take(
        "contacts", [rows[0], {"email": "eve@shop.example"}], reading=Reading(find="email"), refuse_all=True
    )
    assert (refused.created, refused.rejected) == (0, 1)


SAID = {"key": "C1", "first_name": "Anna", "city": "Rye", "attributes.size": "5", "attributes.hat": "7"}


@pytest.mark.parametrize(
    ("wins", "expected", "changes"),
    [
        ("file", ("Anna", "Rye", {"size": 5, "hat": 7}), {"first_name", "city", "attributes.size", "attributes.hat"}),
        ("here", ("Ann", None, {"size": 4}), set()),
        ("fill", ("Ann", "Rye", {"size": 4, "hat": 7}), {"city", "attributes.hat"}),
    ],
)
def test_who_wins(shop: Shop, wins: Wins, expected: tuple[object, ...], changes: set[str]) -> None:
    """Field by field, as the dry run says; who is new comes in whole, and a no to messages always counts."""
    shop.take("contacts", HERE)
    before, forecast = shop.state(), Forecast()
    new = {"key": "C8", "first_name": "Hal"}
    shop.take("contacts", [SAID, new], reading=Reading(wins=wins), dry_run=True, forecast=forecast)
    assert (set(forecast.fields), shop.state()) == (changes, before)
    run = shop.take("contacts", [SAID, new], reading=Reading(wins=wins))
    with shop.database.read() as session:
        ann = session.scalars(select(Contact).where(Contact.key == "C1")).one()
        assert (ann.first_name, ann.city, ann.attributes) == expected
        assert session.scalars(select(Contact.first_name).where(Contact.key == "C8")).one() == "Hal"
    shop.undo(run)
    assert shop.state() == before
    shop.take("contacts", [{"key": "C1", "email_consent": "false"}], reading=Reading(wins=wins))
    with shop.database.read() as session:
        assert session.scalars(select(Consent.granted).order_by(Consent.id)).all() == [True, False]


def test_what_is_shown_of_a_merged_contact_is_not_empty(shop: Shop) -> None:
    """Filling looks at what people see."""
    shop.take("contacts", [{"email": ANN, "city": "Rye"}], reading=Reading(find="email"))
    shop.take("contacts", HERE[:1])
    shop.take("contacts", [{"key": "C1", "city": "Dover"}], reading=Reading(wins="fill"))
    with shop.database.read() as session:
        assert session.scalars(select(Contact.city).where(Contact.key == "C1")).one() == "Rye"


def test_a_card_of_a_merged_contact_is_a_card(shop: Shop) -> None:
    """Whoever has one gets no other when empty fields are filled."""
    shop.take("contacts", HERE[:1])
    row, reading = {"email": ANN, "phone": "+4930123456", "card": "4712"}, Reading(find="phone", wins="fill")
    shop.take("contacts", [row], reading=reading)
    once = shop.state()
    shop.take("contacts", [row | {"card": "4713"}], reading=reading)
    assert shop.state() == once


def test_only_contacts_are_found_otherwise(shop: Shop) -> None:
    """The file needs the column that says who it is; other kinds keep their key."""
    with pytest.raises(Invalid, match="The column phone is missing"):
        shop.take("contacts", [{"key": "C1"}], reading=Reading(find="phone"))
    assert shop.take("items", [{"key": "wine"}], reading=Reading(find="email")).created == 1


PEOPLE = records(
    key=st.sampled_from(["", "C1", "C2", "C3"]),
    email=st.sampled_from(["", ANN, BOB, "cy@shop.example"]),
    phone=st.sampled_from(["", "+442071838750", "+4930123456"]),
    card=st.sampled_from(["", "4711", "4712"]),
    city=st.sampled_from(["", "Rye", "Dover"]),
)


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=st.lists(st.one_of(FILES, st.tuples(st.just("orders"), ORDERS)), max_size=2),
    people=PEOPLE,
    find=st.sampled_from(list(FIND)),
    wins=st.sampled_from(list(WINS)),
)
def test_undone_it_never_was(
    shop: Shop, before: list[File], people: list[dict[str, str]], find: Find, wins: Wins
) -> None:
    """Whatever the rule; and two customers are never made one."""
    _empty(shop.database)
    for kind, some in before:
        shop.take(kind, some)
    expected = shop.state()
    run = shop.take("contacts", people, reading=Reading(find=find, wins=wins))
    with shop.database.read() as session:
        merged = session.scalars(select(Contact.key).where(Contact.merged_into.is_not(None))).all()
    assert all(map(identity.is_provisional, merged))
    shop.undo(run)
    assert shop.state() == expected


@settings(
    max_examples=20,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(people=PEOPLE, find=st.sampled_from(list(FIND)), wins=st.sampled_from(["here", "fill"]))
def test_a_file_that_may_change_nobody(shop: Shop, people: list[dict[str, str]], find: Find, wins: Wins) -> None:
    """Twice is once, and what was here stays."""
    _empty(shop.database)
    shop.take("contacts", HERE)
    reading = Reading(find=find, wins=wins)
    shop.take("contacts", people, reading=reading)
    with shop.database.read() as session:
        ann = session.execute(select(Contact.email, Contact.first_name).where(Contact.key == "C1")).one()
    assert tuple(ann) == (ANN, "Ann")
    once = shop.state()
    shop.take("contacts", people, reading=reading)
    assert shop.state() == once
