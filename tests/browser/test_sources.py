"""Forms, codes and calls in a real browser."""

from __future__ import annotations

import re
from unittest.mock import patch

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from campaigns import confirmation
from campaigns.models import OutboxMessage
from engine.models import Consent, Contact
from engine.sources import flyers, forms
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.web.test_public_forms import DEFINITION
from web import public_forms
from web.services import utcnow

pytestmark = pytest.mark.browser


def test_a_form_from_the_first_word_to_the_consent(desk: Page, chromium: Browser, site: Site) -> None:
    """Made by a marketer, answered on a telephone without script, confirmed by the link, seen by the marketer."""
    desk.goto("/sources")
    check_accessible(desk)
    desk.get_by_role("link", name="New form").first.click()
    desk.get_by_label("Title").fill("The kitchen letter")
    desk.get_by_role("button", name="Add question").click()
    added = desk.locator(".question").nth(2)
    added.get_by_label("Words").fill("What do you make?")
    expect(added.get_by_label("Options, one a line")).to_be_hidden()
    added.get_by_label("Answer", exact=True).select_option(label="Several of them")
    added.get_by_label("Options, one a line").fill("Bread\nCakes")
    check_accessible(desk)
    desk.get_by_role("button", name="Move question 3 up").click()
    expect(desk.locator(".question").nth(1).get_by_label("Words")).to_have_value("What do you make?")
    desk.get_by_role("button", name="Save form").click()
    expect(desk.get_by_role("heading", name="The kitchen letter").first).to_be_visible()
    address = desk.locator("#link").inner_text().replace("http://127.0.0.1:8000", site.url)
    framed = desk.frame_locator("iframe.form-preview")
    expect(framed.get_by_role("button", name="Send")).to_be_visible()

    phone = chromium.new_context(
        viewport={"width": 390, "height": 844}, java_script_enabled=False, locale="en-GB", is_mobile=True
    )
    page = phone.new_page()
    page.goto(address)
    page.get_by_label("E-mail", exact=True).fill("ann@shop.example")
    page.get_by_label("Bread").check()
    page.get_by_text("Yes, write to me").click()
    with patch.object(public_forms, "SOONEST", 0):
        page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    confirmation.deliver(site.services.database, site.services.config, now=utcnow())
    with site.services.database.read() as session:
        text = session.scalars(select(OutboxMessage.text)).one()
    link = re.findall(r"http://127\.0\.0\.1:8000(/y/\S+)", text)[0]
    page.goto(site.url + link)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    phone.close()
    with site.services.database.read() as session:
        assert session.scalars(select(Contact)).one().email_consent is True
        assert session.scalars(select(Consent)).one().granted is True
    site.services.warehouse.refresh()
    desk.reload()
    expect(desk.get_by_role("link", name="ann@shop.example").first).to_be_visible()
    expect(desk.get_by_role("region", name="Double opt-in").get_by_text("Confirmed")).to_be_visible()
    check_accessible(desk)
    check_fits(desk)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh_Hans_CN"])
def test_public_pages(page: Page, site: Site, scheme: str, language: str) -> None:
    """In both colours and languages: no fault of WCAG 2.2 AA, on a telephone too, with faults as well."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    with site.services.database.begin() as session:
        form = forms.save(session, None, "News", "web", DEFINITION | {"language": language}, now=utcnow())
    with patch.object(public_forms, "SOONEST", 0):
        page.goto(f"/f/{form.key}")
        check_accessible(page)
        page.locator("[name='q.email']").fill("ann@shop.example")
        page.locator("[name='q.age']").fill("old")
        page.locator("button").click()
    expect(page.locator("[id='q.age-fault']")).to_be_visible()
    check_accessible(page)
    check_fits(page)
    page.goto(f"/f/{form.key}/thanks")
    check_accessible(page)
    page.goto("/q")
    check_accessible(page)
    check_fits(page)


def test_a_call_by_the_keyboard(desk: Page, site: Site) -> None:
    """Number, Enter, note, Enter: no mouse; and taken back by the toast."""
    desk.goto("/sources/calls")
    desk.keyboard.type("07700 900555")
    desk.keyboard.press("Enter")
    expect(desk.get_by_label("Subject")).to_be_focused()
    check_accessible(desk)
    desk.keyboard.type("delivery")
    desk.keyboard.press("Enter")
    expect(desk.get_by_text("is written down")).to_be_visible()
    expect(desk.get_by_label("Number or name")).to_be_focused()
    expect(desk.get_by_role("region", name="Written down lately").get_by_text("delivery")).to_be_visible()
    check_accessible(desk)
    desk.get_by_role("button", name="Undo").click()
    expect(desk.get_by_text("No call yet")).to_be_visible()
    with site.services.database.read() as session:
        assert session.scalars(select(Contact)).all() == []
    check_fits(desk)


def test_flyers_to_print(desk: Page, site: Site) -> None:
    """The list, one code and the sheet."""
    with site.services.database.begin() as session:
        made = flyers.make(session, "York market", "https://shop.example", "york", now=utcnow())
    for path in ("/sources/flyers", f"/sources/flyers/{made.id}", "/sources/flyers/print"):
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.goto(path)
        check_accessible(desk)
        check_fits(desk)
    loaded = desk.locator("img.qr").first.evaluate("picture => picture.complete && picture.naturalWidth > 0")
    assert loaded
