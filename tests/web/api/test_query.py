"""Parameters of an address: none that is not known passes in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import web.api
from web.api.query import parameters

ADDRESSES = [  # one of each kind: with parameters, without any, that write, that is not there
    ("get", "/api/v1/contacts?wrods=ann", "wrods", "Did you mean 'words'?"),
    ("get", "/api/v1/lists?limit=5&langauge=en", "langauge", "Known:"),
    ("get", "/api/v1/lists/1?langauge=en", "langauge", "Did you mean 'language'?"),
    ("get", "/api/v1/lists/1/overlap?limit=5", "limit", "takes none"),
    ("get", "/api/v1/openapi.json?x", "x", "takes none"),
    ("post", "/api/v1/contacts?on_eror=refuse", "on_eror", "Did you mean 'on_error'?"),
    ("post", "/api/v1/lists/preview?limit=5", "limit", "takes none"),
    ("delete", "/api/v1/lists/99999?dry_run=1", "dry_run", "takes none"),
]


@pytest.mark.parametrize(("method", "address", "name", "hint"), ADDRESSES)
def test_unknown_parameters_are_refused(api: FlaskClient, method: str, address: str, name: str, hint: str) -> None:
    """With the nearest that is known, before anything is done."""
    answer = api.open(address, method=method.upper(), json={} if method == "post" else None)
    assert answer.status_code == 422
    error = answer.get_json()["error"]
    assert (error["code"], error["field"]) == ("invalid", name)
    assert hint in error["message"]


def test_every_parameter_that_is_described_is_taken(api: FlaskClient) -> None:
    """What the description of the API promises and what the check knows are the same, at every address."""
    told: dict[str, set[str]] = {}
    for path, operations in api.get("/api/v1/openapi.json").get_json()["paths"].items():
        for method, operation in operations.items():
            names = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            told[f"{method.upper()} {path}"] = names
    found: dict[str, set[str]] = {}
    for rule in api.application.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method in rule.methods or ():
            if f"{method} {path}" in told:
                found[f"{method} {path}"] = set(parameters(api.application.view_functions[rule.endpoint]))
    assert found == told
    assert any(told.values())


def test_no_view_reads_the_address_past_its_schema() -> None:
    """Whatever a view reads by itself would be refused before it is read."""
    for path in Path(web.api.__path__[0]).glob("*.py"):
        if path.name != "query.py":
            assert not re.search(r"request\.(args|values|query_string)", path.read_text("utf-8")), path.name
