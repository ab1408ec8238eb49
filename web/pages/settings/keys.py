"""Keys of programs, which are secret, and of web pages, which are not."""

from __future__ import annotations

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from engine.errors import Invalid
from recommender import placements
from web import origins
from web.api import access
from web.models import ApiKey
from web.pages.settings.door import blueprint
from web.services import services, utcnow
from web.shell import toast


@blueprint.get("/keys")
def keys() -> ResponseReturnValue:
    """Keys in use and forms for new ones."""
    return _keys()


@blueprint.post("/keys")
def add_key() -> ResponseReturnValue:
    """Make a key; this answer is the only one that shows it."""
    try:
        with services().database.begin() as session:
            made = access.add_key(session, request.form.get("name", ""), request.form.getlist("scopes"), now=utcnow())
    except Invalid as error:
        return _keys(fault=error), 422
    return _keys(made=made), 201


@blueprint.post("/keys/<prefix>/revoke")
def revoke_key(prefix: str) -> ResponseReturnValue:
    """End a key."""
    with services().database.begin() as session:
        access.revoke_key(session, prefix, now=utcnow())
    toast(gettext("The key is revoked. Programs and pages that use it are refused from now on."))
    return redirect(url_for("settings.keys"), 303)


@blueprint.post("/keys/pages")
def add_browser_key() -> ResponseReturnValue:
    """Make a key of web pages; its page shows what to write into them."""
    try:
        with services().database.begin() as session:
            made = access.add_browser_key(session, request.form.get("shop", ""), _origins(), now=utcnow())
    except Invalid as error:
        return _keys(page_fault=error), 422
    return redirect(url_for("settings.browser_key", prefix=made), 303)


@blueprint.get("/keys/pages/<prefix>")
def browser_key(prefix: str) -> ResponseReturnValue:
    """What to write into the shop's pages, and where the key works."""
    return _browser_key(prefix)


@blueprint.post("/keys/pages/<prefix>")
def save_browser_key(prefix: str) -> ResponseReturnValue:
    """Change where the key works."""
    try:
        with services().database.begin() as session:
            access.browser_key(session, prefix).origins = origins.read(_origins())
    except Invalid as error:
        return _browser_key(prefix, fault=error), 422
    toast(gettext("Saved"))
    return redirect(url_for("settings.browser_key", prefix=prefix), 303)


def _origins() -> list[str]:
    return request.form.get("origins", "").split()


def _keys(made: str | None = None, fault: Invalid | None = None, page_fault: Invalid | None = None) -> str:
    with services().database.read() as session:
        known = session.scalars(select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.id.desc())).all()
    return render_template(
        "settings/keys.html", keys=known, scopes=access.SCOPES, made=made, fault=fault, page_fault=page_fault
    )


def _browser_key(prefix: str, fault: Invalid | None = None) -> str:
    config = services().config
    with services().database.read() as session:
        key, plans = access.browser_key(session, prefix), placements.read(session)
    return render_template(
        "settings/browser_key.html",
        key=key,
        plans=plans.values(),
        address=config.server.public_url.rstrip("/"),
        consent=config.tracking.consent,
        origins=request.form.get("origins", "\n".join(key.origins or ())),
        fault=fault,
    )
