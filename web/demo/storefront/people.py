"""Who is shopping. There are no passwords in this demonstration: one picks a person, and the page tells Rapport with
the signature of the shop's server (docs/tracking.md).
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue

from web.demo.storefront import store
from web.demo.storefront.rapport import Away, Rapport
from web.demo.storefront.shop import note, shop
from web.demo.storefront.store import Person

blueprint = Blueprint("people", __name__)
VISITOR: Final = "rapport_visitor"  # the snippet's cookie
_NAME: Final = re.compile(r"[\w-]{16,64}", re.ASCII)


def current() -> Person | None:
    """Who is signed in."""
    if "person" not in g:
        key = cookie.get("person")
        with shop().database.read() as session:
            g.person = store.person(session, key) if isinstance(key, str) else None
    found: Person | None = g.person
    return found


def known() -> str | None:
    """Whose timeline this visit is in: who is signed in, or who ordered last."""
    person = current()
    key = person.key if person else cookie.get("ordered_as")
    return key if isinstance(key, str) else None


def visitor() -> str:
    """The browser's name, if the visitor said yes to one."""
    given = request.cookies.get(VISITOR, "")
    return given if _NAME.fullmatch(given) else ""


def signature() -> str:
    """The shop's word for who is signed in."""
    person = current()
    return Rapport(shop().settings).signature(person.key) if person else ""


@blueprint.get("/people")
def index() -> ResponseReturnValue:
    """Some people of the demonstration."""
    with shop().database.read() as session:
        return render_template("people.html", faces=store.faces(session))


@blueprint.post("/people")
def enter() -> ResponseReturnValue:
    """Be one of them."""
    with shop().database.read() as session:
        wanted = next((one for one in store.faces(session) if one.key == request.form.get("person")), None)
    if wanted is None:
        abort(404)
    _forget()
    cookie["person"] = wanted.key
    note(f"Hello {wanted.first_name}. The shop now shows what suits you.")
    return redirect(url_for("pages.home"), 303)


@blueprint.post("/people/leave")
def leave() -> ResponseReturnValue:
    """Be a stranger again: the next page lets go of the browser's name, or the next person would inherit it."""
    _forget()
    cookie.pop("person", None)
    note("You are a stranger again.")
    return redirect(url_for("pages.home"), 303)


def _forget() -> None:
    if known() and visitor():
        cookie["forget"] = True
    cookie.pop("ordered_as", None)


@blueprint.get("/timeline")
def timeline() -> ResponseReturnValue:
    """To this person's page in Rapport; of a stranger, to the events as they come in."""
    key, base = known(), shop().settings.rapport
    if key is None:
        return redirect(f"{base}/sources/website")
    number = None
    with suppress(Away):
        number = Rapport(shop().settings).contact_id(key)
    return redirect(f"{base}/contacts/{number}" if number else f"{base}/contacts?q={key}")


@blueprint.get("/privacy")
def privacy() -> ResponseReturnValue:
    """What is remembered, and the two buttons."""
    return render_template("privacy.html")
