"""Run by `make check`: fails when git tracks something that must not be there.

Addresses of package registries (a mirror must be able to stand in for them), folders of somebody's machine, files
that a tool built or that belong to somebody else, and files over 500 kB.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 500_000

# Spelt in halves, so that this file does not find itself.
REGISTRIES = tuple(
    "".join(halves).encode()
    for halves in (
        ("registry.npm", "js.org"),
        ("npm", "mirror.com"),
        ("registry.yarn", "pkg.com"),
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("crates", ".io"),
        ("cdn.js", "delivr.net"),
        ("un", "pkg.com"),
        ("cdn", "js.cloudflare.com"),
    )
)
MACHINE = re.compile(rb"(?<![\w.])/(?:home/\w|Users/\w|root/|work/" + rb"(?:main|shared)|tmp/scr" + rb"atch)")
BUILT = re.compile(
    r"(^|/)(node_modules|\.venv|__pycache__|static/dist|dist|build|site-packages|vendor|third_party)/"
    r"|\.min\.(js|css)$|\.map$|\.(pyc|mo|whl|so|dll|exe|db|sqlite)$"
)


def faults(root: Path = ROOT) -> Iterator[str]:
    """One line for each fault."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (root / name).is_file():
            yield from (f"{name}: {fault}" for fault in _of_file(name, (root / name).read_bytes()))


def _of_file(name: str, content: bytes) -> Iterator[str]:
    if BUILT.search(name):
        yield "is built or belongs to somebody else"
    if len(content) > LARGEST:
        yield f"has {len(content):,} bytes, more than {LARGEST:,}"
    for registry in REGISTRIES:
        if registry in content:
            yield f"names the registry {registry.decode()}"
    for number, line in enumerate(content.splitlines(), 1):
        if MACHINE.search(line):
            yield f"line {number} names a folder of somebody's machine"
        if name.endswith((".js", ".css", ".mjs")) and len(line) > 1_000:
            yield f"line {number} looks minified ({len(line):,} letters)"


if __name__ == "__main__":
    found = list(faults())
    print("\n".join(found) or "committed: nothing that must not be there")
    sys.exit(bool(found))
