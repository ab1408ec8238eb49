"""Comparing settings of a placement in a real browser: from the edit to the adopted variant and back."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import Page, expect

from recommender import comparisons, placements
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.recommender.shop import add_contacts, add_items, add_order
from tests.web.pages.test_comparisons import begin, people
from web.services import utcnow


def shop(site: Site) -> None:
    """Four items, the last the newest; everybody bought the first."""
    with site.services.database.begin() as session:
        things = add_items(session, 4)
        for contact in add_contacts(session, 10):
            add_order(session, contact, things[:1], utcnow() - timedelta(days=2))


def test_from_an_edit_to_a_comparison(site: Site, desk: Page) -> None:
    """What is edited comes along; the arms follow what is chosen; it starts, and stops after a question."""
    shop(site)
    desk.goto("/recommendations/placements/home")
    for left in range(len(placements.DEFAULTS["home"].sources) - 1, 0, -1):
        desk.locator("#sources > li").first.get_by_role("button", name="out").click()
        expect(desk.locator("#sources > li")).to_have_count(left)
    desk.get_by_role("button", name="Compare live").click()
    desk.wait_for_url("**/compare?edited=*")
    expect(desk.get_by_role("heading", name="Compare at Home page")).to_be_visible()
    arms = desk.locator(".arms-side .card")
    expect(arms).to_have_count(3)
    expect(desk.get_by_text("Sources, in order")).to_be_visible()
    chosen = desk.get_by_role("combobox", name="B", exact=True)
    expect(chosen).to_have_value("edited")
    chosen.select_option(label="Home page as it is")
    expect(desk.get_by_text("A and B are the same now.")).to_be_visible()
    chosen.select_option(label="Edited settings")
    desk.get_by_label("Hold out").fill("0")
    desk.get_by_label("Hold out").blur()
    expect(arms).to_have_count(2)
    desk.get_by_label("Hold out").fill("90")
    desk.get_by_role("button", name="Start comparing").click()
    expect(desk.get_by_text("This cannot begin yet")).to_be_visible()
    desk.get_by_label("Hold out").fill("20")
    desk.get_by_label("Hold out").blur()
    expect(desk.get_by_text("This cannot begin yet")).to_have_count(0)
    check_accessible(desk)
    desk.get_by_role("button", name="Start comparing").click()
    desk.wait_for_url("**/recommendations/comparisons/*")
    expect(desk.get_by_role("heading", name="Nobody has seen it yet")).to_be_visible()
    check_accessible(desk)
    desk.get_by_role("button", name="Stop", exact=True).click()
    desk.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    expect(desk.get_by_text("Stopped. Everybody sees the placement as it is.")).to_be_visible()
    with site.services.database.read() as session:
        assert not comparisons.running(session)


def test_a_variant_is_adopted_and_taken_back(site: Site, desk: Page) -> None:
    """By its button, and by the toast."""
    shop(site)
    number = begin(site.services, days_ago=20)
    people(site.services, number)
    desk.goto("/recommendations/comparisons")
    expect(desk.get_by_text("Decide", exact=True)).to_be_visible()
    check_accessible(desk)
    desk.get_by_role("link", name="Home page").first.click()
    expect(desk.get_by_role("heading", name="B earns more")).to_be_visible()
    check_accessible(desk)
    desk.get_by_role("button", name="Adopt B").click()
    desk.get_by_role("button", name="Undo").click()
    expect(desk.get_by_text("The placement has the settings it had before.")).to_be_visible()
    with site.services.database.read() as session:
        assert placements.read(session)["home"] == placements.DEFAULTS["home"]
    for path in ("", f"/{number}"):
        desk.goto(f"/recommendations/comparisons{path}")
        check_fits(desk)
    desk.goto("/recommendations/placements/home/compare?b=cart")
    check_fits(desk)
