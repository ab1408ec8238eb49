"""Senders that are killed, frozen or stopped, and carriers on a bad day: 0 lost, 0 doubled.

Heavier runs: `python -m tests.torture.kill --help`.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine.database import Database
from tests.sink import Sink
from tests.torture.kill import Plan, torture
from tests.torture.ledger import fill, sends, states
from tests.torture.worker import command


def several(database: Database) -> dict[str, float]:
    """PostgreSQL has two senders and a lease short enough to take over from the dead within the test."""
    return {} if database.is_sqlite else {"workers": 2, "lease": 1.5}


def test_kill_with_evidence_loses_and_doubles_none(database: Database, tmp_path: Path) -> None:
    """5,000 mails, 5 kill -9 at random moments, the receiver can be asked: each arrives exactly once."""
    verdict = torture(database, tmp_path, Plan(mails=5000, kills=5, **several(database)))
    assert (verdict.blows, verdict.doubled, verdict.lost, verdict.boasted) == (5, 0, 0, 0)
    assert states(database) == {"accepted": 5000}


def test_kill_without_evidence_doubles_none_and_names_every_doubt(database: Database, tmp_path: Path) -> None:
    """The receiver cannot be asked: none is doubled, and whatever is missing is `unknown`."""
    verdict = torture(database, tmp_path, Plan(mails=5000, kills=5, evidence=False, seed=8, **several(database)))
    assert (verdict.blows, verdict.doubled, verdict.lost, verdict.boasted) == (5, 0, 0, 0)
    assert verdict.unknown <= 5 * 8, "no more than the connections of each killed sender"
    assert sum(states(database)[state] for state in ("accepted", "unknown")) == 5000


@pytest.mark.parametrize("config", ["postgresql"], indirect=True)
def test_a_frozen_sender_doubles_none(database: Database, tmp_path: Path) -> None:
    """A sender stopped for 2.5 s with a lease of 1.5 s finds out before it sends what others took over."""
    plan = Plan(mails=6000, freezes=2, workers=2, lease=1.5)
    verdict = torture(database, tmp_path, plan)
    assert (verdict.blows, verdict.doubled, verdict.lost, verdict.boasted) == (2, 0, 0, 0)


def test_a_bad_day_of_the_carrier(database: Database, tmp_path: Path) -> None:
    """Dropped connections before and after the message, busy, everybody greylisted, unknown recipients, and a kill."""
    faults = {"drop_after": 0.01, "drop_before": 0.01, "busy": 0.02, "grey": 1}
    verdict = torture(database, tmp_path, Plan(mails=1500, kills=1, bad=30, faults=faults, **several(database)))
    assert (verdict.doubled, verdict.lost, verdict.boasted, verdict.failed) == (0, 0, 0, 30)
    assert states(database) == {"accepted": 1470, "failed": 30}


def test_a_clean_stop_at_full_rate_leaves_no_doubt(database: Database, tmp_path: Path) -> None:
    """SIGTERM: the sender ends within seconds; nothing is leased, sending or unknown."""
    fill(database, (f"u{n}@x.example" for n in range(5000)))
    url = database.url.render_as_string(hide_password=False)
    with Sink(tmp_path / "sink.log") as sink:
        worker = subprocess.Popen(command(url, sink.port), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while sum(sink.accepted().values()) < 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        arrived = sink.accepted()
    assert set(arrived.values()) == {1}
    assert set(arrived) == sends(database, "accepted")
    assert states(database) == {"accepted": len(arrived), "queued": 5000 - len(arrived)}
