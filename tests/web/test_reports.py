"""Reports of browsers: counted all, logged in few and harmless words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from web import reports


def _report(directive: Any, blocked: Any) -> bytes:
    return json.dumps({"csp-report": {"effective-directive": directive, "blocked-uri": blocked}}).encode()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (_report("script-src-elem", "https://evil.example/x.js?mail=a@b.example"), ("script-src-elem", "evil.example")),
        (_report("style-src-attr", "inline"), ("style-src-attr", "inline")),
        (_report("script-src\nforged line", "a\r\nb"), ("unknown", "unknown")),
        (_report("x" * 41, "https://" + "a" * 300), ("unknown", "unknown")),
        (_report({"a": 1}, ["b"]), ("unknown", "unknown")),
        (_report("img-src", "https://[broken"), ("unknown", "unknown")),
        (b'{"csp-report": "text"}', ("unknown", "unknown")),
        (b"[" * 16_000, ("unknown", "unknown")),
        (b"\xff", ("unknown", "unknown")),
        (b"", ("unknown", "unknown")),
    ],
)
def test_only_rule_and_host_are_read(body: bytes, found: tuple[str, str]) -> None:
    """No address, no text of somebody's choice, no fault of ours."""
    assert reports.read(body) == found


def test_few_lines_are_logged(client: FlaskClient) -> None:
    """Ten a minute, whatever is posted; nothing of it but rule and host."""
    with capture_logs() as lines:
        for _ in range(30):
            body = _report("img-src", "https://evil.example/somebody@shop.example")
            assert client.post("/csp-report", data=body).status_code == 204
    logged = [line for line in lines if line["event"] == "content policy broken"]
    assert len(logged) == 10
    assert {(line["directive"], line["blocked"]) for line in logged} == {("img-src", "evil.example")}
    assert "somebody" not in str(lines)


def test_a_long_report_is_refused(client: FlaskClient) -> None:
    """With its length said and without."""
    assert client.post("/csp-report", data=b"x" * 16_385).status_code == 413


def test_an_allowance_comes_back() -> None:
    """After its time, and as much as before."""
    now = 0.0
    allowance = reports.Allowance(2, 60, lambda: now)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now = 60.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]
