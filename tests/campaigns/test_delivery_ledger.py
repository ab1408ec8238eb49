"""The ledger's transitions: each needs the right row, state and owner, and says whether it happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaigns.delivery import ledger
from campaigns.delivery.ledger import Leased, Settlement
from campaigns.models import Campaign, Send
from engine import consent
from engine.database import Database, next_revision
from engine.models import Suppression
from tests.torture.ledger import fill, states

LEASE = timedelta(seconds=60)


def claim(database: Database, now: datetime, owner: str = "p.1", limit: int = 10, campaign: int = 1) -> list[Leased]:
    with database.begin() as session:
        return ledger.claim(session, campaign, owner, limit, now=now, lease=LEASE)


def cross(database: Database, leased: Leased, now: datetime) -> bool:
    with database.begin() as session:
        return ledger.cross(session, leased.owner, [leased.id], now=now, lease=LEASE) == {leased.id}


def settle(database: Database, outcome: Settlement, now: datetime) -> bool:
    with database.begin() as session:
        return ledger.settle(session, outcome, now=now)


def accept(database: Database, leased: Leased, now: datetime) -> bool:
    with database.begin() as session:
        return ledger.accept(session, leased.owner, {leased.id: "queued as 7"}, now=now) == {leased.id}


def row(database: Database, send_id: int = 1) -> Send:
    with database.read() as session:
        return session.get_one(Send, send_id)


def write(database: Database, change: Callable[[Session], Any]) -> None:
    with database.begin() as session:
        change(session)


@pytest.fixture
def leased(database: Database, now: datetime) -> Leased:
    """One leased send of one campaign."""
    fill(database, ["a@x.example"])
    return claim(database, now)[0]


def test_claim_takes_what_is_due_once(database: Database, now: datetime) -> None:
    """Due sends of a campaign are leased oldest first, each to one owner, until none is left."""
    campaign = fill(database, [f"u{n}@x.example" for n in range(5)])
    write(database, lambda s: s.execute(update(Send).where(Send.id == 5).values(next_at=now + LEASE, revision=1)))
    first, second = claim(database, now, "p.1", 3, campaign), claim(database, now, "p.2", 3, campaign)
    assert [leased.id for leased in first] == [1, 2, 3]
    assert [(leased.id, leased.owner, leased.address) for leased in second] == [(4, "p.2", "u3@x.example")]
    assert states(database) == {"leased": 4, "queued": 1}
    assert row(database).lease_until == now + LEASE
    assert [leased.id for leased in claim(database, now + LEASE, "p.3", 3, campaign)] == [5]


def test_claim_needs_a_sending_campaign(database: Database, now: datetime) -> None:
    """Nothing of a paused campaign is leased."""
    fill(database, ["a@x.example"])
    write(database, lambda s: s.execute(update(Campaign).values(status="paused")))
    assert claim(database, now) == []


def test_crossing_needs_the_lease(database: Database, leased: Leased, now: datetime) -> None:
    """leased -> sending once, and only under the owner who leased it."""
    assert not cross(database, replace(leased, owner="p.2"), now)
    assert cross(database, leased, now + LEASE / 2)
    assert (row(database).state, row(database).lease_until) == ("sending", now + 1.5 * LEASE), "a whole lease from here"
    assert not cross(database, leased, now)


@pytest.mark.parametrize("status", ["paused", "cancelled", "finished"])
def test_crossing_needs_a_sending_campaign(database: Database, leased: Leased, now: datetime, status: str) -> None:
    """A campaign that stopped lets nobody cross; its sends wait, or are cancelled with it."""
    write(database, lambda s: s.execute(update(Campaign).values(status=status)))
    assert not cross(database, leased, now)
    with database.begin() as session:
        expected = "cancelled" if status == "cancelled" else "queued"
        assert ledger.step_aside(session, leased.owner, [leased.id]) == {leased.id: expected}
    assert row(database).owner is None


@pytest.mark.parametrize("erased", [False, True])
def test_crossing_needs_an_address_that_may_be_spoken_to(
    database: Database, leased: Leased, now: datetime, erased: bool
) -> None:
    """An opt-out after the lease wins, also that of an erased person, of whom only a digest is kept."""
    address = consent.erased(leased.address) if erased else leased.address
    write(database, lambda s: consent.suppress(s, "email", address, "unsubscribe", now))
    assert not cross(database, leased, now)
    with database.begin() as session:
        assert ledger.step_aside(session, leased.owner, [leased.id]) == {leased.id: "suppressed"}
    assert (row(database).state, row(database).reason) == ("suppressed", "suppressed")


def test_a_suppression_counts_on_its_channel_only(database: Database, now: datetime) -> None:
    """Who wants no SMS at a number may still get what else goes there."""
    fill(database, ["+4420718387"], channel="sms")
    leased = claim(database, now)[0]
    write(database, lambda s: consent.suppress(s, "email", leased.address, "manual", now))
    assert cross(database, leased, now)


def test_objections_name_what_was_overtaken(database: Database, leased: Leased, now: datetime) -> None:
    """After the mark is committed, a word that was committed before it is still seen."""
    assert cross(database, leased, now)
    with database.read() as session:
        assert ledger.objections(session, [leased.id]) == set()
    write(database, lambda s: consent.suppress(s, "email", leased.address, "unsubscribe", now))
    with database.begin() as session:
        assert ledger.objections(session, [leased.id]) == {leased.id}
        assert ledger.step_aside(session, leased.owner, [leased.id]) == {leased.id: "suppressed"}


def test_accepted(database: Database, leased: Leased, now: datetime) -> None:
    """sending -> accepted keeps the receipt and the moment, counts the attempt and lets go of the row."""
    assert not accept(database, leased, now), "not from leased"
    assert cross(database, leased, now)
    assert not accept(database, replace(leased, owner="p.2"), now), "not under another owner"
    assert accept(database, leased, now)
    send = row(database)
    assert (send.state, send.provider_id, send.accepted_at, send.attempts) == ("accepted", "queued as 7", now, 1)
    assert (send.owner, send.lease_until, send.reason) == (None, None, None)
    assert not accept(database, leased, now), "not twice"


def test_receipts_go_to_their_rows(database: Database, now: datetime) -> None:
    """Many are accepted at once; each keeps its own receipt, cut to what fits, or none."""
    fill(database, ["a@x.example", "b@x.example", "c@x.example"])
    for leased in claim(database, now):
        assert cross(database, leased, now)
    receipts = {1: 'one "é" \\', 2: None, 3: "x" * 500, 9: "nobody"}
    with database.begin() as session:
        assert ledger.accept(session, "p.1", receipts, now=now) == {1, 2, 3}
    assert [row(database, n).provider_id for n in (1, 2, 3)] == ['one "é" \\', None, "x" * 128]


def test_queued_again(database: Database, leased: Leased, now: datetime) -> None:
    """A refusal for the moment queues with its reason, not before the delay is over."""
    later = Settlement(leased, "queued", crossed=False, reason="451 later", delay=timedelta(minutes=5))
    assert settle(database, later, now)
    send = row(database)
    assert (send.state, send.reason, send.next_at, send.attempts) == ("queued", "451 later", now + later.delay, 1)
    assert claim(database, now) == []
    assert claim(database, now + later.delay)[0].attempts == 1


def test_unknown_keeps_its_owner(database: Database, leased: Leased, now: datetime) -> None:
    """Whoever left a send unknown may still hear the answer, and nobody else may settle it."""
    assert cross(database, leased, now)
    assert settle(database, Settlement(leased, "unknown", crossed=True, reason="silence"), now)
    assert (row(database).state, row(database).owner, row(database).lease_until) == ("unknown", leased.owner, now)
    assert not accept(database, replace(leased, owner="p.2"), now)
    assert accept(database, leased, now)


def test_a_bounce_suppresses(database: Database, leased: Leased, now: datetime) -> None:
    """A permanent refusal of the address fails the send, marks it bounced and suppresses the address."""
    assert settle(database, Settlement(leased, "failed", crossed=False, reason="550 5.1.1", suppress="bounce"), now)
    assert (row(database).state, row(database).outcome) == ("failed", "bounced")
    with database.read() as session:
        assert session.scalars(select(Suppression.reason)).all() == ["bounce"]
        assert consent.is_suppressed(session, "email", leased.address)


def test_a_refused_account_pauses(database: Database, leased: Leased, now: datetime) -> None:
    """A refused log-in pauses the campaign, says why, and costs the send nothing."""
    back = Settlement(leased, "queued", crossed=False, reason="535", counted=False, halt="535 who are you")
    assert settle(database, back, now)
    with database.read() as session:
        campaign = session.get_one(Campaign, 1)
        assert (campaign.status, campaign.paused_reason) == ("paused", "535 who are you")
    assert row(database).attempts == 0


@pytest.mark.parametrize("status", ["cancelled", "paused", "finished"])
def test_a_refused_account_pauses_only_what_sends(database: Database, now: datetime, status: str) -> None:
    """A campaign that was cancelled while its mail was refused stays cancelled: paused, somebody could resume it."""
    fill(database, ["a@x.example"])
    write(database, lambda s: s.execute(update(Campaign).values(status=status)))
    with database.begin() as session:
        assert not ledger.halt(session, 1, "535 log in", now=now)
    with database.read() as session:
        found = session.get_one(Campaign, 1)
        assert (found.status, found.paused_reason) == (status, None)


def test_a_long_reason_is_cut(database: Database, leased: Leased, now: datetime) -> None:
    """A server may say pages; a row that cannot be written would end the process."""
    long = Settlement(leased, "queued", crossed=False, reason="4" * 9_000, halt="5" * 9_000)
    assert settle(database, long, now)
    assert len(row(database).reason or "") == 255


def test_stepping_aside_needs_the_owner(database: Database, leased: Leased, now: datetime) -> None:
    """Who lost a send has no say in it: it may be on the wire under its new owner."""
    with database.begin() as session:
        assert ledger.step_aside(session, "p.2", [leased.id]) == {}
    assert cross(database, leased, now)
    with database.begin() as session:
        assert ledger.step_aside(session, leased.owner, [leased.id]) == {leased.id: "queued"}
    assert row(database).owner is None


def test_recovery_of_a_dead_sender(database: Database, now: datetime) -> None:
    """leased -> queued, sending -> unknown; by the lease's end, or at once where the owners are known to be dead."""
    fill(database, ["a@x.example", "b@x.example", "c@x.example"])
    batch = claim(database, now)
    assert cross(database, batch[1], now)
    for moment, dead, expected in [
        (now + LEASE, False, {"queued": 0, "unknown": 0}),
        (now, True, {"queued": 2, "unknown": 1}),
    ]:
        with database.begin() as session:
            assert ledger.recover(session, now=moment, owners_are_dead=dead) == expected
    again = claim(database, now, "p.2")
    with database.begin() as session:
        late = ledger.recover(session, now=now + 2 * LEASE, owners_are_dead=False)
    assert (len(again), late) == (2, {"queued": 2, "unknown": 0})
    assert not cross(database, again[0], now), "its lease is over"


def test_renewing_keeps_what_this_process_holds(database: Database, now: datetime) -> None:
    """A heartbeat moves the end of our leases and of nobody else's; of those on the wire too, or a server that takes
    its time over the end of the data would make them unknown. Of what is unknown already it is when it became so.
    """
    fill(database, [f"u{n}@x.example" for n in range(4)])
    _, sending, unknown = claim(database, now, "p.1", 3)
    claim(database, now, "q.1", 1)
    assert cross(database, sending, now)
    assert cross(database, unknown, now)
    assert settle(database, Settlement(unknown, "unknown", crossed=True), now)
    with database.begin() as session:
        assert ledger.renew(session, "p.", now=now + LEASE, lease=LEASE) == 2
    assert [row(database, n).lease_until for n in (1, 2, 3, 4)] == [now + 2 * LEASE, now + 2 * LEASE, now, now + LEASE]


def test_giving_back(database: Database, now: datetime) -> None:
    """A clean stop returns leased sends of this process, not of others, and not what may be on the wire."""
    fill(database, [f"u{n}@x.example" for n in range(3)])
    mine = claim(database, now, "p.1", 2)
    claim(database, now, "q.1", 1)
    assert cross(database, mine[0], now)
    with database.begin() as session:
        assert ledger.give_back(session, "p.") == 1
    assert states(database) == {"sending": 1, "queued": 1, "leased": 1}


def test_evidence_settles_the_unknown(database: Database, now: datetime) -> None:
    """What the receiver has is accepted, what it lacks is queued; nothing younger than asked for is touched."""
    fill(database, ["a@x.example", "b@x.example"])
    for leased in claim(database, now):
        assert cross(database, leased, now)
        assert settle(database, Settlement(leased, "unknown", crossed=True), now)
    with database.begin() as session:
        assert ledger.doubtful(session, "email", before=now - LEASE) == []
        assert ledger.doubtful(session, "sms", before=now) == []
        assert ledger.doubtful(session, "email", before=now) == [1, 2]
        assert ledger.resolve(session, [1, 2], {1}, now=now) == {"accepted": 1, "queued": 1}
        assert ledger.resolve(session, [1, 2], {1, 2}, now=now) == {"accepted": 0, "queued": 0}
    assert (row(database, 1).state, row(database, 1).accepted_at) == ("accepted", now)
    assert [leased.id for leased in claim(database, now)] == [2]


def test_sending_again_to_the_unknown_is_a_decision(database: Database, leased: Leased, now: datetime) -> None:
    """Only unknown sends of that campaign are queued again, once."""
    assert cross(database, leased, now)
    assert settle(database, Settlement(leased, "unknown", crossed=True), now)
    with database.begin() as session:
        assert ledger.requeue_unknown(session, leased.campaign_id + 1, now) == 0
        assert ledger.requeue_unknown(session, leased.campaign_id, now) == 1
        assert ledger.requeue_unknown(session, leased.campaign_id, now) == 0
    assert not accept(database, leased, now), "the old owner has no say now"
    assert len(claim(database, now)) == 1


def test_every_change_reaches_the_warehouse(database: Database, leased: Leased, now: datetime) -> None:
    """A transition carries the change number of its transaction."""
    with database.begin() as session:
        ledger.cross(session, leased.owner, [leased.id], now=now, lease=LEASE)
        revision = next_revision(session)
    assert row(database).revision == revision
