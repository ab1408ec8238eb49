"""Records of an API call: parsed and written within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Final

from sqlalchemy.orm import Session

from engine.config import Config
from engine.errors import Invalid, TooLarge
from engine.intake import values
from engine.intake.bulk import Counts
from engine.intake.kinds import OPEN_LIMIT, Kind, kind
from engine.intake.parsing import Batch, Reject, parse
from engine.intake.values import Rules
from engine.intake.writers import WRITERS, events
from engine.intake.writers.context import Context

LINES: Final = 10  # of an order on average; a million lines took 1.5 GB and 14 s
ORDER_LINES: Final = 10_000


@dataclass(frozen=True)
class Accepted:
    """What a call did; `rejected` names records by their position from 0, each once."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: list[Reject] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """Records that were read and wait to be written, by a `write` that may be done anew."""

    kind: Kind
    prepared: Any  # what the kind's writer takes; None: nothing to write
    context: Context
    rejected: list[Reject]
    replaced: int

    @property
    def keys(self) -> list[str]:
        """Of the good records, as they are written."""
        return self.prepared.columns["key"] if self.prepared is not None else []

    def told(self, counts: Counts) -> Accepted:
        """What is answered when this was done."""
        return Accepted(counts.created, counts.updated, counts.unchanged + self.replaced, self.rejected)


def accept(session: Session, kind_name: str, records: Sequence[Mapping[str, Any]], **how: Any) -> Accepted:
    """`read` and write within one transaction."""
    return write(session, [read(kind_name, records, **how)])[0]


def write(session: Session, calls: Sequence[Call]) -> list[Accepted]:
    """Write what is good in each call. Events of several are written as one: a statement costs nearly as much for 500
    of them as for 4,000.
    """
    counts = dict.fromkeys(range(len(calls)), Counts())
    alike: dict[Any, list[int]] = {}
    for place, call in enumerate(calls):
        if call.prepared is not None:
            joins = call.kind.name == "events"
            alike.setdefault(("events", call.context.origin) if joins else place, []).append(place)
    for places in alike.values():
        first, *others = (calls[place] for place in places)
        if others:
            some = events.write_all(session, [first.prepared, *(call.prepared for call in others)], first.context)
        else:
            some = [WRITERS[first.kind.name].write(session, first.prepared, first.context)]
        counts.update(zip(places, some, strict=True))
    return [call.told(counts[place]) for place, call in enumerate(calls)]


def read(
    kind_name: str,
    records: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    config: Config,
    origin: str = "api",
    refuse_all: bool = False,
    own: bool = False,
) -> Call:
    """Read records; good ones will be written and bad ones named, or with `refuse_all` nothing is written then.

    An order is one record with `lines`; the shop's own fields stand in an object `attributes` or `properties`. A field
    that is not named stays as it is known, null takes it back. `own` records are ours, and may bear keys of our own.
    Raises TooLarge for more records than config.intake.max_request_rows.
    """
    wanted = kind(kind_name)
    if len(records) > config.intake.max_request_rows:
        raise TooLarge(f"One call may carry {config.intake.max_request_rows} {wanted.name}; send them in parts.")
    table = _Table(wanted, records)
    if len(table.places) > config.intake.max_request_rows * LINES:
        raise TooLarge(f"One call may carry {config.intake.max_request_rows * LINES} lines; send them in parts.")
    parsed = parse(wanted, range(len(table.places)), table.columns(), Rules.of(config, now, own=own), clear="null")
    batch, replaced = table.keep_whole(parsed.batch, parsed.rejects)
    prepared, wrong = WRITERS[wanted.name].prepare(batch, config.locale.currency)
    rejected = table.located([*parsed.rejects, *wrong])
    if not len(batch) or (refuse_all and rejected):
        prepared, replaced = None, 0
    return Call(wanted, prepared, Context(now, config.locale.currency, origin, "api"), rejected, replaced)


class _Table:
    """Records of one call as columns of cells; an order gives one row for each of its lines."""

    def __init__(self, wanted: Kind, records: Sequence[Any]) -> None:
        """What is no record is rejected here."""
        self._kind = wanted
        self._faults = self._find_faults(records)
        self._records = [(place, record) for place, record in enumerate(records) if place not in self._faults]
        self.places: list[tuple[int, int | None]]  # of each row: which record, which of its lines
        if wanted.gathers:
            self.places = [(place, line) for place, record in self._records for line in range(len(record["lines"]))]
        else:
            self.places = [(place, None) for place, _ in self._records]

    def columns(self) -> dict[str, list[Any]]:
        """Cells by column; empty where a record does not name it, and where a required one is in no record."""
        heads = [record for _, record in self._records]
        cells = {column.name: [""] * len(self.places) for column in self._kind.columns if column.required}
        if self._kind.gathers:
            lines = list(chain.from_iterable(record["lines"] for record in heads))
            heads = list(chain.from_iterable([record] * len(record["lines"]) for record in heads))
            cells |= _cells(lines)
        cells |= _cells(heads, leave_out=("lines" if self._kind.gathers else None, self._kind.open))
        if self._kind.open:
            own = [record.get(self._kind.open) or {} for record in heads]
            cells |= {f"{self._kind.open}.{name}": column for name, column in _cells(own).items()}
        return cells

    def keep_whole(self, batch: Batch, rejects: Iterable[Reject]) -> tuple[Batch, int]:
        """Rows sorted by key, without orders of which a line is bad, or that a later record of the call replaces;
        and how many records were replaced.
        """
        keys = batch.columns[self._kind.key]
        kept = range(len(batch))
        replaced: set[int] = set()
        if self._kind.gathers:
            bad = {self.places[reject.row][0] for reject in rejects}
            records = [self.places[row][0] for row in batch.rows]
            last = {key: record for key, record in zip(keys, records, strict=True) if record not in bad}
            replaced = {record for key, record in zip(keys, records, strict=True) if last.get(key, record) != record}
            kept = [place for place in kept if records[place] not in bad | replaced]  # type: ignore[assignment]
        order = sorted(kept, key=lambda place: keys[place])
        columns = {name: [column[place] for place in order] for name, column in batch.columns.items()}
        return Batch([batch.rows[place] for place in order], columns), len(replaced)

    def located(self, rejects: Iterable[Reject]) -> list[Reject]:
        """One reject for each record, in their order, with the path of the field."""
        found = {row: Reject(row, fault.field, fault.message) for row, fault in self._faults.items()}
        for reject in rejects:
            position, line = self.places[reject.row]
            column = self._kind.column(reject.field) if reject.field else None
            path = f"lines[{line}].{reject.field}" if column and column.in_line and line is not None else reject.field
            found.setdefault(position, Reject(position, path, reject.message))
        return [found[position] for position in sorted(found)]

    def _find_faults(self, records: Sequence[Any]) -> dict[int, Invalid]:
        """What is no record, by its position: all are looked at together, and each only when one is none."""
        found: dict[int, Invalid] = {}
        try:
            self._check(records)
        except Invalid:
            for place, record in enumerate(records):
                try:
                    self._check([record])
                except Invalid as error:
                    found[place] = error
        own = self._own([record for place, record in enumerate(records) if place not in found])
        if len(own) > OPEN_LIMIT:
            raise Invalid(f"One call may name at most {OPEN_LIMIT} {self._kind.open}.", field=self._kind.open)
        return found

    def _check(self, records: Sequence[Any]) -> None:
        """Raise Invalid for what is no object, and for a field that nobody knows."""
        self._check_names(records, in_line=False)
        for name in self._own(records):
            if self._kind.column(f"{self._kind.open}.{name}") is None:
                raise self._kind.unknown(f"{self._kind.open}.{name}")
        if not self._kind.gathers:
            return
        for record in records:
            lines = record.get("lines")
            if not isinstance(lines, list) or not lines:
                raise Invalid("is missing; an order has at least one line.", field="lines")
            if len(lines) > ORDER_LINES:
                raise Invalid(f"An order has at most {ORDER_LINES} lines.", field="lines")
        self._check_names(list(chain.from_iterable(record["lines"] for record in records)), in_line=True)

    def _check_names(self, records: Sequence[Any], *, in_line: bool) -> None:
        for name in _names(records):
            column = self._kind.column(name)
            held = not in_line and name == ("lines" if self._kind.gathers else self._kind.open)
            if not held and (column is None or column.in_line != in_line):
                raise self._kind.unknown(name)

    def _own(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Names of the shop's own fields."""
        name = self._kind.open
        if name is None:
            return []
        return _names([given for record in records if (given := record.get(name)) is not None], name)


def _names(records: Sequence[Any], field: str | None = None) -> list[str]:
    """The names in all records, each once; raises Invalid for what is no object."""
    for record in records:
        if not isinstance(record, dict):
            raise Invalid(f"{values.show(record)} is not an object.", field=field)
    return list(dict.fromkeys(chain.from_iterable(records)))


def _cells(records: Sequence[Mapping[str, Any]], leave_out: Sequence[str | None] = ()) -> dict[str, list[Any]]:
    """Columns of the names in `records`."""
    names = dict.fromkeys(chain.from_iterable(records))
    return {name: [record.get(name, "") for record in records] for name in names if name not in leave_out}
