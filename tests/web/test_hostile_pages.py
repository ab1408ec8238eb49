"""Every page with what does not belong into its address: a page or a refusal, never a fault of ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.routing import Rule

from tests.campaigns import shop
from web.services import Services

# For <int:...>: a row that is there, none, the largest of SQLite and PostgreSQL, beyond it, other digits, no number.
NUMBERS: Final = (
    "1",
    "0",
    "404",
    str(2**31),
    str(2**63 - 1),
    str(2**63),
    "9" * 400,
    "-1",
    "１",
    "1.0",
    "abc",
    "%00",
    "1%20",
)
WORDS: Final = ("x", "%00", "%ff", "%ed%a0%80", "..", "a" * 2000, "'%22%3Cscript%3E", "%F0%9F%8E%81", "0" * 32)

# How a page reads a parameter of its query.
READ: Final = re.compile(r'\b(?:args|query)(?:\.get\(|\[)"(\w+)"')

VALUES: Final = (
    "",
    "abc",
    "²",
    "1,²," + str(2**63),
    str(2**63),
    "9" * 400,
    "%00",
    "%ed%a0%80",
    "2026-13-45",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "[" * 5000,
    '{"all":[{"field":"age","operator":"is","value":' + "9" * 400 + "}]}",
    '{"all":[{"field":"age\\u0000","operator":"is","value":1}]}',
    "x" * 100_000,
)


def pages(app: APIFlask) -> list[Rule]:
    """Addresses of pages that answer to GET."""
    return [
        rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
        and not rule.endpoint.startswith(("api.", "public."))
        and rule.endpoint != "static_file"
    ]


def addresses(rule: Rule) -> list[str]:
    """The address with each wrong value in its place."""
    if not rule.arguments:
        return [rule.rule]
    first, *rest = re.split(r"<[^>]+>", rule.rule)
    values = NUMBERS if "<int:" in rule.rule else WORDS
    return [first + "".join(value + part for part in rest) for value in values]


def parameters(app: APIFlask, rule: Rule) -> set[str]:
    """What the page may read from its query: all that its module, or package, reads."""
    module = inspect.getmodule(inspect.unwrap(app.view_functions[rule.endpoint]))
    path = Path(str(getattr(module, "__file__", "")))
    sources = path.parent.glob("*.py") if path.name == "__init__.py" and path.parent.name != "web" else [path]
    return {name for source in sources for name in READ.findall(source.read_text(encoding="utf-8"))}


@pytest.fixture
def filled(services: Services, now: datetime) -> Services:
    """A shop with a contact, an item, a list and a campaign that was sent, all number 1."""
    with services.database.begin() as session:
        shop.contact(session, 1, now)
        shop.item(session, 1, now)
        firing = shop.fire(session, shop.campaign(session, now), [1], now)
        shop.accept(session, firing, now)
    services.warehouse.refresh()
    return services


@contextmanager
def no_fault() -> Iterator[None]:
    """Nothing is logged as an error."""
    with capture_logs() as logged:
        yield
    assert not [entry for entry in logged if entry["log_level"] in ("error", "critical")]


def test_addresses(app: APIFlask, marketer: FlaskClient, filled: Services) -> None:
    """Numbers and names that are none."""
    with no_fault():
        for rule in pages(app):
            for address in addresses(rule):
                with marketer.get(address) as answer:
                    assert answer.status_code < 500, address[:200]


def test_queries(app: APIFlask, marketer: FlaskClient, filled: Services) -> None:
    """Values that are none, in every parameter that a page reads, one hundred kilobytes too."""
    with no_fault():
        for rule in pages(app):
            for name, value in product(sorted(parameters(app, rule)), VALUES):
                with marketer.get(f"{addresses(rule)[0]}?{name}={quote(value, safe='%')}") as answer:
                    assert answer.status_code < 500, f"{rule.rule} ?{name}={value}"[:300]


def test_forms(app: APIFlask, marketer: FlaskClient, filled: Services) -> None:
    """A form without anything, with NUL, and one that is no form: refused, or put right and shown again."""
    with no_fault():
        for rule in app.url_map.iter_rules():
            if "POST" in (rule.methods or ()) and not rule.endpoint.startswith("api."):
                for address in addresses(rule)[:3]:
                    for data in (
                        {},
                        {"q": "\0"},
                        {"q": "[" * 3000, "name": "x" * 5000, "version": "9" * 30},
                        b"\xff%%%&&==",
                    ):
                        answer = marketer.post(address, data=data)
                        assert answer.status_code < 500, (address, str(data)[:80])
