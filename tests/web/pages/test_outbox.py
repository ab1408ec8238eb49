"""The outbox shows what would have left the machine, and lets nothing in it act."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient

from campaigns.models import OutboxMessage
from web.services import Services


@pytest.fixture
def message(services: Services, now: datetime) -> int:
    """One kept message with a hostile HTML part."""
    with services.database.begin() as session:
        kept = OutboxMessage(
            message_id="<1.a@shop.example>", channel="email", recipient="ann@shop.example", subject="Tea & <i>more</i>",
            headers={"List-Unsubscribe": "<https://x.example>"}, html="<script>alert(1)</script>", text="Tea", at=now,
        )  # fmt: skip
        session.add(kept)
        session.flush()
        return kept.id


def test_messages_are_listed_and_found(marketer: FlaskClient, message: int) -> None:
    """Recipient and subject are searchable and escaped."""
    assert "Tea &amp; &lt;i&gt;more" in marketer.get("/outbox").text
    assert "ann@shop.example" in marketer.get("/outbox?q=tea").text
    assert "ann@shop.example" not in marketer.get("/outbox?q=coffee").text


def test_the_mail_itself_is_locked_in(marketer: FlaskClient, message: int) -> None:
    """The HTML part comes with a policy that runs no script, even when opened directly."""
    assert "List-Unsubscribe" in marketer.get(f"/outbox/{message}").text
    answer = marketer.get(f"/outbox/{message}/html")
    assert answer.text == "<script>alert(1)</script>"
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert marketer.get("/outbox/99999/html").status_code == 404
