"""A ledger full of due sends, and how it stands afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from campaigns.channels.base import Message
from campaigns.models import Campaign, Firing, Send
from engine.database import Database, next_revision
from engine.models import Contact

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def fill(database: Database, addresses: Iterable[str], *, channel: str = "email", name: str = "Spring") -> int:
    """A campaign that is sending, with one due send for each address; its number."""
    addresses = list(addresses)
    with database.begin() as session:
        campaign = Campaign(
            name=name, channel=channel, status="sending", split_a=1, split_s=0, currency="GBP",
            created_at=START, updated_at=START,
        )  # fmt: skip
        session.add(campaign)
        session.flush()
        firing = Firing(campaign_id=campaign.id, due_at=START, fired_at=START)
        session.add(firing)
        session.flush()
        stamp = {"revision": next_revision(session), "created_at": START}
        first = (session.scalar(select(func.max(Contact.id))) or 0) + 1
        field = {"email": "email", "sms": "phone"}[channel]
        people = [
            {"id": n, "key": f"c{n}", field: a, "attributes": {}, "bucket": 1, "updated_at": START, **stamp}
            for n, a in enumerate(addresses, first)
        ]
        rows = [
            {"firing_id": firing.id, "campaign_id": campaign.id, "contact_id": n, "step": 1, "channel": channel,
             "address": a, "state": "queued", "attempts": 0, "next_at": START, **stamp}
            for n, a in enumerate(addresses, first)
        ]  # fmt: skip
        session.connection().execute(insert(Contact.__table__), people)
        session.connection().execute(insert(Send.__table__), rows)
        return campaign.id


def render(session: Session, send_ids: Sequence[int], now: datetime) -> dict[int, Message]:
    """The same words for everybody."""
    found = session.execute(select(Send.id, Send.channel, Send.address).where(Send.id.in_(send_ids)))
    return {send_id: message(send_id, channel, address or "") for send_id, channel, address in found}


def message(send_id: int, channel: str, address: str) -> Message:
    """A message of ordinary size."""
    return Message(
        send_id=send_id,
        channel=channel,
        to=address,
        subject="Spring is here",
        html=HTML,
        text=TEXT,
        message_id=f"<{send_id}.c2lnbmVk@shop.example>",
        from_address="hello@shop.example",
        from_name="Shop",
        headers={
            "List-Unsubscribe": f"<https://shop.example/u/{send_id}.c2lnbmVk>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )


TEXT = "Hello,\n\nspring is here, and so are the new colours. See them in the shop.\n\n" * 6
HTML = f"<html><body>{'<p>Spring is here, and so are the <b>new colours</b>.</p>' * 30}</body></html>"


def states(database: Database) -> Counter[str]:
    """How many sends are in each state."""
    with database.read() as session:
        return Counter(dict(session.execute(select(Send.state, func.count()).group_by(Send.state)).all()))


def sends(database: Database, state: str) -> set[int]:
    """The numbers of the sends in a state."""
    with database.read() as session:
        return set(session.scalars(select(Send.id).where(Send.state == state)))
