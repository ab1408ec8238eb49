"""One at a time: short answers of pure computing, which threads of one process only take from each other.

Python computes in one thread at once. Eight that want to hand its lock to each other at every touch of the database,
and on a machine with idle cores each hand-over wakes one: 2.5 times the CPU of an answer (docs/why.md).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from apiflask import APIFlask

PATHS: Final = frozenset({"/api/v1/recommendations"})
PATIENCE: Final = 0.25  # seconds: whoever waits longer goes beside, for somebody may be held up by the database
LARGEST: Final = 2**16  # bytes of a body that is read before; larger ones go beside


def register(app: APIFlask) -> None:
    """Put the lane before `app`."""
    app.wsgi_app = one_at_a_time(app.wsgi_app, PATHS)  # type: ignore[method-assign, assignment]


def one_at_a_time(application: WSGIApplication, paths: Collection[str]) -> WSGIApplication:
    """The application, whose `paths` are answered one after the other. A body is read before its turn, so that nobody
    waits for who sends slowly.
    """
    turn = threading.Lock()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        if environ.get("PATH_INFO") not in paths or not length.isdecimal() or int(length) > LARGEST:
            return application(environ, start_response)
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(length)))
        waited = turn.acquire(timeout=PATIENCE)
        try:
            return application(environ, start_response)
        finally:
            if waited:
                turn.release()

    return answer
