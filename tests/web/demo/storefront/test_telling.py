"""From the shop to Rapport: each order once, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from engine import consent
from engine.models import Contact, Event, Item, Order
from tests.web.demo.storefront.conftest import FORM, Browser, buy, order_of
from web.demo.storefront import store
from web.demo.storefront.rapport import Away, Teller
from web.demo.storefront.shop import EXTENSION
from web.services import Services, utcnow

VISITOR = "a-visitor-of-the-tests"


def test_rapport_knows(browser: Browser, services: Services) -> None:
    """A new address is a new contact with the consent they gave; the order, the stock it left, whose the browser is.
    Telling it once more changes nothing.
    """
    browser.client.set_cookie("rapport_visitor", VISITOR)
    number = buy(browser, FORM | {"consent": "yes"}, HONEY=2)
    told = order_of(browser, number)
    assert browser.shop.teller.tell_all(utcnow()) == 1
    browser.shop.teller.tell(told, utcnow())
    assert browser.shop.teller.tell_all(utcnow()) == 0
    assert order_of(browser, number)["told_at"] is not None
    with services.database.read() as session:
        contact = session.scalars(select(Contact).where(Contact.email == "new@shop.example")).one()
        assert (contact.first_name, contact.last_name, contact.email_consent) == ("Zoë", "O'Neill", True)
        assert [one.consent for one in consent.standings(session, contact) if one.channel == "email"] == [True]
        order = session.scalars(select(Order).where(Order.key == number)).one()
        assert (order.contact_id, order.total, order.currency) == (contact.id, 99_000, "GBP")
        assert session.scalars(select(Item.stock).where(Item.key == "HONEY")).one() == 1
        identify = session.scalars(select(Event).where(Event.type == "identify")).one()
        assert (identify.contact_id, identify.visitor) == (contact.id, VISITOR)


def test_a_known_address_is_the_same_contact(browser: Browser, services: Services) -> None:
    """Who types somebody's address orders for them, but learns no name, is not them afterwards, and changes neither
    their name nor their consent.
    """
    browser.client.set_cookie("rapport_visitor", VISITOR)
    number = buy(browser, FORM | {"email": "ANN@shop.example", "consent": "yes"})
    assert "ordered_as" not in browser.cookie()
    page = browser.get(f"/thanks/{number}").text
    assert "Ann" not in page
    assert number in page
    told = order_of(browser, number)
    assert (told["consent"], told["visitor"]) == (False, ""), "she may have withdrawn it"
    browser.shop.teller.tell_all(utcnow())
    with services.database.read() as session:
        order = session.scalars(select(Order).where(Order.key == number)).one()
        ann = session.get_one(Contact, order.contact_id)
        assert (ann.key, ann.first_name, ann.email_consent) == ("C-1", "Ann", True)
        assert session.scalar(select(func.count()).select_from(Contact)) == 2
        assert not session.scalars(select(Event).where(Event.type == "identify")).all()


def test_who_is_signed_in_is_who_they_say(browser: Browser) -> None:
    """And who was new at the last order in this browser is the same at the next."""
    browser.client.set_cookie("rapport_visitor", VISITOR)
    again = FORM | {"consent": "yes"}
    numbers = [buy(browser, again, HONEY=1), buy(browser, again, HONEY=1)]
    with browser.client.session_transaction() as cookie:
        cookie["person"] = "C-1"
    numbers.append(buy(browser, again | {"email": "ann@shop.example"}, POT_01=1))
    for number in numbers:
        told = order_of(browser, number)
        assert (told["consent"], told["visitor"]) == (True, VISITOR)
    assert "Thank you, Ann" in browser.get(f"/thanks/{numbers[-1]}").text


def test_rapport_was_away(browser: Browser, storefront: Flask, services: Services, monkeypatch: Any) -> None:
    """The order stands in the shop, is told when Rapport is back, by the thread, without anybody asking."""
    monkeypatch.setattr("web.demo.storefront.rapport.PAUSE", 0.05)
    shop = storefront.extensions[EXTENSION]
    away = Teller(replace(shop.settings, rapport="http://127.0.0.1:1"), shop.database)
    number = buy(browser)
    with pytest.raises(Away):
        away.tell_all(utcnow())
    assert order_of(browser, number)["told_at"] is None
    shop.teller.start()
    try:
        _until(lambda: order_of(browser, number)["told_at"])
        second = buy(browser, HONEY=1)  # the page wakes it
        _until(lambda: order_of(browser, second)["told_at"])
    finally:
        shop.teller.stop()
    with services.database.read() as session:
        assert set(session.scalars(select(Order.key))) == {"O-1", number, second}
    assert not [thread for thread in threading.enumerate() if thread.name == "teller"]


def test_what_rapport_refuses_is_not_told_for_ever(browser: Browser) -> None:
    """It is noted with the reason, and those after it are told."""
    number = buy(browser)
    with browser.shop.database.begin() as session:
        broken = order_of(browser, number)["lines"][0] | {"unit_price": -(10**18)}
        session.execute(store.ORDERS.update().values(lines=[broken]))
    second = buy(browser, POT_02=1)
    assert browser.shop.teller.tell_all(utcnow()) == 2
    assert order_of(browser, number)["refused"]
    assert order_of(browser, second)["told_at"]
    assert browser.shop.teller.tell_all(utcnow()) == 0


def _until(look: Any) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline, "nothing came in 30 s"
        time.sleep(0.02)
