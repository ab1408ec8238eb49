"""Consent and suppression."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import consent
from engine.database import Database
from engine.errors import Invalid, NotFound
from engine.models import Consent, Contact, Suppression


def add(session: Session, key: str, now: datetime, **given: object) -> Contact:
    """A contact."""
    contact = Contact(key=key, created_at=now, updated_at=now, **given)
    session.add(contact)
    session.flush()
    return contact


def test_the_ledger_keeps_every_change(database: Database, now: datetime) -> None:
    """Granted, granted again, withdrawn: two entries, and the contact shows the last word."""
    with database.begin() as session:
        contact = add(session, "a", now)
        for hours, granted in enumerate((True, True, False)):
            at = now + timedelta(hours=hours)
            consent.record(session, contact.id, "email", granted, origin="web", evidence="form", now=at)
        assert (contact.email_consent, contact.sms_consent) == (False, None)
        entries = session.execute(select(Consent.channel, Consent.granted, Consent.at).order_by(Consent.id)).all()
        assert entries == [("email", True, now), ("email", False, now + timedelta(hours=2))]


def test_only_known_contacts_and_channels(database: Database, now: datetime) -> None:
    """A typing error is no consent."""
    with database.begin() as session:
        with pytest.raises(NotFound):
            consent.record(session, 99, "email", granted=True, origin="web", now=now)
        with pytest.raises(Invalid, match="Did you mean 'email'"):
            consent.suppress(session, "emial", "a@shop.example", "manual", now)


def test_suppression_is_by_address_and_channel(database: Database, now: datetime) -> None:
    """The first reason stays; another channel is another matter."""
    with database.begin() as session:
        assert consent.suppress(session, "email", "a@shop.example", "bounce", now)
        assert not consent.suppress(session, "email", "a@shop.example", "manual", now)
        assert session.scalars(select(Suppression.reason)).all() == ["bounce"]
        assert consent.is_suppressed(session, "email", "a@shop.example")
        assert not consent.is_suppressed(session, "sms", "a@shop.example")


def test_many_are_suppressed_at_once(database: Database, now: datetime) -> None:
    """The first reason stays unless the new one is never lifted; who was erased is not named anew."""
    given = {"a@x.example": "complaint", "b@x.example": "bounce", "c@x.example": "bounce", "d@x.example": "complaint"}
    with database.begin() as session:
        consent.suppress(session, "email", "a@x.example", "unsubscribe", now)
        consent.suppress(session, "email", "b@x.example", "unsubscribe", now)
        consent.suppress(session, "email", consent.erased("d@x.example"), "erased", now)
        assert consent.suppress_all(session, "email", given, now) == 1
        assert consent.suppress_all(session, "email", {}, now) == 0
        found = session.execute(select(Suppression.address, Suppression.reason)).all()
        assert dict(found) == {  # type: ignore[arg-type]
            "a@x.example": "complaint",
            "b@x.example": "unsubscribe",
            "c@x.example": "bounce",
            consent.erased("d@x.example"): "erased",
        }


def test_many_withdraw_at_once(database: Database, now: datetime) -> None:
    """As one after the other: the ledger holds a word only where it differs from the last one, contacts follow."""
    with database.begin() as session:
        ids = [add(session, str(number), now).id for number in range(4)]
        for contact_id, words in zip(ids, ([], [True], [True, False], [False, True]), strict=True):
            for granted in words:
                consent.record(session, contact_id, "email", granted, origin="web", now=now)
        evidence = {contact_id: f"mail {contact_id}" for contact_id in ids}
        before = session.scalars(select(Contact.revision).where(Contact.id == ids[2])).one()
    with database.begin() as session:
        for _ in range(2):
            consent.withdraw_all(session, "email", evidence, origin="campaign", now=now)
    with database.begin() as session:
        assert session.scalars(select(Contact.email_consent)).all() == [False] * 4
        assert set(session.scalars(select(Contact.sms_consent))) == {None}
        added = session.execute(select(Consent.contact_id, Consent.evidence).where(Consent.origin == "campaign")).all()
        assert sorted(added) == [(i, evidence[i]) for i in ids if i != ids[2]]
        assert session.get_one(Contact, ids[2]).revision == before  # the warehouse need not copy it again
        assert session.get_one(Contact, ids[0]).revision > before


def test_suppressed_chooses_many_at_once(database: Database, now: datetime) -> None:
    """The SQL condition and `is_suppressed` agree, also for addresses kept only as digests, in any script."""
    addresses = ["a@shop.example", "b@shop.example", "ü@shop.example", "d@shop.example", None]
    with database.begin() as session:
        for number, address in enumerate(addresses):
            add(session, str(number), now, email=address)
        consent.suppress(session, "email", "a@shop.example", "manual", now)
        consent.suppress(session, "email", consent.erased("ü@shop.example"), "erased", now)
        consent.suppress(session, "sms", "d@shop.example", "manual", now)
        condition = consent.suppressed("email", Contact.email)
        assert set(session.scalars(select(Contact.email).where(condition))) == {"a@shop.example", "ü@shop.example"}
        assert len(session.scalars(select(Contact.key).where(~condition)).all()) == 3
        assert [address for address in addresses[:4] if consent.is_suppressed(session, "email", address or "")] == [
            "a@shop.example",
            "ü@shop.example",
        ]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" Ann.Lee+Shop@Shop.Example ", "ann.lee+shop@shop.example"),
        ("ann@Münster.example", "ann@xn--mnster-3ya.example"),
        ("o'hara@mail.shop.example", "o'hara@mail.shop.example"),
    ],
)
def test_email_addresses(given: str, stored: str) -> None:
    """Lower case, ASCII host."""
    assert consent.normalise("email", given, "GB") == stored


@pytest.mark.parametrize(
    "given",
    [
        *("", "ann", "ann@", "@shop.example", "ann@shop", "ann@localhost", "ann@shop.test", "a b@shop.example"),
        *("ann..lee@shop.example", ".ann@shop.example", "ann@-shop.example", "ann@shop..example", "ann@shop.example."),
        *("用户@shop.example", "ann@shop.example\nBcc: x@y.example", "ann@[127.0.0.1]", '"a"@shop.example'),
        *("a" * 65 + "@shop.example", "ann@" + "a" * 64 + ".example", "ann@" + "a." * 130 + "example", "a@b.c" * 9999),
    ],
)
def test_what_is_no_email_address(given: str) -> None:
    """Refused with a reason, without asking the network."""
    with pytest.raises(Invalid, match="is not an e-mail address"):
        consent.normalise("email", given, "GB")


@given(st.emails())
def test_the_quick_look_agrees_with_the_full_check(address: str) -> None:
    """What is stored is stored the same when it comes again."""
    try:
        once = consent.normalise("email", address, "GB")
    except Invalid:
        return
    assert consent.normalise("email", once, "GB") == once


@pytest.mark.parametrize(
    ("given", "country", "stored"),
    [
        ("+44 20 7183 8750", "GB", "+442071838750"),
        ("+442071838750", "US", "+442071838750"),
        ("020 7183 8750", "GB", "+442071838750"),
        ("138 0013 8000", "CN", "+8613800138000"),
        ("(212) 555-0123", "US", "+12125550123"),
    ],
)
def test_telephone_numbers(given: str, country: str, stored: str) -> None:
    """E.164; a number without a prefix belongs to the shop's country."""
    assert consent.normalise("sms", given, country) == stored


@pytest.mark.parametrize("given", ["", "12", "+999123456789", "call me", "+4420718387501234567", "0" * 5000])
def test_what_is_no_telephone_number(given: str) -> None:
    """Refused, however long."""
    with pytest.raises(Invalid, match="telephone number"):
        consent.normalise("sms", given, "GB")
