"""What every answer of the storefront carries and every form must show."""

from __future__ import annotations

import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request
from flask import session as cookie

from web.demo.storefront.settings import Settings

MOST_BYTES: Final = 16_384  # of a form
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def policy(rapport: str) -> str:
    """Nothing from anywhere but here and, for the snippet and what it asks, Rapport."""
    place = urlsplit(rapport)
    origin = f"{place.scheme}://{place.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {origin}",
            f"style-src 'self' {origin}",
            "img-src 'self' data:",
            f"connect-src {origin}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def register(app: Flask, settings: Settings) -> None:
    """Guard all views of `app`."""
    app.secret_key = settings.cookie_key
    app.config.update(
        MAX_CONTENT_LENGTH=MOST_BYTES,
        MAX_FORM_PARTS=200,
        SESSION_COOKIE_NAME="storefront",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.url.startswith("https://"),
    )
    csp = policy(settings.rapport)

    @app.before_request
    def check() -> None:
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_form(settings)

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in {**HEADERS, "Content-Security-Policy": csp}.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    app.jinja_env.globals["csrf"] = csrf


def csrf() -> str:
    """The word that a form of this browser carries."""
    word = cookie.get("csrf")
    if not isinstance(word, str):
        word = cookie["csrf"] = secrets.token_urlsafe(18)
    return word


def _check_form(settings: Settings) -> None:
    origin = request.headers.get("Origin")
    foreign = origin is not None and origin not in (settings.url, f"http://{request.host}")
    if foreign or request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403)
    given, expected = request.form.get("csrf", ""), cookie.get("csrf")
    if not isinstance(expected, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        abort(403)
