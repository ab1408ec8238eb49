"""Why people are on a list, over the REST API and on the command line."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from engine.models import Contact, Event
from tests.engine.copies import add
from web.api import access
from web.services import Services, utcnow

TWICE = {"event": "quiz", "measure": "count", "within": {"last_days": 30}, "operator": "at_least", "value": 2}
CRITERIA = {"all": [{"field": "country", "operator": "is", "value": "France"}, TWICE]}


@pytest.fixture
def shop(services: Services, now: datetime) -> Services:
    """One who answered twice, ten and three days ago, and one who never did."""
    with services.database.begin() as session:
        for number in (1, 2):
            add(session, Contact, now, key=f"c{number}", country="France", attributes={})
        for days in (10, 3):
            moment = utcnow() - timedelta(days=days)
            add(session, Event, now, key=f"e{days}", type="quiz", contact_id=1, occurred_at=moment)
    return services


def test_the_tree_says_what_made_it_so_and_what_will_end_it(shop: Services, api: FlaskClient) -> None:
    """The second answer did; the first one's thirty days will."""
    answer = api.post("/api/v1/lists/why", json={"criteria": CRITERIA, "keys": ["c2", "c1", "nobody"]})
    assert answer.status_code == 200, answer.json
    other, found = answer.json["people"]
    assert (other["key"], other["met"], other["until"]) == ("c2", False, None)
    assert found["met"]
    assert found["clause"] == "all[1]"
    leaf = found["tree"]["nodes"][1]
    assert (leaf["value"], leaf["met"]) == ("2", True)
    assert "the 2nd time: that made it true" in leaf["cause"]
    left = datetime.fromisoformat(found["until"]) - utcnow()
    assert timedelta(days=19, hours=22) < left < timedelta(days=20, hours=2)


def test_a_saved_list_is_asked_with_its_picks(shop: Services, api: FlaskClient) -> None:
    """Who was put on it by hand is on it."""
    made = api.post("/api/v1/lists", json={"name": "Quiz", "criteria": CRITERIA}).json["id"]
    api.post(f"/api/v1/lists/{made}/picks", json={"pick": "add", "words": ["c2"]})
    found = api.post("/api/v1/lists/why", json={"list": made, "keys": ["c2"]}).json["people"]
    assert [one["met"] for one in found] == [True]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": [1]}, "criteria"),
        ({"criteria": CRITERIA, "list": 1, "ids": [1]}, "criteria"),
        ({"criteria": CRITERIA}, "ids"),
        ({"criteria": CRITERIA, "ids": list(range(1, 22))}, "ids"),
        ({"criteria": {"field": "agee", "operator": "is", "value": 3}, "ids": [1]}, "field"),
    ],
)
def test_bad_input_is_named(shop: Services, api: FlaskClient, body: object, field: str) -> None:
    """A 4xx with the path to the fault."""
    answer = api.post("/api/v1/lists/why", json=body)
    assert answer.status_code == 422
    assert answer.json["error"]["field"].startswith(field)


@pytest.mark.parametrize("scope", ["lists:read", "contacts:read"])
def test_it_takes_both_scopes(shop: Services, app: APIFlask, client: FlaskClient, scope: str) -> None:
    """For it tells of lists and of what people did."""
    with shop.database.begin() as session:
        key = access.add_key(session, "half", [scope], now=utcnow())
    headers = {"Authorization": f"Bearer {key}"}
    answer = client.post("/api/v1/lists/why", json={"criteria": CRITERIA, "ids": [1]}, headers=headers)
    assert answer.status_code == 403
