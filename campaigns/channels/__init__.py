"""Channels reach people (e-mail, SMS); a transport is the code that carries a channel's messages."""

from __future__ import annotations

from collections.abc import Callable

from campaigns.channels.base import Transport
from campaigns.channels.outbox import Outbox
from campaigns.channels.sendgrid import SendGrid
from campaigns.channels.sms import SmsHttp
from campaigns.channels.smtp import Smtp
from engine.config import Config
from engine.errors import Invalid, nearest

TRANSPORTS: dict[tuple[str, str], Callable[[Config], Transport]] = {
    ("email", "outbox"): lambda config: Outbox(),
    ("email", "smtp"): lambda config: Smtp(config.mail),
    ("email", "sendgrid"): lambda config: SendGrid(config.sendgrid),
    ("sms", "outbox"): lambda config: Outbox(),
    ("sms", "http"): lambda config: SmsHttp(config.sms),
}


def open_transport(channel: str, config: Config) -> Transport:
    """The transport that the settings name for `channel`; it connects when it sends for the first time."""
    named = {"email": config.mail.transport, "sms": config.sms.transport}
    if channel not in named:
        raise Invalid(f"There is no channel '{channel}'.{nearest(channel, named)}", field="channel")
    return TRANSPORTS[channel, named[channel]](config)
