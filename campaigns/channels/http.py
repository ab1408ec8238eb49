"""One HTTP/1.1 connection that is kept open, calls `crossing()` just before the request and never follows a redirect.

Client libraries hide the point of no return, retry by themselves or wait for ever; this one does neither.
"""

from __future__ import annotations

import http.client
import select
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message as Headers
from typing import Final
from urllib.parse import urlsplit

from campaigns.channels.base import Crossing, Silence, TransportError
from engine.errors import ConfigError

_MAX_ANSWER: Final = 65_536
_MAX_RETRY_AFTER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is cut at 64 KiB."""

    status: int
    headers: Headers
    body: bytes


class HttpConnection:
    """A connection to `host` (a base address such as https://api.example.com)."""

    def __init__(self, host: str, timeout: float) -> None:
        parts = urlsplit(host)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ConfigError(f"{host!r} is no address of an HTTP API: use https://name.")
        self._prefix = parts.path.rstrip("/")
        if parts.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def post(self, path: str, headers: Mapping[str, str], body: bytes, crossing: Crossing) -> Answer:
        """POST and read the answer. Raises TransportError when no connection comes about and Silence when none comes
        back; a status of 500 or more says nothing about what happened to the request, so it is Silence too.
        """
        self._connect()
        crossing()
        try:
            self._connection.request("POST", self._prefix + path, body=body, headers=dict(headers))
            response = self._connection.getresponse()
            answer = Answer(response.status, response.headers, response.read(_MAX_ANSWER))
            if not response.isclosed():
                self.close()  # more than we want to read: the rest must not be taken for the next answer
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Silence(f"No answer to the request: {error!r}") from error
        if answer.status >= 500 or answer.status in (408, 499):
            raise Silence(f"HTTP {answer.status}: {words(answer.body)}")
        return answer

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _connect(self) -> None:
        """Make sure that the connection is open; one that the far end closed while it was idle is readable."""
        socket = self._connection.sock
        if socket is not None and select.select([socket], [], [], 0)[0]:
            self._connection.close()
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except ssl.SSLCertVerificationError as error:
                raise TransportError(f"{self._connection.host}: {error}", concerns="account") from error
            except (OSError, http.client.HTTPException) as error:
                raise TransportError(
                    f"{self._connection.host} does not answer: {error}", concerns="transport"
                ) from error


def common_refusal(answer: Answer) -> TransportError | None:
    """What every HTTP carrier means alike: slow down, wrong key, wrong address; None for the rest."""
    text = f"HTTP {answer.status}: {words(answer.body)}"
    if answer.status == 429:
        return TransportError(text, retry_after=retry_after(answer.headers), concerns="transport")
    if answer.status in (401, 403, 404, 405) or 300 <= answer.status < 400:
        return TransportError(text, concerns="account")
    return None


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait, from Retry-After (seconds) or X-RateLimit-Reset (a Unix time); bounded by an hour."""
    for name, since in (("Retry-After", 0.0), ("X-RateLimit-Reset", time.time())):
        try:
            return min(max(float(headers[name]) - since, 0.0), _MAX_RETRY_AFTER)
        except (TypeError, ValueError):
            continue
    return None


def words(body: bytes) -> str:
    """An answer's body as one line for the ledger."""
    return " ".join(body.decode("utf-8", "replace").split())[:200]
