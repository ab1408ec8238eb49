"""Where people and data come from: forms, flyers, imports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime


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
