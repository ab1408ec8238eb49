"""The builder's controls for every kind of criterion: what is shown, typed, moved and pasted is kept as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import intake
from engine.criteria import scored
from engine.errors import Invalid
from tests.engine.criteria import strategies
from tests.web.pages import test_lists as pages
from tests.web.pages.test_lists import HTMX, _count, _fields, _fields_of_part, _leaves, _rendered
from web.pages.lists.builder import Looked, _control
from web.pages.lists.draft import Draft, children, finished, kind_of, plain, rooted
from web.pages.lists.edits import edit
from web.pages.lists.form import posted
from web.pages.lists.words import Vocabulary
from web.services import Services

catalogue, words, shop = pages.catalogue, pages.words, pages.shop

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "choice": st.sampled_from(["85123A", "梅🙂", '"x" & <y>']),
    "path": st.sampled_from(["Food > Wine", "Kitchen"]),
    "number": st.integers(1, 5_000) | st.sampled_from([0.5, 2.25]),
    "days": st.integers(1, 400),
    "percent": st.sampled_from([10, 2.5, 0.0001]),
    "yes_no": st.booleans(),
}


@st.composite
def registered(draw: st.DrawFn) -> Draft:
    """A leaf of a registered kind with any of its inputs."""
    kind = draw(st.sampled_from(sorted(scored.KINDS.values(), key=lambda one: one.key)))
    made: Draft = {kind.key: {}}
    for one in kind.inputs:
        if draw(st.booleans()):
            head, _, inner = one.key.partition(".")
            (made[head] if inner else made)[inner or head] = draw(VALUES[one.type])
    return made | ({"operator": "at_least", "value": 0.5} if kind.type else {})


@given(leaves=st.lists(registered(), min_size=1, max_size=3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_registered_kinds_are_drawn_from_their_registration(words: Vocabulary, leaves: list[Draft]) -> None:
    """Draft -> page -> form -> draft is the identity, whatever package made the kind."""
    draft = rooted({"any": leaves})
    assert posted(_rendered(words, draft)) == draft


@given(asked=strategies.criteria)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_can_be_asked_is_shown_as_json(words: Vocabulary, asked: Any) -> None:
    """Every kind has controls, and the form gives the same draft back each time."""
    draft = rooted(asked)
    assert "other" not in {kind_of(leaf) for leaf in _leaves(draft)}
    once = posted(_rendered(words, draft))
    assert posted(_rendered(words, once)) == once


SEQUENCE: Draft = {
    "sequence": [
        {"event": "item_view", "where": [{"field": "brand", "operator": "is", "value": "Dune"}]},
        {"event": "cart_add", "days": 3},
        {"event": "order", "days": 7, "not": True},
    ],
    "within": {"last_days": 30},
}
SINCE: Draft = {
    "event": "order", "measure": "count", "operator": "is", "value": 0,
    "within": {"since": {"event": "cart_abandon", "where": [{"field": "origin", "operator": "is", "value": ""},
                                                            {"field": "value", "operator": "at_least", "value": 9}]}},
}  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        SEQUENCE, SINCE, {**SINCE, "within": {"since": {"event": "survey"}, "days": 2}},
        {"event": "order", "measure": "count", "operator": "at_most", "value": -30, "within": {"last_days": 90},
         "compared_to": "previous"},
        {"event": "order", "measure": "last_at", "operator": "in_period", "value": "last_month"},
        {"event": "order", "measure": "first", "property": "channel", "operator": "in", "value": ["web", "store"]},
        {"field": "birth_date", "operator": "in_month", "value": 5},
        {"field": "birth_date", "operator": "not_on_weekday", "value": 7},
        {"field": "spend", "operator": "top_percent", "value": 12.5},
        {"field": "email", "operator": "matches", "value": "(half"},
        {"field": "attributes.tags", "operator": "has_all", "value": ["a", "b"]},
        {"sequence": [{"event": ""}, {"event": "order", "days": "7x"}]},
        {"sequence": [{"event": "call"}, {"event": "order", "hours": 2, "not": True}], "within": {"last_hours": 3}},
        {**SINCE, "within": {"since": {"event": "survey"}, "minutes": ""}},
        {**SINCE, "within": {"last_minutes": 45, "before": "2026-01-01"}},
    ],
)  # fmt: skip
def test_each_kind_comes_back(words: Vocabulary, asked: Draft) -> None:
    """Finished or half typed."""
    draft = rooted({"include": {"all": [asked]}, "exclude": {"any": [asked]}, "unit": "household"})
    assert posted(_rendered(words, draft)) == draft


def test_boxes_are_written_as_short_as_they_can_be_said() -> None:
    """Criteria without a second box stay what they were; those with one keep both, and the unit."""
    aged = {"all": [{"field": "age", "operator": "at_least", "value": 40}]}
    assert plain(rooted(aged)) == aged
    assert plain(rooted({"include": aged})) == aged
    both = {"include": aged, "exclude": {"any": [{"list": 1}]}, "unit": "account"}
    assert plain(rooted(both)) == both
    assert plain(rooted({"include": aged, "exclude": {"list": 1}})) == {"include": aged, "exclude": both["exclude"]}


def test_faults_inside_of_events_are_at_their_control() -> None:
    """Also when conditions before them are left out because they are unfinished."""
    found = finished(rooted({"include": {"all": [SEQUENCE, SINCE]}, "exclude": {"any": [SINCE]}}))
    assert found.unfinished == ["n.1.within.since.where.0", "x.0.within.since.where.0"]
    kept = dict(found.walk())
    assert _control(kept["include.all[0]"], "sequence[0].where[0].value") == "n.0.sequence.0.where.0.value"
    assert _control(kept["include.all[0]"], "sequence[2].days") == "n.0.sequence.2.days"
    assert _control(kept["exclude.any[0]"], "within.since.where[0].field") == "x.0.within.since.where.1.what"
    assert Looked(found).clauses == {}


A, B, C = ({"field": "age", "operator": "is", "value": n} for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("before", "verb", "place", "after", "focus"),
    [
        ({"all": [A, B, C]}, "drop", "n.0>n.2", {"all": [B, C, A]}, "n.2"),
        ({"all": [A, B, C]}, "drop", "n.2>n.0", {"all": [C, A, B]}, "n.0"),
        ({"all": [A, {"any": [B, C]}]}, "drop", "n.0>n.1.1", {"all": [{"any": [B, A, C]}]}, "n.0.1"),
        ({"all": [A, {"any": [B, C]}]}, "drop", "n.1.0>n.0", {"all": [B, A, {"any": [C]}]}, "n.0"),
        ({"all": [A, {"not": B}]}, "drop", "n.1.0>n.0", {"all": [B, A]}, "n.0"),
        ({"all": [A, {"any": [B]}]}, "drop", "n.1>n.1.0", {"all": [A, {"any": [B]}]}, ""),
        ({"all": [A]}, "drop", "n.7>n.0", {"all": [A]}, ""),
        ({"all": [A]}, "drop", "nonsense", {"all": [A]}, ""),
        ({"all": [A, B]}, "wrap", "n.1", {"all": [A, {"any": [B]}]}, "n.1"),
        ({"any": [A, {"all": [B, C]}]}, "unwrap", "n.1", {"any": [A, B, C]}, "n.1"),
        ({"all": [A]}, "unwrap", "n.0", {"all": [A]}, ""),
        ({"all": [SEQUENCE]}, "earlier", "n.0.sequence.1",
         {"all": [{**SEQUENCE, "sequence": [{"event": "cart_add"}, SEQUENCE["sequence"][0], SEQUENCE["sequence"][2]]}]},
         "n.0.sequence.0"),
        ({"all": [SEQUENCE]}, "unstep", "n.0.sequence.1",
         {"all": [{**SEQUENCE, "sequence": [SEQUENCE["sequence"][0], SEQUENCE["sequence"][2]]}]}, "n.0.sequence.0"),
        ({"all": [SEQUENCE]}, "unstep", "n.0.sequence.9", {"all": [SEQUENCE]}, ""),
        ({"all": [A]}, "step", "n.0", {"all": [A]}, ""),
    ],
)  # fmt: skip
def test_edits(before: Draft, verb: str, place: str, after: Draft, focus: str) -> None:
    """Dropped, wrapped, dissolved, and the steps of a sequence."""
    made, at = edit(rooted(before), verb, place)
    assert (made["include"], at) == (after, focus)


def test_into_the_other_box_and_back() -> None:
    """A condition changes sides and comes back; by dragging as well."""
    there, place = edit(rooted({"all": [A, B]}), "aside", "n.0")
    assert (plain(there), place) == ({"include": {"all": [B]}, "exclude": {"any": [A]}}, "x.0")
    assert edit(there, "aside", "x.0")[0]["include"] == {"all": [B, A]}
    dropped, place = edit(there, "drop", "x.0>n.0")
    assert (plain(dropped), place) == ({"all": [A, B]}, "n.0")


PLACES = st.lists(st.integers(0, 2), min_size=1, max_size=3).map(lambda steps: ".".join(map(str, steps)))


@given(asked=strategies.criteria, source=PLACES, target=PLACES, boxes=st.sampled_from(["nn", "nx", "xn", "xx"]))
@settings(max_examples=150)
def test_dropping_loses_nothing(asked: Any, source: str, target: str, boxes: str) -> None:
    """Wherever something is dropped, all conditions are there afterwards, once."""
    before = rooted(asked)
    after, place = edit(before, "drop", f"{boxes[0]}.{source}>{boxes[1]}.{target}")
    assert sorted(map(json.dumps, _leaves(after))) == sorted(map(json.dumps, _leaves(before)))
    assert not place or _at(after, place)


def _at(draft: Draft, place: str) -> Draft:
    root, *steps = place.split(".")
    node = draft[{"n": "include", "x": "exclude"}[root]]
    for step in steps:
        node = children(node)[int(step)]
    return node


# ---- through the door


@pytest.fixture
def form(shop: None, marketer: FlaskClient) -> Any:
    """The controls of a new list with these criteria."""
    return lambda asked: _fields(marketer.get("/lists/new", query_string={"q": json.dumps(asked)}))


AGED = {"all": [{"field": "age", "operator": "at_least", "value": 40}]}


def test_who_is_left_out_is_counted_and_in_the_address(marketer: FlaskClient, form: Any) -> None:
    """A condition in the second box: fewer people, how many fewer, and an address that brings all of it back."""
    controls = _fields_of_part(marketer.post("/lists/new", data={**form(AGED), "do": "add:x"}, headers=HTMX))
    controls["x.0.what"] = "field:age"
    controls = _fields_of_part(marketer.post("/lists/new", data=controls, headers=HTMX))
    controls["x.0.value"] = "50"
    answer = marketer.post("/lists/new", data=controls, headers=HTMX)
    assert _count(answer) == "1"
    assert "1 left out" in answer.text
    assert "except people aged at least 50" in answer.text
    again = marketer.get(answer.headers["HX-Replace-Url"])
    assert (_count(again), _fields(again)["x.0.value"]) == ("1", "50")


def test_what_is_counted_is_chosen(marketer: FlaskClient, form: Any) -> None:
    """Households instead of people: said beside the count, kept in the address."""
    answer = marketer.post("/lists/new", data={**form(AGED), "unit": "household"}, headers=HTMX)
    assert "Households found" in answer.text
    assert _count(answer) == "2"
    assert _fields(marketer.get(answer.headers["HX-Replace-Url"]))["unit"] == "household"


def test_a_name_half_typed_is_unfinished_until_its_box_is_left(marketer: FlaskClient, form: Any) -> None:
    """The rest is counted meanwhile; afterwards it is a fault with its remedy."""
    controls = form({"all": [*AGED["all"], {"field": "email", "operator": "matches", "value": "x"}]})
    controls["n.1.value"] = "(half"
    typing = marketer.post("/lists/new", data={**controls, "typing": "n.1.value.0"}, headers=HTMX)
    assert "form-fault" not in typing.text
    assert "crit-open" in typing.text
    assert _count(typing) == "2"
    assert _fields_of_part(typing)["n.1.value"] == "(half"
    left = marketer.post("/lists/new", data={**controls, "typing": ""}, headers=HTMX)
    assert "no regular expression" in left.text
    saving = marketer.post("/lists/new", data={**controls, "typing": "n.1.value.0", "do": "save"}, headers=HTMX)
    assert (saving.status_code, "Finish this" in saving.text) == (422, True)


def test_a_kind_that_needs_something_waits_for_it(marketer: FlaskClient, form: Any) -> None:
    """Just chosen it is unfinished, not wrong; the others are counted."""
    controls = form({"all": [*AGED["all"], {"field": "", "operator": "", "value": ""}]})
    controls["n.1.what"] = "likely:"
    answer = marketer.post("/lists/new", data=controls, headers=HTMX)
    assert "form-fault" not in answer.text
    assert _count(answer) == "2"
    assert {"n.1.likely.item", "n.1.top", "n.1.new_only"} <= _fields_of_part(answer).keys()


def test_who_is_due_begins_within_a_week(marketer: FlaskClient, form: Any) -> None:
    """Just chosen it asks for the next 7 days; what is asked instead stays."""
    controls = form({"all": [{"field": "", "operator": "", "value": ""}]})
    controls["n.0.what"] = "due:"
    begun = _fields_of_part(marketer.post("/lists/new", data=controls, headers=HTMX))
    assert (begun["n.0.operator"], begun["n.0.value"]) == ("in_next", "7")
    chosen = {**begun, "n.0.operator": "days_ago", "n.0.value": "10"}
    kept = _fields_of_part(marketer.post("/lists/new", data=chosen, headers=HTMX))
    assert (kept["n.0.operator"], kept["n.0.value"]) == ("days_ago", "10")


def test_paste(marketer: FlaskClient, form: Any) -> None:
    """Criteria as JSON take the place of those on the page; what is no JSON stays where it was pasted, with why."""
    controls = form(AGED)
    pasted = json.dumps({"include": AGED, "exclude": {"field": "age", "operator": "at_least", "value": 50}})
    answer = marketer.post("/lists/new", data={**controls, "do": "paste", "pasted": pasted}, headers=HTMX)
    assert _count(answer) == "1"
    assert _fields_of_part(answer)["x.0.value"] == "50"
    half = marketer.post("/lists/new", data={**controls, "do": "paste", "pasted": pasted[:-9]}, headers=HTMX)
    assert "not complete JSON" in half.text
    assert _fields_of_part(half)["pasted"] == pasted[:-9]
    assert _count(half) == "2"


def test_hours_are_chosen_beside_the_number(marketer: FlaskClient, form: Any) -> None:
    """Of a window, of the wait since another event and of a step; the number stays."""
    controls = form({"all": [{**SINCE, "within": {"last_days": 3}}, SEQUENCE]})
    chosen = {"n.0.within.scale": "hours", "n.1.sequence.2.scale": "minutes"}
    answer = marketer.post("/lists/new", data={**controls, **chosen}, headers=HTMX)
    assert "in the last 3 hours" in answer.text
    assert "did not order within 7 minutes" in answer.text
    shown = _fields_of_part(answer)
    assert (shown["n.0.within.last_hours"], shown["n.1.sequence.2.minutes"]) == ("3", "7")
    wrong = marketer.post("/lists/new", data={**shown, "n.0.within.last_hours": "0"}, headers=HTMX)
    assert "a whole number of hours" in wrong.text
    since = _fields_of_part(marketer.post("/lists/new", data={**shown, "n.0.window": "since"}, headers=HTMX))
    assert (since["n.0.within.days"], since["n.0.within.scale"]) == ("", "days")


def test_another_measure_starts_its_question_anew(marketer: FlaskClient, form: Any) -> None:
    """A count asked "at least 3" is no question to a moment; total and average share theirs."""
    controls = form({"all": [{"event": "order", "measure": "sum", "property": "total", "operator": "more_than",
                              "value": 30}]})  # fmt: skip
    controls["n.0.measure"] = "average"
    same = _fields_of_part(marketer.post("/lists/new", data=controls, headers=HTMX))
    assert (same["n.0.operator"], same["n.0.value"]) == ("more_than", "30")
    same["n.0.measure"] = "last_at"
    other = _fields_of_part(marketer.post("/lists/new", data=same, headers=HTMX))
    assert (other["n.0.operator"], other["n.0.value"]) == ("in_last", "90")


def test_selects_are_whole_without_a_script(marketer: FlaskClient, form: Any) -> None:
    """What is posted without htmx is answered with all choices in place; with it they stand once in the page."""
    controls = form(AGED)
    whole = marketer.post("/lists/new", data=controls).text
    assert whole.count('<option value="field:age"') == 2  # in the select and in the page's choices
    assert marketer.post("/lists/new", data=controls, headers=HTMX).text.count('<option value="field:age"') == 1


def test_items_are_suggested_by_number_and_title(
    services: Services, marketer: FlaskClient, form: Any, now: Any
) -> None:
    """What is typed as an item finds those whose number or title holds it, whatever signs it has."""
    with services.database.begin() as session:
        items = [{"key": "pan-1", "title": "100% Pan"}, {"key": "pot_2", "title": "Pot"}]
        intake.accept(session, "items", items, now=now, config=services.config)
    for typed, key in (("100%", "pan-1"), ("POT", "pot_2"), ("t_2", "pot_2")):
        controls = form({"all": [{"likely": {"item": typed}}]})
        answer = marketer.post("/lists/new", data={**controls, "typing": "n.0.likely.item"}, headers=HTMX)
        assert f'<option value="{key}"' in answer.text
        assert answer.text.count('<option value="p') == 1


def test_a_chosen_item_is_shown_by_its_name(services: Services, marketer: FlaskClient, form: Any, now: Any) -> None:
    """Also when twenty others have its number within theirs."""
    with services.database.begin() as session:
        items = [{"key": f"{number}-7", "title": "Lid"} for number in range(25)] + [{"key": "7", "title": "Red Pan"}]
        intake.accept(session, "items", items, now=now, config=services.config)
    for key, is_named in (("7", True), ("8", False)):
        answer = marketer.post("/lists/new", data=form({"all": [{"likely": {"item": key}}]}), headers=HTMX)
        assert ("item “Red Pan”" in answer.text) is is_named


def test_unreadable_addresses(marketer: FlaskClient, app: APIFlask) -> None:
    """Units and boxes that are none are shown with their fault."""
    page = marketer.get("/lists/new", query_string={"q": json.dumps({"include": AGED, "unit": "tribe"})})
    assert "Unknown unit" in page.text
    with pytest.raises(Invalid):
        rooted(json.loads('{"include":' * 200 + "1" + "}" * 200))
