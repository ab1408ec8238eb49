"""What came of placements in four weeks: who saw them, who clicked, and what was bought after a click."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert

from engine.database import next_revision
from engine.models import Event, Order, OrderLine
from tests.campaigns.shop import crowd
from tests.campaigns.test_readout import mail
from tests.recommender.shop import add_items
from web.services import Services, utcnow

ALL = "/recommendations/results"
HOME = "/recommendations/placements/home/results"
DAY = timedelta(days=1)
PART = {"HX-Request": "true"}


class Shop:
    """Two items, ten contacts; what is told is written at once. Days are counted back from now."""

    def __init__(self, services: Services) -> None:
        self.database, self.now, self._count = services.database, utcnow(), 0
        with self.database.begin() as session:
            self.items = [item.id for item in add_items(session, 2)]
            crowd(session, 10, self.now)

    def tell(self, kind: str, who: int | str, days: float, item: int | None = None, **told: Any) -> None:
        """An event of a contact or a visitor, at home unless told otherwise."""
        self._count += 1
        contact, visitor = (who, None) if isinstance(who, int) else (None, who)
        event = {
            "key": f"e{self._count}", "type": kind, "contact_id": contact, "visitor": visitor, "item_id": item,
            "occurred_at": self.now - days * DAY, "properties": {"placement": "home", "source": "popular", **told},
        }  # fmt: skip
        with self.database.begin() as session:
            session.execute(insert(Event.__table__), [event | {"revision": next_revision(session)}])

    def click(self, who: int | str, days: float, item: int, **told: Any) -> None:
        self.tell("recommendation_click", who, days, item, **told)

    def buy(self, who: int, days: float, items: Sequence[int], cost: int | None = 4, currency: str = "GBP") -> None:
        """An order of one of each, at 10 less 1."""
        self._count += 1
        with self.database.begin() as session:
            revision = next_revision(session)
            order = Order(
                key=f"o{self._count}", contact_id=who, ordered_at=self.now - days * DAY, currency=currency,
                units=len(items), total=90_000 * len(items), digest="", revision=revision,
            )  # fmt: skip
            session.add(order)
            session.flush()
            for item in items:
                session.add(
                    OrderLine(
                        order_id=order.id, item_id=item, quantity=1, unit_price=100_000, discount=10_000,
                        unit_cost=None if cost is None else cost * 10_000, revision=revision,
                    )
                )  # fmt: skip


@pytest.fixture
def shop(services: Services) -> Shop:
    return Shop(services)


def told(client: FlaskClient, path: str) -> dict[str, list[str]]:
    """The cells of each row of its table, not of its charts, by what stands before them."""
    page = unescape(client.get(path, headers=PART).text)
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page.split("</details>")[-1], re.DOTALL)
    cells = {re.sub(r"<.*?>", "", name): re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL) for name, row in rows}
    return {name: found[:5] for name, found in cells.items()}


def weeks(client: FlaskClient, path: str) -> list[list[float | None]]:
    """The values of each chart."""
    charts = re.findall(r'data-chart="(.*?)"', client.get(path, headers=PART).text)
    return [json.loads(unescape(one))["series"][0]["values"] for one in charts]


def facts(client: FlaskClient, path: str) -> list[str]:
    return re.findall(r"<dd>(.*?)</dd>", client.get(path, headers=PART).text)


def test_the_pages_ask_for_it_once_they_are_there(marketer: FlaskClient, shop: Shop) -> None:
    """They are drawn without it; a placement that is being made has none."""
    for page, path in (("/recommendations", ALL), (HOME.removesuffix("/results"), HOME)):
        assert re.search(rf'hx-get="{path}" hx-trigger="load"', marketer.get(page).text)
    assert "/results" not in marketer.get("/recommendations/placements/new").text
    assert marketer.get("/recommendations/placements/nowhere/results", headers=PART).status_code == 404


def test_without_impressions_it_teaches(marketer: FlaskClient, shop: Shop) -> None:
    """How they come in."""
    for path in (ALL, HOME):
        page = unescape(marketer.get(path, headers=PART).text)
        assert "Nobody saw an offer yet" in page
        assert '<div data-rapport-placement="home"' in page
        assert "after a click" not in page


def test_people_clicks_and_what_was_bought_after_them(marketer: FlaskClient, shop: Shop) -> None:
    """A person once, a visitor too; an order within seven days of a click on its item, in the shop's currency; a click
    from before these weeks leads to an order in them, but is none of their clicks.
    """
    one, other = shop.items
    for who in (1, 1, 2, 3, "visitor"):
        shop.tell("impression", who, 20)
    shop.tell("impression", 4, 29)
    shop.tell("impression", 5, 1, placement="cart")
    shop.click(1, 19, one)
    shop.buy(1, 13, [one, other])  # six days later: of it, what was clicked
    shop.buy(1, 11, [one])  # eight days later
    shop.buy(1, 19.5, [one])  # before it
    shop.click(2, 10, one)
    shop.buy(2, 9, [one], currency="EUR")
    shop.click("visitor", 10, one)
    shop.click(6, 30, one)
    shop.buy(6, 27, [one], cost=None)
    found = told(marketer, ALL)
    assert found["Home page"][:5] == ["4", "75%", "2", "£18.00", "£14.00"]
    assert found["Cart"][:5] == ["1", "0%", "0", "£0", "£0"]
    assert found["E-mail"][:2] == ["nobody yet", "–"]
    assert facts(marketer, HOME) == ["4", "3 (75%)", "2", "£18.00", "£14.00"]
    assert weeks(marketer, HOME) == [[None, 0.25, None, None], [9, 0, 5, 0]]


def test_each_placement_alone_and_the_last_click_names_the_source(marketer: FlaskClient, shop: Shop) -> None:
    """A line clicked at two placements counts at both, and within one for the source that was clicked last; strange
    names of placements and sources become no rows.
    """
    [one, other], strange = shop.items, {"source": "<b>x"}
    for place in ("home", "item", "<b>y"):
        shop.tell("impression", 1, 3, placement=place)
    shop.click(1, 3, one, source="popular")
    shop.click(1, 2, one, source="buy_again")
    shop.click(1, 2, one, placement="item", source="rules")
    shop.click(1, 2, other, **strange)
    shop.buy(1, 1, [one, other])
    found = told(marketer, ALL)
    assert found["Home page"][:5] == ["1", "100%", "1", "£18.00", "£10.00"]
    assert found["Item page: goes with it"][:5] == ["1", "100%", "1", "£9.00", "£5.00"]
    sources = told(marketer, HOME)
    assert sources["buy again"] == sources["not told"] == ["1", "1", "£9.00", "£5.00"]
    assert sources["popular"] == ["1", "0", "£0", "£0"]
    assert set(sources) == {"buy again", "popular", "not told"}


def test_mails_count_once_they_left(marketer: FlaskClient, shop: Shop) -> None:
    """Opened or not; an open is no second person, one of an older mail is somebody who saw it."""
    mail(shop.database, dict.fromkeys((1, 2, 3)), shop.now - 5 * DAY, failed=(3,))
    mail(shop.database, dict.fromkeys((7,)), shop.now - 40 * DAY)
    shop.tell("impression", 1, 4, placement="email")
    shop.tell("impression", 8, 4, placement="email")
    assert told(marketer, ALL)["E-mail"][:2] == ["3", "0%"]


def test_it_says_what_it_is_not(marketer: FlaskClient, shop: Shop) -> None:
    """After a click, not because of it; a comparison proves a gain."""
    shop.tell("impression", 1, 1)
    for path in (ALL, HOME):
        page = unescape(marketer.get(path, headers=PART).text)
        assert "Some would have bought it anyway" in page
        assert "earned" not in page
        assert 'href="/recommendations/comparisons"' in page
        assert 'href="/recommendations/placements/home/compare"' in page
