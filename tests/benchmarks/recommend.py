"""How fast recommendations are served: `make bench NAME=recommend ARGS="--quick"`.

Makes the demo shop, trains, and serves it as `rapport serve` does. A client asks over HTTP, by wrk where it is
installed (Debian: apt-get install wrk), for the item page and the home page of random contacts and items; beside it
the same server answers a constant of the same size behind the same API key. `ratio` is the share of that rate that
recommendations reach, `p99_ratio` how many times its slowest hundredth. Contacts a second for a mailing to the whole
shop: `batch_alone_per_s` by one process, as for a small one, `batch_per_s` by those that a large one begins, once they
are ready.
ASKED questions are asked in turn. A line before that tells the same of questions that nobody has asked before, one for
each contact at home beside items as they come, and how many of MANY connections at once failed, which counts as errors.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from unittest.mock import patch

from apiflask import APIFlask
from flask import Response
from granian import Granian
from granian.constants import Interfaces
from sqlalchemy import insert, select

from engine import config as settings
from engine import schema
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Item
from recommender import crew, training
from web import lane, security, wsgi
from web.api import access
from web.cli.server import allow_descriptors
from web.demo.load import load
from web.demo.shop import generate
from web.services import opened, utcnow

CONNECTIONS = 64
MANY = 10_000  # connections at once; a process needs a descriptor for each
PATIENCE = 120  # seconds that MANY wait for their answers
ASKED = 2000  # different questions
WARM = 2000  # contacts of a first mailing, which is not measured
UNSOLD = "unsold-"  # begins the keys of items that fill the shop up
RECOMMENDATIONS, CONSTANT = "/api/v1/recommendations", "/constant"


@dataclass(frozen=True)
class Load:
    """What a server did under load: answers a second, 99th percentile in milliseconds, answers that were no 200."""

    rate: float
    p99: float
    errors: int


def main() -> None:
    """Measure and print one line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument(
        "--items", type=int, default=100_000, help="how many the shop sells; most of them nobody bought"
    )
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a quarter of the contacts, 4 seconds")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        _serve()
        return
    contacts, seconds = (given.contacts // 4, 4) if given.quick else (given.contacts, given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        config = settings.build({"workspace": {"path": folder}, "server": {"port": _free_port()}})
        allow_descriptors()
        key, bodies, fresh = _prepare(config, contacts, given.items)
        with _serving(config):
            connection = HTTPConnection("127.0.0.1", config.server.port)
            (Path(folder) / "constant.json").write_bytes(_ask(connection, RECOMMENDATIONS, key, bodies[0])[1])
            _load(config, RECOMMENDATIONS, key, fresh[:100], 2)
            first = _load(config, RECOMMENDATIONS, key, fresh, seconds)
            found = _load(config, RECOMMENDATIONS, key, bodies, seconds)
            floor = _load(config, CONSTANT, key, bodies, seconds)
            many = _many(config, key, bodies, seconds) if shutil.which("wrk") else None
        figures = {
            **_beside(found, floor),
            "errors": first.errors + found.errors + floor.errors + (many.errors if many else 0),
        }
        figures["batch_alone_per_s"], figures["batch_per_s"] = _batch(config)
    crowd = {"many_rps": many.rate, "many_errors": many.errors} if many else {}
    _print("never asked before:", _beside(first, floor) | crowd)
    _print("recommend:", figures)


def _beside(found: Load, floor: Load) -> dict[str, float]:
    return {
        "ratio": found.rate / floor.rate,
        "p99_ratio": found.p99 / floor.p99,
        "p99_ms": found.p99,
        "rps": found.rate,
    }


def _print(title: str, figures: dict[str, float]) -> None:
    print(title, *(f"{name}={value:.4g}" for name, value in figures.items()))


def create() -> APIFlask:
    """What granian serves: the application, and beside it a constant of a real answer's size."""
    app = wsgi.create()
    path = settings.load().folder / "constant.json"

    @app.post(CONSTANT)
    @security.public
    def constant() -> Response:
        access.authenticate()
        return Response(path.read_bytes(), content_type="application/json")

    app.wsgi_app = lane.one_at_a_time(app.wsgi_app, {CONSTANT})  # type: ignore[method-assign]  # as what it stands beside
    return app


def _prepare(config: Config, contacts: int, items: int) -> tuple[str, list[bytes], list[bytes]]:
    """The shop, a training, a key, questions, and questions of which no home page is asked for twice."""
    now = utcnow()
    database = Database(config.database_url)
    schema.upgrade(database)
    load(database, generate(1, now, contacts))
    _stock(database, items)
    database.close()
    with opened(config) as services:
        training.train(services.database, services.warehouse, config, now=now)
        with services.database.begin() as session:
            key = access.add_key(session, "bench", ["recommendations:read"], now=now)
            people = list(session.scalars(select(Contact.key)))
            sold = list(session.scalars(select(Item.key).where(Item.active, Item.key.not_like(f"{UNSOLD}%"))))
    draw = random.Random(1)
    bodies = [question for _ in range(ASKED // 2) for question in _pair(draw.choice(people), draw.choice(sold))]
    draw.shuffle(people)
    fresh = [question for contact in people for question in _pair(contact, draw.choice(sold))]
    return key, bodies, fresh


def _pair(contact: str, item: str) -> list[bytes]:
    """An item's page and the home page of a contact."""
    page = {"placement": "item", "contact": contact, "context": {"items": [item]}}
    return [json.dumps(body).encode() for body in (page, {"placement": "home", "contact": contact})]


def _stock(database: Database, count: int) -> None:
    """Fill the shop up to `count` items."""
    with database.begin() as session:
        rows = [dict(row) for row in session.execute(select(Item.__table__)).mappings()]
        first = max(row["id"] for row in rows) + 1
        more = [
            {**rows[number % len(rows)], "id": first + number, "key": f"{UNSOLD}{number}"}
            for number in range(count - len(rows))
        ]
        if more:
            session.execute(insert(Item), more)


def _batch(config: Config) -> tuple[float, float]:
    """Contacts a second for whom a mailing's products are found, of the whole shop: by one process, and by those that a
    large audience begins, once they are ready.
    """
    with opened(config) as services, services.database.read() as session:
        ids = list(session.scalars(select(Contact.id)))
        recommender = services.recommender

        def rate() -> float:
            begun = time.perf_counter()
            recommender.recommend_many(session, "email", ids, 6, now=utcnow())
            return len(ids) / (time.perf_counter() - begun)

        recommender.recommend_many(session, "email", ids[:WARM], 6, now=utcnow())
        with patch.object(crew, "LARGE", len(ids) + 1):
            alone = rate()
        with patch.object(crew, "LARGE", len(ids)):
            rate()
            end = time.monotonic() + PATIENCE
            while recommender.crew.ready < crew.MOST and time.monotonic() < end:
                time.sleep(0.1)
            return alone, rate()


@contextmanager
def _serving(config: Config) -> Iterator[None]:
    """The server in its own process, once it answers."""
    own = {"WORKSPACE__PATH": config.workspace.path, "SERVER__PORT": str(config.server.port), "LOG__LEVEL": "error"}
    environment = os.environ | {f"RAPPORT_{name}": value for name, value in own.items()}
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.recommend", "--serve"], env=environment)
    try:
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", config.server.port), 1):
                break
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _serve() -> None:
    """As `rapport serve` does, with one more address."""
    server = settings.load().server
    Granian(
        "tests.benchmarks.recommend:create",
        address=server.host,
        port=server.port,
        interface=Interfaces.WSGI,
        factory=True,
        blocking_threads=server.threads,
        websockets=False,
        log_enabled=False,
    ).serve()


def _load(config: Config, path: str, key: str, bodies: list[bytes], seconds: int) -> Load:
    """Keep CONNECTIONS busy with questions in turn."""
    return (_wrk if shutil.which("wrk") else _threads)(config, path, key, bodies, seconds)


def _many(config: Config, key: str, bodies: list[bytes], seconds: int) -> Load:
    """MANY connections, or as many as there may be descriptors; they wait for their turn."""
    connections = min(MANY, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    return _wrk(config, RECOMMENDATIONS, key, bodies, 2 * seconds, connections)


def _wrk(
    config: Config, path: str, key: str, bodies: list[bytes], seconds: int, connections: int = CONNECTIONS
) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f'wrk.method = "POST"\nwrk.headers["Authorization"] = "Bearer {key}"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            f"local bodies = {{{','.join(f'[==[{body.decode()}]==]' for body in bodies)}}}\nlocal at = 0\n"
            "request = function() at = at % #bodies + 1; return wrk.format(nil, nil, nil, bodies[at]) end\n"
        )
        script.flush()
        command = ["wrk", "--threads", "2", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
        command += ["--timeout", f"{PATIENCE}s"]
        address = f"http://127.0.0.1:{config.server.port}{path}"
        told = subprocess.run([*command, "--script", script.name, address], capture_output=True, text=True, check=True)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", told.stdout).groups()  # type: ignore[union-attr]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told.stdout)[1])  # type: ignore[index]
    wrong = [int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", told.stdout)]
    wrong += [
        int(number) for found in re.findall(r"Socket errors: (.*)", told.stdout) for number in re.findall(r"\d+", found)
    ]
    return Load(rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit], sum(wrong))


def _threads(config: Config, path: str, key: str, bodies: list[bytes], seconds: int) -> Load:
    end = time.monotonic() + seconds

    def client(first: int) -> tuple[list[float], int]:
        connection, times, errors = HTTPConnection("127.0.0.1", config.server.port, timeout=30), [], 0
        for body in itertools.cycle(bodies[first::CONNECTIONS]):
            begun = time.perf_counter()
            status, _ = _ask(connection, path, key, body)
            times.append(time.perf_counter() - begun)
            errors += status != 200
            if time.monotonic() > end:
                return times, errors
        raise AssertionError("there are no questions")

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        found = list(threads.map(client, range(CONNECTIONS)))
    times = sorted(one for some, _ in found for one in some)
    return Load(len(times) / seconds, times[int(len(times) * 0.99)] * 1000, sum(errors for _, errors in found))


def _ask(connection: HTTPConnection, path: str, key: str, body: bytes) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
