"""The snippet on the pages of a little shop, on another host than Rapport: every event counts, and counts once."""

from __future__ import annotations

import gzip
import http.server
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route
from sqlalchemy import select

from campaigns import tokens
from engine import config as settings
from engine import intake, website
from engine.config import Config
from engine.models import Contact, Event, Flyer, Order
from engine.sources import flyers
from tests.browser.conftest import Site
from web.assets import serving
from web.models import RefusedEvent
from web.services import utcnow

SITE, SECRET = "shop-1", "only the shop knows"
PAGE = """<!doctype html><html lang="en"><title>{title}</title><link rel="icon" href="data:,">
<script>window.rapport=window.rapport||function(){{(rapport.q=rapport.q||[]).push(arguments)}};rapport('page')</script>
<script async src="{rapport}/t.js" data-site="{site}" data-consent="{consent}"></script><h1>{title}</h1></html>"""

PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="90"><rect width="40" height="90" fill="teal"/></svg>'
)


class Shop:
    """A server of pages that load the snippet."""

    def __init__(self) -> None:
        self.rapport, self.consent, self.key = "", "none", ""
        self.page, self.bodies = PAGE, dict[str, str]()
        shop = self

        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                title = self.path.partition("?")[0].strip("/") or "home"
                known = {"rapport": shop.rapport, "site": SITE, "key": shop.key, "consent": shop.consent}
                words = shop.page.format(title=title, **known) + shop.bodies.get(title, "")
                is_picture = title.endswith(".svg")
                self.send_response(200)
                self.send_header("Content-Type", "image/svg+xml" if is_picture else "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write((PICTURE if is_picture else words).encode())

            def log_message(self, *_words: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.url = f"http://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.02])
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def little_shop() -> Iterator[Shop]:
    """Open while the test runs."""
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def config(sqlite_template: Path, tmp_path: Path, little_shop: Shop) -> Config:
    """The shop's origin and key, and the secret of its server."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    return settings.build(
        {
            "workspace": {"path": str(tmp_path)},
            "shop": {"origins": little_shop.url},
            "tracking": {"site": SITE, "secret": SECRET},
        }
    )


@pytest.fixture
def shop(site: Site, little_shop: Shop) -> Shop:
    """The shop with the address of the running Rapport."""
    little_shop.rapport = site.url
    return little_shop


def events(site: Site) -> list[Event]:
    with site.services.database.read() as session:
        found = list(session.scalars(select(Event).order_by(Event.id)))
        session.expunge_all()
        return found


def until(look: Callable[[], Any], page: Page) -> Any:
    """What `look` finds, once it finds something; at most 30 s."""
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came in 30 s"
        page.wait_for_timeout(50)
    return found


def settled(site: Site, page: Page, number: int) -> list[Event]:
    """All events, once there are so many; none may follow."""
    until(lambda: len(events(site)) >= number, page)
    page.wait_for_timeout(1000)
    return events(site)


def told(page: Page, *call: Any) -> None:
    page.evaluate("call => window.rapport(...call)", list(call))


def test_a_visit_from_the_first_page_to_being_recognised(context: BrowserContext, site: Site, shop: Shop) -> None:
    """Views, searches, orders, closed in mid-send, back again, says who it is: each event once, all the contact's."""
    now = utcnow()
    with site.services.database.begin() as session:
        given = (("contacts", {"key": "C-1", "email": "ann@shop.example"}), ("items", {"key": "tea", "title": "Tea"}))
        for kind, record in given:
            intake.accept(session, kind, [record], now=now, config=site.services.config)
    page = context.new_page()
    page.goto(f"{shop.url}/home?utm_source=leaflet&utm_campaign=may&secret=1")
    page.wait_for_function("!window.rapport.q")
    told(page, "item", "tea", {"value": "4.50"})
    told(page, "search", "green tea", {"results": 3})
    told(page, "cart_add", "tea", {"quantity": 2})
    told(page, "cart_remove", "no such item")
    page.evaluate("history.pushState({}, '', '/basket')")
    settled(site, page, 6)
    page.evaluate("history.replaceState({}, '', '/basket')")  # nowhere new
    told(page, "order", "o-1", {"value": "9.00", "items": [{"item": "tea", "quantity": 2, "unit_price": "4.50"}]})
    page.close()  # in mid-send: 300 ms before the snippet would have
    page = context.new_page()
    page.goto(f"{shop.url}/thanks")
    settled(site, page, 8)
    told(page, "identify", {"customer": "C-1", "signature": website.sign(SECRET, "customer", "C-1")})
    found = settled(site, page, 9)
    assert Counter(one.type for one in found) == {
        "page_view": 3, "item_view": 1, "search": 1, "cart_add": 1, "cart_remove": 1, "checkout": 1, "identify": 1,
    }  # fmt: skip
    by_type = {one.type: one for one in found}
    first = min(found, key=lambda one: one.occurred_at).properties
    assert (first["utm_source"], first["utm_campaign"], first["title"]) == ("leaflet", "may", "home")
    assert (by_type["item_view"].item_id is not None, by_type["item_view"].value) == (True, 45_000)
    assert by_type["cart_remove"].properties["unknown_item"] == "no such item"
    with site.services.database.read() as session:
        ann = session.scalars(select(Contact)).one()
        assert {one.contact_id for one in found} == {ann.id}
        assert not session.scalars(select(Order)).all()  # a browser's word is no order
        assert not session.scalars(select(RefusedEvent)).all()


def test_what_could_not_be_sent_is_sent_once_later(context: BrowserContext, site: Site, shop: Shop) -> None:
    """The server gone, its answer lost, a page closed: the next page brings the rest, and nothing is doubled."""
    page = context.new_page()
    page.route("**/collect", lambda route: route.abort())
    page.goto(f"{shop.url}/home")
    page.wait_for_function("!window.rapport.q")
    for number in range(5):
        told(page, "search", f"word {number}")
    page.wait_for_timeout(800)
    page.unroute("**/collect")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/collect", lose_the_answer)
    page.goto(f"{shop.url}/two")
    settled(site, page, 7)
    page.unroute("**/collect")
    page.goto(f"{shop.url}/three")
    found = settled(site, page, 8)
    assert Counter(one.type for one in found) == {"page_view": 3, "search": 5}
    assert sorted(one.properties["query"] for one in found if one.type == "search") == [f"word {n}" for n in range(5)]
    assert len({one.visitor for one in found}) == 1


def test_nothing_before_consent(context: BrowserContext, site: Site, shop: Shop) -> None:
    """Nothing stored, nothing sent; a yes brings the page along, a no takes all away."""
    shop.consent = "ask"
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "collect" in request.url else None)
    page.goto(f"{shop.url}/home")
    page.wait_for_function("!window.rapport.q")
    told(page, "search", "tea")
    page.wait_for_timeout(800)
    page.goto(f"{shop.url}/two")
    page.wait_for_function("!window.rapport.q")
    page.wait_for_timeout(500)
    assert (sent, context.cookies(), page.evaluate("Object.keys(localStorage)")) == ([], [], [])
    told(page, "consent", True)
    [found] = settled(site, page, 1)
    assert (found.type, found.properties["title"]) == ("page_view", "two")
    told(page, "consent", False)
    told(page, "search", "coffee")
    page.goto(f"{shop.url}/three")
    page.wait_for_timeout(800)
    assert len(events(site)) == 1
    assert (context.cookies(), page.evaluate("Object.keys(localStorage)")) == ([], ["rapport.consent"])


def test_global_privacy_control_is_a_no(context: BrowserContext, site: Site, shop: Shop) -> None:
    """Whatever the page says."""
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page = context.new_page()
    page.goto(f"{shop.url}/home")
    page.wait_for_function("!window.rapport.q")
    told(page, "consent", True)
    told(page, "page")
    page.wait_for_timeout(800)
    assert (events(site), context.cookies(), page.evaluate("Object.keys(localStorage)")) == ([], [], [])


def test_who_came_by_a_flyer(context: BrowserContext, site: Site, shop: Shop) -> None:
    """The scan joins the history of the browser, at first sight and later; the word for it is out of the address at
    once, and does nothing for whoever opens a copy of it. A name that anybody wrote there does nothing either.
    """
    page, words = context.new_page(), []
    for number in range(2):
        name = f"flyer-{number}-0123456789"
        with site.services.database.begin() as session:
            flyer = Flyer(code="YORK", name="York")
            key = flyers.scan(session, flyer, name, now=utcnow(), config=site.services.config)
        told_at = int(utcnow().timestamp())
        word = tokens.signer(site.services.config).sign("visitor", key, website.digest(name), told_at)
        words.append(f"{shop.url}/spring?a=1&rapport_visitor={word}#top")
        page.goto(words[-1])
        settled(site, page, 2 * (number + 1))
        assert page.url == f"{shop.url}/spring?a=1#top"
    [visitor] = {one.visitor for one in events(site)}
    assert not (visitor or "").startswith("flyer")
    assert {one.properties.get("url") for one in events(site)} == {None, f"{shop.url}/spring?a=1"}
    other = context.browser.new_context().new_page()  # type: ignore[union-attr]
    for address in (words[0], f"{shop.url}/spring?rapport_visitor={visitor}"):
        other.goto(address)
        assert "rapport_visitor" not in until(lambda: "visitor" not in other.url and other.url, other)
    found = settled(site, other, 6)
    other.context.close()
    assert [one.visitor == visitor for one in found] == [True] * 4 + [False] * 2


def test_a_title_is_cut_between_characters(context: BrowserContext, site: Site, shop: Shop) -> None:
    """One of emoji, too long: 300 whole ones are kept."""
    page = context.new_page()
    page.goto(f"{shop.url}/a")
    page.wait_for_function("!window.rapport.q")
    page.evaluate("document.title = 'x' + '😀'.repeat(400)")
    told(page, "page")
    title = settled(site, page, 2)[-1].properties["title"]
    assert title == "x" + "😀" * 299


def test_a_signed_word_makes_a_contact(context: BrowserContext, site: Site, shop: Shop) -> None:
    """An unsigned one and a false signature join nobody, and are shown to who sets it up."""
    page = context.new_page()
    page.goto(f"{shop.url}/account")
    page.wait_for_function("!window.rapport.q")
    told(page, "identify", {"email": "new@shop.example"})
    told(page, "identify", {"customer": "C-9", "signature": "0" * 64})

    def refused() -> list[str]:
        with site.services.database.read() as session:
            return list(session.scalars(select(RefusedEvent.reason).order_by(RefusedEvent.id)))

    until(lambda: len(refused()) == 2, page)
    assert ["must be signed" in refused()[0], "does not fit" in refused()[1]] == [True, True]
    with site.services.database.read() as session:
        assert not session.scalars(select(Contact)).all()
    told(page, "identify", {"customer": "C-9", "signature": website.sign(SECRET, "customer", "C-9")})
    found = settled(site, page, 2)
    with site.services.database.read() as session:
        known = session.scalars(select(Contact)).one()
        assert (known.key, {one.contact_id for one in found}) == ("C-9", {known.id})


def test_another_shop_may_not_send(context: BrowserContext, site: Site, shop: Shop) -> None:
    """A page of another origin is refused, and the refusal is kept for the debugger."""
    page = context.new_page()
    page.goto(shop.url.replace("localhost", "127.0.0.1"))
    page.wait_for_function("!window.rapport.q")

    def refused() -> list[str]:
        with site.services.database.read() as session:
            return list(session.scalars(select(RefusedEvent.reason)))

    assert "not among shop.origins" in until(refused, page)[0]
    assert not events(site)


def test_it_is_small() -> None:
    """Less than 5 kB on the wire, and its style less than 1."""
    files = serving.Assets(serving.DIST)
    assert files.built
    for kind, most in (("js", 5_000), ("css", 1_000)):
        [file] = serving.DIST.glob(f"t-*.{kind}")
        assert len(gzip.compress(file.read_bytes())) < most
