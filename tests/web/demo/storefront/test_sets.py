"""Sets: shown where their first item is, put into the cart as one, charged, and told with the order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from engine.models import Item, Order, OrderLine
from recommender import bundles
from tests.web.demo.storefront.conftest import FORM, Browser, buy, order_of
from web.demo.storefront import sets
from web.demo.storefront.sets import Saving, shared
from web.services import Services, utcnow

TEA = {"name": "Tea <time>", "items": ["POT-03", "HONEY"], "price": "15"}  # 13.00 and 4.95 apart
PAGE = "/items/pot-03"


@pytest.fixture
def tea(browser: Browser, services: Services) -> Browser:
    """A browser at a shop with a set of a pot and honey."""
    offer(services, TEA)
    return browser


def offer(services: Services, *given: dict[str, Any]) -> None:
    with services.database.begin() as session:
        for one in given:
            bundles.make(session, one, utcnow(), "GBP")


def fill(browser: Browser, **cart: int) -> Any:
    """What is charged for a cart; POT_03=2 puts two of POT-03 into it."""
    for key, quantity in cart.items():
        browser.post("/cart/add", {"item": key.replace("_", "-"), "quantity": str(quantity)})
    return browser.get("/cart").text


def test_shown_where_the_first_item_is(tea: Browser) -> None:
    """With its price and one button; the other item's page has none, nor has one of which something is sold out."""
    page = tea.get(PAGE).text
    assert "Set: Tea &lt;time&gt;" in page
    assert "£15.00 together" in page
    assert "saves £2.95" in page
    assert "Add the set" in page
    assert "Add the set" not in tea.get("/items/honey").text
    buy(tea, HONEY=3)
    assert "Add the set" not in tea.get(PAGE).text


def test_the_whole_set_goes_into_the_cart(tea: Browser) -> None:
    """One of each, each step told; twice is two of each, as many as there are, and a set that is over is none."""
    answer = tea.post("/cart/add-set", {"set": "tea-time"}, follow_redirects=True)
    assert "Tea &lt;time&gt; is in your cart." in answer.text
    assert answer.text.count('"cart_add"') == 2
    assert tea.cookie()["cart"] == {"POT-03": 1, "HONEY": 1}
    for _ in range(2):
        tea.post("/cart/add-set", {"set": "tea-time"})
    assert "Set: Tea &lt;time&gt; <small>× 3</small>" in tea.get("/cart").text
    answer = tea.post("/cart/add-set", {"set": "tea-time"})
    assert (answer.status_code, "Café Honey 250 g: Only 3 left." in answer.text) == (422, True)
    assert tea.cookie()["cart"] == {"POT-03": 3, "HONEY": 3}
    answer = tea.post("/cart/add-set", {"set": "another"}, follow_redirects=True)
    assert "That set is no longer on sale." in answer.text


def test_charged_while_it_is_whole(tea: Browser) -> None:
    """And not a piece of it alone."""
    assert "Set: Tea" not in fill(tea, POT_03=2)
    page = fill(tea, HONEY=1)
    assert "−£2.95" in page
    assert "<strong>£28.00</strong>" in page
    tea.post("/cart", {"remove": "HONEY"})
    assert "Set: Tea" not in tea.get("/cart").text


def test_rapport_knows_what_was_paid(tea: Browser, services: Services) -> None:
    """The order has the discount on its lines, so its total is the revenue; who thanks names what was saved."""
    number = buy(tea, POT_03=1, HONEY=2)
    told = order_of(tea, number)
    assert told["total"] == 150_000 + 49_500
    assert sum(line["discount"] for line in told["lines"]) == 29_500
    assert "Its sets saved you £2.95." in tea.get(f"/thanks/{number}").text
    assert tea.shop.teller.tell_all(utcnow()) == 1
    with services.database.read() as session:
        order = session.scalars(select(Order).where(Order.key == number)).one()
        assert order.total == 150_000 + 49_500
        paid = select(Item.key, OrderLine.quantity * OrderLine.unit_price - OrderLine.discount)
        rows = dict(
            session.execute(paid.join(OrderLine, OrderLine.item_id == Item.id).filter_by(order_id=order.id)).all()
        )
    assert rows == {"POT-03": 130_000 - 21_300, "HONEY": 99_000 - 8_200}


def test_a_price_that_changed_is_said(tea: Browser, services: Services) -> None:
    """Who saw the price of the set is not charged more in silence when it ends meanwhile."""
    fill(tea, POT_03=1, HONEY=1)
    assert 'name="total" value="150000"' in tea.get("/checkout").text
    with services.database.begin() as session:
        bundles.delete(session, "tea-time")
    tea.shop.sets._asked = -sets.FRESH
    answer = tea.post("/checkout", FORM | {"total": "150000"})
    assert (answer.status_code, "What it costs has changed" in answer.text) == (422, True)
    assert "Place the order for £17.95" in answer.text
    assert "/thanks/" in str(tea.post("/checkout", FORM | {"total": "179500"}).location)


def test_one_piece_counts_once(tea: Browser, services: Services) -> None:
    """Of two sets that want the same honey the one that saves more has it."""
    offer(services, {"name": "Better", "items": ["POT-05", "HONEY"], "price": "10"})
    page = fill(tea, POT_03=1, POT_05=1, HONEY=1)
    assert ("Set: Better" in page, "Set: Tea" in page) == (True, False)
    page = fill(tea, HONEY=1)
    assert ("Set: Better" in page, "Set: Tea" in page) == (True, True)
    assert Saving("Better", 1, 99_500) in _bill(tea).savings


def _bill(browser: Browser) -> sets.Bill:
    lines = [
        sets.Line(item, quantity, 99)
        for key, quantity in browser.cookie()["cart"].items()
        if (item := browser.shop.shelves.item(key))
    ]
    return sets.Bill.of(lines, browser.shop.sets.on_sale())


def test_while_rapport_is_away(tea: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it told last is charged; a shop that never heard of sets sells without them."""
    fill(tea, POT_03=1, HONEY=1)
    rapport = tea.shop.sets._rapport
    monkeypatch.setattr(
        rapport, "_settings", sets.Settings(**vars(rapport._settings) | {"rapport": "http://127.0.0.1:1"})
    )
    tea.shop.sets._asked = -sets.FRESH
    assert "−£2.95" in tea.get("/cart").text
    monkeypatch.setattr(tea.shop.sets, "_known", ())
    assert "<strong>£17.95</strong>" in tea.get("/cart").text


@given(prices=st.lists(st.integers(1, 10**7), min_size=1, max_size=4), share=st.floats(0, 1), in_pennies=st.booleans())
@example(prices=[200, 100], share=299 / 300, in_pennies=False)
@example(prices=[1, 1, 1, 1], share=0.75, in_pennies=True)
def test_shares_add_up(prices: list[int], share: float, in_pennies: bool) -> None:
    """To the amount; none is below nothing, more than its own price, or as many pennies off its proportion as there
    are lines; whole pennies where the amount and all prices are.
    """
    unit = sets.PENNY if in_pennies else 1
    amount, all_of_it = unit * round(share * sum(prices)), unit * sum(prices)
    own = {str(place): unit * price for place, price in enumerate(prices)}
    told = shared(amount, own)
    assert sum(told.values()) == amount
    assert all(0 <= told[key] <= price for key, price in own.items())
    assert all(abs(told[key] - amount * price / all_of_it) < sets.PENNY * len(own) for key, price in own.items())
    assert all(part % unit == 0 for part in told.values())
