"""Flyers: codes to print, where they lead, who followed them."""

from __future__ import annotations

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from engine.errors import Conflict, Invalid
from engine.models import Flyer
from engine.sources import figures
from engine.sources import flyers as core
from web.errors import status_of
from web.pages.sources.door import blueprint
from web.services import services, utcnow
from web.shell import toast


@blueprint.get("/flyers")
def flyers() -> ResponseReturnValue:
    """All codes with their figures, and a form for a new one."""
    return _page()


@blueprint.post("/flyers")
def save_flyer() -> ResponseReturnValue:
    """Make a code."""
    try:
        with services().database.begin() as session:
            made = core.make(session, *_given(), request.form.get("code", ""), now=utcnow(), own=_own())
    except (Invalid, Conflict) as error:
        return _page(fault=error), status_of(error)
    toast(gettext("The code %(code)s is ready to print", code=made.code))
    return redirect(url_for(".flyer", flyer_id=made.id), 303)


@blueprint.get("/flyers/<int:flyer_id>")
def flyer(flyer_id: int) -> ResponseReturnValue:
    """One code: to print, to change, and what it brought."""
    return _one(flyer_id)


@blueprint.post("/flyers/<int:flyer_id>")
def change_flyer(flyer_id: int) -> ResponseReturnValue:
    """Another name or target; the printed code stays."""
    try:
        with services().database.begin() as session:
            core.change(session, flyer_id, *_given(), now=utcnow(), own=_own())
    except Invalid as error:
        return _one(flyer_id, fault=error), 422
    toast(gettext("Saved; the printed code leads there from now on"))
    return redirect(url_for(".flyer", flyer_id=flyer_id), 303)


@blueprint.post("/flyers/<int:flyer_id>/close")
def close_flyer(flyer_id: int) -> ResponseReturnValue:
    """Let the code lead nowhere, or open it again."""
    shut = request.form.get("open") != "1"
    with services().database.begin() as session:
        core.close(session, flyer_id, now=utcnow() if shut else None)
    toast(gettext("Closed; whoever scans it is told so") if shut else gettext("Open again"))
    return redirect(url_for(".flyer", flyer_id=flyer_id), 303)


@blueprint.get("/flyers/<int:flyer_id>/<any(svg, png):kind>")
def flyer_code(flyer_id: int, kind: str) -> Response:
    """The QR code as a picture; to keep with ?download=1."""
    with services().database.read() as session:
        found = core.get(session, flyer_id)
    drawn, mimetype = {"svg": (core.svg, "image/svg+xml"), "png": (core.png, "image/png")}[kind]
    response = Response(drawn(address(found)), mimetype=mimetype)
    if request.args.get("download"):
        response.headers["Content-Disposition"] = f"attachment; filename={found.code}.{kind}"
    return response


@blueprint.get("/flyers/print")
def print_flyers() -> ResponseReturnValue:
    """A sheet of codes: the open ones, or those that were chosen."""
    chosen = {int(number) for number in request.args.getlist("id") if number.isdecimal() and len(number) < 19}
    with services().database.read() as session:
        rows = [row for row in core.every(session) if (row.id in chosen if chosen else row.closed_at is None)]
    return render_template("sources/print.html", flyers=rows[:200], address=address)


def address(flyer: Flyer) -> str:
    """The short public link of a code."""
    return f"{_own().rstrip('/')}/q/{flyer.code}"


def _page(fault: Invalid | Conflict | None = None) -> str:
    with services().database.read() as session:
        rows = core.every(session)
    told = figures.of_flyers(services().warehouse, utcnow())
    return render_template(
        "sources/flyers.html", flyers=rows, told=told, fault=fault, given=request.form, address=address
    )


def _one(flyer_id: int, fault: Invalid | None = None) -> str:
    with services().database.read() as session:
        found = core.get(session, flyer_id)
    told = figures.of_flyers(services().warehouse, utcnow()).get(found.code)
    return render_template(
        "sources/flyer.html",
        flyer=found,
        told=told,
        fault=fault,
        given=request.form if fault else None,
        address=address(found),
    )


def _given() -> tuple[str, str]:
    """Name and target."""
    return request.form.get("name", ""), request.form.get("target", "")


def _own() -> str:
    """Where the forms are."""
    return services().config.server.public_url
