"""Flyers: printed codes that lead to a stored address, and who followed them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import segno
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.config import Config
from engine.errors import Conflict, Invalid, NotFound
from engine.intake.values import storable
from engine.models import Flyer
from engine.sources import people
from engine.sources.questions import check_https

EVENT: Final = "flyer_scan"
ORIGIN: Final = people.ORIGIN_FLYER
MOST: Final = 1_000  # flyers of a shop
PARAMETER: Final = "rapport_visitor"  # of the target's address: a signed word for the shop's own page to join
CODE: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{1,30})[A-Z0-9]")


def normal(code: str) -> str:
    """A code as it is kept, however it was typed."""
    return re.sub(r"[\s_]+", "-", code.strip().upper())[:64]


def get(session: Session, flyer_id: int) -> Flyer:
    """The flyer; raises NotFound."""
    flyer = session.get(Flyer, flyer_id)
    if flyer is None:
        raise NotFound(f"There is no flyer {flyer_id}.")
    return flyer


def find(session: Session, code: str) -> Flyer | None:
    """The flyer with this code, however it was typed."""
    return session.scalars(select(Flyer).where(Flyer.code == normal(code))).one_or_none()


def every(session: Session) -> Sequence[Flyer]:
    """All flyers, open ones first, the newest first."""
    return session.scalars(select(Flyer).order_by(Flyer.closed_at.is_not(None), Flyer.id.desc()).limit(MOST)).all()


def make(session: Session, name: str, target: str, code: str = "", *, now: datetime, own: str = "") -> Flyer:
    """A new flyer; without a `code` one is made up; a form is at the server's `own` address. Raises Invalid, and
    Conflict when the code is taken.
    """
    code = normal(code) or people.short(6).upper()
    if not CODE.fullmatch(code):
        raise Invalid("A code has 3 to 32 letters A to Z, digits and hyphens.", field="code")
    if find(session, code) is not None:
        raise Conflict(f"There is a flyer with the code {code} already.", field="code")
    flyer = _set(Flyer(code=code, created_at=now), name, target, now, own)
    session.add(flyer)
    session.flush()
    return flyer


def change(session: Session, flyer_id: int, name: str, target: str, *, now: datetime, own: str = "") -> Flyer:
    """Another name or target; the code is printed and stays. Raises NotFound, Invalid."""
    return _set(get(session, flyer_id), name, target, now, own)


def close(session: Session, flyer_id: int, *, now: datetime | None) -> None:
    """Let the code lead nowhere any more; `now` None opens it again."""
    get(session, flyer_id).closed_at = now


def scan(session: Session, flyer: Flyer, visitor: str, *, now: datetime, config: Config) -> str:
    """Note that this browser followed the code; the key of the event."""
    key = f"scan-{people.short(20)}"
    event = {
        "key": key,
        "type": EVENT,
        "at": now.isoformat(),
        "visitor": visitor,
        "origin": ORIGIN,
        "properties": {"code": flyer.code, "flyer": flyer.name},
    }
    people.take(session, "events", [event], origin=ORIGIN, now=now, config=config)
    return key


def destination(flyer: Flyer, handover: str | None) -> str:
    """The target with where the reader comes from (utm_), and a signed word of the scan for the shop's page to join."""
    parts = urlsplit(flyer.target)
    given = parse_qsl(parts.query, keep_blank_values=True)
    ours = {"utm_source": "flyer", "utm_medium": "print", "utm_campaign": flyer.code}
    more = {name: value for name, value in ours.items() if name not in dict(given)}
    if handover:
        more[PARAMETER] = handover
    return urlunsplit(parts._replace(query=urlencode([*given, *more.items()])))


def svg(address: str) -> bytes:
    """A QR code as SVG, for print at any size."""
    return _drawn(address, kind="svg", scale=8, border=4, svgclass=None, lineclass=None)


def png(address: str) -> bytes:
    """A QR code as PNG of some 800 pixels."""
    return _drawn(address, kind="png", scale=24, border=4)


def _drawn(address: str, **how: object) -> bytes:
    file = io.BytesIO()
    segno.make(address, error="m", micro=False).save(file, **how)  # type: ignore[arg-type]  # as its kind takes
    return file.getvalue()


def _set(flyer: Flyer, name: str, target: str, now: datetime, own: str) -> Flyer:
    if not name.strip():
        raise Invalid("Give the flyer a name, to know later where it lay.", field="name")
    if not target.strip():
        raise Invalid("Say where the code leads.", field="target")
    flyer.target = check_https(target.strip()[:1100], "target", own)
    flyer.name, flyer.updated_at = storable(name.strip()[:128]), now
    return flyer
