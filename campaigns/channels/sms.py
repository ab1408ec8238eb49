"""SMS over HTTP: Twilio's Messages resource (2010-04-01) with its status callback, and carriers that speak the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from campaigns.channels.base import Crossing, Message, Receipt, Transport, TransportError
from campaigns.channels.http import Answer, HttpConnection, common_refusal, retry_after, words
from campaigns.notices import Notice
from engine.config import Sms

# Twilio's error codes that say more than the HTTP status.
MEANING: Final[dict[int, dict[str, Any]]] = {
    20003: {"concerns": "account"},  # authentication failed
    20429: {"concerns": "transport"},  # too many requests
    21211: {"permanent": True, "suppress": "bounce"},  # not a telephone number
    21408: {"concerns": "account"},  # this country is not enabled for the account
    21606: {"concerns": "account"},  # the From number cannot send
    21609: {"concerns": "account"},  # it cannot reach the StatusCallback: server.public_url
    21610: {"permanent": True, "suppress": "unsubscribe"},  # they answered STOP
    21614: {"permanent": True, "suppress": "bounce"},  # not a mobile number
    30005: {"permanent": True, "suppress": "bounce"},  # nobody has this number
    30006: {"permanent": True, "suppress": "bounce"},  # a landline, or out of every carrier's reach
}
# What a status means: the outcome of the send. Others (canceled, receiving ...) mean nothing to us.
STATUSES: Final[dict[str, str | None]] = {
    **dict.fromkeys(("accepted", "queued", "sending", "sent")),
    **dict.fromkeys(("delivered", "read"), "delivered"),
    **dict.fromkeys(("undelivered", "failed"), "bounced"),
}


class SmsHttp(Transport):
    """One connection to the carrier."""

    def __init__(self, settings: Sms) -> None:
        credentials = base64.b64encode(f"{settings.account}:{settings.token}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        self._path = f"/2010-04-01/Accounts/{quote(settings.account, safe='')}/Messages.json"
        self._from = settings.from_number
        self._connection = HttpConnection(settings.host, settings.timeout_seconds)

    def send(self, message: Message, crossing: Crossing) -> Receipt:
        """See Transport. A header "StatusCallback" becomes the field of that name."""
        form = {"From": self._from, "To": message.to, "Body": message.text, **message.headers}
        answer = self._connection.post(self._path, self._headers, urlencode(form).encode(), crossing)
        said = _json(answer.body)
        if 200 <= answer.status < 300:
            return Receipt(provider_id=str(said["sid"]) if "sid" in said else None)
        raise _refusal(answer, said.get("code"))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def notice(form: Mapping[str, str], send_id: int, *, now: datetime) -> Notice | None:
    """What a status callback says of the send; None when that is nothing to us."""
    status, code = form.get("MessageStatus", ""), form.get("ErrorCode", "")[:9]
    if status not in STATUSES:
        return None
    outcome = STATUSES[status]
    meaning = MEANING.get(int(code), {}) if outcome == "bounced" and code.isascii() and code.isdigit() else {}
    return Notice(send_id, outcome, now, status, f"{status} {code}".strip(), meaning.get("suppress"))


def _refusal(answer: Answer, code: object) -> TransportError:
    text = f"HTTP {answer.status}: {words(answer.body)}"
    if isinstance(code, int) and code in MEANING:
        return TransportError(text, retry_after=retry_after(answer.headers), **MEANING[code])
    return common_refusal(answer) or TransportError(text, permanent=True)


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
