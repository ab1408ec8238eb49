"""A campaign in a real browser, from the first word to the report."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from campaigns import scheduler
from campaigns.delivery import Sender
from campaigns.models import Campaign, OutboxMessage, Variant
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.campaigns import shop
from web.services import Services, utcnow

pytestmark = pytest.mark.browser

STEPS = ("goal", "audience", "content", "schedule", "review")


@pytest.fixture
def people(services: Services) -> None:
    """Forty people and a list of them."""
    now = utcnow()
    with services.database.begin() as session:
        shop.contact_list(session, now, name="Everybody", size=40, criteria={"field": "email", "operator": "known"})
        shop.crowd(session, 40, now)
    services.warehouse.refresh()


@pytest.fixture
def campaigns(services: Services, people: None) -> dict[str, int]:
    """A draft, one that is being sent and one that is finished, by state."""
    now = utcnow()
    given = {"list_id": 1, "split_a": 1_103_515_245, "holdout": 0.2}
    with services.database.begin() as session:
        draft = shop.campaign(session, now, **given).id
        sending = shop.campaign(session, now, **given)
        shop.fire(session, sending, range(1, 41), now)
        done = shop.campaign(session, now, **given)
        shop.accept(session, shop.fire(session, done, range(1, 41), now), now)
        shop.order(session, "O1", 3, now, 40)
        done.status = "finished"
        return {"draft": draft, "sending": sending.id, "finished": done.id}


def work(site: Site) -> None:
    """What the worker does."""
    ours = site.services
    render = scheduler.renderer(ours.config, ours.recommender)
    with Sender(ours.database, ours.config, render) as sender:
        scheduler.tick(ours.database, ours.warehouse, ours.config, now=utcnow(), sender=sender)


def go(page: Page, step: str) -> None:
    """Open a step."""
    page.get_by_role("navigation", name="Steps").get_by_role("link", name=re.compile(step)).click()


def block(page: Page, number: int) -> Locator:
    """A block of the mail, by its place."""
    return page.get_by_role("list", name="Blocks of the mail").get_by_role("listitem").nth(number)


def saved(page: Page, site: Site, **expected: object) -> None:
    """The page says that it is saved, and the database holds it."""
    version = page.locator("#saved input[name=version]").first
    for _ in range(300):
        with site.services.database.read() as session:
            campaign = session.scalars(select(Campaign)).one()
            variant = session.scalars(select(Variant)).one()
        kept = {name: getattr(variant if hasattr(variant, name) else campaign, name) for name in expected}
        if kept == expected:
            break
        page.wait_for_timeout(100)
    assert kept == expected
    expect(version).to_have_value(str(campaign.version))


def test_from_the_first_word_to_the_report(desk: Page, site: Site, people: None) -> None:
    """Compose, saved as one types; send now; watch it; read the mail; read the report."""
    desk.goto("/campaigns")
    desk.keyboard.press("n")
    desk.get_by_label("Name").fill("Spring")
    desk.get_by_label("List").select_option(label="Everybody · 40 people")
    desk.get_by_role("button", name="Start").click()
    desk.get_by_label("Each message").fill("0.01")
    go(desk, "Audience")
    desk.get_by_role("slider", name="Held out").fill("20")
    expect(desk.get_by_role("complementary", name="Who gets it")).to_contain_text("Will be sent")
    go(desk, "Content")
    desk.get_by_label("Subject", exact=True).fill("Tea for ")
    desk.get_by_label("Insert a field into Subject").select_option(label="First name")
    block(desk, 0).get_by_label("Words", exact=True).fill("A new leaf")
    desk.get_by_label("Leads to").fill("https://shop.example/tea")
    saved(desk, site, subject="Tea for {{ contact.first_name }}", message_cost=100, holdout=0.2)
    mail = desk.frame_locator("iframe[title='The mail as it will be sent']")
    expect(mail.get_by_text("A new leaf")).to_be_attached()  # Chromium lays a sandboxed frame out only while in sight
    go(desk, "Review")
    desk.get_by_role("button", name=re.compile(r"Send to \d+ people now")).click()
    dialog = desk.get_by_role("dialog", name="Ready?")
    check_accessible(desk)
    dialog.get_by_role("button", name="Send to").click()
    expect(desk.get_by_text("Scheduled", exact=True)).to_be_visible()
    work(site)
    expect(desk.get_by_text("All of it is out.")).to_be_visible()
    desk.get_by_role("link", name="See the report").click()
    expect(desk.get_by_role("heading", name="Too few buyers to tell")).to_be_visible()
    with site.services.database.read() as session:
        messages = session.scalars(select(OutboxMessage)).all()
    assert {message.subject for message in messages} == {"Tea for Ann"}


def test_a_step_opens_at_the_top(desk: Page, campaigns: dict[str, int]) -> None:
    """The address of a step shows the title above it, and the steps stay in sight below."""
    desk.goto(f"/campaigns/{campaigns['draft']}#content")
    expect(desk.get_by_role("heading", level=1)).to_be_in_viewport()
    desk.evaluate("scrollTo(0, 600)")
    expect(desk.get_by_role("navigation", name="Steps")).to_be_in_viewport()


def test_blocks_by_keyboard(desk: Page, site: Site, people: None) -> None:
    """A new block has the focus; Alt and the arrow keys move it, and the focus stays with it."""
    desk.goto("/campaigns/new")
    desk.get_by_label("Name").fill("Spring")
    desk.get_by_role("button", name="Start").click()
    go(desk, "Content")
    desk.get_by_role("group", name="Add a block").get_by_role("button", name="Heading").click()
    words = block(desk, 3).get_by_label("Words", exact=True)
    expect(words).to_be_focused()
    desk.keyboard.type("Last, then first")
    for _ in range(3):
        desk.keyboard.press("Alt+ArrowUp")
    expect(block(desk, 0).get_by_label("Words", exact=True)).to_be_focused()
    hello = "Hello {{ contact.first_name | default: 'there' }},\n\n"
    letter = [
        {"type": "heading", "text": "Last, then first"},
        {"type": "heading", "text": ""},
        {"type": "text", "text": hello},
        {"type": "button", "label": "Have a look", "url": ""},
    ]
    saved(desk, site, blocks=letter)
    block(desk, 1).get_by_role("button", name="Remove").click()
    saved(desk, site, blocks=[letter[0], *letter[2:]])
    undo = block(desk, 1).get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    desk.set_viewport_size({"width": 1280, "height": 2000})  # no field half under what stays in sight
    check_accessible(desk)
    check_fits(desk)
    desk.keyboard.press("Enter")
    saved(desk, site, blocks=letter)


def test_no_time_is_not_now(desk: Page, campaigns: dict[str, int]) -> None:
    """A time that is left empty is told beside its field, and nothing can be sent, whatever is counted anew."""
    desk.goto(f"/campaigns/{campaigns['draft']}#schedule")
    expect(desk.get_by_role("complementary", name="Who gets it")).to_contain_text("Will be sent")
    desk.get_by_label("At a time").check()
    expect(desk.locator("#at-fault")).to_contain_text("Choose the day and the time")
    check_accessible(desk)
    go(desk, "Audience")
    desk.get_by_role("slider", name="Held out").fill("30")
    expect(desk.get_by_role("complementary", name="Who gets it")).to_contain_text("28")
    go(desk, "Review")
    expect(desk.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    go(desk, "Schedule")
    desk.get_by_role("radio", name="Now").check()
    go(desk, "Review")
    expect(desk.get_by_role("button", name=re.compile(r"Send to \d+ people now"))).to_be_enabled()


def test_fault_is_told_where_it_is(desk: Page, site: Site, campaigns: dict[str, int]) -> None:
    """Liquid that names nothing is told at its field, and the review leads there."""
    desk.goto(f"/campaigns/{campaigns['draft']}#content")
    subject = desk.get_by_label("Subject", exact=True)
    subject.fill("Dear {{ contact.first_nam }}")
    expect(desk.locator("#subject-fault")).to_contain_text("Did you mean 'first_name'?")
    go(desk, "Review")
    desk.get_by_role("link", name=re.compile("Put right: Line 1")).click()
    expect(subject).to_be_focused()
    subject.fill("Dear you")
    expect(desk.locator("#subject-fault")).to_be_empty()


def test_polls_that_fail_are_told(desk: Page, campaigns: dict[str, int]) -> None:
    """While the server does not answer, the page says that it may be old; the next answer takes that away. A tab of its
    own: a browser's console tells every request that failed.
    """
    page = desk.context.new_page()
    page.goto(f"/campaigns/{campaigns['sending']}")
    note = page.get_by_text("No connection; what you see may be out of date.")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(note).to_be_hidden()
    for failing in (lambda route: route.abort(), lambda route: route.fulfill(status=502)):
        page.route("**/progress*", failing)
        expect(note).to_be_visible()
        page.unroute("**/progress*")
        expect(note).to_be_hidden()
    page.close()


def test_the_list_stands_apart(desk: Page, site: Site, campaigns: dict[str, int]) -> None:
    """Between the card of one that waits and the line about its list there is air."""
    with site.services.database.begin() as session:
        session.get_one(Campaign, campaigns["draft"]).due_at = utcnow() + timedelta(days=1)
        session.get_one(Campaign, campaigns["draft"]).status = "scheduled"
    desk.goto(f"/campaigns/{campaigns['draft']}")
    card, line = desk.locator("#live > .card").bounding_box(), desk.get_by_text("Who is on it").bounding_box()
    assert card is not None
    assert line is not None
    assert line["y"] - card["y"] - card["height"] >= 12


def test_a_report_prints_on_white(desk: Page, campaigns: dict[str, int]) -> None:
    """Ink on paper, from the dark theme too: nobody prints white letters."""
    desk.emulate_media(color_scheme="dark")
    desk.goto(f"/campaigns/{campaigns['finished']}")
    heading = desk.get_by_role("heading", level=1)
    expect(heading).to_have_css("color", "rgb(229, 234, 231)")
    desk.emulate_media(media="print")
    expect(heading).to_have_css("color", "rgb(26, 32, 29)")
    expect(desk.locator(".card").first).to_have_css("background-color", "rgb(255, 255, 255)")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_accessible(desk: Page, campaigns: dict[str, int], colours: str) -> None:
    """axe finds nothing on any page or step in either theme, and nothing sticks out at 390 px."""
    desk.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    pages = ["/campaigns", "/campaigns/new", *(f"/campaigns/{campaigns[name]}" for name in ("sending", "finished"))]
    pages += [f"/campaigns/{campaigns['draft']}#{step}" for step in STEPS]
    for address in pages:
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.goto("about:blank")
        desk.goto(address)
        desk.wait_for_load_state("networkidle" if "sending" not in address else "load")
        check_accessible(desk)
        check_fits(desk)


def test_budget(desk: Page, campaigns: dict[str, int]) -> None:
    """The page of a draft stays under 110 KiB on the wire with the mail it shows."""
    sizes: list[int] = []
    session = desk.context.new_cdp_session(desk)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    desk.goto(f"/campaigns/{campaigns['draft']}#content")
    desk.wait_for_load_state("networkidle")
    assert 0 < sum(sizes) <= 110 * 1024
