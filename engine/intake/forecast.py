"""What an import would do, seen by a dry run: what changes, from what to what, and who seems to be here already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from engine import money
from engine.database import Base
from engine.identity.names import KINDS, key_of
from engine.identity.rows import among
from engine.intake import values
from engine.intake.journal import Journal
from engine.intake.kinds import Kind
from engine.models import Contact, Identity

EXAMPLES: Final = 12  # changes shown; all are counted
_ADDRESSES: Final = {"email": Contact.email, "phone": Contact.phone}


@dataclass
class Forecast:
    """Told by a dry run, a batch at a time."""

    doubles: int = 0  # records that name what another record of the file names too
    known: Counter[str] = field(default_factory=Counter)  # email, phone -> new contacts whose address is here already
    fields: Counter[str] = field(default_factory=Counter)  # field -> how many would change
    examples: list[dict[str, str]] = field(default_factory=list)  # key, field, before, after

    def look(self, session: Session, kind: Kind, keys: Sequence[str], journal: Journal) -> None:
        """Take in what a transaction did that will be taken back."""
        if not kind.gathers:
            self.doubles += len(keys) - len(set(keys))
        changes = journal.changes.get(kind.name, {})
        self.fields.update(name for row in changes.values() for name in row)
        self._show(session, kind, changes)
        new = journal.ids.get("contacts", set())
        self._name(session, journal.ids.get("identities", set()), new)
        if kind.name == "contacts":
            self._match(session, new)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it; fields by how many change."""
        return {
            "doubles": self.doubles,
            "known": dict(self.known),
            "fields": dict(self.fields.most_common()),
            "examples": self.examples,
        }

    def _show(self, session: Session, kind: Kind, changes: Mapping[int, Mapping[str, Any]]) -> None:
        some = [row_id for row_id, _ in zip(changes, range(EXAMPLES - len(self.examples)), strict=False)]
        table = Base.metadata.tables[kind.name]
        named = select(table.c.id, table.c.key).where(table.c.id.in_(among(session, some)))
        for row_id, key in session.execute(named.order_by(table.c.id)) if some else ():
            for name, (before, after) in sorted(changes[row_id].items()):
                was, will = _word(kind, name, before), _word(kind, name, after)
                self.examples.append({"key": key, "field": name, "before": was, "after": will})
        del self.examples[EXAMPLES:]

    def _name(self, session: Session, given: set[int], new: set[int]) -> None:
        """Cards and addresses by which contacts who are here will be known."""
        if not given:
            return
        of_some = Identity.id.in_(among(session, given)), Identity.contact_id.not_in(among(session, new))
        rows = select(Contact.key, Identity.kind, Identity.value).join(Contact).where(*of_some).order_by(Identity.id)
        found = [row for row in session.execute(rows) if row.kind in KINDS and key_of(row.kind, row.value) != row.key]
        self.fields.update(row.kind for row in found)
        self.examples += [{"key": row.key, "field": row.kind, "before": "", "after": row.value} for row in found]
        del self.examples[EXAMPLES:]

    def _match(self, session: Session, new: set[int]) -> None:
        other, ids = aliased(Contact), among(session, new)
        for name, address in _ADDRESSES.items():
            same = exists().where(getattr(other, name) == address, other.id.not_in(ids))
            found = select(func.count()).where(Contact.id.in_(ids), address.is_not(None), same)
            self.known[name] += session.scalar(found) or 0


def _word(kind: Kind, name: str, value: Any) -> str:
    """A value for people; nothing for none."""
    if value is None:
        return ""
    column = kind.column(name)
    return str(money.to_decimal(value)) if column is not None and column.type is values.MONEY else str(value)[:80]
