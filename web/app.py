"""The web application: doors are added here, nothing else happens here."""

from __future__ import annotations

from apiflask import APIFlask
from werkzeug.middleware.proxy_fix import ProxyFix

from web import (
    api,
    charts,
    collect,
    errors,
    hooks,
    housekeeping,
    lane,
    limits,
    log,
    pages,
    public,
    reports,
    security,
    shell,
)
from web import format as formats
from web.api import health
from web.assets import serving
from web.services import EXTENSION, Services
from web.turns import Turns


def create_app(services: Services) -> APIFlask:
    """A WSGI application over open services."""
    app = APIFlask(
        __name__,
        title="Rapport",
        json_errors=False,
        spec_path=None,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]  # web.assets.serving does it
    )
    app.extensions[EXTENSION] = services
    services.warehouse.guard = Turns(services.config)
    app.config["MAX_CONTENT_LENGTH"] = services.config.intake.max_request_mb * 2**20
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    housekeeping.register()
    doors = (reports, pages, public, hooks, collect, api)
    for part in (log, limits, lane, security, errors, shell, formats, charts, serving, health, *doors):
        part.register(app)
    if services.config.server.behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]  # one proxy's -For and -Proto
    return app
