"""Signed links: what a public address may do stands in it, and nobody else can write one.

A token is `part.part.mac`; the mac is HMAC-SHA256 (RFC 2104) over the purpose and the parts, cut to 128 bits
(RFC 2104 section 5), under a key that is made once and kept in the database: whichever host writes a message, every
other one can read its links.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, cast

from sqlalchemy import Table, select

from campaigns.models import Secret
from engine.config import Config
from engine.database import Database, insert_new
from engine.errors import ConfigError, NotFound

Purpose = Literal["open", "click", "unsubscribe", "view", "message", "form", "confirm", "call", "visitor"]

NAME: Final = "links"  # of the key among the database's secrets
KEY_BYTES: Final = 32
MAC_BYTES: Final = 16


class Signer:
    """Writes tokens with one key; reads also those of `older` keys."""

    def __init__(self, key: bytes, *older: bytes) -> None:
        self._key = key
        self._keys = (key, *older)

    def sign(self, purpose: Purpose, *parts: int | str) -> str:
        """A token that says `parts` and is good for `purpose` only. Parts hold no dot."""
        payload = ".".join(map(str, parts))
        return f"{payload}.{_mac(self._key, purpose, payload)}"

    def read(self, purpose: Purpose, token: str) -> list[str]:
        """The parts of a token; raises NotFound when one bit of it is not ours."""
        payload, _, mac = token.rpartition(".")
        if not any(hmac.compare_digest(_mac(key, purpose, payload).encode(), mac.encode()) for key in self._keys):
            raise NotFound("This link is not valid. Copy it again, whole, from the message.")
        return payload.split(".")


def _mac(key: bytes, purpose: str, payload: str) -> str:
    digest = hmac.digest(key, f"{purpose}.{payload}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:MAC_BYTES]).rstrip(b"=").decode()


def signer(config: Config) -> Signer:
    """The signer that all processes on this database share; a process asks for the key once."""
    return _signer(config.database_url, config.folder / "secret.key")


@lru_cache(maxsize=32)
def _signer(url: str, file: Path) -> Signer:
    """Signs with the key in the database, which is made at the first call. Links that were signed with an older key,
    kept in a file of the workspace, stay good; the first file to come by becomes the database's key.
    """
    older = _read(file)
    database = Database(url)
    try:
        key = _shared(database) or _share(database, (older or secrets.token_bytes(KEY_BYTES)).hex())
    finally:
        database.close()
    return Signer(bytes.fromhex(key), *([older] if older else []))


def _read(file: Path) -> bytes | None:
    try:
        key = file.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != KEY_BYTES:  # a cut-off restore; whoever guesses a short key writes links of ours
        raise ConfigError(f"{file.name} in the workspace holds no whole key: restore it from a backup or remove it.")
    return key


def _shared(database: Database) -> str | None:
    with database.read() as session:
        return session.scalar(select(Secret.value).where(Secret.name == NAME))


def _share(database: Database, key: str) -> str:
    """Offer `key` to all processes and return the one that counts: of two that come together, the first's."""
    with database.begin() as session:
        insert_new(session, cast(Table, Secret.__table__), [{"name": NAME, "value": key}], ["name"])
    with database.read() as session:
        return session.scalars(select(Secret.value).where(Secret.name == NAME)).one()
