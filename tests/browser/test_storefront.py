"""The demo's storefront, as a shopper uses it, beside a real Rapport: what they do arrives in their timeline."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from sqlalchemy import select
from werkzeug.serving import make_server

from engine import intake
from engine.config import Config
from engine.fields import BEHAVIOURS
from engine.models import Contact, Event, Order
from recommender import bundles, training
from tests.browser.conftest import Answering, Site, check_accessible, check_fits
from web.assets import serving
from web.demo import opening
from web.demo.storefront import sets, settings
from web.demo.storefront.app import create_app
from web.demo.storefront.shop import EXTENSION
from web.demo.workspace import Marker
from web.services import utcnow

KINDS = {  # what goes with what: pots with tea, knives with boards
    "POT": ("Sage Teapot", "Kitchen > Tea making > Teapots", "30"),
    "TEA": ("Assam Loose Tea", "Pantry > Tea > Black tea", "7"),
    "KNIFE": ("Forged Bread Knife", "Kitchen > Knives and boards > Knives", "55"),
    "BOARD": ("Oak Chopping Board", "Kitchen > Knives and boards > Boards", "26"),
}
EACH = 8


@dataclass(frozen=True)
class Front:
    """A running storefront."""

    url: str
    app: Flask


@pytest.fixture
def front(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Opened over a shop whose tea is bought with pots and whose boards with knives."""
    monkeypatch.setattr(sets, "PATIENCE", 30.0)
    app = Flask("not yet")  # the address must be known before the storefront is made
    with ExitStack() as ends:
        answering = Answering(lambda *call: app(*call))  # noqa: PLW0108  # the app of then
        server = make_server("127.0.0.1", 0, answering, threaded=True)
        ends.callback(server.server_close)
        url = f"http://127.0.0.1:{server.port}"
        config = opened(site, url)
        app = create_app(settings.read(opening.settings_file(config)))
        shop = app.extensions[EXTENSION]
        ends.callback(shop.close)
        shop.teller.start()
        ends.callback(shop.teller.stop)
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        ends.callback(answering.rest)
        ends.callback(thread.join)
        ends.callback(server.shutdown)
        yield Front(url, app)


def opened(site: Site, url: str) -> Config:
    """Rapport's settings, once its shop is stocked, trained, and has a storefront at `url`."""
    services = site.services
    config = replace(
        services.config,
        server=replace(services.config.server, public_url=site.url),
        tracking=replace(services.config.tracking, site="front", secret="only the shop knows"),
        shop=replace(services.config.shop, origins=url),
    )
    object.__setattr__(services, "config", config)
    stock(site)
    opening.furnish(services.database, config, Marker(), url, utcnow())
    services.warehouse.refresh()
    training.train(services.database, services.warehouse, config, now=utcnow())
    services.recommender.reload()
    return config


def stock(site: Site) -> None:
    """Items, people and what they bought."""
    now = utcnow()
    items = [
        {"key": f"{kind}-{n}", "title": f"{title} {n}", "category": category, "price": price, "stock": 40,
         "brand": "Fennel & Oak"}
        for kind, (title, category, price) in KINDS.items()
        for n in range(EACH)
    ]  # fmt: skip
    people = [
        {"key": f"C-{n}", "email": f"c{n}@shop.example", "first_name": f"Ann{n}", "email_consent": True}
        for n in range(80)
    ]
    pairs = (("POT", "TEA"), ("KNIFE", "BOARD"))
    orders = [
        {"order": f"O-{n}", "at": (now - timedelta(days=1 + n % 60)).isoformat(), "contact": f"C-{n % 80}",
         "lines": [{"item": f"{kind}-{(n // 2) % EACH}", "quantity": 1, "unit_price": "9"} for kind in pairs[n % 2]]}
        for n in range(320)
    ]  # fmt: skip
    with site.services.database.begin() as session:
        for kind, records in (("items", items), ("contacts", people), ("orders", orders)):
            done = intake.accept(session, kind, records, now=now, config=site.services.config)
            assert not done.rejected


@pytest.fixture
def shopper(chromium: Browser, front: Front, site: Site) -> Iterator[Page]:
    """A tab at the storefront; it may ask nobody but the storefront and Rapport, and nothing may go wrong in it."""
    context: BrowserContext = chromium.new_context(
        base_url=front.url, viewport={"width": 1280, "height": 900}, locale="en-GB", reduced_motion="reduce"
    )
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    places = (front.url, site.url, "data:")
    page.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith(places) else None)
    yield page
    context.close()
    assert not faults, "\n".join(faults)


def row(page: Page, title: str) -> Locator:
    """The items of a row that Rapport filled."""
    return page.get_by_role("region", name=title).get_by_role("listitem")


def events(site: Site, *types: str) -> list[Event]:
    """What came in of these types, in the order of time."""
    with site.services.database.read() as session:
        found = select(Event).where(Event.type.in_(types)).order_by(Event.occurred_at, Event.id)
        return list(session.scalars(found))


def until(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something; at most 30 s."""
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came in 30 s"
        time.sleep(0.05)
    return found


def test_from_the_window_to_the_timeline(shopper: Page, desk: Page, site: Site) -> None:
    """A stranger looks around, is offered what goes with it, buys it, and is a contact with all they did."""
    shopper.goto("/")
    shopper.get_by_role("button", name="Yes, you may").click()
    expect(shopper.get_by_role("complementary", name="Privacy")).to_be_hidden()
    shopper.goto("/items/pot-1")
    goes = row(shopper, "Goes with it")
    expect(goes).to_have_count(4)
    expect(goes.first.get_by_role("link")).to_have_text("Assam Loose Tea 1")
    expect(goes.first).to_contain_text("Often bought with Sage Teapot 1", ignore_case=True)
    shopper.goto("/items/knife-2")
    goes = row(shopper, "Goes with it")
    expect(goes.first.get_by_role("link")).to_have_text("Oak Chopping Board 2")  # another page, another offer
    goes.first.scroll_into_view_if_needed()
    shown = until(lambda: [one for one in events(site, "impression") if one.properties["placement"] == "item"])
    goes.first.get_by_role("link").click()
    expect(shopper).to_have_url(re.compile("/items/board-2$"))
    [click] = until(lambda: events(site, "recommendation_click"))
    assert click.properties["recommendation_id"] in {one.properties["recommendation_id"] for one in shown}
    shopper.get_by_label("Quantity").fill("2")
    shopper.get_by_role("button", name="Add to cart").click()
    shopper.get_by_role("link", name="View cart").click()
    quantity = shopper.get_by_label("Quantity of Oak Chopping Board 2")
    quantity.fill("3")
    quantity.blur()  # a change is sent by itself
    expect(shopper.get_by_role("link", name="Cart, 3 items")).to_be_visible()
    expect(shopper.locator(".sum strong")).to_have_text("£78.00")
    expect(row(shopper, "Before you go").first).to_be_visible()
    shopper.get_by_role("link", name="Check out").click()
    shopper.get_by_label("E-mail", exact=True).fill("new@shop.example")
    shopper.get_by_label("First name").fill("Nora")
    shopper.get_by_label("Yes, write to me").check()
    shopper.get_by_role("button", name="Place the order").click()
    expect(shopper.get_by_role("heading", name="Thank you, Nora")).to_be_visible()

    def bought() -> Any:
        with site.services.database.read() as session:
            return session.execute(
                select(Order.key, Contact.id, Contact.email_consent)
                .join(Contact, Contact.id == Order.contact_id)
                .where(Contact.email == "new@shop.example")
            ).one_or_none()

    order, contact_id, consented = until(bought)
    assert consented
    until(lambda: [one for one in events(site, "checkout") if one.contact_id == contact_id])
    assert {one.contact_id for one in events(site, "item_view", "impression", "recommendation_click")} == {contact_id}
    with shopper.context.expect_page() as opened:
        shopper.get_by_role("link", name="This visit in Rapport").click()
    address = opened.value.url  # of the log-in there: nobody is logged in with Rapport in the shopper's browser
    opened.value.close()
    assert f"contacts%2F{contact_id}" in address or f"contacts/{contact_id}" in address
    desk.goto(f"/contacts/{contact_id}")
    history = desk.locator("main")
    said = [BEHAVIOURS[name].verb("en") for name in ("item_view", "cart_add", "recommendation_click")]
    seen = re.compile(r"Saw \d+\s+recommendations")
    led = re.compile(r"After a click[\s\S]*Clicked Oak Chopping Board 2")
    for words in (order, "looked at Sage Teapot 1, Forged Bread Knife 2", *said, seen, led):
        expect(history).to_contain_text(words, ignore_case=True)
    visit = history.locator("#live details").first
    visit.locator("summary").click()
    shopper.goto("/items/tea-3")
    expect(visit).to_contain_text("Assam Loose Tea 3", timeout=30_000)  # by itself, and what was opened stays open
    expect(visit).to_have_attribute("open", "")


def test_a_set(shopper: Page, site: Site) -> None:
    """Shown with its price, put into the cart by one button, charged, and revenue is what was paid."""
    with site.services.database.begin() as session:
        given = {"name": "Bread board", "items": ["KNIFE-2", "BOARD-2"], "price": "70"}
        bundles.make(session, given, utcnow(), "GBP")
    site.services.recommender.reload()
    shopper.goto("/items/knife-2")
    expect(row(shopper, "Goes with it").first).to_contain_text("Set: Bread board, £70.00 together, saves £11.00")
    whole = shopper.get_by_role("region", name="Set: Bread board")
    expect(whole).to_contain_text("saves £11.00")
    whole.get_by_role("button", name="Add the set Bread board").click()
    shopper.get_by_role("link", name="View cart").click()
    expect(shopper.locator(".sum")).to_contain_text("Set: Bread board−£11.00")
    expect(shopper.locator(".sum strong")).to_have_text("£70.00")
    shopper.get_by_role("link", name="Check out").click()
    shopper.get_by_label("E-mail", exact=True).fill("set@shop.example")
    shopper.get_by_label("First name").fill("Sal")
    shopper.get_by_role("button", name="Place the order for £70.00").click()
    expect(shopper.get_by_text("Its sets saved you £11.00.")).to_be_visible()

    def paid() -> Any:
        with site.services.database.read() as session:
            whose = Contact.email == "set@shop.example"
            return session.scalar(select(Order.total).join(Contact, Contact.id == Order.contact_id).where(whose))

    assert until(paid) == 700_000


def test_as_somebody(shopper: Page, front: Front, site: Site) -> None:
    """The window becomes theirs; a stranger again, the browser has another name, so nobody inherits their history."""
    shopper.goto("/")
    shopper.get_by_role("button", name="Yes, you may").click()
    shopper.get_by_role("link", name="Sign in").click()
    face = shopper.locator(".faces button").first
    key = face.get_attribute("value")
    face.click()
    expect(shopper.get_by_role("status")).to_contain_text("Hello Ann")
    expect(row(shopper, re.compile("Chosen for you, Ann"))).to_have_count(8)  # type: ignore[arg-type]
    [identify] = until(lambda: events(site, "identify"))
    with site.services.database.read() as session:
        assert session.get_one(Contact, identify.contact_id).key == key
    with shopper.expect_request(lambda one: one.url.endswith("/recommendations") and one.method == "POST") as later:
        shopper.goto("/items/pot-3")
    asked = later.value.post_data_json["requests"]
    assert {one.get("contact") for one in asked} == {key}  # signed for on every page, told once
    shopper.goto("/people")
    shopper.get_by_role("button", name="Be a stranger again").click()
    expect(shopper.get_by_role("status")).to_have_text("You are a stranger again.")
    shopper.goto("/items/tea-3")
    [seen] = until(lambda: [one for one in events(site, "item_view") if one.visitor != identify.visitor])
    assert seen.contact_id is None
    assert len(events(site, "identify")) == 1


def test_a_no_is_kept(shopper: Page, site: Site) -> None:
    """Nothing is told, the shop still offers what the page suggests, and the answer can be changed."""
    shopper.goto("/")
    shopper.get_by_role("button", name="No, thanks").click()
    shopper.goto("/items/pot-1")
    expect(row(shopper, "Goes with it")).to_have_count(4)
    shopper.goto("/privacy")
    expect(shopper.get_by_role("complementary", name="Privacy")).to_be_hidden()
    expect(shopper.get_by_role("status")).to_contain_text("You said no.")
    assert [cookie["name"] for cookie in shopper.context.cookies()] == ["storefront"]
    assert not events(site, "page_view", "item_view", "impression")
    shopper.get_by_role("button", name="Yes, you may").click()
    expect(shopper.get_by_role("status")).to_contain_text("You said yes.")
    shopper.goto("/new")
    until(lambda: events(site, "page_view"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_for_everybody(chromium: Browser, front: Front, site: Site, scheme: Any) -> None:
    """No fault that axe finds, nothing beyond the edge of a telephone, and nothing jumps while a page fills."""
    with site.services.database.begin() as session:
        given = {"name": "Tea for everybody", "items": ["POT-1", "TEA-1"], "discount": 0.2}
        bundles.make(session, given, utcnow(), "GBP")
    site.services.recommender.reload()
    context = chromium.new_context(base_url=front.url, color_scheme=scheme, reduced_motion="reduce", locale="en-GB")
    page = context.new_page()
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => { for (const one of list.getEntries())"
        " window.shift += one.hadRecentInput ? 0 : one.value; }).observe({type: 'layout-shift', buffered: true})"
    )
    page.goto("/items/tea-1")
    page.get_by_role("button", name="Add to cart").click()
    page.goto("/items/pot-1")
    page.get_by_role("button", name="Add the set").click()
    for path in ("/", "/c/kitchen", "/search?q=teapot", "/items/pot-1", "/cart", "/checkout", "/people", "/privacy"):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(path)
        waiting = page.locator("[data-rapport-placement]:not([data-rapport-state])")
        expect(waiting).to_have_count(0)
        assert page.evaluate("window.shift") < 0.02, path
        check_accessible(page)
        check_fits(page)
    context.close()


def test_it_is_small() -> None:
    """Script and style together less than 8 kB on the wire."""
    names = ("demo-shop-*.js.br", "demo-shop-*.css.br")
    assert sum(next(serving.DIST.glob(name)).stat().st_size for name in names) < 8_000
