"""Pages of lists: what the form shows comes back as the same criteria, and nothing typed is ever lost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from apiflask import APIFlask
from flask import render_template_string
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from engine import criteria, intake, lists
from engine.errors import Invalid
from engine.models import ContactList
from tests.engine.criteria import strategies
from tests.engine.criteria.world import MemoryCatalogue, MemoryWarehouse, World
from web.pages.lists import draft as drafts
from web.pages.lists.draft import Draft, children, finished, kind_of, plain, read, rooted
from web.pages.lists.edits import EDITS, edit
from web.pages.lists.form import number, posted
from web.pages.lists.views import Shower
from web.pages.lists.words import Vocabulary
from web.services import Services

TREE = """{% import 'lists/tree.html' as tree with context %}
{{ tree.group(meant, true) }}{{ tree.group(left_out, true) }}<input type="hidden" name="unit" value="{{ unit }}">"""
AGED = {"all": [{"field": "age", "operator": "at_least", "value": 40}]}
HTMX = {"HX-Request": "true"}


class Controls(HTMLParser):
    """What a browser would send of a form's HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sent: MultiDict[str, str] = MultiDict()
        self._select: list[Any] = []
        self._area: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A control begins."""
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and "disabled" not in given:
            self.sent.add(given["name"], given.get("value", ""))
        elif tag == "select" and "disabled" not in given:
            self._select = [given["name"], None]
        elif tag == "option" and self._select and ("selected" in given or self._select[1] is None):
            self._select[1] = given["value"]
        elif tag == "textarea":
            self._area, self._text = given["name"], ""

    def handle_data(self, data: str) -> None:
        """Text of a textarea."""
        if self._area:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        """A control ends."""
        if tag == "select" and self._select:
            self.sent.add(*self._select)
            self._select = []
        elif tag == "textarea" and self._area:
            self.sent.add(self._area, self._text.removeprefix("\n").replace("\n", "\r\n"))
            self._area = None


@pytest.fixture(scope="module")
def catalogue() -> MemoryCatalogue:
    """A shop where everything that `strategies` names has come in."""
    world = World(
        contacts=[{"id": 1, "country": "France", "attributes": {"size": "XL", "tags": ["red"], "a.b'\"c": 1},
                   "created_at": strategies.NOW}],
        events=[{"id": n, "type": kind, "contact_id": 1, "properties": {"q": "wine"}, "occurred_at": strategies.NOW}
                for n, kind in enumerate(strategies.KINDS)],
        lists={1: [1], 2: {"field": "age", "operator": "at_least", "value": 18}, 3: []},
    )  # fmt: skip
    return MemoryCatalogue(world, MemoryWarehouse(world))


@pytest.fixture
def words(app: APIFlask, catalogue: MemoryCatalogue) -> Iterator[Vocabulary]:
    """The shop's words, inside a request."""
    with app.test_request_context():
        found = Vocabulary(catalogue, None, "en")  # type: ignore[arg-type]
        found.__dict__["lists"] = [("1", "one"), ("2", "two"), ("3", "three")]
        found.__dict__["items"] = lambda _typed: [("sku-0", "Pan")]
        yield found


def _rendered(words: Vocabulary, draft: Draft) -> MultiDict[str, str]:
    shower = Shower(words, {}, {})
    boxes = {"meant": shower.node(draft["include"], "n"), "left_out": shower.node(draft["exclude"], "x")}
    return Controls(render_template_string(TREE, **boxes, unit=draft["unit"], currency="£", templates=[])).sent


@given(asked=strategies.nodes)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_form_gives_back_the_criteria(words: Vocabulary, catalogue: MemoryCatalogue, asked: Any) -> None:
    """Criteria -> HTML form -> criteria means the same, for every tree, type, operator, window and value."""
    again = posted(_rendered(words, rooted(asked)))
    assert criteria.parse(plain(again), catalogue).root == criteria.parse(plain(rooted(asked)), catalogue).root


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["all", "any", "none", "not", "at_least", "of", "field", "operator", "value", "event",
                             "measure", "property", "within", "where", "list", "last_days", "from", "x", "include",
                             "exclude", "unit", "sequence", "since", "days", "compared_to", "likely", "item", "top"]),
            inner, max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(given_json=JSON)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_can_be_shown(words: Vocabulary, given_json: Any) -> None:
    """Whatever stands in an address or in the database is shown without a fault, and sending it back changes nothing
    any more after the first time.
    """
    once = posted(_rendered(words, rooted(given_json)))
    assert posted(_rendered(words, once)) == once


@given(asked=strategies.nodes, verb=st.sampled_from(sorted(EDITS)), steps=st.lists(st.integers(0, 3), max_size=4))
@settings(max_examples=200)
def test_edits_keep_all_other_conditions(asked: Any, verb: str, steps: list[int]) -> None:
    """Moving loses no condition and adds none; copying adds, removing takes away; a wrong place changes nothing."""
    before = rooted(asked)
    after, place = edit(before, verb, ".".join(["n", *map(str, steps)]))
    assert kind_of(after["include"]) in drafts.GROUPS
    if verb in {"up", "down"}:
        assert sorted(map(json.dumps, _leaves(after))) == sorted(map(json.dumps, _leaves(before)))
    elif verb == "copy":
        assert len(_leaves(after)) >= len(_leaves(before))
    elif verb == "remove":
        assert len(_leaves(after)) <= len(_leaves(before))
    assert not place or place.startswith("n")


def _leaves(node: Draft) -> list[Draft]:
    if "include" in node:
        return [*_leaves(node["include"]), *_leaves(node["exclude"])]
    if kind_of(node) in drafts.GROUPS:
        return [leaf for child in children(node) for leaf in _leaves(child)]
    return [node]


A, B, C = ({"field": "age", "operator": "is", "value": n} for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("before", "verb", "place", "after", "focus"),
    [
        ({"all": [A, B]}, "up", "n.1", {"all": [B, A]}, "n.0"),
        ({"all": [A, {"any": [B, C]}]}, "down", "n.0", {"all": [{"any": [A, B, C]}]}, "n.0.0"),
        ({"all": [{"any": [B, C]}, A]}, "up", "n.1", {"all": [{"any": [B, C, A]}]}, "n.0.2"),
        ({"all": [A, {"any": [B, C]}]}, "up", "n.1.0", {"all": [A, B, {"any": [C]}]}, "n.1"),
        ({"all": [{"any": [B, C]}]}, "down", "n.0.1", {"all": [{"any": [B]}, C]}, "n.1"),
        ({"all": [A, {"not": B}]}, "down", "n.1.0", {"all": [A, B]}, "n.1"),
        ({"all": [A, {"not": B}]}, "remove", "n.1.0", {"all": [A]}, "n.1"),
        ({"all": [A, B]}, "copy", "n.0", {"all": [A, A, B]}, "n.1"),
        ({"any": [A]}, "remove", "n", {"all": []}, "n"),
        ({"all": [A]}, "up", "n.7", {"all": [A]}, ""),
        ({"all": [A]}, "explode", "n.0", {"all": [A]}, ""),
        ({"all": [A]}, "where", "n.0", {"all": [A]}, ""),
    ],
)
def test_edits(before: Draft, verb: str, place: str, after: Draft, focus: str) -> None:
    """A condition moves past its neighbour, into a group and out of it again, as in an outline."""
    made, at = edit(rooted(before), verb, place)
    assert (made["include"], at) == (after, focus)


def test_what_is_unfinished_is_named_and_left_out() -> None:
    """Empty values wait; a group that needs k of its conditions waits for all of them; half-typed ones are faults."""
    draft = {"all": [A, {"field": "age", "operator": "is", "value": ""}, {"at_least": 1, "of": [B, drafts.BLANK]},
                     {"event": "order", "measure": "count", "operator": "is", "value": 1, "within": {"from": ""}},
                     {"field": "age", "operator": "is", "value": "2x"}]}  # fmt: skip
    found = finished(rooted(draft))
    assert found.unfinished == ["n.1", "n.2.1", "n.3"]
    assert found.criteria == {"all": [A, draft["all"][4]]}
    assert dict(found.walk())["all[1]"].place == "n.4"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("12", 12), ("12.50", 12.5), ("1,234", 1234), ("-3", -3), (".5", 0.5), ("1_0", "1_0"), ("2x", "2x"), ("", ""),
     ("1,5", "1,5"), ("١٢", "١٢"), ("1e9", "1e9"), ("9" * 40, "9" * 40)],
)  # fmt: skip
def test_numbers_as_typed(typed: str, meant: Any) -> None:
    """A number is a number; anything else stays the text it is."""
    assert number(typed) == meant


def test_addresses_are_bounded() -> None:
    """Too long, cut off or too deep: an error in words, never a traceback."""
    for text in ('{"all": ["' + "x" * 100_000, '{"all": [', '{"not":' * 8000 + "1" + "}" * 8000, "[" * 50_000,
                 '{"not":' * 300 + "1" + "}" * 300):  # fmt: skip
        with pytest.raises(Invalid):
            read(text)


# ---- through the door


@pytest.fixture
def shop(services: Services, now: datetime) -> None:
    """Three contacts, two of them over forty."""
    records = [{"key": f"C{n}", "first_name": f"Ada{n}", "age": age, "email": f"a{n}@mail.example"}
               for n, age in enumerate([30, 41, 57])]  # fmt: skip
    with services.database.begin() as session:
        intake.accept(session, "contacts", records, now=now, config=services.config)


def _fields(answer: TestResponse) -> MultiDict[str, str]:
    """The builder's form as a browser would send it."""
    html = answer.text
    return Controls(html[html.index('<form id="criteria"') : html.index("</form>", html.index('id="work"'))]).sent


def _address(answer: TestResponse) -> tuple[str, Any]:
    parts = urlsplit(answer.headers["HX-Replace-Url"])
    query = parse_qs(parts.query)
    return parts.path, json.loads(query["q"][0]) if "q" in query else None


def _count(answer: TestResponse) -> str:
    found = re.search(r'id="live-count"[^>]*>([^<]*)<', answer.text)
    return found[1] if found else ""


def test_count_while_typing(shop: None, marketer: FlaskClient) -> None:
    """A half-typed value shows its fault and no new count; the whole value is counted; the address holds both."""
    form = _fields(marketer.get("/lists/new", query_string={"q": json.dumps(AGED)}))
    form["n.0.value"] = "5x"
    half = marketer.post("/lists/new", data=form, headers=HTMX)
    assert half.status_code == 200
    assert "This must be a number" in half.text
    assert 'id="live"' not in half.text
    assert _address(half) == ("/lists/new", {"all": [{"field": "age", "operator": "at_least", "value": "5x"}]})
    form["n.0.value"] = "50"
    whole = marketer.post("/lists/new", data=form, headers=HTMX)
    assert _count(whole) == "1"
    assert "People aged at least 50" in whole.text


def test_without_script(shop: None, marketer: FlaskClient) -> None:
    """What the form posts is enough without a script: a subject, a value, saved."""
    form = _fields(marketer.post("/lists/new", data={**_fields(marketer.get("/lists/new")), "do": "add:n"}))
    form["n.0.what"] = "field:age"
    form = _fields(marketer.post("/lists/new", data=form))
    assert form["n.0.operator"] == "at_least"
    form["n.0.value"] = "41"
    page = marketer.post("/lists/new", data=form)
    assert _count(page) == "2"
    form["name"] = "Over forty"
    saved = marketer.post("/lists/new", data={**form, "do": "save"})
    assert saved.status_code == 303
    assert "Over forty" in marketer.get("/lists").text
    assert _count(marketer.get(saved.location)) == "2"


def test_save_needs_a_name_and_nothing_unfinished(shop: None, marketer: FlaskClient) -> None:
    """A refusal is a 422 that shows the form with everything in it."""
    form = _fields(marketer.get("/lists/new", query_string={"q": json.dumps(AGED)}))
    nameless = marketer.post("/lists/new", data={**form, "do": "save"}, headers=HTMX)
    assert nameless.status_code == 422
    assert "needs a name" in nameless.text
    form["name"], form["n.0.value"] = "Over", ""
    unfinished = marketer.post("/lists/new", data={**form, "do": "save"}, headers=HTMX)
    assert unfinished.status_code == 422
    assert "Finish this" in unfinished.text


@pytest.fixture
def over(services: Services, shop: None, now: datetime) -> int:
    """A list of those over forty."""
    with services.database.begin() as session:
        return lists.save(session, None, "Over", AGED, now=now).id


def test_two_editors(services: Services, marketer: FlaskClient, over: int, now: datetime) -> None:
    """Who saves second is told, keeps what was typed, and may save it over the other's or as a copy."""
    form = _fields(marketer.get(f"/lists/{over}"))
    with services.database.begin() as session:
        lists.save(session, over, "Theirs", AGED, now=now)
    form["n.0.value"] = "50"
    answer = marketer.post(f"/lists/{over}", data={**form, "do": "save"}, headers=HTMX)
    assert answer.status_code == 409
    assert "Somebody else saved this list" in answer.text
    mine = {**_fields_of_part(answer), "name": "Mine"}
    assert mine["n.0.value"] == "50"
    assert marketer.post(f"/lists/{over}", data={**mine, "do": "save"}, headers=HTMX).status_code == 409
    kept = marketer.post(f"/lists/{over}", data={**mine, "do": "overwrite"}, headers=HTMX)
    assert kept.headers["HX-Replace-Url"] == f"/lists/{over}"
    with services.database.read() as session:
        saved = lists.get(session, over)
        assert (saved.name, saved.criteria["all"][0]["value"], saved.size) == ("Mine", 50, 1)


def _fields_of_part(answer: TestResponse) -> MultiDict[str, str]:
    return Controls(answer.text).sent


def test_an_old_address_does_not_overwrite(services: Services, marketer: FlaskClient, over: int, now: datetime) -> None:
    """The address of unsaved changes remembers which version they were made to."""
    form = _fields(marketer.get(f"/lists/{over}"))
    form["n.0.value"] = "50"
    address = marketer.post(f"/lists/{over}", data=form, headers=HTMX).headers["HX-Replace-Url"]
    with services.database.begin() as session:
        lists.save(session, over, "Theirs", AGED, now=now)
    again = _fields(marketer.get(address))
    assert again["n.0.value"] == "50"
    assert marketer.post(f"/lists/{over}", data={**again, "do": "save"}, headers=HTMX).status_code == 409


def test_freeze_copy_export(services: Services, marketer: FlaskClient, over: int) -> None:
    """Freezing keeps what is shown, changes and all; the page then shows the people; a copy is dynamic again."""
    form = _fields(marketer.get(f"/lists/{over}"))
    form["n.0.value"] = "50"
    answer = marketer.post(f"/lists/{over}", data={**form, "do": "freeze"}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/lists/{over}"
    page = marketer.get(f"/lists/{over}").text
    assert "Ada2" in page
    assert "Ada1" not in page
    assert "Found by: People aged at least 50" in " ".join(page.split())
    assert "a2@mail.example" in marketer.get(f"/lists/{over}/export.csv").text
    address, version = f"/lists/{over}/rename", re.findall(r'name="version" value="(\d+)"', page)[0]
    assert marketer.post(address, data={"name": "Kept"}).status_code == 422
    assert marketer.post(address, data={"name": "Kept", "version": version}).status_code == 303
    assert marketer.post(address, data={"name": "Mine", "version": version}).status_code == 409
    copied = marketer.post(f"/lists/{over}/copy")
    assert _count(marketer.get(copied.location)) == "1"
    assert "Kept, copy" in marketer.get("/lists").text


def test_delete_and_undo(marketer: FlaskClient, over: int) -> None:
    """A deleted list is gone from the index and comes back."""
    marketer.post(f"/lists/{over}/delete")
    assert "No lists yet" in marketer.get("/lists").text
    assert marketer.get(f"/lists/{over}").status_code == 404
    marketer.post(f"/lists/{over}/restore")
    assert "Over" in marketer.get("/lists").text


def test_what_is_gone_is_named_and_can_be_taken_out(
    services: Services, marketer: FlaskClient, over: int, now: datetime
) -> None:
    """Of stored criteria that no longer make sense every fault is marked at its condition; taking them out heals."""
    gone = [{"field": "attributes.gone", "operator": "is", "value": "x"}, {"list": 999}, {"nonsense": [1]}]
    with services.database.begin() as session:
        session.get_one(ContactList, over).criteria = {"all": [*gone, *AGED["all"]]}
    index = marketer.get("/lists").text
    assert "Unknown field" in index
    page = marketer.get(f"/lists/{over}")
    for words in ("Unknown field", "There is no list 999", "exactly one of"):
        assert words in page.text
    form = _fields(page)
    for _ in gone:
        answer = marketer.post(f"/lists/{over}", data={**form, "do": "remove:n.0"}, headers=HTMX)
        form = _fields_of_part(answer)
    assert _count(answer) == "2"


@pytest.mark.parametrize(
    "asked",
    ["null", "[]", "5", "NaN", "1e999", '{"all":5}', '{"list":true}', '{"list":[1]}', '{"list":1e30}', '{"field":5}',
     '{"all":[{"at_least":"x","of":[]}]}', '{"at_least":1e400,"of":[{"list":1}]}', '{"all":[{"not":null}]}',
     '{"event":"order","where":[{"field":"no","operator":"is","value":"x"}]}', '{"event":"no","within":{"from":5}}',
     '{"field":"age","operator":"is","value":1e300}', '{"field":"key","operator":"is","value":"a\\nb"}',
     '{"field":"age","operator":"between","value":[1,2,3]}', '{"event":"order","measure":"no","operator":"no"}'],
)  # fmt: skip
def test_nonsense_is_shown(shop: None, marketer: FlaskClient, asked: str) -> None:
    """Whatever an address says is shown with its fault; the form sends it back, and it can be taken out."""
    page = marketer.get("/lists/new", query_string={"q": asked})
    assert page.status_code == 200
    again = marketer.post("/lists/new", data=_fields(page), headers=HTMX)
    assert again.status_code == 200
    emptied = marketer.post("/lists/new", data={**_fields(page), "do": "remove:n"}, headers=HTMX)
    assert _count(emptied) == "3"


def test_empty_shop(marketer: FlaskClient) -> None:
    """Before anybody is known the builder finds nobody; half a character is refused."""
    assert _count(marketer.get("/lists/new")) == "0"
    assert marketer.get("/lists/new", query_string={"q": r'{"list":"\ud800"}'}).status_code == 422


def test_criteria_too_long_for_an_address(shop: None, marketer: FlaskClient) -> None:
    """100 kB in an address are refused in words; long criteria in the form are counted but not put there."""
    refused = marketer.get("/lists/new", query_string={"q": "x" * 100_000})
    assert refused.status_code == 422
    assert "an address may carry" in refused.text
    many = {"all": [{"field": "key", "operator": "in", "value": [f"customer-{n}" for n in range(900)] + ["C1"]}]}
    form = _fields(marketer.get("/lists/new", query_string={"q": json.dumps(many)}))
    answer = marketer.post("/lists/new", data=form, headers=HTMX)
    assert answer.headers["HX-Replace-Url"] == "/lists/new"
    assert _count(answer) == "1"
    assert "too long for an address" in answer.text


def _flood(services: Services, now: datetime, first: int, count: int) -> None:
    seen = [{"type": f"noise-{number:04}", "at": now.isoformat(), "contact": "C1", "properties": {"score": 7}}
            for number in range(first, first + count)]  # fmt: skip
    with services.database.begin() as session:
        intake.accept(session, "events", seen, now=now, config=services.config)


def test_what_comes_in_can_be_chosen_at_once(
    services: Services, marketer: FlaskClient, shop: None, now: datetime
) -> None:
    """In the page anew, and in one that is open: its choices are sent again when they are others, and only then."""
    form = _fields(marketer.get("/lists/new", query_string={"q": json.dumps(AGED)}))
    assert 'id="choices"' not in marketer.post("/lists/new", data=form, headers=HTMX).text
    _flood(services, now, 1, 1)
    answer = marketer.post("/lists/new", data=form, headers=HTMX)
    assert '<option value="event:noise-0001"' in answer.text
    again = marketer.post("/lists/new", data=_fields_of_part(answer), headers=HTMX)
    assert 'id="choices"' not in again.text
    anew = marketer.get("/lists/new", query_string={"q": json.dumps(AGED)})
    assert '<option value="event:noise-0001"' in anew.text


def test_a_flood_of_event_types_makes_no_long_page(
    services: Services, marketer: FlaskClient, shop: None, now: datetime
) -> None:
    """Choices stand once in the page, 200 of the shop's own at most; the name of another is typed and counted."""
    _flood(services, now, 0, 600)
    many = {"all": [{"event": "noise-0599", "measure": "count", "operator": "at_least", "value": 1}] * 5}
    page = marketer.get("/lists/new", query_string={"q": json.dumps(many)})
    assert _count(page) == "1"
    assert page.text.count('value="event:noise-') == 200
    assert page.text.count('value="event:order"') == 1
    form = _fields(page)
    assert (form["n.4.what"], form["n.4.named"]) == ("event:", "noise-0599")
    form["n.4.named"] = "noise-058"
    typed = marketer.post("/lists/new", data=form, headers=HTMX)
    assert "No event &#39;noise-058&#39; has come in" in typed.text
    assert '<option value="noise-0587">' in typed.text
    form["n.4.named"] = "noise-0587"
    assert _count(marketer.post("/lists/new", data=form, headers=HTMX)) == "1"


def test_sizes_are_counted_again(services: Services, marketer: FlaskClient, over: int, now: datetime) -> None:
    """One button for the lists that are shown."""
    with services.database.begin() as session:
        intake.accept(session, "contacts", [{"key": "C9", "age": 90}], now=now, config=services.config)
    assert "not yet" in marketer.get("/lists").text
    assert marketer.post("/lists/count", data={"q": "nothing"}).status_code == 303
    assert "not yet" in marketer.get("/lists").text
    assert marketer.post("/lists/count", data={"q": "Ov"}).location == "/lists?q=Ov"
    with services.database.read() as session:
        assert lists.get(session, over).size == 3


def test_a_part_of_a_page_opened_by_itself_leads_to_the_page(shop: None, marketer: FlaskClient) -> None:
    """Suggestions are no page."""
    assert marketer.get("/lists/values?field=country").location == "/lists"
    part = marketer.get("/lists/values?field=country", headers=HTMX)
    assert (part.status_code, "HX-Request" in part.headers["Vary"]) == (200, True)


def test_statements_do_not_grow_with_conditions(services: Services, marketer: FlaskClient, shop: None) -> None:
    """Counting forty conditions asks the database no more often than counting one."""
    asked: list[str] = []
    event.listen(services.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    def statements(count: int) -> int:
        many = {"any": [{"field": "age", "operator": "at_least", "value": n} for n in range(count)]}
        form = _fields(marketer.get("/lists/new", query_string={"q": json.dumps(many)}))
        asked.clear()
        marketer.post("/lists/new", data=form, headers=HTMX)
        return len(asked)

    assert statements(40) <= statements(1)


def test_index_says_all(services: Services, marketer: FlaskClient, over: int, now: datetime) -> None:
    """Name, sentence, size and share of a list, found by name; templates when there is none."""
    services.warehouse.refresh()
    with services.database.begin() as session:
        lists.count(session, services.warehouse, over, now)
    page = marketer.get("/lists?q=ov").text
    assert "People aged at least 40" in page
    assert "66.7%" in page
    assert "No such list" in marketer.get("/lists?q=zzz").text


def test_suggestions(shop: None, services: Services, marketer: FlaskClient, now: datetime) -> None:
    """Stored values of a field with how many have each; an unknown field is a 422."""
    with services.database.begin() as session:
        record = {"key": "C9", "country": "FR", "city": "<Paris>"}
        intake.accept(session, "contacts", [record], now=now, config=services.config)
    services.warehouse.refresh()
    answer = marketer.get("/lists/values?field=city", headers=HTMX)
    assert '<option value="&lt;Paris&gt;" label="1">' in answer.text
    assert "max-age" in answer.headers["Cache-Control"]
    assert marketer.get("/lists/values?field=nothing", headers=HTMX).status_code == 422
    assert marketer.get("/lists/values?event=order&field=channel", headers=HTMX).status_code == 200
