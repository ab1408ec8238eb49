"""The people on a list as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import ibis
import pyarrow as pa
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import export, money
from engine.catalogue import json_keys
from engine.lists.people import Ids, among, member_ids, parts
from engine.models import Contact

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

COLUMNS: Final = (
    "key", "email", "phone", "first_name", "last_name", "birth_date", "age", "income", "education", "household_size",
    "household", "account", "country", "region", "city", "postcode", "language", "origin",
    "email_consent", "sms_consent",
)  # fmt: skip


def export_csv(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> Iterator[str]:
    """The people on a list as CSV, in pieces; the columns are those that intake reads, of the shop's own those that
    somebody on the list has. Cells that a spreadsheet would run are made harmless. The list is looked up at once, so
    that a wrong one is an error and not half a file.
    """
    ids = member_ids(session, warehouse, list_id, now)
    own = _own(warehouse, ids)
    return export.lines((*COLUMNS, *(f"attributes.{name}" for name in own)), _rows(session, ids, own))


def _own(warehouse: Warehouse, ids: Ids) -> list[str]:
    """The names of the attributes that these contacts have, in order."""
    contacts = warehouse.table("contacts")
    theirs = contacts.filter(contacts.attributes.length() > len("{}"))
    members = ibis.memtable(pa.table({"member": ids}))
    theirs = theirs.semi_join(members, theirs.id == members.member)
    names = theirs.select(name=json_keys(theirs.attributes).unnest()).distinct()
    return sorted(name for name in warehouse.execute(names)["name"].to_pylist() if name.isprintable())


def _rows(session: Session, ids: Ids, own: Sequence[str]) -> Iterator[list[Any]]:
    income = COLUMNS.index("income")
    columns = [getattr(Contact, name) for name in COLUMNS]
    for part in parts(ids):
        query = select(*columns, Contact.attributes).where(Contact.id.in_(among(session, part))).order_by(Contact.id)
        for *row, attributes in session.execute(query):
            row[income] = None if row[income] is None else money.to_decimal(row[income])
            yield row + [attributes.get(name) for name in own]
