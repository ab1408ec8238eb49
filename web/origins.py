"""Origins of web pages as browsers say them: scheme, host and port, nothing else (RFC 6454)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from engine.errors import Invalid

MOST: Final = 20
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})  # a developer's own machine needs no TLS
PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"\[[0-9a-f:.]+\]|(?!-)[a-z0-9-]{1,63}(?:\.(?!-)[a-z0-9-]{1,63})*")


def read(given: Sequence[str]) -> list[str]:
    """The origins as browsers write them, each once; raises Invalid with the remedy."""
    found = list(dict.fromkeys(one(text.strip()) for text in given if text.strip()))
    if not found:
        raise Invalid("Name at least one origin, such as https://shop.example.", field="origins")
    if len(found) > MOST:
        raise Invalid(f"A key works on at most {MOST} origins; make another one for the rest.", field="origins")
    return found


def one(text: str) -> str:
    """One origin in lower case, without the port that goes without saying."""
    if not text.isascii():  # what Python makes of ß is another domain (IDNA 2003) than what browsers do
        raise _refused(text, "has letters beyond ASCII: write what location.origin says there, https://xn--...")
    try:
        address = urlsplit(text)
        port = address.port
    except ValueError:
        raise _refused(text, "is no address") from None
    host = address.netloc.rpartition("@")[2].removesuffix(f":{port}").lower()
    if "*" in text:
        raise _refused(text, "has a wildcard: name each origin")
    if address.scheme not in PORTS or not _HOST.fullmatch(host) or "@" in address.netloc:
        raise _refused(text, "is no origin: write https://, the host, and a port where there is one")
    if address.path not in ("", "/") or address.query or address.fragment or text.endswith(("?", "#")):
        raise _refused(text, "has a path: an origin ends after host and port")
    if address.scheme == "http" and host not in LOCAL:
        raise _refused(text, "is not encrypted: write https://; http:// is for localhost alone")
    beside = "" if port in (None, PORTS[address.scheme]) else f":{port}"
    return f"{address.scheme}://{host}{beside}"


def _refused(text: str, why: str) -> Invalid:
    return Invalid(f"'{text[:100]}' {why}.", field="origins")
