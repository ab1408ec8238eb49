"""From the cart to an order: once, of what there is, and nobody else's to see."""

from __future__ import annotations

import pytest

from engine.config import Config
from tests.web.demo.storefront.conftest import FORM, Browser, buy, order_of
from web.demo.storefront import store


@pytest.fixture
def config(sqlite_config: Config) -> Config:
    """The checkout never sees Rapport's database."""
    return sqlite_config


def left(browser: Browser, key: str) -> int:
    with browser.shop.database.read() as session:
        return store.stock_of(session, [key])[key]


def test_an_order(browser: Browser) -> None:
    """Takes its things off the shelf, empties the cart, thanks who placed it and nobody else."""
    number = buy(browser, HONEY=2, POT_01=1)
    assert order_of(browser, number)["total"] == (2 * 4.95 + 11) * 10_000
    assert left(browser, "HONEY") == 1
    assert "cart" not in browser.cookie()
    page = browser.get(f"/thanks/{number}").text
    assert "Thank you, Zoë" in page
    assert f'"order", "{number}"' in page
    assert '"order", ' not in browser.get(f"/thanks/{number}").text
    stranger = browser.client.application.test_client()
    assert stranger.get(f"/thanks/{number}").status_code == 404


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"email": ""}, "Write an e-mail address"),
        ({"email": "nobody"}, "Write an e-mail address"),
        ({"email": "a@b"}, "Write an e-mail address"),
        ({"email": "x" * 300 + "@shop.example"}, "Write an e-mail address"),
        ({"email": "a\0b@shop.example"}, "Write an e-mail address"),
        ({"first_name": " \t\u200b "}, "What shall we call you?"),
    ],
)
def test_a_form_that_is_wrong(browser: Browser, given: dict[str, str], words: str) -> None:
    """Says so at its field, keeps what was typed, and takes no order."""
    browser.post("/cart/add", {"item": "HONEY"})
    browser.get("/checkout")
    answer = browser.post("/checkout", FORM | {"consent": "yes"} | given)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert "O&#39;Neill" in answer.text
    assert "checked" in answer.text
    assert browser.cookie()["cart"] == {"HONEY": 1}
    with browser.shop.database.read() as session:
        assert store.untold(session) == []


def test_nothing_to_buy(browser: Browser) -> None:
    """Leads back to the cart, from the page and from the form."""
    for answer in (browser.get("/checkout"), browser.post("/checkout", FORM)):
        assert (answer.status_code, answer.location) == (303, "/cart")


def test_the_form_sent_twice_is_one_order(browser: Browser) -> None:
    """A double click: both carry the cookie of the form."""
    browser.post("/cart/add", {"item": "HONEY", "quantity": "2"})
    browser.get("/checkout")
    kept = browser.client.get_cookie("storefront")
    assert kept is not None
    places = set()
    for _ in range(2):
        browser.client.set_cookie("storefront", kept.value, httponly=True, samesite="Lax")
        places.add(browser.post("/checkout", FORM).location)
    assert len(places) == 1
    assert left(browser, "HONEY") == 1
    with browser.shop.database.read() as session:
        assert len(store.untold(session)) == 1


def test_somebody_else_was_faster(browser: Browser) -> None:
    """Of two carts with the last ones the second hears how many are left, and nothing of its order is taken."""
    other = Browser(browser.client.application.test_client(), browser.shop)
    for one in (browser, other):
        one.post("/cart/add", {"item": "POT-01", "quantity": "2"})
        one.post("/cart/add", {"item": "HONEY", "quantity": "2"})
        one.get("/checkout")
    assert "/thanks/" in str(browser.post("/checkout", FORM).location)
    page = other.post("/checkout", FORM, follow_redirects=True).text
    assert "Café Honey 250 g: Only 1 left." in page
    assert "change its quantity first" in page
    assert other.get("/checkout").location == "/cart"
    assert (left(browser, "HONEY"), left(browser, "POT-01")) == (1, 48)
