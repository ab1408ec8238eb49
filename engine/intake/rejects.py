"""The rejects file: line, field and reason beside the original cells, to be mended and imported again."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.export import MARK
from engine.intake.guard import COLUMNS, bare, guarded
from engine.intake.parsing import Reject
from engine.intake.sources import Source


def file_name(number: int | None, name: str) -> str:
    """Name within the rejects folder: of import `number`, or of a dry run."""
    stem = re.sub(r"[^\w.-]+", "_", name.removesuffix(".gz").removesuffix(".csv"))[:80]
    return f"{number or 'dry-run'}-{stem}.csv"


def write(path: Path, source: Source, rejects: Iterator[Reject]) -> None:
    """Read the source once more and keep the rejected lines; a line that is no record has no cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    reject = next(rejects, None)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(MARK)
        writer = csv.writer(file)
        writer.writerow(map(guarded, [*COLUMNS, *source.header]))
        for chunk, _done in source.chunks():
            cells = dict(zip(chunk.lines, chunk.records, strict=True))
            last = max([*chunk.lines[-1:], *(broken.row for broken in chunk.broken)], default=0)
            while reject is not None and reject.row <= last:
                writer.writerow(_row(reject, cells.get(reject.row, ())))
                reject = next(rejects, None)


def first(path: Path, count: int) -> list[dict[str, str]]:
    """line, field and message of the first refused records: by their place, as the source may have such columns too.

    Raises FileNotFoundError.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = islice(csv.reader(file), 1, count + 1)
        return [dict(zip(COLUMNS, map(bare, row), strict=False)) for row in rows]


def _row(reject: Reject, cells: Sequence[Any]) -> list[str]:
    return [guarded(value) for value in (reject.row, reject.field, reject.message, *cells)]
