"""CSV that spreadsheets open as what it is: UTF-8 with a mark, and no cell that runs as a formula."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

MARK: Final = "\ufeff"  # without it Excel reads UTF-8 as the local code page
FORMULA: Final = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")  # OWASP, CSV injection; full-width forms work in CJK Excel
HARMLESS: Final = re.compile(r"[+-]?[0-9][0-9.,]*\Z")  # numbers, and telephone numbers in E.164
BLOCK: Final = 1_000


def lines(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """CSV (RFC 4180) in pieces of up to 1,000 rows, the first with the byte order mark and the header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write(MARK)
    writer.writerow([cell(name) for name in header])
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(value) for value in row])
        if number % BLOCK == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def cell(value: Any) -> str:
    """A value as a cell; what a spreadsheet would run gets a leading apostrophe, numbers and telephones do not."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
    return f"'{text}" if FORMULA.match(text) and not HARMLESS.match(text) else text


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
