"""The pages of bundles: what suggests itself becomes one, and nothing typed is lost."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine.config import Config
from engine.models import Item
from recommender import bundles, training
from recommender.models import Bundle
from tests.recommender.shop import add_contacts, add_items, add_order
from web.services import Services, utcnow

LIST = "/recommendations/bundles"
TYPED = {"name": "Tea <time>", "items": ["A0", "A1", "", ""], "discount": "12.5", "active": "on"}


@pytest.fixture
def shop(services: Services, config: Config) -> Services:
    """Eight of ten buyers of A0 bought A1 with it; a training of that."""
    now = utcnow()
    with services.database.begin() as session:
        first, second, other = add_items(session, 3, cost=50_000)
        for number, who in enumerate(add_contacts(session, 20)):
            basket = [first, second] if number < 8 else [first] if number < 10 else [other]
            add_order(session, who, basket, now - timedelta(days=2))
    training.train(services.database, services.warehouse, config, now=now)
    return services


def made(services: Services) -> list[Bundle]:
    with services.database.read() as session:
        return bundles.read(session)


def test_from_a_suggestion_to_a_set(marketer: FlaskClient, shop: Services) -> None:
    """The page suggests, the form is filled in, what is saved stands on the page."""
    page = unescape(marketer.get(LIST).text)
    assert "/recommendations/bundles/new?items=A0,A1" in page.replace("%2C", ",")
    assert ">80%<" in page
    form = unescape(marketer.get(f"{LIST}/new?items=A0,A1").text)
    assert 'value="Item 0 + Item 1"' in form
    assert "One by one £19.98, as a set £17.98: saves £2.00." in form
    for items in (["A0", "A1"], ["A0", "A2"]):
        assert marketer.post(f"{LIST}/new", data=TYPED | {"items": items, "act": "save"}).status_code == 303
    assert [(one.key, one.items, one.discount) for one in made(shop)] == [
        ("tea-time-2", ["A0", "A2"], 0.125),
        ("tea-time", ["A0", "A1"], 0.125),
    ]
    page = marketer.get(LIST).text
    assert "Tea &lt;time&gt;" in page
    assert "Offered" in page
    assert "(tea-time)" in page, "two of one name are told apart"
    assert "(tea-time-2)" in page


def test_named_like_the_form(marketer: FlaskClient, shop: Services) -> None:
    """A bundle "New" has a page of its own, not the empty form's."""
    for other in ("A1", "A2"):
        typed = TYPED | {"name": "New", "items": ["A0", other], "act": "save"}
        assert marketer.post(f"{LIST}/new", data=typed).status_code == 303
    assert [one.key for one in made(shop)] == ["set-new-2", "set-new"]
    assert 'value="New"' in marketer.get(f"{LIST}/set-new").text
    assert 'value="New"' not in marketer.get(f"{LIST}/new").text


def test_what_just_came_in_counts(marketer: FlaskClient, shop: Services) -> None:
    """An order the worker did not copy yet is on the page."""
    marketer.post(f"{LIST}/new", data=TYPED | {"act": "save"})
    with shop.database.begin() as session:
        items = list(session.scalars(select(Item).where(Item.key.in_(["A0", "A1"]))))
        add_order(session, None, items, utcnow())
    assert "1 of 1" in marketer.get(LIST).text


def test_looking_writes_nothing(marketer: FlaskClient, shop: Services) -> None:
    """While one types, the price of the set is shown and nothing is saved."""
    answer = marketer.post(f"{LIST}/new", data=TYPED, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "saves £2.50" in answer.text
    assert "<html" not in answer.text
    assert made(shop) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": ["A0", "nothing"]}, "There is no item 'nothing'"),
        ({"discount": "many"}, "Write the discount in percent, from 1 to 90."),
        ({"discount": "95"}, "Write the discount in percent, from 1 to 90."),
        ({"price": "5"}, "a price, or a discount"),
        ({"name": ""}, "Give the bundle a name"),
        ({"since": "2026-05-02", "until": "2026-05-01"}, "The last day is before the first"),
    ],
)
def test_faults_lose_nothing(marketer: FlaskClient, shop: Services, change: dict[str, str], words: str) -> None:
    """422 with what was typed and what is wrong."""
    answer = marketer.post(f"{LIST}/new", data=TYPED | change | {"act": "save"})
    page = unescape(answer.text)
    assert answer.status_code == 422
    assert words in page
    assert all(f'value="{one}"' in page for one in (change.get("discount", "12.5"), change.get("items", ["A0"])[0]))
    assert made(shop) == []


def test_all_faults_at_once(marketer: FlaskClient, shop: Services) -> None:
    """Each beside its field, and all above the button."""
    wrong = {"name": "", "items": ["A0", "one", "two"], "discount": "95", "since": "2026-05-02", "until": "2026-05-01"}
    page = unescape(marketer.post(f"{LIST}/new", data=TYPED | wrong | {"act": "save"}).text)
    unknown = [f"There is no item '{key}'; take its number from your catalogue." for key in ("one", "two")]
    words = [
        "Give the bundle a name of up to 128 letters.",
        " ".join(unknown),
        "Write the discount in percent, from 1 to 90.",
        "The last day is before the first.",
    ]
    assert re.findall(r'<p class="form-fault"[^>]*>([^<]+)</p>', page) == words
    told = [words[0], *unknown, *words[2:]]
    assert re.findall(r"<li><a href=[^>]*>[^<]*</a>: ([^<]*)</li>", page) == told


def test_saved_twice_by_a_double_click(marketer: FlaskClient, shop: Services) -> None:
    """The second leads where the first does, and there is one bundle."""
    first, second = (marketer.post(f"{LIST}/new", data=TYPED | {"act": "save"}) for _ in range(2))
    assert (first.status_code, first.location) == (second.status_code, second.location) == (303, LIST)
    assert [one.key for one in made(shop)] == ["tea-time"]


def test_the_same_items_are_on_sale(marketer: FlaskClient, shop: Services) -> None:
    """Refused with what was typed, naming the bundle that sells them; not when switched off."""
    marketer.post(f"{LIST}/new", data=TYPED | {"act": "save"})
    other = TYPED | {"name": "Another", "discount": "20", "act": "save"}
    answer = marketer.post(f"{LIST}/new", data=other)
    assert answer.status_code == 409
    assert "“Tea <time>” (tea-time) sells the same items" in unescape(answer.text)
    assert 'value="Another"' in answer.text
    assert [one.key for one in made(shop)] == ["tea-time"]
    del other["active"]
    assert marketer.post(f"{LIST}/new", data=other).status_code == 303
    assert marketer.post(f"{LIST}/another", data=other | {"active": "on"}).status_code == 409


def _hidden(page: str, name: str = "seen") -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found, name
    return unescape(found[1])


def test_an_older_form_writes_nothing_over(marketer: FlaskClient, shop: Services) -> None:
    """A price saved in one tab outlives a new name in another, until who was told of it saves over it."""
    marketer.post(f"{LIST}/new", data=TYPED | {"act": "save"})
    path = f"{LIST}/tea-time"
    mine = TYPED | {"name": "Mine", "seen": _hidden(marketer.get(path).text), "act": "save"}
    theirs = mine | {"name": "Theirs", "discount": "", "price": "16.00"}
    for _ in range(2):
        assert marketer.post(path, data=theirs).status_code == 303, "a double click is no conflict"
    answer = marketer.post(path, data=mine)
    page = unescape(answer.text)
    assert answer.status_code == 409
    assert "Somebody else saved this bundle while you were writing." in page
    assert re.search(r"Price: 16(\.00)? now, empty when you began", page)
    assert "Discount: empty now, 12.5 when you began" in page
    assert 'value="Mine"' in page
    assert [(one.name, one.price) for one in made(shop)] == [("Theirs", 160_000)]
    told = {"theirs": _hidden(answer.text, "theirs"), "act": "overwrite"}
    assert marketer.post(path, data=theirs | {"seen": told["theirs"], "price": "17"}).status_code == 303
    again = marketer.post(path, data=mine | told)
    assert again.status_code == 409, "nobody was told of the third"
    told["theirs"] = _hidden(again.text, "theirs")
    assert marketer.post(path, data=mine | told).status_code == 303
    assert [(one.name, one.discount) for one in made(shop)] == [("Mine", 0.125)]
    assert marketer.post(path, data=mine | {"seen": "[", "name": "Blind"}).status_code == 409


def test_change_and_delete(marketer: FlaskClient, shop: Services) -> None:
    """Switched off it says so, a sold-out item too; deleted it is gone."""
    marketer.post(f"{LIST}/new", data=TYPED | {"act": "save"})
    changed = {**TYPED, "discount": "", "price": "15", "act": "save"}
    del changed["active"]
    assert marketer.post(f"{LIST}/tea-time", data=changed).status_code == 303
    [one] = made(shop)
    assert (one.price, one.discount, one.active) == (150_000, None, False)
    assert 'value="15"' in marketer.get(f"{LIST}/tea-time").text
    assert "Off</span>" in marketer.get(LIST).text
    marketer.post(f"{LIST}/tea-time", data=changed | {"active": "on"})
    for lacking, words in (({"stock": 0}, "Sold out"), ({"price": None}, "No price"), ({"active": False}, "Not sold")):
        with shop.database.begin() as session:
            session.query(Item).filter_by(key="A1").update({"stock": 5, "price": 99_900} | lacking)
        page = re.sub(r"<br>|<[^>]*>", " ", marketer.get(LIST).text)
        assert re.search(rf"{words}\s+Item 1", page), words
    assert marketer.post(f"{LIST}/tea-time/delete").status_code == 303
    assert made(shop) == []
    assert marketer.get(f"{LIST}/tea-time").status_code == 404


def test_a_state_is_what_rows_do(marketer: FlaskClient, api: FlaskClient, shop: Services, config: Config) -> None:
    """A set with an item that is suppressed, or that the training does not know, is in no row and not "Offered"."""
    with shop.database.begin() as session:
        [late] = add_items(session, 1, key="late", title="Late item")
    for name, other in (("Hidden", "A1"), ("Fresh", late.key)):
        marketer.post(f"{LIST}/new", data=TYPED | {"name": name, "items": ["A0", other], "act": "save"})
    api.put("/api/v1/suppressed-items", json={"items": ["A1"]})
    assert _states(marketer) == {"Hidden": "Suppressed Item 1", "Fresh": "Waits for the next training Late item"}
    assert _offered(api) == set()
    api.put("/api/v1/suppressed-items", json={"items": []})
    training.train(shop.database, shop.warehouse, config, now=utcnow())
    shop.recommender.reload()
    assert _states(marketer) == {"Hidden": "Offered", "Fresh": "Offered"}
    assert _offered(api) == {"Hidden", "Fresh"}


def _states(marketer: FlaskClient) -> dict[str, str]:
    """By the name of each bundle its state, and the items that it is about."""
    row = re.compile(r'<th scope="row"><a [^>]*>([^<]*)</a>.*?<td class="whole">(.*?)</td>', re.DOTALL)
    rows = row.findall(marketer.get(LIST).text)
    return {name: " ".join(re.sub(r"<[^>]*>", " ", state).split()) for name, state in rows}


def _offered(api: FlaskClient) -> set[str]:
    """Names of the sets in a row at the cart that holds A0."""
    body = {"placement": "cart", "context": {"items": ["A0"]}, "n": 6}
    found = api.post("/api/v1/recommendations", json=body).get_json()["items"]
    return {item["bundle"]["name"] for item in found if "bundle" in item}


def test_an_empty_shop_teaches(marketer: FlaskClient) -> None:
    """No training, no bundle: what one is, and what to do first."""
    page = unescape(marketer.get(LIST).text)
    assert "A bundle sells together what people buy together anyway" in page
    assert "No training serves yet" in page
