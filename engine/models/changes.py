"""How far changes have come, and what is gone."""

from __future__ import annotations

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey


class Revision(Base):
    """SQLite's change counter, one row (PostgreSQL uses its transaction number)."""

    __tablename__ = "revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)


class Watermark(Base):
    """How far somebody who follows changes has come, by their name: a mark (engine.marks.snapshot_mark), or the
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
