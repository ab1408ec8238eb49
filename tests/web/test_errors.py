"""Errors on their way out."""

from __future__ import annotations

import pytest
from apiflask import APIFlask, Schema
from apiflask.fields import Integer, List, Nested

from engine import errors
from engine.errors import RapportError
from web.errors import status_of


class _Row(Schema):
    n = Integer()


class _Rows(Schema):
    rows = List(Nested(_Row))


@pytest.fixture
def app(app: APIFlask) -> APIFlask:
    """The application with views that fail in every way."""

    @app.get("/api/fail/<name>")
    @app.get("/fail/<name>")
    def fail(name: str) -> str:
        kinds = {kind.code: kind for kind in (RapportError, *RapportError.__subclasses__(), errors.Unreadable)}
        if name in kinds:
            raise kinds[name]("It is <wrong>.", field="rows.3.age")
        raise ZeroDivisionError("secret detail")

    @app.post("/api/rows")
    @app.input(_Rows)
    def rows(json_data: dict[str, object]) -> str:
        return "fine"

    for endpoint in ("fail", "rows"):
        app.view_functions[endpoint].is_public = True  # type: ignore[attr-defined]
    return app


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid", 422),
        ("unreadable", 422),
        ("not_found", 404),
        ("conflict", 409),
        ("not_authenticated", 401),
        ("not_allowed", 403),
        ("too_large", 413),
        ("too_many", 429),
        ("unavailable", 503),
        ("config", 500),
    ],
)
def test_each_error_has_its_status(app: APIFlask, code: str, status: int) -> None:
    """In the API's shape, on a page, and as a toast in a part of a page."""
    client = app.test_client()
    answer = client.get(f"/api/fail/{code}")
    assert answer.status_code == status
    assert answer.get_json() == {"error": {"code": code, "message": "It is <wrong>.", "field": "rows.3.age"}}
    page = client.get(f"/fail/{code}")
    assert (page.status_code, "It is &lt;wrong&gt;." in page.text) == (status, True)
    part = client.get(f"/fail/{code}", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Retarget"]) == (status, "#toasts")


def test_a_fault_of_ours_says_nothing(app: APIFlask, capfd: pytest.CaptureFixture[str]) -> None:
    """The answer has a request id and no detail."""
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = app.test_client().get("/api/fail/other")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["X-Request-Id"]


def test_faulty_body_names_the_path(app: APIFlask) -> None:
    """APIFlask's own refusals come in our shape, with the path to the fault."""
    answer = app.test_client().post("/api/rows", json={"rows": [{"n": 1}, {"n": "many"}]})
    assert answer.status_code == 422
    assert answer.get_json()["error"]["field"] == "rows.1.n"
    answer = app.test_client().post("/api/rows", data="{", content_type="application/json")
    assert answer.status_code in (400, 422)
    assert answer.get_json()["error"].keys() == {"code", "message", "field"}


def test_every_error_has_a_status() -> None:
    """Only a fault of the settings is a fault of the server."""
    for kind in RapportError.__subclasses__():
        assert (status_of(kind("x")) == 500) == (kind is errors.ConfigError)
