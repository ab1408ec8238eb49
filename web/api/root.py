"""The API as a whole: its nouns under one address, key and query checked before every view, one description."""

from __future__ import annotations

import re
import warnings
from typing import Any

from apiflask import APIBlueprint, APIFlask
from flask import current_app, jsonify, request
from flask.typing import ResponseReturnValue

from engine.errors import NotAuthenticated
from web import security
from web.api import (
    access,
    browsers,
    bundles,
    campaigns,
    comparisons,
    contacts,
    fields,
    identity,
    imports,
    intake,
    placements,
    query,
    recommendations,
    sources,
    why,
)
from web.services import services

NOUNS: tuple[APIBlueprint, ...] = (
    bundles.blueprint,
    campaigns.blueprint,
    comparisons.blueprint,
    contacts.blueprint,
    fields.blueprint,
    identity.blueprint,
    imports.blueprint,
    intake.blueprint,
    placements.blueprint,
    recommendations.blueprint,
    sources.blueprint,
    why.blueprint,  # that of lists
)

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "field"],
            "properties": {
                "code": {"type": "string", "example": "invalid", "description": "For programs; it never changes."},
                "message": {"type": "string", "description": "For people: what is wrong and what to do about it."},
                "field": {"type": "string", "nullable": True, "description": "The path to the fault."},
            },
        }
    },
}

# What each refusal means; an operation names those that can happen to it.
REFUSALS = {
    400: "The body is not JSON",
    401: "No valid key",
    403: "The key lacks the scope",
    404: "There is no such thing",
    409: "Somebody else was faster, or its state does not allow that; nothing was written",
    413: "The body is larger than this address takes",
    415: "The body is not application/json",
    429: "Too many calls from one address with a key of web pages",
    422: "What was given cannot be understood or stored; `field` tells where",
    503: "A part is not ready; the message says what brings it up",
}


def register(app: APIFlask) -> None:
    """Put the API on `app`."""
    api = APIBlueprint("api", __name__, url_prefix="/api/v1")
    api.before_request(browsers.preflight)
    api.before_request(_authenticate)
    api.after_request(browsers.share)
    api.before_request(query.check)
    api.get("/openapi.json")(api.doc(hide=True)(openapi))
    for noun in NOUNS:
        api.register_blueprint(noun)
    app.register_blueprint(api)
    app.config.update(AUTO_VALIDATION_ERROR_RESPONSE=False, AUTO_404_RESPONSE=False, AUTO_SERVERS=False)
    app.security_schemes = {"key": {"type": "http", "scheme": "bearer", "description": "prefix.secret"}}
    app.spec_processor(_completed)


def openapi() -> ResponseReturnValue:
    """The description of the API, for a key or a logged-in user."""
    with warnings.catch_warnings():  # APIFlask adds a schema by name that apispec has added as a part of another
        warnings.filterwarnings("ignore", message=".*has already been added to the spec")
        return jsonify(current_app.spec)  # type: ignore[attr-defined]  # our app is an APIFlask


def _authenticate() -> None:
    """A key before every view; the description may be read by whoever is logged in, too."""
    try:
        key = access.authenticate()
    except NotAuthenticated:
        if request.endpoint != "api.openapi" or not security.recognise():
            raise
        return
    if key.origins is not None:
        browsers.check(key)


def _completed(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
    """Keep what is under /api, and say for each operation which scope its key needs and how it may refuse."""
    assert isinstance(spec, dict)  # JSON, not YAML
    spec["paths"] = {path: operations for path, operations in spec["paths"].items() if path.startswith("/api/")}
    spec["servers"] = [{"url": services().config.server.public_url}]  # not what the header Host says
    spec["components"]["schemas"]["Error"] = ERROR
    for rule in current_app.url_map.iter_rules():
        view = current_app.view_functions[rule.endpoint]
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        operations = spec["paths"].get(path, {})
        for method in {name.lower() for name in rule.methods or ()} & operations.keys():
            operation = operations[method]
            operation["security"] = [{"key": [getattr(view, "scope", None)]}]
            for status in (*_statuses(operation, path), *getattr(view, "refusals", ())):
                own = {name: value for name, value in operation["responses"].get(str(status), {}).items() if value}
                operation["responses"][str(status)] = _refusal(status) | own
    return spec


def _statuses(operation: dict[str, Any], path: str) -> set[int]:
    """How any operation may refuse, and what follows from its address and its body."""
    statuses = {401, 403, 422, 503}
    if "{" in path:
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {400, 413, 415}
    return statuses


def _refusal(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": REFUSALS[status], "content": content}
