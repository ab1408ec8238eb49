"""Sources: the doors side by side, the editor of forms, flyers, and the page for the telephone."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from engine import consent, intake
from engine.models import Consent, Contact, ContactList, Event, Flyer, Form, Identity, ListMember, ListPick
from engine.sources import calls, flyers, forms
from tests.conftest import HeaderClient
from tests.web.test_public_forms import DEFINITION
from web.services import Services, utcnow

PEOPLE = [
    {"key": "C1", "email": "ann@shop.example", "phone": "+447700900001", "first_name": "Ann", "last_name": "Lee",
     "origin": "survey", "email_consent": True},
    {"key": "C2", "email": "bo@shop.example", "first_name": "Bo", "origin": "bought list"},
]  # fmt: skip
EDITED: dict[str, Any] = {
    "name": "", "origin": "survey", "title": "After your order", "intro": "", "language": "en",
    "thanks": "Thanks a lot",
    "redirect": "", "consents.email": "Write to me", "consents.sms": "", "double_opt_in": "yes",
    "question.label": ["E-mail", "How was it?", "Hat size"], "question.type": ["email", "one", "number"],
    "question.options": ["", "Good\r\nBad\r\n\r\nGood", ""], "question.target": ["email", "", "own"],
    "question.own": ["", "", ""], "question.name": ["", "", ""], "question.required": ["0", "1"],
}  # fmt: skip


@pytest.fixture
def people(services: Services) -> None:
    """Ann, who may be written to, and Bo, whose address was bought; Ann has ordered."""
    order = {"order": "O1", "at": "2026-02-01T10:00:00Z", "contact": "C1",
             "lines": [{"item": "I1", "quantity": 2, "unit_price": "12.50"}]}  # fmt: skip
    with services.database.begin() as session:
        intake.accept(session, "contacts", PEOPLE, now=utcnow(), config=services.config)
        intake.accept(session, "orders", [order], now=utcnow(), config=services.config)
    services.warehouse.refresh()


def only(services: Services, model: Any) -> Any:
    """The one row there is."""
    with services.database.read() as session:
        return session.scalars(select(model)).one()


def person(services: Services, key: str) -> Contact:
    """The contact of this key."""
    with services.database.read() as session:
        return session.scalars(select(Contact).where(Contact.key == key)).one()


def test_the_doors(marketer: FlaskClient, services: Services, people: None) -> None:
    """Each with its people, all of them ways to make more, other origins beside; a marketer sees no keys."""
    page = marketer.get("/sources").text
    for words in (
        "Website",
        "Forms and surveys",
        "Flyers",
        "Telephone",
        "Files",
        "Partners",
        "Bought lists",
        "Programs",
    ):
        assert f'aria-label="{words}"' in page
    assert "People by origin" in page
    assert "/imports/new?origin=bought+list" in page
    assert "/settings/keys" not in page
    for shown in (page, marketer.get("/sources/website").text):
        assert 'href="/sources" data-go="p" aria-current="page"' in shown


def test_a_form_is_made(marketer: FlaskClient, services: Services) -> None:
    """From what was typed; names and own attributes are made of the words where none is given."""
    assert "News from us" in marketer.get("/sources/forms/new").text
    answer = marketer.post("/sources/forms/new", data=EDITED)
    made = only(services, Form)
    assert answer.location == f"/sources/forms/{made.id}"
    assert (made.name, made.origin) == ("After your order", "survey")
    assert made.definition["questions"] == [
        {"name": "email", "label": "E-mail", "type": "email", "required": True, "options": [], "target": "email"},
        {"name": "how_was_it", "label": "How was it?", "type": "one", "required": True, "options": ["Good", "Bad"],
         "target": ""},
        {"name": "hat_size", "label": "Hat size", "type": "number", "required": False, "options": [],
         "target": "attributes.hat_size"},
    ]  # fmt: skip
    page = marketer.get(answer.location).text
    assert f"/f/{made.key}" in page
    assert "shop.origins" in page
    assert made.name in marketer.get("/sources/forms").text


def test_steps_of_editing_keep_everything(marketer: FlaskClient, services: Services) -> None:
    """Add, move, remove: nothing is saved and nothing typed is lost."""
    for act, labels in (
        ("add", ["E-mail", "How was it?", "Hat size", ""]),
        ("down-0", ["How was it?", "E-mail", "Hat size"]),
        ("up-2", ["E-mail", "Hat size", "How was it?"]),
        ("remove-1", ["E-mail", "Hat size"]),
        ("up-0", EDITED["question.label"]),
        ("remove-99", EDITED["question.label"]),
        ("remove-x", EDITED["question.label"]),
    ):
        page = marketer.post("/sources/forms/new", data=EDITED | {"act": act}).text
        assert re.findall(r'name="question.label" value="([^"]*)"', page) == labels, act
        assert "Thanks a lot" in page
        assert "Write to me" in page
    assert not only_count(services, Form)


def only_count(services: Services, model: Any) -> int:
    """Rows of a table."""
    with services.database.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


WRONG = [
    ("title", "", "must not be empty"),
    ("redirect", "http://shop.example", "https://"),
    ("redirect", "javascript:alert(1)", "web address"),
    ("consents.sms", "Text me", "telephone number"),
    ("question.label", ["", "a", "b"], "must not be empty"),
    ("question.type", ["email", "one", "carrier pigeon"], "none of these"),
    ("question.options", ["", "Good", ""], "2 to 50 different options"),
    ("question.target", ["email", "birth_date", ""], "cannot go there"),
    ("question.target", ["email", "email", ""], "cannot go there"),
    ("question.name", ["", "form", ""], "are taken"),
    ("question.name", ["x", "x", ""], "has this name"),
    ("question.own", ["", "", "a b/c"], "cannot go there"),
    ("title", "x" * 301, "300 are allowed"),
    ("origin", "mars", "origin is one of"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_what_cannot_be_is_said(marketer: FlaskClient, services: Services, name: str, value: Any, words: str) -> None:
    """Beside everything typed, and nothing is saved."""
    answer = marketer.post("/sources/forms/new", data=EDITED | {name: value})
    assert answer.status_code == 422
    assert words in answer.text
    assert "Thanks a lot" in answer.text
    assert only_count(services, Form) == 0


def test_the_code_to_embed_stays_code(marketer: FlaskClient, services: Services) -> None:
    """Pasted into a page of the shop, a title is a title, whatever stands in it."""
    shop = replace(services.config.shop, origins="https://shop.example")
    object.__setattr__(services, "config", replace(services.config, shop=shop))
    title = '"><script>alert(1)</script> & more'
    with services.database.begin() as session:
        form_id = forms.save(session, None, "News", "web", {**DEFINITION, "title": title}, now=utcnow()).id
    page = marketer.get(f"/sources/forms/{form_id}").text
    code = html.unescape(page.split('id="embed">')[1].split("</code>")[0])
    assert "<script" not in code
    assert html.unescape(code.split('title="')[1].split('"')[0]) == title


def test_a_form_is_changed_by_one_at_a_time(marketer: FlaskClient, services: Services) -> None:
    """A second editor gets a notice and keeps what they typed."""
    marketer.post("/sources/forms/new", data=EDITED)
    made = only(services, Form)
    address = f"/sources/forms/{made.id}/edit"
    assert 'name="version" value="1"' in marketer.get(address).text
    assert marketer.post(address, data=EDITED | {"version": "1", "title": "First"}).status_code == 303
    late = marketer.post(address, data=EDITED | {"version": "1", "title": "Second"})
    assert (late.status_code, "Somebody else changed" in late.text, 'value="Second"' in late.text) == (409, True, True)
    assert only(services, Form).definition["title"] == "First"
    for question in only(services, Form).definition["questions"]:
        assert question["name"] in ("email", "how_was_it", "hat_size")  # names stay, whatever the words become


def test_close_and_open(marketer: FlaskClient, client: FlaskClient, services: Services) -> None:
    """A closed form takes nothing; a closed code leads nowhere."""
    with services.database.begin() as session:
        form = forms.save(session, None, "News", "web", DEFINITION, now=utcnow())
        flyer = flyers.make(session, "Market", "https://shop.example", "york", now=utcnow())
    for path, public in ((f"/sources/forms/{form.id}", f"/f/{form.key}"), (f"/sources/flyers/{flyer.id}", "/q/york")):
        marketer.post(f"{path}/close")
        assert client.get(public).status_code == 410
        assert "is closed" in marketer.get(path).text
        marketer.post(f"{path}/close", data={"open": "1"})
        assert client.get(public).status_code in (200, 302)


def test_a_flyer_leads_to_a_form_of_ours(marketer: FlaskClient, services: Services) -> None:
    """At the server's own address, which need not be https."""
    target = f"{services.config.server.public_url}/f/abc"
    assert target.startswith("http://")
    for code in ("ours", ""):  # made, and changed
        path = "/sources/flyers" if code else f"/sources/flyers/{only(services, Flyer).id}"
        assert marketer.post(path, data={"name": "Ours", "target": target, "code": code}).status_code == 303
    assert only(services, Flyer).target == target


def test_flyers(marketer: FlaskClient, services: Services) -> None:
    """Made, changed, drawn, printed; wrong ones come back with what was typed."""
    assert "No flyers yet" in marketer.get("/sources/flyers").text
    wrong = marketer.post("/sources/flyers", data={"name": "Mine", "target": "ftp://x", "code": "abc"})
    assert (wrong.status_code, 'value="Mine"' in wrong.text) == (422, True)
    marketer.post("/sources/flyers", data={"name": "Mine", "target": "https://shop.example", "code": "abc"})
    made = only(services, Flyer)
    assert (
        marketer.post("/sources/flyers", data={"name": "B", "target": "https://b.example", "code": "ABC"}).status_code
        == 409
    )
    page = f"/sources/flyers/{made.id}"
    assert "/q/ABC" in marketer.get(page).text
    assert marketer.post(page, data={"name": "Mine", "target": "nowhere"}).status_code == 422
    marketer.post(page, data={"name": "Yours", "target": "https://shop.example/b"})
    assert (only(services, Flyer).name, only(services, Flyer).target) == ("Yours", "https://shop.example/b")
    svg, png = marketer.get(f"{page}/svg"), marketer.get(f"{page}/png?download=1")
    assert (svg.content_type, png.content_type) == ("image/svg+xml; charset=utf-8", "image/png")
    assert png.headers["Content-Disposition"] == "attachment; filename=ABC.png"
    assert "ABC" in marketer.get("/sources/flyers/print").text
    assert "No flyer is open" in marketer.get("/sources/flyers/print?id=99&id=x").text


def test_a_known_caller(marketer: FlaskClient, services: Services, people: None) -> None:
    """Found by the number however it is typed, seen at a glance, written down."""
    page = marketer.get("/sources/calls?q=07700+900001").text
    for words in ("What Ann Lee says", "O1", "allowed"):
        assert words in page
    ann = person(services, "C1")
    given = {"contact": str(ann.id), "q": "x", "subject": "return", "note": "Wants <b>blue</b>", "item": "I1",
             "sms_consent": "yes", "sms_wording": "May we text you?", "call_again": "2026-12-01"}  # fmt: skip
    answer = marketer.post("/sources/calls", data=given)
    assert answer.location == "/sources/calls"
    with services.database.read() as session:
        event = session.scalars(select(Event).where(Event.type == "call")).one()
        word = session.scalars(select(Consent).where(Consent.channel == "sms")).one()
    assert (event.contact_id, event.origin, event.item_id is not None) == (ann.id, "call", True)
    assert event.properties == {
        "by": "Mei",
        "subject": "return",
        "note": "Wants <b>blue</b>",
        "call_again": "2026-12-01",
    }
    assert (word.granted, word.origin) == (True, "call")
    assert re.fullmatch(
        r"asked by Mei on the telephone, \d{4}-\d\d-\d\d \d\d:\d\d UTC: “May we text you\?”", word.evidence
    )
    ann = person(services, "C1")
    assert (ann.attributes, ann.sms_consent) == ({"call_again": "2026-12-01"}, True)
    page = marketer.get("/sources/calls").text
    assert "Wants &lt;b&gt;blue&lt;/b&gt;" in page
    assert "2026-12-01" in marketer.get("/sources/calls?q=07700+900001").text


NEW = {
    "q": "07700 900555",
    "phone": "07700 900555",
    "first_name": "Cy",
    "email": "cy@shop.example",
    "note": "Asks for a catalogue",
}


def test_a_new_caller(marketer: FlaskClient, services: Services, people: None) -> None:
    """Made by the number, once; a till that knows the number later knows the person."""
    assert "A new caller" in marketer.get("/sources/calls?q=07700+900555").text
    for _ in range(2):
        assert marketer.post("/sources/calls", data=NEW).status_code == 303
    with services.database.read() as session:
        cy = session.scalars(select(Contact).where(Contact.phone == "+447700900555")).one()
        assert (cy.first_name, cy.email, cy.origin) == ("Cy", "cy@shop.example", "call")
        assert session.scalar(select(func.count()).where(Event.contact_id == cy.id)) == 2


def undo_of(answer: Any) -> str:
    """The address that the toast offers."""
    value = re.findall(r"toast=([^;]+)", answer.headers["Set-Cookie"])[0]
    found: str = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))["undo"]
    return found


def test_a_caller_gives_an_address_and_a_yes(marketer: FlaskClient, services: Services, people: None) -> None:
    """In one go: somebody new, and somebody known who had none; an address that is known is not replaced."""
    yes = {"note": "x", "email_consent": "yes", "email_wording": "May we write to you?"}
    with services.database.begin() as session:
        record = {"key": "C3", "phone": "+447700900003"}
        intake.accept(session, "contacts", [record], now=utcnow(), config=services.config)
    c3 = person(services, "C3").id
    assert 'id="email"' in marketer.get(f"/sources/calls?contact={c3}").text
    assert 'id="email"' not in marketer.get(f"/sources/calls?contact={person(services, 'C1').id}").text
    given = {"phone": "07700 900777", "email": "di@shop.example"}
    assert marketer.post("/sources/calls", data=yes | given).status_code == 303
    assert marketer.post("/sources/calls", data=yes | {"contact": c3, "email": "ed@shop.example"}).status_code == 303
    assert marketer.post("/sources/calls", data=yes | {"contact": c3, "email": "no@shop.example"}).status_code == 303
    for key, email in (("phone:+447700900777", "di@shop.example"), ("C3", "ed@shop.example")):
        assert (person(services, key).email, person(services, key).email_consent) == (email, True)


def test_a_new_caller_is_taken_back(marketer: FlaskClient, services: Services, people: None) -> None:
    """Event and contact go; a second time there is nothing to take back."""
    undo = undo_of(marketer.post("/sources/calls", data=NEW))
    assert marketer.post(undo).status_code == 303
    assert only_count(services, Contact) == 2
    assert only_count(services, Event) == 0
    assert only_count(services, Identity) == 0
    assert marketer.post(undo).status_code == 404
    services.warehouse.refresh()
    assert services.warehouse.execute(services.warehouse.table("contacts").count())[0][0].as_py() == 2


def test_a_call_is_taken_back(marketer: FlaskClient, admin: HeaderClient, services: Services, people: None) -> None:
    """Event, day and consent are as before, the suppression that a yes lifted too; only by who wrote it, and soon."""
    ann = person(services, "C1")
    with services.database.begin() as session:
        consent.record(session, ann.id, "email", False, origin="campaign", now=utcnow())
        consent.suppress(session, "email", "ann@shop.example", "unsubscribe", utcnow())
    given = {
        "contact": str(ann.id),
        "note": "x",
        "email_consent": "yes",
        "email_wording": "May we?",
        "call_again": "2026-12-01",
    }
    undo = undo_of(marketer.post("/sources/calls", data=given))
    assert person(services, "C1").email_consent is True
    assert admin.post(undo).status_code == 404
    assert marketer.post(undo + "x").status_code == 404
    with patch.object(calls, "UNDO", timedelta(seconds=-1)):
        assert marketer.post(undo).status_code == 409
    assert marketer.post(undo).status_code == 303
    ann = person(services, "C1")
    assert (ann.email_consent, ann.attributes) == (False, {})
    with services.database.read() as session:
        assert consent.suppression(session, "email", "ann@shop.example") == "unsubscribe"
        words = session.scalars(select(Consent.granted).where(Consent.channel == "email").order_by(Consent.id)).all()
    assert words == [True, False, True, False]
    assert only_count(services, Event) == 0


@pytest.mark.parametrize(("more", "words"), [
    ({}, "without a word"), ({"note": "x", "item": "nothing"}, "no item"),
    ({"note": "x", "call_again": "soon"}, "no day"),
    ({"note": "x", "email_consent": "yes"}, "evidence of a yes"), ({"note": "x" * 1001}, "1000 characters"),
    ({"note": "x", "phone": "12", "contact": ""}, "telephone number"),
    ({"note": "x", "phone": "", "contact": ""}, "number they call"),
    ({"note": "x", "contact": "999"}, "no contact"),
])  # fmt: skip
def test_wrong_calls_come_back(
    marketer: FlaskClient, services: Services, people: None, more: dict[str, str], words: str
) -> None:
    """With everything typed; nothing is written."""
    given = {"contact": str(person(services, "C2").id), "subject": "praise", "q": "07700 900777"} | more
    if words == "without a word":
        given["subject"] = ""
    answer = marketer.post("/sources/calls", data=given)
    assert answer.status_code in (404, 422)
    assert words in answer.text
    assert words == "without a word" or "praise" in answer.text
    assert only_count(services, Event) == 0
    assert only_count(services, Contact) == 2


def test_a_complaint_is_final_on_the_telephone_too(marketer: FlaskClient, services: Services, people: None) -> None:
    """No yes given aloud lifts it."""
    with services.database.begin() as session:
        consent.suppress(session, "email", "bo@shop.example", "complaint", utcnow())
    given = {"contact": str(person(services, "C2").id), "note": "x", "email_consent": "yes", "email_wording": "May we?"}
    answer = marketer.post("/sources/calls", data=given)
    assert (answer.status_code, "suppressed for good" in answer.text) == (409, True)
    assert only_count(services, Event) == 0


def test_who_is_meant(marketer: FlaskClient, services: Services, people: None, app: APIFlask) -> None:
    """By name one or several, nobody said in words."""
    assert "What Bo says" in marketer.get("/sources/calls?q=bo@shop").text
    assert "Who is it?" in marketer.get("/sources/calls?q=shop.example").text
    assert "Nobody is found" in marketer.get("/sources/calls?q=Zoe").text
    assert marketer.get("/sources/calls?contact=999999").status_code == 200


def test_a_caller_who_was_taken_off_a_list_is_not_shown_on_it(
    people: None, services: Services, marketer: HeaderClient
) -> None:
    """Lists are those on which they stand: kept or put there by hand, but not taken off."""
    ann, now = person(services, "C1").id, utcnow()
    with services.database.begin() as session:
        for name, added in (("Stands on", None), ("Put on", True), ("Taken off", False)):
            frozen = ContactList(name=name, criteria={}, frozen_at=now, created_at=now, updated_at=now)
            session.add(frozen)
            session.flush()
            if not added:
                session.add(ListMember(list_id=frozen.id, contact_id=ann))
            if added is not None:
                session.add(ListPick(list_id=frozen.id, contact_id=ann, added=added, at=now))
    page = marketer.get(f"/sources/calls?contact={ann}").text
    assert ("Stands on" in page, "Put on" in page, "Taken off" in page) == (True, True, False)
