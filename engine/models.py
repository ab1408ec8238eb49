"""Tables of the engine. Amounts are ten-thousandths of the currency unit (engine.money), moments are UTC.

`revision` marks the transaction that wrote a row last; the warehouse copies by it (engine.database).
"""

from __future__ import annotations

import secrets
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime

BUCKETS = 2**31 - 1  # prime, so (a * bucket + s) mod BUCKETS is a fresh shuffle for every a

CHANNELS = ("email", "sms")

# Keys of events that begin so are made by us. Intake refuses them: who may write events could otherwise take the key
# of an open or an opt-out before it happens, and it would never be noted.
OWN_KEYS = "rapport:"


def new_bucket() -> int:
    """A contact's place in [0, BUCKETS), drawn once at birth: splits and holdouts need no hash in SQL."""
    return secrets.randbelow(BUCKETS)


class Revision(Base):
    """SQLite's change counter, one row (PostgreSQL uses its transaction number)."""

    __tablename__ = "revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)


class Watermark(Base):
    """How far somebody who follows changes has come, by their name: a mark (engine.database.snapshot_mark), or the
    tokens of a warehouse (engine.warehouse.descent).
    """

    __tablename__ = "watermarks"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    mark: Mapped[str] = mapped_column(Text, default="")


class Deletion(Base):
    """A row that is gone: tells the warehouse to forget it too, bytes included."""

    __tablename__ = "deletions"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    table_name: Mapped[str] = mapped_column(String(64))
    row_id: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger, index=True)


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


class Item(Base):
    """Anything offered."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)  # the shop's article number
    title: Mapped[str | None] = mapped_column(String(512))
    category: Mapped[str | None] = mapped_column(String(256))  # path, levels joined by " > "
    brand: Mapped[str | None] = mapped_column(String(128))
    price: Mapped[int | None] = mapped_column(BigInteger)
    cost: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    stock: Mapped[int | None]  # None: not counted
    url: Mapped[str | None] = mapped_column(String(1024))
    image_url: Mapped[str | None] = mapped_column(String(1024))
    active: Mapped[bool] = mapped_column(default=True)
    recommendable: Mapped[bool] = mapped_column(default=True)  # false: postage, fees, vouchers
    attributes: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(BigInteger, index=True)


class Order(Base):
    """A purchase or a return (negative quantities). Replaced as a whole when its content changes."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    ordered_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    channel: Mapped[str | None] = mapped_column(String(32))  # web, store, phone
    store: Mapped[str | None] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(String(3))
    total: Mapped[int] = mapped_column(BigInteger)  # sum of the lines after discount
    margin: Mapped[int | None] = mapped_column(BigInteger)  # total less cost; None when a cost is unknown
    units: Mapped[int]
    digest: Mapped[str] = mapped_column(String(32))  # of the whole content: the same order twice changes nothing
    revision: Mapped[int] = mapped_column(BigInteger, index=True)


class OrderLine(Base):
    """One item in one order."""

    __tablename__ = "order_lines"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    quantity: Mapped[int]  # negative: returned
    unit_price: Mapped[int] = mapped_column(BigInteger)
    unit_cost: Mapped[int | None] = mapped_column(BigInteger)  # at the time of the order
    discount: Mapped[int] = mapped_column(BigInteger, default=0)  # of the whole line
    revision: Mapped[int] = mapped_column(BigInteger, index=True)


class Event(Base):
    """A thing that happened; append-only, unique by `key`."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)  # OWN_KEYS: not from outside
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"))
    visitor: Mapped[str | None] = mapped_column(String(64), index=True)
    type: Mapped[str] = mapped_column(String(64))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id"))
    value: Mapped[int | None] = mapped_column(BigInteger)  # amount, if the event has one
    origin: Mapped[str | None] = mapped_column(String(32))  # web, store, call, survey, campaign ...
    properties: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    revision: Mapped[int] = mapped_column(BigInteger, index=True)
    __table_args__ = (Index("ix_events_contact_id_occurred_at", "contact_id", "occurred_at"),)


class ContactList(Base):
    """Saved criteria (dynamic) or the people they found on a day (frozen)."""

    __tablename__ = "lists"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    criteria: Mapped[dict[str, Any]] = mapped_column(Json)
    frozen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: dynamic
    size: Mapped[int | None]  # people at the last count
    counted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=1)  # counts edits; a writer with an old one gets a Conflict
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # undo within 30 days


class ListMember(Base):
    """A contact on a frozen list."""

    __tablename__ = "list_members"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True, index=True)


class ListVersion(Base):
    """A list as it was saved, criteria and name: every change of them, with who made it."""

    __tablename__ = "list_versions"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)  # of the list, by this change
    name: Mapped[str] = mapped_column(String(128))
    criteria: Mapped[dict[str, Any]] = mapped_column(Json)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(String(128), default="")  # their name; "": not known


class ListPick(Base):
    """A contact put on a list by hand, or taken off it, whatever its criteria say."""

    __tablename__ = "list_picks"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True, index=True)
    added: Mapped[bool]  # false: taken off
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(String(128), default="")


class ListState(Base):
    """Who was on a dynamic list when the tick last looked: how many, found by what, in which data. The people are the
    list's blocks.
    """

    __tablename__ = "list_states"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    rules: Mapped[str] = mapped_column(String(32))  # digest of the criteria of all lists that decide
    data: Mapped[str] = mapped_column(String(32))  # digest of the warehouse's files; "": not everybody is told of yet
    size: Mapped[int]
    looked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    turn: Mapped[int] = mapped_column(default=0)  # counts what was written; of several who look at once one writes


class ListBlock(Base):
    """Which of the contacts block * 65,536 ... + 65,535 are on a list: a bit each, packed by zlib."""

    __tablename__ = "list_blocks"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    block: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bits: Mapped[bytes]


class ListDay(Base):
    """How a dynamic list stood at the end of a day of the shop, and who came and went on it."""

    __tablename__ = "list_days"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    size: Mapped[int]
    joined: Mapped[int] = mapped_column(default=0)
    left: Mapped[int] = mapped_column(default=0)


class Form(Base):
    """Questions that people answer at a public address (engine.sources.questions), and what becomes of the answers."""

    __tablename__ = "forms"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(32), unique=True)  # in the public address
    name: Mapped[str] = mapped_column(String(128))
    origin: Mapped[str] = mapped_column(String(32))  # of contacts it finds: web, survey
    definition: Mapped[dict[str, Any]] = mapped_column(Json)
    version: Mapped[int] = mapped_column(default=1)  # counts edits; a writer with an old one gets a Conflict
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: takes answers


class Flyer(Base):
    """A printed code and where it leads."""

    __tablename__ = "flyers"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)  # as printed, in capitals
    name: Mapped[str] = mapped_column(String(128))
    target: Mapped[str] = mapped_column(String(1024))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: leads to its target


class Import(Base):
    """One run of intake over a file: what came, what was refused and where the refused rows are."""

    __tablename__ = "imports"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    file_name: Mapped[str] = mapped_column(String(255))
    encoding: Mapped[str] = mapped_column(String(16), default="utf-8")  # how the text was read; parquet
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rows: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    repeated: Mapped[int] = mapped_column(default=0)  # left out: equal in every column to another line of the order
    rejects_file: Mapped[str | None] = mapped_column(String(255))  # name within the workspace's rejects folder
    error: Mapped[str | None] = mapped_column(Text)
    undo_started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone: Mapped[list[Any] | None] = mapped_column(Json)  # [table, what, reason, how many] of what the undo did


class ImportChange(Base):
    """What one transaction of an import did to one table, for its undo (engine.intake.journal)."""

    __tablename__ = "import_changes"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), index=True)
    table_name: Mapped[str] = mapped_column(String(64))
    how: Mapped[str] = mapped_column(String(8))  # created, changed, replaced
    count: Mapped[int]
    revision: Mapped[int] = mapped_column(BigInteger)  # of the rows when they were written
    undo_revision: Mapped[int | None] = mapped_column(BigInteger)  # of the transaction that took it back
    rows: Mapped[bytes]
