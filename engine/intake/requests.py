"""Records of an API call: parsed and written within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from engine.config import Config
from engine.errors import Invalid, TooLarge
from engine.intake import values
from engine.intake.bulk import Counts
from engine.intake.kinds import OPEN_LIMIT, Kind, kind
from engine.intake.parsing import Batch, Reject, parse
from engine.intake.values import Rules
from engine.intake.writers import WRITERS
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


def accept(
    session: Session,
    kind_name: str,
    records: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    config: Config,
    origin: str = "api",
    refuse_all: bool = False,
) -> Accepted:
    """Take records in; good ones are written and bad ones named, or with `refuse_all` nothing is written then.

    An order is one record with `lines`; the shop's own fields stand in an object `attributes` or `properties`. A field
    that is not named stays as it is known, null takes it back.
    Raises TooLarge for more records than config.intake.max_request_rows.
    """
    wanted = kind(kind_name)
    if len(records) > config.intake.max_request_rows:
        raise TooLarge(f"One call may carry {config.intake.max_request_rows} {wanted.name}; send them in parts.")
    table = _Table(wanted)
    for position, record in enumerate(records):
        table.add(position, record)
        if len(table.places) > config.intake.max_request_rows * LINES:
            raise TooLarge(f"One call may carry {config.intake.max_request_rows * LINES} lines; send them in parts.")
    parsed = parse(
        wanted, range(len(table.places)), table.columns(), Rules.of(config, now), repeats=False, clear="null"
    )
    batch, replaced = table.keep_whole(parsed.batch, parsed.rejects)
    prepared, wrong = WRITERS[wanted.name].prepare(batch, config.locale.currency)
    rejected = table.located([*parsed.rejects, *wrong])
    if not len(batch) or (refuse_all and rejected):
        return Accepted(rejected=rejected)
    counts = WRITERS[wanted.name].write(session, prepared, Context(now, config.locale.currency, origin, "api"))
    counts += Counts(unchanged=replaced)
    return Accepted(counts.created, counts.updated, counts.unchanged, rejected)


class _Table:
    """Records of one call as columns of cells; an order gives one row for each of its lines."""

    def __init__(self, wanted: Kind) -> None:
        self._kind = wanted
        self._rows: list[dict[str, Any]] = []
        self._rejects: list[Reject] = []
        self._names: dict[str, None] = {column.name: None for column in wanted.columns if column.required}
        self.places: list[tuple[int, int | None]] = []  # of each row: which record, which of its lines

    def add(self, position: int, record: Any) -> None:
        """Take a record apart; what is no record is rejected here."""
        try:
            rows = self._lines(record) if self._kind.gathers else [(None, self._flat(record, in_line=False))]
        except Invalid as error:
            self._rejects.append(Reject(position, error.field, error.message))
            return
        for line, row in rows:
            self._rows.append(row)
            self.places.append((position, line))
            self._names |= dict.fromkeys(row)
        if sum("." in name for name in self._names) > OPEN_LIMIT:
            raise Invalid(f"One call may name at most {OPEN_LIMIT} {self._kind.open}.", field=self._kind.open)

    def columns(self) -> dict[str, list[Any]]:
        """Cells by column; empty where a record does not name it."""
        return {name: [row.get(name, "") for row in self._rows] for name in self._names}

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
        found = {reject.row: reject for reject in self._rejects}
        for reject in rejects:
            position, line = self.places[reject.row]
            column = self._kind.column(reject.field) if reject.field else None
            path = f"lines[{line}].{reject.field}" if column and column.in_line and line is not None else reject.field
            found.setdefault(position, Reject(position, path, reject.message))
        return [found[position] for position in sorted(found)]

    def _lines(self, record: Any) -> list[tuple[int | None, dict[str, Any]]]:
        head = self._flat(record, in_line=False)
        lines = record.get("lines")
        if not isinstance(lines, Sequence) or isinstance(lines, str) or not lines:
            raise Invalid("is missing; an order has at least one line.", field="lines")
        if len(lines) > ORDER_LINES:
            raise Invalid(f"An order has at most {ORDER_LINES} lines.", field="lines")
        return [(number, head | self._flat(line, in_line=True)) for number, line in enumerate(lines)]

    def _flat(self, record: Any, *, in_line: bool) -> dict[str, Any]:
        """A record's fields with the shop's own ones spread out; raises Invalid for a field nobody knows."""
        if not isinstance(record, Mapping):
            raise Invalid(f"{values.show(record)} is not an object.")
        flat: dict[str, Any] = {}
        for name, value in record.items():
            if name == self._kind.open:
                flat |= self._own(value)
            elif (column := self._kind.column(name)) is not None and column.in_line == in_line:
                flat[name] = value
            elif not (name == "lines" and self._kind.gathers and not in_line):
                raise self._kind.unknown(name)
        return flat

    def _own(self, given: Any) -> dict[str, Any]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise Invalid(f"{values.show(given)} is not an object.", field=self._kind.open)
        own = {f"{self._kind.open}.{name}": value for name, value in given.items()}
        for name in own:
            if self._kind.column(name) is None:
                raise self._kind.unknown(name)
        return own
