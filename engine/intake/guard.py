"""How cells stand in a rejects file: no cell runs as a formula, and every one is read back as it was."""

from __future__ import annotations

from typing import Any, Final

from engine.export import cell

COLUMNS: Final = ("line", "field", "message")  # before the source's own; a header that begins so is a rejects file's


def guarded(value: Any) -> str:
    """A value as a cell of an export; an apostrophe of its own that looks like the guard's gets one more before it, so
    that `bare` takes away what was added and nothing else.
    """
    return f"'{value}" if isinstance(value, str) and _is_guarded(value) else cell(value)


def bare(text: str) -> str:
    """What `guarded` made this cell of."""
    return text[1:] if _is_guarded(text) else text


def _is_guarded(text: str) -> bool:
    within = text.lstrip("'")
    return within != text and cell(within) != within
