"""Why somebody is on a list, beside them: opened, read, closed."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from engine import intake, lists
from tests.browser.conftest import Site, check_accessible, check_fits
from web.services import utcnow

pytestmark = pytest.mark.browser

CRITERIA = {
    "any": [
        {"field": "age", "operator": "at_least", "value": 60},
        {"all": [{"field": "country", "operator": "is", "value": "UK"}, {"field": "city", "operator": "known"}]},
    ]
}


@pytest.fixture(autouse=True)
def ann(site: Site) -> None:
    """Somebody of the second group alone."""
    record = {"key": "C-1", "first_name": "Ann", "age": 40, "country": "UK", "city": "Dover"}
    with site.services.database.begin() as session:
        intake.accept(session, "contacts", [record], now=utcnow(), config=site.services.config)
        lists.save(session, None, "British", CRITERIA, now=utcnow())
    site.services.warehouse.refresh()


def asked(page: Page) -> list[str]:
    """Requests for a why, as they are made."""
    made: list[str] = []
    page.on("request", lambda request: made.append(request.url) if "/why" in request.url else None)
    return made


def open_and_close(page: Page) -> None:
    """Each verdict is told; closed it is gone, and it comes back as it was."""
    why = page.locator("details.why")
    for _ in range(2):
        why.get_by_text("Why", exact=True).click()
        tree = why.get_by_role("group", name="Why")
        expect(tree).to_be_visible()
        verdicts = tree.locator(".why-line > .why-mark").all_inner_texts()
        assert [one.strip() for one in verdicts] == ["true:", "not true:", "true:", "true:", "true:"]
        expect(tree).to_contain_text("40")
        why.get_by_text("Why", exact=True).click()
        expect(tree).to_be_hidden()


def test_of_a_list(desk: Page) -> None:
    """The server is asked when it opens, once."""
    desk.goto("/lists/1?tab=people")
    requests = asked(desk)
    open_and_close(desk)
    desk.wait_for_timeout(300)
    assert len(requests) == 1
    desk.locator("details.why summary").click()
    check_accessible(desk)
    check_fits(desk)


def test_of_what_is_being_built(desk: Page) -> None:
    """Beside the count; after a change it is asked anew."""
    desk.goto(f"/lists/new?q={quote(json.dumps(CRITERIA))}")
    requests = asked(desk)
    open_and_close(desk)
    desk.wait_for_timeout(300)
    assert len(requests) == 1
    with desk.expect_response(lambda answer: answer.request.method == "POST" and "/why" not in answer.url):
        desk.get_by_role("combobox", name="How the conditions are joined").nth(1).select_option("any")
    desk.wait_for_timeout(300)
    desk.locator("details.why summary").click()
    expect(desk.get_by_role("group", name="Why")).to_contain_text("Any of these")
    assert len(requests) == 2
