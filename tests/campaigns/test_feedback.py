"""What comes back is noted once, moves marks forward only, and an opt-out holds at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from campaigns import feedback
from campaigns.models import Link, Send
from engine import consent
from engine.database import Database, next_revision
from engine.errors import NotFound
from engine.models import Consent, Contact, Event, Suppression
from tests.campaigns import shop

PERSON = "Mozilla/5.0 (Windows NT 10.0) Thunderbird/140"
LATER = timedelta(minutes=5)


@pytest.fixture
def send_id(database: Database, now: datetime) -> int:
    """A mail to contact 1, accepted five minutes ago, with one link."""
    with database.begin() as session:
        shop.contact(session, 1, now)
        shop.item(session, 5, now)
        found = shop.campaign(session, now)
        session.add(Link(campaign_id=found.id, url="https://shop.example/sale", digest="d"))
        firing = shop.fire(session, found, [1], now)
        shop.accept(session, firing, now - LATER)
        return session.scalars(select(Send.id)).one()


def events(session: Session) -> list[tuple[str, dict[str, Any]]]:
    """Type and properties of all events."""
    return [(event.type, event.properties) for event in session.scalars(select(Event).order_by(Event.id))]


def send(session: Session, send_id: int) -> Send:
    """The send as it is stored."""
    session.expire_all()
    return session.get_one(Send, send_id)


def test_an_open_is_noted_once(database: Database, now: datetime, send_id: int) -> None:
    """The first open marks the send and leaves one event; later ones change nothing."""
    with database.begin() as session:
        assert feedback.open(session, send_id, user_agent=PERSON, now=now)
        assert not feedback.open(session, send_id, user_agent=PERSON, now=now + LATER)
        assert send(session, send_id).opened_at == now
        assert events(session) == [
            ("open", {"send_id": send_id, "campaign_id": 1, "channel": "email", "machine": False})
        ]


def test_every_mark_reaches_the_warehouse(database: Database, now: datetime, send_id: int) -> None:
    """It copies the sends written since it last looked, by their change number: an open, a click, an outcome, and an
    arrival that nobody knew of.
    """
    marks: list[Callable[[Session], object]] = [
        lambda session: feedback.open(session, send_id, user_agent=PERSON, now=now),
        lambda session: feedback.click(session, send_id, 1, user_agent=PERSON, now=now),
        lambda session: feedback.unsubscribe(session, send_id, how="page", now=now),
        lambda session: session.connection().execute(update(Send).values(state="unknown")),
        lambda session: feedback.click(session, send_id, 1, user_agent=None, now=now),
    ]
    changed = []
    for mark in marks:
        with database.begin() as session:
            before = send(session, send_id).revision
            mark(session)
            changed.append((send(session, send_id).revision > before, send(session, send_id).revision))
            revision = next_revision(session)
        if changed[-1][0]:
            assert changed[-1][1] == revision
    assert [is_new for is_new, _ in changed] == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("user_agent", "late", "machine"),
    [
        (PERSON, LATER, False),
        (PERSON, timedelta(seconds=1), True),  # nobody reads within a second
        (None, LATER, True),
        ("Mozilla/5.0 (via ggpht.com GoogleImageProxy)", LATER, True),
        ("python-requests/2.34", LATER, True),
        ("Barracuda Sentinel (EE)", LATER, True),
    ],
)
def test_machines_are_kept_apart(
    database: Database, now: datetime, send_id: int, user_agent: str | None, late: timedelta, machine: bool
) -> None:
    """A scanner's fetch leaves a flagged event and no mark; a person's click after it still counts."""
    with database.begin() as session:
        sent = send(session, send_id).accepted_at
        assert sent is not None
        feedback.click(session, send_id, 1, user_agent=user_agent, now=sent + late)
        assert (send(session, send_id).clicked_at is None) is machine
        assert events(session)[0][1]["machine"] is machine
        feedback.click(session, send_id, 1, user_agent=PERSON, now=sent + timedelta(hours=1))
        assert send(session, send_id).clicked_at == sent + (timedelta(hours=1) if machine else late)


def test_a_machine_that_fetches_the_picture_opens_nothing(database: Database, now: datetime, send_id: int) -> None:
    """It leaves its flagged event, no mark, and tells the recommender of no impression and no click."""
    told = {"recommendation_id": "r1", "user_agent": None, "now": now}
    with database.begin() as session:
        assert feedback.open(session, send_id, **told)
        assert feedback.click_item(session, send_id, 5, source="basket", **told)
        assert (send(session, send_id).opened_at, send(session, send_id).clicked_at) == (None, None)
        assert [(kind, known["machine"]) for kind, known in events(session)] == [("open", True), ("click", True)]


def test_marks_keep_the_first_time(database: Database, now: datetime, send_id: int) -> None:
    """Another link followed later is another click, of a mail that was opened and clicked before."""
    with database.begin() as session:
        session.add(Link(campaign_id=1, url="https://shop.example/other", digest="o"))
        session.flush()
        feedback.open(session, send_id, user_agent=PERSON, now=now)
        feedback.click(session, send_id, 1, user_agent=PERSON, now=now + LATER)
        assert feedback.click(session, send_id, 2, user_agent=PERSON, now=now + 2 * LATER)
        found = send(session, send_id)
        assert (found.opened_at, found.clicked_at) == (now, now + LATER)


def test_a_click_is_an_open_too(database: Database, now: datetime, send_id: int) -> None:
    """Who clicks has opened, picture or not; the event names the link."""
    with database.begin() as session:
        assert feedback.click(session, send_id, 1, user_agent=PERSON, now=now)
        found = send(session, send_id)
        assert (found.opened_at, found.clicked_at) == (now, now)
        assert events(session)[0][1]["link"] == "https://shop.example/sale"


def test_recommendations_in_a_mail_tell_the_recommender(database: Database, now: datetime, send_id: int) -> None:
    """An open is an impression, a click on an item a recommendation click, both with the recommendation's id."""
    with database.begin() as session:
        feedback.open(session, send_id, recommendation_id="r1", user_agent=PERSON, now=now)
        for _ in range(2):
            told = {"recommendation_id": "r1", "source": "basket"}
            feedback.click_item(session, send_id, 5, **told, user_agent=PERSON, now=now)
        kinds = session.execute(select(Event.type, Event.item_id).order_by(Event.id)).all()
        assert kinds == [("open", None), ("impression", None), ("click", 5), ("recommendation_click", 5)]
        assert all(told["recommendation_id"] == "r1" for kind, told in events(session) if kind != "open")


def test_destinations_are_the_stored_ones(database: Database, now: datetime, send_id: int) -> None:
    """A link leads only where its own campaign said; another campaign's number leads nowhere."""
    with database.begin() as session:
        other = shop.campaign(session, now)
        session.add(Link(campaign_id=other.id, url="https://elsewhere.example/", digest="e"))
        shop.fire(session, other, [1], now)
        assert feedback.destination(session, send_id, 1) == "https://shop.example/sale"
        for link_id in (2, 99):
            with pytest.raises(NotFound):
                feedback.destination(session, send_id, link_id)
        assert feedback.item_page(session, 5).startswith("https://shop.example/items/5")


def test_unsubscribe_holds_at_once(database: Database, now: datetime, send_id: int) -> None:
    """The address is suppressed, consent withdrawn with its evidence, the event written; the second time nothing."""
    with database.begin() as session:
        assert feedback.unsubscribe(session, send_id, how="one-click", now=now)
        assert not feedback.unsubscribe(session, send_id, how="page", now=now + LATER)
        assert session.execute(select(Suppression.address, Suppression.reason)).all() == [
            ("c1@x.example", "unsubscribe")  # a later yes lifts it, unlike a complaint
        ]
        assert session.get_one(Contact, 1).email_consent is False
        assert session.get_one(Contact, 1).sms_consent is True
        word = session.scalars(select(Consent)).one()
        assert (word.granted, word.channel, word.evidence, word.origin) == (False, "email", "one-click", "campaign")
        assert send(session, send_id).outcome == "unsubscribed"
        assert [kind for kind, _ in events(session)] == ["unsubscribe"]


def test_whatever_comes_back_proves_arrival(database: Database, now: datetime, send_id: int) -> None:
    """A send whose fate was unknown is accepted as soon as anything is heard of it."""
    with database.begin() as session:
        found = send(session, send_id)
        found.state, found.accepted_at, found.owner, found.lease_until = "unknown", None, "p.1", now
    with database.begin() as session:
        feedback.open(session, send_id, user_agent=PERSON, now=now)
        found = send(session, send_id)
        assert (found.state, found.accepted_at, found.owner, found.lease_until) == ("accepted", now, None, None)


@pytest.mark.parametrize(
    "text", ["STOP", "stop.", " Stop! ", "Quit", "END", "cancel", "unsubscribe", "REVOKE", "opt out", "Opt-Out", "退订"]
)
def test_words_of_refusal(text: str) -> None:
    """Any of the usual words, in any writing, as the whole message."""
    assert feedback.is_refusal(text)


@pytest.mark.parametrize("text", ["", "Stop by tomorrow?", "the end", "thanks", "STOPPED"])
def test_other_words_are_no_refusal(text: str) -> None:
    """A sentence that merely holds such a word is for people to read."""
    assert not feedback.is_refusal(text)


def test_a_stop_by_text_message(database: Database, now: datetime) -> None:
    """STOP silences the number for SMS and only for SMS, for everybody who has it, known or not."""
    with database.begin() as session:
        for number in (1, 2):
            shop.contact(session, number, now, phone="+447946000000")
        assert feedback.reply(session, "+447946000000", "stop", key="SM1", now=now).stopped
        feedback.reply(session, "+447946000000", "stop", key="SM1", now=now)
        assert feedback.reply(session, "+447946999999", "STOP", key="SM2", now=now).contact_ids == ()
        for phone in ("+447946000000", "+447946999999"):
            assert consent.is_suppressed(session, "sms", phone)
        assert not consent.is_suppressed(session, "email", "c1@x.example")
        assert session.scalars(select(Contact.sms_consent)).all() == [False, False]
        assert session.scalar(select(func.count()).select_from(Consent)) == 2
        assert [kind for kind, _ in events(session)] == ["unsubscribe", "unsubscribe"]


def test_another_reply_is_kept(database: Database, now: datetime) -> None:
    """What is no refusal becomes an event with its text, and nobody is silenced."""
    with database.begin() as session:
        shop.contact(session, 1, now, phone="+447946000000")
        assert not feedback.reply(session, "+447946000000", "When do you open?", key="SM1", now=now).stopped
        assert events(session) == [("sms_reply", {"channel": "sms", "text": "When do you open?"})]
        feedback.reply(session, "+447946000000", "x" * 100_000, key="SM2", now=now)
        assert len(events(session)[1][1]["text"]) == 1_600
        assert not consent.is_suppressed(session, "sms", "+447946000000")


def test_an_unknown_send_is_not_found(database: Database, now: datetime) -> None:
    """A token of a send that is gone says so."""
    with database.begin() as session, pytest.raises(NotFound):
        feedback.open(session, 404, user_agent=PERSON, now=now)
