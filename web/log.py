"""Logging: words on a terminal, one JSON object a line elsewhere; no address, no name, no token of a person.

A request is logged by its route, never by its path, which may hold a public link's token.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from apiflask import APIFlask
from flask import Response, g, request

from engine.config import Log
from web.security import request_id

# What other libraries say below these levels is of no use to whoever runs Rapport; APScheduler warns of every beat
# that fell together with a long tick, which is meant to be so.
CHATTY = {
    "alembic": logging.WARNING,
    "apscheduler": logging.ERROR,
    "granian": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "werkzeug": logging.WARNING,
}

log = structlog.get_logger(__name__)

# Line breaks and other control letters of somebody's input must not begin a line of the log.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure(settings: Log) -> None:
    """Set up structlog and the standard library's logging alike."""
    words = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    plain = structlog.dev.plain_traceback  # the rich one prints local variables, with addresses and secrets
    last: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=plain) if words else structlog.processors.JSONRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(words), last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name, least in CHATTY.items():
        logging.getLogger(name).setLevel(max(level, least))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _ending(words: bool) -> list[Any]:
    """What comes before the renderer: the console's own prints tracebacks itself."""
    return [_one_line] if words else [structlog.processors.format_exc_info, _one_line]


def register(app: APIFlask) -> None:
    """Log each request with its id, which the answer carries as X-Request-Id."""

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request_id())

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id()
        took = round((time.perf_counter() - g.started) * 1000, 1) if "started" in g else None
        route = request.url_rule.rule if request.url_rule else "none"
        quiet = response.status_code < 400 and request.endpoint in {"static_file", "health"}
        (log.debug if quiet else log.info)(
            "request", method=request.method, route=route, status=response.status_code, ms=took
        )
        return response


def _one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = value.translate(_CONTROLS)
    return event
