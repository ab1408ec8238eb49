"""Contacts, who of them is one person, and what they allow."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime

BUCKETS = 2**31 - 1  # prime, so (a * bucket + s) mod BUCKETS is a fresh shuffle for every a

CHANNELS = ("email", "sms")


def new_bucket() -> int:
    """A contact's place in [0, BUCKETS), drawn once at birth: splits and holdouts need no hash in SQL."""
    return secrets.randbelow(BUCKETS)


class Contact(Base):
    """A person, known or not yet: declared facts (attributes) and the present state of consent."""

    __tablename__ = "contacts"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)  # the shop's customer number
    email: Mapped[str | None] = mapped_column(String(254), index=True)
    phone: Mapped[str | None] = mapped_column(String(16), index=True)  # E.164
    first_name: Mapped[str | None] = mapped_column(String(128))
    last_name: Mapped[str | None] = mapped_column(String(128))
    birth_date: Mapped[date | None]
    age: Mapped[int | None]  # as declared; birth_date goes before it
    income: Mapped[int | None] = mapped_column(BigInteger)  # a year, ten-thousandths of the shop's currency
    education: Mapped[str | None] = mapped_column(String(64))
    household_size: Mapped[int | None]
    household: Mapped[str | None] = mapped_column(String(128), index=True)  # the shop's number of the home they share
    account: Mapped[str | None] = mapped_column(String(128), index=True)  # of the company they buy for
    country: Mapped[str | None] = mapped_column(String(64))
    region: Mapped[str | None] = mapped_column(String(64))
    city: Mapped[str | None] = mapped_column(String(128))
    postcode: Mapped[str | None] = mapped_column(String(16))
    language: Mapped[str | None] = mapped_column(String(16))
    origin: Mapped[str | None] = mapped_column(String(32))  # web, survey, flyer, call, import, partner ...
    email_consent: Mapped[bool | None]  # last word of the consent ledger; None: never asked
    sms_consent: Mapped[bool | None]
    attributes: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # the shop's own fields
    bucket: Mapped[int] = mapped_column(default=new_bucket)
    merged_into: Mapped[int | None] = mapped_column(BigInteger, index=True)  # the contact kept (engine.identity)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(BigInteger, index=True)

    @property
    def name(self) -> str:
        """What to call them on screen."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or self.email or self.key


class Identity(Base):
    """A way to recognise a contact: visitor cookie, loyalty card ... A visitor is one contact; a card, an e-mail or a
    telephone may be named with several, and stays with the one it was named with when that is merged.
    """

    __tablename__ = "identities"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    value: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    __table_args__ = (
        UniqueConstraint("kind", "value", "contact_id", name="uq_identities_kind_value_contact_id"),
        Index(
            "uq_identities_visitor",
            "value",
            unique=True,
            sqlite_where=text("kind = 'visitor'"),
            postgresql_where=text("kind = 'visitor'"),
        ),
    )


class Merge(Base):
    """One contact became a part of another: who said so, when and why. What stands is the forest of those that were not
    undone; `Contact.merged_into` is its root.
    """

    __tablename__ = "merges"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    merged_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)
    kept_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)
    how: Mapped[str] = mapped_column(String(16))  # record: one named both; manual: a person said so
    evidence: Mapped[str] = mapped_column(String(500), default="")
    author: Mapped[str] = mapped_column(String(254), default="")  # who, of a manual one
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_by: Mapped[str | None] = mapped_column(String(254))  # "": a later record contradicted it


class MergedRow(Base):
    """A row that stands with the kept contact, and whose it is."""

    __tablename__ = "merged_rows"
    table_name: Mapped[str] = mapped_column(String(64), primary_key=True)
    row_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)


class MergedPlace(Base):
    """A contact's own place on a list while it is part of a merge."""

    __tablename__ = "merged_places"
    table_name: Mapped[str] = mapped_column(String(64), primary_key=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True, index=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True, index=True)
    row: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)


class OwnFacts(Base):
    """The kept contact's own attributes, while it shows those of the merged ones too."""

    __tablename__ = "own_facts"
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True)
    own: Mapped[dict[str, Any]] = mapped_column(Json)
    shown: Mapped[dict[str, Any]] = mapped_column(Json)


class Consent(Base):
    """Append-only ledger: who allowed or withdrew what, when and how."""

    __tablename__ = "consents"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str] = mapped_column(String(8))
    granted: Mapped[bool]
    origin: Mapped[str] = mapped_column(String(32))
    evidence: Mapped[str | None] = mapped_column(Text)  # wording, file name, link that was clicked
    confirmed: Mapped[bool] = mapped_column(default=False, server_default=false())  # by the link in a message
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(BigInteger, index=True, server_default=text("0"))


class Suppression(Base):
    """An address that must not be spoken to. By address, so that it outlives imports, merges and new contacts."""

    __tablename__ = "suppressions"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    channel: Mapped[str] = mapped_column(String(8))
    address: Mapped[str] = mapped_column(String(254))  # e-mail in lower case, or E.164
    reason: Mapped[str] = mapped_column(String(32))  # unsubscribe, complaint, bounce, erased, manual
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(BigInteger, index=True, server_default=text("0"))
    __table_args__ = (UniqueConstraint("channel", "address", name="uq_suppressions_channel_address"),)
