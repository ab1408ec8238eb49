"""A little storefront beside a real Rapport of either database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from engine import intake
from engine.config import Config, build
from web.demo import opening
from web.demo.storefront import sets, settings, store
from web.demo.storefront.app import create_app
from web.demo.storefront.shop import EXTENSION, Shop
from web.demo.workspace import Marker
from web.services import Services, utcnow

URL = "http://127.0.0.1:8001"
FORM = {"email": "New@Shop.Example ", "first_name": "  Zoë ", "last_name": "O'Neill"}  # of the checkout
TEAPOTS = 30
SPECIAL = (
    ("HONEY", "Café Honey 250 g", "Pantry > Preserves > Honey", "4.95", 3, True),
    ("GONE", "Damson Jam 250 g", "Pantry > Preserves > Jam", "3.50", 9, False),
    ("EMPTY", "Fig Leaf Candle", "Home > Scent > Candles", "18", 0, True),
)


@dataclass(frozen=True)
class Browser:
    """A browser at the storefront, and what stands behind the pages."""

    client: FlaskClient
    shop: Shop

    def get(self, path: str, **options: Any) -> TestResponse:
        """A page."""
        return self.client.get(path, **options)

    def post(self, path: str, form: dict[str, Any], **options: Any) -> TestResponse:
        """A form with the word it carries."""
        with self.client.session_transaction() as cookie:
            word = cookie.setdefault("csrf", "the word")
        return self.client.post(path, data={"csrf": word} | form, **options)

    def cookie(self) -> dict[str, Any]:
        """What the signed cookie says."""
        with self.client.session_transaction() as cookie:
            return dict(cookie)


@pytest.fixture
def rapport(app: APIFlask) -> Iterator[str]:
    """Rapport at a real port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(config: Config) -> Config:
    """The storefront may send."""
    tracking = replace(config.tracking, site="little", secret="only the shop knows")
    return replace(config, tracking=tracking, shop=replace(config.shop, origins=URL))


@pytest.fixture
def sqlite_config(sqlite_template: Path, tmp_path: Path) -> Config:
    """The same on SQLite alone."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    return build(
        {
            "workspace": {"path": str(tmp_path)},
            "shop": {"origins": URL},
            "tracking": {"site": "little", "secret": "only the shop knows"},
        }
    )


@pytest.fixture
def furnished(services: Services, rapport: str) -> settings.Settings:
    """The settings of a storefront that was just opened: teapots, some special things, two people."""
    now = utcnow()
    items = [
        {"key": f"POT-{n:02}", "title": f"Sage Teapot {n}", "category": "Kitchen > Tea making > Teapots",
         "brand": "Fennel & Oak", "price": str(10 + n), "stock": 50}
        for n in range(TEAPOTS)
    ] + [
        {"key": key, "title": title, "category": category, "brand": "Plainware", "price": price, "stock": stock,
         "active": active}
        for key, title, category, price, stock, active in SPECIAL
    ]  # fmt: skip
    people = [
        {"key": "C-1", "email": "ann@shop.example", "first_name": "Ann", "last_name": "Lee", "email_consent": True},
        {"key": "C-2", "phone": "+447700900001", "first_name": "Bo"},
    ]
    order = {"order": "O-1", "at": now.isoformat(), "contact": "C-1",
             "lines": [{"item": "POT-03", "quantity": 2, "unit_price": "13"}]}  # fmt: skip
    with services.database.begin() as session:
        for kind, records in (("contacts", people), ("items", items), ("orders", [order])):
            assert not intake.accept(session, kind, records, now=now, config=services.config).rejected
    config = replace(services.config, server=replace(services.config.server, public_url=rapport))
    opening.furnish(services.database, config, Marker(), URL, now)
    return settings.read(opening.settings_file(config))


def buy(browser: Browser, form: dict[str, str] | None = None, **cart: int) -> str:
    """The number of a new order; POT_01=2 puts two of POT-01 into the cart."""
    for key, quantity in (cart or {"HONEY": 2}).items():
        browser.post("/cart/add", {"item": key.replace("_", "-"), "quantity": str(quantity)})
    assert browser.get("/checkout").status_code == 200
    answer = browser.post("/checkout", form or FORM)
    assert answer.status_code == 303, answer.text
    return str(answer.location).rpartition("/")[2]


def order_of(browser: Browser, number: str) -> dict[str, Any]:
    """An order as the shop keeps it."""
    with browser.shop.database.read() as session:
        found = store.order(session, number)
    assert found is not None
    return dict(found)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, pages hear which sets are on sale."""
    monkeypatch.setattr(sets, "PATIENCE", 30.0)


@pytest.fixture
def storefront(furnished: settings.Settings) -> Iterator[Flask]:
    """The application; its orders are told when a test says so."""
    app = create_app(furnished)
    app.testing = True
    yield app
    app.extensions[EXTENSION].close()


@pytest.fixture
def browser(storefront: Flask) -> Browser:
    """A stranger's."""
    return Browser(storefront.test_client(), storefront.extensions[EXTENSION])
