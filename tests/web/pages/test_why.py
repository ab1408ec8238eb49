"""Why somebody is on a list, on the pages."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from engine import lists
from engine.models import Contact
from tests.conftest import HeaderClient
from tests.engine.copies import add
from web.services import Services

HTMX = {"HX-Request": "true"}
ADULTS = {"all": [{"field": "age", "operator": "at_least", "value": 18}]}


@pytest.fixture
def shop(services: Services, now: datetime) -> int:
    """One of forty and one of unknown age; the number of a list of adults."""
    with services.database.begin() as session:
        for number, age in ((1, 40), (2, None)):
            add(session, Contact, now, key=f"c{number}", first_name="<b>Ann", age=age)
        made = lists.save(session, None, "Adults", ADULTS, now=now).id
    services.warehouse.refresh()
    return made


def test_a_tree_beside_a_name_and_on_a_page_of_its_own(shop: int, marketer: HeaderClient) -> None:
    """Verdicts in words, too; unknown says so; the page works without a script."""
    part = marketer.get(f"/lists/{shop}/why/1", headers=HTMX).text
    assert "<!doctype" not in part.lower()
    assert "aged at least 18" in part
    assert ">40<" in part
    assert "true:" in part
    page = marketer.get(f"/lists/{shop}/why/2").text
    assert "unknown" in page
    assert "not true:" in page
    assert "&lt;b&gt;Ann" in page
    assert "<b>Ann" not in page


def test_the_builder_asks_of_what_it_counted(shop: int, marketer: HeaderClient) -> None:
    """The people it shows open their tree by the criteria beside them."""
    page = marketer.get("/lists/new", query_string={"q": json.dumps(ADULTS)}).text
    assert "/lists/why/1" in page
    assert 'id="why-asked"' in page
    found = marketer.post("/lists/why/1", data={"asked": json.dumps(ADULTS)}, headers=HTMX)
    assert "aged at least 18" in found.text


@pytest.mark.parametrize("asked", ["", "[" * 5000, '{"field": "agee", "operator": "is", "value": 1}', "{}"])
def test_what_cannot_be_read_is_refused(shop: int, marketer: HeaderClient, asked: str) -> None:
    """With a reason."""
    assert marketer.post("/lists/why/1", data={"asked": asked}, headers=HTMX).status_code == 422


@pytest.mark.parametrize("path", ["/lists/404/why/1", "/lists/1/why/404"])
def test_nobody_there_is_not_found(shop: int, marketer: HeaderClient, path: str) -> None:
    """A list or a person."""
    assert marketer.get(path).status_code == 404


def test_pages_of_the_list_and_of_the_person_lead_there(shop: int, marketer: HeaderClient) -> None:
    """People tab."""
    assert f"/lists/{shop}/why/1" in marketer.get(f"/lists/{shop}?tab=people").text
