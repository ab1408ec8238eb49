"""Serve what build.py made: names through the manifest, ready compressed, cached for ever because names hold a hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apiflask import APIFlask
from flask import Response, abort, request, send_from_directory, url_for
from markupsafe import Markup

from web.security import public

DIST = Path(__file__).resolve().parents[1] / "static" / "dist"
SNIPPET = ("t.js", "t.css")
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


class Assets:
    """The manifest of one build; `built` is False when there is none and pages must say so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._files: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
        except FileNotFoundError:
            self._files = {}
        self.built = bool(self._files)

    def url(self, name: str) -> str:
        """The address of a file by the name of its source."""
        if name not in self._files:
            raise LookupError(f"There is no built file {name}: run `make assets` and start again.")
        return url_for("static_file", name=self._files[name]["file"])

    def parts(self, name: str) -> list[str]:
        """Addresses of what a script imports at once, to be loaded along with it."""
        return [url_for("static_file", name=file) for file in self._files[name]["imports"]]

    def islands(self) -> dict[str, str]:
        """Scripts that pages load on demand: {"charts": address}."""
        shell = {"app.js", "theme.js", "t.js", "demo-shop.js"}
        return {Path(name).stem: self.url(name) for name in self._files if name.endswith(".js") and name not in shell}

    def icon(self, name: str, kind: str = "") -> Markup:
        """An icon of the sprite; decoration, so a label belongs beside it or on its button."""
        if not self.built:
            return Markup()
        return Markup('<svg class="ico {}" aria-hidden="true"><use href="{}#{}"></use></svg>').format(
            kind, self.url("icons.svg"), name
        )


def register(app: APIFlask) -> None:
    """Serve the files and give templates `assets` and `icon`."""
    assets = Assets(DIST)
    app.jinja_env.globals.update(assets=assets, icon=assets.icon)

    @app.get("/static/<path:name>")
    @app.doc(hide=True)
    @public
    def static_file(name: str) -> Response:
        return built_file(assets.folder, name)

    @app.get(f"/<any({', '.join(SNIPPET)}):name>")
    @app.doc(hide=True)
    @public
    def snippet(name: str) -> Response:
        """The script and the style for a shop's pages: one address for ever, looked at anew every hour."""
        if not assets.built:
            abort(404)
        response = built_file(assets.folder, Path(assets.url(name)).name)
        response.headers["Cache-Control"] = "public, max-age=3600"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response


def built_file(folder: Path, name: str) -> Response:
    """A file of the build, compressed as the browser likes it; 404 for what is none."""
    if len(name) > 200 or not (folder / name).is_file():  # the kernel refuses to look for a name that is very long
        abort(404)
    accepted = set(request.accept_encodings.values())
    coding, ending = next(
        ((coding, end) for coding, end in ENCODINGS if coding in accepted and (folder / (name + end)).is_file()),
        ("", ""),
    )
    response = send_from_directory(folder, name + ending, mimetype=_kind(name), conditional=True)
    if coding:
        response.headers["Content-Encoding"] = coding
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _kind(name: str) -> str:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
    return kinds.get(Path(name).suffix, "text/plain")
