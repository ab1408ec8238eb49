"""Rows of recommendations on the pages of a little shop, on another host than Rapport."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Route, expect

from engine import config as settings
from engine import website
from engine.config import Config
from engine.models import Contact, Event
from recommender import bundles, training
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.browser.test_snippet import SECRET, Shop, events, little_shop, told, until
from tests.recommender.shop import add_items, add_order
from web.api import access
from web.services import utcnow

__all__ = ["little_shop"]

HEAD = """<!doctype html><html lang="en-GB"><title>{title}</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src {rapport} 'nonce-1';
 style-src {rapport} 'nonce-1'; connect-src {rapport}; img-src 'self' data:">
<style nonce="1">body {{ margin: 1rem; font: 16px/1.5 sans-serif }} .tall {{ block-size: 150vh }}</style>
<link rel="stylesheet" href="{rapport}/t.css">
<script nonce="1">window.shifts = 0; window.answers = 0;
new PerformanceObserver(list => list.getEntries().forEach(one => {{ window.shifts += one.value }}))
  .observe({{type: 'layout-shift', buffered: true}});
addEventListener('rapport:answer', () => {{ window.answers++ }});
window.rapport=window.rapport||function(){{(rapport.q=rapport.q||[]).push(arguments)}};rapport('page')</script>
<script async src="{rapport}/t.js" data-key="{key}" data-consent="{consent}"></script><main><h1>{title}</h1>"""
ITEM = (
    '<div id="goes" data-rapport-placement="item" data-rapport-items="A0" data-rapport-n="{n}"'
    ' data-rapport-title="Goes well with it">{inner}</div>'
)
HOME = '<div id="home" data-rapport-placement="home" data-rapport-n="3" data-rapport-title="For you"></div>'
BELOW = '<p id="below">Delivery in two days</p>'
HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture
def config(sqlite_template: Path, tmp_path: Path) -> Config:
    """Nothing but the secret of the shop's server: the key opens everything else."""
    (tmp_path / "rapport.db").write_bytes(sqlite_template.read_bytes())
    return settings.build({"workspace": {"path": str(tmp_path)}, "tracking": {"secret": SECRET}})


@pytest.fixture
def shop(site: Site, little_shop: Shop) -> Shop:
    """A shop of twelve items, of which A0 and A1 are bought together; one of them is named by an attacker."""
    now, ours = utcnow(), site.services
    with ours.database.begin() as session:
        items = add_items(session, 12, image_url="/cup.svg", url="/cup")
        items[1].title, items[2].title = "Cup", HOSTILE
        items[2].url = items[2].image_url = "javascript:window.hacked=1"
        for number in range(12):
            contact = Contact(key=f"C-{number}", attributes={}, created_at=now, updated_at=now)
            session.add(contact)
            session.flush()
            add_order(session, contact, items[:3] if number < 8 else items[3:], now - timedelta(days=2))
        little_shop.key = access.add_browser_key(session, "Shop", [little_shop.url], now=now)
    training.train(ours.database, ours.warehouse, ours.config, now=now)
    little_shop.rapport, little_shop.page = site.url, HEAD
    little_shop.bodies = {"tea": ITEM.format(n=4, inner="") + BELOW + '<div class="tall"></div>' + HOME}
    return little_shop


@pytest.fixture
def tab(context: BrowserContext) -> Iterator[Page]:
    """A tab of somebody who shops; faults of scripts and of the content policy are faults."""
    page, faults = context.new_page(), list[str]()

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text and "CORS" not in message.text:
            faults.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert not faults


def asked(tab: Page) -> list[dict[str, object]]:
    """The questions that leave this tab from now on."""
    found: list[dict[str, object]] = []

    def heard(request: Request) -> None:
        if request.url.endswith("/recommendations") and request.method == "POST":
            found.extend(request.post_data_json["requests"])

    tab.on("request", heard)
    return found


def of_kind(site: Site, kind: str) -> list[Event]:
    return [one for one in events(site) if one.type == kind]


def answered(tab: Page, number: int) -> None:
    """So many answers have come."""
    tab.wait_for_function("number => window.answers >= number", arg=number, timeout=30_000)


def steady(tab: Page) -> None:
    """Nothing has moved, two frames after the last answer."""
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert tab.evaluate("window.shifts") == 0


def test_rows_of_a_page(tab: Page, site: Site, shop: Shop) -> None:
    """All by one call; an accessible list that moves nothing, on a telephone too; seen and clicked is told once."""
    questions = asked(tab)
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    assert [one["placement"] for one in questions] == ["item", "home"]
    shown = tab.locator("[data-rapport-item]").evaluate_all("all => all.map(one => one.dataset.rapportItem)")
    assert len(shown) == len(set(shown)) == 7  # each in one row only
    row = tab.get_by_role("region", name="Goes well with it")
    expect(row.get_by_role("heading", level=2)).to_have_text("Goes well with it")
    cards = row.get_by_role("list").get_by_role("listitem")
    expect(cards).to_have_count(4)
    cup = cards.filter(has=tab.get_by_role("link", name="Cup"))
    expect(cup).to_contain_text("Often bought with")
    expect(cup.locator(".rapport-price")).to_have_text(re.compile(r"^[^\d\s]+\d+\.\d\d"))
    expect(cup.locator("img")).to_have_attribute("alt", "")
    until(lambda: tab.evaluate("document.querySelector('#goes img').complete"), tab)
    box = cup.locator("img").bounding_box()
    assert box is not None
    assert abs(box["width"] - box["height"]) < 1  # whatever the picture's own shape
    steady(tab)
    check_accessible(tab)
    seen = until(lambda: len(of_kind(site, "impression")) >= 4 and of_kind(site, "impression"), tab)
    assert {one.properties["placement"] for one in seen} == {"item"}  # the other row is out of sight
    assert [one.properties["rank"] for one in sorted(seen, key=lambda one: one.properties["rank"])] == [1, 2, 3, 4]
    assert len({one.properties["recommendation_id"] for one in seen}) == 1
    tab.locator("#home").scroll_into_view_if_needed()
    until(lambda: len(of_kind(site, "impression")) >= 7, tab)
    tab.evaluate("scrollTo(0, 0)")
    cup.get_by_role("link", name="Cup").click()
    tab.wait_for_url(f"{shop.url}/cup")
    [click] = until(lambda: of_kind(site, "recommendation_click"), tab)
    assert (click.properties["recommendation_id"], click.properties["placement"]) == (
        seen[0].properties["recommendation_id"],
        "item",
    )
    assert click.item_id is not None
    assert len(of_kind(site, "impression")) == 7  # back at the top nothing was told again
    assert {one.visitor for one in events(site)} == {click.visitor}
    shop.bodies["cup"] = ITEM.format(n=8, inner="") + BELOW
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.reload()
    answered(tab, 1)
    steady(tab)
    check_fits(tab)


def test_a_page_in_the_background_is_seen_by_nobody(tab: Page, site: Site, shop: Shop) -> None:
    """Its second begins when it comes to the front."""
    tab.add_init_script(
        "Object.defineProperty(document, 'visibilityState', {get: () => window.front ? 'visible' : 'hidden'})"
    )
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    tab.wait_for_timeout(1500)
    assert of_kind(site, "impression") == []
    tab.evaluate("window.front = true; document.dispatchEvent(new Event('visibilitychange'))")
    until(lambda: len(of_kind(site, "impression")) == 4, tab)


def test_what_a_hostile_catalogue_says_is_text(tab: Page, shop: Shop) -> None:
    """No markup, no address that is a script: words, without a link and without a picture."""
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    card = tab.locator("#goes [data-rapport-item=A2]")
    expect(card.locator(".rapport-name")).to_have_text(HOSTILE)
    assert card.locator("a, img").count() == 0
    assert tab.evaluate("window.hacked") is None


def test_the_shops_own_markup(tab: Page, shop: Shop) -> None:
    """A template is filled item by item; what an item lacks is hidden, what is the shop's own stays."""
    inner = (
        '<template><article><a data-rapport="link"><img data-rapport="image"><b data-rapport="title"></b></a>'
        '<i data-rapport="brand"></i><em data-rapport="price"></em><button>Add</button></article></template>'
    )
    shop.bodies["tea"] = ITEM.format(n=2, inner=inner)
    tab.goto(f"{shop.url}/tea")
    answered(tab, 1)
    articles = tab.locator("#goes li > article")
    expect(articles).to_have_count(2)
    cup = articles.filter(has_text="Cup")
    expect(cup.locator("a")).to_have_attribute("href", f"{shop.url}/cup")
    expect(cup.locator("img")).to_have_attribute("src", f"{shop.url}/cup.svg")
    expect(cup.locator("i")).to_be_hidden()
    expect(cup.get_by_role("button", name="Add")).to_be_visible()
    expect(articles.filter(has_text=HOSTILE).locator("a")).not_to_have_attribute("href", re.compile("."))


def test_a_set_says_its_price(tab: Page, site: Site, shop: Shop) -> None:
    """What completes a set names it, its price and what it saves, on three lines at most, in the shop's words too; a
    name as long as they come moves nothing and cuts no price.
    """
    told_by = {"item": "An afternoon " * 9, "price": "£17.98", "saves": "£2.00"}
    with site.services.database.begin() as session:
        given = {"name": told_by["item"], "items": ["A0", "A1"], "discount": 0.1}
        bundles.make(session, given, utcnow(), "GBP")
    template = '<template><b data-rapport="title"></b><i data-rapport="bundle"></i></template>'
    shop.bodies |= {"tea": ITEM.format(n=4, inner="") + BELOW, "cup": ITEM.format(n=4, inner=template)}
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(f"{shop.url}/tea")
    answered(tab, 1)
    cup = tab.locator("[data-rapport-item=A1]")
    words = f"Set: {told_by['item'].strip()}, £17.98 together, saves £2.00"
    expect(cup.locator(".rapport-bundle")).to_have_text(words)
    expect(cup.locator(".rapport-reason")).to_have_count(0)
    expect(tab.locator(".rapport-bundle")).to_have_count(1)
    tail = cup.locator(".rapport-saves")
    assert tail.evaluate("one => one.scrollHeight <= one.clientHeight + 1"), "the price is whole"
    place = tab.locator("#goes")
    assert place.evaluate("one => one.scrollHeight <= one.clientHeight")
    steady(tab)
    check_accessible(tab)
    told(tab, "words", {"set": "{price} im Set, statt {saves} mehr: {name} $&"})
    tab.evaluate("rapport.recommend()")
    expect(cup.locator(".rapport-bundle")).to_have_text(
        f"£17.98 im Set, statt £2.00 mehr: {told_by['item'].strip()} $&"
    )
    tab.goto(f"{shop.url}/cup")
    answered(tab, 1)
    expect(cup.locator("i")).to_have_text(words)
    expect(tab.locator("[data-rapport-item=A2] i")).to_be_hidden()


def test_a_row_tells_of_more(tab: Page, shop: Shop) -> None:
    """On telephones the last card that is seen is cut, and the first begins where the text does."""
    shop.bodies["tea"] = ITEM.format(n=6, inner="")
    for width in (320, 360, 390, 412, 430):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.goto(f"{shop.url}/tea")
        answered(tab, 1)
        edges = tab.evaluate(
            "() => { const row = document.querySelector('.rapport-items').getBoundingClientRect();"
            " return [...document.querySelectorAll('.rapport-item')].map(one => one.getBoundingClientRect())"
            ".map(one => [(one.left - row.left) / one.width, (row.right - one.left) / one.width]) }"
        )
        assert edges[0][0] == 0, width
        cut = [share for _, share in edges if 0 < share < 1]
        assert len(cut) == 1, (width, edges)
        assert 0.08 < cut[0] < 0.92, (width, cut)


def test_reasons_in_the_shops_own_words(tab: Page, shop: Shop) -> None:
    """By kind, with what led to it; where nothing did, none; other kinds stay as they are."""
    shop.bodies["tea"] = ITEM.format(n=4, inner="") + HOME
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    told(tab, "words", {"rules": "Wird oft mit {because} gekauft: $&"})
    tab.evaluate("rapport.recommend()")
    cup = tab.locator("#goes li").filter(has=tab.get_by_role("link", name="Cup"))
    expect(cup.locator(".rapport-reason")).to_have_text("Wird oft mit Item 0 gekauft: $&")
    reasons = tab.locator("#goes .rapport-reason").all_inner_texts()
    assert all(text.startswith("Wird oft mit Item 0") for text in reasons)  # those that only go with it say nothing
    assert not any("Wird" in text for text in tab.locator("#home .rapport-reason").all_inner_texts())


def test_a_row_is_asked_for_again(tab: Page, shop: Shop) -> None:
    """With what the page says now and what was looked at; whoever stands in the row stays in it; a late answer to an
    earlier question is dropped.
    """
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    told(tab, "item", "A5")
    questions, held = asked(tab), list[Route]()
    tab.route("**/recommendations", lambda route: held.append(route))  # noqa: PLW0108  # a method is not taken
    tab.get_by_role("link", name="Cup").first.focus()
    tab.evaluate("goes.dataset.rapportItems = 'A7'; window.late = rapport.recommend(goes); 0")
    until(lambda: len(held) == 1, tab)
    expect(tab.get_by_role("link", name="Cup").first).to_be_focused()  # the row stays until there is another
    tab.evaluate("goes.dataset.rapportItems = 'A0'; goes.dataset.rapportN = '3'; void rapport('recommend', goes)")
    until(lambda: len(held) == 2, tab)
    held[1].continue_()
    answered(tab, 3)
    held[0].continue_()
    tab.evaluate("window.late")
    expect(tab.locator("#goes li")).to_have_count(3)
    expect(tab.locator("#goes").get_by_role("link", name="Cup")).to_be_focused()
    assert questions[-1]["context"] == {"items": ["A0"], "cart": [], "session": ["A5"]}


def test_before_consent_nobody_is_named(tab: Page, site: Site, shop: Shop) -> None:
    """A row is filled by what stands on the page alone, nothing is told of it; a yes names the visitor."""
    shop.consent = "ask"
    questions = asked(tab)
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    told(tab, "item", "A5")
    tab.evaluate("rapport.recommend(goes)")
    assert ["visitor" in one for one in questions] == [False, False, False]
    assert questions[-1]["context"] == {"items": ["A0"], "cart": [], "session": []}
    assert events(site) == []
    told(tab, "consent", True)
    tab.evaluate("rapport.recommend(goes)")
    assert (len(str(questions[-1]["visitor"])), questions[-1]["context"]["session"]) == (32, ["A5"])  # type: ignore[index]


def test_only_a_signed_contact_is_told_what_they_bought(tab: Page, shop: Shop) -> None:
    """A false signature asks as the visitor."""
    shop.bodies["tea"] = HOME.replace("home", "again")
    reasons = "rapport.recommend(again).then(answer => answer.items.map(one => one.reason.text))"
    tab.goto(f"{shop.url}/tea")
    answered(tab, 1)
    signed = {"customer": "C-1", "signature": website.sign(SECRET, "customer", "C-1")}
    for word, personal in ((signed | {"signature": "0" * 64}, False), (signed, True)):
        told(tab, "identify", word)
        found = tab.evaluate(reasons)
        assert len(found) == 3
        assert any("you bought" in text for text in found) == personal, found


def test_a_page_that_signs_asks_for_the_contact(tab: Page, site: Site, shop: Shop) -> None:
    """Without an event, so that every page can."""
    shop.bodies["tea"] = HOME.replace("home", "again")
    tab.goto(f"{shop.url}/tea")
    answered(tab, 1)
    questions = asked(tab)
    told(tab, "sign", {"customer": "C-1", "signature": website.sign(SECRET, "customer", "C-1")})
    texts = tab.evaluate("rapport.recommend(again).then(answer => answer.items.map(one => one.reason.text))")
    assert any("you bought" in text for text in texts)
    assert [one["contact"] for one in questions] == ["C-1"]
    told(tab, "search", "tea")  # leaves after whatever was told before
    until(lambda: of_kind(site, "search"), tab)
    assert of_kind(site, "identify") == []


def test_a_wrong_key_of_an_item_costs_no_row(tab: Page, shop: Shop) -> None:
    """It is left out of the question, wherever it comes from."""
    many = json.dumps(["", "x" * 129, *[f"B{number}" for number in range(120)], "A0", None, "\ud800", "😀" * 128])
    shop.bodies["tea"] = f"<div id=goes data-rapport-placement=item data-rapport-items='{many}'></div>" + HOME
    tab.goto(f"{shop.url}/tea")
    for key in ("", "x" * 129, "A5"):
        told(tab, "item", key)
    questions = asked(tab)
    answers = tab.evaluate("rapport.recommend()")
    assert all(answer["items"] for answer in answers)
    items = questions[0]["context"]["items"]  # type: ignore[index]
    assert (len(items), items[-3:]) == (100, ["A0", "null", "😀" * 128])
    assert [one["context"]["session"] for one in questions] == [["A5"]] * 2  # type: ignore[index]


def test_without_a_key_rows_close(tab: Page, shop: Shop) -> None:
    """Whoever waits for an answer learns that there is none."""
    shop.page, shop.consent = HEAD.replace("data-key", "data-site"), "ask"
    tab.goto(f"{shop.url}/tea")
    answered(tab, 2)
    assert tab.evaluate("rapport.recommend().then(all => all.map(one => one === undefined))") == [True, True]
    expect(tab.locator(".rapport-row")).to_have_count(0)


def test_another_origin_is_refused(tab: Page, site: Site, shop: Shop) -> None:
    """The row closes; what stands below it does not move while somebody sees it."""
    tab.goto(f"{shop.url.replace('localhost', '127.0.0.1')}/tea")
    answered(tab, 2)
    expect(tab.locator("#goes .rapport-row")).to_have_count(0)
    steady(tab)
    expect(tab.locator("#home")).to_be_hidden()  # out of sight, so it closes
    tab.locator(".tall").evaluate("one => one.style.blockSize = '300vh'")
    tab.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(tab.locator("#goes")).to_be_hidden()
    assert events(site) == []
