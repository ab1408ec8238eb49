"""The built-in outbox: messages stay in our own database, to be read in the UI; nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final, cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from campaigns.channels.base import Crossing, Message, Receipt, Transport
from campaigns.models import OutboxMessage
from engine.database import database_now, insert_new

_OUTBOX: Final = cast(Table, OutboxMessage.__table__)


class Outbox(Transport):
    """Exactly once: the message is written by the transaction that marks its send accepted."""

    resolve_after = timedelta(0)  # a message that is not there was not sent, and nobody can still be sending it

    def send(self, message: Message, crossing: Crossing) -> Receipt:
        """See Transport."""
        crossing()
        return Receipt(provider_id=message.message_id[:128], record=partial(keep, message))

    def evidence(self, session: Session, send_ids: Sequence[int]) -> set[int] | None:
        """Exact, from the outbox itself."""
        found = session.scalars(select(OutboxMessage.send_id).where(OutboxMessage.send_id.in_(send_ids)))
        return {send_id for send_id in found if send_id is not None}


def keep(message: Message, session: Session) -> None:
    """Write `message` into the outbox; a second time changes nothing."""
    row = {
        "message_id": message.message_id,
        "send_id": message.send_id or None,  # a test message belongs to no send
        "channel": message.channel,
        "recipient": message.to,
        "subject": message.subject,
        "headers": dict(message.headers),
        "html": message.html,
        "text": message.text,
        "at": database_now(session),
    }
    insert_new(session, _OUTBOX, [row], ["message_id"])
