"""In and out."""

from __future__ import annotations

from flask import Blueprint, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.errors import NotAuthenticated, TooMany
from web import auth, security
from web.errors import status_of
from web.services import services, utcnow

blueprint = Blueprint("login", __name__)


@blueprint.get("/login")
@security.public
def page() -> ResponseReturnValue:
    """The form."""
    return render_template("login.html", next=security.safe_next(request.args.get("next")))


@blueprint.post("/login")
@security.public
def log_in() -> ResponseReturnValue:
    """Open a session; always a new one, so that a planted cookie is worth nothing."""
    target = security.safe_next(request.form.get("next"))
    try:
        token = _open()
    except (NotAuthenticated, TooMany) as error:
        email = request.form.get("email", "")
        page = render_template("login.html", next=target, email=email, error=error.message)
        return page, status_of(error)
    response = make_response(redirect(target, 303))
    security.set_cookie(response, token)
    return response


@blueprint.get("/session")
def alive() -> ResponseReturnValue:
    """204 while the session lives; a form asks before it is sent, so that nothing typed is lost."""
    return "", 204


@blueprint.post("/session")
@security.public
def again() -> ResponseReturnValue:
    """Log in from within a page: answers with the token its next requests must carry."""
    try:
        token = _open()
    except (NotAuthenticated, TooMany) as error:
        return jsonify(message=error.message), status_of(error)
    known = auth.recognise(services().database, services().config.security, token, utcnow())
    assert known is not None
    response = jsonify(csrf=known[1].csrf)
    security.set_cookie(response, token)
    return response


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    with services().database.begin() as session:
        auth.log_out(session, security.browser().id)
    response = make_response(redirect(url_for("login.page"), 303))
    response.delete_cookie(security.cookie_name(), path="/", secure=security.is_https(), httponly=True, samesite="Lax")
    return response


def _open() -> str:
    security.refuse_cross_site()
    return auth.log_in(
        services().database,
        services().config.security,
        request.form.get("email", ""),
        request.form.get("password", ""),
        address=request.remote_addr or "",
        browser=request.headers.get("User-Agent", ""),
        now=utcnow(),
        former=request.cookies.get(security.cookie_name(), ""),
    )
