"""The shell in a real browser: in and out, keys, palette, themes, small screens."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import delete

from engine.models import Contact, Order
from tests.browser.conftest import PASSWORD, Site, check_accessible, check_fits
from web.assets.serving import DIST
from web.models import WebSession
from web.services import Services, utcnow

pytestmark = pytest.mark.browser

PAGES = ["/", "/settings", "/settings/keys", "/settings/sending", "/settings/data"]


@pytest.fixture
def trade(services: Services) -> None:
    """Ninety days of orders of three contacts."""
    now = utcnow()
    with services.database.begin() as session:
        for number in range(1, 4):
            session.add(
                Contact(
                    id=number,
                    key=f"C{number}",
                    first_name=f"Ada{number}",
                    email=f"a{number}@mail.example",
                    email_consent=True,
                    created_at=now - timedelta(days=number),
                    updated_at=now,
                )
            )
        session.flush()
        for number in range(90):
            session.add(
                Order(
                    key=f"O{number}",
                    contact_id=number % 3 + 1,
                    ordered_at=now - timedelta(days=number, hours=1),
                    currency="GBP",
                    total=200_000 + number * 1000,
                    units=1,
                    digest="",
                )
            )


def test_log_in_and_out(page: Page) -> None:
    """A stranger is led to the log-in, a wrong password says so and keeps the address, the right one leads on."""
    page.goto("/settings/data")
    expect(page).to_have_title("Log in · Rapport")
    page.get_by_label("E-mail").fill("mei@shop.example")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    expect(page.get_by_label("E-mail")).to_have_value("mei@shop.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Warehouse")).to_be_visible()
    page.get_by_role("button", name="Mei").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_title("Log in · Rapport")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_accessible(desk: Page, trade: None, colours: str) -> None:
    """axe finds nothing in either theme, with and without data, and nothing sticks out at 390 px."""
    desk.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    for address in PAGES:
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.goto(address)
        expect(desk.locator("html")).to_have_attribute("data-bs-theme", colours)
        if address == "/":
            expect(desk.locator(".chart svg")).to_be_visible()
        check_accessible(desk)
        check_fits(desk)
        check_accessible(desk)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_door_is_accessible(page: Page, colours: str) -> None:
    """The log-in, a first-run Today's neighbour, holds the same promises."""
    page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    page.goto("/login")
    check_accessible(page)
    check_fits(page)


def test_first_run_teaches(desk: Page) -> None:
    """Without contacts the first page is a list of first steps."""
    desk.goto("/")
    expect(desk.get_by_role("heading", name="First steps")).to_be_visible()
    check_accessible(desk)


def test_palette_by_keyboard(desk: Page, trade: None) -> None:
    """Ctrl-K, a few letters and Enter lead to a page; people are found as well; the dialog is accessible."""
    desk.goto("/")
    desk.keyboard.press("Control+k")
    palette = desk.get_by_role("dialog", name="Search or go to")
    expect(palette).to_be_visible()
    desk.keyboard.type("ada2")
    check_accessible(desk)
    desk.get_by_role("combobox").fill("setti")
    expect(palette.get_by_role("option", selected=True)).to_have_text("Settings g s")
    desk.keyboard.press("Enter")
    expect(desk).to_have_url("/settings")


def test_single_keys(desk: Page) -> None:
    """g s goes to Settings, ? helps, Esc closes; typing in a field is only typing."""
    desk.goto("/")
    desk.keyboard.press("g")
    desk.keyboard.press("s")
    expect(desk.get_by_role("heading", name="Settings")).to_be_visible()
    desk.keyboard.press("?")
    expect(desk.get_by_role("dialog", name="Keyboard")).to_be_visible()
    check_accessible(desk)
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    name = desk.get_by_label("Name")
    name.fill("")
    name.press_sequentially("g?t/")
    expect(name).to_have_value("g?t/")


def test_colours_stay_chosen(desk: Page) -> None:
    """A chosen theme holds after loading again; the system's comes back when asked for."""
    desk.goto("/settings")
    colours = desk.locator("main").get_by_role("group", name="Colours")
    colours.get_by_role("button", name="Dark").click()
    desk.reload()
    expect(desk.locator("html")).to_have_attribute("data-bs-theme", "dark")
    colours.get_by_role("button", name="As the system").click()
    expect(desk.locator("html")).to_have_attribute("data-bs-theme", "light")


def test_save_shows_a_toast(desk: Page) -> None:
    """A form saves, the page comes back and says so."""
    desk.goto("/settings")
    desk.get_by_label("Name").fill("Mei Lin")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Saved")).to_be_visible()
    expect(desk.get_by_label("Name")).to_have_value("Mei Lin")


def test_ended_session_keeps_what_was_typed(desk: Page, site: Site) -> None:
    """Saving after the session has ended asks for the password in place and then saves what was typed."""
    desk.goto("/settings")
    desk.get_by_label("Name").fill("Typed before")
    with site.services.database.begin() as session:
        session.execute(delete(WebSession))
    desk.get_by_role("button", name="Save").click()
    dialog = desk.get_by_role("dialog", name="Log in again")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Password").fill("wrong wrong wrong")
    dialog.get_by_role("button").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not right")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button").click()
    expect(desk.get_by_text("Saved")).to_be_visible()
    expect(desk.get_by_label("Name")).to_have_value("Typed before")


def test_key_is_shown_once(desk: Page) -> None:
    """A new key appears in full once; afterwards only its beginning; revoking marks it."""
    desk.goto("/settings/keys")
    desk.get_by_label("What it is for").fill("Till 3")
    desk.get_by_label("write orders").check()
    desk.get_by_role("button", name="Make key").click()
    made = desk.locator("#made").inner_text()
    assert len(made) > 40
    check_accessible(desk)
    desk.goto("/settings/keys")
    assert made not in desk.content()
    expect(desk.get_by_text(made.partition(".")[0])).to_be_visible()
    desk.get_by_role("button", name="Revoke the key Till 3").click()
    expect(desk.get_by_text("Revoked", exact=True)).to_be_visible()


def test_navigation_on_a_telephone(desk: Page) -> None:
    """The menu opens as a drawer."""
    desk.set_viewport_size({"width": 390, "height": 844})
    desk.goto("/")
    desk.get_by_role("button", name="Menu").click()
    drawer = desk.get_by_role("dialog", name="Menu")
    check_accessible(desk)
    drawer.get_by_role("link", name="Settings").click()
    expect(desk.get_by_role("heading", name="Settings")).to_be_visible()


def test_chart_has_a_table(desk: Page, trade: None) -> None:
    """The same numbers can be read as a table."""
    desk.goto("/")
    desk.get_by_text("View as table").click()
    expect(desk.get_by_role("region", name="Revenue by day").get_by_role("row")).to_have_count(31)


@pytest.mark.parametrize(("name", "most"), [("app", 25_000), ("app", 30_000)], ids=["script", "style"])
def test_budget(name: str, most: int) -> None:
    """What every page loads stays small: script 25 kB, style 30 kB, gzipped."""
    ending = ".js" if most == 25_000 else ".css"
    sizes = [len(gzip.compress(file.read_bytes(), 9)) for file in Path(DIST).glob(f"{name}-*{ending}")]
    assert sizes
    assert max(sizes) <= most


def test_light_pages(desk: Page, trade: None) -> None:
    """A page without charts stays under 100 KiB on the wire, one with charts under 260."""
    for address, most in (("/settings", 100), ("/", 260)):
        sizes: list[int] = []
        session = desk.context.new_cdp_session(desk)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        desk.goto(address)
        desk.wait_for_load_state("networkidle")
        session.detach()
        assert 0 < sum(sizes) <= most * 1024, address
