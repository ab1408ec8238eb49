"""The gate against what must not be committed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.committed import ROOT, faults


def _tracked(folder: Path, name: str, content: bytes) -> list[str]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-f", name], cwd=folder, check=True)
    return list(faults(folder))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lock.txt", b"https://registry.npm" + b"js.org/x"),
        ("notes.md", b"see /home" + b"/ann/shop"),
        ("a/node_modules/x.js", b""),
        ("web/static/dist/app.js", b""),
        ("lib.min.js", b""),
        ("lib.js", b"x" * 2000),
        ("data.csv", b"x" * 600_000),
        ("messages.mo", b""),
    ],
)
def test_each_kind_is_found(tmp_path: Path, name: str, content: bytes) -> None:
    """One line for each fault, beginning with the file."""
    assert [line.partition(":")[0] for line in _tracked(tmp_path, name, content)] == [name]


def test_ordinary_files_pass(tmp_path: Path) -> None:
    """Addresses of the web and folders in words are no fault."""
    assert _tracked(tmp_path, "docs/guide.md", b"Open https://shop.example/home/page or /work on it.") == []


def test_this_repository_is_clean() -> None:
    """What `make check` asks."""
    assert list(faults(ROOT)) == []
