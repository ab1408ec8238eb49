"""E-mail through SendGrid's v3 mail/send. The `sendgrid` package builds payload and headers; its own client would
wait for ever, follow redirects and connect only after the point of no return.
"""

from __future__ import annotations

import json

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
from engine.config import SendGridConfig

PATH = "/v3/mail/send"


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
    """The request of v3 mail/send. `custom_args.mid` comes back with every event; SendGrid's own open and click
    tracking stays off: ours is in the message already.
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
