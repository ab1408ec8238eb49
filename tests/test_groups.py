"""pytest-xdist keeps tests together that share what is slow to make."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("together")
def test_a_group_stays_together(request: pytest.FixtureRequest) -> None:
    """With pytest 9.2 it forgot them without a word (its issue 1386): minutes of a fixture, once in each worker."""
    if request.config.getoption("loadgroup", default=False):  # of a worker of --dist loadgroup
        assert request.node.nodeid.endswith("@together")
