"""The rule explorer: what is shown, asked, written to a file, and made of a rule."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from campaigns import planning
from campaigns.models import Campaign
from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.models import Contact, ContactList
from recommender.explorer import MEASURES
from tests.recommender.bakery import bake, change
from tests.recommender.shop import NOW
from web.services import Services

RULES = "/recommendations/rules"


@pytest.fixture
def bakery(services: Services) -> Services:
    """Nine rules; butter earns 4.00 and has a name that is markup."""
    bake(services.database, services.warehouse, services.config)
    with services.database.begin() as session:
        change(session, "A1", cost=59_900, title="<b>Butter</b>")
    services.warehouse.refresh()
    return services


def rows(page: str) -> list[list[str]]:
    """The words of each row."""
    body = re.search(r'<tbody id="rows">(.*?)</tbody>', page, re.DOTALL)
    found = re.findall(r'<tr id="rule-[\d-]+">(.*?)</tr>', body[1] if body else "", re.DOTALL)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[unescape(re.sub(r"<[^>]+>|\s+", " ", cell)).strip() for cell in row] for row in cells]


def test_all_that_a_rule_says(marketer: FlaskClient, bakery: Services) -> None:
    """Both sides, buyers, shares, money; names stay text."""
    page = marketer.get(f"{RULES}?q=jam&side=from&items=1").text
    assert "<b>Butter" not in page
    found = {row[1].split("  ")[0]: row for row in rows(page)}
    assert set(found) == {"<b>Butter</b>", "Bread"}
    butter = found["<b>Butter</b>"]
    assert butter[0] == "Jam"
    assert [re.sub(r"\s+", " ", cell) for cell in butter[2:8]] == [
        "20 30.77%", "100% of 20", "2.2", "16.57%", "£4.00", "£4.00",
    ]  # fmt: skip
    assert found["Bread"][6:8] == ["–", "–"]
    assert 'href="/recommendations/bundles/new?items=A2,A1"' in page


def test_the_address_holds_what_is_asked(marketer: FlaskClient, bakery: Services) -> None:
    """Sorting links keep the filters, and the file gives the same rules in the same order."""
    asked = "q=jam&support=20&confidence=60&sort=-lift"
    page = marketer.get(f"{RULES}?{asked}").text
    link = re.search(r'class="sorts" href="([^"]+)"[^>]*>Support', page)
    assert link
    assert {"q=jam", "support=20", "confidence=60", "sort=-support"} <= set(
        unescape(link[1]).partition("?")[2].split("&")
    )
    file = marketer.get(f"{RULES}.csv?{asked}")
    assert file.mimetype == "text/csv"
    written = list(csv.DictReader(io.StringIO(file.text.removeprefix("\ufeff"))))
    names = [" and ".join(filter(None, [one["from_title"], one["and_from_title"]])) for one in written]
    assert names == [re.sub(r"\s+and\s+", " and ", row[0]) for row in rows(page)]
    assert [float(one["lift"]) for one in written] == sorted((float(one["lift"]) for one in written), reverse=True)
    assert len(written) == 6


def test_every_column_sorts(marketer: FlaskClient, bakery: Services) -> None:
    """Each measure is a link, and all nine rules are there whatever the order."""
    for name in MEASURES:
        for sign in ("", "-"):
            assert len(rows(marketer.get(f"{RULES}?sort={sign}{name}").text)) == 9


def test_the_file_runs_no_formula(marketer: FlaskClient, bakery: Services) -> None:
    """A title that a spreadsheet would run is made harmless."""
    with bakery.database.begin() as session:
        change(session, "A2", title="=HYPERLINK(1)")
    assert "'=HYPERLINK(1)" in marketer.get(f"{RULES}.csv").text
    assert ",=HYPERLINK" not in marketer.get(f"{RULES}.csv").text


def test_points_lead_to_rows(marketer: FlaskClient, bakery: Services) -> None:
    """Of each rule of the drawing the row is on the page it names."""
    page = marketer.get(RULES).text
    chart = re.search(r'data-chart="([^"]+)"', page)
    assert chart
    points = json.loads(unescape(chart[1]))["points"]
    assert len(points) == 9
    for point in points:
        address, _, row = point["href"].partition("#")
        assert f'id="{row}"' in marketer.get(address).text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=nothing", "No rule fits"),
        ("lift=abc", "Write a number."),
        ("lift=nan", "Write a number."),
        ("page=9", "There is no such page"),
        ("sort=moon&side=moon&items=7&page=-3", "1 to 9 of 9 rules"),
        (f"q={quote('<i>')}", "&lt;i&gt;"),
    ],
)
def test_what_cannot_be_asked(marketer: FlaskClient, bakery: Services, query: str, words: str) -> None:
    """Is said, and is no fault."""
    page = marketer.get(f"{RULES}?{query}")
    assert page.status_code == 200
    assert words in page.text


def test_before_a_training(marketer: FlaskClient) -> None:
    """The page says what a rule is and where one comes from; the file says how to get one."""
    page = marketer.get(RULES).text
    assert "No rules yet" in page
    assert 'href="/recommendations/trainings"' in page
    assert marketer.get(f"{RULES}.csv").status_code == 422


def made(services: Services) -> tuple[Campaign, ContactList]:
    with services.database.read() as session:
        return session.scalars(select(Campaign)).one(), session.scalars(select(ContactList)).one()


@pytest.mark.parametrize(
    ("given", "leads_to", "lacking"), [(["A0"], "A1", range(30, 40)), (["A0", "A1"], "A2", range(20, 30))]
)
def test_a_rule_becomes_a_campaign(
    marketer: FlaskClient, bakery: Services, given: list[str], leads_to: str, lacking: Any
) -> None:
    """A list of those who hold all that it starts from and not what it leads to, and a draft to them; both go again."""
    form = {"from": given, "to": leads_to, "buyers": "20"}
    answer = marketer.post(f"{RULES}/campaign", data=form)
    campaign, people = made(bakery)
    assert answer.headers["Location"] == f"/campaigns/{campaign.id}"
    assert (campaign.status, campaign.list_id, campaign.channel) == ("draft", people.id, "email")
    assert " for buyers of " in campaign.name
    with bakery.database.read() as session:
        begun = planning.variant_of(session, campaign.id)
        assert begun.blocks[0] == {"type": "heading", "text": begun.subject}
        assert campaign.name.startswith(begun.subject)
    with bakery.database.read() as session:
        found = criteria.parse(people.criteria, open_catalogue(session, bakery.warehouse))
        ids = bakery.warehouse.execute(criteria.select(found, bakery.warehouse, NOW))["contact_id"].to_pylist()
        keys = set(session.scalars(select(Contact.key).where(Contact.id.in_(ids))))
    returned = {"C0"} if leads_to == "A1" else set()  # who took butter back lacks it
    assert keys == {f"C{number}" for number in lacking} | returned
    assert marketer.get(f"/campaigns/{campaign.id}").status_code == 200
    assert marketer.post(f"{RULES}/campaign/{campaign.id}/discard").status_code == 204
    campaign, people = made(bakery)
    assert campaign.deleted_at is not None
    assert people.deleted_at is not None


def test_only_a_draft_is_discarded(marketer: FlaskClient, bakery: Services) -> None:
    """What waits or runs stays, and so does its list."""
    marketer.post(f"{RULES}/campaign", data={"from": "A0", "to": "A1"})
    with bakery.database.begin() as session:
        session.execute(update(Campaign).values(status="scheduled"))
        number = session.scalars(select(Campaign.id)).one()
    assert marketer.post(f"{RULES}/campaign/{number}/discard").status_code == 409
    assert made(bakery)[1].deleted_at is None


@pytest.mark.parametrize("form", [{}, {"from": "A0"}, {"to": "A1"}, {"from": "A0", "to": "gone"}])
def test_a_rule_of_nothing(marketer: FlaskClient, bakery: Services, form: dict[str, str]) -> None:
    """Makes nothing."""
    assert marketer.post(f"{RULES}/campaign", data=form).status_code == 422
    with bakery.database.read() as session:
        assert session.scalar(select(lists.saved.ContactList.id)) is None
