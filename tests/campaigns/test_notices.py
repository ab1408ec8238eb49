"""What carriers tell is noted once, in whatever order, by as many statements for one word as for a thousand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from campaigns import feedback, notices
from campaigns.models import Send
from campaigns.notices import Notice
from engine import consent
from engine.database import Database
from engine.models import Consent, Contact, Event, Suppression
from tests.campaigns import shop

SUPPRESS = {"bounced": "bounce", "unsubscribed": "unsubscribe", "complained": "complaint"}


def mailed(session: Session, people: int, now: datetime, **given: Any) -> list[int]:
    """The sends of a campaign that has gone out to so many."""
    firing = shop.fire(session, shop.campaign(session, now, **given), shop.crowd(session, people, now), now)
    shop.accept(session, firing, now - timedelta(hours=1))
    return list(session.scalars(select(Send.id).order_by(Send.id)))


@pytest.fixture
def send_id(database: Database, now: datetime) -> int:
    """A mail to contact 1, c1@x.example."""
    with database.begin() as session:
        return mailed(session, 1, now)[0]


def word(send_id: int, outcome: str | None, now: datetime, **given: Any) -> Notice:
    """A carrier's word, for good where there is such a thing."""
    suppress = SUPPRESS.get(outcome or "")
    return replace(Notice(send_id, outcome, now, f"{outcome}:1", "550 no", suppress), **given)


def state(session: Session) -> tuple[list[Any], ...]:
    """All that a notice may change."""
    session.expire_all()
    return (
        session.execute(select(Send.id, Send.state, Send.outcome).order_by(Send.id)).all(),
        session.execute(select(Event.key, Event.occurred_at).order_by(Event.key)).all(),
        session.execute(select(Suppression.address, Suppression.reason).order_by(Suppression.address)).all(),
        session.execute(select(Contact.id, Contact.email_consent).order_by(Contact.id)).all(),
        session.execute(select(Consent.contact_id, Consent.granted).order_by(Consent.contact_id)).all(),
    )


def test_a_bounce_for_good_silences_the_address(database: Database, now: datetime, send_id: int) -> None:
    """The event keeps the carrier's words and time; consent stays as it was; another channel is another matter."""
    at = now - timedelta(minutes=9)
    with database.begin() as session:
        assert notices.note(session, [word(send_id, "bounced", at)], now=now) == {"bounced": 1}
        assert consent.suppression(session, "email", "c1@x.example") == "bounce"
        assert session.get_one(Contact, 1).email_consent is True
        found = session.scalars(select(Event)).one()
        assert (found.type, found.contact_id, found.occurred_at, found.origin) == ("bounce", 1, at, "campaign")
        told = {"send_id": send_id, "campaign_id": 1, "channel": "email", "bounce": "permanent", "reason": "550 no"}
        assert found.properties == told


def test_a_mail_that_was_refused_this_once_silences_nobody(database: Database, now: datetime, send_id: int) -> None:
    """It came back and says so; the address may be written to."""
    with database.begin() as session:
        notices.note(session, [word(send_id, "bounced", now, suppress=None)], now=now)
        assert session.get_one(Send, send_id).outcome == "bounced"
        assert session.scalars(select(Event.properties)).one()["bounce"] == "temporary"
        assert not consent.is_suppressed(session, "email", "c1@x.example")


@pytest.mark.parametrize("suppress", ["bounce", "unsubscribe", "complaint"])
def test_a_message_dropped_for_good_says_so(database: Database, now: datetime, send_id: int, suppress: str) -> None:
    """The carrier itself sends nothing there any more (SendGrid's "Spam Reporting Address", Twilio's 21610)."""
    with database.begin() as session:
        notices.note(session, [word(send_id, "bounced", now, suppress=suppress)], now=now)
        assert consent.suppression(session, "email", "c1@x.example") == suppress
        assert session.scalars(select(Event.properties)).one()["bounce"] == "permanent"


@pytest.mark.parametrize(("outcome", "kind"), [("unsubscribed", "unsubscribe"), ("complained", "complaint")])
def test_a_persons_no(database: Database, now: datetime, send_id: int, outcome: str, kind: str) -> None:
    """Suppressed, consent withdrawn with the words as evidence, one event."""
    with database.begin() as session:
        notices.note(session, [word(send_id, outcome, now)], now=now)
        assert consent.suppression(session, "email", "c1@x.example") == kind
        withdrawn = session.scalars(select(Consent)).one()
        assert (withdrawn.granted, withdrawn.evidence, withdrawn.origin) == (False, "550 no", "campaign")
        assert session.get_one(Contact, 1).email_consent is False
        assert session.get_one(Contact, 1).sms_consent is True
        assert session.scalars(select(Event.type)).all() == [kind]


def test_who_complains_after_opting_out_stays_alone_for_good(database: Database, now: datetime, send_id: int) -> None:
    """The graver reason counts, also when both come in one batch."""
    with database.begin() as session:
        feedback.unsubscribe(session, send_id, how="page", now=now)
        both = [word(send_id, outcome, now) for outcome in ("complained", "unsubscribed", "bounced")]
        notices.note(session, both, now=now)
        assert consent.suppression(session, "email", "c1@x.example") == "complaint"
        assert session.get_one(Send, send_id).outcome == "complained"


def test_a_word_that_is_repeated_changes_nothing(database: Database, now: datetime, send_id: int) -> None:
    """Not even what a person has put right since: who was let back in is not shut out by an old call."""
    told = [word(send_id, outcome, now) for outcome in ("delivered", "unsubscribed")]
    with database.begin() as session:
        notices.note(session, told, now=now)
    with database.begin() as session:
        consent.lift(session, "email", "c1@x.example")
        consent.record(session, 1, "email", True, origin="web", now=now)
    with database.begin() as session:
        before = state(session)
        revision = session.get_one(Send, send_id).revision
        assert notices.note(session, told * 3, now=now) == {"delivered": 3, "unsubscribed": 3}
        assert state(session) == before
        assert session.get_one(Send, send_id).revision == revision
        notices.note(session, [word(send_id, "unsubscribed", now, word="unsubscribed:2")], now=now)
        assert consent.is_suppressed(session, "email", "c1@x.example")  # said anew


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(st.sampled_from(notices.RANKS), min_size=1, max_size=6), together=st.booleans())
def test_order_does_not_matter(
    database: Database, now: datetime, send_id: int, told: list[str], together: bool
) -> None:
    """In whatever order, however often, in one call or many, the end is the same."""

    def end(outcomes: Sequence[str], *, together: bool) -> tuple[list[Any], ...]:
        with database.begin() as session:
            words = [word(send_id, outcome, now) for outcome in outcomes]
            for batch in [words] if together else [[one] for one in words]:
                notices.note(session, batch, now=now)
            found = state(session)
            session.rollback()
        return found

    best = end(sorted(set(told), key=notices.RANKS.index), together=False)
    assert best[0] == [(send_id, "accepted", max(told, key=notices.RANKS.index))]
    found = end(told, together=together)
    final = "complained" in told  # else the first reason stays, and which was first is told
    assert (found[:2], found[3:]) == (best[:2], best[3:])
    assert len(found[2]) == len(best[2])
    assert not final or found[2] == best[2] == [("c1@x.example", "complaint")]


def test_whatever_a_carrier_tells_proves_that_it_has_the_message(
    database: Database, now: datetime, send_id: int
) -> None:
    """A send in doubt is settled by a mere "processed"; one that is still on its way is left to its sender."""
    for before, after in (("unknown", "accepted"), ("sending", "sending"), ("failed", "failed")):
        with database.begin() as session:
            session.get_one(Send, send_id).state = before
        with database.begin() as session:
            assert notices.note(session, [word(send_id, None, now)], now=now) == {"accepted": 1}
            assert session.get_one(Send, send_id).state == after
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 0


def test_sends_that_are_gone(database: Database, now: datetime, send_id: int) -> None:
    """Counted; the others of the batch count nevertheless."""
    with database.begin() as session:
        told = [word(404, "complained", now), word(send_id, "delivered", now), word(0, "bounced", now)]
        assert notices.note(session, told, now=now) == {"unknown": 2, "delivered": 1}
        assert notices.note(session, [], now=now) == {}
        assert session.get_one(Send, send_id).outcome == "delivered"
        assert session.scalar(select(func.count()).select_from(Suppression)) == 0


def test_a_thousand_words_cost_no_more_statements_than_ten(database: Database, now: datetime) -> None:
    """Of all kinds, from people of both channels."""
    with database.begin() as session:
        sends = mailed(session, 1000, now)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    counts = []
    for people in (sends[:10], sends[10:]):
        told = [word(i, (*notices.RANKS, None)[i % 5], now) for i in people]
        with database.begin() as session:
            statements.clear()
            assert notices.note(session, told, now=now).total() == len(people)
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 2 * 4, counts  # PostgreSQL: an INSERT of many rows goes in pieces
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 600
        assert session.scalar(select(func.count()).select_from(Suppression)) == 600
        assert session.scalar(select(func.count()).select_from(Consent)) == 400
