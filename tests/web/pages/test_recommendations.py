"""The page where placements are tried and trainings are watched."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import criteria, intake, lists
from engine.catalogue import open_catalogue
from recommender.models import Training
from web.services import Services


@pytest.fixture
def shop(services: Services, now: datetime) -> Services:
    """Tea goes with honey, salt with rice."""
    orders = [
        {
            "order": f"O{number}", "at": f"2026-02-{number + 1:02}T10:00:00Z", "contact": f"C{number % 9}",
            "lines": [{"item": item, "quantity": 1, "unit_price": "5"}
                      for item in (("Tea", "Honey") if number % 3 else ("Salt", "Rice"))],
        }
        for number in range(20)
    ]  # fmt: skip
    with services.database.begin() as session:
        contacts = [
            {"key": f"C{number}", "email": f"c{number}@shop.example", "email_consent": True} for number in range(9)
        ]
        intake.accept(session, "contacts", contacts, now=now, config=services.config)
        intake.accept(session, "orders", orders, now=now, config=services.config)
    return services


def test_without_a_training_best_sellers_answer(marketer: FlaskClient, shop: Services) -> None:
    """The page works before anything was learned, and says so."""
    page = marketer.get("/recommendations").text
    assert "No training serves yet" in page
    assert 'href="/recommendations/trainings"' in page
    assert "Honey" in page


def test_training_from_the_page(marketer: FlaskClient, shop: Services, now: datetime) -> None:
    """The button trains beside the page; afterwards the cart's offer has its reason in numbers."""
    assert marketer.post("/recommendations/train").status_code == 303
    for _ in range(100):
        with shop.database.read() as session:
            row = session.scalar(select(Training))
        if row and row.status != "running":
            break
        time.sleep(0.1)
    shop.recommender.reload()
    page = marketer.get("/recommendations?placement=cart&who=c1@shop.example&items=Tea,Nowhere").text
    assert "training 1</a>" in page
    assert "Serves" in marketer.get("/recommendations/trainings").text
    assert "buyers of Tea also bought it" in page
    assert "Not known: Nowhere" in page
    assert "without it</a>" not in page  # all buyers of Tea bought Honey
    later = {"at": "2026-03-01", "lines": [{"item": "Tea", "quantity": 1, "unit_price": "5"}]}
    with shop.database.begin() as session:
        orders = [{"order": f"L{number}", "contact": f"C{number * 3}", **later} for number in range(3)]
        intake.accept(session, "orders", [*orders, {"order": "guest", **later}], now=now, config=shop.config)
    page = marketer.get("/recommendations?placement=cart&who=c1@shop.example&items=Tea,Nowhere").text
    link = re.search(r'href="(/lists/new[^"]+)">List all (\d+) without it', page)
    assert link
    asked = json.loads(parse_qs(urlsplit(unescape(link[1])).query)["q"][0])
    assert [asked["all"][0]["where"][0]["value"], asked["all"][1]["not"]["where"][0]["value"]] == ["Tea", "Honey"]
    assert marketer.get(unescape(link[1])).status_code == 200
    with shop.database.read() as session:
        found = lists.preview(shop.warehouse, criteria.parse(asked, open_catalogue(session, shop.warehouse)), now=now)
        assert found.count == int(link[2]) == 3


def test_whom_nobody_knows_is_a_stranger(marketer: FlaskClient, shop: Services) -> None:
    """An unknown number or placement is no error; what is typed is escaped."""
    page = marketer.get("/recommendations?placement=moon&who=%3Cb%3Enobody").text
    assert "Nobody is known as &lt;b&gt;nobody" in page
    assert marketer.post("/recommendations/trainings/99/publish").status_code == 404
