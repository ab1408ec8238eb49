"""Forms through the public door: what a stranger, a person who is known, a program and a scanner may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from campaigns import confirmation
from campaigns.models import Confirmation, OutboxMessage
from engine import consent, contacts, identity, intake
from engine.models import Consent, Contact, Event, Form
from engine.sources import forms
from tests.sink import Sink
from web import knocks, public_forms
from web.app import create_app
from web.models import Knock
from web.services import Services, utcnow

DEFINITION: dict[str, Any] = {
    "title": "News from <us>",
    "intro": "Once a month.",
    "language": "en",
    "questions": [
        {"label": "E-mail", "type": "email", "target": "email", "required": True},
        {"label": "First name", "type": "text", "target": "first_name"},
        {"label": "Telephone", "type": "phone", "target": "phone"},
        {"label": "How old are you?", "type": "number", "target": "age"},
        {"label": "Shoe size", "type": "number", "target": "attributes.size"},
        {"label": "What do you bake?", "type": "several", "options": ["Bread", "Cake", "Nothing"], "name": "bakes"},
        {"label": "Would you come again?", "type": "yes_no", "name": "again"},
    ],
    "consents": {"email": "Yes, write to me.", "sms": "Yes, text me."},
    "double_opt_in": True,
}
ANN = {"q.email": "Ann@Shop.example", "q.first_name": "Ann", "consent.email": "yes"}


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Tests answer faster than people."""
    with patch.object(public_forms, "SOONEST", -5):
        yield


def make(services: Services, **changed: Any) -> Form:
    """A form that takes answers."""
    with services.database.begin() as session:
        return forms.save(session, None, "News", "web", DEFINITION | changed, now=utcnow())


@pytest.fixture
def form(services: Services) -> Form:
    """With double opt-in."""
    return make(services)


def stamp(client: FlaskClient, form: Form) -> str:
    """The signed time of a page that was just opened."""
    page = client.get(f"/f/{form.key}").text
    return re.findall(r'name="stamp" value="([^"]+)"', page)[0]


def send(client: FlaskClient, form: Form, given: dict[str, Any], **more: Any) -> Any:
    """Open the form and answer it."""
    return client.post(f"/f/{form.key}", data=given | {"stamp": stamp(client, form)}, **more)


def people(services: Services) -> list[Contact]:
    """Everybody, by id."""
    with services.database.read() as session:
        return list(session.scalars(select(Contact).where(Contact.merged_into.is_(None)).order_by(Contact.id)))


def events(services: Services) -> list[Event]:
    """All events."""
    with services.database.read() as session:
        return list(session.scalars(select(Event).order_by(Event.id)))


def ledger(services: Services) -> list[Consent]:
    """All words of consent."""
    with services.database.read() as session:
        return list(session.scalars(select(Consent).order_by(Consent.id)))


def deliver(services: Services) -> int:
    """What the tick does."""
    return confirmation.deliver(services.database, services.config, now=utcnow() + timedelta(seconds=1))


def links(services: Services) -> list[str]:
    """Paths of the confirmations in the outbox, in order."""
    with services.database.read() as session:
        texts = session.scalars(select(OutboxMessage.text).order_by(OutboxMessage.id)).all()
    return [found for text in texts for found in re.findall(r"http://127\.0\.0\.1:8000(/y/\S+)", text)]


def test_a_stranger_signs_up(client: FlaskClient, services: Services, form: Form) -> None:
    """The contact has the form's origin, the answer is an event, the consent waits for the button behind the link."""
    answer = send(client, form, ANN | {"q.age": "41", "q.size": "38,5", "q.bakes": ["Bread", "Cake"], "q.again": "no"})
    assert answer.status_code == 303
    assert "on its way" in client.get(answer.location).text
    (ann,) = people(services)
    assert (ann.email, ann.first_name, ann.age, ann.attributes) == ("ann@shop.example", "Ann", 41, {"size": 38.5})
    assert (ann.origin, ann.email_consent) == ("web", None)
    (event,) = events(services)
    assert (event.type, event.contact_id, event.origin) == ("survey", ann.id, "web")
    assert event.properties == {
        "form": form.key, "email": "ann@shop.example", "first_name": "Ann", "age": 41, "size": 38.5,
        "bakes": ["Bread", "Cake"], "again": False, "email_consent": True, "sms_consent": False,
    }  # fmt: skip
    assert deliver(services) == 1
    assert deliver(services) == 0
    (link,) = links(services)
    page = client.get(link)
    assert "Yes, write to me." in page.text
    assert ledger(services) == []  # programs that follow links confirm nothing
    assert "Confirmed" in client.post(link).text
    (word,) = ledger(services)
    assert (word.granted, word.channel, word.origin, word.confirmed) == (True, "email", "web", True)
    assert form.key in (word.evidence or "")
    assert "Yes, write to me." in (word.evidence or "")
    assert "Confirmed" in client.post(link).text
    assert "Confirmed" in client.get(link).text
    assert len(ledger(services)) == 1
    assert people(services)[0].email_consent is True


def test_the_customer_number_comes_later(client: FlaskClient, services: Services, form: Form) -> None:
    """Somebody who signed up, confirmed and then buys is one person, and so is who confirms after it."""
    send(client, form, ANN)
    deliver(services)
    client.post(links(services)[0])
    record = {"key": "C-1", "email": "ann@shop.example", "last_name": "Lee"}
    with services.database.begin() as session:
        intake.accept(session, "contacts", [record], now=utcnow(), config=services.config)
    (ann,) = people(services)
    assert (ann.key, ann.first_name, ann.last_name, ann.email_consent) == ("C-1", "Ann", "Lee", True)
    record = {"type": "search", "at": "2026-01-01T00:00:00Z", "contact": "C-2"}
    send(client, form, ANN | {"q.email": "bo@shop.example", "q.first_name": "Bo"})
    with services.database.begin() as session:
        intake.accept(session, "events", [record], now=utcnow(), config=services.config)
        record = {"key": "C-2", "email": "bo@shop.example"}
        intake.accept(session, "contacts", [record], now=utcnow(), config=services.config)
    deliver(services)
    assert [one.first_name for one in people(services)] == ["Ann", "Bo", None]
    client.post(links(services)[1])
    assert [(one.key, one.first_name, one.email_consent) for one in people(services)] == [
        ("C-1", "Ann", True),
        ("C-2", "Bo", True),
    ]


def test_a_stranger_plants_nothing_in_a_customer_to_come(client: FlaskClient, services: Services, form: Form) -> None:
    """Somebody else's address with one's own telephone, which alone is confirmed: neither the telephone, its consent,
    the facts nor the browser become those of the customer with that address, who comes later. An answer that nobody
    confirmed is no part of the next one either.
    """
    client.set_cookie("visitor", "v" * 20)
    both = {"consent.email": "yes", "consent.sms": "yes"}
    send(client, form, {"q.email": "victim@shop.example", "q.phone": "+447700900999", "q.first_name": "M"} | both)
    deliver(services)
    with services.database.read() as session:
        ours = services.config.server.public_url
        text = session.scalars(select(OutboxMessage.text).where(OutboxMessage.channel == "sms")).one()
    assert "Confirmed" in client.post(text.rpartition(ours)[2]).text
    send(create_app(services).test_client(), form, {"q.email": "victim@shop.example", "consent.email": "yes"})
    record = {"key": "C-9001", "email": "victim@shop.example"}
    with services.database.begin() as session:
        intake.accept(session, "contacts", [record], now=utcnow(), config=services.config)
    deliver(services)
    client.post(links(services)[-1])
    with services.database.read() as session:
        victim = session.scalars(select(Contact).where(Contact.key == "C-9001")).one()
        assert (victim.phone, victim.sms_consent, victim.first_name, victim.email_consent) == (None, None, None, True)
        assert identity.contact_of_visitor(session, "v" * 20) not in (None, victim.id)
    assert len(people(services)) == 2


def known(services: Services) -> int:
    """Bo is a customer already."""
    record = {"key": "B", "email": "bo@shop.example", "first_name": "Bo", "last_name": "Quillfeather", "age": 30}
    with services.database.begin() as session:
        intake.accept(session, "contacts", [record], now=utcnow(), config=services.config)
        return session.scalars(select(Contact.id).where(Contact.key == "B")).one()


BO = {"q.email": "bo@shop.example", "q.first_name": "<i>Mallory</i>", "q.age": "99", "q.size": "44",
      "q.phone": "+447700900999"}  # fmt: skip


def test_a_stranger_who_knows_an_address(client: FlaskClient, services: Services, form: Form) -> None:
    """Learns nothing, changes and fills nothing, joins no browser, and the answer is nobody's: the owner of the address
    makes all that come true.
    """
    bo = known(services)
    client.set_cookie("visitor", "v" * 20)
    there = send(client, form, BO)
    assert there.status_code == 303
    page = client.get(there.location).text + client.get(f"/f/{form.key}").text
    assert "Quillfeather" not in page
    (now,) = people(services)
    assert (now.first_name, now.age, now.phone, now.attributes) == ("Bo", 30, None, {})
    (answer,) = events(services)
    assert (answer.contact_id, answer.visitor == "v" * 20) == (None, False)
    with services.database.read() as session:
        assert identity.contact_of_visitor(session, "v" * 20) is None
    deliver(services)
    assert "Yes, write to me" not in client.get(links(services)[0]).text  # no consent was asked for
    client.post(links(services)[0])
    (after,) = people(services)
    assert (after.first_name, after.age, after.phone) == ("<i>Mallory</i>", 99, "+447700900999")
    assert (after.email_consent, after.attributes) == (None, {"size": 44})
    assert [event.contact_id for event in events(services)] == [bo]
    with services.database.read() as session:
        assert identity.contact_of_visitor(session, "v" * 20) == bo


def test_a_browser_we_know_needs_no_confirmation(client: FlaskClient, services: Services, form: Form) -> None:
    """The answer of the contact's own browser counts and fills at once; of somebody else's it is not theirs either."""
    bo = known(services)
    with services.database.begin() as session:
        identity.identify(session, "v" * 20, bo, utcnow())
    client.set_cookie("visitor", "v" * 20)
    send(client, form, {"q.email": "bo@shop.example", "q.size": "44"})
    assert [event.contact_id for event in events(services)] == [bo]
    assert people(services)[0].attributes == {"size": 44}
    assert deliver(services) == 0
    record = {"key": "D", "email": "di@shop.example"}
    with services.database.begin() as session:
        intake.accept(session, "contacts", [record], now=utcnow(), config=services.config)
    send(client, form, {"q.email": "di@shop.example", "q.again": "no"})
    assert [event.contact_id for event in events(services)] == [bo, None]


def test_an_answer_that_waits_is_its_contacts_whatever_becomes_of_them(
    client: FlaskClient, services: Services, form: Form
) -> None:
    """Merged away meanwhile it stands with the kept one, as their own; erased it goes, with what was typed."""
    bo = known(services)
    send(client, form, BO)
    deliver(services)
    with services.database.begin() as session:
        intake.accept(session, "contacts", [{"key": "A"}], now=utcnow(), config=services.config)
        kept = contacts.find(session, "A").id
        merge = identity.join(session, bo, kept, evidence="", author="me", now=utcnow()).id
    client.post(links(services)[0])
    assert [event.contact_id for event in events(services)] == [kept]
    with services.database.begin() as session:
        identity.part(session, merge, author="me", now=utcnow())
    assert [event.contact_id for event in events(services)] == [bo]
    client.delete_cookie("visitor")
    send(client, form, BO)
    assert [event.contact_id for event in events(services)] == [bo, None]
    with services.database.begin() as session:
        contacts.erase(session, bo, utcnow())
    assert events(services) == []


def test_without_double_opt_in(client: FlaskClient, services: Services) -> None:
    """A new yes counts at once, with form and wording as evidence; what is known stays, and so does a no, until the
    link is followed.
    """
    form = make(services, double_opt_in=False)
    send(client, form, ANN)
    assert [(word.granted, word.confirmed) for word in ledger(services)] == [(True, False)]
    assert "Yes, write to me." in (ledger(services)[0].evidence or "")
    assert deliver(services) == 0
    bo = known(services)
    with services.database.begin() as session:
        consent.record(session, bo, "email", False, origin="campaign", now=utcnow())
    send(client, form, BO | {"consent.email": "yes"})
    with services.database.read() as session:
        bo_now = contacts.get(session, bo)
        assert (bo_now.first_name, bo_now.email_consent) == ("Bo", False)
    assert deliver(services) == 1
    client.post(links(services)[0])
    with services.database.read() as session:
        bo_now = contacts.get(session, bo)
        assert (bo_now.first_name, bo_now.email_consent) == ("Bo", True)


@pytest.mark.parametrize(("reason", "sent", "lifted"), [("unsubscribe", 1, True), ("complaint", 0, False),
                                                        ("erased", 0, False), ("bounce", 0, False)])  # fmt: skip
def test_suppressed_addresses(
    client: FlaskClient, services: Services, form: Form, reason: str, sent: int, lifted: bool
) -> None:
    """Who unsubscribed may come back by the link; who complained gets no message, and nothing lifts that."""
    with services.database.begin() as session:
        consent.suppress(session, "email", "ann@shop.example", reason, utcnow())
    assert send(client, form, ANN).status_code == 303
    assert deliver(services) == sent
    for link in links(services):
        client.post(link)
    with services.database.read() as session:
        assert consent.is_suppressed(session, "email", "ann@shop.example") is not lifted
        row = session.scalars(select(Confirmation)).one()
    assert (row.reason is None) is lifted


def test_a_complaint_after_the_message_stands(client: FlaskClient, services: Services, form: Form) -> None:
    """The button says that it cannot be, and nothing is granted."""
    send(client, form, ANN)
    deliver(services)
    with services.database.begin() as session:
        consent.suppress(session, "email", "ann@shop.example", "complaint", utcnow())
    answer = client.post(links(services)[0])
    assert answer.status_code == 404
    assert ledger(services) == []


def test_wrong_answers_come_back(client: FlaskClient, services: Services, form: Form) -> None:
    """Each beside its question, with everything typed, hostile texts as text; nothing is written."""
    given = {"q.email": "nobody", "q.first_name": "<script>x</script>", "q.age": "400", "q.size": "big",
             "q.bakes": ["Bread", "Stones"], "q.again": "maybe", "q.phone": "12", "consent.email": "yes"}  # fmt: skip
    answer = send(client, form, given)
    assert answer.status_code == 422
    page = answer.text
    for words in ("not an e-mail address", "cannot be right", "write a number", "choose one", "not a telephone"):
        assert words in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "<script>x" not in page
    assert 'value="nobody"' in page
    assert re.search(r'name="consent.email"[^>]+checked', page)
    assert people(services) == []
    assert events(services) == []
    assert "Please fill this in" in send(client, form, {"consent.sms": "yes"}).text  # a consent without an address


def test_hostile_answers(client: FlaskClient, services: Services, form: Form) -> None:
    """Too long, broken, formulas, many values: refused or kept as what they are, never a fault of ours."""
    for value in ("x" * 5000, "=1+1", "' OR 1=1 --", "{{ 7*7 }}", "人" * 900, "\u202e"):
        answer = send(client, form, {"q.email": f"a{len(value)}@shop.example", "q.first_name": value})
        assert answer.status_code in (303, 422)
    assert 'value="{{ 7*7 }}"' in send(client, form, {"q.email": "x", "q.first_name": "{{ 7*7 }}"}).text
    assert send(client, form, {"q.email": "a@b.example", "q.first_name": "x\0y"}).status_code == 422
    assert client.post(f"/f/{form.key}", data={"x": "y" * 70_000}).status_code == 413
    long = "a" * 60 + "@" + "b" * 61 + ".example"  # longer than the name of a contact may be
    assert send(client, form, {"q.email": long}).status_code == 422


def test_programs_are_kept_out(client: FlaskClient, services: Services, form: Form) -> None:
    """The trap is thanked and forgotten; no stamp, a stamp of another form, one too new or too old ask again."""
    assert send(client, form, ANN | {"website": "http://spam.example"}).status_code == 303
    assert events(services) == []
    other = make(services)
    for wrong in ("", "x", stamp(client, other), stamp(client, form) + "x"):
        answer = client.post(f"/f/{form.key}", data=ANN | {"stamp": wrong})
        assert answer.status_code == 422
        assert "Ann@Shop.example" in answer.text
    good = stamp(client, form)
    with patch.object(public_forms, "SOONEST", 60):
        assert client.post(f"/f/{form.key}", data=ANN | {"stamp": good}).status_code == 422
    with patch.object(public_forms, "LATEST", -60):
        assert client.post(f"/f/{form.key}", data=ANN | {"stamp": good}).status_code == 422
    assert events(services) == []
    for _ in range(2):  # sent twice, it counts once
        assert client.post(f"/f/{form.key}", data=ANN | {"stamp": good}).status_code == 303
    assert len(events(services)) == 1


def test_floods_are_slowed_down(client: FlaskClient, services: Services, form: Form) -> None:
    """So many answers from one address, then a pause that loses nothing typed; others come through."""
    with patch.object(public_forms, "MOST", 3):
        for number in range(3):
            assert send(client, form, {"q.email": f"a{number}@shop.example"}).status_code == 303
        slowed = send(client, form, ANN)
        assert slowed.status_code == 429
        assert "Ann@Shop.example" in slowed.text
        elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
        assert send(client, form, ANN, environ_overrides=elsewhere).status_code == 303
    with services.database.begin() as session:
        assert session.scalar(select(func.count()).select_from(Knock)) == 4
    later = utcnow() + knocks.KEPT + timedelta(minutes=1)
    with client.application.test_request_context():
        assert knocks.allowed("form", 3, later)
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Knock)) == 1  # addresses are not kept


def test_an_address_gets_three_messages_a_day(client: FlaskClient, services: Services, form: Form) -> None:
    """However often somebody types it."""
    for _ in range(5):
        send(client, form, ANN)
    assert deliver(services) == confirmation.A_DAY
    with services.database.read() as session:
        reasons = session.scalars(select(Confirmation.reason).order_by(Confirmation.id)).all()
    assert [reason is None for reason in reasons] == [True, True, True, False, False]


def test_an_anonymous_survey(client: FlaskClient, services: Services) -> None:
    """Without an address the answer is a visitor's; who gives one later takes it along."""
    how = {"label": "How was it?", "type": "one", "options": ["Good", "Bad"], "name": "how"}
    survey = make(services, questions=[how], consents={})
    client.set_cookie("visitor", "v" * 20)
    send(client, survey, {"q.how": "Good"})
    assert [(event.contact_id, event.visitor) for event in events(services)] == [(None, "v" * 20)]
    assert people(services) == []
    send(client, make(services), ANN)
    (ann,) = people(services)
    assert {event.contact_id for event in events(services)} == {ann.id}
    client.delete_cookie("visitor")
    send(client, survey, {"q.how": "Bad"})
    assert events(services)[-1].visitor not in (None, "v" * 20)


def test_closed_and_unknown(client: FlaskClient, services: Services, form: Form) -> None:
    """Said in words, in the form's language or the browser's."""
    with services.database.begin() as session:
        forms.close(session, form.id, now=utcnow())
    assert client.get(f"/f/{form.key}").status_code == 410
    closed = client.post(f"/f/{form.key}", data=ANN)
    assert (closed.status_code, "closed" in closed.text) == (410, True)
    policy = client.get(f"/f/{form.key}?embed=1").headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy  # the page that shows it in a frame says so, too
    nothing = client.get("/f/nothing", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert (nothing.status_code, "没有表单" in nothing.text) == (404, True)
    for token in ("x", "1.x", "../..", "9" * 500):
        assert client.post(f"/y/{token}").status_code == 404
        assert client.get(f"/y/{token}").status_code == 404


def test_in_chinese(client: FlaskClient, services: Services) -> None:
    """Page, faults, thanks and message."""
    form = make(services, language="zh_Hans_CN", title="订阅")
    assert '<html lang="zh-CN">' in client.get(f"/f/{form.key}").text
    assert "不是有效的电子邮箱" in send(client, form, {"q.email": "x"}).text
    assert "谢谢" in client.get(send(client, form, ANN).location).text
    deliver(services)
    with services.database.read() as session:
        message = session.scalars(select(OutboxMessage)).one()
    assert "请确认" in message.subject
    assert "确认" in client.get(links(services)[0]).text


def test_frames_and_redirects(services: Services) -> None:
    """Only the shop's own pages may show it in a frame, and only the stored address is gone to."""
    shop = replace(services.config.shop, origins="https://shop.example https://www.shop.example")
    client = create_app(replace(services, config=replace(services.config, shop=shop))).test_client()
    form = make(services, redirect="https://elsewhere.example/thanks?a=1")
    policy = client.get(f"/f/{form.key}?embed=1").headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://shop.example https://www.shop.example;" in policy
    assert "form-action 'self' https://elsewhere.example;" in policy
    assert "unsafe" not in policy
    gone = client.post(f"/f/{form.key}", data=ANN | {"stamp": stamp(client, form), "next": "https://evil.example"})
    assert gone.location == "https://elsewhere.example/thanks?a=1"
    assert "frame-ancestors 'none'" in client.get("/q").headers["Content-Security-Policy"]


def test_the_message_goes_out_by_smtp(client: FlaskClient, services: Services, form: Form, tmp_path: Path) -> None:
    """Over a real server, which loses its answers at first: tried again with the same Message-ID, given up for those
    it refuses.
    """
    for name in ("ann", "bad", "dropafter", "later"):
        send(client, form, ANN | {"q.email": f"{name}@shop.example"})
    with Sink(tmp_path / "sink.log") as sink:
        mail = replace(services.config.mail, transport="smtp", smtp_port=sink.port)
        config = replace(services.config, mail=mail)
        now = utcnow() + timedelta(seconds=1)
        for attempt in range(confirmation.TRIES + 2):
            confirmation.deliver(services.database, config, now=now + timedelta(hours=2 * attempt))
        arrived = [line.split()[0] for line in sink.log.read_text().splitlines()]
    with services.database.read() as session:
        rows = session.scalars(select(Confirmation).order_by(Confirmation.id)).all()
    assert [row.next_at for row in rows] == [None] * 4
    assert [row.sent_at is not None for row in rows] == [True, False, False, False]
    assert [row.attempts for row in rows] == [1, 1, confirmation.TRIES, confirmation.TRIES]
    assert "no such user" in (rows[1].reason or "")
    assert len(arrived) == 1 + confirmation.TRIES  # at least once, never under another name
    assert len(set(arrived)) == 2


def test_a_carrier_that_is_away(client: FlaskClient, services: Services, form: Form) -> None:
    """Is tried for three days, which cost the message none of its attempts."""
    send(client, form, ANN)
    mail = replace(services.config.mail, transport="smtp", smtp_port=9)
    config = replace(services.config, mail=mail)
    for hours in (0, 1, 24, 80):
        assert confirmation.deliver(services.database, config, now=utcnow() + timedelta(hours=hours, seconds=1)) == 0
    with services.database.read() as session:
        row = session.scalars(select(Confirmation)).one()
    assert (row.next_at, row.attempts, row.sent_at) == (None, 0, None)
    assert "does not answer" in (row.reason or "")


def test_killed_while_sending(client: FlaskClient, services: Services, form: Form) -> None:
    """A tick that died between the claim and the answer leaves the message to a later one; in the outbox it is once."""
    send(client, form, ANN)
    now = utcnow() + timedelta(seconds=1)
    with patch.object(confirmation, "_went", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        confirmation.deliver(services.database, services.config, now=now)
    assert confirmation.deliver(services.database, services.config, now=now) == 0  # claimed
    assert confirmation.deliver(services.database, services.config, now=now + confirmation.LEASE) == 1
    assert len(links(services)) == 1


def test_an_old_link_is_over(client: FlaskClient, services: Services, form: Form) -> None:
    """After thirty days the form has to be filled in again."""
    send(client, form, ANN)
    deliver(services)
    with patch.object(confirmation, "LIFE", -timedelta(days=1)):
        answer = client.post(links(services)[0])
    assert (answer.status_code, "no longer good" in answer.text) == (404, True)
    assert ledger(services) == []


def test_by_text_message(client: FlaskClient, services: Services) -> None:
    """A consent to SMS is confirmed by the link in one."""
    form = make(
        services, questions=[{"label": "Phone", "type": "phone", "required": True}], consents={"sms": "Text me"}
    )
    send(client, form, {"q.phone": "07700 900123", "consent.sms": "yes"})
    deliver(services)
    client.post(links(services)[0])
    (somebody,) = people(services)
    assert (somebody.phone, somebody.sms_consent) == ("+447700900123", True)


def test_erased_people_leave_nothing(client: FlaskClient, services: Services, form: Form) -> None:
    """Neither the confirmation nor its message."""
    send(client, form, ANN)
    deliver(services)
    (ann,) = people(services)
    with services.database.begin() as session:
        contacts.erase(session, ann.id, utcnow())
    with services.database.read() as session:
        for model in (Contact, Confirmation, OutboxMessage, Event):
            assert session.scalar(select(func.count()).select_from(model)) == 0
    deliver(services)
    assert client.get("/y/1.x").status_code == 404


def test_a_browser_keeps_its_name(client: FlaskClient, services: Services) -> None:
    """Two answers of one browser are one visitor's; none is kept when it asks not to be followed."""
    how = {"label": "How was it?", "type": "one", "options": ["Good", "Bad"], "name": "how"}
    survey = make(services, questions=[how], consents={})
    for _ in range(2):
        send(client, survey, {"q.how": "Good"})
    first, second = events(services)
    cookie = client.get_cookie("visitor")
    assert cookie is not None
    assert first.visitor == second.visitor == cookie.value
    quiet = send(client, survey, {"q.how": "Bad"}, headers={"Sec-GPC": "1"})
    assert "Set-Cookie" not in quiet.headers
    assert events(services)[-1].visitor not in (None, cookie.value)


def test_texts_are_not_pumped(client: FlaskClient, services: Services) -> None:
    """None to other countries, and so many of a form in a day; the answer is taken all the same."""
    phone = {"label": "Phone", "type": "phone", "required": True}
    form = make(services, questions=[phone], consents={"sms": "Text me"})
    with patch.object(confirmation, "TEXTS", 1):
        for number in ("+22507123456", "+12025550123", "07700 900123", "07700 900124"):
            assert send(client, form, {"q.phone": number, "consent.sms": "yes"}).status_code == 303
    with services.database.read() as session:
        reasons = session.scalars(select(Confirmation.reason).order_by(Confirmation.id)).all()
    assert ["country" in (reason or "") for reason in reasons] == [True, True, False, False]
    assert (reasons[2], "enough" in (reasons[3] or "")) == (None, True)


def test_an_empty_answer_is_refused(client: FlaskClient, services: Services) -> None:
    """Of a form that requires nothing; said beside the first question."""
    survey = make(services, questions=[{"label": "How was it?", "type": "text"}], consents={})
    answer = send(client, survey, {"q.how_was_it": "  "})
    assert (answer.status_code, "Please fill this in" in answer.text, events(services)) == (422, True, [])
