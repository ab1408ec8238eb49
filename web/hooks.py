"""Addresses that carriers call: what became of messages, and what people text back.

A call counts by its carrier's signature. Which send it speaks of is told by a token of ours that went out with the
message, never by an address alone: several systems may share one account.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import structlog
from apiflask import APIFlask
from flask import Blueprint, Response, make_response, request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter
from sendgrid.helpers.eventwebhook import EventWebhook, EventWebhookHeader
from werkzeug.exceptions import BadRequest

from campaigns import feedback, notices, tokens
from campaigns.channels import sendgrid as sendgrid_channel
from campaigns.channels import sms as sms_channel
from campaigns.notices import Notice
from engine import consent
from engine.config import Config
from engine.errors import ConfigError, NotAllowed, NotFound
from web.api import body
from web.public import unkept
from web.security import public
from web.services import services, utcnow

# The oldest signature taken. SendGrid tries for 24 hours and does not say whether a later try is signed anew; a call
# that comes twice changes nothing, so what a short window would lose (the bounces of our own outage) is worth more.
FRESH: Final = timedelta(hours=26)
NOTICES: Final = Counter("rapport_notices_total", "What carriers told of messages", ["carrier", "outcome"])

blueprint = Blueprint("hooks", __name__)
blueprint.after_request(unkept)
log = structlog.get_logger(__name__)


def register(app: APIFlask) -> None:
    """Put the carriers' addresses on `app`."""
    app.register_blueprint(blueprint)


def check(config: Config) -> None:
    """Raise ConfigError when a key of the settings can verify nothing."""
    if config.sendgrid.webhook_public_key:
        _verifier(config.sendgrid.webhook_public_key)


@blueprint.post("/hooks/sendgrid")
@public
def sendgrid() -> ResponseReturnValue:
    """SendGrid's signed Event Webhook: up to a thousand events."""
    now = utcnow()
    _check_sendgrid(now)
    events = body.parse(request.get_data())
    _note("sendgrid", ((event, event.get("mid")) for event in _objects(events)), sendgrid_channel.notice, now)
    return "", 204


@blueprint.post("/hooks/sms/<token>")
@public
def sms_status(token: str) -> ResponseReturnValue:
    """What became of a text message: Twilio's status callback, at the address that went out with the message."""
    _check_twilio()
    _note("sms", [(request.form, token)], sms_channel.notice, utcnow())
    return "", 204


@blueprint.post("/sms/inbound")
@public
def sms_inbound() -> Response:
    """A text message that somebody sent us: Twilio's webhook."""
    _check_twilio()
    ours = services()
    phone = consent.normalise("sms", request.form.get("From", ""), ours.config.locale.country)
    key = request.form.get("MessageSid") or request.headers["X-Twilio-Signature"]
    with ours.database.begin() as session:
        feedback.reply(session, phone, request.form.get("Body", ""), key=key[:64], now=utcnow())
    response = make_response('<?xml version="1.0" encoding="UTF-8"?><Response/>')
    response.content_type = "text/xml"
    return response


Told = Iterable[tuple[Mapping[str, Any], object]]  # what a carrier said, and the reference that it gave back


def _note(carrier: str, told: Told, read: Callable[..., Notice | None], now: datetime) -> None:
    """Write down what a call says, in one transaction; what is not about a send of ours is only counted."""
    found, ignored = [], 0
    for said, reference in told:
        send_id = _send_id(reference)
        notice = None if send_id is None else read(said, send_id, now=now)
        if notice is None:
            ignored += 1
        else:
            found.append(notice)
    with services().database.begin() as session:
        counts = notices.note(session, found, now=now)
    for outcome, count in {**counts, "ignored": ignored}.items():
        NOTICES.labels(carrier, outcome).inc(count)


def _objects(events: Any) -> list[dict[str, Any]]:
    if not isinstance(events, list):
        raise BadRequest("The body is no list of events.")
    return [event for event in events if isinstance(event, dict)]


def _send_id(reference: object) -> int | None:
    """The send that a message's token names (before its @, where it is a Message-ID); None for what we did not sign."""
    if not isinstance(reference, str) or not reference.isascii():
        return None
    try:
        return int(tokens.signer(services().config).read("message", reference.partition("@")[0])[0])
    except NotFound:
        return None


def _check_sendgrid(now: datetime) -> None:
    """ECDSA over the header's timestamp and the body, with the key that SendGrid shows."""
    key = services().config.sendgrid.webhook_public_key
    if not key:
        log.warning("call of SendGrid refused", remedy="set sendgrid.webhook_public_key")
        raise NotFound("There is nothing at this address.")
    timestamp = request.headers.get(EventWebhookHeader.TIMESTAMP, "")
    signature = request.headers.get(EventWebhookHeader.SIGNATURE, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise NotAllowed("The call is not signed: switch the signature of SendGrid's Event Webhook on.")
    try:
        genuine = _verifier(key).verify_signature(request.get_data().decode(), signature, timestamp)
    except ValueError:  # no Base64, no UTF-8
        genuine = False
    if not genuine:
        raise NotAllowed("The signature does not fit: set sendgrid.webhook_public_key as SendGrid shows it.")
    age = now.timestamp() - int(timestamp)
    if abs(age) > FRESH.total_seconds():
        log.warning("call of SendGrid refused", age_seconds=round(age))
        if age < 0:
            raise NotAllowed(
                "The signature is of a time to come. If it was sent just now, this machine's clock is slow."
            )
        raise NotAllowed("The signature is too old. If it was sent just now, this machine's clock is fast.")


@lru_cache(maxsize=8)
def _verifier(key: str) -> Any:
    """SendGrid's own check with this key; raises ConfigError for a key of another kind, or none."""
    try:
        verifier = EventWebhook(key)
        verifier.verify_signature("", "", "")
    except Exception as error:
        raise ConfigError(
            "sendgrid.webhook_public_key is no ECDSA public key: copy the Verification Key from SendGrid's settings of"
            " the Event Webhook.",
            field="sendgrid.webhook_public_key",
        ) from error
    return verifier


def _check_twilio() -> None:
    """base64(HMAC-SHA1(token, address + every parameter's name and value in order of names)), as Twilio defines."""
    config = services().config
    signed = config.server.public_url.rstrip("/") + request.full_path.rstrip("?")
    signed += "".join(f"{name}{value}" for name in sorted(request.form) for value in sorted(request.form.getlist(name)))
    expected = base64.b64encode(hmac.digest(config.sms.token.encode(), signed.encode(), "sha1"))
    given = request.headers.get("X-Twilio-Signature", "").encode()
    if not config.sms.token or not hmac.compare_digest(expected, given):
        raise NotAllowed("The signature does not fit: set sms.token and server.public_url as the provider has them.")
