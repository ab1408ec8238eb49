"""Addresses that people's mail programs and browsers call: no log-in, no cookie; a signed token says what
may be done. GET changes nothing that a scanner following every link should not change: opening is noted, opting out
takes a POST (RFC 8058).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from apiflask import APIFlask
from flask import Blueprint, Response, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from campaigns import content, feedback, tokens
from campaigns.models import Send
from engine.errors import NotFound
from web import public_flyers, public_forms
from web.security import foreign
from web.security import public as open_to_all
from web.services import services, utcnow

blueprint = Blueprint("public", __name__)
for part in (public_forms, public_flyers):
    blueprint.register_blueprint(part.blueprint)
log = structlog.get_logger(__name__)

PIXEL: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def register(app: APIFlask) -> None:
    """Put the public addresses on `app`."""
    app.register_blueprint(blueprint)


@blueprint.get("/o/<token>.gif")
@open_to_all
def opened(token: str) -> Response:
    """The picture in a mail: noted as an open."""
    send_id, *shown_ids = _read("open", token)
    shown = {"recommendation_id": ".".join(shown_ids) or None, "user_agent": _program()}  # it holds dots
    if request.method == "GET":
        _note(lambda session, now: feedback.open(session, _number(send_id), **shown, now=now))
    response = make_response(PIXEL)
    response.content_type = "image/gif"
    return response


@blueprint.get("/c/<token>")
@open_to_all
def clicked(token: str) -> ResponseReturnValue:
    """A link in a message: on to the stored destination, whether or not the click can be noted."""
    send_id, target, *recommendation = _read("click", token)
    with services().database.read() as session:
        if recommendation:
            url = feedback.item_page(session, _number(target))
        else:
            url = feedback.destination(session, _number(send_id), _number(target))

    def note(session: Session, now: datetime) -> bool:
        numbers = _number(send_id), _number(target)
        if recommendation:
            *shown, source = recommendation
            return feedback.click_item(
                session,
                *numbers,
                recommendation_id=".".join(shown),
                source=source,
                user_agent=_program(),
                now=now,
            )
        return feedback.click(session, *numbers, user_agent=_program(), now=now)

    if request.method == "GET":
        _note(note)
    return redirect(url)


@blueprint.get("/u/<token>")
@open_to_all
def ask_to_unsubscribe(token: str) -> str:
    """A page with a button; programs that follow every link change nothing."""
    return render_template("public/unsubscribe.html", done=False, address=_address(token))


@blueprint.post("/u/<token>")
@open_to_all
def unsubscribe(token: str) -> str:
    """Opt out, at once: the button of the page, or a mail program's one click."""
    address = _address(token)
    how = "one-click" if request.form.get("List-Unsubscribe") == "One-Click" else "page"
    with services().database.begin() as session:
        feedback.unsubscribe(session, _number(_read("unsubscribe", token)[0]), how=how, now=utcnow())
    return render_template("public/unsubscribe.html", done=True, address=address)


@blueprint.get("/v/<token>")
@open_to_all
def view(token: str) -> Response:
    """The mail in a browser, filled in as of today."""
    ours = services()
    with ours.database.read() as session:
        send_id = _number(_read("view", token)[0])
        html = content.view(session, send_id, now=utcnow(), config=ours.config, recommender=ours.recommender)
    return foreign(html)


def _read(purpose: tokens.Purpose, token: str) -> list[str]:
    return tokens.signer(services().config).read(purpose, token)


def _number(part: str) -> int:
    if not part.isascii() or not part.isdigit():
        raise NotFound("This link is not valid.")
    return int(part)


def _address(token: str) -> str:
    """The address a token's message went to."""
    with services().database.read() as session:
        send = session.get(Send, _number(_read("unsubscribe", token)[0]))
        if send is None:
            raise NotFound("This message is no longer known; its address gets nothing more from us.")
        return send.address or ""


def _note(write: Callable[[Session, datetime], object]) -> None:
    """Write feedback; a failure is logged and never keeps a person from the page."""
    try:
        with services().database.begin() as session:
            write(session, utcnow())
    except Exception:
        log.exception("feedback not noted", endpoint=request.endpoint)


def _program() -> str | None:
    return request.headers.get("User-Agent", "")[:500] or None


@blueprint.after_request
def unkept(response: Response) -> Response:
    """Every answer here, refusals included, is one person's: kept by nothing between us and them, found by no search
    engine, and its address, which lets whoever knows it opt them out, not told on to where they go.
    """
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
