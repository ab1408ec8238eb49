"""A person who is erased is gone from the ledger too."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, literal, select
from sqlalchemy.orm import Session

from campaigns.models import Confirmation, OutboxMessage, Send
from engine.database import next_revision
from engine.models import Contact, Deletion, Event


def forget(session: Session, contact_id: int, _now: datetime) -> None:
    """Delete a contact's sends, the kept messages and credits with them, and messages of no send to their addresses
    (tests, confirmations, which go with the contact), answers to forms that wait for them; the warehouse forgets by
    Deletion rows.

    Both arms of an experiment lose people alike, so reports stay fair; their counts fall by one.
    """
    _delete(session, Send, Send.contact_id == contact_id)
    answers = select(Confirmation.answer).where(Confirmation.contact_id == contact_id)
    _delete(session, Event, Event.contact_id.is_(None) & Event.key.in_(answers))  # with the address they typed
    contact = session.get_one(Contact, contact_id)
    addresses = [address for address in (contact.email, contact.phone) if address]
    loose = OutboxMessage.send_id.is_(None), OutboxMessage.recipient.in_(addresses)
    session.execute(delete(OutboxMessage).where(*loose), execution_options={"synchronize_session": False})


def _delete(session: Session, table: type[Send] | type[Event], which: ColumnElement[bool]) -> None:
    rows = select(literal(table.__tablename__), table.id, literal(next_revision(session))).where(which)
    session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], rows))
    session.execute(delete(table).where(which), execution_options={"synchronize_session": False})
