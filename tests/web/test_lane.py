"""Short answers of pure computing go one at a time, and nobody waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import pytest

from web import lane

PATIENT = 30.0  # seconds that a test waits for a thread
Application = Callable[..., Iterable[bytes]]


def ask(application: Application, path: str, body: bytes = b"{}", **more: Any) -> bytes:
    """What the application answers."""
    environ = {"PATH_INFO": path, "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body), **more}
    return b"".join(application(environ, lambda *_said: None))


class Meeting:
    """An application that tells how many were in it at once; who is told to, waits there for a second one."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.over = threading.Event()
        self.most = self._now = 0

    def __call__(self, environ: dict[str, Any], _start: Any) -> list[bytes]:
        """Stay until the test says so."""
        self._now += 1
        self.most = max(self.most, self._now)
        self.inside.release()
        self.over.wait(PATIENT)
        self._now -= 1
        return [environ["wsgi.input"].read()]


def meet(path: str, others: str) -> Meeting:
    """Two ask, the second while the first is answered."""
    meeting = Meeting()
    application = lane.one_at_a_time(meeting, {"/fast"})
    threads = [threading.Thread(target=ask, args=[application, one]) for one in (path, others)]
    for thread in threads:
        thread.start()
    meeting.inside.acquire(timeout=PATIENT)
    both = meeting.inside.acquire(timeout=PATIENT if (path, others) != ("/fast", "/fast") else 0.3)
    assert both == (meeting.most == 2)
    meeting.over.set()
    for thread in threads:
        thread.join(PATIENT)
    return meeting


def test_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at a path of the lane are answered one after the other, any two others at once."""
    monkeypatch.setattr(lane, "PATIENCE", PATIENT)
    assert meet("/fast", "/fast").most == 1
    assert meet("/fast", "/slow").most == 2
    assert meet("/slow", "/slow").most == 2


def test_nobody_waits_for_who_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has waited long enough goes beside, and gives no turn back that was never had."""
    monkeypatch.setattr(lane, "PATIENCE", 0.01)
    meeting = Meeting()
    application = lane.one_at_a_time(meeting, {"/fast"})
    threads = [threading.Thread(target=ask, args=[application, "/fast"]) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert all(meeting.inside.acquire(timeout=PATIENT) for _ in threads)
    meeting.over.set()
    for thread in threads:
        thread.join(PATIENT)
    assert ask(application, "/fast", b"[1]") == b"[1]"


def test_nobody_waits_for_who_sends_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is read before its turn; one of no length or a large one goes beside."""
    monkeypatch.setattr(lane, "PATIENCE", PATIENT)
    begun, sent, meeting = threading.Event(), threading.Event(), Meeting()
    meeting.over.set()
    application = lane.one_at_a_time(meeting, {"/fast"})

    class Slow(BytesIO):
        """Comes when it is told to."""

        def read(self, size: int | None = -1) -> bytes:
            begun.set()
            sent.wait(PATIENT)
            return super().read(size)

    slow = threading.Thread(target=ask, args=[application, "/fast"], kwargs={"wsgi.input": Slow(b"{}")})
    slow.start()
    assert begun.wait(PATIENT)
    second = threading.Thread(target=ask, args=[application, "/fast"])
    second.start()
    second.join(PATIENT / 3)
    assert not second.is_alive()
    sent.set()
    slow.join(PATIENT)
    assert ask(application, "/fast", b"x" * (lane.LARGEST + 1)) == b"x" * (lane.LARGEST + 1)
    assert ask(application, "/fast", b"y", CONTENT_LENGTH="") == b"y"


def test_a_fault_ends_a_turn() -> None:
    """The next is answered."""
    turns = iter((True, False))

    def application(_environ: Any, _start: Any) -> list[bytes]:
        if next(turns):
            raise RuntimeError("broken")
        return [b"fine"]

    one = lane.one_at_a_time(application, {"/fast"})
    with pytest.raises(RuntimeError, match="broken"):
        ask(one, "/fast")
    assert ask(one, "/fast") == b"fine"
