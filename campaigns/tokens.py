"""Signed links: what a public address may do stands in it, and nobody else can write one.

A token is `part.part.mac`; the mac is HMAC-SHA256 (RFC 2104) over the purpose and the parts, cut to 128 bits
(RFC 2104 section 5), under a key that is created once per workspace and never leaves it.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import secrets
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from engine.config import Config
from engine.errors import ConfigError, NotFound

Purpose = Literal["open", "click", "unsubscribe", "view", "message"]

KEY_BYTES: Final = 32
MAC_BYTES: Final = 16


class Signer:
    """Writes and reads tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, purpose: Purpose, *parts: int | str) -> str:
        """A token that says `parts` and is good for `purpose` only. Parts hold no dot."""
        payload = ".".join(map(str, parts))
        return f"{payload}.{self._mac(purpose, payload)}"

    def read(self, purpose: Purpose, token: str) -> list[str]:
        """The parts of a token; raises NotFound when one bit of it is not ours."""
        payload, _, mac = token.rpartition(".")
        if not hmac.compare_digest(self._mac(purpose, payload).encode(), mac.encode()):
            raise NotFound("This link is not valid. Copy it again, whole, from the message.")
        return payload.split(".")

    def _mac(self, purpose: str, payload: str) -> str:
        digest = hmac.digest(self._key, f"{purpose}.{payload}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:MAC_BYTES]).rstrip(b"=").decode()


def signer(config: Config) -> Signer:
    """The workspace's signer."""
    return _signer(config.folder / "secret.key")


@lru_cache(maxsize=32)
def _signer(path: Path) -> Signer:
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            _create(path)
    key = path.read_bytes()
    if len(key) < KEY_BYTES:  # a cut-off restore; whoever guesses a short key writes links of ours
        raise ConfigError(f"{path.name} in the workspace holds no whole key: restore it from a backup.")
    return Signer(key)


def _create(path: Path) -> None:
    """Write a new key (mode 0600) and give it its name at once: of two processes, the later takes the earlier's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix="secret.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        os.link(name, path)
    finally:
        Path(name).unlink()
