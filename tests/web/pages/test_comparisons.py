"""Comparing settings of a placement on the pages: form, preview, figures, adopting and taking back."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select

from engine.database import next_revision
from engine.models import Contact, Event
from recommender import comparisons, placements
from recommender.models import Comparison
from tests.campaigns import shop as campaign_shop
from tests.recommender.shop import add_contacts, add_items, add_order
from web.alerts import alerts
from web.services import Services, utcnow

ALL = "/recommendations/comparisons"
FORM = "/recommendations/placements/home/compare"
B = {"sources": ["newest"], "label": "New <first>"}
PART = {"HX-Request": "true"}
UNREADABLE = (
    "[[[",
    "[" * 50_000,
    '{"rules": {"suppressed": ["\\ud800"]}}',
    '{"rules": {"suppressed": ["a\\u0000b"]}}',
    '{"rules": {"a\\u0000b": 1}}',
    '{"rules": {"price_min": NaN}}',
)


@pytest.fixture
def shop(services: Services) -> Services:
    """Four items, A3 the newest; everybody bought A0."""
    with services.database.begin() as session:
        things = add_items(session, 4)
        for contact in add_contacts(session, 20):
            add_order(session, contact, things[:1], utcnow() - timedelta(days=2))
    return services


def begin(services: Services, days_ago: int = 1, **given: object) -> int:
    """A comparison of the home page; its number."""
    with services.database.begin() as session:
        at = utcnow() - timedelta(days=days_ago)
        row = comparisons.start(session, "home", {}, B, now=at, **given)  # type: ignore[arg-type]
        row.salt = "always the same draw"
        number = row.id
    services.recommender.reload()
    return number


def people(services: Services, number: int, count: int = 600) -> None:
    """Everybody sees an offer; a tenth buy, twice as dear in b."""
    now = utcnow()
    with services.database.begin() as session:
        ids = campaign_shop.crowd(session, count, now, first=1_000)
        row = session.get_one(Comparison, number)
        running = comparisons.as_running(row)
        revision, seen = next_revision(session), row.started_at + timedelta(minutes=1)
        events = []
        for who in ids:
            variant = running.variant(who, None)
            assert variant
            told = {"recommendation_id": f"1.x{who}.{variant.mark}"}
            event = {"contact_id": who, "occurred_at": seen, "properties": told, "revision": revision}
            events.append(event | {"key": f"i{who}", "type": "impression"})
            if who % 4 == 0:
                events.append(event | {"key": f"c{who}", "type": "recommendation_click"})
            if who % 3 == 0:
                amount = 40 if variant.arm == "b" else 10
                campaign_shop.order(session, f"O{who}", who, seen + timedelta(hours=1), amount)
        session.execute(insert(Event.__table__), events)


def rows(page: str) -> list[list[str]]:
    """What each arm would show."""
    lists = re.findall(r'<ol class="rows">(.*?)</ol>', page, re.DOTALL)
    return [re.findall(r"<strong>(.*?)</strong>", one) for one in lists]


def test_the_page_of_none_teaches(marketer: FlaskClient, shop: Services) -> None:
    """What a comparison is good for, and where to begin."""
    page = marketer.get(ALL).text
    assert "Nothing compared yet" in page
    assert f'href="{FORM}"' in page


def test_edited_settings_are_compared(marketer: FlaskClient, shop: Services) -> None:
    """From the placement's page: what was changed there comes along as B, is shown beside A, and begins."""
    with shop.database.read() as session:
        saved = placements.read(session)["home"]
    typed = {"name": saved.name, "source": ["newest"], "in_stock": "on", "exclude_viewed": "on", "exclude_cart": "on",
             "price_min": "2", "category_depth": "1", "act": "compare"}  # fmt: skip
    answer = marketer.post("/recommendations/placements/home", data=typed)
    assert answer.status_code == 303
    edited = parse_qs(urlsplit(answer.location).query)["edited"][0]
    assert json.loads(edited) == {"rules": {"price_min": "2", "exclude_purchased": False}, "sources": ["newest"]}
    page = unescape(marketer.get(answer.location).text)
    assert "Price from" in page
    assert rows(page)[1] == ["Item 3", "Item 2", "Item 1", "Item 0"]
    given = {"edited": edited, "a": "", "b": "edited", "share": "50", "held": "20", "days": "7", "act": "start"}
    started = marketer.post(FORM, data=given | {"label": "New first"})
    assert started.status_code == 303
    with shop.database.read() as session:
        row = session.scalars(select(Comparison)).one()
        assert (row.variant_b["sources"], row.variant_b["label"], row.days) == (["newest"], "New first", 7)
        assert (row.holdout, row.started_by) == (0.2, "marketer@shop.example")
        assert row.variant_a["rules"] == saved.rules.json()
    assert "Nobody has seen it yet" in marketer.get(started.location).text
    held = marketer.post("/recommendations/placements/home", data=typed | {"act": "save"})
    assert held.status_code == 409
    assert "A comparison runs at this placement" in marketer.get("/recommendations/placements/home").text
    assert "runs here already" in marketer.get(FORM).text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "The variants are the same"),
        ({"b": "cart", "held": "90"}, "Hold out between 0 and 50%"),
        ({"b": "cart", "held": "ten"}, "Write a number."),
        ({"b": "cart", "held": "nan"}, "Hold out between"),
        ({"b": "cart", "share": "100"}, "at least 5%"),
        ({"b": "cart", "days": "1.5"}, "Write a number."),
        ({"b": "nowhere"}, "There is no placement"),
        ({"b": "edited", "edited": '{"rules": {"margin_min": 9}}'}, "number from -1 to 1"),
        ({"b": "edited", "edited": '{"rules": 7, "sources": "x"}'}, "The variants are the same"),
        ({"b": "edited", "edited": '{"sources": [[1]]}'}, "Name the sources in their order"),
        ({"b": "edited", "edited": '{"sources": [{}]}'}, "Name the sources in their order"),
        *(({"b": "edited", "edited": one}, "The edited settings cannot be read") for one in UNREADABLE),
    ],
)
def test_what_cannot_begin_stays_typed(
    marketer: FlaskClient, shop: Services, typed: dict[str, str], words: str
) -> None:
    """422, the reason in words, and nothing runs."""
    given = {"a": "", "b": "", "share": "40", "held": "10", "days": "9", "act": "start"} | typed
    answer = marketer.post(FORM, data=given)
    assert answer.status_code == 422
    page = unescape(answer.text)
    assert words in page
    assert f'value="{given["days"]}"' in page
    with shop.database.read() as session:
        assert not comparisons.running(session)


@pytest.mark.parametrize("edited", [*(one[:5_000] for one in UNREADABLE), '{"sources": [[1]]}', '{"sources": [{}]}'])
def test_an_address_may_say_anything(marketer: FlaskClient, shop: Services, edited: str) -> None:
    """The form comes, says what is wrong, and shows what A would."""
    answer = marketer.get(FORM, query_string={"edited": edited})
    assert answer.status_code == 200
    assert "sources in their order" in answer.text or "cannot be read" in answer.text
    assert rows(answer.text)


def test_looking_changes_nothing(marketer: FlaskClient, shop: Services) -> None:
    """The script asks for the part; what one person would see follows the choice."""
    given = {"a": "", "b": "item", "share": "50", "held": "10", "days": "14", "who": "C3"}
    answer = marketer.post(FORM, data=given, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert len(rows(answer.text)) == 3
    with shop.database.read() as session:
        assert not comparisons.running(session)


def test_the_figures_and_the_way_back(marketer: FlaskClient, shop: Services) -> None:
    """B earns more: verdict, intervals, arms; adopted, everybody sees B; taken back, nobody does."""
    number = begin(shop, days_ago=20)
    people(shop, number)
    page = unescape(marketer.get(f"{ALL}/{number}").text)
    assert "B earns more" in page
    assert 'class="plot"' in page
    assert "New <first>" in page  # escaped in the source
    assert "B less A" in page
    assert "Its days are over" in page
    table = marketer.get(f"{ALL}/{number}/recommendations.csv")
    lines = table.text.lstrip("\ufeff").splitlines()
    assert lines[0] == "recommendation_id,variant,first_click,clicks,orders,revenue,margin"
    assert len(lines) == 1 + 600 // 4
    with shop.database.read() as session:
        found = [one for one in alerts(session, utcnow()) if one.endpoint == "recommendations.comparison"]
        before = placements.read(session)["home"]
    assert [one.number for one in found] == [{"number": number}]
    assert marketer.post(f"{ALL}/{number}/adopt/b").status_code == 303
    with shop.database.read() as session:
        assert placements.read(session)["home"].sources == ("newest",)
        assert not [one for one in alerts(session, utcnow()) if one.endpoint == "recommendations.comparison"]
    page = marketer.get(f"{ALL}/{number}").text
    assert "Take back" in page
    assert "Adopted" in page
    assert marketer.post(f"{ALL}/{number}/adopt/a").status_code == 409
    assert marketer.post(f"{ALL}/{number}/undo").status_code == 303
    with shop.database.read() as session:
        assert placements.read(session)["home"] == before
    listed = marketer.get(ALL).text
    assert "Stopped" in listed
    assert "New &lt;first&gt;" in listed


def test_the_page_of_placements_tells_of_it(marketer: FlaskClient, shop: Services) -> None:
    """Which placement is compared, and which variant the one who is tried would see."""
    number = begin(shop)
    page = marketer.get("/recommendations?placement=home&who=C3").text
    assert "Comparing" in page
    assert f'href="{ALL}/{number}"' in page
    assert re.search(r"variant [AB] of a comparison|held out of a comparison", page)
    stranger = marketer.get("/recommendations?placement=home&who=").text
    assert "of a comparison" not in stranger


def test_an_older_one_is_only_read(marketer: FlaskClient, shop: Services) -> None:
    """When another one began, the first has no buttons and its addresses change nothing."""
    first = begin(shop, days_ago=9)
    assert marketer.post(f"{ALL}/{first}/stop").status_code == 303
    second = begin(shop)
    assert "Adopt" not in marketer.get(f"{ALL}/{first}").text
    assert marketer.post(f"{ALL}/{first}/adopt/b").status_code == 404
    assert marketer.post(f"{ALL}/{first}/stop").status_code == 404
    assert marketer.get(f"{ALL}/{second + 1}").status_code == 404
    assert marketer.post(f"{ALL}/{second}/adopt/c").status_code == 404
    with shop.database.read() as session:
        assert "home" in comparisons.running(session)
        assert session.scalar(select(Contact.id).limit(1))


def test_a_placement_that_went_leaves_its_figures(marketer: FlaskClient, shop: Services) -> None:
    """To read, with no way to what is not there."""
    with shop.database.begin() as session:
        placements.edit(session, "till", name="Till", sources=["newest"], given={}, now=utcnow())
        number = comparisons.start(session, "till", {}, {"sources": ["popular"]}, now=utcnow()).id
        comparisons.stop(session, "till", utcnow())
    address = f"{ALL}/{number}"
    assert "Compare again" in marketer.get(address).text
    with shop.database.begin() as session:
        placements.delete_one(session, "till")
    page = marketer.get(address)
    assert page.status_code == 200
    assert "was deleted" in page.text
    assert not {"Compare again", "Adopt", "/placements/till"} & set(
        re.findall(r"Compare again|Adopt|/placements/till", page.text)
    )
    assert marketer.post(f"{address}/adopt/b").status_code == 404
    assert marketer.get(ALL).status_code == 200


def seen(services: Services, count: int, days: int = 20) -> None:
    """People who saw the home page over so many days; a tenth clicked."""
    now = utcnow()
    with services.database.begin() as session:
        ids = campaign_shop.crowd(session, count, now, first=1_000)
        revision = next_revision(session)
        events: list[dict[str, object]] = []
        for place, who in enumerate(ids):
            at = now - timedelta(days=days * (1 - place / count))
            told = {"recommendation_id": f"1.x{who}", "placement": "home"}
            event = {"contact_id": who, "occurred_at": at, "properties": told, "revision": revision}
            events.append(event | {"key": f"i{who}", "type": "impression"})
            if who % 10 == 0:
                events.append(event | {"key": f"c{who}", "type": "recommendation_click"})
        session.execute(insert(Event.__table__), events)


def test_the_form_tells_how_long_it_takes(marketer: FlaskClient, shop: Services) -> None:
    """It looks once the form is there, then follows what is typed; a smaller share of B takes longer."""
    seen(shop, 2_000)

    def row(**typed: str) -> list[str]:
        given = {"a": "", "b": "item", "share": "50", "held": "10", "days": "14", **typed}
        page = unescape(marketer.post(FORM, data=given, headers={"HX-Request": "true"}).text)
        found = re.search(r"People who clicked an offer (.*?)</tr>", page, re.DOTALL)
        return re.findall(r'<td class="num">(.*?)</td>', found[1]) if found else []

    assert 'hx-trigger="load"' in marketer.get(FORM).text
    assert row() == []
    told = unescape(marketer.get(f"{FORM}/duration?share=50&held=10&days=14", headers=PART).text)
    assert "2,000 people who saw this placement in the last 20 days" in told
    even, uneven, longer = row(), row(share="20"), row(days="60")
    assert even[0] == "> 90 days"
    assert int(even[2].split()[0]) < int(uneven[2].split()[0])
    assert float(longer[3].rstrip("%")) < float(even[3].rstrip("%"))
    assert row(share="x") == row(held="nan") == row(days="0") == []


def test_without_history_it_says_so(marketer: FlaskClient, shop: Services) -> None:
    """Nobody saw it, or what is typed is no share."""
    assert "Nothing says how long" in marketer.get(f"{FORM}/duration?share=50&held=10&days=14", headers=PART).text
    assert "Nothing says how long" in marketer.get(f"{FORM}/duration", headers=PART).text


def test_all_that_is_wrong_stands_beside_its_field(marketer: FlaskClient, shop: Services) -> None:
    """Not the first fault alone."""
    typed = {"a": "", "b": "item", "share": "1", "held": "90", "days": "1000", "act": "start"}
    page = unescape(marketer.post(FORM, data=typed).text)
    for words in ("at least 5%", "Hold out between 0 and 50%", "Plan between 1 and 90 days"):
        assert re.search(rf'<p class="form-fault"[^>]*>[^<]*{words}', page)
