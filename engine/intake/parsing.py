"""Cells of many records become columns of values, column at a time; what cannot be read becomes rejects."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress
from math import isnan
from types import NoneType
from typing import Any, Final, Literal

from engine.errors import Invalid
from engine.identity.names import KINDS as NAMES
from engine.intake.kinds import Column, Kind
from engine.intake.values import Rules
from engine.models import OWN_KEYS

Faults = dict[int, list[tuple[str, str]]]  # position in the batch -> (field, message), in the order of the columns

Clear = Literal["never", "null", "empty"]  # missing cells that take back what is known: none, JSON's null, all
CLEARS: Final = "clears"  # the column that names what a record takes back: ",city,phone,"
_CLEARED: Final = object()  # such a cell, until the names are gathered

_JSON: Final = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class Reject:
    """A record that was not taken: its line in the file (or position in the call, from 0), the field, the reason."""

    row: int
    field: str | None
    message: str


@dataclass(frozen=True)
class Batch:
    """Parsed records, column by column; all lists are of one length. A column that nobody gave is absent."""

    rows: list[int]
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, name: str) -> list[Any]:
        """A column; all None when absent."""
        return self.columns.get(name) or [None] * len(self.rows)

    def different(self) -> Batch:
        """Without the records that are equal in every column to an earlier one."""
        first: dict[tuple[Any, ...], int] = {}
        for position, record in enumerate(zip(*self.columns.values(), strict=True)):
            first.setdefault(record, position)
        if len(first) == len(self):
            return self
        columns = {name: [column[place] for place in first.values()] for name, column in self.columns.items()}
        return Batch([self.rows[place] for place in first.values()], columns)


@dataclass(frozen=True)
class Parsed:
    """What came of a batch of cells; `keys` of refused records, where they could be read, with the first row."""

    batch: Batch
    rejects: list[Reject]
    keys: dict[str, int]


def parse(
    kind: Kind,
    rows: Sequence[int],
    cells: Mapping[str, Sequence[Any]],
    rules: Rules,
    *,
    clear: Clear = "never",
) -> Parsed:
    """Read columns of cells, named by our columns."""
    faults: Faults = {}
    columns: dict[str, list[Any]] = {}
    for name, given in cells.items():
        column = kind.column(name)
        if column is None:
            raise kind.unknown(name)
        read = _reader(column, rules, clear if kind.clears(column) else "never")
        columns[name] = _column(column, given, read, faults)
    if kind.one_of:
        _require_one(kind.one_of, columns, len(rows), faults)
    _gather_own_fields(kind, columns, len(rows))
    if clear != "never":
        _gather_clears(columns)
    if kind.name == "events":
        columns["key"] = _event_keys(columns, len(rows))
    return _split(kind, list(rows), columns, faults)


def mark(names: Collection[str]) -> str | None:
    """Names as the column CLEARS holds them; None for none."""
    return f",{','.join(sorted(names))}," if names else None


def marked(names: str | None) -> set[str]:
    """What `mark` wrote."""
    return set((names or "").strip(",").split(",")) - {""}


def _column(column: Column, cells: Sequence[Any], read: Callable[[Any], Any], faults: Faults) -> list[Any]:
    """Values of one column. Each different cell is read once: prices, dates and items repeat."""
    if _are_comparable(cells):
        known, wrong = _read_each(set(cells), read)
        keys: Iterable[Any] = cells
    else:
        known, wrong = _read_each(range(len(cells)), lambda position: read(cells[position]))
        keys = range(len(cells))
    if wrong:
        for position, key in enumerate(keys):
            if key in wrong:
                faults.setdefault(position, []).append((column.name, wrong[key]))
    return [known[key] for key in keys]


def _are_comparable(cells: Iterable[Any]) -> bool:
    """Equal cells mean the same: none is a list or an object, and they do not hold 1, 1.0 and True together."""
    kinds = set(map(type, cells))
    return kinds.isdisjoint((list, dict)) and len(kinds - {str, NoneType}) <= 1


def _read_each(keys: Iterable[Any], read: Callable[[Any], Any]) -> tuple[dict[Any, Any], dict[Any, str]]:
    known: dict[Any, Any] = {}
    wrong: dict[Any, str] = {}
    for key in keys:
        try:
            known[key] = read(key)
        except Invalid as error:
            known[key], wrong[key] = None, error.message
    return known, wrong


def _reader(column: Column, rules: Rules, clear: Clear) -> Callable[[Any], Any]:
    def read(cell: Any) -> Any:
        if not _is_missing(cell):
            return column.type.parse(cell, rules)
        if column.required:
            raise Invalid("is missing.")
        return _CLEARED if clear == "empty" or (clear == "null" and cell is None) else None

    return read


def _is_missing(cell: Any) -> bool:
    return not cell.strip() if isinstance(cell, str) else cell is None or (isinstance(cell, float) and isnan(cell))


def _require_one(names: Sequence[str], columns: Mapping[str, list[Any]], count: int, faults: Faults) -> None:
    given = [columns[name] for name in names if name in columns]
    present = [any(value is not None for value in row) for row in zip(*given, strict=True)] or [False] * count
    for position in compress(range(count), (not there for there in present)):
        if position not in faults:
            faults[position] = [(names[0], f"is missing, and so is {' and '.join(names[1:])}; give one of them.")]


def _gather_own_fields(kind: Kind, columns: dict[str, list[Any]], count: int) -> None:
    """attributes.a, attributes.b ... -> one column of JSON texts; None where nothing was given."""
    if kind.open is None:
        return
    prefix = f"{kind.open}."
    own = sorted(name for name in columns if name.startswith(prefix))
    if not own:
        return
    members = [_members(name.removeprefix(prefix), columns.pop(name)) for name in own]
    rows = (list(filter(None, row)) for row in zip(*members, strict=True))
    columns[kind.open] = [f"{{{', '.join(row)}}}" if row else None for row in rows]


def _members(name: str, cells: Sequence[Any]) -> list[str | None]:
    """Values of one own field as members of a JSON text, None where nothing was given. Of a field that is taken back
    the value is null (RFC 7396, JSON merge patch).
    """
    label = _JSON.encode(name)
    plain = (tuple(cell) if isinstance(cell, list) else cell for cell in cells)
    keys = [(type(cell), cell) for cell in plain]  # 1, 1.0 and True are different words
    known = {
        key: f"{label}: {_JSON.encode(None if key[1] is _CLEARED else key[1])}"
        for key in set(keys)
        if key[1] is not None
    }
    return [known.get(key) for key in keys]


def _gather_clears(columns: dict[str, list[Any]]) -> None:
    names = [name for name, column in columns.items() if _CLEARED in column]
    if not names:
        return
    rows = zip(*(columns[name] for name in names), strict=True)
    columns[CLEARS] = [
        mark([name for name, value in zip(names, row, strict=True) if value is _CLEARED]) for row in rows
    ]
    for name in names:
        columns[name] = [None if value is _CLEARED else value for value in columns[name]]


def _event_keys(columns: Mapping[str, list[Any]], count: int) -> list[str]:
    """An event without a key is named by its content: sent twice, it is one event."""
    content = ("type", "at", "contact", "visitor", "item", "value", "origin", "properties")
    nothing = [None] * count
    rows = zip(*(columns.get(name, nothing) for name in content), strict=True)
    names = zip(*(columns.get(name, nothing) for name in NAMES), strict=True)
    keys = columns.get("key", nothing)
    return [
        key or OWN_KEYS + blake2b(repr(row + _given(who)).encode("utf-8", "replace"), digest_size=16).hexdigest()
        for key, row, who in zip(keys, rows, names, strict=True)
    ]


def _given(names: Sequence[str | None]) -> tuple[str, ...]:
    """How somebody is named beside a customer number; nothing for records from before one could be."""
    return tuple(f"{kind} {value}" for kind, value in zip(NAMES, names, strict=True) if value is not None)


def _split(kind: Kind, rows: list[int], columns: dict[str, list[Any]], faults: Faults) -> Parsed:
    if not faults:
        return Parsed(Batch(rows, columns), [], {})
    good = [position not in faults for position in range(len(rows))]
    batch = Batch(list(compress(rows, good)), {name: list(compress(column, good)) for name, column in columns.items()})
    rejects = [_reject(rows[position], faults[position]) for position in sorted(faults)]
    named = columns.get(kind.key) or [None] * len(rows)
    keys = {named[position]: rows[position] for position in sorted(faults, reverse=True) if named[position] is not None}
    return Parsed(batch, rejects, keys)


def _reject(row: int, faults: Sequence[tuple[str, str]]) -> Reject:
    (field, message), *others = faults
    return Reject(row, field, " ".join([message, *(f"Also {name}: {words}" for name, words in others)]))
