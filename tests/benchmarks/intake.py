"""How fast records come in over HTTP: `make bench NAME=intake ARGS="--quick"`.

Starts `rapport serve` with one process, as it comes, over a shop of 100,000 contacts and 1,000,000 events, and lets
eight clients send batches of 500 over connections they keep: events, contacts, items, orders (of three lines), new
ones and then the same once more. `floor` is the same rows put into the same tables of a copy of the shop by the
driver's executemany and COPY, a transaction for each batch: what the database takes with nothing around it.

    --quick       a tenth of the shop and a quarter of the records
    --workspace   a shop that is there, such as one of `make bench NAME=lists ARGS="--workspace PATH"`, on SQLite; it
                  keeps what is sent
    --profile     where one process spends its time on events, without HTTP
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine import config as settings
from engine import intake, schema
from engine.config import Config
from engine.database import Database, microseconds, next_revision
from engine.intake import bulk
from engine.models import Contact, Event, Item
from tests.served import Served
from tests.torture.kill import scratch_database
from web.services import utcnow

NOW = datetime.now(UTC)
ITEMS = 600
BATCH = 500
CLIENTS = 8
RECORDS = {"events": 200_000, "contacts": 40_000, "items": 20_000, "orders": 20_000}
TYPES = ("item_view", "page_view", "search", "cart_add")


def main() -> None:
    """Measure and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--kind", choices=list(RECORDS), action="append")
    parser.add_argument("--workers", default="1", help="processes of the server")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--workspace", type=Path)
    given = parser.parse_args()
    contacts, events = (10_000, 100_000) if given.quick else (100_000, 1_000_000)
    figures: dict[str, float] = {}
    for kind in ["sqlite"] if given.workspace else given.database or ("sqlite", "postgresql"):
        with there(given.workspace) if given.workspace else shop(kind, contacts, events) as (config, database):
            contacts = _count(database, Contact)
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {contacts:,} contacts,"
                  f" {_count(database, Event):,} events")  # fmt: skip
            if given.profile:
                profile(config, database, contacts)
                continue
            with Served(config, database, RAPPORT_SERVER__WORKERS=given.workers) as served:
                for name in given.kind or RECORDS:
                    count = RECORDS[name] // (4 if given.quick else 1)
                    bodies = batches(name, count, contacts, seed=_count(database, Event))
                    figures[f"{kind}_{name}_per_s"] = rate(served, name, bodies)
                    figures[f"{kind}_{name}_again_per_s"] = rate(served, name, bodies)
            figures[f"{kind}_floor_per_s"] = floor(database, RECORDS["events"] // 4, contacts)
    if figures:
        print("intake:", *(f"{name}={value:.0f}" for name, value in figures.items()))


@contextmanager
def shop(kind: str, contacts: int, events: int) -> Iterator[tuple[Config, Database]]:
    """A filled database of either kind and its workspace, gone at the end."""
    with tempfile.TemporaryDirectory() as folder, scratch_database(kind, Path(folder)) as database:
        fill(database, contacts, events)
        yield settings.build({"workspace": {"path": folder}}), database


@contextmanager
def there(folder: Path) -> Iterator[tuple[Config, Database]]:
    """A shop from before."""
    config = settings.build({"workspace": {"path": str(folder)}})
    database = Database(config.database_url)
    schema.upgrade(database)
    yield config, database
    database.close()


def _count(database: Database, model: Any) -> int:
    with database.read() as session:
        return session.scalar(select(func.max(model.id))) or 0


def rate(served: Served, kind: str, bodies: Sequence[bytes]) -> float:
    """Records a second that were acknowledged, sent by CLIENTS connections at once."""
    work: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        work.put(body)
    faults: list[Any] = []
    threads = [threading.Thread(target=_send, args=[served, kind, work, faults]) for _ in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(f"not everything was taken: {faults[0]}")
    return len(bodies) * BATCH / (time.perf_counter() - start)


def floor(database: Database, count: int, contacts: int) -> float:
    """Events a second by the driver alone, a transaction for each batch."""
    start = time.perf_counter()
    for first in range(0, count, BATCH):
        with database.begin() as session:
            _load(session, Event, BATCH, _events(_count(database, Event) + 10**9 + first, BATCH, contacts))
    return count / (time.perf_counter() - start)


def batches(kind: str, count: int, contacts: int, seed: int = 7) -> list[bytes]:
    """Bodies of calls that bring `count` new records."""
    rng = np.random.default_rng(seed)
    made = [RECORD[kind](number, rng.integers(0, 2**31, 8).tolist(), contacts) for number in range(count)]
    return [json.dumps({kind: made[first : first + BATCH]}).encode() for first in range(0, count, BATCH)]


def profile(config: Config, database: Database, contacts: int) -> None:
    """Print where the time goes when events are accepted."""
    bodies = [json.loads(body)["events"] for body in batches("events", 20_000, contacts)]
    with cProfile.Profile() as profiler:
        for records in bodies:
            with database.begin() as session:
                intake.accept(session, "events", records, now=utcnow(), config=config)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


def _send(served: Served, kind: str, work: queue.SimpleQueue[bytes], faults: list[Any]) -> None:
    client = served.client()
    while not work.empty():
        try:
            body = work.get_nowait()
        except queue.Empty:
            break
        status, answer = served.post(client, f"/api/v1/{kind}", body)
        if status != 200 or answer["rejected"]:
            faults.append(answer)
    client.close()


def _event(number: int, chance: list[int], contacts: int) -> dict[str, Any]:
    who = {"contact": f"c{chance[0] % contacts}"} if chance[1] % 2 else {"visitor": f"v{chance[0] % contacts}"}
    return {
        "key": f"{chance[2]:08x}{number:08x}",
        "type": TYPES[chance[3] % len(TYPES)],
        "at": f"2026-10-{chance[4] % 28 + 1:02}T{chance[4] % 24:02}:{chance[5] % 60:02}:{chance[6] % 60:02}Z",
        **who,
        "item": f"i{chance[7] % ITEMS}",
        "origin": "web",
        "properties": {"page": f"/p/{chance[7] % ITEMS}", "q": "wine", "position": chance[6] % 20},
    }


def _contact(number: int, chance: list[int], _contacts: int) -> dict[str, Any]:
    return {
        "key": f"n{number}",
        "email": f"n{number}@shop.example",
        "first_name": f"Ann {chance[0] % 1000}",
        "last_name": f"Lee {chance[1] % 1000}",
        "birth_date": f"{1950 + chance[2] % 50}-03-31",
        "country": "United Kingdom",
        "city": f"Town {chance[3] % 500}",
        "email_consent": chance[4] % 2 == 0,
        "attributes": {"size": chance[5] % 30, "tier": "gold"},
    }


def _item(number: int, chance: list[int], _contacts: int) -> dict[str, Any]:
    price = chance[0] % 10_000 / 100
    return {"key": f"n{number}", "title": f"Item {number}", "category": "Food > Wine", "brand": "Lux", "price": price,
            "cost": "1.50", "stock": chance[1] % 100, "attributes": {"year": 2000 + chance[2] % 26}}  # fmt: skip


def _order(number: int, chance: list[int], contacts: int) -> dict[str, Any]:
    lines = [
        {"item": f"i{chance[place] % ITEMS}", "quantity": 1 + place, "unit_price": 9.99, "discount": "0.50"}
        for place in range(3)
    ]
    return {"order": f"n{number}", "at": f"2026-10-{chance[4] % 28 + 1:02}T10:00:00Z", "channel": "web",
            "contact": f"c{chance[0] % contacts}", "lines": lines}  # fmt: skip


RECORD: dict[str, Callable[[int, list[int], int], dict[str, Any]]] = {
    "events": _event,
    "contacts": _contact,
    "items": _item,
    "orders": _order,
}


def fill(database: Database, contacts: int, events: int) -> None:
    """Contacts c0 ..., items i0 ..., and events of theirs."""
    with database.begin() as session:
        people = {"key": [f"c{n}" for n in range(contacts)], "bucket": list(range(contacts))}
        _load(session, Contact, contacts, people | _born(contacts))
        sold = {"active": [True] * ITEMS, "recommendable": [True] * ITEMS, "currency": ["GBP"] * ITEMS}
        _load(session, Item, ITEMS, {"key": [f"i{n}" for n in range(ITEMS)]} | sold | _born(ITEMS))
    for first in range(0, events, 100_000):
        with database.begin() as session:
            _load(session, Event, 100_000, _events(first, 100_000, contacts))


def _born(count: int) -> dict[str, Any]:
    return {"attributes": ["{}"] * count, "created_at": [NOW] * count, "updated_at": [NOW] * count}


def _events(first: int, count: int, contacts: int) -> dict[str, Any]:
    rng = np.random.default_rng([3, first])
    keys = rng.integers(0, 2**31, count).tolist()
    return {
        "key": [f"{chance:08x}-{first + place}" for place, chance in enumerate(keys)],
        "contact_id": rng.integers(1, contacts + 1, count).tolist(),
        "type": ["item_view"] * count,
        "occurred_at": (np.datetime64(NOW.replace(tzinfo=None)) - rng.integers(0, 10**13, count)).tolist(),
        "item_id": rng.integers(1, ITEMS + 1, count).tolist(),
        "origin": ["web"] * count,
        "properties": ['{"page": "/p/1", "q": "wine", "position": 7}'] * count,
    }


def _load(session: Session, model: Any, count: int, columns: dict[str, Any]) -> None:
    """Moments as the database holds them."""
    moment = microseconds if session.get_bind().dialect.name == "sqlite" else datetime.isoformat
    for name in {"occurred_at", "created_at", "updated_at"} & columns.keys():
        columns[name] = [moment(value.replace(tzinfo=UTC)) for value in columns[name]]
    bulk.load(session, model.__table__, columns | {"revision": [next_revision(session)] * count})


if __name__ == "__main__":
    main()
