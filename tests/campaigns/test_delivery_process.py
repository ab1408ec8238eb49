"""One sender process or many, its end, and the built-in outbox."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from campaigns.channels.outbox import Outbox
from campaigns.delivery import Sender
from campaigns.delivery.rest import Rest
from campaigns.delivery.writer import Writer
from campaigns.models import OutboxMessage, Send
from engine.config import Config
from engine.database import Database, database_now
from engine.errors import Conflict
from tests.torture.ledger import fill, render, sends, states


def test_the_outbox_is_exactly_once(database: Database, config: Config) -> None:
    """A message is in the outbox if and only if its send is accepted; one left in doubt settles by itself."""
    fill(database, (f"a{n}@x.example" for n in range(20)))
    with database.begin() as session:
        doubt = {"state": "unknown", "owner": "dead.1", "lease_until": database_now(session), "revision": 1}
        session.execute(update(Send).where(Send.id <= 3).values(**doubt))
    with Sender(database, config, render, lambda _channel: Outbox()) as sender:
        sender.drain()
    with database.read() as session:
        kept = session.scalars(select(OutboxMessage.send_id).order_by(OutboxMessage.send_id)).all()
    assert kept == sorted(sends(database, "accepted")) == list(range(1, 21))


def test_sqlite_has_one_sender_postgresql_any_number(database: Database, config: Config) -> None:
    """The second sender of a SQLite file says who holds it, and sends as soon as the first is closed."""
    fill(database, ["a@x.example"])
    first, second = (Sender(database, config, render, lambda _channel: Outbox()) for _ in range(2))
    first.drain()
    fill(database, ["b@x.example"])
    if database.is_sqlite:
        with pytest.raises(Conflict, match=r"process \d+ since"):
            second.drain()
        stop = threading.Event()
        waiting = threading.Thread(target=second.run, args=[stop, 0.01])
        waiting.start()
        time.sleep(0.05)
        assert states(database) == {"accepted": 1, "queued": 1}
        first.close()
        deadline = time.monotonic() + 30
        while states(database)["accepted"] < 2 and time.monotonic() < deadline:  # a leased one would be given back
            time.sleep(0.01)
        stop.set()
        waiting.join()
    else:
        assert second.drain() == {"accepted": 1}
    first.close()
    second.close()
    assert states(database) == {"accepted": 2}


def test_a_dead_writer_ends_the_process(database: Database) -> None:
    """A ledger that cannot be written takes the connections down with it."""
    program = f"""
        from datetime import timedelta
        from campaigns.delivery import ledger
        from campaigns.channels.base import Receipt
        from campaigns.delivery.ledger import Leased
        from campaigns.delivery.writer import Writer
        from engine.database import Database
        import time
        def broken(*_, **__):
            raise ZeroDivisionError
        ledger.accept = broken
        writer = Writer(Database({database.url.render_as_string(hide_password=False)!r}), "p.", timedelta(60), 1)
        writer.accept(Leased(1, "p.1", 1, "email", "a@x.example", 0), Receipt())
        time.sleep(30)
    """
    words = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(words, check=False, timeout=60, capture_output=True, text=True)
    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr


def test_a_writer_keeps_house(database: Database) -> None:
    """PostgreSQL: it begins by renewing what its process holds and taking over what others let lapse. SQLite proves
    who is dead by its lock instead.
    """
    fill(database, (f"a{n}@x.example" for n in range(3)))
    with database.begin() as session:
        start = database_now(session)
        late = {"lease_until": start - timedelta(seconds=1), "revision": 1}
        for send_id, state, owner in ((1, "sending", "p.1"), (2, "leased", "q.1"), (3, "sending", "q.1")):
            session.execute(update(Send).where(Send.id == send_id).values(state=state, owner=owner, **late))
    writer = Writer(database, "p.", timedelta(seconds=60), 1)
    found = writer.call(lambda session: session.scalars(select(Send).order_by(Send.id)).all())
    writer.close()
    if database.is_sqlite:
        assert [send.state for send in found] == ["sending", "leased", "sending"]
    else:
        assert [send.state for send in found] == ["sending", "queued", "unknown"]
        assert found[0].lease_until >= start + timedelta(seconds=60)


def test_a_carrier_that_lets_nobody_through_rests() -> None:
    """Rest begins when every connection failed in a row, doubles to a minute, and ends with a success."""
    rest = Rest(connections=2)
    assert rest.fails("email") == 1
    assert not rest.rests("email"), "one refused connection does not stop the others"
    assert [rest.fails("email") for _ in range(7)] == [1, 1, 2, 2, 4, 4, 8]
    assert rest.rests("email")
    assert not rest.rests("sms")
    assert [rest.fails("email") for _ in range(20)][-1] == 60
    assert rest.fails("sms", asked=30) == 30
    assert 29 < rest.left("sms") <= 30
    rest.works("email")
    assert rest.fails("email") == 1
