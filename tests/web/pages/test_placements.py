"""The page of a placement: sources, rules, and the preview beside them."""

from __future__ import annotations

import base64
import re
from html import unescape

import pytest
from flask.testing import FlaskClient

from recommender import comparisons, placements
from recommender.business import RULES, Rules
from recommender.sources import NAMES
from recommender.sources.about import ABOUT
from tests.recommender.shop import NOW, add_contacts, add_items, add_order
from web.services import Services

HOME = "/recommendations/placements/home"
EVERYTHING = {"name": "Start", "source": ["newest"], "in_stock": "on", "category_depth": "1"}


@pytest.fixture
def shop(services: Services) -> Services:
    """Four items, A3 the newest; C0 bought A3."""
    with services.database.begin() as session:
        things = add_items(session, 4)
        add_order(session, add_contacts(session, 1)[0], things[3:], NOW)
    return services


def rules(services: Services) -> Rules:
    with services.database.read() as session:
        return placements.read(session)["home"].rules


def told(client: FlaskClient) -> str:
    """The message that the page will show."""
    cookie = client.get_cookie("toast")
    assert cookie
    return base64.urlsafe_b64decode(cookie.value + "==").decode()


def beside(page: str) -> list[str]:
    """The faults beside controls; the dialog to log in again has an empty place for its own."""
    return [unescape(words) for words in re.findall(r'<p class="form-fault[^>]*>([^<]+)</p>', page)]


def rows(page: str) -> list[list[str]]:
    """The titles of the two rows, left and right."""
    lists = re.findall(r'<ol class="rows">(.*?)</ol>', page, re.DOTALL)
    return [re.findall(r"<strong>(.*?)</strong>", one) for one in lists]


def test_every_rule_has_its_control(marketer: FlaskClient, shop: Services) -> None:
    """The form is made of the table: what is in it can be typed."""
    page = unescape(marketer.get(HOME).text)
    for name, about in RULES.items():
        assert about.label in page
        assert f'name="{name}"' in page or f'name="{name}-item"' in page


def test_what_is_typed_is_saved(marketer: FlaskClient, shop: Services) -> None:
    """Units as people write them: currency, percent, one entry a line; what is not ticked is off."""
    typed = EVERYTHING | {
        "price_min": "5", "margin_min": "12.5", "boost_margin": "30", "category_cap": "2", "price_ratio_max": "1.5",
        "categories_denied": ["Tea", ""], "pins-item": ["A1", ""], "pins-position": ["2", ""],
        "pins-from": ["2026-01-01", ""], "pins-until": ["", ""], "act": "save",
    }  # fmt: skip
    assert marketer.post(HOME, data=typed).status_code == 303
    written = rules(shop).json()
    assert (written["price_min"], written["margin_min"], written["boost_margin"]) == ("5", 0.125, 0.3)
    assert (written["category_cap"], written["price_ratio_max"], written["categories_denied"]) == (2, 1.5, ["Tea"])
    assert written["pins"] == [{"item": "A1", "position": 2, "from": "2026-01-01"}]
    assert (written["in_stock"], written["exclude_purchased"]) == (True, False)
    page = marketer.get(HOME).text
    assert 'value="12.5"' in page
    assert "Item 1" in page


def _hidden(page: str, name: str = "seen") -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found, name
    return unescape(found[1])


def test_an_older_form_writes_nothing_over(marketer: FlaskClient, shop: Services) -> None:
    """What another tab saved since is told, what is typed stays, and only who was told saves over it."""
    mine = EVERYTHING | {"seen": _hidden(marketer.get(HOME).text), "name": "Mine", "act": "save"}
    theirs = mine | {"name": "Theirs", "price_max": "20", "pins-item": ["A1"], "pins-position": ["2"]}
    for _ in range(2):
        assert marketer.post(HOME, data=theirs).status_code == 303, "a double click is no conflict"
    for act, status in (("", 200), ("save", 409), ("save", 409)):
        answer = marketer.post(HOME, data=mine | {"act": act})
        page = unescape(answer.text)
        assert answer.status_code == status
        assert "Somebody else saved this placement while you were writing." in page
        assert "Name: Theirs now, Home page when you began" in page
        assert "Price up to: 20 now, empty when you began" in page
        assert "Pinned items: A1 now, empty when you began" in page
        assert 'value="Mine"' in page
        assert _hidden(answer.text) == mine["seen"]
        assert rules(shop).price_max == 200_000
    told = {"theirs": _hidden(answer.text, "theirs"), "act": "overwrite"}
    third = theirs | {"seen": told["theirs"], "price_max": "30"}
    assert marketer.post(HOME, data=third).status_code == 303
    again = marketer.post(HOME, data=mine | told)
    assert again.status_code == 409, "nobody was told of the third"
    assert "Price up to: 30 now, 20 when you began" in unescape(again.text)
    told["theirs"] = _hidden(again.text, "theirs")
    assert marketer.post(HOME, data=mine | told).status_code == 303
    assert rules(shop).price_max is None


@pytest.mark.parametrize("text", ["{", "[]", '{"name":1}', '{"name":"","sources":5,"rules":[]}', "[" * 100_000])
def test_what_cannot_be_read_writes_nothing_over(marketer: FlaskClient, shop: Services, text: str) -> None:
    """A form that does not tell what it began from any more asks first."""
    answer = marketer.post(HOME, data=EVERYTHING | {"seen": text, "act": "save"})
    assert answer.status_code == 409
    assert "Save mine over it" in answer.text


def test_saving_what_is_shown_changes_nothing(marketer: FlaskClient, shop: Services) -> None:
    """The form of a placement, sent as it stands, is that placement."""
    with shop.database.begin() as session:
        given = {
            "diversity": 0.25,
            "margin_min": -0.5,
            "unseen_mails": 3,
            "exclude_viewed": False,
            "suppressed": ["A1"],
        }
        given |= {"buries": [{"item": "A2", "until": "2026-12-24"}], "price_max": "12.5"}
        placements.edit(session, "home", name="Home", sources=["newest", "popular"], given=given, now=NOW)
    before, page = rules(shop), marketer.get(HOME).text
    form = page[page.index('<form id="placement"') :]
    fields: dict[str, list[str]] = {}
    for tag in re.findall(r"<input [^>]+>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ('type="checkbox"' not in tag or " checked" in tag):
            fields.setdefault(name[1], []).append(unescape(value[1]) if value else "on")
    assert marketer.post(HOME, data=fields | {"act": "save"}).status_code == 303
    assert rules(shop) == before


def test_nothing_typed_is_lost(marketer: FlaskClient, shop: Services) -> None:
    """What cannot be saved is shown again with the fault beside it, and nothing is written."""
    before = rules(shop)
    typed = EVERYTHING | {"price_min": "cheap", "boost_margin": "300", "suppressed": ["A1"], "act": "save"}
    answer = marketer.post(HOME, data=typed)
    page = unescape(answer.text)
    assert answer.status_code == 422
    assert 'value="cheap"' in page
    assert 'value="300"' in page
    assert "'cheap' is not an amount" in page
    assert 'name="suppressed" value="A1"' in page
    assert rules(shop) == before
    again = marketer.post(HOME, data=typed | {"price_min": ""})
    assert "Write a percentage from 0 to 100." in again.text


def test_the_preview_shows_both(marketer: FlaskClient, shop: Services) -> None:
    """As saved on the left, as typed on the right, for a real contact, with reasons; nothing is saved by looking."""
    looking = EVERYTHING | {"who": "C0", "exclude_purchased": "on"}
    page = marketer.post(HOME, data=looking, headers={"HX-Request": "true"}).text
    assert page.startswith('<form id="placement"')
    left, right = rows(page)
    assert "Item 3" not in left
    assert right == ["Item 2", "Item 1", "Item 0"]
    _, right = rows(marketer.post(HOME, data=looking | {"price_min": "10"}).text + "")
    assert right == []
    assert "new in the shop" in page
    assert rules(shop) == placements.DEFAULTS["home"].rules
    assert "Nobody is known as moon" in marketer.post(HOME, data=EVERYTHING | {"who": "moon"}).text


def test_sources_by_buttons(marketer: FlaskClient, shop: Services) -> None:
    """Up, down, out and add; the draft goes along until it is saved."""

    def order(act: str) -> list[str]:
        typed = EVERYTHING | {"source": ["popular", "newest"], "act": act}
        return re.findall(r'name="source" value="(\w+)"', marketer.post(HOME, data=typed).text)

    assert order("down:popular") == order("up:newest") == ["newest", "popular"]
    assert order("up:popular") == ["popular", "newest"]
    assert order("out:popular") == ["newest"]
    assert order("add:trending") == ["popular", "newest", "trending"]
    assert order("add:nothing like it") == order("add:newest") == ["popular", "newest"]


def test_every_source_is_explained(marketer: FlaskClient, shop: Services) -> None:
    """What it finds and what it needs, whether it is chosen or not; one that never answers there is marked."""
    page = marketer.get(HOME).text
    for name in NAMES:
        about = ABOUT[name]
        assert f"{about.finds[:1].upper()}{about.finds[1:]}." in unescape(page)
        assert not about.needs.any_of or f"Needs {about.needs.words}." in unescape(page)
    assert "never answers here" not in page
    mail = "/recommendations/placements/email"
    first = marketer.post(mail, data=EVERYTHING | {"source": ["rules", "newest"]}).text
    assert "The first source never answers here" in first
    later = marketer.post(mail, data=EVERYTHING | {"source": ["newest", "rules"]}).text
    assert "never answers here" in later
    assert "The first source never answers here" not in later


def test_every_fault_stands_beside_its_control(marketer: FlaskClient, shop: Services) -> None:
    """All at once, each named above with a link to where it is mended."""
    typed = EVERYTHING | {
        "name": "", "price_min": "9", "price_max": "8", "boost_margin": "x", "pins-item": ["A1", "", "A2"],
        "pins-position": ["0", "3", "2"], "pins-from": ["", "", "2026-02-01"], "pins-until": ["", "", "2026-01-01"],
        "act": "save",
    }  # fmt: skip
    answer = marketer.post(HOME, data=typed)
    page = unescape(answer.text)
    assert answer.status_code == 422
    wanted = ["name", "boost_margin", "pins-position-0", "pins-item-1", "pins-until-2", "price_max"]
    above = page[page.index('<ul class="faults">') : page.index("</ul>", page.index('<ul class="faults">'))]
    assert re.findall(r'href="#([\w-]+)"', above) == wanted
    assert all(f'id="{control}"' in page for control in wanted)
    assert sorted(beside(page)) == sorted(
        ["Give the placement a name of up to 128 letters.", "Write a percentage from 0 to 100.",
         "Name the position, from 1 to 100.", "Name the item.", "The last day is before the first.",
         "This upper limit is below the lower one."]
    )  # fmt: skip


def test_what_is_half_typed_is_no_fault_yet(marketer: FlaskClient, shop: Services) -> None:
    """A pin without its position or item is asked for quietly, and the preview goes on without it; what else was typed
    shows in it. Saved, it is a fault.
    """
    pins = {"pins-item": ["A0", "A1", ""], "pins-position": ["1", "", "3"], "pins-from": ["", "", ""]}
    typed = EVERYTHING | pins | {"suppressed": ["A3"]}
    page = marketer.post(HOME, data=typed).text
    assert not beside(page)
    assert "alert-bad" not in page
    assert re.findall(r'<p class="form-hint pin-note">(.*?)</p>', page) == [
        "Name the position, from 1 to 100.", "Name the item."
    ]  # fmt: skip
    assert "Not in the preview yet: Pinned items." in page
    with_pin = rows(page)[1]
    assert with_pin == ["Item 0", "Item 2", "Item 1"]
    saved = marketer.post(HOME, data=typed | {"act": "save"})
    assert saved.status_code == 422
    assert len(beside(saved.text)) == 2
    assert rows(saved.text)[1] == with_pin


def test_what_is_wrong_leaves_the_preview_as_it_was_saved(marketer: FlaskClient, shop: Services) -> None:
    """The rest of what is typed shows; of what cannot be read stands what is saved."""
    with shop.database.begin() as session:
        placements.edit(session, "home", name="H", sources=["newest"], given={"price_max": "1"}, now=NOW)
    page = marketer.post(HOME, data=EVERYTHING | {"price_max": "1x", "price_min": "0.5"}).text
    assert "Not in the preview yet: Price up to." in page
    assert len(beside(page)) == 1
    assert rows(page)[1] == rows(page)[0]
    both = marketer.post(HOME, data=EVERYTHING | {"price_max": "1x", "price_min": "2"}).text
    assert rows(both)[1] == rows(both)[0]


def test_a_stranger_with_two_clicks(marketer: FlaskClient, shop: Services) -> None:
    """What was looked at in this visit is hidden from the preview, and from what is tried."""
    asked = EVERYTHING | {"visit": "A3, A2", "exclude_viewed": "on"}
    assert rows(marketer.post(HOME, data=asked).text)[1] == ["Item 1", "Item 0"]
    tried = rows(marketer.get("/recommendations?placement=home&who=&visit=A3,A2").text)
    assert not {"Item 2", "Item 3"} & set(tried[0])
    assert {"Item 2", "Item 3"} < set(tried[1])


def test_a_comparison_that_runs_is_told_first(marketer: FlaskClient, shop: Services) -> None:
    """Above everything that can be typed, with the way to it."""
    with shop.database.begin() as session:
        row = comparisons.start(session, "home", {}, {"sources": ["newest"]}, now=NOW)
    page = marketer.get(HOME).text
    link = f'href="/recommendations/comparisons/{row.id}"'
    assert page.index("A comparison runs at this placement") < page.index(link) < page.index('name="name"')


def test_one_is_deleted(marketer: FlaskClient, shop: Services) -> None:
    """One that the shop made, after a question; those that every shop has offer no such button."""
    made = EVERYTHING | {"key": "till", "name": "Till", "act": "save"}
    assert marketer.post("/recommendations/placements/new", data=made).status_code == 303
    assert "Delete “Till”?" in marketer.get("/recommendations/placements/till").text
    assert marketer.post("/recommendations/placements/till/delete").status_code == 303
    assert marketer.get("/recommendations/placements/till").status_code == 404
    assert "Delete “" not in marketer.get(HOME).text
    assert marketer.post(f"{HOME}/delete").status_code == 409


def test_entries_are_dropped(marketer: FlaskClient, shop: Services) -> None:
    """The button beside an entry takes that one."""
    typed = EVERYTHING | {"categories": ["Tea", "Food", "Soap"], "act": "drop:categories:1"}
    assert re.findall(r'name="categories" value="(\w+)"', marketer.post(HOME, data=typed).text) == ["Tea", "Soap"]


def test_a_placement_of_ones_own(marketer: FlaskClient, shop: Services) -> None:
    """Made under a key, never over one that is there."""
    made = EVERYTHING | {"key": "till", "act": "save"}
    assert marketer.post("/recommendations/placements/new", data=made).status_code == 303
    assert "till" in marketer.get("/recommendations").text
    assert marketer.post("/recommendations/placements/new", data=made).status_code == 409
    wrong = marketer.post("/recommendations/placements/new", data=made | {"key": "The till"})
    assert wrong.status_code == 422
    assert 'value="The till"' in wrong.text
    assert marketer.get("/recommendations/placements/moon").status_code == 404


def test_shown_nowhere(marketer: FlaskClient, shop: Services) -> None:
    """Put on the list and taken off it."""
    for typed, left in (
        ({"suppressed": ["A3", "gone"]}, ["A3", "gone"]),
        ({"suppressed": ["A3"], "act": "drop:A3"}, []),
    ):
        assert marketer.post("/recommendations/suppressed", data=typed).status_code == 303
        with shop.database.read() as session:
            assert list(placements.suppressed(session)) == left
        page = marketer.get("/recommendations").text
        assert re.findall(r'name="suppressed" value="(\w+)"', page) == left
        assert ("is that the number" in told(marketer)) == ("gone" in left)
        assert ("not known" in page) == ("gone" in left)


def test_items_are_found_while_they_are_typed(marketer: FlaskClient, shop: Services) -> None:
    """By number or a part of the title, whichever search box asks; what is typed is no pattern."""
    assert re.findall(r'value="(\w+)"', marketer.get("/recommendations/items?pins-item=&pins-item=a1").text) == ["A1"]
    assert re.findall(r'value="(\w+)"', marketer.get("/recommendations/items?suppressed=tem+2").text) == ["A2"]
    assert marketer.get("/recommendations/items?suppressed=%25").text.strip() == ""
