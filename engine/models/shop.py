"""What is offered, what was bought and what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime

# Keys of events that begin so are made by us. Intake refuses them: who may write events could otherwise take the key
# of an open or an opt-out before it happens, and it would never be noted.
OWN_KEYS = "rapport:"


def _known(name: str, *columns: str) -> Index:
    """An index of the rows whose first column is known."""
    known = text(f"{columns[0]} IS NOT NULL")
    return Index(name, *columns, sqlite_where=known, postgresql_where=known)


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
    visitor: Mapped[str | None] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(64))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id"))
    value: Mapped[int | None] = mapped_column(BigInteger)  # amount, if the event has one
    origin: Mapped[str | None] = mapped_column(String(32))  # web, store, call, survey, campaign ...
    properties: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    revision: Mapped[int] = mapped_column(BigInteger, index=True)
    # Without the events of nobody, and those without a visitor: a file of 20 million events is 7 % smaller.
    __table_args__ = (
        _known("ix_events_contact_id_occurred_at", "contact_id", "occurred_at"),
        _known("ix_events_visitor", "visitor"),
    )
