"""The tabs of a list and the notice of a second editor, in a real browser."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote

from playwright.sync_api import Page, expect

from engine import lists
from engine.models import Contact
from tests.browser.conftest import Site
from tests.engine.copies import add
from web.services import utcnow

UK = {"all": [{"field": "country", "operator": "is", "value": "UK"}]}
FR = {"all": [{"field": "country", "operator": "is", "value": "FR"}]}


def shop(site: Site) -> int:
    """Contacts, a list of some, and a look at it."""
    now = utcnow() - timedelta(days=1)
    with site.services.database.begin() as session:
        for number in range(90):
            add(session, Contact, now, key=f"c{number}", first_name=f"Ann{number}", age=20 + number,
                country="UK" if number < 40 else "FR")  # fmt: skip
        made = lists.save(session, None, "British", UK, now=now, author="Ben").id
        lists.save(session, None, "Older", {"all": [{"field": "age", "operator": "at_least", "value": 40}]}, now=now)
    site.services.warehouse.refresh()
    for days in (1, 0):
        lists.follow(site.services.database, site.services.warehouse, utcnow() - timedelta(days=days))
    return made


def test_the_tabs_of_a_list(site: Site, desk: Page) -> None:
    """Each by a click: people are picked, the profile comes beside the page, growth is drawn."""
    list_id = shop(site)
    desk.goto(f"/lists/{list_id}")
    tabs = desk.get_by_role("navigation", name="Parts of this list")
    tabs.get_by_role("link", name="People").click()
    desk.get_by_role("button", name="Take Ann0 off the list").click()
    expect(desk.get_by_text("Taken off by hand").first).to_be_visible()
    expect(desk.get_by_text("39 people")).to_be_visible()
    tabs.get_by_role("link", name="Profile").click()
    desk.locator(".profile-rest summary").click()  # what the list asks for itself comes last
    expect(desk.get_by_role("region", name="country", exact=True)).to_be_visible()
    expect(desk.get_by_role("region", name="country", exact=True)).to_contain_text("UK")
    tabs.get_by_role("link", name="Overlap").click()
    expect(desk.get_by_role("row", name="Older").first).to_be_visible()
    tabs.get_by_role("link", name="Growth").click()
    expect(desk.locator("#growth canvas, #growth svg").first).to_be_visible()
    tabs.get_by_role("link", name="Versions").click()
    expect(desk.get_by_text("As it is now")).to_be_visible()
    tabs.get_by_role("link", name="Criteria").click()
    expect(desk.get_by_role("textbox", name="Name of the list")).to_have_value("British")


def test_a_second_editor_is_told_and_loses_nothing(site: Site, desk: Page) -> None:
    """While they write: who saved, what changed; theirs can be saved over it, and the other's is among the versions."""
    list_id = shop(site)
    desk.goto(f"/lists/{list_id}?q={quote(json.dumps(UK))}&version=1")
    with site.services.database.begin() as session:
        lists.save(session, list_id, "British", FR, now=utcnow(), author="Ben")
    name = desk.get_by_role("textbox", name="Name of the list")
    name.fill("Mine")
    notice = desk.get_by_role("alert").filter(has_text="Somebody else saved this list")
    expect(notice).to_contain_text("Ben saved it")
    expect(notice.locator(".diff-in")).to_contain_text("in FR")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(notice).to_be_visible()
    expect(name).to_have_value("Mine")
    desk.get_by_role("button", name="Save mine over it").click()
    expect(notice).to_be_hidden()
    with site.services.database.read() as session:
        found = lists.versions(session, list_id)
        assert [(one.name, one.criteria) for one in found] == [("Mine", UK), ("British", FR), ("British", UK)]


def test_what_was_left_is_offered(site: Site, desk: Page) -> None:
    """The page is closed in the middle of a word, and comes back with it."""
    list_id = shop(site)
    desk.goto(f"/lists/{list_id}")
    desk.get_by_role("textbox", name="Name of the list").fill("British, half wri")
    expect(desk.get_by_text("Not saved")).to_be_visible()
    desk.goto("/lists")
    desk.goto(f"/lists/{list_id}")
    expect(desk.get_by_text("You have unsaved changes")).to_be_visible()
    desk.get_by_role("link", name="Continue").click()
    expect(desk.get_by_role("textbox", name="Name of the list")).to_have_value("British, half wri")
    desk.goto(f"/lists/{list_id}")
    desk.get_by_role("button", name="Discard").click()
    expect(desk.get_by_role("textbox", name="Name of the list")).to_have_value("British")
    expect(desk.get_by_text("You have unsaved changes")).to_be_hidden()
