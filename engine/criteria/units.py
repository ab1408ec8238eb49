"""What criteria are asked of: contacts, or households and accounts. A unit is its member with the lowest id: it stands
on the list, and what all members did counts as its own. Whoever has no household or account is a unit alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import ibis

CONTACT: Final = "contact"
UNITS: Final = (CONTACT, "household", "account")  # the others are columns of contacts


def base(warehouse: Any, unit: str) -> Any:
    """The contacts that stand for a unit each: all columns."""
    contacts = warehouse.table("contacts")
    if unit == CONTACT:
        return contacts
    owners = Together(warehouse, unit).owners
    first = owners.filter(owners.member_id == owners.owner_id).select("owner_id")
    return contacts.semi_join(first, contacts.id == first.owner_id)


@dataclass(frozen=True)
class Together:
    """A warehouse where everything that a member did is the unit's."""

    warehouse: Any
    unit: str

    @cached_property
    def owners(self) -> Any:
        """member_id of every contact, owner_id of the one that stands for the unit."""
        contacts = self.warehouse.table("contacts")
        name = contacts[self.unit]
        lowest = contacts.id.min().over(ibis.window(group_by=name))
        return contacts.select(member_id=contacts.id, owner_id=ibis.ifelse(name.notnull(), lowest, contacts.id))

    def table(self, name: str) -> Any:
        """A table of the warehouse; its contact_id is the unit's."""
        rows = self.warehouse.table(name)
        if "contact_id" not in rows.columns:
            return rows
        owned = rows.inner_join(self.owners, rows.contact_id == self.owners.member_id)
        columns = [column for column in rows.columns if column != "contact_id"]
        return owned.select(*columns, contact_id=owned.owner_id)

    def any_member(self, rows: Any) -> Any:
        """(contact_id, value): is `value` of contacts true of any member? NULL where it is of all."""
        owned = rows.inner_join(self.owners, rows.contact_id == self.owners.member_id)
        return owned.group_by(contact_id=owned.owner_id).agg(value=owned.value.cast("int8").max() == 1)
