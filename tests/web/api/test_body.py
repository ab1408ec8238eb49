"""Bodies of the API: JSON that means one thing, of a size and depth that the address needs."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.config import Config
from web import limits
from web.api.body import DEPTH
from web.services import Services

LISTS, CAMPAIGNS, ASK = "/api/v1/lists", "/api/v1/campaigns", "/api/v1/recommendations"


def sent(api: FlaskClient, path: str, body: str | bytes, kind: str = "application/json", **more: Any) -> TestResponse:
    """A POST as it is."""
    return api.post(path, data=body, content_type=kind, **more)


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "nul",
        b"\xff\xfe{\x00}\x00",
        '{"name": NaN}',
        '{"holdout": Infinity}',
        '{"holdout": -Infinity}',
        '{"holdout": 1e999}',
        '{"window_days": ' + "9" * 5000 + "}",
        '{"name": "a", "name": "b"}',
        '{"blocks": [{"type": "text", "type": "text"}]}',
        '{"name": "a"} {"name": "b"}',
        '{"name": "a\x00b"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"blocks": ' + "[" * DEPTH + "]" * DEPTH + "}",
    ],
)
def test_what_readers_would_not_agree_on(api: FlaskClient, body: str | bytes) -> None:
    """RFC 7493: UTF-8, no name twice, no number beyond a double; and no deeper than anything needs. 400, no row."""
    answer = sent(api, CAMPAIGNS, body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "bad_request")
    assert api.get(CAMPAIGNS).get_json() == {"campaigns": []}


@pytest.mark.parametrize("path", [LISTS, CAMPAIGNS, ASK])
@pytest.mark.parametrize(
    ("body", "kind"),
    [("[]", "an array"), ('[{"placement": "home"}]', "an array"), ('"home"', "a text"), ("7", "a number"),
     ("true", "true or false"), ("null", "null")],
)  # fmt: skip
def test_what_is_no_object_is_told_so(api: FlaskClient, path: str, body: str, kind: str) -> None:
    """422, and what is wanted."""
    answer = sent(api, path, body)
    error = answer.get_json()["error"]
    assert (answer.status_code, error["message"]) == (422, f"Send a JSON object, {{...}}, not {kind}.")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (CAMPAIGNS, r'{"name": "a\u0000b"}', "name"),
        (CAMPAIGNS, r'{"blocks": [{"type": "text", "text": "\ud83d"}]}', "blocks[0].text"),
        (CAMPAIGNS, r'{"a\u0000": 1}', None),
        (CAMPAIGNS, f'{{"list_id": {2**63}}}', "list_id"),
        (CAMPAIGNS, '{"list_id": -1}', "list_id"),
        (CAMPAIGNS, '{"fixed_cost": "1e999999"}', "fixed_cost"),
        (CAMPAIGNS, '{"fixed_cost": 1e300}', "fixed_cost"),
        (CAMPAIGNS, '{"fixed_cost": "sNaN"}', "fixed_cost"),
        (CAMPAIGNS, '{"holdout": -0.1}', "holdout"),
        (CAMPAIGNS, '{"due_at": "0001-01-01T00:00:00+14:00"}', "due_at"),
        (CAMPAIGNS, '{"due_at": "9999-12-31T23:59:59-14:00"}', "due_at"),
        (CAMPAIGNS, '{"blocks": [{"type": "products", "n": "²"}]}', "blocks[0].n"),
        (CAMPAIGNS, '{"blocks": [{"type": "products", "n": true}]}', "blocks[0].n"),
        (CAMPAIGNS, '{"subject": "' + "x" * 501 + '"}', "subject"),
        (ASK, r'{"placement": "home", "context": {"items": ["\u0000"]}}', "context.items.0"),
        (ASK, r'{"requests": [{"context": {"cart": ["a", "\ud800"]}}]}', "requests.0.context.cart.1"),
        (LISTS, r'{"name": "a", "criteria": {"all": [{"event": "\u0000", "measure": "count"}]}}', "all[0].event"),
        (LISTS, r'{"name": "a", "criteria": {"event": "\u0000", "measure": "count"}}', "event"),
        (LISTS, '{"name": "a", "criteria": {"field": "age", "operator": "is", "value": 1' + "0" * 90 + "}}", "value"),
        (LISTS, f'{{"name": "a", "criteria": {{"list": {2**63}}}}}', "list"),
        (LISTS, '{"name": "", "criteria": {"all": []}}', "name"),
        (LISTS, "[]", None),
        (LISTS, "null", None),
    ],
)  # fmt: skip
def test_what_cannot_be_stored(api: FlaskClient, path: str, body: str, field: str | None) -> None:
    """NUL, half a character, numbers beyond 64 bits, moments beyond the calendar: 422 with the path to the fault."""
    answer = sent(api, path, body)
    assert answer.status_code == 422, answer.text
    if field:
        assert answer.get_json()["error"]["field"] == field


def test_a_bad_record_costs_only_itself(api: FlaskClient) -> None:
    """The same faults inside a record refuse that record and leave the others."""
    keys = [r"a\u0000b", r"\ud800", "fine", "9" * 90, "x" * 200]
    records = ", ".join(f'{{"key": "{key}"}}' for key in keys)
    answer = sent(api, "/api/v1/contacts", f'{{"contacts": [{records}, {{"key": "k", "age": {10**90}}}]}}')
    assert answer.status_code == 200
    assert answer.get_json()["created"] == 2
    assert [reject["row"] for reject in answer.get_json()["rejected"]] == [0, 1, 4, 5]


def test_only_json_is_read(api: FlaskClient) -> None:
    """Another content type is a 415; no body at all is an empty object."""
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ):
        assert sent(api, LISTS, '{"name": "a"}', kind).status_code == 415
    assert sent(api, CAMPAIGNS, '{"name": "a"}', "application/json; charset=utf-8").status_code == 201
    assert api.post(CAMPAIGNS).status_code == 201
    assert sent(api, LISTS, "").status_code == 422


def test_sizes(api: FlaskClient, client: FlaskClient, config: Config) -> None:
    """Records may be many; everything else is small, and a stranger is not even listened to."""
    large = b'{"name": "' + b"x" * limits.API + b'"}'
    for path in (LISTS, CAMPAIGNS, "/api/v1/recommendations", "/api/v1/lists/preview"):
        answer = sent(api, path, large)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (413, "too_large")
    assert sent(api, "/api/v1/events", b'{"events": []' + b" " * limits.API + b"}").status_code == 200
    assert sent(api, "/api/v1/events", b" " * (config.intake.max_request_mb * 2**20 + 1)).status_code == 413
    assert sent(client, "/api/v1/events", large).status_code == 401


def test_a_refusal_is_short(api: FlaskClient) -> None:
    """However long the word that it quotes."""
    word = "x" * 900_000
    for body in ({word: 1}, {"blocks": [{"type": word}]}, {"fixed_cost": "9" * 900_000}):
        answer = api.post(CAMPAIGNS, json=body)
        assert (answer.status_code, len(answer.data) < 2_000) == (422, True)


def test_lines(api: FlaskClient, config: Config) -> None:
    """An order of more lines than any has is refused; so is a call of more lines than fit into memory at ease."""
    head, line = {"at": "2026-01-05", "contact": "c"}, {"item": "a", "quantity": 1, "unit_price": 1}
    answer = api.post("/api/v1/orders", json={"orders": [{"order": "1", **head, "lines": [line] * 10_001}]})
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (422, "lines")
    orders = [{"order": str(number), **head, "lines": [line] * 10_000} for number in range(6)]
    assert api.post("/api/v1/orders", json={"orders": orders}).status_code == 413


@pytest.mark.parametrize("number", [2**63, 10**30, 10**400])
def test_ids_beyond_the_database(api: FlaskClient, services: Services, number: int) -> None:
    """There is nothing there, in an address; in a query they are out of range."""
    for path in (
        f"{CAMPAIGNS}/{number}",
        f"{CAMPAIGNS}/{number}/report",
        f"{LISTS}/{number}",
        f"{LISTS}/{number}/members",
    ):
        assert api.get(path).status_code == 404
    for query in (
        f"{CAMPAIGNS}?before={number}",
        f"{LISTS}?cursor={number}",
        f"{LISTS}?limit={number}",
        f"{LISTS}?words=%00",
    ):
        assert api.get(query).status_code == 422, query


@pytest.mark.parametrize("digits", ["%C2%A073", "1_0", "%EF%BC%97", "+7", "7.0", "", "abc", "0x7"])
def test_numbers_of_a_query_are_plain_digits(api: FlaskClient, digits: str) -> None:
    """What Python takes for a number and no other program does."""
    for query in (f"{CAMPAIGNS}?limit={digits}", f"{LISTS}?limit={digits}", f"{LISTS}?cursor={digits}"):
        assert api.get(query).status_code == 422, query
    assert api.get(f"{LISTS}?limit=7").status_code == 200


NAMED_INSIDE = {("post", "/api/v1/contacts"), ("post", "/api/v1/lists/why")}  # it stands elsewhere


def test_every_refusal_is_described(api: FlaskClient) -> None:
    """Each operation names its refusals, all in the one shape, and what each needs."""
    described = api.get("/api/v1/openapi.json").get_json()
    assert "HTTPError" not in described["components"]["schemas"]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            statuses = operation["responses"].keys()
            assert {"401", "403", "422", "503"} <= statuses, path
            assert ("404" in statuses) == ("{" in path or (method, path) in NAMED_INSIDE), path
            assert ({"400", "413", "415"} <= statuses) == ("requestBody" in operation), (path, method)
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
