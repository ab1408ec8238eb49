"""What all pages of saved lists share: their address, lists in words, and who is at work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from flask import Blueprint, g
from flask_babel import get_locale
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from engine import criteria
from engine.catalogue import Catalogue
from engine.errors import Invalid
from engine.models import ContactList
from web.services import services

blueprint = Blueprint("lists", "web.pages.lists", url_prefix="/lists")

PAGE: Final = 50


class Reader(Catalogue):
    """Reads criteria for their words alone: who is on a frozen list, or picked by hand, is not fetched."""

    def members(self, list_id: int) -> pa.Table:
        """Nobody."""
        return pa.table({"contact_id": pa.array([], pa.int64())})

    def picks(self, list_id: int) -> tuple[pa.Table, pa.Table]:
        """Nobody."""
        return self.members(list_id), self.members(list_id)


@dataclass(frozen=True)
class Row:
    """A list in words; `fault` when its criteria no longer make sense."""

    one: ContactList
    sentence: str
    fault: str | None
    campaigns: list[str]


def rows(session: Session, found: Sequence[ContactList]) -> list[Row]:
    """Lists in words, with the campaigns that go to them."""
    campaigns: dict[int, list[str]] = defaultdict(list)
    going = select(Campaign.list_id, Campaign.name).where(
        Campaign.list_id.in_([one.id for one in found]), Campaign.deleted_at.is_(None)
    )
    for list_id, name in session.execute(going.order_by(Campaign.id.desc())):
        campaigns[list_id or 0].append(name)
    catalogue = reader(session)
    return [Row(one, *_words(catalogue, one), campaigns[one.id]) for one in found]


def reader(session: Session) -> Reader:
    """Of this shop."""
    locale = services().config.locale
    return Reader(session, services().warehouse, locale.zone, locale.currency)


def base() -> int:
    """All contacts."""
    warehouse = services().warehouse
    return int(warehouse.execute(warehouse.table("contacts").count())[0][0].as_py())


def author() -> str:
    """Who is at work, as versions and picks keep it."""
    name: str = g.user.name
    return name


def _words(catalogue: Reader, one: ContactList) -> tuple[str, str | None]:
    """The sentence, and why there is none."""
    try:
        return criteria.sentence(criteria.parse(one.criteria, catalogue, list_id=one.id), str(get_locale())), None
    except Invalid as error:
        return "", error.message
