"""The shop's own database: what it sells, who shops there, and its orders. Rapport never reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from engine.database import Database, UtcDateTime

metadata = MetaData()

ITEMS: Final = Table(
    "items",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("category", String(200), nullable=False),  # a path: Kitchen > Tea making > Teapots
    Column("brand", String(100), nullable=False),
    Column("price", Integer, nullable=False),  # ten-thousandths of the currency unit
    Column("stock", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("sold", Integer, nullable=False),  # units, lately
    Column("listed", UtcDateTime, nullable=False),
)
PEOPLE: Final = Table(
    "people",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("email", String(254), unique=True, nullable=False),
    Column("first_name", String(100), nullable=False),
    Column("last_name", String(100), nullable=False),
    Column("about", Text, nullable=False),  # on the page where one becomes somebody; "" for most
)
ORDERS: Final = Table(
    "orders",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("person", String(32), nullable=False),
    Column("lines", JSON, nullable=False),  # item, quantity, unit_price and discount of the line (ten-thousandths)
    Column("total", Integer, nullable=False),
    Column("consent", Boolean, nullable=False),  # to mail
    Column("visitor", String(64), nullable=False),  # the snippet's name of the browser; "" for none
    Column("told_at", UtcDateTime, index=True),  # when Rapport knew
    Column("refused", Text),  # why it never will
)


@dataclass(frozen=True)
class Person:
    """Somebody who shops here."""

    key: str
    email: str
    first_name: str
    last_name: str
    about: str = ""


class SoldOut(Exception):
    """There is less of an item than was wanted."""

    def __init__(self, key: str, left: int) -> None:
        super().__init__(f"{left} of {key} left")
        self.key, self.left = key, left


def prepare(database: Database) -> None:
    """Make the tables that are not there."""
    metadata.create_all(database.engine)


def stock_of(session: Session, keys: Sequence[str]) -> dict[str, int]:
    """Units at hand."""
    return dict(session.execute(select(ITEMS.c.key, ITEMS.c.stock).where(ITEMS.c.key.in_(keys))).all())


def person(session: Session, key: str) -> Person | None:
    """By number."""
    return _person(session, PEOPLE.c.key == key)


def person_of(session: Session, email: str) -> Person | None:
    """By e-mail address in lower case."""
    return _person(session, PEOPLE.c.email == email)


def _person(session: Session, condition: Any) -> Person | None:
    row = session.execute(select(PEOPLE).where(condition)).one_or_none()
    return Person(**row._mapping) if row else None


def faces(session: Session) -> list[Person]:
    """Those one can be on the demo's page for it."""
    rows = session.execute(select(PEOPLE).where(PEOPLE.c.about != "").order_by(PEOPLE.c.about, PEOPLE.c.key))
    return [Person(**row._mapping) for row in rows]


def add_person(session: Session, new: Person) -> None:
    """Somebody new."""
    session.execute(insert(PEOPLE).values(vars(new)))


def place(
    session: Session,
    key: str,
    who: str,
    lines: Sequence[Mapping[str, Any]],
    *,
    at: datetime,
    consent: bool,
    visitor: str,
) -> None:
    """Take an order and what it takes from the shelves; raises SoldOut. The same key again changes nothing."""
    if order(session, key) is not None:
        return
    for line in lines:
        enough = ITEMS.c.key == line["item"], ITEMS.c.active, ITEMS.c.stock >= line["quantity"]
        taken = session.execute(update(ITEMS).where(*enough).values(stock=ITEMS.c.stock - line["quantity"]))
        if taken.rowcount != 1:  # type: ignore[attr-defined]
            raise SoldOut(line["item"], stock_of(session, [line["item"]]).get(line["item"], 0))
    total = sum(line["quantity"] * line["unit_price"] - line.get("discount", 0) for line in lines)
    values = {"key": key, "at": at, "person": who, "lines": list(lines), "total": total, "consent": consent}
    session.execute(insert(ORDERS).values(values | {"visitor": visitor}))


def order(session: Session, key: str) -> RowMapping | None:
    """By number."""
    return session.execute(select(ORDERS).where(ORDERS.c.key == key)).mappings().one_or_none()


def untold(session: Session, limit: int = 20) -> list[RowMapping]:
    """Orders that Rapport does not know yet, oldest first."""
    waiting = ORDERS.c.told_at.is_(None), ORDERS.c.refused.is_(None)
    return list(session.execute(select(ORDERS).where(*waiting).order_by(ORDERS.c.at).limit(limit)).mappings())


def settle(session: Session, key: str, **values: Any) -> None:
    """Note what became of telling an order."""
    session.execute(update(ORDERS).where(ORDERS.c.key == key).values(values))
