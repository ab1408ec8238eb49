"""Consent, suppression and reach: what criteria find is what engine.consent says of each contact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import consent, contacts, criteria
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.database import Database
from engine.models import CHANNELS, Consent, Contact, Suppression
from engine.warehouse import Warehouse
from tests.engine.criteria.world import MemoryCatalogue, World

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PEOPLE = 60


@pytest.fixture
def warehouse(database: Database, config: Config) -> Warehouse:
    """The columnar copy."""
    return Warehouse(database, config.folder / "warehouse", config)


@pytest.fixture
def people(database: Database, warehouse: Warehouse) -> Warehouse:
    """Some without an address, some asked several times, some silent, one erased whose address came back."""
    rng = np.random.default_rng(2)
    with database.begin() as session:
        for number in range(1, PEOPLE + 1):
            email = f"c{number % 50}@x.example" if number % 7 else None  # some share one
            phone = f"+4479460{number:05d}" if number % 5 else None
            session.add(contact(number, email=email, phone=phone))
        session.add(contact(99, email="back@x.example"))
        session.flush()
        for number in range(1, PEOPLE + 1):
            for channel in CHANNELS:
                for turn in range(int(rng.integers(0, 4))):
                    say(session, number, channel, bool(rng.random() < 0.6), turn, confirmed=bool(rng.random() < 0.3))
        for number, reason in ((1, "unsubscribe"), (2, "bounce"), (3, "complaint"), (11, "manual")):
            consent.suppress(session, "email", f"c{number}@x.example", reason, NOW)
            consent.suppress(session, "sms", f"+4479460{number:05d}", reason, NOW)
        consent.suppress(session, "email", "c3@x.example", "bounce", NOW)
    with database.begin() as session:
        contacts.erase(session, 99, NOW)
        session.add(contact(100, email="back@x.example"))
        session.add(Suppression(channel="email", address="back@x.example", reason="bounce", at=NOW))  # by an old backup
        session.flush()
        say(session, 100, "email", True, 0)
    warehouse.refresh()
    return warehouse


def contact(number: int, **given: Any) -> Contact:
    """Somebody."""
    return Contact(id=number, key=f"c{number}", attributes={}, created_at=NOW, updated_at=NOW, **given)


def say(session: Session, number: int, channel: str, granted: bool, turn: int, *, confirmed: bool = False) -> None:
    """A word of consent."""
    at = NOW - timedelta(days=100 - 10 * turn - number % 10)
    told: dict[str, Any] = {
        "origin": ("web", "call", "import")[(number + turn) % 3],
        "confirmed": granted and confirmed,
    }
    consent.record(session, number, channel, granted, evidence=f"file {turn}" if turn % 2 else None, now=at, **told)


def chosen(session: Session, warehouse: Warehouse, field: str, operator: str, *value: Any) -> set[int]:
    """Who a condition is true of."""
    asked = {"field": field, "operator": operator} | ({"value": value[0]} if value else {})
    checked = criteria.parse(asked, open_catalogue(session, warehouse))
    return set(warehouse.execute(criteria.select(checked, warehouse, NOW))["contact_id"].to_pylist())


def everybody(session: Session) -> list[Contact]:
    """All contacts."""
    return list(session.scalars(select(Contact)))


def last_words(session: Session, channel: str) -> dict[int, Consent]:
    """By contact."""
    words = select(Consent).where(Consent.channel == channel).order_by(Consent.id)
    return {word.contact_id: word for word in session.scalars(words)}


@pytest.mark.parametrize("channel", CHANNELS)
def test_reach_and_silence_are_those_of_the_consent_ledger(database: Database, people: Warehouse, channel: str) -> None:
    """An erased person's address stays silent though it came back; of two reasons the one that is final counts."""
    with database.read() as session:
        stand = {
            one.id: next(found for found in consent.standings(session, one) if found.channel == channel)
            for one in everybody(session)
        }
        reachable = {number for number, found in stand.items() if found.reachable}
        assert 3 < len(reachable) < PEOPLE
        assert chosen(session, people, f"{channel}_reachable", "is", True) == reachable
        assert chosen(session, people, f"{channel}_reachable", "is", False) == stand.keys() - reachable
        for reason in ("unsubscribe", "bounce", "complaint", "erased", "manual"):
            silent = {number for number, found in stand.items() if found.suppression == reason}
            assert chosen(session, people, f"{channel}_suppression", "is", reason) == silent
        assert chosen(session, people, f"{channel}_suppression", "unknown") == {
            number for number, found in stand.items() if found.suppression is None
        }
        if channel == "email":
            assert stand[100].suppression == "erased"
            assert stand[3].suppression == "complaint"


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_last_word_counts_with_its_moment_origin_and_evidence(
    database: Database, people: Warehouse, channel: str
) -> None:
    """Not an earlier one that had evidence."""
    with database.read() as session:
        words = last_words(session, channel)
        for origin in ("web", "call", "import"):
            assert chosen(session, people, f"{channel}_consent_origin", "is", origin) == {
                number for number, word in words.items() if word.origin == origin
            }
        late = {number for number, word in words.items() if word.at >= NOW - timedelta(days=80)}
        assert chosen(session, people, f"{channel}_consent_at", "in_last", 80) == late
        assert 0 < len(late) < len(words)
        proven = {number for number, word in words.items() if word.evidence}
        assert chosen(session, people, f"{channel}_consent_evidence", "known") == proven
        assert 0 < len(proven) < len(words)
        sure = {number for number, word in words.items() if word.confirmed}
        assert chosen(session, people, f"{channel}_confirmed", "is", True) == sure
        assert len(sure) > 3


def test_a_change_reaches_the_warehouse(database: Database, people: Warehouse) -> None:
    """A lifted suppression, a new one, one that became final, a word taken back, a person erased."""
    with database.begin() as session:
        consent.record(session, 1, "email", True, origin="web", now=NOW)
        assert consent.lift(session, "email", "c1@x.example")
        consent.suppress(session, "email", "c2@x.example", "complaint", NOW)
        consent.withdraw_all(session, "email", {4: "STOP"}, origin="campaign", now=NOW)
        contacts.erase(session, 5, NOW)
    people.refresh()
    with database.read() as session:
        found = {one.id: consent.standings(session, one)[0] for one in everybody(session)}
        reachable = {number for number, one in found.items() if one.reachable}
        assert 1 in reachable
        assert chosen(session, people, "email_reachable", "is", True) == reachable
        assert 2 in chosen(session, people, "email_suppression", "is", "complaint")
        assert 4 in chosen(session, people, "email_consent_origin", "is", "campaign")
        rows = people.execute(people.table("consents"))["contact_id"].to_pylist()
        assert sorted(rows) == sorted(session.scalars(select(Consent.contact_id)))
        addresses = people.execute(people.table("suppressions"))["address"].to_pylist()
        assert "c1@x.example" not in addresses
        assert "c5@x.example" not in addresses


def test_a_double_opt_in_counts_anew_after_a_plain_yes(database: Database, people: Warehouse) -> None:
    """Once; a second one says nothing new."""
    with database.begin() as session:
        session.add(contact(200, email="new@x.example"))
        session.flush()
        for confirmed in (False, True, True, False):
            consent.record(session, 200, "email", True, origin="survey", confirmed=confirmed, now=NOW)
    people.refresh()
    with database.read() as session:
        assert len(session.scalars(select(Consent).where(Consent.contact_id == 200)).all()) == 2
        assert 200 in chosen(session, people, "email_confirmed", "is", True)


def test_options_are_those_that_occur(database: Database, people: Warehouse) -> None:
    """For a drop-down."""
    with database.read() as session:
        catalogue = open_catalogue(session, people)
        offered = dict(catalogue.options(catalogue.field("email_suppression")))
        assert offered.keys() == {"unsubscribe", "bounce", "complaint", "erased", "manual"}


@pytest.mark.parametrize(
    ("field", "operator", "value", "en", "zh"),
    [
        ("email_reachable", "is", True, "People who can be reached by e-mail", "可通过电子邮件联系的联系人"),
        ("email_reachable", "is_not", True, "People who cannot be reached by e-mail", "无法通过电子邮件联系的联系人"),
        ("sms_reachable", "is", False, "People who cannot be reached by SMS", "无法通过短信联系的联系人"),
        ("sms_confirmed", "is_not", False, "People with double opt-in for SMS", "已对短信作双重确认的联系人"),
        ("email_suppression", "is", "bounce", "People whose reason for silence by e-mail is “bounce”",
         "电子邮件屏蔽原因为“bounce”的联系人"),
    ],
)  # fmt: skip
def test_it_reads_well(field: str, operator: str, value: Any, en: str, zh: str) -> None:
    """In both languages."""
    catalogue = MemoryCatalogue(World(), None)
    checked = criteria.parse({"field": field, "operator": operator, "value": value}, catalogue)
    assert (criteria.sentence(checked), criteria.sentence(checked, "zh")) == (en, zh)
