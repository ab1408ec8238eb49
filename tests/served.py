"""`rapport serve` as a process of its own, with a key for programs; it can be killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.database import Database
from web.api import access
from web.services import utcnow


class Served:
    """A running server over the workspace and database of `config`; a context manager."""

    def __init__(self, config: Config, database: Database, **settings: str) -> None:
        """`settings`: more of the environment, such as RAPPORT_SERVER__WORKERS="2"."""
        with database.begin() as session:
            key = access.add_key(session, "served", list(access.SCOPES), now=utcnow())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._environment = {
            **os.environ,
            "RAPPORT_WORKSPACE__PATH": str(config.folder),
            "RAPPORT_DATABASE__URL": database.url.render_as_string(hide_password=False),
            "RAPPORT_SERVER__PORT": str(self.port),
            "RAPPORT_LOG__LEVEL": "warning",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()

    def start(self) -> None:
        """Serve, and wait until it answers."""
        self._process = subprocess.Popen([sys.executable, "-m", "web.cli", "serve"], env=self._environment)
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def processes(self) -> list[int]:
        """The server's, its workers first."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [*map(int, children.split()), self._process.pid]

    def kill(self) -> None:
        """kill -9, its workers first: nobody hears of it."""
        assert self._process
        for number in self.processes()[:-1]:
            os.kill(number, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def client(self) -> http.client.HTTPConnection:
        """A connection that is kept open."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def post(self, client: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        client.request("POST", path, body, self.headers)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())

    def _answers(self) -> bool:
        client = self.client()
        try:
            client.request("GET", "/health")
            return client.getresponse().status == 200
        except OSError:
            return False
        finally:
            client.close()
