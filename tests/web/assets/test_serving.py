"""The browser's files, served."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from web.app import create_app
from web.assets import serving
from web.assets.serving import Assets
from web.services import Services


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small build."""
    folder = tmp_path / "dist"
    folder.mkdir()
    files = {name: {"file": f"{Path(name).stem}-1{Path(name).suffix}", "imports": []} for name in FILES}
    (folder / "manifest.json").write_text(json.dumps({"stamp": "x", "files": files}))
    for name, content in FILES.items():
        (folder / str(files[name]["file"])).write_bytes(content)
    (folder / "app-1.js.gz").write_bytes(gzip.compress(FILES["app.js"], mtime=0))
    (folder / "app-1.js.br").write_bytes(b"brotli")
    monkeypatch.setattr(serving, "DIST", folder)
    return folder


FILES = {"app.js": b"run()", "theme.js": b"", "app.css": b"a{}", "icons.svg": b"<svg/>", "charts.js": b""}


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [("br, gzip", "br", b"brotli"), ("gzip", "gzip", gzip.compress(b"run()", mtime=0)), ("", None, b"run()")],
    ids=["br", "gzip", "none"],
)
def test_ready_compressed(dist: Path, services: Services, accepted: str, coding: str | None, body: bytes) -> None:
    """The best the browser takes, under the script's own type, for ever."""
    answer = _client(services).get("/static/app-1.js", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.data == body
    assert answer.mimetype == "text/javascript"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Vary"] == "Accept-Encoding"
    answer.close()


@pytest.mark.parametrize("name", ["nowhere.js", "../manifest.json", "..%2f..%2frapport.db", "%2fetc%2fpasswd"])
def test_nothing_else(dist: Path, services: Services, name: str) -> None:
    """Only files of the build."""
    assert _client(services).get(f"/static/{name}", follow_redirects=True).status_code == 404


def test_pages_without_a_build_say_so(services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Never a blank page."""
    monkeypatch.setattr(serving, "DIST", tmp_path / "nothing")
    answer = _client(services).get("/login")
    assert answer.status_code == 200
    assert "make assets" in answer.text


def test_unknown_names_are_a_clear_error(dist: Path) -> None:
    """A template that names a file which was not built fails with the remedy."""
    with pytest.raises(LookupError, match="make assets"):
        Assets(dist).url("nowhere.js")


def _client(services: Services) -> FlaskClient:
    return create_app(services).test_client()
