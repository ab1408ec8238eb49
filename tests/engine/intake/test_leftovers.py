"""What imports leave in the workspace, and when it goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from engine.intake import leftovers

DYING = """
import sys, time
from pathlib import Path
from engine.intake.leftovers import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "spilled").write_text("ann@shop.example")
    print(folder, flush=True)
    time.sleep(600)
"""


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """The folder of an import of another process; the process is killed at the end."""
    with subprocess.Popen([sys.executable, "-c", DYING, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        try:
            yield path
        finally:
            process.send_signal(signal.SIGKILL)


def test_the_next_import_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    """And never the folder of one that runs, in this process or another."""
    with running(tmp_path) as dead:
        pass
    assert (dead / "spilled").exists()
    with running(tmp_path) as other, leftovers.scratch(tmp_path) as first, leftovers.scratch(tmp_path) as second:
        assert sorted(tmp_path.iterdir()) == sorted([other, first, second])
    assert list(tmp_path.iterdir()) == [other]


def test_refused_records_are_kept_for_a_month(tmp_path: Path, now: datetime) -> None:
    """Not longer: they hold people's data. What a killed import left goes too, at any tick."""
    (tmp_path / "rejects").mkdir()
    for name, days in (("old.csv", 31), ("young.csv", 29)):
        path = tmp_path / "rejects" / name
        path.touch()
        os.utime(path, ((now - timedelta(days=days)).timestamp(),) * 2)
    with running(tmp_path / "tmp") as dead:
        pass
    leftovers.sweep(tmp_path, now)
    assert [path.name for path in (tmp_path / "rejects").iterdir()] == ["young.csv"]
    assert not dead.exists()
    leftovers.sweep(tmp_path / "new", now)  # a workspace where nothing was imported yet
