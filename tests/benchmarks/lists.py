"""How fast a list is counted while it is typed, and what surrounds it: `make bench NAME=lists ARGS="--quick"`.

Writes a seeded shop into SQLite, copies it into the warehouse, serves it as `rapport serve` does, and asks twelve
criteria (lists_reference.py) over a connection that is kept: `POST /api/v1/lists/preview` gives the count, the count
of every clause, 20 people and the sentence. Three figures of each, every count compared with the SQL's:

    cold    the first ask after contacts, events and orders changed: no leaf is kept, but the ids and the SQL are
    typed   asks while one types, another value each time, so that no answer is there already
    SQL     written by hand for the count alone, run by DuckDB on the same files, after each of the asks

The line `cold:` carries the ratio of the first to the third, which is the work itself; the last line that of the
second, which is what a marketer waits for. p50 and p95 are those of the slowest of the twelve. Then: a refresh after
10,000 new events, a rebuild, a frozen list of half the contacts, contacts from a CSV file (`rapport import`, its start
included) and events over HTTP by eight clients in batches of 500. `rss_gib` is the most memory that any of these
processes ever had resident.

    --quick              100,000 contacts, 2,000,000 events
    --contacts, --events any other size; 1,000,000 and 20,000,000 by default
    --workspace PATH     keep the shop there, or go on with the one that is
    --only lists         leave out what surrounds it
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import func, select, text

from engine import config as settings
from engine import lists, schema
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Event, Order
from tests.benchmarks import intake
from tests.benchmarks.lists_reference import REFERENCE, is_
from tests.benchmarks.lists_shop import add_contacts, add_events, add_orders, fill
from tests.served import Served
from web.services import Services, open_services, utcnow

HALF = is_("attributes.size", "at_least", 40)
SENT = 100_000  # events over HTTP
GIB = 2**20  # in KiB, as the kernel counts


@dataclass
class Timed:
    """Milliseconds of one criteria."""

    name: str
    people: int = 0
    cold: list[float] = field(default_factory=list)
    typed: list[float] = field(default_factory=list)
    sql: list[float] = field(default_factory=list)

    def ratio(self, asked: list[float]) -> float:
        """To SQL, of the medians."""
        return statistics.median(asked) / statistics.median(self.sql)


def main() -> None:
    """Make the data, measure, and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--only", choices=["lists"])
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        STEPS[given.step](_config(given.workspace))
        return
    contacts, events = (100_000, 2_000_000) if given.quick else (given.contacts, given.events)
    with _folder(given.workspace) as folder:
        config = _config(folder)
        _prepare(config, contacts, events)
        around: dict[str, float] = {} if given.only else {"rebuild_s": _step("rebuild", folder)}
        services = open_services(config)
        services.warehouse.refresh()
        with Served(config, services.database) as served:
            _warm(served)
            print(f"{os.cpu_count()} cores, {contacts:,} contacts, {events:,} events\n{HEAD}")
            timed = [_show(_measure(served, services, name, given.repeats)) for name in REFERENCE]
            refresh = _refresh_seconds(services)
            if not given.only:
                around["intake_per_s"] = intake.rate(served, "events", intake.batches("events", SENT, contacts))
            served_memory = _served_memory(served)
        services.close()
        if not given.only:
            around["freeze_s"] = _step("freeze", folder)
            around["import_s"] = _import_seconds(contacts)
    _report(timed, {"refresh_s": refresh, **around, "rss_gib": max(served_memory, *MEMORY)})


def _config(folder: Path) -> Config:
    return settings.build({"workspace": {"path": str(folder)}, "log": {"level": "warning"}})


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _prepare(config: Config, contacts: int, events: int) -> None:
    """The shop, if it is not there."""
    database = Database(config.database_url)
    schema.upgrade(database)
    with database.read() as session:
        is_empty = session.scalar(select(Contact.id).limit(1)) is None
    if is_empty:
        fill(database, contacts, events)
    database.close()


def _measure(served: Served, services: Services, name: str, repeats: int) -> Timed:
    """Ask in turn with SQL, so that a busy moment of the machine falls on both alike."""
    timed, (data, where) = Timed(name), REFERENCE[name]
    everyone = json.dumps({"criteria": {"all": []}}).encode()
    client = served.client()

    def preview(number: int) -> int:
        body = json.dumps({"criteria": data(number)}).encode()
        status, answer = served.post(client, "/api/v1/lists/preview", body)
        assert status == 200, answer
        return int(answer["count"])

    def connect() -> None:
        client.close()  # the server lets go of one that said nothing for half a minute, as during a long SQL
        client.request("GET", "/health")
        client.getresponse().read()

    def by_hand(number: int) -> int:
        sql = f"SELECT count(*) AS n FROM contacts WHERE {where(number)}"
        return int(services.warehouse.pinned(lambda pin: pin.query(sql))["n"][0].as_py())

    for number in range(repeats):
        if number % 5 == 0:
            _change_everything(services)
            by_hand(number)  # DuckDB opens the files
            connect()
            served.post(client, "/api/v1/lists/preview", everyone)
            timed.people = _same(timed.cold, lambda: preview(0), timed.sql, lambda: by_hand(0))
        connect()
        _same(timed.typed, lambda number=number: preview(number + 1), timed.sql, lambda n=number: by_hand(n + 1))  # type: ignore[misc]
    client.close()
    return timed


def _warm(served: Served) -> None:
    """Let the server look through the shop's own names once, which it keeps by file."""
    client = served.client()
    body = json.dumps({"criteria": is_("attributes.nobody has this", "known", None)}).encode()
    assert served.post(client, "/api/v1/lists/preview", body)[0] == 422
    client.close()


def _same(into: list[float], ask: Callable[[], int], into_sql: list[float], by_hand: Callable[[], int]) -> int:
    """Time both, and hold them to the same count."""
    found, seconds = _timed(ask)
    expected, sql_seconds = _timed(by_hand)
    assert found == expected, (found, expected)
    into.append(seconds * 1000)
    into_sql.append(sql_seconds * 1000)
    return found


def _timed(action: Callable[[], int]) -> tuple[int, float]:
    start = time.perf_counter()
    found = action()
    return found, time.perf_counter() - start


def _change_everything(services: Services) -> None:
    """A contact, an order and an event more."""
    with services.database.begin() as session:
        first = {model: session.scalar(select(func.max(model.id))) or 0 for model in (Contact, Order, Event)}
        rng = np.random.default_rng(first[Event])
        add_contacts(session, rng, first[Contact], 1)
        add_orders(session, rng, first[Order], 1, first[Contact])
        add_events(session, first[Event], 1, contacts=first[Contact], seed=first[Event])
    services.warehouse.refresh()


def _refresh_seconds(services: Services) -> float:
    """Median of five refreshes after 10,000 new events each."""
    seconds = []
    for _ in range(5):
        with services.database.begin() as session:
            first, contacts = (session.scalar(select(func.max(model.id))) for model in (Event, Contact))
            add_events(session, first, 10_000, contacts=contacts, seed=first)
        seconds.append(services.warehouse.refresh().seconds)
    return statistics.median(seconds)


MEMORY: list[float] = [0.0]  # of the steps, in GiB


def _step(name: str, folder: Path) -> float:
    """Seconds that a step takes in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.lists", "--workspace", str(folder), "--step", name]
    seconds, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    MEMORY.append(float(memory))
    return float(seconds)


def _rebuild(config: Config) -> None:
    services = open_services(config)
    _tell(services.warehouse.rebuild().seconds)
    services.close()


def _freeze(config: Config) -> None:
    """Half the contacts; counted, written and committed."""
    services = open_services(config)
    services.warehouse.refresh()
    with services.database.begin() as session:
        made = lists.save(session, None, "half", HALF, now=utcnow()).id
    start = time.perf_counter()
    with services.database.begin() as session:
        lists.freeze(session, services.warehouse, made, utcnow())
    _tell(time.perf_counter() - start)
    with services.database.begin() as session:
        session.execute(text("DELETE FROM list_members WHERE list_id = :made"), {"made": made})
    services.close()


STEPS: dict[str, Callable[[Config], None]] = {"rebuild": _rebuild, "freeze": _freeze}


def _tell(seconds: float) -> None:
    print(seconds, _peak("self"))


def _peak(process: int | str) -> float:
    """GiB that were resident at most."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) / GIB for line in lines if line.startswith("VmHWM")), 0.0)


def _served_memory(served: Served) -> float:
    """Of the server and its workers together."""
    return sum(_peak(number) for number in served.processes())


def _import_seconds(contacts: int) -> float:
    """New contacts into an empty shop by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        file, config = Path(folder) / "contacts.csv", _config(Path(folder) / "shop")
        with file.open("w", encoding="utf-8") as lines:
            lines.write("key,email,first_name,last_name,country,city,age,email_consent,size\n")
            for n in range(contacts):
                lines.write(
                    f"c{n},c{n}@shop.example,Ann,Lee {n % 999},France,Town {n % 500},{n % 60 + 18},yes,{n % 9}\n"
                )
        database = Database(config.database_url)
        schema.upgrade(database)
        database.close()
        own = {**os.environ, "RAPPORT_WORKSPACE__PATH": str(config.folder)}
        command = ["import", "contacts", str(file), "--map", "size=attributes.size"]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "web.cli", *command], env=own, check=True, capture_output=True)
        return time.perf_counter() - start


HEAD = "criteria                 people    cold  typed p50    p95     SQL  cold/SQL typed/SQL  ms"


def _show(row: Timed) -> Timed:
    """A line for people, as soon as it is known."""
    print(
        f"{row.name:<22}{row.people:>9,}{statistics.median(row.cold):>8.1f}{statistics.median(row.typed):>11.1f}"
        f"{np.percentile(row.typed, 95):>7.1f}{statistics.median(row.sql):>8.1f}{row.ratio(row.cold):>10.2f}"
        f"{row.ratio(row.typed):>10.2f}",
        flush=True,
    )
    return row


def _report(timed: list[Timed], around: dict[str, float]) -> None:
    """Lines for machines."""
    for name, times in (("cold", [row.cold for row in timed]), ("lists", [row.typed for row in timed])):
        ratios = [row.ratio(asked) for row, asked in zip(timed, times, strict=True)]
        slowest = max(times, key=statistics.median)
        figures = {
            "p50_ms": statistics.median(slowest),
            "p95_ms": float(np.percentile(slowest, 95)),
            "ratio_median": statistics.median(ratios),
            "ratio_worst": max(ratios),
        }
        order = ("refresh_s", "rebuild_s", "freeze_s", "import_s", "intake_per_s", "rss_gib")
        more = {key: around[key] for key in order if key in around} if name == "lists" else {}
        print(f"{name}:", *(f"{key}={_shown(value)}" for key, value in (figures | more).items()))


def _shown(value: float) -> str:
    return f"{value:.0f}" if value > 1000 else f"{value:.2f}"


if __name__ == "__main__":
    main()
