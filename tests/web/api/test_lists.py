"""Lists over the REST API: what a program may do, and what it is told when it may not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine import lists
from engine.models import Contact, Event
from tests.engine.copies import add
from web.api import access
from web.services import Services, utcnow

UK = {"field": "country", "operator": "is", "value": "United Kingdom"}


@pytest.fixture
def shop(services: Services, now: datetime) -> Iterator[Services]:
    """Six contacts, four in the United Kingdom."""
    with services.database.begin() as session:
        for number in range(6):
            add(session, Contact, now, key=f"c{number}", bucket=number, attributes={"size": number},
                country="United Kingdom" if number < 4 else None)  # fmt: skip
        add(session, Event, now, key="e", type="quiz", contact_id=1, properties={"score": 1})
    return services


def made(api: FlaskClient, name: str = "UK", criteria: Any = UK) -> int:
    """Save a list."""
    answer = api.post("/api/v1/lists", json={"name": name, "criteria": criteria})
    assert answer.status_code == 201, answer.json
    return int(answer.json["id"])


def test_a_preview_tells_all_at_once(shop: Services, api: FlaskClient) -> None:
    """What was written a moment ago is counted."""
    answer = api.post("/api/v1/lists/preview", json={"criteria": {"all": [UK]}, "limit": 2})
    assert answer.status_code == 200
    found = dict(answer.json)
    assert found.pop("took_ms") > 0
    assert datetime.fromisoformat(found.pop("as_of")) <= datetime.fromisoformat(found.pop("moment"))
    assert [person["key"] for person in found.pop("people")] == ["c0", "c1"]
    assert found == {
        "count": 4,
        "base": 6,
        "share": 4 / 6,
        "sentence": "People in United Kingdom",
        "clauses": [{"path": "all[0]", "sentence": "in United Kingdom", "count": 4, "unknown": 2, "remaining": 4}],
    }


def test_sentences_come_in_chinese(shop: Services, api: FlaskClient) -> None:
    """As asked."""
    answer = api.post("/api/v1/lists/preview", json={"criteria": UK, "language": "zh_Hans_CN"})
    assert answer.json["sentence"] == "国家为United Kingdom的联系人"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"criteria": {"all": [UK, {"field": "agee", "operator": "known"}]}}, "all[1].field"),
        ({"criteria": "DROP TABLE"}, ""),
        ({"criteria": None}, None),
        ({}, "criteria"),
        ({"criteria": {"field": "city", "operator": "is", "value": "\ud800"}}, "value"),
        ({"criteria": {"all": [{"field": "city", "operator": "is", "value": 3}]}}, "all[0].value"),
        ({"criteria": UK, "limit": 101}, "limit"),
        ({"criteria": UK, "languages": "en"}, "languages"),
    ],
)
def test_a_preview_that_cannot_be_understood_is_422(
    shop: Services, api: FlaskClient, body: Any, field: str | None
) -> None:
    """With the path to the fault."""
    answer = api.post("/api/v1/lists/preview", json=body)
    assert answer.status_code == 422
    if field is not None:
        assert answer.json["error"]["field"] == field


def test_a_list_that_cannot_be_used_tells_where(shop: Services, api: FlaskClient) -> None:
    """The path inside its criteria."""
    number = made(api)
    with shop.database.begin() as session:
        lists.get(session, number).criteria = {"all": [{"field": "gone", "operator": "is", "value": 3}]}
    shown = api.get(f"/api/v1/lists/{number}").json
    assert (shown["sentence"], shown["fault_field"]) == (None, "all[0].field")
    assert "Unknown field 'gone'" in shown["fault"]


def test_a_list_lives_through_the_api(shop: Services, api: FlaskClient) -> None:
    """Saved, shown, changed with its version, frozen, deleted, brought back."""
    number = made(api)
    shown = api.get(f"/api/v1/lists/{number}").json
    assert (shown["sentence"], shown["fault"], shown["version"]) == ("People in United Kingdom", None, 1)
    change = {"name": "Others", "criteria": {"not": UK}, "version": 1}
    assert api.put(f"/api/v1/lists/{number}", json=change).json["version"] == 2
    assert api.put(f"/api/v1/lists/{number}", json=change).status_code == 409
    assert api.post(f"/api/v1/lists/{number}/freeze").json == {"count": 2}
    assert api.get("/api/v1/lists?words=oth").json["lists"][0]["size"] == 2
    assert api.delete(f"/api/v1/lists/{number}").status_code == 204
    assert api.get(f"/api/v1/lists/{number}").status_code == 404
    assert api.get("/api/v1/lists").json == {"lists": [], "next": None}
    assert api.post(f"/api/v1/lists/{number}/restore").json["name"] == "Others"


def test_lists_and_members_come_in_pages(shop: Services, api: FlaskClient) -> None:
    """`next` leads on until it is null."""
    numbers = [made(api, f"list {number}") for number in range(3)]
    seen: list[int] = []
    cursor = 0
    while cursor is not None:
        page = api.get(f"/api/v1/lists?limit=2&cursor={cursor}").json
        seen += [found["id"] for found in page["lists"]]
        cursor = page["next"]
    assert seen == numbers[::-1]
    page = api.get(f"/api/v1/lists/{numbers[0]}/members?limit=3").json
    assert [member["key"] for member in page["members"]] == ["c0", "c1", "c2"]
    rest = api.get(f"/api/v1/lists/{numbers[0]}/members?limit=3&cursor={page['next']}").json
    assert ([member["attributes"] for member in rest["members"]], rest["next"]) == ([{"size": 3}], None)


def test_members_are_those_of_now(shop: Services, api: FlaskClient, now: datetime) -> None:
    """The first page takes in what was written a moment ago; a page that just holds all is the last."""
    number = made(api)
    with shop.database.begin() as session:
        add(session, Contact, now, key="late", bucket=9, country="United Kingdom")
    page = api.get(f"/api/v1/lists/{number}/members?limit=5").json
    assert ([member["key"] for member in page["members"]][-1], page["next"]) == ("late", None)


def test_a_list_is_downloaded_as_csv(shop: Services, api: FlaskClient) -> None:
    """Streamed; a list that is not there is a 404 and no file."""
    answer = api.get(f"/api/v1/lists/{made(api)}/export.csv")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"), newline="")))
    assert [row["attributes.size"] for row in rows] == ["0", "1", "2", "3"]
    missing = api.get("/api/v1/lists/99/export.csv")
    assert (missing.status_code, missing.json["error"]["code"]) == (404, "not_found")


def test_the_catalogue_names_everything(shop: Services, api: FlaskClient) -> None:
    """The shop's own names among them, and values to choose from."""
    shop.warehouse.refresh()
    found = api.get("/api/v1/fields").json
    fields = {field["key"]: field for field in found["fields"]}
    assert fields["attributes.size"]["type"] == "number"
    assert "between" in fields["age"]["operators"]
    assert fields["age"]["label"] == {"en": "age", "zh_Hans_CN": "年龄"}
    events = {event["key"]: [field["key"] for field in event["fields"]] for event in found["events"]}
    assert "properties.score" in events["quiz"]
    assert "total" in events["order"]
    assert {operator["key"] for operator in found["operators"]} >= {"is", "is_not", "within", "in_last"}
    values = api.get("/api/v1/fields/country/values").json["values"]
    assert values == [{"value": "United Kingdom", "count": 4}]
    assert api.get("/api/v1/fields/contry/values").json["error"]["message"].endswith("Did you mean 'country'?")


def test_reading_and_writing_need_their_scopes(shop: Services, app: Any) -> None:
    """lists:read may not save, freeze or delete."""
    with shop.database.begin() as session:
        key = access.add_key(session, "reader", ["lists:read"], now=utcnow())
    client, headers = app.test_client(), {"Authorization": f"Bearer {key}"}
    assert client.get("/api/v1/lists", headers=headers).status_code == 200
    assert client.post("/api/v1/lists", json={"name": "x", "criteria": UK}, headers=headers).status_code == 403
    for path in ("freeze", "restore"):
        assert client.post(f"/api/v1/lists/1/{path}", headers=headers).status_code == 403
    assert client.delete("/api/v1/lists/1", headers=headers).status_code == 403
    assert client.post("/api/v1/lists/preview", json={"criteria": UK}).status_code == 401
