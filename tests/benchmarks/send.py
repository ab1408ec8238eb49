"""What the send ledger costs: `make bench NAME=send ARGS="--quick"`.

Sends a fixed message to everybody through the ledger to the same local SMTP sink, once on SQLite with one sender and
once on PostgreSQL with several, and then the same mails by the same number of connections with no ledger at all (the
floor). Rates are taken at the sink, from the first mail to the last, so starting up does not count. `tax` is the share
of the one-process floor that the ledger costs on SQLite, `tax_workers` of the many-process floor on PostgreSQL.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from campaigns.channels.smtp import Smtp
from engine.config import Mail
from tests.sink import Sink
from tests.torture.kill import scratch_database
from tests.torture.ledger import fill, message
from tests.torture.worker import command

CONNECTIONS = 16


def main() -> None:
    """Measure and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=40_000)
    parser.add_argument("--workers", type=int, default=4, help="sender processes on PostgreSQL")
    parser.add_argument("--quick", action="store_true", help="a quarter of the mails")
    parser.add_argument("--floor", nargs=3, type=int, metavar=("PORT", "FIRST", "MAILS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.floor:
        bare(*given.floor)
        return
    mails = given.mails // 4 if given.quick else given.mails
    figures = {
        "sqlite_per_s": ledger_rate("sqlite", mails, 1),
        "floor_per_s": floor_rate(mails, 1),
        "postgresql_per_s": ledger_rate("postgresql", mails, given.workers),
        "floor_workers_per_s": floor_rate(mails, given.workers),
    }
    figures["tax"] = 1 - figures["sqlite_per_s"] / figures["floor_per_s"]
    figures["tax_workers"] = 1 - figures["postgresql_per_s"] / figures["floor_workers_per_s"]
    print("send:", *(f"{name}={value:.4g}" for name, value in figures.items()))


def ledger_rate(kind: str, mails: int, workers: int) -> float:
    """Mails a second at the sink, through the ledger."""
    with tempfile.TemporaryDirectory() as folder, scratch_database(kind, Path(folder)) as database:
        fill(database, (f"u{n}@x.example" for n in range(mails)))
        with Sink(Path(folder) / "sink.log") as sink:
            url = database.url.render_as_string(hide_password=False)
            _run([command(url, sink.port, connections=CONNECTIONS) for _ in range(workers)])
            return rate(sink.log)


def floor_rate(mails: int, workers: int) -> float:
    """Mails a second at the sink, with no ledger."""
    with tempfile.TemporaryDirectory() as folder, Sink(Path(folder) / "sink.log") as sink:
        share = mails // workers
        words = [sys.executable, "-m", "tests.benchmarks.send", "--floor", str(sink.port)]
        _run([[*words, str(n * share), str(share)] for n in range(workers)])
        return rate(sink.log)


def bare(port: int, first: int, mails: int) -> None:
    """Send with as many connections, writing nothing down."""
    settings = Mail(transport="smtp", smtp_port=port)
    threads = [
        threading.Thread(target=_connection, args=[settings, range(first + n, first + mails, CONNECTIONS)])
        for n in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rate(log: Path) -> float:
    """Mails a second between the first and the last line of a sink's log."""
    times = [float(line.split()[1]) for line in log.read_text(encoding="ascii").splitlines()]
    return (len(times) - 1) / (max(times) - min(times))


def _connection(settings: Mail, ids: Sequence[int]) -> None:
    transport = Smtp(settings)
    for send_id in ids:
        transport.send(message(send_id, "email", f"u{send_id}@x.example"), lambda: None)
    transport.close()


def _run(commands: Sequence[Sequence[str]]) -> None:
    processes = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in commands]
    for process in processes:
        assert process.wait(600) == 0


if __name__ == "__main__":
    main()
