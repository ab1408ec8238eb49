"""What SendGrid and SMS share: one connection, one request, and no guess about what happened to it."""

from __future__ import annotations

import socket
import time

import pytest

from campaigns.channels.base import Fenced, Silence, TransportError
from campaigns.channels.http import HttpConnection
from engine.errors import ConfigError
from tests.carrier import Carrier, Reply


def post(connection: HttpConnection, crossed: list[bool]) -> int:
    return connection.post("/x", {}, b"body", lambda: crossed.append(True)).status


def test_the_connection_is_kept_and_replaced_when_it_was_closed() -> None:
    """Requests share a connection; one that the far end closed in between is noticed before the crossing."""
    with Carrier(Reply(), Reply(fault="close"), Reply()) as carrier:
        connection, crossed = HttpConnection(carrier.host, 5), []
        for _ in range(2):
            assert post(connection, crossed) == 200
        time.sleep(0.1)
        assert post(connection, crossed) == 200
        connection.close()
    first, second, third = (asked.connection for asked in carrier.asked)
    assert first == second != third
    assert len(crossed) == 3


@pytest.mark.parametrize(
    "reply", [Reply(fault="hang"), Reply(fault="reset"), Reply(500), Reply(503), Reply(502), Reply(408)]
)
def test_no_answer_is_silence(reply: Reply) -> None:
    """A time-out, a reset after the request and every 5xx leave in doubt what became of the message."""
    with Carrier(reply) as carrier:
        connection, crossed = HttpConnection(carrier.host, 0.2), []
        with pytest.raises(Silence):
            post(connection, crossed)
        connection.close()
        assert crossed == [True]


def test_no_connection_is_no_crossing() -> None:
    """Where nobody listens, nothing crossed and the message is tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        crossed: list[bool] = []
        with pytest.raises(TransportError) as raised:
            post(HttpConnection(f"http://127.0.0.1:{free.getsockname()[1]}", 1), crossed)
    assert (raised.value.concerns, crossed) == ("transport", [])


def test_a_fence_sends_nothing() -> None:
    """When crossing is refused no byte goes out, and the connection serves the next message."""

    def fence() -> None:
        raise Fenced("paused")

    with Carrier(Reply()) as carrier:
        connection = HttpConnection(carrier.host, 1)
        with pytest.raises(Fenced):
            connection.post("/x", {}, b"body", fence)
        assert post(connection, []) == 200
        connection.close()
    assert len(carrier.asked) == 1


def test_an_endless_answer_is_cut() -> None:
    """64 KiB are enough to learn why; the rest is not read, nor taken for the next answer."""
    with Carrier(Reply(400, body="x" * 1_000_000), Reply(201)) as carrier:
        connection = HttpConnection(carrier.host, 5)
        assert len(connection.post("/x", {}, b"", lambda: None).body) == 65_536
        assert connection.post("/x", {}, b"", lambda: None).status == 201
        connection.close()


@pytest.mark.parametrize(
    "host", ["api.example.com", "ftp://api.example.com", "https://", "https://a:b@api.example.com"]
)
def test_a_host_is_an_http_address(host: str) -> None:
    """A setting that is none is refused with a hint, before anything is sent."""
    with pytest.raises(ConfigError, match="https://name"):
        HttpConnection(host, 1)
