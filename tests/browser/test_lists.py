"""Building lists in a real browser: counted while typing, nothing lost, usable by keyboard and on a telephone."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Download, Page, expect

from engine import criteria, intake, lists
from engine.catalogue import open_catalogue
from engine.models import ContactList
from tests.browser.conftest import Site, check_accessible, check_fits
from web.services import Services, utcnow

pytestmark = pytest.mark.browser

NEST: dict[str, Any] = {
    "all": [
        {"field": "age", "operator": "between", "value": [25, 45]},
        {"any": [
            {"field": "country", "operator": "is", "value": "FR"},
            {"none": [
                {"event": "item_view", "measure": "count", "operator": "at_least", "value": 2,
                 "within": {"last_days": 30},
                 "where": [{"field": "category", "operator": "within", "value": "Kitchen"}]},
            ]},
        ]},
    ]
}  # fmt: skip


@pytest.fixture
def people(services: Services) -> None:
    """Sixty contacts of 20 to 79 years; every second is French, every third has looked at kitchen things twice."""
    now = utcnow()
    contacts = [{"key": f"C{n}", "first_name": f"Ada{n}", "age": 20 + n, "country": "FR" if n % 2 else "GB"}
                for n in range(60)]  # fmt: skip
    items = [{"key": "pan", "title": "Pan", "category": "Kitchen > Pans"}]
    seen = [{"type": "item_view", "at": (now - timedelta(days=day)).isoformat(), "contact": f"C{n}", "item": "pan"}
            for n in range(0, 60, 3) for day in (1, 2)]  # fmt: skip
    with services.database.begin() as session:
        for kind, records in (("contacts", contacts), ("items", items), ("events", seen)):
            intake.accept(session, kind, records, now=now, config=services.config)
    services.warehouse.refresh()


@pytest.fixture
def over(services: Services, people: None) -> int:
    """A saved list: 40 and older."""
    with services.database.begin() as session:
        aged = {"all": [{"field": "age", "operator": "at_least", "value": 40}]}
        return lists.save(session, None, "Over forty", aged, now=utcnow()).id


def counted(services: Services, asked: Any) -> str:
    """The engine's own count."""
    with services.database.read() as session:
        node = criteria.parse(asked, open_catalogue(session, services.warehouse))
        return str(lists.preview(services.warehouse, node, now=utcnow()).count)


def at(page: Page, place: str) -> Any:
    """The control of this name and place."""
    return page.locator(f'[id="{place}"]')


def choose(page: Page, place: str, value: str) -> None:
    """Choose what a select offers to whoever comes to it."""
    at(page, place).focus()
    at(page, place).select_option(value)


def menu(page: Page, verb: str, place: str) -> None:
    """Do something with the condition or group at a place that its menu offers."""
    at(page, f"{place}:more").click()
    at(page, f"{place}:{verb}").click()


def press(page: Page, name: str, place: str) -> None:
    """Add a condition or group to the group at a place."""
    at(page, f"{place}:{name}").click()


def build(page: Page) -> None:
    """NEST, by hand."""
    page.goto("/lists/new")
    press(page, "add", "n")
    choose(page, "n.0.what", "field:age")
    choose(page, "n.0.operator", "between")
    at(page, "n.0.value.0").fill("25")
    at(page, "n.0.value.1").fill("45")
    press(page, "group", "n")
    choose(page, "n.1.0.what", "field:country")
    at(page, "n.1.0.value.0").fill("FR")
    press(page, "group", "n.1")
    at(page, "n.1.1.kind").select_option("none")
    choose(page, "n.1.1.0.what", "event:item_view")
    at(page, "n.1.1.0.value.0").fill("2")
    at(page, "n.1.1.0.window").select_option("last")
    at(page, "n.1.1.0.within.last_days").fill("30")
    page.get_by_role("button", name="where…").click()
    choose(page, "n.1.1.0.where.0.what", "field:category")
    at(page, "n.1.1.0.where.0.value.0").fill("Kitchen")


def test_build_reload_and_share(desk: Page, site: Site, people: None) -> None:
    """Three levels with a range and an event are counted as the engine counts them; the address brings all back."""
    build(desk)
    expect(desk.locator("#sentence")).to_contain_text("the category is in Kitchen")
    expect(desk.locator("#live-count")).to_have_text(counted(site.services, NEST))
    expect(desk.get_by_text("People aged between 25 and 45 and (in FR")).to_be_visible()
    expect(at(desk, "n.0").locator(".crit-all-of")).to_have_text("21")
    desk.reload()
    expect(desk.locator("#live-count")).to_have_text(counted(site.services, NEST))
    expect(at(desk, "n.1.1.0.within.last_days")).to_have_value("30")
    expect(at(desk, "n.1.1.kind")).to_have_value("none")


def test_typing_keeps_focus_and_caret(desk: Page, people: None) -> None:
    """While counts come in, the control stays, with its text, its caret and the same element."""
    desk.goto('/lists/new?q={"all":[{"field":"first_name","operator":"contains","value":"a"}]}')
    value = at(desk, "n.0.value.0")
    value.focus()
    value.evaluate("control => { control.same = true; control.setSelectionRange(0, 0); }")
    desk.keyboard.type("Ad", delay=120)
    expect(desk.locator("#sentence")).to_contain_text("contains Ada")
    assert value.evaluate("control => [control.same, document.activeElement === control, control.selectionStart]") == [
        True, True, 2]  # fmt: skip


def test_typing_on_is_not_overwritten(desk: Page, people: None) -> None:
    """An answer that was under way while one typed on and left the control does not bring back the old text."""
    desk.goto('/lists/new?q={"all":[{"field":"age","operator":"between","value":[20,79]}]}')
    desk.route("**/lists/new", lambda route: (desk.wait_for_timeout(200), route.continue_()))
    at(desk, "n.0.value.0").fill("3")
    desk.wait_for_timeout(300)
    at(desk, "n.0.value.0").press_sequentially("5")
    at(desk, "n.0.value.1").fill("41")
    expect(desk.locator("#sentence")).to_have_text("People aged between 35 and 41")
    expect(at(desk, "n.0.value.0")).to_have_value("35")
    expect(desk.locator("#live-count")).to_have_text("7")


def test_half_typed_keeps_the_last_count(desk: Page, people: None) -> None:
    """A value that is none yet is said at its control; the count stays and is marked as the last one."""
    desk.goto('/lists/new?q={"all":[{"field":"age","operator":"at_least","value":70}]}')
    expect(desk.locator("#live-count")).to_have_text("10")
    at(desk, "n.0.value.0").fill("7x")
    expect(at(desk, "n.0.fault")).to_contain_text("must be a number")
    expect(at(desk, "n.0.value.0")).to_have_attribute("aria-invalid", "true")
    expect(desk.locator("#live-count")).to_have_text("10")
    expect(desk.get_by_text("The last count")).to_be_visible()
    check_accessible(desk)
    at(desk, "n.0.value.0").fill("75")
    expect(desk.locator("#live-count")).to_have_text("5")
    expect(desk.get_by_text("The last count")).to_be_hidden()


def test_undo_redo_and_back(desk: Page, people: None) -> None:
    """Undo takes back what was done step by step, selects too; redo brings it again; Back leaves the last edit."""
    desk.goto('/lists/new?q={"all":[{"field":"age","operator":"at_least","value":70}]}')
    for operator, count in (("at_most", "51"), ("at_least", "10"), ("at_most", "51")):
        choose(desk, "n.0.operator", operator)
        expect(desk.locator("#live-count")).to_have_text(count)
    menu(desk, "copy", "n.0")
    expect(at(desk, "n.1.value.0")).to_have_value("70")
    at(desk, "n.1.value.0").fill("22")
    expect(desk.locator("#live-count")).to_have_text("3")
    undo, redo = desk.get_by_role("button", name="Undo"), desk.get_by_role("button", name="Redo")
    undo.click()
    expect(desk.locator("#live-count")).to_have_text("51")
    undo.click()
    expect(at(desk, "n.1")).to_have_count(0)
    undo.click()
    expect(at(desk, "n.0.operator")).to_have_value("at_least")
    expect(desk.locator("#live-count")).to_have_text("10")
    expect(undo).to_be_disabled()
    for _ in range(3):
        redo.click()
    expect(desk.locator("#live-count")).to_have_text("3")
    at(desk, "n.0:remove").click()
    expect(at(desk, "n.1")).to_have_count(0)
    desk.go_back()
    expect(at(desk, "n.1.value.0")).to_have_value("22")


def test_keyboard_alone(desk: Page, people: None) -> None:
    """A condition is added, chosen, typed and moved without a mouse; focus goes where the work goes on."""
    desk.goto('/lists/new?q={"all":[{"field":"country","operator":"is","value":"FR"}]}')
    desk.keyboard.press("n")
    expect(desk.get_by_role("combobox", name="Find a condition")).to_be_focused()
    desk.keyboard.type("age")
    desk.keyboard.press("Enter")
    expect(at(desk, "n.1.what")).to_have_value("field:age")
    expect(at(desk, "n.1.value.0")).to_be_focused()
    desk.keyboard.type("70")
    expect(desk.locator("#live-count")).to_have_text("5")
    desk.keyboard.press("Alt+ArrowUp")
    expect(at(desk, "n.0.what")).to_have_value("field:age")
    expect(at(desk, "n.0").locator(":focus")).to_have_count(1)
    expect(desk.locator("#live-count")).to_have_text("5")


def test_several_values(desk: Page, people: None) -> None:
    """Each value gets a control and a next one appears; stored values are offered."""
    desk.goto('/lists/new?q={"all":[{"field":"country","operator":"in","value":["FR"]}]}')
    expect(desk.locator("datalist option")).to_have_count(2)
    at(desk, "n.0.value.1").fill("GB")
    expect(at(desk, "n.0.value.2")).to_be_visible()
    expect(desk.locator("#live-count")).to_have_text("60")


def test_save_conflict_freeze_export(desk: Page, site: Site, over: int) -> None:
    """Save in place, learn of a second editor without losing anything, freeze and export."""
    desk.goto(f"/lists/{over}")
    at(desk, "n.0.value.0").fill("70")
    expect(desk.get_by_text("Not saved")).to_be_visible()
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.locator("#work-state")).to_contain_text("Saved")
    expect(desk).to_have_url(re.compile(f"/lists/{over}$"))
    with site.services.database.begin() as session:
        found = session.get_one(ContactList, over)
        assert (found.criteria["all"][0]["value"], found.size) == (70, 10)
        lists.rename(session, over, "Theirs", now=utcnow())
    at(desk, "n.0.value.0").fill("75")
    expect(desk.locator("#live-count")).to_have_text("5")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_role("alert")).to_contain_text("Somebody else saved this list")
    expect(at(desk, "n.0.value.0")).to_have_value("75")
    check_accessible(desk)
    desk.get_by_role("button", name="Save mine over it").click()
    expect(desk.locator("#work-state")).to_contain_text("Saved")
    desk.get_by_text("More", exact=True).click()
    desk.get_by_role("button", name="Freeze…").click()
    dialog = desk.get_by_role("dialog", name="Freeze this list")
    expect(dialog).to_contain_text("People found now: 5")
    check_accessible(desk)
    dialog.get_by_role("button", name="Save and freeze").click()
    expect(desk.get_by_role("region", name="People on the list").get_by_role("row")).to_have_count(6)
    check_accessible(desk)
    check_fits(desk)
    with desk.expect_download() as started:
        desk.get_by_role("link", name="Export CSV").click()
    download: Download = started.value
    assert len(download.path().read_text(encoding="utf-8-sig").splitlines()) == 6


def test_new_list_is_saved_under_its_name(desk: Page, people: None) -> None:
    """From a template of the empty index to a saved list, then deleted and brought back."""
    desk.goto("/lists")
    check_accessible(desk)
    desk.get_by_role("link", name="Looked, did not buy").click()
    expect(desk.get_by_label("Name of the list")).to_have_value("Looked, did not buy")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("Export CSV, as saved")).to_be_attached()
    desk.get_by_role("link", name="← Lists").click()
    desk.get_by_role("button", name="Delete Looked, did not buy").click()
    desk.get_by_role("button", name="Undo").click()
    expect(desk.get_by_role("link", name="Looked, did not buy")).to_be_visible()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_accessible_and_fits(desk: Page, over: int, colours: str) -> None:
    """axe finds nothing and nothing sticks out at 390 px, on the index, a nest of three levels, and every control."""
    desk.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    build(desk)
    expect(desk.locator("#sentence")).to_contain_text("Kitchen")
    keys = [f"C{number}" for number in range(40)]
    every = {"all": [
        {"field": "country", "operator": "in", "value": ["FR", "GB"]},
        {"field": "key", "operator": "in", "value": keys},
        {"at_least": 1, "of": [
            {"field": "email_consent", "operator": "is", "value": True}, {"list": over}, {"nonsense": 1},
            {"event": "order", "measure": "sum", "property": "total", "operator": "between", "value": [1, 2],
             "within": {"last_days": 9, "before": "2026-01-01"}},
            {"field": "", "operator": "", "value": ""},
        ]},
    ]}  # fmt: skip
    for address in (desk.url, f"/lists/new?q={quote(json.dumps(every))}", "/lists"):
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.goto(address)
        check_accessible(desk)
        check_fits(desk)
        check_accessible(desk)


def test_more_event_types_than_are_offered(desk: Page, site: Site, people: None) -> None:
    """The name of one that is not among the choices is typed; every condition has the choices all the same."""
    now = utcnow()
    seen = [{"type": f"noise-{n:03}", "at": now.isoformat(), "contact": "C1"} for n in range(230)]
    with site.services.database.begin() as session:
        intake.accept(session, "events", seen, now=now, config=site.services.config)
    desk.goto("/lists/new")
    press(desk, "add", "n")
    choose(desk, "n.0.what", "event:")
    expect(at(desk, "n.0.named")).to_be_focused()
    desk.keyboard.type("noise-229")
    expect(desk.locator("#live-count")).to_have_text("1")
    expect(desk.locator("#sentence")).to_contain_text("noise-229")
    choose(desk, "n.0.what", "field:age")
    expect(at(desk, "n.0.value.0")).to_be_focused()


def test_people_are_shown_on_a_telephone(desk: Page, people: None) -> None:
    """Below the criteria."""
    desk.set_viewport_size({"width": 390, "height": 844})
    desk.goto("/lists/new?q=" + quote(json.dumps({"all": [NEST["all"][0]]})))
    expect(desk.locator("#live-people")).to_be_visible()
    check_fits(desk)
