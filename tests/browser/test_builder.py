"""The criteria builder by hand: every kind of criterion, by mouse and by keyboard, counted as the API counts it."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Page, expect

from engine import intake
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.browser.test_lists import at, choose, counted, menu, people, press
from web.services import Services, utcnow

__all__ = ["people"]
pytestmark = pytest.mark.browser

EVERY: dict[str, Any] = {
    "include": {"all": [
        {"field": "age", "operator": "top_percent", "value": 75},
        {"event": "order", "measure": "count", "operator": "at_most", "value": -10, "within": {"last_days": 90},
         "compared_to": "previous"},
        {"any": [
            {"sequence": [{"event": "item_view", "where": [{"field": "category", "operator": "known"}]},
                          {"event": "order", "days": 7, "not": True}], "within": {"last_days": 60}},
            {"event": "order", "measure": "last_at", "operator": "in_period", "value": "last_month",
             "within": {"since": {"event": "cart_abandon"}, "days": 7}},
            {"likely": {"category": "Kitchen"}, "top": 200},
            {"field": "birth_date", "operator": "in_month", "value": 5},
        ]},
    ]},
    "exclude": {"any": [{"field": "email_consent", "operator": "is", "value": False}]},
}  # fmt: skip


@pytest.fixture
def buyers(services: Services, people: None) -> None:
    """Every ninth of the people bought a pan the day after they looked at it first."""
    now = utcnow()
    orders = [{"order": f"O{n}", "contact": f"C{n}", "at": (now - timedelta(days=1, hours=12)).isoformat(),
               "lines": [{"item": "pan", "quantity": 1, "unit_price": "9.99"}]} for n in range(0, 60, 9)]  # fmt: skip
    with services.database.begin() as session:
        done = intake.accept(session, "orders", orders, now=now, config=services.config)
    assert not done.rejected
    services.warehouse.refresh()


def ready(page: Page) -> None:
    """The builder's script is there."""
    expect(page.locator("#pick")).to_be_attached()


def pick(page: Page, place: str, words: str) -> None:
    """Find a subject by typing, with the keyboard alone."""
    ready(page)
    at(page, place).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Find a condition")).to_be_focused()
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.locator("#pick")).to_be_hidden()


def asked(page: Page) -> Any:
    """The criteria that the address holds."""
    return json.loads(parse_qs(urlsplit(page.url).query).get("q", ["null"])[0])


def agrees(page: Page, site: Site, criteria: Any) -> None:
    """The page shows and counts these criteria, the engine the same, and the address brings them back."""
    for _ in range(2):
        until = time.monotonic() + 30
        while asked(page) != criteria and time.monotonic() < until:
            page.wait_for_timeout(100)
        assert asked(page) == criteria
        expect(page.locator("#live-count")).to_have_text(counted(site.services, criteria))
        page.reload()


def test_sequence(desk: Page, site: Site, buyers: None) -> None:
    """Steps are filled in, added, moved and taken out."""
    desk.goto("/lists/new")
    press(desk, "add", "n")
    pick(desk, "n.0.what", "one thing after")
    pick(desk, "n.0.sequence.0.what", "viewed an item")
    at(desk, "n.0.sequence.0:where").click()
    pick(desk, "n.0.sequence.0.where.0.what", "category")
    at(desk, "n.0.sequence.0.where.0.value.0").fill("Kitchen")
    pick(desk, "n.0.sequence.1.what", "ordered")
    at(desk, "n.0.sequence.1.days").fill("7")
    viewed = {"event": "item_view", "where": [{"field": "category", "operator": "within", "value": "Kitchen"}]}
    bought = {"all": [{"sequence": [viewed, {"event": "order", "days": 7}]}]}
    expect(desk.locator("#sentence")).to_contain_text("then ordered within 7 days")
    agrees(desk, site, bought)
    expect(desk.locator("#live-count")).to_have_text("7")
    at(desk, "n.0:step").click()
    pick(desk, "n.0.sequence.2.what", "returned")
    at(desk, "n.0.sequence.2.not").select_option("1")
    expect(desk.locator("#sentence")).to_contain_text("returned nothing")
    at(desk, "n.0.sequence.2:unstep").click()
    expect(at(desk, "n.0.sequence.2")).to_have_count(0)
    at(desk, "n.0.sequence.1.days").fill("")
    expect(desk.locator("#sentence")).not_to_contain_text("within")
    at(desk, "n.0.sequence.1:earlier").click()
    expect(at(desk, "n.0.sequence.0.what")).to_have_value("event:order")
    agrees(desk, site, {"all": [{"sequence": [{"event": "order"}, viewed]}]})


def test_exclusion_since_and_percentile_with_undo(desk: Page, site: Site, buyers: None) -> None:
    """Built by hand with the counts of the engine; undone step by step and brought again."""
    desk.goto("/lists/new")
    press(desk, "add", "n")
    pick(desk, "n.0.what", "age")
    choose(desk, "n.0.operator", "top_percent")
    at(desk, "n.0.value.0").fill("50")
    oldest = {"field": "age", "operator": "top_percent", "value": 50}
    expect(desk.locator("#live-count")).to_have_text("30")
    press(desk, "add", "n")
    pick(desk, "n.1.what", "ordered")
    at(desk, "n.1.value.0").fill("0")
    choose(desk, "n.1.operator", "is")
    at(desk, "n.1.window").select_option("since")
    pick(desk, "n.1.within.since.what", "viewed an item")
    at(desk, "n.1.within.days").fill("3")
    waited = {"event": "order", "measure": "count", "within": {"since": {"event": "item_view"}, "days": 3},
              "operator": "is", "value": 0}  # fmt: skip
    expect(desk.locator("#sentence")).to_contain_text("after they last viewed an item")
    meant = counted(site.services, {"all": [oldest, waited]})
    expect(desk.locator("#live-count")).to_have_text(meant)
    press(desk, "add", "x")
    pick(desk, "x.0.what", "country")
    choose(desk, "x.0.operator", "is")
    at(desk, "x.0.value.0").fill("FR")
    french = {"field": "country", "operator": "is", "value": "FR"}
    whole = {"include": {"all": [oldest, waited]}, "exclude": {"any": [french]}}
    expect(desk.locator("#live-count")).to_have_text(counted(site.services, whole))
    left = int(meant) - int(counted(site.services, whole))
    expect(desk.locator("#left-out")).to_have_text(f"{left} left out")
    desk.locator("body").click(position={"x": 1270, "y": 790})
    while at(desk, "x.0").count():
        desk.keyboard.press("Control+z")
        desk.wait_for_timeout(150)
    expect(desk.locator("#live-count")).to_have_text(meant)
    redo = desk.get_by_role("button", name="Redo")
    while redo.is_enabled():
        desk.keyboard.press("Control+Shift+Z")
        desk.wait_for_timeout(150)
    agrees(desk, site, whole)


def test_dragged_wrapped_and_left_out(desk: Page, site: Site, people: None) -> None:
    """By the grip into another group and into the other box; the menu does the same without dragging."""
    french, old = ({"field": "country", "operator": "is", "value": "FR"},
                   {"field": "age", "operator": "at_least", "value": 70})  # fmt: skip
    desk.goto("/lists/new?q=" + quote(json.dumps({"all": [french, {"any": [old, old]}]})))
    ready(desk)
    at(desk, "n.0").locator(".crit-grip").drag_to(at(desk, "n.1.1"), target_position={"x": 40, "y": 20})
    expect(at(desk, "n.0.2.what").or_(at(desk, "n.0.1.what")).first).to_be_visible()
    expect(at(desk, "n.1")).to_have_count(0)
    assert sorted(map(json.dumps, asked(desk)["all"][0]["any"])) == sorted(map(json.dumps, [french, old, old]))
    desk.goto("/lists/new?q=" + quote(json.dumps({"all": [french, old]})))
    menu(desk, "wrap", "n.1")
    expect(at(desk, "n.1.kind")).to_have_value("any")
    menu(desk, "unwrap", "n.1")
    expect(at(desk, "n.1.kind")).to_have_count(0)
    menu(desk, "aside", "n.0")
    expect(at(desk, "x.0.what")).to_have_value("field:country")
    agrees(desk, site, {"include": {"all": [old]}, "exclude": {"any": [french]}})


def test_three_levels_by_keyboard_alone(desk: Page, site: Site, people: None) -> None:
    """Nothing is clicked: conditions, groups in groups, values, and moving out again."""
    desk.goto("/lists/new")
    desk.keyboard.press("n")
    expect(desk.get_by_role("combobox", name="Find a condition")).to_be_focused()
    desk.keyboard.press("Escape")
    expect(at(desk, "n.0.what")).to_be_focused()
    pick(desk, "n.0.what", "country")
    expect(at(desk, "n.0.value.0")).to_be_focused()
    desk.keyboard.type("FR")
    for place in ("n", "n.1"):
        at(desk, f"{place}:group").focus()
        desk.keyboard.press("Enter")
        expect(at(desk, f"{place}.1.0.what")).to_be_visible() if place == "n.1" else None
    for place, years in (("n.1.0", "70"), ("n.1.1.0", "30")):
        pick(desk, f"{place}.what", "age")
        expect(at(desk, f"{place}.value.0")).to_be_focused()
        desk.keyboard.type(years)
    expect(desk.locator("#sentence")).to_contain_text("30")
    choose(desk, "n.1.1.0.operator", "at_most")
    nest = {"all": [{"field": "country", "operator": "is", "value": "FR"},
                    {"any": [{"field": "age", "operator": "at_least", "value": 70},
                             {"all": [{"field": "age", "operator": "at_most", "value": 30}]}]}]}  # fmt: skip
    agrees(desk, site, nest)
    at(desk, "n.1.1.0.value.0").focus()
    desk.keyboard.press("Alt+ArrowUp")
    expect(at(desk, "n.1.1.what")).to_have_value("field:age")


def test_typing_on_loses_no_edit(desk: Page, people: None) -> None:
    """Who presses a button and types before the answer is there and saves gets all of it."""
    desk.goto('/lists/new?q={"all":[{"field":"age","operator":"at_least","value":70},{"list":1}]}')
    ready(desk)
    desk.route("**/lists/new", lambda route: (desk.wait_for_timeout(400), route.continue_()))
    at(desk, "n.1:remove").click()
    at(desk, "n.0.value.0").fill("75")
    desk.get_by_label("Name of the list").fill("Old")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk).to_have_url(re.compile(r"/lists/\d+$"))
    expect(at(desk, "n.1")).to_have_count(0)
    expect(at(desk, "n.0.value.0")).to_have_value("75")
    expect(desk.locator("#live-count")).to_have_text("5")


def test_half_typed_name(desk: Page, people: None) -> None:
    """No fault while it is written; one when its box is left."""
    desk.goto('/lists/new?q={"all":[{"field":"first_name","operator":"matches","value":"x"}]}')
    ready(desk)
    at(desk, "n.0.value.0").fill("(half")
    expect(desk.locator(".crit-open")).to_be_visible()
    expect(desk.locator("#work .form-fault")).to_have_count(0)
    desk.keyboard.press("Tab")
    expect(desk.locator("#work .form-fault")).to_contain_text("no regular expression")
    expect(at(desk, "n.0.value.0")).to_have_value("(half")


def test_pasted_and_found_again(desk: Page, site: Site, people: None) -> None:
    """Pasted JSON is shown; what is none stays in the dialog; undo brings the old criteria back."""
    desk.goto("/lists/new")
    desk.get_by_text("More", exact=True).click()
    desk.get_by_role("button", name="Import criteria…").click()
    dialog = desk.get_by_role("dialog", name="Import criteria")
    pasted = {"all": [{"field": "age", "operator": "at_least", "value": 70}]}
    dialog.get_by_role("textbox").fill(json.dumps(pasted)[:-2])
    dialog.get_by_role("button", name="Import").click()
    expect(dialog).to_contain_text("not complete JSON")
    check_accessible(desk)
    dialog.get_by_role("textbox").fill(json.dumps(pasted))
    dialog.get_by_role("button", name="Import").click()
    expect(desk.locator("#live-count")).to_have_text("10")
    expect(dialog).to_be_hidden()
    assert json.loads(desk.locator("#as-json").text_content() or "") == pasted
    desk.get_by_role("button", name="Undo").click()
    expect(desk.locator("#live-count")).to_have_text("60")


def test_sixty_conditions(desk: Page, site: Site, people: None) -> None:
    """Many conditions are counted, changed and fit a telephone; their choices stand in the page once."""
    many = {"any": [{"field": "age", "operator": "is", "value": 20 + n} for n in range(60)]}
    desk.goto("/lists/new?q=" + quote(json.dumps(many)))
    expect(desk.locator("#live-count")).to_have_text("60")
    assert desk.locator('option[value="field:income"]').count() == 1
    at(desk, "n.59.value.0").fill("7")
    expect(desk.locator("#live-count")).to_have_text("59")
    check_fits(desk)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_kind_is_accessible_and_fits(desk: Page, people: None, colours: str) -> None:
    """axe finds nothing at 1,440 and 390 px, with a menu and the list of subjects open too."""
    desk.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    desk.set_viewport_size({"width": 1440, "height": 900})
    desk.goto("/lists/new?q=" + quote(json.dumps(EVERY)))
    expect(desk.locator(".crit-other")).to_have_count(0)
    ready(desk)
    check_accessible(desk)
    at(desk, "n.0:more").click()
    check_accessible(desk)
    desk.keyboard.press("Escape")
    at(desk, "n.0.what").click()
    check_accessible(desk)
    desk.keyboard.press("Escape")
    check_fits(desk)
    check_accessible(desk)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.usefixtures("buyers")
def test_what_removes_a_line_stands_beside_it(desk: Page, width: int) -> None:
    """However deep it is: never on a line of its own, where it would seem to remove the next one."""
    where = [{"field": "category", "operator": "is", "value": "Kitchen"}]
    viewed = {"event": "item_view", "measure": "count", "operator": "at_least", "value": 1, "where": where}
    steps = [{"event": "item_view", "where": where}, {"event": "order", "days": 7, "where": where}]
    nested = {"all": [viewed, {"any": [viewed, {"all": [viewed, {"none": [viewed, {"sequence": steps}]}]}]}]}
    desk.set_viewport_size({"width": width, "height": 844})
    desk.goto("/lists/new?q=" + quote(json.dumps(nested)))
    ready(desk)
    ends = desk.locator("button[id$=':unwhere'], button[id$=':unstep'], .crit-head > .crit-acts")
    expect(ends).to_have_count(4 + 2 + 2 + 3)
    expect(desk.locator(".htmx-request")).to_have_count(0)  # what comes in late moves the rows
    for end in ends.all():
        first = end.locator("xpath=ancestor::*[contains('crit-where crit-ended crit-head', @class)][1]//select").first
        ours, theirs = end.bounding_box(), first.bounding_box()
        assert ours is not None
        assert theirs is not None
        assert abs(ours["y"] - theirs["y"]) < 8
        assert ours["x"] > theirs["x"]
    check_fits(desk)
