"""The page of the catalogue's health."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html import unescape

import pytest
from flask.testing import FlaskClient

from recommender import placements
from recommender.placements import DEFAULTS
from tests.recommender.bakery import bake, change
from tests.recommender.shop import NOW, add_items
from web.pages.campaigns import door
from web.services import Services, utcnow

PAGE = "/recommendations/catalogue"
PART = {"HX-Request": "true"}


@pytest.fixture
def shop(services: Services) -> Services:
    """The bakery: no item has a cost or a picture, jam's title is markup, butter is sold out."""
    bake(services.database, services.warehouse, services.config)
    with services.database.begin() as session:
        change(session, "A1", stock=0)
        change(session, "A2", title="=<b>Jam</b>")
    services.warehouse.refresh()
    return services


def counts(page: str) -> dict[str, str]:
    """Items of each finding."""
    rows = re.findall(
        r'<th scope="row">(.*?)</th>\s*<td class="num">(.*?)</td>\s*<td class="wrap quiet">', page, re.DOTALL
    )
    return {unescape(re.sub(r"<[^>]+>", "", name)).strip(): re.sub(r"<[^>]+>", "", n).strip() for name, n in rows}


def test_findings(marketer: FlaskClient, shop: Services) -> None:
    """The page comes at once; what is looked up comes after it, with counts that lead to the items."""
    assert f'hx-get="{PAGE}/found"' in marketer.get(PAGE).text
    page = marketer.get(f"{PAGE}/found", headers=PART).text
    found = counts(page)
    assert (found["Without a cost"], found["Without a picture"], found["Sold out, but offered"]) == ("4", "4", "0")
    assert found["Not seen lately"] == "–"
    assert f'href="{PAGE}?show=no_cost#items"' in page
    shown = marketer.get(f"{PAGE}/found?show=no_cost", headers=PART).text
    assert "=&lt;b&gt;Jam" in shown
    assert "<b>Jam" not in shown
    assert "1 to 4 of 4" in shown


def test_one_look_is_kept(marketer: FlaskClient, shop: Services) -> None:
    """Edits take the place of what was remembered: a hundred of them are not a hundred catalogues in memory."""
    memory = marketer.application.extensions.setdefault(door.MEMORY, {})
    memory["old"] = "of yesterday", utcnow() - timedelta(days=1)
    before = len(memory)
    for number in range(3):
        with shop.database.begin() as session:
            placements.suppress(session, [f"A{number}"], utcnow())
        assert marketer.get(f"{PAGE}/found", headers=PART).status_code == 200
    assert len(memory) == before, "one came, and what expired went"
    assert "old" not in memory


def test_an_edit_is_seen_at_once(marketer: FlaskClient, shop: Services) -> None:
    """What was remembered for five minutes is asked anew after a placement was changed."""
    assert counts(marketer.get(f"{PAGE}/found", headers=PART).text)["Sold out, but offered"] == "0"
    home = DEFAULTS["home"]
    rules = home.rules.json() | {"in_stock": False, "margin_min": 0.1}
    with shop.database.begin() as session:
        placements.edit(session, "cart", name="Till", sources=["popular"], given=rules, now=NOW)
        placements.edit(session, "home", name="Start", sources=["popular"], given={"in_stock": False}, now=NOW)
    shop.recommender.reload()
    page = marketer.get(f"{PAGE}/found", headers=PART).text
    assert counts(page)["Sold out, but offered"] == "1"
    assert "Till answers nothing, whoever asks" in page  # nobody has a margin
    assert re.search(r'Rules that ask for it stand at:\s*<a href="/recommendations/placements/cart">Till</a>', page)


def test_the_file(marketer: FlaskClient, shop: Services) -> None:
    """Every item with all that was found; of one finding alone; free of formulas."""
    rows = list(csv.DictReader(io.StringIO(marketer.get(f"{PAGE}.csv").text.removeprefix("\ufeff"))))
    assert [row["key"] for row in rows] == ["A0", "A1", "A2", "A3"]
    assert rows[2]["title"] == "'=<b>Jam</b>"
    assert rows[2]["price"] == "9.99"
    assert {"no_cost", "no_picture"} <= set(rows[2]["findings"].split())
    assert len(marketer.get(f"{PAGE}.csv?show=no_title").text.splitlines()) == 1


def test_pages_of_items(marketer: FlaskClient, services: Services) -> None:
    """Fifty a page; a page that is not there is the last one."""
    with services.database.begin() as session:
        add_items(session, 60)
    first = marketer.get(f"{PAGE}/found?show=no_cost", headers=PART).text
    assert "1 to 50 of 60" in first
    assert f'href="{PAGE}?show=no_cost&amp;page=2"' in first
    assert "51 to 60 of 60" in marketer.get(f"{PAGE}/found?show=no_cost&page=99", headers=PART).text


def test_before_anything(marketer: FlaskClient) -> None:
    """No items, no training: what is needed is said."""
    assert "No training serves yet" in marketer.get(PAGE).text
    assert "No items yet" in marketer.get(f"{PAGE}/found", headers=PART).text
    assert marketer.get(f"{PAGE}.csv").status_code == 200
