"""Errors on their way out: JSON of one shape for the API, a line for carriers, a page or a toast for people."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from engine import errors
from engine.errors import RapportError
from web.security import request_id

STATUS: dict[type[RapportError], int] = {
    errors.Invalid: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}

MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not answer to that method.",
    413: "That is more than one request may carry.",
}

WORDS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}

PROGRAMS = ("/api/", "/recommendations/playground/ask")  # read JSON; the second is the API's door on a page
CARRIERS = ("/hooks/", "/sms/")  # called by machines that show the answer in a log, if at all

log = structlog.get_logger(__name__)


def register(app: APIFlask) -> None:
    """Let `app` answer with our errors only."""
    app.error_processor(_api)  # type: ignore[arg-type]  # APIFlask's alias knows flask's Response only
    app.register_error_handler(RapportError, _rapport)
    app.register_error_handler(HTTPException, _http)  # after APIFlask's own, which loses the header Allow
    app.register_error_handler(Exception, _unexpected)


def status_of(error: RapportError) -> int:
    """The HTTP status of an error: its own or that of the nearest parent; a fault of the settings is ours (500)."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def _rapport(error: RapportError) -> ResponseReturnValue:
    answer = make_response(_answer(status_of(error), error.code, error.message, error.field))
    if isinstance(error, errors.Busy | errors.TooMany):
        answer.headers["Retry-After"] = str(error.seconds)
    return answer


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    status = error.code or 500
    message = MESSAGES.get(status) or error.description or HTTPStatus(status).phrase
    answer = make_response(_answer(status, WORDS.get(status, "error"), message, None))
    answer.headers.extend((name, value) for name, value in error.get_headers() if name in {"Allow", "Retry-After"})
    return answer


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.exception("request failed", route=str(request.url_rule), error=type(error).__name__)
    return _answer(500, "internal", "Something went wrong on our side. It has been logged; please try again.", None)


def _api(error: HTTPError) -> ResponseReturnValue:
    """APIFlask's own refusals (a body that does not fit its schema) in our shape."""
    field, message = _first_fault(error.detail)
    code = "invalid" if error.status_code == 422 else WORDS.get(error.status_code, "error")
    return _answer(error.status_code, code, message or str(error.message), field)


def _first_fault(detail: Any) -> tuple[str | None, str | None]:
    """The path and words of the first fault in marshmallow's nested messages."""
    path: list[str] = []
    while isinstance(detail, dict) and detail:
        key, detail = next(iter(detail.items()))
        path.append(str(key))
    message = detail[0] if isinstance(detail, list) and detail else None
    path = [part for part in path[1:] if part != "_schema"]  # marshmallow's name for the whole of an object
    return ".".join(path) or None, str(message) if message else None


def _answer(status: int, code: str, message: str, field: str | None) -> ResponseReturnValue:
    message, field = message[:1000], field and field[:250]  # they may quote what was sent
    if request.path.startswith(PROGRAMS):
        return jsonify(error={"code": code, "message": message, "field": field}), status
    if request.path.startswith(CARRIERS):
        return f"{message}\n", status, {"Content-Type": "text/plain; charset=utf-8"}
    name = "fragments/error.html" if request.headers.get("HX-Request") else "error.html"
    response = make_response(
        render_template(name, status=status, code=code, message=message, field=field, request_id=request_id()), status
    )
    if name.startswith("fragments/"):
        response.headers["HX-Retarget"] = "#toasts"
        response.headers["HX-Reswap"] = "beforeend"
    return response
