"""What many connections say at the same time, written by one commit."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from sqlalchemy.orm import Session

from campaigns.channels.base import Receipt
from campaigns.delivery import ledger
from campaigns.delivery.ledger import Leased, Settlement
from engine.database import database_now

T = TypeVar("T")
States = dict[tuple[str, int], str]  # (owner, send) -> state: the same send may come twice, under an old owner too

ROWS: Final = 256


class Ticket(Generic[T]):
    """A question to the writer; the asking thread waits for the answer."""

    def __init__(self) -> None:
        self._waiting = threading.Lock()  # a bare lock: an Event costs 20 microseconds a mail more
        self._waiting.acquire()
        self._value: T | None = None
        self._error: BaseException | None = None

    def answer(self, value: T) -> None:
        """Let the asking thread go on."""
        self._value = value
        self._waiting.release()

    def fail(self, error: BaseException) -> None:
        """Raise in the asking thread."""
        self._error = error
        self._waiting.release()

    def wait(self) -> T:
        """The answer, or the error."""
        self._waiting.acquire()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Crossing(Ticket[str]):
    """May this send cross? The answer is the state of its row now: `sending`, or why not ("" when it is not ours)."""

    def __init__(self, leased: Leased) -> None:
        super().__init__()
        self.leased = leased


class Call(Ticket[Any]):
    """Something else to do in a transaction of its own."""

    def __init__(self, work: Callable[[Session], Any]) -> None:
        super().__init__()
        self.work = work


@dataclass(frozen=True, slots=True)
class Accepted:
    """The far end took this send."""

    leased: Leased
    receipt: Receipt


class Group:
    """At most 256 entries; `counts` and `states` say what was written."""

    def __init__(self, connections: int) -> None:
        self.counts: Counter[str] = Counter()
        self.states: States = {}
        self._connections = connections
        self._accepted: defaultdict[str, dict[int, Receipt]] = defaultdict(dict)
        self._settlements: list[Settlement] = []
        self._crossings: list[Crossing] = []
        self._asked: defaultdict[str, set[int]] = defaultdict(set)
        self._rows = 0

    def add(self, entry: Accepted | Settlement | Crossing) -> None:
        """Take part in this group."""
        self._rows += 1
        if isinstance(entry, Accepted):
            self._accepted[entry.leased.owner][entry.leased.id] = entry.receipt
        elif isinstance(entry, Settlement):
            self._settlements.append(entry)
        else:
            self._crossings.append(entry)
            self._asked[entry.leased.owner].add(entry.leased.id)

    @property
    def full(self) -> bool:
        """Nobody else can come: it is large enough, or every connection waits for it."""
        return self._rows >= ROWS or len(self._crossings) >= self._connections

    def write(self, session: Session, lease: timedelta) -> None:
        """First what happened, then who may cross. May be repeated when the transaction failed."""
        self.counts.clear()
        self.states.clear()
        now = database_now(session)
        for owner, receipts in self._accepted.items():
            numbers = {send_id: receipt.provider_id for send_id, receipt in receipts.items()}
            won = ledger.accept(session, owner, numbers, now=now)
            self.counts["accepted"] += len(won)
            for send_id in sorted(won):
                if (record := receipts[send_id].record) is not None:
                    record(session)
        for settlement in sorted(self._settlements, key=lambda settlement: settlement.leased.id):
            self.counts[settlement.state] += ledger.settle(session, settlement, now=now)
        for owner, ids in self._asked.items():
            granted = ledger.cross(session, owner, ids, now=now, lease=lease)
            self.states |= {(owner, send_id): "sending" for send_id in granted}
            self._step_aside(session, owner, ids - granted)

    def granted(self) -> list[int]:
        """The numbers of those that may cross."""
        return [send_id for (_, send_id), state in self.states.items() if state == "sending"]

    def take_back(self, session: Session, overtaken: set[int]) -> None:
        """An opt-out or a pause was faster than these: see `ledger.objections`."""
        for owner, ids in self._asked.items():
            self._step_aside(session, owner, {i for i in ids & overtaken if self.states.get((owner, i)) == "sending"})

    def answer(self) -> None:
        """Let everybody go on who asked."""
        self.counts.update(state for state in self.states.values() if state != "sending")
        for crossing in self._crossings:
            crossing.answer(self.states.get((crossing.leased.owner, crossing.leased.id), ""))

    def _step_aside(self, session: Session, owner: str, ids: set[int]) -> None:
        if ids:
            self.states |= {(owner, i): state for i, state in ledger.step_aside(session, owner, ids).items()}
