"""SMS over a Twilio-shaped API: what we ask, and what its codes mean."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from campaigns.channels.base import Message, Receipt, Silence, TransportError
from campaigns.channels.sms import SmsHttp
from engine.config import Sms
from tests.carrier import Carrier, Reply
from tests.torture.ledger import message

SMS = replace(message(7, "sms", "+442071838750"), text="20 % off — reply STOP & go", html=None, headers={})


def send(carrier: Carrier, given: Message = SMS) -> Receipt:
    settings = Sms(host=carrier.host, account="AC1", token="secret", from_number="+15005550006", timeout_seconds=1)
    transport = SmsHttp(settings)
    try:
        return transport.send(given, lambda: None)
    finally:
        transport.close()


def test_the_request() -> None:
    """A form post under the account, with Basic authentication and the callback that rendering chose."""
    with Carrier(Reply(201, {"sid": "SM1", "status": "queued"})) as carrier:
        receipt = send(carrier, replace(SMS, headers={"StatusCallback": "https://shop.example/sms/7"}))
    asked = carrier.asked[0]
    assert receipt.provider_id == "SM1"
    assert asked.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")) == b"AC1:secret"
    assert asked.form == {
        "From": "+15005550006",
        "To": "+442071838750",
        "Body": "20 % off — reply STOP & go",
        "StatusCallback": "https://shop.example/sms/7",
    }


@pytest.mark.parametrize(
    ("status", "code", "permanent", "suppress", "concerns"),
    [
        (400, 21610, True, "unsubscribe", "message"),
        (400, 21211, True, "bounce", "message"),
        (400, 21614, True, "bounce", "message"),
        (400, 21617, True, None, "message"),
        (429, 20429, False, None, "transport"),
        (429, None, False, None, "transport"),
        (401, 20003, False, None, "account"),
        (400, 21606, False, None, "account"),
        (400, 21609, False, None, "account"),
        (307, None, False, None, "account"),
    ],
)
def test_refusals(status: int, code: int | None, permanent: bool, suppress: str | None, concerns: str) -> None:
    """The code says more than the status: a STOP suppresses, a wrong number fails, a wrong key pauses."""
    with (
        Carrier(Reply(status, {"code": code, "message": "because"})) as carrier,
        pytest.raises(TransportError, match="because") as raised,
    ):
        send(carrier)
    error = raised.value
    assert (error.permanent, error.suppress, error.concerns) == (permanent, suppress, concerns)


def test_the_rate_limit_says_when() -> None:
    """Retry-After is in seconds."""
    with Carrier(Reply(429, {"code": 20429}, {"Retry-After": "7"})) as carrier, pytest.raises(TransportError) as raised:
        send(carrier)
    assert raised.value.retry_after == 7


@pytest.mark.parametrize("reply", [Reply(500), Reply(fault="hang"), Reply(fault="reset")])
def test_silence(reply: Reply) -> None:
    """No answer is no reason to send again."""
    with Carrier(reply) as carrier, pytest.raises(Silence):
        send(carrier)


def test_an_answer_that_is_no_json_is_survived() -> None:
    """A proxy's page instead of an answer: accepted by its status, without a receipt number."""
    with Carrier(Reply(201, ["not", "an", "object"])) as carrier:
        assert send(carrier).provider_id is None
