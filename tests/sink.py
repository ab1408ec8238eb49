"""A mail server that does what real ones do on bad days. It writes down every accepted Message-ID before it answers.

Run as a process of its own (`python -m tests.sink LOG [fault=value ...]`): it prints its port and serves until its
standard input ends.
Faults: drop_after, drop_before (of the answer to the final dot; shares), busy (421 at the greeting; share), grey=1
(every recipient is refused once), latency, idle (seconds until the answer, until it hangs up after a message), login=1
(nobody may log in). A recipient whose address begins with a word of ANSWERS gets that answer.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

ANSWERS = {  # address prefix -> (command, answer)
    "bad": ("RCPT", b"550 5.1.1 no such user"),
    "later": ("RCPT", b"451 4.7.1 come back later"),
    "full": (".", b"452 4.2.2 mailbox full"),
    "rude": (".", b"554 5.7.1 we do not like this"),
    "policy": (".", b"550 5.7.26 this mail is unauthenticated"),
    "leaving": (".", b"421 4.3.2 shutting down"),
    "dropafter": (".", b"after"),
    "dropbefore": (".", b"before"),
}


class Sink:
    """The server as a child process with a log file."""

    def __init__(self, log: Path, **faults: float) -> None:
        self.log = log
        self.log.touch()
        self._command = [sys.executable, "-m", "tests.sink", str(log), *(f"{k}={v}" for k, v in faults.items())]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def accepted(self) -> Counter[int]:
        """How often each send number arrived."""
        return accepted(self.log)


def accepted(log: Path) -> Counter[int]:
    """How often each send number stands in a log."""
    lines = log.read_text(encoding="ascii").splitlines()
    return Counter(int(line.split(".", 1)[0].removeprefix("<")) for line in lines if line)


class Server:
    """What all connections share."""

    def __init__(self, log: Path, faults: dict[str, float]) -> None:
        self.log = log.open("a", buffering=1, encoding="ascii")
        self.faults = faults
        self.seen: set[bytes] = set()
        self.random = random.Random(1)

    def happens(self, fault: str) -> bool:
        return self.random.random() < self.faults.get(fault, 0)


class Connection(asyncio.Protocol):
    """One SMTP connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = b""
        self.in_data = False
        self.fate: tuple[str, bytes] = ("", b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.server.happens("busy"):
            self.say(b"421 4.3.2 too busy")
            transport.close()
        else:
            self.say(b"220 sink ESMTP")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while not self.transport.is_closing():
            content, end, rest = self.buffer.partition(b"\r\n.\r\n" if self.in_data else b"\r\n")
            if not end:
                return
            self.buffer = rest
            if self.in_data:
                self.in_data = False
                self.message(content)
            else:
                self.command(content)

    def command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.say(b"250-sink\r\n250 AUTH PLAIN" if self.server.faults.get("login") else b"250 sink")
        elif verb == b"AUTH":
            self.say(b"535 5.7.8 who are you")
        elif verb == b"RCPT":
            self.recipient(line)
        elif verb == b"DATA":
            self.in_data = True
            self.say(b"354 go on")
        elif verb == b"QUIT":
            self.say(b"221 bye")
            self.transport.close()
        else:
            self.say(b"250 2.0.0 ok")

    def recipient(self, line: bytes) -> None:
        address = line[9:-1]
        self.fate = next((fate for word, fate in ANSWERS.items() if address.startswith(word.encode())), ("", b""))
        if self.fate[0] == "RCPT":
            self.say(self.fate[1])
        elif self.server.faults.get("grey") and address not in self.server.seen:
            self.server.seen.add(address)
            self.say(b"451 4.7.1 greylisted")
        else:
            self.say(b"250 2.1.5 ok")

    def message(self, content: bytes) -> None:
        at, answer = self.fate
        if answer == b"before" or self.server.happens("drop_before"):
            self.transport.abort()
            return
        if at == "." and answer != b"after":
            self.say(answer)
            return
        message_id = next(
            line[11:].strip() for line in content.split(b"\r\n", 20) if line.lower().startswith(b"message-id:")
        )
        self.server.log.write(f"{message_id.decode('ascii')} {time.time():.6f}\n")
        if answer == b"after" or self.server.happens("drop_after"):
            self.transport.abort()
        elif latency := self.server.faults.get("latency"):
            asyncio.get_running_loop().call_later(latency, self.say, b"250 2.0.0 queued")
        else:
            self.say(b"250 2.0.0 queued as 7")
        if idle := self.server.faults.get("idle"):
            asyncio.get_running_loop().call_later(idle, self.transport.close)

    def say(self, line: bytes) -> None:
        self.transport.write(line + b"\r\n")


async def serve(log: Path, faults: dict[str, float]) -> None:
    """Listen on a free port of the loopback and say which."""
    shared = Server(log, faults)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shared), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the parent ends, however it ends
    server.close()


if __name__ == "__main__":
    given = (fault.split("=") for fault in sys.argv[2:])
    asyncio.run(serve(Path(sys.argv[1]), {name: float(value) for name, value in given}))
