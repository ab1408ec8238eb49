"""Every page of the storefront, for people and for those who mean harm."""

from __future__ import annotations

import re
from html import unescape

import pytest

from engine import website
from engine.config import Config
from tests.web.demo.storefront.conftest import TEAPOTS, Browser
from web.demo.storefront import cart, shelves


@pytest.fixture
def config(sqlite_config: Config) -> Config:
    """These pages never see Rapport's database."""
    return sqlite_config


def titles(page: str) -> list[str]:
    """Of the cards, in their order."""
    return [unescape(found) for found in re.findall(r'<span class="name">([^<]+)</span>', page)]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Good things"),
        ("/c/kitchen", "Tea making"),
        ("/c/kitchen/tea-making/teapots", "Sage Teapot"),
        ("/new", "New in the shop"),
        ("/search?q=teapot", "30 things"),
        ("/search", "Type what you are looking for"),
        ("/search?q=unicorn", "Nothing here is called that"),
        ("/items/pot-03", "In stock"),
        ("/items/HONEY", "Only 3 left"),
        ("/items/empty", "Sold out"),
        ("/items/gone", "No longer sold"),
        ("/cart", "nothing in it yet"),
        ("/people", "Ann Lee"),
        ("/privacy", "Global Privacy Control"),
    ],
)
def test_a_page(browser: Browser, path: str, words: str) -> None:
    """Says what it is for, may load from here and from Rapport alone, and is kept by nobody else."""
    answer = browser.get(path)
    assert (answer.status_code, words in answer.text) == (200, True)
    rapport = browser.shop.settings.rapport
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' {rapport}"
    assert policy["connect-src"] == rapport
    assert (policy["frame-ancestors"], policy["form-action"]) == ("'none'", "'self'")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert browser.shop.settings.key not in answer.text
    assert browser.shop.settings.secret not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/nope", "/items/none", f"/items/{'x' * 5000}", "/items/%00", "/c/none", "/pictures/none.svg", "/thanks/F-1",
     "/static/none.js", "/static/../app.py"],
)  # fmt: skip
def test_what_is_not_there(browser: Browser, path: str) -> None:
    """404, with the way back."""
    answer = browser.get(path)
    assert answer.status_code == 404
    if not path.startswith(("/pictures", "/static")):
        assert "Go to the shop window" in answer.text


def test_a_category_is_sorted_and_paged(browser: Browser) -> None:
    """By price, what sells first, and a number beyond the last page or no number at all is a page too."""
    address = "/c/kitchen/tea-making/teapots"
    first = titles(browser.get(f"{address}?sort=cheap").text)
    assert first == [f"Sage Teapot {n}" for n in range(shelves.PAGE)]
    last = browser.get(f"{address}?sort=cheap&page=2").text
    assert titles(last) == [f"Sage Teapot {n}" for n in range(shelves.PAGE, TEAPOTS)]
    assert f"{shelves.PAGE + 1}–{TEAPOTS} of {TEAPOTS}" in last
    assert 'rel="next"' not in last
    for odd, expected in (("99999999999999999999", last), ("-1", None), ("two", None)):
        assert titles(browser.get(f"{address}?sort=cheap&page={odd}").text) == (titles(last) if expected else first)
    assert titles(browser.get(f"{address}?sort=dear").text)[0] == f"Sage Teapot {TEAPOTS - 1}"
    assert titles(browser.get(f"{address}?sort=nonsense").text)[0] == "Sage Teapot 3"  # the one that was bought


def test_a_search_finds_whole_and_begun_words(browser: Browser) -> None:
    """In whatever case, without its accents, every word of them; what is no longer sold is not found."""
    assert titles(browser.get("/search?q=CAFE+hon").text) == ["Café Honey 250 g"]
    assert titles(browser.get("/search?q=honey+teapot").text) == []
    assert titles(browser.get("/search?q=damson").text) == []
    assert len(titles(browser.get("/search?q=sage&sort=dear&page=2").text)) == TEAPOTS - shelves.PAGE
    hostile = browser.get("/search", query_string={"q": "<script>alert(1)</script>'\"" + "x" * 10_000})
    assert hostile.status_code == 200
    assert "<script>alert" not in hostile.text


def test_the_calls_of_a_page(browser: Browser) -> None:
    """What the page tells Rapport stands in it as data, whatever somebody typed."""
    page = browser.get("/search", query_string={"q": "it's </body> \u2028"}).text
    [calls] = re.findall(r"data-calls='([^']*)'", page)
    assert calls.startswith('[["search", "it\\u0027s \\u003c/body\\u003e"')
    assert '[["item", "HONEY", {"value": "4.95"}]]' in browser.get("/items/honey").text


def test_into_the_cart_and_out(browser: Browser) -> None:
    """Added, added again, changed, removed: the cookie holds keys and numbers, and each step is told once."""
    answer = browser.post("/cart/add", {"item": "pot-03", "quantity": "2"}, follow_redirects=True)
    assert "Sage Teapot 3 is in your cart." in answer.text
    assert '"cart_add"' in answer.text
    assert '"cart_add"' not in browser.get("/items/pot-03").text
    browser.post("/cart/add", {"item": "POT-03"})
    browser.post("/cart/add", {"item": "HONEY", "quantity": "3"})
    assert browser.cookie()["cart"] == {"POT-03": 3, "HONEY": 3}
    page = browser.get("/cart").text
    assert "£53.85" in page  # 3 of 13.00, 3 of 4.95
    browser.post("/cart", {"quantity-POT-03": "1", "quantity-HONEY": "3"})
    assert browser.cookie()["cart"] == {"POT-03": 1, "HONEY": 3}
    told = browser.get("/cart").text
    assert '"cart_remove"' in told
    browser.post("/cart", {"quantity-POT-03": "1", "quantity-HONEY": "-7", "remove": "HONEY"})
    assert browser.cookie()["cart"] == {"POT-03": 1}
    browser.post("/cart", {"quantity-POT-03": "0"})
    assert browser.cookie()["cart"] == {}


@pytest.mark.parametrize("quantity", ["-1", "0", "", "two", "1.5", "100", "99999", "9" * 400, "１", "1e3", "\0"])
def test_a_quantity_that_is_none(browser: Browser, quantity: str) -> None:
    """The page says what to choose, and the cart stays as it was."""
    answer = browser.post("/cart/add", {"item": "POT-01", "quantity": quantity})
    assert answer.status_code == 422
    assert f"Choose a quantity from 1 to {cart.MOST_EACH}." in answer.text
    assert "cart" not in browser.cookie()


def test_more_than_there_is(browser: Browser) -> None:
    """Says how many are left; sold out and no longer sold go into no cart; of an unknown thing there is nothing."""
    answer = browser.post("/cart/add", {"item": "HONEY", "quantity": "4"})
    assert (answer.status_code, "Only 3 left." in answer.text) == (422, True)
    for key in ("EMPTY", "GONE"):
        assert browser.post("/cart/add", {"item": key}).status_code == 422
    assert browser.post("/cart/add", {"item": "NOPE"}).status_code == 404
    browser.post("/cart/add", {"item": "HONEY", "quantity": "3"})
    answer = browser.post("/cart", {"quantity-HONEY": "9"})
    assert (answer.status_code, "Only 3 left." in answer.text) == (422, True)
    assert browser.post("/cart", {"quantity-HONEY": "-1"}).status_code == 422
    assert browser.cookie()["cart"] == {"HONEY": 3}


def test_a_huge_cart(browser: Browser) -> None:
    """Holds so many different things and no more, and still fits its cookie."""
    for number in range(TEAPOTS):
        assert browser.post("/cart/add", {"item": f"POT-{number:02}", "quantity": "50"}).status_code == 303
    answer = browser.post("/cart/add", {"item": "HONEY"})
    assert (answer.status_code, f"A cart holds {cart.MOST}" in answer.text) == (422, True)
    assert len(browser.cookie()["cart"]) == cart.MOST
    assert len(browser.get("/cart").text.split("Remove Sage Teapot")) == TEAPOTS + 1


def test_a_cookie_that_somebody_wrote(browser: Browser) -> None:
    """Is none: the signature does not fit."""
    browser.post("/cart/add", {"item": "POT-01"})
    kept = browser.client.get_cookie("storefront")
    assert kept is not None
    browser.client.set_cookie("storefront", "x" + kept.value)
    assert "nothing in it yet" in browser.get("/cart").text


def test_forms_of_other_sites(browser: Browser) -> None:
    """Without the word, with another, from another origin, too large: refused, and the page says what to do."""
    form = {"item": "POT-01"}
    for sent in ({}, {"csrf": "another"}, {"csrf": "☃"}):
        browser.get("/items/pot-01")
        answer = browser.client.post("/cart/add", data=form | sent)
        assert (answer.status_code, "Load it again" in answer.text) == (403, True)
    for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post("/cart/add", form, headers=header).status_code == 403
    assert browser.post("/cart/add", form, headers={"Origin": browser.shop.settings.url}).status_code == 303
    assert browser.post("/cart/add", form | {"more": "x" * 20_000}).status_code == 413
    assert browser.get("/cart/add").status_code == 405


def test_being_somebody(browser: Browser) -> None:
    """The page then carries the shop's signature; who is not on the list is nobody; afterwards the browser lets go."""
    answer = browser.post("/people", {"person": "C-1"}, follow_redirects=True)
    signature = website.sign("only the shop knows", "customer", "C-1")
    assert "Hello Ann." in answer.text
    assert f'data-customer="C-1" data-signature="{signature}"' in answer.text
    assert "Buy again" in answer.text
    assert browser.post("/people", {"person": "C-2"}).status_code == 404
    assert browser.post("/people", {}).status_code == 404
    browser.client.set_cookie("rapport_visitor", "a-visitor-of-the-tests")
    left = browser.post("/people/leave", {}, follow_redirects=True).text
    assert "data-forget" in left
    assert "data-customer" not in left
    assert "data-forget" not in browser.get("/").text


def test_the_way_to_the_timeline(browser: Browser) -> None:
    """A stranger's leads to the events as they come in, a person's to their page, by the number Rapport gave them."""
    rapport = browser.shop.settings.rapport
    assert browser.get("/timeline").location == f"{rapport}/sources/website"
    browser.post("/people", {"person": "C-1"})
    assert re.fullmatch(rf"{rapport}/contacts/\d+", browser.get("/timeline").location or "")
