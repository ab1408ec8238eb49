"""What a request may be: how large, and of which letters. Looked at before anything reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import flask
from apiflask import APIFlask
from flask import Response, current_app, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import IntegerConverter

from engine.errors import Invalid, NotFound, TooLarge

PUBLIC: Final = 64 * 2**10  # bytes that a stranger may send: a log-in, a webhook, a report of a browser
API: Final = 2**20  # bytes of a call, except those that bring records (intake.max_request_mb)
BATCHES: Final = {"hooks.sendgrid"}  # a carrier's thousand events are larger than what a stranger says
LARGEST: Final = 2**63 - 1  # what a database can count to
VERSIONS: Final = 2**31 - 2  # what a column of versions can hold, and one more

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NUL: Final = "A NUL character cannot be stored; remove it."


class Parameters(ImmutableMultiDict[str, str]):
    """What a query or a form says; a number beyond 64 bits is none, so `type=int` gives what a database can take."""

    def get(  # type: ignore[override]  # five overloads say what this says
        self,
        key: str,
        default: Any = None,
        type: Any = None,  # noqa: A002  # the name is werkzeug's
    ) -> Any:
        """The first value of `key`, as `type`, or `default`."""
        return super().get(key, default, _whole if type is int else type)


class Request(flask.Request):
    """A request whose form holds no NUL, which PostgreSQL cannot store."""

    parameter_storage_class = Parameters

    def _load_form_data(self) -> None:
        super()._load_form_data()
        if any("\0" in value for values in self.form.listvalues() for value in values):
            raise Invalid(NUL)


class Number(IntegerConverter):
    """<int:...> of an address: plain digits within 64 bits; with others there is nothing at the address."""

    regex = "[0-9]{1,18}"


def register(app: APIFlask) -> None:
    """Put the limits on `app`; before its addresses are added."""
    app.request_class = Request
    app.url_map.converters["int"] = Number
    app.url_map.merge_slashes = False  # it would redirect "//" to an address made from the header Host
    app.before_request(_check)
    app.wsgi_app = _with_a_host(app.wsgi_app)  # type: ignore[method-assign, assignment]


def _with_a_host(application: WSGIApplication) -> WSGIApplication:
    """Refuse a header Host that can be none: Werkzeug fails on it before any handler of errors can answer."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ.get("HTTP_HOST", "").encode("idna")
        except UnicodeError:
            return Response("The header Host names no host.\n", 400, mimetype="text/plain")(environ, start_response)
        return application(environ, start_response)

    return answer


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST:
        raise ValueError(text)
    return number


def _check() -> None:
    if "\0" in request.path:
        raise NotFound("There is nothing at this address.")
    if b"%00" in request.query_string:
        raise Invalid(NUL)
    most = _most(request.endpoint)
    if most is not None:
        request.max_content_length = most
        if (request.content_length or 0) > most:
            raise TooLarge(f"This address takes at most {most // 2**10} KiB.")


def _most(endpoint: str | None) -> int | None:
    """Bytes a body may have; None: what the app says, MAX_CONTENT_LENGTH."""
    if endpoint in BATCHES:
        return API
    if endpoint is None or getattr(current_app.view_functions[endpoint], "is_public", False):
        return PUBLIC
    return API if endpoint.startswith("api.") and not endpoint.startswith("api.intake.") else None
