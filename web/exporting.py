"""Downloads of CSV; a list as one, for the page and the API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flask import Response, stream_with_context

from engine import lists
from web.services import services


def csv_response(list_id: int, now: datetime) -> Response:
    """A list as a streamed download."""
    return streamed(f"list-{list_id}.csv", _pieces(list_id, now))


def streamed(name: str, pieces: Iterator[str]) -> Response:
    """Pieces of CSV (engine.export.lines) as a download."""
    first = next(pieces)  # a fault of what is written is an error, not half a file

    def stream() -> Iterator[str]:
        yield first
        yield from pieces

    headers = {"Content-Disposition": f"attachment; filename={name}", "X-Accel-Buffering": "no"}
    return Response(stream_with_context(stream()), mimetype="text/csv", headers=headers)


def _pieces(list_id: int, now: datetime) -> Iterator[str]:
    with services().database.read() as session:
        yield from lists.export_csv(session, services().warehouse, list_id, now)
