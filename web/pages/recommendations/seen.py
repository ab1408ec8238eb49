"""What an editor of a placement or bundle began from: it travels in the form, so that what somebody else saved since is
not written over unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flask import request

OVERWRITE: Final = "overwrite"
SAVES: Final = ("save", OVERWRITE)


class Overtaken(NamedTuple):
    """What somebody else saved since an editor began. theirs: the whole of it, as `written`; changes: each setting, its
    value now and when the editor began, as far as that can be told.
    """

    theirs: str
    changes: list[tuple[str, str, str]]


def saves() -> bool:
    """Whether somebody wants to save what they typed, be it over what is there."""
    return request.form.get("act") in SAVES


def written(state: Mapping[str, Any]) -> str:
    """A state as it travels in the form."""
    return json.dumps(state, separators=(",", ":"))


def kept(state: Mapping[str, Any] | None) -> str:
    """What the page gives its form: what it began from, at first the saved `state` (None: nothing is saved)."""
    if request.method == "POST":
        return request.form.get("seen", "")
    return "" if state is None else written(state)


def began() -> dict[str, Any] | None:
    """What the editor began from, or was told of and saves over; {}: it cannot be read; None: the form does not say."""
    text = request.form.get("theirs" if request.form.get("act") == OVERWRITE else "seen")
    if not text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
