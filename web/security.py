"""What every answer carries and every request must show: headers, log-in by default, CSRF token.

A view needs a log-in unless it is marked `@public` or belongs to the API, which takes keys and no cookies.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Response, current_app, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.errors import NotAllowed
from web import auth, roles
from web.models import User, WebSession
from web.services import services, utcnow

View = TypeVar("View", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "report-uri /csp-report",
    )
)

# For HTML that somebody else wrote (a mail): no script, no form, no access to us, even when opened directly. Pictures
# come by https or from the shop's own pages, which on one's own machine have none.
FOREIGN_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data: https: {origins};"
    " style-src 'unsafe-inline'; frame-ancestors 'self'"
)

POLL = "X-Poll"  # a request of a timer, not of a person: in hx-headers beside every `hx-trigger="every ..."`

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def register(app: APIFlask) -> None:
    """Guard all views of `app`."""
    app.before_request(_guard)
    app.after_request(_headers)
    app.context_processor(lambda: {"may": may})


def public(view: View) -> View:
    """Mark a view that needs no log-in. It must not act by the cookie: it is not protected against CSRF."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def foreign(html: str) -> Response:
    """An answer with HTML that is not ours, locked into a sandbox; for previews in a frame."""
    response = make_response(html)
    response.headers["Content-Security-Policy"] = FOREIGN_POLICY.format(origins=services().config.shop.origins)
    return response


def user() -> User:
    """The logged-in user of this request."""
    found: User = g.user
    return found


def may(endpoint: str) -> bool:
    """Whether the logged-in user may do what this view does; templates show nothing else."""
    return "user" in g and roles.may(g.user.role, endpoint)


def browser() -> WebSession:
    """The session of this request."""
    found: WebSession = g.browser
    return found


def is_https() -> bool:
    """People reach this server over TLS."""
    return services().config.server.public_url.startswith("https://")


def cookie_name() -> str:
    """`__Host-` binds a cookie to this host, path / and TLS, so it exists only there."""
    return "__Host-rapport" if is_https() else "rapport"


def set_cookie(response: Response, token: str) -> None:
    """Hand the session's token to the browser."""
    response.set_cookie(cookie_name(), token, path="/", secure=is_https(), httponly=True, samesite="Lax")


def safe_next(target: str | None) -> str:
    """Where to go after log-in: a path of ours, or /. "//host", "/\\host" and their escaped forms lead elsewhere."""
    if not target or not target.startswith("/") or any(ord(letter) < 33 or letter == "\\" for letter in target):
        return "/"
    if target[1:].lower().startswith(("/", "%2f", "%5c")) or urlsplit(target).netloc:
        return "/"
    return target


def refuse_cross_site() -> None:
    """Refuse an unsafe request that another site made the browser send."""
    origin = request.headers.get("Origin")
    ours = {request.host, urlsplit(services().config.server.public_url).netloc}  # a proxy may write another Host
    foreign_origin = origin is not None and origin.partition("://")[2] not in ours  # urlsplit fails on "http://["
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"} or foreign_origin:
        raise NotAllowed("This request came from another site and was not carried out.")


def _guard() -> ResponseReturnValue | None:
    endpoint = request.endpoint
    if endpoint is None:  # an unknown address: the error page shows the navigation to those who are logged in
        recognise()
        return None
    if getattr(current_app.view_functions[endpoint], "is_public", False) or endpoint.startswith("api."):
        return None
    if not recognise():
        return _ask_to_log_in()
    if request.method not in SAFE_METHODS:
        _check_csrf()
    if not may(endpoint):
        raise NotAllowed(
            f"Only an administrator may do that: ask one, or run `rapport user role {user().email} admin`."
        )
    return None


def recognise() -> bool:
    """Look for a living session; True when there is one, then `user` and `browser` tell it."""
    token = request.cookies.get(cookie_name())
    if not token:
        return False
    active = POLL not in request.headers
    known = auth.recognise(services().database, services().config.security, token, utcnow(), active=active)
    if known is None:
        return False
    g.user, g.browser = known
    return True


def _check_csrf() -> None:
    refuse_cross_site()
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), browser().csrf.encode()):
        raise NotAllowed("The page was out of date. Load it again and repeat what you did.")


def _ask_to_log_in() -> ResponseReturnValue:
    """A page goes to the log-in; a part of a page is told by a header, and its script asks in place."""
    if request.headers.get("HX-Request"):
        return Response("", 401, {"X-Log-In": "1"})
    if request.method in SAFE_METHODS:
        return redirect(url_for("login.page", next=request.full_path.rstrip("?")), 303)
    return make_response(render_template("login.html", next="/", ended=True), 401)


def _headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", POLICY)
    if is_https():
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if "user" in g or "api_key" in g:
        response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def request_id() -> str:
    """A short name of this request, for the log and the error page."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(6)
    found: str = g.request_id
    return found
