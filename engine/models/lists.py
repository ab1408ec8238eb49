"""Lists: their criteria, who is on them and who was."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime


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
