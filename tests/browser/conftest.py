"""A real Chromium against a real server. A test fails on a console error, a script error, a broken content policy or
a request to another host.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from apiflask import APIFlask
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import select
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from engine import config as settings
from engine.config import Config
from web import auth
from web.models import User
from web.services import Services, utcnow

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CHROMIUM = os.environ.get("CHROMIUM") or next(
    (found for found in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if found), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--hide-scrollbars",
]
PASSWORD = "correct horse battery"
expect.set_options(timeout=30_000)  # a busy machine is no fault
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this process."""
    if CHROMIUM is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def config(sqlite_template: Path, tmp_path: Path) -> Config:
    """SQLite only: what a page shows does not depend on the database, the tests of views run on both."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    return settings.build({"workspace": {"path": str(tmp_path)}, "sending": {"undo_seconds": 0}})


@dataclass(frozen=True)
class Site:
    """A running server."""

    url: str
    services: Services


class Answering:
    """An application that tells when it has answered: what it works with is not closed before, though the browser that
    asked has gone.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._changed = threading.Condition()
        self._now = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        """Its answer."""
        with self._changed:
            self._now += 1
        try:
            with closing(ClosingIterator(self._app(environ, start_response))) as pieces:
                yield from pieces
        finally:
            with self._changed:
                self._now -= 1
                self._changed.notify_all()

    def rest(self) -> None:
        """Wait until nothing is under way."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._now, 30)


@pytest.fixture
def site(app: APIFlask, services: Services) -> Iterator[Site]:
    """The application behind a real port, with the user mei@shop.example."""
    with services.database.begin() as session:
        auth.add_user(session, "mei@shop.example", "Mei", PASSWORD, now=utcnow())
    answering = Answering(app)
    server = make_server("127.0.0.1", 0, answering, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield Site(f"http://127.0.0.1:{server.port}", services)
    server.shutdown()
    thread.join()
    answering.rest()
    server.server_close()


@pytest.fixture
def context(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser window that nobody is logged in with; relative addresses go to `site`."""
    context = chromium.new_context(
        base_url=site.url,
        viewport={"width": 1280, "height": 800},
        locale="en-GB",
        timezone_id="Asia/Shanghai",
        reduced_motion="reduce",
        color_scheme="light",
    )
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A tab. Answers 401, 409 and 422 are part of the pages' work, every other fault is not."""
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("console", lambda message: faults.append(message.text) if _is_fault(message.type, message.text) else None)
    page.on("request", lambda request: faults.append(request.url) if _is_foreign(request.url, site) else None)
    yield page
    assert not faults, "\n".join(faults)


@pytest.fixture
def desk(page: Page, site: Site) -> Page:
    """A tab that Mei is logged in with."""
    with site.services.database.begin() as session:
        mei = session.scalars(select(User).where(User.email == "mei@shop.example")).one()
        token = auth.open_session(session, mei, browser="test", now=utcnow())
    page.context.add_cookies([{"name": "rapport", "value": token, "url": site.url}])
    return page


def check_accessible(page: Page) -> None:
    """axe finds no fault of WCAG 2.2 AA, once nothing is dimmed because an answer is under way."""
    expect(page.locator(".htmx-request")).to_have_count(0)
    report = Axe().run(page, options={"runOnly": RULES})
    assert not report.response["violations"], report.generate_report()


def check_fits(page: Page) -> None:
    """Nothing sticks out of a telephone's screen."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(50)  # charts follow the size in the next frame
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def _is_fault(kind: str, text: str) -> bool:
    answered = any(f"status of {status}" in text for status in (401, 409, 422))
    return kind == "error" and not answered


def _is_foreign(url: str, site: Site) -> bool:
    return url.endswith("/csp-report") or not url.startswith((site.url, "data:", "blob:", "about:"))
