"""What is logged and what is not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from engine.config import Log
from web import log


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody's line breaks begin no line of their own, in either library and either form."""
    for form in ("json", "text"):
        log.configure(Log(format=form))  # type: ignore[arg-type]
        structlog.get_logger("a").info("seen", agent="x\r\nforged\x1b[31m\u2028line")
        logging.getLogger("b").info("name %s", "y\nforged")
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2, lines
        assert "forged" in lines[0]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere than on a terminal a line is an object with level and time."""
    log.configure(Log(format="json", level="warning"))
    structlog.get_logger("a").info("not this")
    structlog.get_logger("a").warning("this", count=3)
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"], said["count"]) == ("this", "warning", 3)
    assert said["timestamp"].endswith("Z")


def test_tracebacks_show_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    """Where it happened, not what was in the variables."""
    log.configure(Log(format="text"))
    password = "".join(("correct ", "horse"))
    try:
        int(password)
    except ValueError:
        structlog.get_logger("a").exception("failed")
    said = capsys.readouterr().err
    assert "test_log.py" in said
    assert "password =" not in said
