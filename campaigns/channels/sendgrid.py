"""E-mail through SendGrid's v3 mail/send, and what its Event Webhook tells of it. The `sendgrid` package builds payload
and headers; its own client would wait for ever, follow redirects and connect only after the point of no return.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import (
    ClickTracking,
    CustomArg,
    From,
    Header,
    HtmlContent,
    Mail,
    OpenTracking,
    PlainTextContent,
    To,
    TrackingSettings,
)

from campaigns.channels.base import Crossing, Message, Receipt, Transport, TransportError
from campaigns.channels.http import HttpConnection, common_refusal, words
from campaigns.channels.mime import ascii_address, refuse_control_characters
from campaigns.notices import Notice
from engine.config import SendGridConfig

PATH = "/v3/mail/send"

# What an event means: the outcome of the send, and why to leave the address alone. Others mean nothing to us: opens and
# clicks are measured by the message itself, and only the shop lets somebody back (group_resubscribe).
EVENTS: Final[dict[str, tuple[str | None, str | None]]] = {
    "processed": (None, None),
    "deferred": (None, None),  # SendGrid tries again by itself
    "delivered": ("delivered", None),
    "bounce": ("bounced", "bounce"),
    "blocked": ("bounced", None),  # a bounce whose type is not "bounce": this mail was refused, not its address
    "dropped": ("bounced", None),
    "spamreport": ("complained", "complaint"),
    "unsubscribe": ("unsubscribed", "unsubscribe"),
    "group_unsubscribe": ("unsubscribed", "unsubscribe"),
}
# Why SendGrid drops a mail unsent: what it knows of the address from others; all else is a fault of the mail.
DROPS: Final = {
    "Bounced Address": "bounce",
    "Invalid": "bounce",
    "Unsubscribed Address": "unsubscribe",
    "Spam Reporting Address": "complaint",
}


class SendGrid(Transport):
    """One connection to SendGrid; one message a request, so that a lost answer leaves one in doubt, not a thousand."""

    def __init__(self, settings: SendGridConfig) -> None:
        client = SendGridAPIClient(api_key=settings.api_key, host=settings.host).client
        self._headers = {**client.request_headers, "Content-Type": "application/json"}
        self._connection = HttpConnection(settings.host, settings.timeout_seconds)

    def send(self, message: Message, crossing: Crossing) -> Receipt:
        """See Transport."""
        body = json.dumps(payload(message)).encode()
        answer = self._connection.post(PATH, self._headers, body, crossing)
        if 200 <= answer.status < 300:
            return Receipt(provider_id=answer.headers.get("X-Message-Id"))
        raise common_refusal(answer) or TransportError(f"HTTP {answer.status}: {words(answer.body)}", permanent=True)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def payload(message: Message) -> dict[str, object]:
    """The request of v3 mail/send. `custom_args.mid`, the Message-ID with the signed number of the send, comes back
    with every event; SendGrid's own open and click tracking stays off: ours is in the message already.
    """
    for name, value in {"Subject": message.subject, "From": message.from_name, **message.headers}.items():
        refuse_control_characters(name, value)
    mail = Mail(
        from_email=From(ascii_address(message.from_address), message.from_name or None),
        to_emails=To(ascii_address(message.to)),
        subject=message.subject,
        plain_text_content=PlainTextContent(message.text),
        html_content=HtmlContent(message.html) if message.html is not None else None,
    )
    for name, value in {"Message-ID": message.message_id, **message.headers}.items():
        mail.add_header(Header(name, value))
    mail.add_custom_arg(CustomArg("mid", message.message_id.strip("<>")))
    mail.tracking_settings = TrackingSettings(
        click_tracking=ClickTracking(enable=False, enable_text=False), open_tracking=OpenTracking(enable=False)
    )
    content: dict[str, object] = mail.get()
    return content


def notice(event: Mapping[str, Any], send_id: int, *, now: datetime) -> Notice | None:
    """What an event of the webhook says of the send; None when that is nothing to us."""
    kind, reason = str(event.get("event")), event.get("reason")
    if kind == "bounce" and event.get("type") != "bounce":
        kind = "blocked"
    if kind not in EVENTS:
        return None
    outcome, suppress = EVENTS[kind]
    if kind == "dropped":
        suppress = DROPS.get(str(reason))
    seconds = event.get("timestamp")
    told = seconds if type(seconds) is int and 0 < seconds < 2**37 else 0  # datetime ends before 2**38
    at = min(now, datetime.fromtimestamp(told, UTC)) if told else now
    said = words(reason.encode("utf-8", "replace").replace(b"\0", b" ")) if isinstance(reason, str) else ""
    return Notice(send_id, outcome, at, f"{kind}:{told}", said or kind, suppress)
