"""The pages of recommendations: rules with their drawing, trainings and the way back, the catalogue, the playground,
and the editor of a placement; every one of them accessible, on a telephone too.
"""

from __future__ import annotations

import re
import shutil
from datetime import timedelta

import pytest
from playwright.sync_api import Dialog, Page, expect
from sqlalchemy import select

from campaigns.models import Campaign
from recommender import training
from recommender.models import Training
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.recommender.bakery import bake, change
from tests.recommender.shop import NOW
from tests.web.pages.test_trainings import METRICS, TUNED
from web.services import Services

PAGES = {
    "placements": "/recommendations",
    "placement": "/recommendations/placements/home",
    "new placement": "/recommendations/placements/new",
    "rules": "/recommendations/rules",
    "trainings": "/recommendations/trainings",
    "training": "/recommendations/trainings/2",
    "catalogue": "/recommendations/catalogue?show=no_picture",
    "playground": "/recommendations/playground?placement=item&items=A0",
}

# The middle of a point: of the circles below the legend, which are drawn where they belong once the chart stands still.
POINT = """() => {
  const top = document.querySelector('#scatter svg').getBoundingClientRect().top + 40;
  const boxes = [...document.querySelectorAll('#scatter svg path')].map((path) => path.getBoundingClientRect());
  const round = (box) => box.width > 5 && box.width < 20 && Math.abs(box.width - box.height) < 1;
  const point = boxes.find((box) => box.top > top && round(box));
  return [point.x + point.width / 2, point.y + point.height / 2];
}"""


def shop(services: Services) -> None:
    """The bakery with costs, and a second training that was refused."""
    bake(services.database, services.warehouse, services.config)
    folder = services.config.folder / "trainings"
    shutil.copytree(folder / "1", folder / "2")
    with services.database.begin() as session:
        change(session, cost=50_000)
        refused = {"error": "for you: nDCG@10 0.1 against 0.2", "metrics": METRICS, "settings": {"tuned": TUNED}}
        at = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=70)}
        session.add(Training(status="refused", folder="trainings/2", **at, **refused))
    services.warehouse.refresh()


def settled(page: Page) -> None:
    """What comes after the page is there."""
    expect(page.locator("html[data-ready]")).to_have_count(1)
    expect(page.get_by_text("Asking every placement")).to_have_count(0)
    expect(page.get_by_text("Looking at what came of them")).to_have_count(0)
    expect(page.locator("#took", has_text="Asking")).to_have_count(0)
    for chart in page.locator("[data-island=charts]").all():
        chart.scroll_into_view_if_needed()
        expect(chart.locator("svg")).to_have_count(1)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_page_is_accessible(site: Site, desk: Page, colours: str) -> None:
    """axe finds nothing, in both themes; nothing sticks out of a telephone."""
    shop(site.services)
    desk.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    for address in PAGES.values():
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.goto(address)
        settled(desk)
        check_accessible(desk)
        check_fits(desk)


def test_empty_pages_teach(site: Site, desk: Page) -> None:
    """Before there is anything each says what it is for, accessibly."""
    words = {
        "rules": "No rules yet",
        "trainings": "Nothing learned yet",
        "catalogue": "No items yet",
        "placements": "No training serves yet",
    }
    for name, said in words.items():
        desk.goto(PAGES[name])
        settled(desk)
        expect(desk.get_by_text(said)).to_have_count(1)
        check_accessible(desk)


def test_the_tabs_lead_to_each_other(site: Site, desk: Page) -> None:
    """One row of tabs above all of them; where one is, is marked."""
    shop(site.services)
    desk.goto("/recommendations")
    for name, title in (("Rules", "Rules"), ("Trainings", "Trainings"), ("Catalogue", "Catalogue"),
                        ("Playground", "Playground"), ("Placements", "Recommendations")):  # fmt: skip
        desk.get_by_role("navigation", name="Parts of recommendations").get_by_role("link", name=name).click()
        expect(desk.get_by_role("heading", level=1, name=title)).to_be_visible()
        here = desk.get_by_role("navigation", name="Parts of recommendations").locator("[aria-current=page]")
        expect(here).to_have_text(name)
        settled(desk)


def test_the_tab_one_is_at_is_in_view(site: Site, desk: Page) -> None:
    """On a telephone, where there are more tabs than fit."""
    desk.set_viewport_size({"width": 390, "height": 844})
    for path, name in (("", "Placements"), ("/trainings", "Trainings"), ("/playground", "Playground")):
        desk.goto(f"/recommendations{path}")
        tab = desk.get_by_role("navigation", name="Parts of recommendations").get_by_role("link", name=name)
        expect(tab).to_be_in_viewport(ratio=1)


def test_a_pin_is_typed_in_peace(site: Site, desk: Page) -> None:
    """Half of it is asked for quietly while the preview stands; saved, the fault and the way to it are in sight."""
    shop(site.services)
    desk.goto("/recommendations/placements/home")
    preview = desk.get_by_role("region", name="As edited")
    before = preview.get_by_role("listitem").all_inner_texts()
    desk.locator("#pins-item-0").fill("A3")
    desk.locator("#pins-item-0").press("Tab")
    expect(desk.get_by_text("Not in the preview yet: Pinned items.")).to_be_visible()
    expect(desk.locator("#pins-position-0")).to_be_focused()
    assert preview.get_by_role("listitem").all_inner_texts() == before
    desk.get_by_role("button", name="Save placement").click()
    fault = desk.get_by_role("alert").get_by_role("link", name="Pinned items")
    expect(fault).to_be_in_viewport()
    check_accessible(desk)
    fault.click()
    expect(desk.locator("#pins-position-0")).to_be_in_viewport()
    desk.locator("#pins-position-0").fill("1")
    desk.locator("#pins-position-0").press("Tab")
    expect(preview.get_by_role("listitem").first).to_contain_text("pin")
    desk.get_by_role("button", name="Save placement").click()
    expect(desk.get_by_text("Saved. Answers follow within a second.")).to_be_visible()


def test_what_is_not_saved_is_not_left_unasked(site: Site, desk: Page) -> None:
    """While the form differs from what was loaded; not for what is only tried on, put back, or saved."""
    shop(site.services)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    desk.on("dialog", stay)
    desk.goto("/recommendations/placements/home")
    settled(desk)
    away = desk.get_by_role("link", name="← Recommendations")
    name, most = desk.get_by_label("Name", exact=True), desk.get_by_label("Price up to")
    was = name.input_value()
    most.fill("20")
    with desk.expect_event("dialog"):
        away.click()
    assert asked == ["beforeunload"]
    expect(most).to_have_value("20")
    most.fill("")
    desk.get_by_label("Customer number or e-mail").fill("C0")
    name.fill(was)
    away.click()
    expect(desk).to_have_url(re.compile("/recommendations$"))
    settled(desk)
    assert len(asked) == 1, "nothing was left to save"
    desk.goto("/recommendations/placements/home")
    settled(desk)
    most.fill("20")
    desk.get_by_role("button", name="Save placement").click()
    expect(desk.get_by_text("Saved. Answers follow within a second.")).to_be_visible()
    away.click()
    expect(desk).to_have_url(re.compile("/recommendations$"))
    settled(desk)
    assert len(asked) == 1, "it was saved"


def test_rules_are_searched_sorted_and_followed(site: Site, desk: Page) -> None:
    """Typing narrows, a heading sorts, the address holds both; a point of the drawing marks its row."""
    shop(site.services)
    desk.goto("/recommendations/rules")
    settled(desk)
    rows = desk.locator("#rows tr")
    expect(rows).to_have_count(9)
    desk.get_by_role("searchbox", name="Item or category").press_sequentially("jam")
    expect(rows).to_have_count(7)
    desk.get_by_label("Where").select_option("to")
    expect(rows).to_have_count(3)
    desk.get_by_role("link", name="Support").click()
    expect(desk.get_by_role("columnheader", name="Support")).to_have_attribute("aria-sort", "descending")
    expect(desk).to_have_url(re.compile(r"q=jam.*sort=-support"))
    desk.reload()
    settled(desk)
    expect(rows).to_have_count(3)
    expect(desk.get_by_label("Where")).to_have_value("to")
    desk.locator("#scatter").scroll_into_view_if_needed()
    desk.mouse.click(*desk.evaluate(POINT))
    expect(desk).to_have_url(re.compile(r"#rule-[\d-]+$"))
    expect(desk.locator("#rows tr:target")).to_have_count(1)


def test_a_campaign_of_a_rule_and_its_undo(site: Site, desk: Page) -> None:
    """One click makes the draft, the message takes it and its list back."""
    shop(site.services)
    desk.goto("/recommendations/rules?q=jam&side=to&items=1")
    desk.get_by_role("button", name="Make a campaign of Bread → Jam").click()
    expect(desk).to_have_url(re.compile(r"/campaigns/\d+"))
    with site.services.database.read() as session:
        assert session.scalars(select(Campaign.name)).one() == "Jam for buyers of Bread"
    with desk.expect_response(re.compile("/discard$")) as answer:
        desk.get_by_role("button", name="Undo").click()
    assert answer.value.status == 204
    with site.services.database.read() as session:
        assert session.scalars(select(Campaign.deleted_at)).one() is not None


def test_let_serve_and_take_back(site: Site, desk: Page) -> None:
    """The refused training serves by one click, and the undo lets the one before serve again."""
    shop(site.services)
    desk.goto("/recommendations/trainings")
    desk.get_by_role("button", name="Let training 2 serve").click()
    expect(desk.get_by_text("Training 2 serves now.")).to_be_visible()
    expect(desk.get_by_role("button", name="Let training 1 serve")).to_be_visible()
    with desk.expect_response(re.compile("/trainings/1/publish$")):
        desk.get_by_role("button", name="Undo").click()
    expect(desk.get_by_role("button", name="Let training 2 serve")).to_be_visible()
    with site.services.database.read() as session:
        assert training.current(session).id == 1  # type: ignore[union-attr]


def test_the_playground_asks_and_measures(site: Site, desk: Page) -> None:
    """The answer stands beside the question; a change asks again, a fault is shown as the API says it, and fifty times
    make a drawing.
    """
    shop(site.services)
    desk.goto("/recommendations/playground?placement=item&items=A0")
    answer, took = desk.locator("#answer"), desk.locator("#took")
    expect(answer).to_contain_text('"id": "A1"')
    expect(took).to_contain_text("HTTP 200")
    desk.get_by_role("textbox", name="Items", exact=True).fill("1000")
    desk.get_by_role("textbox", name="Items", exact=True).press("Tab")
    expect(took).to_contain_text("HTTP 422")
    expect(answer).to_contain_text('"field": "n"')
    desk.get_by_role("button", name="Ask 50 times").click()
    expect(desk.locator("#latency")).to_contain_text("Refused, so not asked again: Must be greater than")
    expect(desk.get_by_role("button", name="Ask 50 times")).to_be_enabled()
    expect(desk).to_have_url(re.compile("n=1000"))
    desk.get_by_role("textbox", name="Items", exact=True).fill("1")
    desk.get_by_role("textbox", name="Items", exact=True).press("Tab")
    expect(took).to_contain_text("HTTP 200")
    desk.get_by_role("button", name="Ask 50 times").click()
    expect(desk.locator("#latency")).to_contain_text("50 × · Median")
    expect(desk.locator("#latency rect")).to_have_count(12)
    check_accessible(desk)
    desk.get_by_text("Python", exact=True).click()
    expect(desk.locator("#code-python")).to_contain_text("RAPPORT_KEY")


def test_findings_lead_to_items(site: Site, desk: Page) -> None:
    """A finding opens its items; an item opens what goes with it."""
    shop(site.services)
    desk.goto("/recommendations/catalogue")
    settled(desk)
    desk.get_by_role("link", name="Without a picture").click()
    settled(desk)
    expect(desk.get_by_role("region", name="Without a picture").get_by_role("row")).to_have_count(5)
    desk.get_by_role("link", name="Bread", exact=True).click()
    expect(desk.get_by_label("Item numbers")).to_have_value("A0")
    settled(desk)
