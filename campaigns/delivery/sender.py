"""Carries what is due from the ledger to the transports: leases, renders, sends, records."""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Self

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from campaigns import offered
from campaigns.channels import open_transport
from campaigns.channels.base import Exclusion, Fenced, Message, Silence, Transport, TransportError
from campaigns.delivery import ledger
from campaigns.delivery.ledger import Leased, Settlement
from campaigns.delivery.lock import lock_of
from campaigns.delivery.rest import Rest
from campaigns.delivery.writer import Writer
from engine.config import Config
from engine.database import Database, database_now
from engine.errors import Conflict
from engine.models import CHANNELS

log = logging.getLogger(__name__)

Render = Callable[[Session, Sequence[int], datetime], Mapping[int, Message | Exclusion]]
Evidence = Callable[[Session, Sequence[int]], set[int] | None]

RESOLVE_AFTER: Final = timedelta(minutes=15)  # beyond the 600 s an SMTP server may take over the end of the data
_DATABASE_AWAY: Final = (OperationalError, InterfaceError)
BACKOFF_LONGEST: Final = timedelta(seconds=4000)  # Postfix: minimal_backoff_time 300 s .. maximal_backoff_time 4000 s


class Sender:
    """Sends what the ledger holds. SQLite: one process, by an OS lock; PostgreSQL: any number.

    `render` makes messages of sends, `transports` opens the transport of a channel (one for each connection).
    `evidence` answers for all channels what `Transport.evidence` answers for its own: which of these unknown sends the
    receiver has; it is asked `resolve_after` after the silence. Without it unknown stays unknown: at most once.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        render: Render,
        transports: Callable[[str], Transport] | None = None,
        *,
        evidence: Evidence | None = None,
        resolve_after: timedelta = RESOLVE_AFTER,
    ) -> None:
        self._database = database
        self._sending = config.sending
        self._lease = timedelta(seconds=config.sending.lease_seconds)
        self._render = render
        self._open = transports or partial(open_transport, config=config)
        self._evidence = evidence
        self._resolve_after = resolve_after
        self._process = f"{uuid.uuid4().hex[:20]}."  # begins the name of every owner here
        self._claims = 0
        self._rest = Rest(config.sending.connections)
        self._halted: set[int] = set()  # campaigns that stopped while sends of theirs were waiting here
        self._handed: queue.Queue[tuple[Leased, Message] | None] = queue.Queue(config.sending.batch)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._writer: Writer | None = None
        self._lock = lock_of(database) if database.is_sqlite else None
        self._witnesses: dict[str, Transport] = {}

    def drain(self, stop: threading.Event | None = None) -> Counter[str]:
        """Send all that is due; how many became what. When `stop` is set, what is on its way is finished, the rest
        is given back, and nothing is left unknown. Raises Conflict when another process sends from this SQLite file.
        """
        writer = self._start()
        self._stop = stop or threading.Event()
        before = Counter(writer.counts)
        try:
            self._reconcile(writer)
            while not self._stop.is_set():
                if not self._feed(writer):
                    self._handed.join()
                    if not self._feed(writer):
                        break
        except BaseException:
            self._stop = threading.Event()
            self._stop.set()
            raise
        finally:
            self._handed.join()
            writer.call(lambda session: ledger.give_back(session, self._process))
        return writer.counts - before

    def run(self, stop: threading.Event, every: float = 1.0) -> None:
        """Drain again and again until `stop` is set; while another process holds the SQLite file, or the database is
        away, wait for it.
        """
        said = ""
        while not stop.is_set():
            try:
                self.drain(stop)
                said = ""
            except (Conflict, *_DATABASE_AWAY) as error:
                if said != type(error).__name__:
                    log.warning("The sender waits: %s", error)
                said = type(error).__name__
            stop.wait(every)

    def close(self) -> None:
        """End the threads, hang up, release the lock."""
        for _ in self._threads:
            self._handed.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for transport in self._witnesses.values():
            transport.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _start(self) -> Writer:
        if self._writer is None:
            if self._lock is not None:
                self._lock.acquire()
            self._writer = Writer(self._database, self._process, self._lease, self._sending.connections)
            if self._lock is not None:
                self._writer.call(_recover_all)
            self._threads = [
                threading.Thread(target=self._connection, args=[self._writer], name=f"sender {n}", daemon=True)
                for n in range(self._sending.connections)
            ]
            for thread in self._threads:
                thread.start()
        return self._writer

    # Feeding: one thread claims and renders.

    def _feed(self, writer: Writer) -> int:
        """Lease and render a batch of every campaign that may send, and queue it; how many were leased."""
        with self._database.read() as session:
            campaigns = [found for found in ledger.sending_campaigns(session) if not self._rest.rests(found[1])]
        count = 0
        for campaign_id, _ in campaigns:
            share = max(1, self._sending.batch // len(campaigns))
            batch = [] if self._stop.is_set() else writer.call(partial(self._claim, campaign_id, share))
            if batch:
                self._halted.discard(campaign_id)
                self._queue(writer, batch)
            count += len(batch)
        return count

    def _claim(self, campaign_id: int, most: int, session: Session) -> list[Leased]:
        self._claims += 1
        now = database_now(session)
        return ledger.claim(session, campaign_id, f"{self._process}{self._claims}", most, now=now, lease=self._lease)

    def _queue(self, writer: Writer, batch: list[Leased]) -> None:
        messages = self._rendered(batch)
        if any(isinstance(message, Message) and message.items for message in messages.values()):
            writer.call(partial(offered.note, messages))
        for leased in batch:
            match messages.get(leased.id):
                case Message() as message if message.to == leased.address:
                    self._handed.put((leased, message))
                case Message():
                    writer.settle(_uncrossed(leased, "failed", "the message is addressed to somebody else"))
                case Exclusion(reason=reason, state=state):
                    writer.settle(_uncrossed(leased, state, reason))
                case _:
                    writer.settle(_uncrossed(leased, "failed", "no message was rendered"))

    def _rendered(self, batch: list[Leased]) -> Mapping[int, Message | Exclusion]:
        """Messages by send. When rendering them together fails, each is tried alone: one bad row fails only itself."""
        ids = [leased.id for leased in batch]
        try:
            return self._call_render(ids)
        except _DATABASE_AWAY:
            raise
        except Exception:
            log.warning("Rendering %d sends together failed; trying each alone.", len(ids), exc_info=True)
        messages: dict[int, Message | Exclusion] = {}
        for send_id in ids:
            try:
                messages |= self._call_render([send_id])
            except _DATABASE_AWAY:
                raise
            except Exception as error:
                messages[send_id] = Exclusion(f"rendering failed: {error}", state="failed")
        return messages

    def _call_render(self, ids: list[int]) -> Mapping[int, Message | Exclusion]:
        with self._database.read() as session:
            return self._render(session, ids, database_now(session))

    # Sending: every connection is a thread.

    def _connection(self, writer: Writer) -> None:
        transports: dict[str, Transport] = {}
        while (work := self._handed.get()) is not None:
            try:
                self._carry(writer, transports, *work)
            finally:
                self._handed.task_done()
        self._handed.task_done()
        for transport in transports.values():
            transport.close()

    def _carry(self, writer: Writer, transports: dict[str, Transport], leased: Leased, message: Message) -> None:
        """Send one message and write down what became of it; never raises."""
        if self._stop.is_set():
            return  # still leased: given back with the others
        if leased.campaign_id in self._halted or (wait := self._rest.left(leased.channel)):
            pause = timedelta(seconds=0 if leased.campaign_id in self._halted else wait)
            writer.settle(_uncrossed(leased, "queued", None, delay=pause))
            return
        crossing = _Crossing(writer, leased, self._lease, self._halted)
        try:
            if leased.channel not in transports:
                transports[leased.channel] = self._open(leased.channel)
            receipt = transports[leased.channel].send(message, crossing)
        except Fenced:
            return
        except Exception as error:
            writer.settle(self._fault(leased, error, crossed=crossing.crossed))
        else:
            self._rest.works(leased.channel)
            writer.accept(leased, receipt)

    def _fault(self, leased: Leased, error: Exception, *, crossed: bool) -> Settlement:
        """What an error means for the send: see TransportError and Silence."""
        if not isinstance(error, TransportError):
            if not isinstance(error, Silence):
                log.error("Sending %d failed unexpectedly.", leased.id, exc_info=error)
            if crossed:
                return Settlement(leased, "unknown", crossed=True, reason=str(error) or repr(error))
            error = TransportError(str(error) or repr(error))
        reason = str(error)
        if error.concerns == "account":
            self._halted.add(leased.campaign_id)
            return _back(leased, crossed, reason, timedelta(0), halt=reason)
        if error.concerns == "transport":
            return _back(
                leased, crossed, reason, timedelta(seconds=self._rest.fails(leased.channel, error.retry_after))
            )
        if error.permanent or leased.attempts + 1 >= self._sending.max_attempts:
            return Settlement(leased, "failed", crossed=crossed, reason=reason, suppress=error.suppress)
        return Settlement(
            leased, "queued", crossed=crossed, reason=reason, delay=self._backoff(leased, error.retry_after)
        )

    def _backoff(self, leased: Leased, asked: float | None) -> timedelta:
        if asked is not None:
            return timedelta(seconds=asked)
        return min(timedelta(seconds=self._sending.retry_seconds << min(leased.attempts, 20)), BACKOFF_LONGEST)

    # Reconciling: unknown is settled by evidence only.

    def _reconcile(self, writer: Writer) -> None:
        for channel in CHANNELS:
            ask, age = self._witness(channel)
            if age is None:
                continue
            with self._database.read() as session:
                ids = ledger.doubtful(session, channel, before=database_now(session) - age)
                accepted = ask(session, ids) if ids else None
            if accepted is not None:
                writer.call(partial(_resolve, ids, accepted))

    def _witness(self, channel: str) -> tuple[Evidence, timedelta | None]:
        if self._evidence is not None:
            return self._evidence, self._resolve_after
        if channel not in self._witnesses:
            self._witnesses[channel] = self._open(channel)
        return self._witnesses[channel].evidence, self._witnesses[channel].resolve_after


class _Crossing:
    """The point of no return of one send."""

    def __init__(self, writer: Writer, leased: Leased, lease: timedelta, halted: set[int]) -> None:
        self.crossed = False
        self._writer = writer
        self._leased = leased
        self._patience = lease.total_seconds() / 2
        self._halted = halted

    def __call__(self) -> None:
        """Return when the row is durably `sending` and half of the lease is left; raises Fenced otherwise.

        A process that was frozen here for longer finds out by the monotonic clock, before anything is on the wire.
        """
        asked = time.monotonic()
        state = self._writer.cross(self._leased)
        if state == "queued":
            self._halted.add(self._leased.campaign_id)
        if state != "sending":
            raise Fenced(state)
        if time.monotonic() - asked > self._patience:
            self._writer.settle(_back(self._leased, True, "the sender was too slow", timedelta(seconds=1)))
            raise Fenced("too slow")
        self.crossed = True


def _recover_all(session: Session) -> None:
    ledger.recover(session, now=database_now(session), owners_are_dead=True)


def _resolve(ids: list[int], accepted: set[int], session: Session) -> None:
    ledger.resolve(session, ids, accepted, now=database_now(session))


def _uncrossed(leased: Leased, state: str, reason: str | None, delay: timedelta | None = None) -> Settlement:
    return Settlement(leased, state, crossed=False, reason=reason, delay=delay, counted=False)


def _back(leased: Leased, crossed: bool, reason: str, delay: timedelta, halt: str | None = None) -> Settlement:
    return Settlement(leased, "queued", crossed=crossed, reason=reason, delay=delay, counted=False, halt=halt)
