"""Signed links: good for one purpose, unforgeable, one key for all hosts of a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import tokens
from campaigns.tokens import Signer
from engine.config import Config, DatabaseConfig, Workspace
from engine.errors import ConfigError, NotFound

KEY = b"k" * 32


def test_a_token_reads_back() -> None:
    """What was signed is what is read, for the same purpose and key only."""
    token = Signer(KEY).sign("click", 17, 4, "r9")
    assert Signer(KEY).read("click", token) == ["17", "4", "r9"]
    for signer, purpose in ((Signer(KEY), "open"), (Signer(b"o" * 32), "click")):
        with pytest.raises(NotFound):
            signer.read(purpose, token)  # type: ignore[arg-type]


@given(st.integers(0, 25), st.characters(codec="utf-8"))
def test_one_changed_letter_is_refused(place: int, letter: str) -> None:
    """No token that differs from ours is accepted, whatever stands in it."""
    token = Signer(KEY).sign("unsubscribe", 12)
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(NotFound):
            Signer(KEY).read("unsubscribe", changed)


@pytest.mark.parametrize("token", ["", ".", "12", "12.", ".".join("1" * 500), "é.é", "12.\x00"])
def test_nonsense_is_refused(token: str) -> None:
    """Anything that is no token is not found, without a traceback."""
    with pytest.raises(NotFound):
        Signer(KEY).read("view", token)


def _workspace(config: Config, folder: Path, key: bytes | None = None) -> Config:
    """Another host on the same database, with a workspace of its own."""
    folder.mkdir()
    if key is not None:
        (folder / "secret.key").write_bytes(key)
    return replace(config, workspace=Workspace(str(folder)), database=DatabaseConfig(config.database_url))


def _fresh(config: Config) -> Signer:
    """What a process that has just started gets."""
    return tokens._signer.__wrapped__(config.database_url, config.folder / "secret.key")


def test_half_a_key_signs_nothing(config: Config, tmp_path: Path) -> None:
    """A cut-off file is an error that says what to do, not a key that can be guessed."""
    with pytest.raises(ConfigError, match="restore it"):
        tokens.signer(_workspace(config, tmp_path / "cut", b""))


def test_hosts_of_one_database_have_one_key(config: Config, tmp_path: Path) -> None:
    """Workers and web servers that start together, each with a workspace of its own, read each other's links."""
    hosts = [_workspace(config, tmp_path / str(number)) for number in range(8)]
    barrier = Barrier(len(hosts))
    links: list[str] = []

    def work(host: Config) -> None:
        barrier.wait()
        links.append(_fresh(host).sign("unsubscribe", 1))

    threads = [Thread(target=work, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(links) == len(hosts)
    assert len(set(links)) == 1
    assert tokens.signer(config).read("unsubscribe", links[0]) == ["1"]
    assert not list(tmp_path.glob("**/secret*"))


def test_the_key_of_a_file_stays_good(config: Config, tmp_path: Path) -> None:
    """Links of before: the first file becomes everybody's key, and a host with another one still reads its own."""
    old, other = (Signer(letter * 32).sign("unsubscribe", 7) for letter in (b"a", b"b"))
    first = _fresh(_workspace(config, tmp_path / "first", b"a" * 32))
    second = _fresh(_workspace(config, tmp_path / "second", b"b" * 32))
    third = _fresh(_workspace(config, tmp_path / "third"))
    assert {signer.sign("unsubscribe", 7) for signer in (first, second, third)} == {old}
    assert second.read("unsubscribe", other) == ["7"]
    with pytest.raises(NotFound):
        third.read("unsubscribe", other)
