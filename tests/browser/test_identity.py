"""Who is who in a real browser: found in the navigation, two contacts compared, made one, and two again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from engine import intake
from tests.browser.conftest import Site, check_accessible, check_fits
from web.services import utcnow

pytestmark = pytest.mark.browser

PEOPLE = (
    {"key": "C-1", "first_name": "Ann", "last_name": "Lee", "city": "Dover", "phone": "+442071838750"},
    {"key": "S-1", "first_name": "Anne", "last_name": "Lee", "region": "Kent", "phone": "+442071838750"},
    {"key": "C-2", "first_name": "Bo", "last_name": "Ford", "city": "York"},
)


@pytest.fixture(autouse=True)
def people(site: Site) -> None:
    """Two who share a telephone, and a third."""
    with site.services.database.begin() as session:
        intake.accept(session, "contacts", PEOPLE, now=utcnow(), config=site.services.config)
    site.services.warehouse.refresh()


def test_from_the_navigation_to_one_contact_and_back(desk: Page) -> None:
    """Where a marketer looks; what they would be as one, how one knows, and the undo beside the merge."""
    desk.goto("/")
    main = desk.get_by_role("navigation", name="Main")
    main.get_by_role("link", name="Who is who").click()
    expect(main.get_by_role("link", name="Who is who")).to_have_attribute("aria-current", "page")
    expect(main.get_by_role("link", name="Contacts")).not_to_have_attribute("aria-current", "page")
    pair = desk.get_by_role("region", name="Likely duplicates").get_by_role("listitem")
    expect(pair).to_contain_text("the same telephone")
    pair.get_by_role("link", name="Compare").click()
    one = desk.get_by_role("region", name="As one contact").first
    expect(one.get_by_role("row", name="City")).to_contain_text("Dover")
    expect(one.get_by_role("row", name="Region")).to_contain_text("Kent")
    desk.get_by_label("How do you know?").fill("said so on the telephone")
    desk.get_by_role("button", name="Yes, one person").click()
    expect(desk.get_by_text("They are one contact now")).to_be_visible()
    expect(desk.get_by_role("heading", name="Ann Lee")).to_be_visible()
    main.get_by_role("link", name="Who is who").click()
    expect(desk.get_by_role("region", name="Likely duplicates")).to_contain_text("Nobody shares")
    merge = desk.get_by_role("row", name="Anne Lee")
    expect(merge).to_contain_text("said so on the telephone")
    merge.get_by_role("button", name="Undo").click()
    expect(desk.get_by_text("They are two contacts again")).to_be_visible()
    expect(desk.get_by_role("heading", name="Anne Lee")).to_be_visible()
    main.get_by_role("link", name="Who is who").click()
    expect(desk.get_by_role("row", name="Anne Lee")).to_contain_text("Undone by mei@shop.example")
    expect(pair).to_contain_text("Nobody shares")  # a person said that they are two


def test_a_merge_is_taken_back_from_its_message(desk: Page) -> None:
    """Found by name, not among the likely ones; the undo stands in the message."""
    desk.goto("/identity")
    desk.get_by_role("link", name="Compare").click()
    desk.get_by_label("The other contact").fill("Ford")
    desk.get_by_role("button", name="Find").click()
    desk.get_by_role("button", name="Yes, one person").click()
    desk.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(desk.get_by_text("They are two contacts again")).to_be_visible()
    expect(desk.get_by_role("region", name="Who this is")).to_contain_text("Undone by mei@shop.example")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_everybody_can_use_it(desk: Page, colours: str) -> None:
    """Report and comparison in both colours and on a telephone, where the navigation opens from the bar."""
    desk.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    for address in ("/identity", "/identity/compare/1?other=S-1", "/identity/compare/1?other=Lee"):
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.goto(address)
        check_accessible(desk)
        check_fits(desk)
        last = desk.get_by_role("columnheader", name="As one")
        if last.count():  # both and what they would be, without scrolling
            box = last.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390
    desk.get_by_role("button", name="Menu").click()
    desk.get_by_role("dialog", name="Menu").get_by_role("link", name="Who is who").click()
    expect(desk.get_by_role("heading", name="Who is who")).to_be_visible()
