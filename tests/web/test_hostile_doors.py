"""Doors that anybody may knock at, and what strangers try there: each is refused at once, and nothing is written."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from structlog.testing import capture_logs
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from campaigns import tokens
from engine import config as settings
from engine.database import Base
from engine.models import Event
from tests.campaigns import shop
from web import limits
from web.app import create_app
from web.models import LoginFailure
from web.services import Services, open_services

HUGE = 10 * 2**20
TOKENS = (
    "x",
    ".",
    "..",
    "0",
    "1.1.1.1.1",
    "-1.AAAA",
    "１.AAAAAAAAAAAAAAAAAAAAAA",
    "1%00.AAAA",
    "%ff%fe.%ed%a0%80",
    "9" * 5000,
    "A" * 60_000,
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "1'%20OR%20'1'='1.AAAAAAAAAAAAAAAAAAAAAA",
)
METHODS = ("POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")


@pytest.fixture
def send_id(services: Services, now: datetime) -> int:
    """A mail that was sent, so that a good token would do something."""
    with services.database.begin() as session:
        shop.contact(session, 1, now)
        firing = shop.fire(session, shop.campaign(session, now), [1], now)
        shop.accept(session, firing, now)
        return 1


def rows(services: Services) -> dict[str, int]:
    """The number of rows of every table."""
    with services.database.read() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


@contextmanager
def nothing_happens(services: Services, seconds: float = 2.0) -> Iterator[None]:
    """No row is written, nothing is logged as an error, and it does not take long."""
    before, begun = rows(services), time.process_time()
    with capture_logs() as logged:
        yield
    assert rows(services) == before
    assert not [entry for entry in logged if entry["log_level"] in ("error", "critical")]
    assert time.process_time() - begun < seconds  # of CPU: a busy machine is no fault


def refused(answer: TestResponse) -> bool:
    """A refusal that is the caller's fault, and that says nothing of our inside."""
    return 400 <= answer.status_code < 500 and "Traceback" not in answer.text


@pytest.mark.parametrize("door", ["/o/{}.gif", "/c/{}", "/u/{}", "/v/{}"])
def test_tokens_that_are_not_ours(client: FlaskClient, services: Services, send_id: int, door: str) -> None:
    """Nonsense, long, in other digits, with NUL and broken letters: there is nothing at the address."""
    with nothing_happens(services):
        for token, method in product(TOKENS, ("GET", "HEAD", "POST")):
            assert refused(client.open(door.format(token), method=method)), (token[:40], method)


def test_every_letter_of_a_token_counts(client: FlaskClient, services: Services, send_id: int) -> None:
    """One changed letter, a missing or a further one, or another purpose: 404."""
    signer = tokens.signer(services.config)
    good = signer.sign("unsubscribe", send_id)
    changed = [good[:place] + ("A" if letter != "A" else "B") + good[place + 1 :] for place, letter in enumerate(good)]
    foreign = [signer.sign("open", send_id), signer.sign("click", send_id, 1), signer.sign("view", send_id)]
    with nothing_happens(services):
        for token in (*changed, good[:-1], f"{good}A", good.upper(), *foreign):
            assert client.post(f"/u/{token}").status_code == 404, token
    assert client.get(f"/u/{good}").status_code == 200


def test_methods_that_a_door_does_not_take(client: FlaskClient, services: Services, send_id: int) -> None:
    """405 with the methods it takes, also with a good token."""
    signer = tokens.signer(services.config)
    doors = {
        f"/o/{signer.sign('open', send_id)}.gif": "GET",
        f"/c/{signer.sign('click', send_id, 1)}": "GET",
        f"/v/{signer.sign('view', send_id)}": "GET",
        "/sms/inbound": "POST",
        f"/hooks/sms/{signer.sign('message', send_id)}": "POST",
        "/hooks/sendgrid": "POST",
        "/csp-report": "POST",
        "/health": "GET",
    }
    with nothing_happens(services):
        for (door, taken), method in product(doors.items(), (*METHODS, "GET")):
            if method != taken:
                answer = client.open(door, method=method)
                assert (answer.status_code, taken in answer.headers["Allow"]) == (405, True), (door, method)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize(
    "door", ["/u/{}", "/sms/inbound", "/hooks/sms/{}", "/hooks/sendgrid", "/csp-report", "/login", "/session"]
)
def test_ten_megabytes(client: FlaskClient, services: Services, send_id: int, door: str, kind: str) -> None:
    """Refused by their announced size; without one, reading stops at the limit."""
    door = door.format(tokens.signer(services.config).sign("unsubscribe", send_id))
    with nothing_happens(services):
        answer = client.post(door, data=b"a=" + b"x" * HUGE, content_type=kind)
        assert answer.status_code == 413


class Endless:
    """A stream that a caller never ends."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        """As many bytes as are asked for."""
        assert size > 0
        assert self.given < 4 * limits.PUBLIC, "it is read without end"
        self.given += size
        return b"x" * size


@pytest.mark.parametrize("door", ["/csp-report", "/sms/inbound", "/hooks/sms/1.x"])
def test_a_body_without_a_size_is_read_to_the_limit_only(app: APIFlask, services: Services, door: str) -> None:
    """As sent in chunks."""
    kind = "application/x-www-form-urlencoded"
    environ = create_environ(door, method="POST", content_type=kind)
    del environ["CONTENT_LENGTH"]
    environ |= {"wsgi.input": Endless(), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    with nothing_happens(services):
        _, status, _ = run_wsgi_app(app, environ, buffered=True)
        assert int(status.partition(" ")[0]) < 500, status


def test_inbound_messages_that_nobody_signed(client: FlaskClient, services: Services, send_id: int) -> None:
    """No body, no signature, one that is no base64, one of other letters, NUL in a field, a field a thousand times."""
    with nothing_happens(services):
        for signature in (None, "", "x", "AAAA====", "é" * 28, "A" * 5000):
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            for data in ({}, {"From": "+447700900001", "Body": "STOP"}, {"Body": "\0"}, {"A": ["x"] * 2000}):
                assert refused(client.post("/sms/inbound", headers=headers, data=data))


@pytest.mark.parametrize("field", ["email", "password", "next"])
def test_log_in_with_a_megabyte(client: FlaskClient, services: Services, field: str) -> None:
    """Refused before any password is hashed; what fits into the limit is an ordinary failure."""
    filled = {"email": "a@b.example", "password": "wrong", "next": "/"}
    with nothing_happens(services):
        assert client.post("/login", data=filled | {field: "x" * 2**20}).status_code == 413
        assert client.post("/login", data=filled | {field: "x\0"}).status_code == 422
    answer = client.post("/login", data=filled | {field: "x" * 60_000})
    assert answer.status_code == 401
    assert "xxxx" not in answer.headers.get("Location", "")


@pytest.mark.parametrize(
    "junk",
    ["rapport=", "rapport=x", 'rapport="\\000\\377"', "rapport=" + "x" * 60_000, "rapport=é; ;;=;rapport", "=" * 999],
)
def test_cookies_of_junk(client: FlaskClient, services: Services, junk: str) -> None:
    """A cookie that is no session is no session."""
    with nothing_happens(services):
        for path, status in (("/", 303), ("/login", 200), ("/health", 200), ("/nowhere", 404), ("/api/v1/lists", 401)):
            assert client.get(path, headers={"Cookie": junk}).status_code == status, path


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "evil.example/<script>", "a b", "[::1", "é.example", ""]
)
def test_the_host_header_leads_nowhere(client: FlaskClient, api: FlaskClient, services: Services, host: str) -> None:
    """Addresses we give out are relative or begin with server.public_url; a wrong Host is refused or ignored."""
    with nothing_happens(services):
        for path in ("/", "/login?next=//evil.example", "/nowhere", "/static//x", "/u/x", "/lists"):
            answer = client.get(path, headers={"Host": host, "X-Forwarded-Host": host})
            assert answer.status_code < 500, path
            assert "evil.example" not in answer.headers.get("Location", "").replace("%2F", "/").split("?")[0], path
            assert not re.search(r"(href|src|action)=.?(https?:)?//evil", answer.text), path
    answer = api.get("/api/v1/openapi.json", headers={"Host": host})
    assert answer.status_code == 400 or answer.get_json()["servers"] == [{"url": services.config.server.public_url}]


@pytest.fixture
def proxied(services: Services) -> Iterator[FlaskClient]:
    """A caller whose requests come through a proxy."""
    data = {
        "workspace": {"path": str(services.config.folder)},
        "database": {"url": services.config.database_url},
        "server": {"behind_proxy": True},
    }
    ours = open_services(settings.build(data))
    yield create_app(ours).test_client()
    ours.close()


def test_who_is_calling(client: FlaskClient, proxied: FlaskClient, services: Services) -> None:
    """X-Forwarded-For counts only behind a proxy, its last entry only; failed log-ins are counted by it."""
    far = "203.0.113.9"
    for given, place in (
        (far, far),
        (f"127.0.0.1, {far}", far),
        (f"{far}, 127.0.0.1", "127.0.0.1"),
        ("<script>", "<script>"),
        ("x" * 9000, "x" * 64),
    ):
        for browser, counted in ((client, "127.0.0.1"), (proxied, place)):
            browser.post("/login", data={"email": given, "password": "wrong"}, headers={"X-Forwarded-For": given})
            with services.database.read() as session:
                last = select(LoginFailure.address).order_by(LoginFailure.id.desc()).limit(1)
                assert session.scalars(last).one() == counted


def test_a_failed_log_in_is_counted_whatever_a_proxy_says(proxied: FlaskClient) -> None:
    """An address longer than any is cut, not a fault."""
    data = {"email": "a@b.example", "password": "wrong"}
    assert proxied.post("/login", data=data, headers={"X-Forwarded-For": "x" * 500}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "../../pyproject.toml",
        "..%2f..%2f..%2fpyproject.toml",
        "%2e%2e/%2e%2e/app.py",
        "....//....//app.py",
        "..\\..\\app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "manifest.json%00.css",
        "x" * 5000,
        "a/" * 2000,
        ".",
        "",
        "manifest.json/x",
        "%ff%fe",
    ],
)
def test_static_files_stay_in_their_folder(client: FlaskClient, services: Services, path: str) -> None:
    """No way leads out of it, and no name breaks it."""
    with nothing_happens(services):
        answer = client.get(f"/static/{path}", follow_redirects=True)
        assert answer.status_code == 404
        assert "root:" not in answer.text


RANGES = ("0-9", "-5", "0-", "9-1", "99999999999999999999-", "a-b", ",".join(f"{n}-{n}" for n in range(1000)))


@pytest.mark.parametrize("given", [*(f"bytes={part}" for part in RANGES), "lines=1-2", "bytes", "=" * 5000])
def test_ranges(app: APIFlask, client: FlaskClient, services: Services, given: str) -> None:
    """A part of a file, the whole, or 416; never more than the whole, however many parts are asked for."""
    with app.test_request_context():
        assets: Any = app.jinja_env.globals["assets"]
        if not assets.built:
            pytest.skip("no built assets: make assets")
        path = assets.url("app.css")
    with client.get(path) as answer:
        whole = len(answer.data)
    with nothing_happens(services), client.get(path, headers={"Range": given}) as answer:
        assert answer.status_code in {200, 206, 416}
        assert len(answer.data) <= whole


ORIGIN, SITE = "https://shop.example", "shop-1"
HALF = "\ud83d"  # of an emoji
PLAIN: dict[str, Any] = {"key": "k" * 20, "visitor": "v" * 20, "type": "search", "query": "tea"}
BROKEN: tuple[dict[str, Any], ...] = (
    PLAIN | {"query": HALF},
    PLAIN | {"type": HALF},
    PLAIN | {"visitor": HALF * 20},
    PLAIN | {"key": HALF * 20},
    PLAIN | {"results": HALF},
    PLAIN | {HALF: "x"},
    PLAIN | {"type": "item_view", "query": None, "item": f"tea {HALF}"},
    PLAIN | {"type": "order", "query": None, "order": HALF, "items": [{"item": HALF}]},
    PLAIN | {"type": "page_view", "query": None, "title": f"cut {HALF}"},
    *(PLAIN | {"type": "identify", "query": None, who: f"a{HALF}@x"} for who in ("customer", "card", "email", "phone")),
)


@pytest.fixture
def shop_page(services: Services) -> Iterator[FlaskClient]:
    """A page of the shop that may send; orders of pages are trusted."""
    data = {
        "workspace": {"path": str(services.config.folder)},
        "database": {"url": services.config.database_url},
        "shop": {"origins": ORIGIN},
        "tracking": {"site": SITE, "trust_orders": True},
    }
    ours = open_services(settings.build(data))
    yield create_app(ours).test_client()
    ours.close()


def told(client: FlaskClient, **body: Any) -> TestResponse:
    """Call /collect as a page of the shop does."""
    return client.post("/collect", json={"site": SITE} | body, headers={"Origin": ORIGIN})


@pytest.mark.parametrize("broken", BROKEN)
def test_half_a_character_costs_its_event_alone(
    shop_page: FlaskClient, services: Services, broken: dict[str, Any]
) -> None:
    """A lone surrogate is refused with its event, and the good one beside it is taken."""
    assert told(shop_page, events=[broken, PLAIN | {"key": "g" * 20}]).status_code == 204
    with services.database.read() as session:
        assert [one.properties for one in session.scalars(select(Event).where(Event.type == "search"))] == [
            {"query": "tea"}
        ]
    assert told(shop_page, site=HALF, events=[]).status_code == 403


@pytest.mark.parametrize("sent", [9.9e13, 1, 4e12, -1e300, 1e300, 10**400, None, True, HALF])
@pytest.mark.parametrize("at", [1, 9.9e13, 3.99e12, 1e-300, 10**400, -1, HALF])
def test_absurd_clocks(shop_page: FlaskClient, services: Services, sent: Any, at: Any) -> None:
    """The event is taken, between a week ago and now."""
    assert told(shop_page, sent=sent, events=[PLAIN | {"at": at}]).status_code == 204
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 1


@pytest.mark.parametrize("number", [10**400, 1e300, -1e300, 1e-300, "9" * 900, "1e999", "NaN", [], {}])
def test_absurd_numbers(shop_page: FlaskClient, services: Services, number: Any) -> None:
    """Taken or refused, never a fault, and the good event beside it is taken."""
    lines = [{"item": "tea", "quantity": number, "unit_price": number}]
    events = [
        PLAIN | {"key": "a" * 20, "results": number},
        PLAIN | {"key": "b" * 20, "type": "item_view", "query": None, "item": "tea", "value": number},
        PLAIN | {"key": "c" * 20, "type": "order", "query": None, "order": "W-1", "items": lines, "value": number},
        PLAIN,
    ]
    assert told(shop_page, events=events).status_code == 204
    with services.database.read() as session:
        kept = [one.properties for one in session.scalars(select(Event).where(Event.type == "search"))]
        assert {"query": "tea"} in kept
