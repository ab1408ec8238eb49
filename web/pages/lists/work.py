"""Which opened page writes: its drafts are its own, however many pages of one list are open."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

ID: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Work:
    """One opened page, and the draft it went on from: that draft's work and moment."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    came_from: str = ""
    since: datetime | None = None

    @property
    def token(self) -> str:
        """For the form."""
        return f"{self.id} {self.came_from} {self.since.isoformat()}" if self.since else self.id

    @staticmethod
    def read(token: str) -> Work:
        """What a form holds; another page when it holds nothing of ours."""
        work, _, came = token.partition(" ")
        if not ID.fullmatch(work):
            return Work()
        came_from, _, moment = came.partition(" ")
        with suppress(ValueError):
            since = datetime.fromisoformat(moment)
            if since.tzinfo and ID.fullmatch(came_from):
                return Work(work, came_from, since)
        return Work(work)
