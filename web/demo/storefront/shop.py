"""What a view works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flask import current_app
from flask import session as cookie

from engine.database import Database
from web.demo.storefront.rapport import Teller
from web.demo.storefront.sets import Sets
from web.demo.storefront.settings import Settings
from web.demo.storefront.shelves import Shelves

EXTENSION: Final = "storefront"


@dataclass(frozen=True)
class Shop:
    """One per process."""

    settings: Settings
    database: Database
    shelves: Shelves
    teller: Teller
    sets: Sets

    def close(self) -> None:
        """Give the database back."""
        self.database.close()


def shop() -> Shop:
    """The shop of the running app."""
    found: Shop = current_app.extensions[EXTENSION]
    return found


def later(*call: Any) -> None:
    """A call of the snippet that the next page makes: what a form did is told by the page that follows it."""
    cookie["later"] = [*cookie.get("later", []), call][-10:]


def note(words: str, **link: str) -> None:
    """A line that the next page shows; `link`: its address and words."""
    cookie["note"] = {"words": words, **link}
