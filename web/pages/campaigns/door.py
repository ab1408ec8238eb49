"""The addresses of campaigns, and what a process remembers for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from flask import Blueprint, current_app

T = TypeVar("T")

blueprint = Blueprint("campaigns", __name__, url_prefix="/campaigns")

KEPT: Final = timedelta(minutes=5)
MOST: Final = 1_000
MEMORY: Final = "rapport.campaigns"


def recall(key: Hashable, now: datetime) -> Any | None:
    """What was remembered under `key` in the last five minutes."""
    value, until = _memory().get(key, (None, now))
    return value if until > now else None


def remember(key: Hashable, now: datetime, make: Callable[[], T]) -> T:
    """The value under `key`: known, or made now. Figures that cost a tenth of a second and change rarely; the key
    must name everything they depend on but the passing of a few minutes.
    """
    known: T | None = recall(key, now)
    if known is not None:
        return known
    return keep(key, now, make())


def keep(key: Hashable, now: datetime, value: T) -> T:
    """Remember `value` for five minutes."""
    memory = _memory()
    for old in [old for old, (_, until) in list(memory.items()) if until <= now]:
        memory.pop(old, None)  # another request may be at it, too
    if len(memory) >= MOST:
        memory.clear()
    memory[key] = value, now + KEPT
    return value


def _memory() -> dict[Hashable, tuple[Any, datetime]]:
    found: dict[Hashable, tuple[Any, datetime]] = current_app.extensions.setdefault(MEMORY, {})
    return found
