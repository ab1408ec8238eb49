"""Costly questions leave threads to everybody else, and end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from engine.config import Config
from engine.errors import Busy, Unavailable
from web.services import Services
from web.turns import Turns

ENDLESS = "SELECT count(*) AS n FROM range(100000000) AS a(i), range(100000) AS b(j) WHERE i * j % 7 = 3"
EVERYBODY = {"criteria": {"all": []}}


def turns(config: Config, threads: int, seconds: float = 30.0) -> Turns:
    """Those of a server with so many threads."""
    return Turns(
        replace(
            config,
            server=replace(config.server, threads=threads),
            warehouse=replace(config.warehouse, longest_seconds=seconds),
        )
    )


@contextmanager
def taken(app: APIFlask, guard: Turns) -> Iterator[None]:
    """A turn of another request."""
    with app.test_request_context(), guard.turn():
        yield


def test_one_too_many_is_told_to_come_again(app: APIFlask, services: Services, api: FlaskClient) -> None:
    """At once, while everything that asks for nobody is answered."""
    services.warehouse.guard = guard = turns(services.config, threads=2)
    with taken(app, guard):
        begin = time.perf_counter()
        refused = api.post("/api/v1/lists/preview", json=EVERYBODY)
        assert time.perf_counter() - begin < 10  # it does not wait for the other
        assert (refused.status_code, refused.json["error"]["code"]) == (503, "busy")
        assert refused.headers["Retry-After"] == "5"
        assert api.get("/health").status_code == 200
        assert api.get("/login").status_code == 200
    assert api.post("/api/v1/lists/preview", json=EVERYBODY).status_code == 200


def test_a_request_has_one_turn(app: APIFlask, config: Config) -> None:
    """Whatever it looks for within; the next one has it afterwards."""
    guard = turns(config, threads=2)
    for _ in range(2):
        with taken(app, guard), guard.turn(), pytest.raises(Busy), taken(app, guard):
            pass


def test_half_of_the_threads_at_once(app: APIFlask, config: Config) -> None:
    """Four of eight."""
    guard = turns(config, threads=8)
    with taken(app, guard), taken(app, guard), taken(app, guard), taken(app, guard):
        with pytest.raises(Busy), taken(app, guard):
            pass
        with guard.turn():  # of no request
            pass


def test_a_question_past_its_time_is_interrupted(app: APIFlask, services: Services, api: FlaskClient) -> None:
    """The reason names the setting, and the warehouse goes on."""
    services.warehouse.guard = turns(services.config, threads=8, seconds=0.3)
    for _ in range(2):  # the thread that watches goes on, too
        begin = time.perf_counter()
        with app.test_request_context(), pytest.raises(Unavailable, match=r"warehouse\.longest_seconds"):
            services.warehouse.query(ENDLESS)
        assert time.perf_counter() - begin < 30
        assert api.post("/api/v1/lists/preview", json=EVERYBODY).status_code == 200


def test_work_of_no_request_has_no_deadline(config: Config) -> None:
    """An import or the tick takes what it takes."""
    assert turns(config, threads=8).deadline() is None
