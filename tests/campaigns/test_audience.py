"""Who gets a campaign: everybody accounted for, once, in one statement."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import event, func, select

from campaigns import audience
from campaigns.models import Send
from engine.database import Database
from engine.models import BUCKETS, Suppression
from tests.campaigns import shop


def states(database: Database) -> dict[int, tuple[str, str | None]]:
    """State and reason of every contact's send."""
    with database.read() as session:
        rows = session.execute(select(Send.contact_id, Send.state, Send.reason)).all()
        return {contact_id: (state, reason) for contact_id, state, reason in rows}


def test_each_exclusion_has_its_reason(database: Database, now: datetime) -> None:
    """No address, no consent given (never asked counts as none), suppressed, duplicate address: first reason wins."""
    with database.begin() as session:
        shop.contact(session, 1, now)
        shop.contact(session, 2, now, email=None)
        shop.contact(session, 3, now, email_consent=False)
        shop.contact(session, 4, now, email_consent=None)
        shop.contact(session, 5, now, email="gone@x.example")
        shop.contact(session, 6, now, email="c1@x.example")
        shop.contact(session, 7, now)  # not on the list
        session.add(Suppression(channel="email", address="gone@x.example", reason="bounce", at=now))
        session.add(Suppression(channel="sms", address="c1@x.example", reason="stop", at=now))
        shop.fire(session, shop.campaign(session, now), [1, 2, 3, 4, 5, 6], now)
    assert states(database) == {
        1: ("queued", None),
        2: ("suppressed", audience.NO_ADDRESS),
        3: ("suppressed", audience.NO_CONSENT),
        4: ("suppressed", audience.NO_CONSENT),
        5: ("suppressed", audience.SUPPRESSED),
        6: ("suppressed", audience.DUPLICATE),
    }


def test_a_duplicate_of_somebody_left_out_is_written_to(database: Database, now: datetime) -> None:
    """Who shares the address of a contact without consent, and has given it, gets the message."""
    with database.begin() as session:
        shop.contact(session, 1, now, email="both@x.example", email_consent=False)
        shop.contact(session, 2, now, email="both@x.example")
        shop.fire(session, shop.campaign(session, now), [1, 2], now)
    assert states(database) == {1: ("suppressed", audience.NO_CONSENT), 2: ("queued", None)}


def test_text_messages_look_at_their_own_consent(database: Database, now: datetime) -> None:
    """An SMS goes to the telephone, with the consent for SMS."""
    with database.begin() as session:
        shop.contact(session, 1, now, email_consent=False)
        shop.contact(session, 2, now, sms_consent=None)
        shop.contact(session, 3, now, phone=None)
        shop.fire(session, shop.campaign(session, now, channel="sms"), [1, 2, 3], now)
    assert states(database) == {
        1: ("queued", None),
        2: ("suppressed", audience.NO_CONSENT),
        3: ("suppressed", audience.NO_ADDRESS),
    }
    with database.read() as session:
        assert session.scalar(select(Send.address).where(Send.contact_id == 1)) == "+447946000001"


def test_holdout_is_the_stated_position(database: Database, now: datetime) -> None:
    """Held out are exactly those with (a * bucket + s) mod (2^31 - 1) below the share, among those eligible."""
    a, s, share = 1_234_567_891, 987_654_321, 0.3
    with database.begin() as session:
        ids = shop.crowd(session, 2_000, now)
        shop.contact(session, 5_000, now, email_consent=False)
        found = shop.campaign(session, now, holdout=share, split_a=a, split_s=s)
        counts = audience.count(session, found, [*ids, 5_000])
        shop.fire(session, found, [*ids, 5_000], now)
    expected = {i for i in ids if (a * shop.bucket(i) + s) % BUCKETS < share * BUCKETS}
    held = {contact_id for contact_id, state in states(database).items() if state == ("held", audience.HOLDOUT)}
    assert held == expected
    assert 0.26 < len(held) / 2_000 < 0.34
    assert counts == {"queued": 2_000 - len(held), audience.HOLDOUT: len(held), audience.NO_CONSENT: 1}


def test_no_duplicate_is_held_out(database: Database, now: datetime) -> None:
    """Who could not be sent to is in no arm, wherever their position lies: control would hold people twice."""
    with database.begin() as session:
        for number in range(1, 41):
            shop.contact(session, number, now, email=f"c{number % 20}@x.example")
        shop.fire(session, shop.campaign(session, now, holdout=0.5, split_a=1_234_577), range(1, 41), now)
    found = states(database)
    assert {found[number] for number in range(21, 41)} == {("suppressed", audience.DUPLICATE)}
    assert {found[number][0] for number in range(1, 21)} == {"held", "queued"}


def test_building_twice_changes_nothing(database: Database, now: datetime) -> None:
    """A second build of the same firing writes no row and gives the same counts."""
    with database.begin() as session:
        ids = shop.crowd(session, 100, now)
        firing = shop.fire(session, shop.campaign(session, now, holdout=0.2), ids, now)
    before = states(database)
    with database.begin() as session:
        counts = audience.build(session, firing, ids, now=now)
    assert states(database) == before
    assert sum(counts.values()) == 100


def test_one_statement_for_everybody(database: Database, now: datetime) -> None:
    """The number of SQL statements does not grow with the number of people."""
    statements: list[str] = []

    def number(people: int, first: int) -> int:
        with database.begin() as session:
            ids = shop.crowd(session, people, now, first=first)
            found = shop.campaign(session, now)
            statements.clear()
            shop.fire(session, found, ids, now)
            return len(statements)

    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert number(3, 1) == number(300, 100)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Send)) == 303


def test_every_send_carries_the_change_number(database: Database, now: datetime) -> None:
    """The warehouse copies by revision: the bulk statement sets one above zero."""
    with database.begin() as session:
        ids = shop.crowd(session, 3, now)
        shop.fire(session, shop.campaign(session, now), ids, now)
    with database.read() as session:
        revisions = session.scalars(select(Send.revision).distinct()).all()
    assert len(revisions) == 1
    assert revisions[0] > 0
