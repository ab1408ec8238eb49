"""SendGrid's v3 mail/send: what we ask, and what its answers mean."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from campaigns.channels.base import Message, Receipt, Silence, TransportError
from campaigns.channels.sendgrid import SendGrid
from engine.config import SendGridConfig
from tests.carrier import Carrier, Reply
from tests.torture.ledger import message


def send(carrier: Carrier, given: Message | None = None) -> Receipt:
    transport = SendGrid(SendGridConfig(host=carrier.host, api_key="SG.key", timeout_seconds=1))
    try:
        return transport.send(given or message(7, "email", "a@x.example"), lambda: None)
    finally:
        transport.close()


def test_the_request() -> None:
    """One message with both parts, our headers, its number for the events, and without SendGrid's own tracking."""
    with Carrier(Reply(202, headers={"X-Message-Id": "abc"})) as carrier:
        receipt = send(carrier, replace(message(7, "email", "a@bücher.example"), subject="Grüße"))
    asked = carrier.asked[0]
    assert receipt.provider_id == "abc"
    assert (asked.path, asked.headers["Authorization"]) == ("/v3/mail/send", "Bearer SG.key")
    said = asked.json
    assert said["from"] == {"email": "hello@shop.example", "name": "Shop"}
    assert said["subject"] == "Grüße"
    assert [content["type"] for content in said["content"]] == ["text/plain", "text/html"]
    assert said["personalizations"][0]["to"] == [{"email": "a@xn--bcher-kva.example"}]
    everything = {**said["personalizations"][0], **said}
    assert everything["custom_args"] == {"mid": "7.c2lnbmVk@shop.example"}
    assert everything["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert everything["headers"]["Message-ID"] == "<7.c2lnbmVk@shop.example>"
    assert not said["tracking_settings"]["click_tracking"]["enable"]
    assert not said["tracking_settings"]["open_tracking"]["enable"]


@pytest.mark.parametrize(
    ("status", "permanent", "concerns"),
    [
        (400, True, "message"),
        (413, True, "message"),
        (401, False, "account"),
        (403, False, "account"),
        (404, False, "account"),
        (301, False, "account"),
        (429, False, "transport"),
    ],
)
def test_refusals(status: int, permanent: bool, concerns: str) -> None:
    """An explicit answer says whose fault it is; its words are kept; no redirect is followed."""
    body = {"errors": [{"message": "because"}]}
    with (
        Carrier(Reply(status, body, {"Location": "http://127.0.0.1:1/"})) as carrier,
        pytest.raises(TransportError, match="because") as raised,
    ):
        send(carrier)
    assert (raised.value.permanent, raised.value.concerns) == (permanent, concerns)
    assert len(carrier.asked) == 1


def test_the_rate_limit_says_when() -> None:
    """X-RateLimit-Reset is a Unix time; we wait until then, at most an hour."""
    for ahead, at_least, at_most in [(20, 15, 20), (10**6, 3600, 3600), (-5, 0, 0)]:
        with (
            Carrier(Reply(429, headers={"X-RateLimit-Reset": str(int(time.time()) + ahead)})) as carrier,
            pytest.raises(TransportError) as raised,
        ):
            send(carrier)
        assert at_least <= (raised.value.retry_after or 0) <= at_most


@pytest.mark.parametrize("reply", [Reply(500), Reply(503), Reply(fault="hang"), Reply(fault="reset")])
def test_silence(reply: Reply) -> None:
    """A lost answer leaves one message in doubt; the far end was asked once."""
    with Carrier(reply) as carrier, pytest.raises(Silence):
        send(carrier)
    assert len(carrier.asked) == 1


@pytest.mark.parametrize(
    "change", [{"subject": "a\r\nBcc: b@x.example"}, {"headers": {"X": "a\nb"}}, {"from_name": "a\0"}]
)
def test_no_line_breaks_in_headers(change: dict[str, object]) -> None:
    """A value that could begin a header never reaches the carrier."""
    with Carrier(Reply(202)) as carrier, pytest.raises(TransportError, match="line break"):
        send(carrier, replace(message(7, "email", "a@x.example"), **change))
    assert carrier.asked == []
