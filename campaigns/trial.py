"""A test message: the campaign as one contact would get it, to one address, outside the ledger."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy.orm import Session

from campaigns import content, planning
from campaigns.channels import open_transport
from campaigns.channels.base import Message, Silence, TransportError
from campaigns.content.products import Recommends
from engine import consent
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid

MARK = "[Test]"


def message(
    session: Session,
    campaign_id: int,
    to: str,
    *,
    contact_id: int | None,
    now: datetime,
    config: Config,
    recommender: Recommends | None,
) -> Message:
    """The message, marked as a test; nothing in it is tracked and its ways to unsubscribe lead nowhere. Raises Invalid
    when the content does not compile or `to` is no address or a suppressed one.
    """
    campaign = planning.get(session, campaign_id)
    address = consent.normalise(campaign.channel, to, config.locale.country)
    if consent.is_suppressed(session, campaign.channel, address):
        raise Invalid("This address is suppressed: it gets no message of any kind.", field="to")
    shown = content.preview(session, campaign_id, contact_id, now=now, config=config, recommender=recommender)
    email = campaign.channel == "email"
    domain = config.mail.from_address.rpartition("@")[2]
    return Message(
        send_id=0,
        channel=campaign.channel,
        to=address,
        subject=f"{MARK} {shown.subject}" if email else "",
        html=shown.html,
        text=shown.text if email else f"{MARK} {shown.text}",
        message_id=f"<test.{secrets.token_hex(12)}@{domain}>",
        from_address=config.mail.from_address if email else config.sms.from_number,
        from_name=config.mail.from_name if email else "",
    )


def send(database: Database, config: Config, given: Message) -> None:
    """Hand a test message to the configured transport; raises Invalid when it is not taken."""
    transport = open_transport(given.channel, config)
    try:
        receipt = transport.send(given, lambda: None)
    except TransportError as error:
        raise Invalid(f"The test was not sent: {error}", field="to") from None
    except Silence as error:
        raise Invalid(f"Nobody knows whether the test arrived: {error}", field="to") from None
    finally:
        transport.close()
    if receipt.record is not None:
        with database.begin() as session:
            receipt.record(session)
