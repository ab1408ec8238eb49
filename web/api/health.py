"""What operators ask: is the process alive, can it work, how is it doing."""

from __future__ import annotations

from apiflask import APIFlask
from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from engine import schema
from engine.errors import NotAllowed, NotAuthenticated
from web.api.access import key_of_request
from web.security import public
from web.services import services


def register(app: APIFlask) -> None:
    """Add the three addresses outside /api, where probes look for them."""
    for view in (health, ready, metrics):
        app.add_url_rule(f"/{view.__name__}", view.__name__, app.doc(hide=True)(public(view)))


def health() -> ResponseReturnValue:
    """The process answers; nothing else is looked at, so a slow database does not get it restarted."""
    return jsonify(status="alive")


def ready() -> ResponseReturnValue:
    """The database is at the right version and the warehouse can be read; 503 with the reason otherwise."""
    schema.check(services().database)
    as_of = services().warehouse.as_of
    return jsonify(status="ready", warehouse=as_of.isoformat() if as_of else None)


def metrics() -> Response:
    """Prometheus figures for a key with metrics:read; behind a proxy everybody seems to come from this machine."""
    key = key_of_request()
    if key is None:
        raise NotAuthenticated("Send an API key with the scope metrics:read as 'Authorization: Bearer ...'.")
    if "metrics:read" not in key.scopes:
        raise NotAllowed("This key lacks the scope metrics:read.")
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
