"""Printed codes as strangers follow them: scanned, or typed."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaigns.feedback import is_machine
from engine.models import Flyer
from engine.sources import flyers
from web import knocks, visitor
from web.public_words import of_browser, speaker, tag
from web.security import public as open_to_all
from web.services import services, utcnow

blueprint = Blueprint("flyers", __name__)

MOST: Final = 60  # scans noted from one address in ten minutes: a whole fair may share it

log = structlog.get_logger(__name__)


@blueprint.get("/q")
@open_to_all
def typed() -> ResponseReturnValue:
    """A page to type a code, for people who do not scan."""
    code = flyers.normal(request.args.get("code", ""))
    return redirect(url_for("public.flyers.scanned", code=code), 303) if code else _page("")


@blueprint.get("/q/<code>")
@open_to_all
def scanned(code: str) -> ResponseReturnValue:
    """On to the stored target; the scan is noted, whether or not it can be."""
    with services().database.read() as session:
        flyer = flyers.find(session, code)
    if flyer is None or flyer.closed_at:
        return _page("code_closed" if flyer else "code_unknown", flyers.normal(code)[:32]), 410 if flyer else 404
    if request.method != "GET" or _is_program():
        return redirect(flyers.destination(flyer, None))
    return _lead(flyer)


def _lead(flyer: Flyer) -> Response:
    """Note the scan for a browser that keeps its name, or that stays nameless when it wants to."""
    kept = visitor.may_keep()
    name = (visitor.current() if kept else None) or visitor.new()
    key = _note(flyer, name)
    ours = urlsplit(services().config.server.public_url).netloc == urlsplit(flyer.target).netloc
    handover = visitor.hand(key, name) if key and kept and not ours else None
    response = make_response(redirect(flyers.destination(flyer, handover)))
    if kept:
        visitor.keep(response, name)
    return response


def _is_program() -> bool:
    """Previews and prefetching are no readers."""
    return is_machine(request.headers.get("User-Agent"), None, utcnow()) or "Sec-Purpose" in request.headers


def _note(flyer: Flyer, name: str) -> str | None:
    """The key of the event. A failure is logged and never keeps a person from the page."""
    now = utcnow()
    try:
        if knocks.allowed("flyer", MOST, now):
            with services().database.begin() as session:
                return flyers.scan(session, flyer, name, now=now, config=services().config)
    except Exception:
        log.exception("scan not noted", flyer=flyer.id)
    return None


def _page(fault: str, code: str = "") -> str:
    language = of_browser()
    say = speaker(language)
    return render_template(
        "public/code.html",
        page_language=tag(language),
        say=say,
        fault=say(fault, code=code) if fault else "",
        code=code,
    )
