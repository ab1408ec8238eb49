"""What the storefront needs to know: where it is, where Rapport is, and the keys a shop would hold."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "STOREFRONT_SETTINGS"  # of the environment: path of the file
FILE: Final = "storefront.json"
STORE: Final = "storefront.db"


@dataclass(frozen=True)
class Settings:
    """One shop."""

    folder: str  # of its own database
    url: str  # http://127.0.0.1:8001, as browsers reach it
    rapport: str  # http://127.0.0.1:8000
    name: str
    currency: str
    key: str  # of the API, secret
    browser_key: str  # public, bound to `url`
    site: str  # of the snippet
    secret: str  # signs who somebody is
    cookie_key: str  # signs cookies

    @property
    def store(self) -> str:
        """Address of the database."""
        return f"sqlite:///{Path(self.folder) / STORE}"

    def write(self, path: Path) -> None:
        """Keep them, readable by their owner only."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read(path: Path) -> Settings:
    """What was written."""
    return Settings(**json.loads(path.read_text(encoding="utf-8")))


def address(folder: Path) -> str | None:
    """Where the storefront of this workspace is; None where there is none, as everywhere but in the demo."""
    path = folder / FILE
    return read(path).url if path.is_file() else None
