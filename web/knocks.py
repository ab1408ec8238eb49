"""A brake for doors that write for anybody: so many knocks from one address in a while, over all processes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from flask import request
from sqlalchemy import delete, func, select

from web import auth
from web.models import Knock
from web.services import services

WHILE: Final = timedelta(minutes=10)
KEPT: Final = timedelta(hours=1)  # an address is personal data: no longer than it is needed


def allowed(door: str, most: int, now: datetime) -> bool:
    """Count a knock of this request's address; False for one beyond `most` within ten minutes, which is not kept."""
    place = auth.network(request.remote_addr or "")
    lately = Knock.door == door, Knock.address == place, Knock.at > now - WHILE
    with services().database.begin() as session:
        session.execute(delete(Knock).where(Knock.at < now - KEPT))
        if (session.scalar(select(func.count()).where(*lately)) or 0) >= most:
            return False
        session.add(Knock(door=door, address=place, at=now))
    return True
