"""What the sender makes of a transport's answers, of pauses and opt-outs, and of its own end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from campaigns.channels.base import (
    Crossing,
    Exclusion,
    Message,
    Receipt,
    Silence,
    Transport,
    TransportError,
)
from campaigns.delivery import Sender, ledger
from campaigns.models import Campaign, Send
from engine import consent
from engine.config import Config
from engine.database import Database, database_now
from tests.torture.ledger import fill, message, render, sends, states

Step = Callable[[Message, Crossing], Receipt]


class Far(Transport):
    """The far end, played by a function; remembers what crossed."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.crossed: list[int] = []

    def send(self, message: Message, crossing: Crossing) -> Receipt:
        def cross() -> None:
            crossing()
            self.crossed.append(message.send_id)

        return self.step(message, cross)


def takes(message: Message, crossing: Crossing) -> Receipt:
    crossing()
    return Receipt("taken")


def refuses(error: Exception, *, after: bool) -> Step:
    def step(message: Message, crossing: Crossing) -> Receipt:
        if after:
            crossing()
        raise error

    return step


@pytest.fixture
def far() -> Far:
    return Far(takes)


@pytest.fixture
def sender(database: Database, config: Config, far: Far) -> Iterator[Sender]:
    with Sender(database, config, render, lambda _channel: far) as sender:
        yield sender


def only(database: Database) -> Send:
    with database.read() as session:
        return session.scalars(select(Send)).one()


def test_everything_due_goes_out_once(database: Database, sender: Sender, far: Far) -> None:
    """Two campaigns, more sends than a batch: each crosses once, and a second drain finds nothing."""
    fill(database, (f"a{n}@x.example" for n in range(600)))
    fill(database, (f"b{n}@x.example" for n in range(7)))
    assert sender.drain() == {"accepted": 607}
    assert sorted(far.crossed) == list(range(1, 608))
    assert sender.drain() == {}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("error", "state", "attempts", "outcome"),
    [
        (TransportError("451 later"), "queued", 1, None),
        (TransportError("no connection", concerns="transport"), "queued", 0, None),
        (TransportError("550 5.7.1 no", permanent=True), "failed", 1, None),
        (TransportError("550 5.1.1 who", permanent=True, suppress="bounce"), "failed", 1, "bounced"),
        (TransportError("535 log in", concerns="account"), "queued", 0, None),
    ],
)
def test_an_answer_in_words_is_believed(
    database: Database, sender: Sender, far: Far, error: TransportError, state: str, attempts: int,
    outcome: str | None, after: bool,
) -> None:  # fmt: skip
    """A refusal never leaves doubt, whether it came before or after the crossing; its reason is kept."""
    fill(database, ["a@x.example"])
    far.step = refuses(error, after=after)
    assert sender.drain() == {state: 1}
    send = only(database)
    assert (send.state, send.attempts, send.outcome, send.reason) == (state, attempts, outcome, str(error))
    with database.read() as session:
        assert consent.is_suppressed(session, "email", "a@x.example") is (outcome is not None)
        paused = session.scalars(select(Campaign.paused_reason)).one()
    assert paused == (str(error) if error.concerns == "account" else None)


@pytest.mark.parametrize("error", [Silence("reset"), RuntimeError("a fault of ours")])
def test_silence_after_the_crossing_is_unknown_for_ever(
    database: Database, sender: Sender, far: Far, error: Exception
) -> None:
    """What may be out is never sent again by itself."""
    fill(database, ["a@x.example"])
    far.step = refuses(error, after=True)
    assert sender.drain() == {"unknown": 1}
    far.step = takes
    assert sender.drain() == {}
    assert (only(database).state, only(database).reason) == ("unknown", str(error))


def test_silence_before_the_crossing_is_tried_again(database: Database, sender: Sender, far: Far) -> None:
    """Nothing crossed, so nothing is in doubt."""
    fill(database, ["a@x.example"])
    far.step = refuses(OSError("reset"), after=False)
    assert sender.drain() == {"queued": 1}
    assert only(database).attempts == 1


def test_backing_off(database: Database, config: Config, far: Far) -> None:
    """The wait doubles from retry_seconds to 4000 s; what the far end asks for goes before; then it fails."""
    far.step = refuses(TransportError("451 later"), after=False)
    config = replace(config, sending=replace(config.sending, retry_seconds=300, max_attempts=6))
    fill(database, ["a@x.example"])
    waits = []
    with Sender(database, config, render, lambda _channel: far) as sender:
        for _ in range(5):
            with database.begin() as session:
                start = database_now(session)
                session.execute(update(Send).values(next_at=start, revision=1))
            sender.drain()
            waits.append(round((only(database).next_at - start).total_seconds(), -2))
        assert waits == [300, 600, 1200, 2400, 4000]
        with database.begin() as session:
            session.execute(update(Send).values(next_at=start, revision=1))
        assert sender.drain() == {"failed": 1}
    assert only(database).reason == "451 later"


@pytest.mark.parametrize("concerns", ["recipient", "transport"])
def test_the_far_end_says_when_to_come_back(database: Database, sender: Sender, far: Far, concerns: str) -> None:
    """What it asks for goes before our own doubling, beyond its longest step too."""
    far.step = refuses(TransportError("429 later", concerns=concerns, retry_after=7_200), after=False)
    fill(database, ["a@x.example"])
    with database.read() as session:
        start = database_now(session)
    assert sender.drain() == {"queued": 1}
    assert 7_200 <= (only(database).next_at - start).total_seconds() < 7_260


def test_a_refused_account_stops_the_campaign_at_once(database: Database, sender: Sender, far: Far) -> None:
    """A wrong password is tried by no more messages than there are connections, and fails none."""
    fill(database, (f"a{n}@x.example" for n in range(100)))
    tried = []

    def step(message: Message, crossing: Crossing) -> Receipt:
        tried.append(message.send_id)
        raise TransportError("535 log in", concerns="account")

    far.step = step
    sender.drain()
    assert states(database) == {"queued": 100}
    assert len(tried) <= 8


def test_a_pause_during_the_run_stops_the_rest(database: Database, sender: Sender, far: Far) -> None:
    """No mail crosses whose mark is later than the pause; the others wait for the campaign to go on."""
    fill(database, (f"a{n}@x.example" for n in range(400)))

    one = threading.Lock()  # nobody begins while the pause is being written

    def step(message: Message, crossing: Crossing) -> Receipt:
        with one:
            if len(far.crossed) >= 50:
                with database.begin() as session:
                    session.execute(update(Campaign).values(status="paused"))
        return takes(message, crossing)

    far.step = step
    sender.drain()
    accepted = sends(database, "accepted")
    assert 50 <= len(accepted) < 400
    assert accepted == set(far.crossed)
    assert states(database) == {"accepted": len(accepted), "queued": 400 - len(accepted)}
    with database.begin() as session:
        session.execute(update(Campaign).values(status="sending"))
    far.step = takes
    sender.drain()
    assert sorted(far.crossed) == list(range(1, 401))


def test_an_opt_out_during_the_run_wins(database: Database, sender: Sender, far: Far) -> None:
    """Once an opt-out is committed, a send that was not `sending` by then never goes out."""
    fill(database, (f"a{n}@x.example" for n in range(1500)))
    too_late: set[int] = set()
    done = threading.Event()

    def opt_out(now: datetime) -> None:
        for send_id in range(1500, 0, -7):
            address = f"a{send_id - 1}@x.example"
            with database.begin() as session:
                consent.suppress(session, "email", address, "unsubscribe", now)
            with database.read() as session:
                state = session.scalar(select(Send.state).where(Send.id == send_id))
                if state in ("queued", "leased", "suppressed"):  # the sender may have noticed already
                    too_late.add(send_id)
        done.set()

    people = threading.Thread(target=opt_out, args=[datetime.fromisoformat("2026-03-02T09:00:00+00:00")])
    people.start()
    sender.drain()
    people.join()
    assert too_late
    assert too_late.isdisjoint(far.crossed)
    suppressed = sends(database, "suppressed")  # the sender also holds back what was marked but not yet out
    assert too_late <= suppressed
    assert suppressed.isdisjoint(far.crossed)


@pytest.mark.parametrize(
    ("channel", "addresses"), [("email", ["a@x.example", "b@x.example"]), ("sms", ["+441", "+442"])]
)
def test_withdrawn_consent_wins(
    database: Database, sender: Sender, far: Far, now: datetime, channel: str, addresses: list[str]
) -> None:
    """Whoever said no after the audience was drawn gets nothing, also without a suppression of the address."""
    fill(database, addresses, channel=channel)
    with database.begin() as session:
        consent.record(session, 1, channel, granted=False, origin="manual", now=now)
        other = "sms" if channel == "email" else "email"
        consent.record(session, 2, other, granted=False, origin="manual", now=now)
    assert sender.drain() == {"suppressed": 1, "accepted": 1}
    assert far.crossed == [2]
    with database.read() as session:
        assert session.get_one(Send, 1).reason == "no consent"


@pytest.mark.parametrize("config", ["postgresql"], indirect=True)
@pytest.mark.parametrize("state", ["suppressed", "queued"])
def test_a_word_that_overtakes_the_mark_wins(
    database: Database, sender: Sender, far: Far, now: datetime, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """An opt-out or a pause that commits between the statement of the mark and its commit is later than neither."""
    fill(database, ["a@x.example"])
    mark = ledger.cross

    def overtaken(*given: Any, **named: Any) -> set[int]:
        marked = mark(*given, **named)
        with database.begin() as session:
            if state == "suppressed":
                consent.suppress(session, "email", "a@x.example", "unsubscribe", now)
            else:
                session.execute(update(Campaign).values(status="paused"))
        return marked

    monkeypatch.setattr(ledger, "cross", overtaken)
    assert sender.drain() == {state: 1}
    assert (far.crossed, states(database)) == ([], {state: 1})


def test_rendering_may_exclude_or_fail_one(database: Database, config: Config, far: Far) -> None:
    """An exclusion keeps its reason; a row that cannot be rendered fails alone; a stranger's address is refused."""
    fill(database, (f"a{n}@x.example" for n in range(1, 7)))

    def fussy(session: Session, send_ids: Sequence[int], now: datetime) -> dict[int, Message | Exclusion]:
        if 2 in send_ids:
            raise ZeroDivisionError("no price")
        made: dict[int, Message | Exclusion] = dict(render(session, send_ids, now))
        if 3 in made:
            made[3] = Exclusion("nothing to recommend")
        if 4 in made:
            made[4] = replace(message(4, "email", "a4@x.example"), to="b@x.example")
        made.pop(5, None)
        return made

    with Sender(database, config, fussy, lambda _channel: far) as sender:
        assert sender.drain() == {"accepted": 2, "suppressed": 1, "failed": 3}
    with database.read() as session:
        reasons = dict(session.execute(select(Send.id, Send.reason).where(Send.state != "accepted")).all())
    assert reasons == {
        2: "rendering failed: no price",
        3: "nothing to recommend",
        4: "the message is addressed to somebody else",
        5: "no message was rendered",
    }


def test_a_database_that_is_away_fails_nobody(
    database: Database, config: Config, far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    """When the database goes away while rendering, nothing is failed for it, and the sender tries again."""
    fill(database, (f"a{n}@x.example" for n in range(10)))
    away = iter([True, False])

    def flaky(session: Session, send_ids: Sequence[int], now: datetime) -> dict[int, Message]:
        if next(away, False):
            raise OperationalError("SELECT", {}, Exception("server closed the connection"))
        return render(session, send_ids, now)

    stop = threading.Event()
    with Sender(database, config, flaky, lambda _channel: far) as sender:
        running = threading.Thread(target=sender.run, args=[stop, 0.01])
        running.start()
        deadline = time.monotonic() + 30
        while states(database) != {"accepted": 10} and time.monotonic() < deadline:
            time.sleep(0.01)
        stop.set()
        running.join()
    assert states(database) == {"accepted": 10}
    assert caplog.text.count("The sender waits") == 1


def test_a_clean_stop_finishes_what_is_on_its_way(database: Database, sender: Sender, far: Far) -> None:
    """Stopping leaves nothing leased, sending or unknown."""
    fill(database, (f"a{n}@x.example" for n in range(400)))
    stop = threading.Event()

    def step(message: Message, crossing: Crossing) -> Receipt:
        crossing()
        if len(far.crossed) >= 20:
            stop.set()
        time.sleep(0.01)
        return Receipt()

    far.step = step
    assert 20 <= sender.drain(stop)["accepted"] < 100
    assert states(database) == {"accepted": len(far.crossed), "queued": 400 - len(far.crossed)}


def test_too_slow_a_mark_is_not_crossed(database: Database, config: Config, far: Far) -> None:
    """When half of the lease is over before the mark is durable, the message does not go out and waits again."""
    fill(database, ["a@x.example"])
    config = replace(config, sending=replace(config.sending, lease_seconds=0.4))
    with Sender(database, config, render, lambda _channel: far) as sender:
        writer = sender._start()
        mark = writer.cross
        writer.cross = lambda leased: (mark(leased), time.sleep(0.3))[0]
        assert sender.drain() == {"queued": 1}
    assert far.crossed == []
    assert only(database).reason == "the sender was too slow"


def test_evidence_settles_what_a_dead_sender_left(database: Database, config: Config, far: Far) -> None:
    """Two sends were on their way when their sender died: the one that arrived is accepted, the other goes out now."""
    fill(database, ["a@x.example", "b@x.example"])
    with database.begin() as session:
        long_ago = database_now(session) - timedelta(hours=1)
        session.execute(update(Send).values(state="sending", owner="dead.1", lease_until=long_ago, revision=1))

    def evidence(session: Session, send_ids: Sequence[int]) -> set[int]:
        return {1} & set(send_ids)

    with Sender(
        database, config, render, lambda _channel: far, evidence=evidence, resolve_after=timedelta(0)
    ) as sender:
        deadline = time.monotonic() + 30
        while states(database)["accepted"] < 2 and time.monotonic() < deadline:
            sender.drain()
    assert far.crossed == [2]
    assert states(database) == {"accepted": 2}
