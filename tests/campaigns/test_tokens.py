"""Signed links: good for one purpose, unforgeable, one key per workspace."""

from __future__ import annotations

import stat
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import tokens
from campaigns.tokens import Signer
from engine import config as settings
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


def test_half_a_key_signs_nothing(tmp_path: Path) -> None:
    """A cut-off file is an error that says what to do, not a key that can be guessed."""
    (tmp_path / "secret.key").write_bytes(b"")
    with pytest.raises(ConfigError, match="restore it"):
        tokens.signer(settings.build({"workspace": {"path": str(tmp_path)}}))


def test_the_key_is_private_and_made_once(tmp_path: Path) -> None:
    """Many processes at once end up with one key of 32 bytes that only the owner reads."""
    path = tmp_path / "secret.key"
    barrier = Barrier(8)
    keys: list[str] = []

    def work() -> None:
        barrier.wait()
        keys.append(tokens._signer.__wrapped__(path).sign("open", 1))

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert tokens.signer(settings.build({"workspace": {"path": str(tmp_path)}})).sign("open", 1) == keys[0]
