"""What one shop's criteria may name: the common fields and events, its own attributes and event types, its lists.

The shop's own names are looked up in the warehouse when they are first needed, and again when a name is not
found: twenty million events take 0.4 s to go through, once for each copy and not for each keystroke.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import fields
from engine.database import EPOCH
from engine.errors import Invalid, nearest
from engine.fields import Behaviour, Field
from engine.models import ContactList, ListMember
from engine.values import Clock

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

NAME_LIMIT: Final = 128
OPTION_LIMIT: Final = 200

OPEN: Final = {"attributes": "contacts", "properties": "events"}  # JSON columns and the tables they are in


@ibis.udf.scalar.builtin(name="json_keys", signature=(("string",), "array<string>"))  # type: ignore[untyped-decorator]
def _json_keys(text: Any) -> Any:
    """DuckDB's function."""


@dataclass(frozen=True)
class Found:
    """The shop's own names: {"attributes.size": type}, {(event type, "properties.colour"): type}, event types."""

    as_of: datetime | None
    attributes: Mapping[str, str]
    properties: Mapping[tuple[str, str], str]
    events: frozenset[str]


class Catalogue:
    """All names, for one session. `warehouse` None: the shop's own names are believed unseen, as when criteria are
    saved before any data has come; whoever evaluates them later looks closely.
    """

    def __init__(self, session: Session, warehouse: Warehouse | None, zone: ZoneInfo, currency: str) -> None:
        self.zone, self.currency = zone, currency
        self._session, self._warehouse = session, warehouse

    def field(self, key: str) -> Field:
        """A field of contacts; raises Invalid that names the nearest."""
        if key in fields.FIELDS:
            return fields.FIELDS[key]
        return self._open(key, "attributes", lambda found: found.attributes, fields.FIELDS)

    def row_field(self, behaviour: Behaviour, key: str) -> Field:
        """A field of the rows of `behaviour`, for conditions and measures."""
        common = fields.ROW_FIELDS[behaviour.rows]
        if key in common:
            return common[key]
        prefix = "properties" if behaviour.rows == "events" else ""
        return self._open(key, prefix, lambda found: _of_event(found, behaviour.key), common)

    def behaviour(self, key: str) -> Behaviour:
        """What people do; raises Invalid that names the nearest."""
        if key in fields.BEHAVIOURS:
            return fields.BEHAVIOURS[key]
        if self._known(key, lambda found: found.events) and _is_name(key):
            return fields.other_behaviour(key)
        known = {*fields.BEHAVIOURS, *(self.found().events if self._warehouse else ())}
        raise Invalid(f"No event '{key[:80]}' has come in.{nearest(key[:80], known)}")

    def contact_list(self, list_id: int) -> ContactList:
        """A list that is not deleted."""
        found = self._session.get(ContactList, list_id)
        if found is None or found.deleted_at is not None:
            raise Invalid(f"There is no list {list_id}; it may have been deleted.")
        return found

    def members(self, list_id: int) -> pa.Table:
        """The contact ids of a frozen list, one column."""
        query = select(ListMember.contact_id).where(ListMember.list_id == list_id)
        rows = self._session.execute(query, execution_options={"yield_per": 100_000})
        batches = [pa.array([row[0] for row in part], pa.int64()) for part in rows.partitions()]
        return pa.table({"contact_id": pa.chunked_array(batches, pa.int64())})

    def fields(self) -> Iterator[Field]:
        """Every field of contacts, the shop's own included."""
        yield from fields.FIELDS.values()
        for key, kind in sorted(self.found().attributes.items()):
            yield fields.open_field("attributes", key.partition(".")[2], kind, "contacts")

    def behaviours(self) -> Iterator[tuple[Behaviour, Mapping[str, Field]]]:
        """Everything people do, each with the fields of its rows."""
        found = self.found()
        for row in (
            *fields.BEHAVIOURS.values(),
            *map(fields.other_behaviour, sorted(found.events - set(fields.BEHAVIOURS))),
        ):
            own = {key: fields.open_field("properties", key.partition(".")[2], kind, "events")
                   for key, kind in sorted(_of_event(found, row.key).items())}  # fmt: skip
            yield row, {**fields.ROW_FIELDS[row.rows], **own}

    def options(self, field: Field) -> list[tuple[Any, int]]:
        """The stored values of a field of contacts and how many have each, most frequent first, up to 200."""
        if not field.options or self._warehouse is None:
            return []
        rows = self._warehouse.table(field.table)
        values = rows.select(value=field.column(rows, Clock(EPOCH, self.zone))).filter(ibis._.value.notnull())
        counts = values.group_by("value").agg(n=ibis._.count()).order_by(ibis.desc("n"), "value").limit(OPTION_LIMIT)
        table = self._warehouse.execute(counts)
        return list(zip(table["value"].to_pylist(), table["n"].to_pylist(), strict=True))

    def found(self, *, at_least_as_new_as: datetime | None = None) -> Found:
        """The shop's own names, as of the last look or anew when that is older than asked for."""
        assert self._warehouse is not None
        with _LOCK:
            found = _FOUND.get(self._warehouse)
        if found is None or (at_least_as_new_as and found.as_of != at_least_as_new_as):
            found = _look(self._warehouse)
            with _LOCK:
                _FOUND[self._warehouse] = found
        return found

    def _open(self, key: str, prefix: str, names: Any, common: Mapping[str, Field]) -> Field:
        head, _, name = key.partition(".")
        if prefix and head == prefix and _is_name(name) and self._known(key, names):
            kind = names(self.found()).get(key, "text") if self._warehouse else "text"
            return fields.open_field(prefix, name, kind, OPEN[prefix])
        known = {*common, *(names(self.found()) if self._warehouse and prefix else ())}
        raise Invalid(f"Unknown field '{key[:80]}'.{nearest(key[:80], known)}")

    def _known(self, key: str, names: Any) -> bool:
        if self._warehouse is None or key in names(self.found()):
            return True
        return key in names(self.found(at_least_as_new_as=self._warehouse.as_of))


_FOUND: WeakKeyDictionary[Any, Found] = WeakKeyDictionary()
_LOCK = threading.Lock()


def open_catalogue(session: Session, warehouse: Warehouse) -> Catalogue:
    """The catalogue of a shop, for as long as `session` is open."""
    locale = warehouse.config.locale
    return Catalogue(session, warehouse, locale.zone, locale.currency)


def _of_event(found: Found, key: str) -> dict[str, str]:
    return {name: kind for (event, name), kind in found.properties.items() if event == key}


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_LIMIT and name.isprintable()


def _look(warehouse: Warehouse) -> Found:
    as_of = warehouse.as_of
    contacts, events = warehouse.table("contacts"), warehouse.table("events")
    attributes = _keys(warehouse, contacts.select("attributes", type=ibis.literal("")), "attributes")
    properties = _keys(warehouse, events.select("properties", "type"), "properties")
    types = warehouse.execute(events.select("type").distinct())["type"].to_pylist()
    return Found(
        as_of,
        {f"attributes.{name}": kind for _, name, kind in attributes},
        {(event, f"properties.{name}"): kind for event, name, kind in properties},
        frozenset(types),
    )


def _keys(warehouse: Warehouse, rows: Any, column: str) -> list[tuple[str, str, str]]:
    """(type of event, key, type of its values) for every key in a JSON column.

    A key whose every value reads as a number, a date or yes/no is one; everything else is text.
    """
    rows = rows.filter(rows[column].length() > len("{}"))
    keys = rows.select("type", text=rows[column], key=_json_keys(rows[column]).unnest())
    values = keys.select("type", "key", value=fields.json_value(keys.text, keys.key))
    values = values.filter(values.value.notnull()).select(
        "type",
        "key",
        number=ibis._.value.try_cast("float64").notnull() & ~ibis._.value.re_search("^[+]|^0[0-9]"),
        date=ibis._.value.re_search("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        yes_no=ibis._.value.isin(["true", "false"]),
    )
    kinds = ("number", "date", "yes_no")
    all_are = values.group_by("type", "key").agg(**{kind: values[kind].all() for kind in kinds})
    return [
        (row["type"], row["key"], next((kind for kind in kinds if row[kind]), "text"))
        for row in warehouse.execute(all_are).to_pylist()
    ]
