"""The demo shop at its real size, made once, and a small one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from web.demo.shop import Shop, generate

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def shop() -> Shop:
    """What `rapport demo` makes at the tests' moment."""
    return generate(1, NOW)


@pytest.fixture(scope="session")
def small() -> Shop:
    """The same of 500 contacts."""
    return generate(1, NOW, 500)
