"""What browsers report: a page that broke its content policy.

Anybody can post here, so nothing of it goes into the log but the rule's name and the host that was kept out, and that
only now and then.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from apiflask import APIFlask
from flask import request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter

from web.security import public

LARGEST: Final = 16 * 2**10  # bytes of a report; they name a page, a file and a rule
LINES, SECONDS = 10, 60  # of the log, in so many seconds, of one process; all reports are counted

CSP_REPORTS = Counter("rapport_csp_reports_total", "Reports of the browser that a page broke its content policy")

_DIRECTIVE: Final = re.compile(r"[a-z-]{1,40}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9.:_-]{1,253}", re.ASCII)

log = structlog.get_logger(__name__)


class Allowance:
    """So many times in so many seconds; `clock` gives seconds."""

    def __init__(self, times: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._times, self._seconds, self._clock = times, seconds, clock
        self._began, self._used = clock(), 0
        self._lock = Lock()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        with self._lock:
            if self._clock() - self._began >= self._seconds:
                self._began, self._used = self._clock(), 0
            self._used += 1
            return self._used <= self._times


def register(app: APIFlask) -> None:
    """Add the address that the policy names."""
    allowance = Allowance(LINES, SECONDS)

    @public
    def csp_report() -> ResponseReturnValue:
        request.max_content_length = LARGEST
        body = request.get_data(cache=False)
        CSP_REPORTS.inc()
        if allowance.take():
            directive, blocked = read(body)
            log.warning("content policy broken", directive=directive, blocked=blocked)
        return "", 204

    app.add_url_rule("/csp-report", "csp_report", csp_report, methods=["POST"])


def read(body: bytes) -> tuple[str, str]:
    """The rule that was broken and what was kept out, a host or a word such as `inline`; else "unknown"."""
    try:
        given: Any = json.loads(body)
        report = given["csp-report"]
        directive, blocked = report.get("effective-directive", ""), report.get("blocked-uri", "")
        host = urlsplit(blocked).hostname or blocked
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "unknown", "unknown"
    return _plain(_DIRECTIVE, directive), _plain(_HOST, host)


def _plain(shape: re.Pattern[str], given: Any) -> str:
    return given if isinstance(given, str) and shape.fullmatch(given) else "unknown"
