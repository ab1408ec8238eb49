"""The storefront as a WSGI application. Its process: `python -m web.demo.storefront SETTINGS`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from babel.numbers import format_currency
from flask import Flask, Response, render_template, request
from flask import session as cookie
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from engine.database import Database
from engine.money import to_decimal
from web import lifeline
from web.assets.serving import DIST, Assets, built_file
from web.demo.storefront import cart, checkout, guard, pages, people, pictures, shelves, store
from web.demo.storefront import settings as given
from web.demo.storefront.rapport import Teller
from web.demo.storefront.sets import Sets
from web.demo.storefront.settings import Settings
from web.demo.storefront.shop import EXTENSION, Shop, shop

FAULTS: Final = {  # title and what to do
    400: ("That did not come through", "Go back and try once more."),
    403: ("This page was out of date", "Load it again and repeat what you did."),
    404: ("There is nothing on this shelf", "It may have moved, or it was never here."),
    405: ("That is not how this works", "Go back and use the buttons of the page."),
    413: ("That is more than fits in a form", "Go back and shorten it."),
}


def create() -> Flask:
    """The application of the server's process, told by the environment where its settings are."""
    lifeline.follow_parent()
    app = create_app(given.read(Path(os.environ[given.VARIABLE])))
    app.extensions[EXTENSION].teller.start()
    return app


def create_app(settings: Settings) -> Flask:
    """Pages over the shop's database; nobody tells Rapport of orders until its `teller` is started."""
    app = Flask(__name__, static_folder=None)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    database = Database(settings.store)
    store.prepare(database)
    with database.read() as session:
        found = shelves.read(session)
    app.extensions[EXTENSION] = Shop(settings, database, found, Teller(settings, database), Sets(settings))
    guard.register(app, settings)
    for part in (pages, checkout, people):
        app.register_blueprint(part.blueprint)
    app.add_url_rule("/pictures/<key>.svg", "picture", _picture)
    app.add_url_rule("/static/<path:name>", "static_file", lambda name: built_file(DIST, name))
    assets = Assets(DIST)
    app.jinja_env.globals.update(assets=assets, icon=assets.icon)
    app.add_template_filter(_money, "money")
    app.context_processor(_frame)
    app.register_error_handler(HTTPException, _fault)
    return app


def _money(amount: int) -> str:
    return format_currency(to_decimal(amount), shop().settings.currency, locale="en_GB")


def _frame() -> dict[str, Any]:
    """What every page shows."""
    inside = cart.contents(shop().shelves)
    return {
        "settings": shop().settings,
        "departments": shop().shelves.departments,
        "in_cart": sum(inside.values()),
        "cart_keys": list(inside),
        "person": people.current(),
        "signature": people.signature(),
        "known": people.known(),
        "later": cookie.pop("later", []),
        "notice": cookie.pop("note", None),
        "forget": cookie.pop("forget", False),
    }


def _picture(key: str) -> ResponseReturnValue:
    item = shop().shelves.item(key)
    if item is None:
        return Response(status=404)
    response = Response(pictures.draw(item.title, item.category), mimetype="image/svg+xml")
    response.headers["Cache-Control"] = "public, max-age=86400"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # mails and Rapport's pages show it
    response.add_etag()
    return response.make_conditional(request)


def _fault(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    title, words = FAULTS.get(code, ("Something went wrong here", "It is our fault; please try again."))
    if code == 403:
        cookie.setdefault("csrf", guard.csrf())
    return render_template("fault.html", title=title, words=error.description if code == 422 else words), code
