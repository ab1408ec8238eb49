"""What one shop's criteria may name: the common fields and events, its own attributes and event types, its lists.

The shop's own names are looked up in the warehouse, part by part. What a part names never changes, so only parts
that are new since the last look are read: of 4 M events and 600,000 contacts all take 0.9 s, those of a refresh
0.05 s, and none are new 0.2 ms (a busy machine).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pyarrow as pa
from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from engine import dialect, fields
from engine.database import EPOCH
from engine.errors import Invalid, nearest
from engine.fields import Behaviour, Field
from engine.kept import kept
from engine.models import ContactList, Item, ListMember, ListPick
from engine.values import Clock
from engine.warehouse.reader import listed, written
from engine.warehouse.tables import PART

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

NAME_LIMIT: Final = 128
OPTION_LIMIT: Final = 200
OFFERED: Final = 200  # own names of each kind to choose from, the most frequent; the others can be typed

NEW: Final = "new rows"  # those of parts that nobody has looked at yet
OPEN: Final = {"attributes": "contacts", "properties": "events"}  # JSON columns and the tables they are in


@ibis.udf.scalar.builtin(name="json_keys", signature=(("string",), "array<string>"))  # type: ignore[untyped-decorator]
def json_keys(text: Any) -> Any:
    """DuckDB's function."""


@dataclass(frozen=True)
class Found:
    """The shop's own names in one table, most frequent first: by type of event ("" of contacts) those of the JSON
    column with their types, {"properties.colour": type}, and how many events of each type there are.
    """

    open: Mapping[str, Mapping[str, str]]
    events: Mapping[str, int]


class Catalogue:
    """All names, for one session. `warehouse` None: the shop's own names are believed unseen, as when criteria are
    saved before any data has come; whoever evaluates them later looks closely.
    """

    def __init__(self, session: Session, warehouse: Warehouse | None, zone: ZoneInfo, currency: str) -> None:
        self.zone, self.currency = zone, currency
        self._session, self._warehouse = session, warehouse
        self._found: dict[str, Found] = {}

    @property
    def session(self) -> Session:
        """Where the shop's own things are looked up."""
        return self._session

    @property
    def warehouse(self) -> Warehouse | None:
        """What criteria are asked of; None when they are only saved."""
        return self._warehouse

    def field(self, key: str) -> Field:
        """A field of contacts; raises Invalid that names the nearest."""
        return self._named(fields.FIELDS.get(key)) or self._open(key, "attributes", "", fields.FIELDS)

    def row_field(self, behaviour: Behaviour, key: str) -> Field:
        """A field of the rows of `behaviour`, for conditions and measures."""
        common = fields.ROW_FIELDS[behaviour.rows]
        prefix = "properties" if behaviour.rows in fields.OPEN_ROWS else ""
        row = self._named(common.get(key)) or self._open(key, prefix, behaviour.key, common)
        return fields.in_currency(row, self.currency) if behaviour.rows in fields.IN_CURRENCY else row

    def behaviour(self, key: str) -> Behaviour:
        """What people do; raises Invalid that names the nearest."""
        if key in fields.BEHAVIOURS:
            return fields.BEHAVIOURS[key]
        if self._known(key, "events") and _is_name(key):
            return fields.other_behaviour(key)
        known = {*fields.BEHAVIOURS, *self._offered("events")}
        raise Invalid(f"No event '{key[:80]}' has come in.{nearest(key[:80], known)}")

    def titles(self, keys: Sequence[str]) -> Mapping[str, str]:
        """What items are called, by number; those that are gone, or have no title, are left out."""
        query = select(Item.key, Item.title).where(Item.key.in_(keys))
        return {key: title for key, title in self._session.execute(query) if title}

    def contact_list(self, list_id: int) -> ContactList:
        """A list that is not deleted."""
        found = self._session.get(ContactList, list_id)
        if found is None or found.deleted_at is not None:
            raise Invalid(f"There is no list {list_id}; it may have been deleted.")
        return found

    def members(self, list_id: int) -> pa.Table:
        """The contact ids of a frozen list, one column; those picked by hand are heeded."""
        # As one text: 500,000 members are read in 0.08 s, row by row in 2 s, and each count while typing reads them.
        ids = func.aggregate_strings(cast(ListMember.contact_id, Text), ",")
        text = self._session.scalar(select(ids).where(ListMember.list_id == list_id))
        kept = np.fromstring(text or "", np.int64, sep=",")
        added, removed = (picks["contact_id"].to_numpy() for picks in self.picks(list_id))
        if len(added) or len(removed):
            kept = np.setdiff1d(np.union1d(kept, added), removed, assume_unique=True)
        return pa.table({"contact_id": kept})

    def picks(self, list_id: int) -> tuple[pa.Table, pa.Table]:
        """The contact ids that somebody put on a list by hand, and those taken off it; one column each."""
        picks = select(ListPick.contact_id, ListPick.added).where(ListPick.list_id == list_id)
        rows = self._session.execute(picks).all()
        found = ([row.contact_id for row in rows if row.added is kind] for kind in (True, False))
        added, removed = (pa.table({"contact_id": pa.array(ids, pa.int64())}) for ids in found)
        return added, removed

    def fields(self) -> Iterator[Field]:
        """Fields of contacts to choose from: all common ones, the shop's own up to OFFERED."""
        yield from fields.FIELDS.values()
        for key in sorted(self._offered("attributes")):
            yield self.field(key)

    def behaviours(self) -> Iterator[Behaviour]:
        """What people do, to choose from: all that have words, the shop's own event types up to OFFERED."""
        yield from fields.BEHAVIOURS.values()
        yield from map(fields.other_behaviour, sorted(set(self._offered("events")) - set(fields.BEHAVIOURS)))

    def row_fields(self, behaviour: Behaviour) -> Iterator[Field]:
        """Fields of the rows of `behaviour` to choose from: all common ones, the shop's own up to OFFERED."""
        yield from fields.ROW_FIELDS[behaviour.rows].values()
        if behaviour.rows in fields.OPEN_ROWS:
            for key in sorted(self._offered("properties", behaviour.key)):
                yield self.row_field(behaviour, key)

    def more(self, kind: str, event: str = "", *, words: str = "", limit: int = 20) -> list[str]:
        """Names of a kind ("events", "attributes", "properties") beyond those to choose from, most frequent first;
        `words`: those that hold this.
        """
        rest = islice(self.own(kind, event), OFFERED, None) if self._warehouse else iter(())
        part = words.casefold()
        return list(islice((name for name in rest if part in name.removeprefix(f"{kind}.").casefold()), limit))

    def options(self, field: Field) -> list[tuple[Any, int]]:
        """The stored values of a field of contacts and how many have each, most frequent first, up to 200."""
        if not field.options or self._warehouse is None:
            return []
        clock = Clock(EPOCH, self.zone)
        rows = fields.source(self._warehouse, field.table, clock)
        values = rows.select(value=field.column(rows, clock)).filter(ibis._.value.notnull())
        counts = values.group_by("value").agg(n=ibis._.count()).order_by(ibis.desc("n"), "value").limit(OPTION_LIMIT)
        table = self._kept(field.key, counts)
        return list(zip(table["value"].to_pylist(), table["n"].to_pylist(), strict=True))

    def _kept(self, key: str, expression: ibis.Table) -> pa.Table:
        """What is found in the tables as they are, once for all pages that show it."""
        assert self._warehouse is not None
        warehouse = self._warehouse
        read = sorted({table.name for table in expression.op().find(ibis.expr.operations.UnboundTable)})
        states = tuple(warehouse.parts(name) for name in read)
        return kept(warehouse).get(("options", key, states), lambda: warehouse.execute(expression))

    def own(self, kind: str, event: str = "", *, again: bool = False) -> Mapping[str, Any]:
        """The shop's own names of a kind: "attributes", "properties" (of an event) or "events"; as they were when they
        were first asked for, or are now (`again`).
        """
        assert self._warehouse is not None
        table = OPEN.get(kind, kind)
        if again or table not in self._found:
            self._found[table] = _look(self._warehouse, table)
        found = self._found[table]
        return found.events if kind == "events" else found.open.get(event, {})

    def _named(self, row: Field | None) -> Field | None:
        return replace(row, named=row.names(self._session)) if row and row.names else row

    def _open(self, key: str, prefix: str, event: str, common: Mapping[str, Field]) -> Field:
        head, _, name = key.partition(".")
        if prefix and head == prefix and _is_name(name) and self._known(key, prefix, event):
            names = self.own(prefix, event) if self._warehouse else {}
            return fields.open_field(prefix, name, names.get(key, "text"), OPEN[prefix])
        known = {*common, *(self._offered(prefix, event) if prefix else ())}
        raise Invalid(f"Unknown field '{key[:80]}'.{nearest(key[:80], known)}")

    def _offered(self, kind: str, event: str = "") -> list[str]:
        return list(islice(self.own(kind, event), OFFERED)) if self._warehouse else []

    def _known(self, key: str, kind: str, event: str = "") -> bool:
        if self._warehouse is None or key in self.own(kind, event):
            return True
        return key in self.own(kind, event, again=True)


def open_catalogue(session: Session, warehouse: Warehouse) -> Catalogue:
    """The catalogue of a shop, for as long as `session` is open."""
    locale = warehouse.config.locale
    return Catalogue(session, warehouse, locale.zone, locale.currency)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_LIMIT and name.isprintable()


Names = dict[tuple[str, str], tuple[int, int]]  # (type of event, key): how many, what all of them can be read as
KINDS: Final = {"number": 1, "date": 2, "yes_no": 4, "choices": 8}  # bits; with none of them it is text


@dataclass
class _Looked:
    """What each part of a table names, and all of them together. The key "" is the event itself."""

    parts: dict[str, Names] = field(default_factory=dict)
    found: Found | None = None


_LOOKED: WeakKeyDictionary[Any, dict[str, _Looked]] = WeakKeyDictionary()
_LOCK = threading.Lock()  # whoever comes while another looks waits for what that one finds


def _look(warehouse: Warehouse, table: str) -> Found:
    """All names in a table as they are now; only parts that are not known yet are read."""
    with _LOCK:
        looked = _LOOKED.setdefault(warehouse, {}).setdefault(table, _Looked())
        parts = warehouse.parts(table)
        if looked.found is None or parts != looked.parts.keys():
            new = [part for part in parts if part not in looked.parts]
            known = looked.parts | (_read(warehouse, table, new) if new else {})
            looked.parts = {part: known.get(part, {}) for part in parts}
            looked.found = _together(table, looked.parts.values())
        return looked.found


def _together(table: str, parts: Iterable[Names]) -> Found:
    prefix = next(kind for kind, known in OPEN.items() if known == table)
    found: dict[str, dict[str, str]] = {}
    events = {}
    for (event, name), (count, kinds) in _sum(parts).items():
        if name:
            found.setdefault(event, {})[f"{prefix}.{name}"] = _kind(kinds)
        else:
            events[event] = count
    return Found(found, events)


def _sum(parts: Iterable[Names]) -> Names:
    """Most frequent first; names that are as frequent in their order."""
    total: Names = {}
    for names in parts:
        for key, (count, kinds) in names.items():
            before, all_kinds = total.get(key, (0, sum(KINDS.values())))
            total[key] = (before + count, all_kinds & kinds)
    return dict(sorted(total.items(), key=lambda row: (-row[1][0], row[0])))


def _kind(kinds: int) -> str:
    return next((kind for kind, bit in KINDS.items() if kinds & bit), "text")


def _read(warehouse: Warehouse, table: str, parts: list[str]) -> dict[str, Names]:
    """By part every key in the JSON column of a table, and of events how many there are of each type."""
    found: dict[str, Names] = {}
    for row in filter(lambda row: _is_name(row["key"]), _asked(warehouse, _reading(), table, parts)):
        kinds = sum(bit for kind, bit in KINDS.items() if row[kind])
        found.setdefault(row[PART], {})[row["type"], row["key"]] = (row["count"], kinds)
    if table == "events":
        for row in filter(lambda row: _is_name(row["type"]), _asked(warehouse, _counting(), table, parts)):
            found.setdefault(row[PART], {})[row["type"], ""] = (row["count"], 0)
    return found


def _asked(warehouse: Warehouse, sql: str, table: str, parts: list[str]) -> list[dict[str, Any]]:
    """Rows of SQL over NEW: the JSON column of some parts of a table, and the type of an event."""
    kind, text = ("type", "properties") if table == "events" else ("''", "attributes")
    new = f"SELECT {PART}, {kind} AS type, {text} AS text FROM {table} WHERE {PART} IN ({listed(parts)})"
    asking = f'WITH "{NEW}" AS NOT MATERIALIZED ({new}) SELECT * FROM ({sql})'
    found: list[dict[str, Any]] = warehouse.query(asking).to_pylist()
    return found


def _new() -> ibis.Table:
    return ibis.table({PART: "string", "type": "string", "text": "string"}, name=NEW)


@cache
def _counting() -> str:
    """SQL of how many rows of each type there are; Ibis takes longer to write this and the next than they run."""
    return written(_new().group_by(PART, "type").agg(count=ibis._.count()))[0]


@cache
def _reading() -> str:
    """SQL of every key, and what its values can be read as. A key whose every value reads as a number, a date, yes/no
    or an array is one; everything else is text.
    """
    rows = _new().filter(ibis._.text.length() > len("{}"))
    keys = rows.select(PART, "type", "text", key=json_keys(rows.text).unnest())
    values = keys.select(PART, "type", "key", value=dialect.json_value(keys.text, keys.key))
    values = values.filter(values.value.notnull()).select(
        PART,
        "type",
        "key",
        number=fields.READINGS["number"](values.value).notnull() & ~ibis._.value.re_search("^[+]|^0[0-9]"),
        date=ibis._.value.re_search("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        yes_no=ibis._.value.isin(["true", "false"]),
        choices=ibis._.value.startswith("["),
    )
    counted = values.group_by(PART, "type", "key")
    return written(counted.agg(count=values.count(), **{kind: values[kind].all() for kind in KINDS}))[0]
