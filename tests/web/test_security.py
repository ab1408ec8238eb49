"""Headers, log-in by default, CSRF, open redirects."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.routing import Rule

import web
from web import security
from web.app import create_app
from web.models import WebSession
from web.services import Services, utcnow
from web.shell import NAVIGATION

# Views that need no log-in. Whoever adds one here has thought about who may call it.
PUBLIC_POSTS = {"collect.collect", "csp_report", "login.again", "login.log_in"}


def _address(rule: Rule) -> str:
    return re.sub(r"<[^>]+>", "1", re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule))


def test_every_view_asks_for_a_log_in(app: APIFlask, client: FlaskClient) -> None:
    """Unless it is marked public, a stranger gets the log-in from every page."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if getattr(view, "is_public", False) or rule.endpoint.startswith("api."):
            continue
        method = "GET" if "GET" in (rule.methods or ()) else "POST"
        status = client.open(_address(rule), method=method).status_code
        assert status == (303 if method == "GET" else 401), rule.rule


def test_every_api_view_asks_for_a_key(app: APIFlask, client: FlaskClient, marketer: FlaskClient) -> None:
    """A cookie is worth nothing there, and each view names the scope it needs."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi":
            method = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})[0]
            assert getattr(app.view_functions[rule.endpoint], "scope", None), rule.rule
            for browser in (client, marketer):
                assert browser.open(_address(rule), method=method).status_code == 401, rule.rule


def test_every_unsafe_page_view_needs_the_token(app: APIFlask, marketer: FlaskClient) -> None:
    """Log-out included; the public ones are listed above."""
    for rule in app.url_map.iter_rules():
        if not {"POST", "PUT", "PATCH", "DELETE"} & (rule.methods or set()) or rule.endpoint.startswith("api."):
            continue
        if getattr(app.view_functions[rule.endpoint], "is_public", False):
            assert rule.endpoint in PUBLIC_POSTS or rule.endpoint.startswith(("public.", "hooks.")), rule.endpoint
            continue
        answer = marketer.post(_address(rule), headers={"X-CSRF-Token": "guessed"})
        assert answer.status_code == 403, rule.rule


def test_token_in_the_form_is_as_good(marketer: FlaskClient) -> None:
    """A form without script carries it in a field."""
    token = marketer.headers.pop("X-CSRF-Token")  # type: ignore[attr-defined]
    assert marketer.post("/settings/profile", data={"name": "Mei"}).status_code == 403
    assert marketer.post("/settings/profile", data={"name": "Mei", "csrf": token}).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
def test_other_sites_are_refused(marketer: FlaskClient, headers: dict[str, str]) -> None:
    """Even with the right token, and at the log-in, which has none."""
    assert marketer.post("/logout", headers=headers).status_code == 403
    assert marketer.post("/login", headers=headers).status_code == 403


def test_our_own_address_is_ours_behind_a_proxy(marketer: FlaskClient, services: Services) -> None:
    """A proxy may ask by another Host; the browser names the address people reach."""
    ours = services.config.server.public_url
    headers = {"Host": "inside.example", "Origin": ours, "Sec-Fetch-Site": "same-origin"}
    assert marketer.post("/login", data={"email": "x", "password": "y"}, headers=headers).status_code != 403
    headers["Origin"] = "https://evil.example"
    assert marketer.post("/login", data={"email": "x", "password": "y"}, headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["x" * 64, "a..b", f"{'x' * 70}.example", "\xfc" * 60])
def test_a_host_that_is_none_is_refused(client: FlaskClient, host: str) -> None:
    """Before anything fails on it."""
    for path in ("/login", "/health", "/nowhere"):
        assert client.get(path, headers={"Host": host}).status_code == 400


def test_headers_on_every_answer(client: FlaskClient) -> None:
    """Pages, files, faults: the strict policy and no sniffing."""
    for address in ("/login", "/health", "/nowhere", "/static/nowhere.js"):
        headers = client.get(address).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in headers


def test_pages_are_not_kept_by_caches(marketer: FlaskClient, api: FlaskClient) -> None:
    """Neither a proxy nor the next user of a browser reads them."""
    assert marketer.get("/settings").headers["Cache-Control"] == "private, no-store"
    assert api.get("/api/v1/contacts").headers["Cache-Control"] == "private, no-store"


def test_over_tls(services: Services) -> None:
    """With an https address the cookie is bound to the host and HSTS is sent."""
    server = replace(services.config.server, public_url="https://rapport.example")
    app = create_app(replace(services, config=replace(services.config, server=server)))
    with app.test_request_context():
        assert security.cookie_name() == "__Host-rapport"
        answer = app.response_class()
        security.set_cookie(answer, "token")
    assert answer.headers["Set-Cookie"] == "__Host-rapport=token; Secure; HttpOnly; Path=/; SameSite=Lax"
    headers = app.test_client().get("/login").headers
    assert headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_cookie_is_out_of_reach(client: FlaskClient, services: Services) -> None:
    """HttpOnly, SameSite=Lax, path /."""
    response = client.post("/login", data={"email": "x", "password": "y"})
    assert "Set-Cookie" not in response.headers
    with client.application.test_request_context():
        answer = client.application.response_class()
        security.set_cookie(answer, "token")
    assert answer.headers["Set-Cookie"] == "rapport=token; HttpOnly; Path=/; SameSite=Lax"


@pytest.mark.parametrize(
    ("target", "goes"),
    [
        ("/lists?page=2", "/lists?page=2"),
        ("/lists/%2f", "/lists/%2f"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/%2f%2fevil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("https://evil.example", "/"),
        ("/\tevil", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_next_stays_in_the_house(target: str | None, goes: str) -> None:
    """After log-in nobody is sent to another site."""
    assert security.safe_next(target) == goes


def test_reports_are_counted(client: FlaskClient, api: FlaskClient) -> None:
    """The browser's reports of broken policies show in the figures."""
    assert client.post("/csp-report", data="{}").status_code == 204
    figures = api.get("/metrics").text
    assert "rapport_csp_reports_total" in figures


def test_polls_do_not_keep_a_session_alive(marketer: FlaskClient, services: Services) -> None:
    """A progress page left open over night logs out as any other page does; a click counts."""
    past = utcnow() - timedelta(minutes=10)
    with services.database.begin() as session:
        session.execute(update(WebSession).values(seen_at=past))
    for headers, kept in (({"X-Poll": "1"}, True), ({}, False)):
        assert marketer.get("/settings", headers=headers).status_code == 200
        with services.database.read() as session:
            assert (session.scalars(select(WebSession.seen_at)).one() == past) == kept


def test_every_timer_says_that_it_is_one() -> None:
    """Wherever a page asks by itself again and again, the request carries the header; "visible" asks for no page that
    nobody sees.
    """
    timers = [
        line
        for file in Path(web.__file__).parent.rglob("templates/**/*.html")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r'hx-trigger="[^"]*\bevery\b', line)
    ]
    assert timers
    told = re.compile(f"""hx-headers='{{"{security.POLL}": "(1|visible)"}}'""")
    assert [line for line in timers if not told.search(line)] == []


def test_foreign_html_is_locked_in(app: APIFlask) -> None:
    """A mail that is shown can run nothing and reach nothing, opened directly or in a frame."""
    with app.test_request_context():
        policy = security.foreign("<p>Hello</p>").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'")
    assert "script" not in policy


def test_navigation_names_pages_by_their_views(app: APIFlask) -> None:
    """What the navigation shows exists; nothing is registered that it does not know."""
    known = {link.endpoint.partition(".")[0] for _, links in NAVIGATION for link in links}
    known |= {"settings", "login", "search", "public", "hooks", "api", "collect", "tracking", "undo"}
    assert {name.partition(".")[0] for name in app.blueprints} - {"openapi"} <= known
