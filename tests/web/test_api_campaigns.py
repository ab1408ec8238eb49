"""Campaigns over the API, end to end: a draft is written, checked, scheduled, fired and reported on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, update

from campaigns import content, planning
from campaigns.models import Campaign, Send
from tests.campaigns import shop
from web.api import access
from web.services import Services, utcnow

PLAN = {
    "name": "Spring",
    "list_id": 1,
    "holdout": 0.2,
    "fixed_cost": "200.50",
    "message_cost": 0.001,
    "subject": "Hello {{ contact.first_name }}",
    "blocks": [{"type": "button", "label": "Go", "url": "https://shop.example/sale"}],
}


@pytest.fixture
def people(services: Services, now: datetime) -> None:
    """Fifty people and a list of all of them."""
    with services.database.begin() as session:
        shop.contact_list(session, now, criteria={"field": "email", "operator": "known"})
        shop.crowd(session, 50, now)
    services.warehouse.refresh()


def error(answer: Any) -> dict[str, Any]:
    """The error of an answer."""
    found: dict[str, Any] = answer.json["error"]
    return found


@pytest.mark.usefixtures("people")
def test_from_draft_to_report(api: FlaskClient) -> None:
    """Write, change, estimate, schedule, tick, look, pause, resume, cancel, report."""
    made = api.post("/api/v1/campaigns", json=PLAN)
    assert made.status_code == 201
    assert (made.json["status"], made.json["fixed_cost"], made.json["message_cost"]) == ("draft", "200.5", "0.001")
    path = f"/api/v1/campaigns/{made.json['id']}"
    edited = api.put(path, json={"name": "Summer", "version": 1})
    assert (edited.json["name"], edited.json["version"], edited.json["subject"]) == ("Summer", 2, PLAN["subject"])
    expected = api.get(f"{path}/estimate").json
    assert expected["matched"] == 50 == expected["held"] + expected["sent"]
    assert api.post(f"{path}/schedule", json={"version": 2}).json["status"] == "scheduled"
    assert api.post(f"{path}/unschedule").json["status"] == "draft"
    assert api.post(f"{path}/schedule", json={}).json["status"] == "scheduled"
    assert api.post("/api/v1/tick").json["fired"] == [made.json["id"]]
    assert api.post("/api/v1/tick").json["fired"] == []
    shown = api.get(path).json
    assert (shown["status"], shown["progress"]) == (
        "sending",
        {"queued": expected["sent"], "held": expected["held"]},
    )
    assert [api.post(f"{path}/{word}").json["status"] for word in ("pause", "resume")] == ["paused", "sending"]
    assert api.post(f"{path}/cancel").json["progress"] == {"cancelled": expected["sent"], "held": expected["held"]}
    found = api.get(f"{path}/report").json
    assert found["funnel"]["matched"] == 50
    assert found["costs"] == {"fixed": 200.5, "messages": 0.0, "total": 200.5}
    assert found["verdict"]["code"] == "few buyers"
    assert found["verdict"]["interim"] is True
    assert found["verdict"]["sentence"].startswith("So far too few buyers to tell")
    assert found["increment"] is None
    assert [campaign["name"] for campaign in api.get("/api/v1/campaigns").json["campaigns"]] == ["Summer"]
    assert api.get("/api/v1/campaigns?before=1").json["campaigns"] == []


@pytest.mark.usefixtures("people")
def test_after_it_was_sent(api: FlaskClient, services: Services) -> None:
    """The bills come in, silent messages are sent again, it is copied, put away and brought back."""
    path = f"/api/v1/campaigns/{api.post('/api/v1/campaigns', json=PLAN).json['id']}"
    api.post(f"{path}/schedule", json={})
    assert api.delete(path).status_code == 409
    api.post("/api/v1/tick")
    with services.database.begin() as session:
        session.execute(update(Send).where(Send.state == "queued").values(state="unknown"))
    assert "finished" not in api.get(path).json["status"]
    sent = api.get(path).json["progress"]["unknown"]
    again = api.post(f"{path}/send_again").json
    assert (again["status"], again["progress"]["queued"]) == ("sending", sent)
    version = again["version"]
    billed = api.post(f"{path}/costs", json={"fixed_cost": "199.99", "version": version})
    assert (billed.json["fixed_cost"], billed.json["message_cost"]) == ("199.99", "0.001")
    assert api.post(f"{path}/costs", json={"message_cost": "0.01"}).json["fixed_cost"] == "199.99"
    assert api.post(f"{path}/costs", json={"fixed_cost": 1, "version": version}).status_code == 409
    assert error(api.post(f"{path}/costs", json={"fixed_cost": -1}))["field"] == "fixed_cost"
    copied = api.post(f"{path}/copy", json={})
    assert (copied.status_code, copied.json["name"], copied.json["status"]) == (201, "Copy of Spring", "draft")
    assert api.post(f"{path}/copy", json={"name": "Summer"}).json["name"] == "Summer"
    api.post(f"{path}/cancel")
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.post(f"{path}/restore").json["name"] == "Spring"
    assert api.post(f"{path}/restore").status_code == 404


@pytest.mark.usefixtures("people")
def test_what_was_late_is_decided(api: FlaskClient, services: Services) -> None:
    """Sent after all, or never; once it is decided there is nothing left to decide."""
    for word, status in (("send_late", "scheduled"), ("skip_late", "cancelled")):
        path = f"/api/v1/campaigns/{api.post('/api/v1/campaigns', json=PLAN).json['id']}"
        assert api.post(f"{path}/{word}").status_code == 409
        api.post(f"{path}/schedule", json={})
        with services.database.begin() as session:
            session.execute(update(Campaign).where(Campaign.status == "scheduled").values(status="late"))
        assert api.post(f"{path}/{word}").json["status"] == status
        assert api.post(f"{path}/{word}").status_code == 409


@pytest.mark.usefixtures("people")
def test_faults_name_their_field(api: FlaskClient) -> None:
    """422 with the path for what is wrong, 409 for what came too late, 404 for what is not there."""
    answer = api.post("/api/v1/campaigns", json={"nmae": "x"})
    assert (answer.status_code, error(answer)["field"]) == (422, "nmae")
    assert "Did you mean 'name'?" in error(answer)["message"]
    assert error(api.post("/api/v1/campaigns", json={"holdout": 0.9}))["field"] == "holdout"
    assert error(api.post("/api/v1/campaigns", json={"blocks": [{"type": "x"}]}))["field"] == "blocks[0].type"
    made = api.post("/api/v1/campaigns", json={**PLAN, "subject": "{{ contact.nope }}"}).json
    path = f"/api/v1/campaigns/{made['id']}"
    refused = api.post(f"{path}/schedule", json={})
    assert (refused.status_code, error(refused)["field"]) == (422, "subject")
    assert error(api.post(f"{path}/schedule", json={"at": "soon"}))["field"] == "at"
    assert api.put(path, json={"name": "x", "version": 9}).status_code == 409
    assert api.put(path, json={"name": "x"}).status_code == 422
    assert api.post(f"{path}/pause").status_code == 409
    for missing in ("", "/report", "/estimate"):
        assert api.get(f"/api/v1/campaigns/99{missing}").status_code == 404


@pytest.mark.usefixtures("people")
def test_nobody_waits_for_a_check_and_an_edit_in_it_wins(
    api: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a draft is checked others write; when it is the draft that they change, nothing is scheduled."""
    made = api.post("/api/v1/campaigns", json=PLAN).json
    path = f"/api/v1/campaigns/{made['id']}"
    check = content.check

    def slow(*given: Any) -> Any:
        monkeypatch.setattr(content, "check", check)
        with services.database.begin() as session:  # would wait for ever for a check that holds the write lock
            planning.edit(session, made["id"], {"subject": "Changed meanwhile"}, version=1, now=utcnow())
        return check(*given)

    monkeypatch.setattr(content, "check", slow)
    assert api.post(f"{path}/schedule", json={}).status_code == 409
    assert (api.get(path).json["status"], api.get(path).json["subject"]) == ("draft", "Changed meanwhile")
    assert api.post(f"{path}/schedule", json={}).json["status"] == "scheduled"


@pytest.mark.usefixtures("people")
def test_an_empty_time_is_not_now(api: FlaskClient) -> None:
    """Who leaves the time empty has forgotten it; who names none means now."""
    made = api.post("/api/v1/campaigns", json=PLAN).json
    path = f"/api/v1/campaigns/{made['id']}"
    for empty in ("", None):
        refused = api.post(f"{path}/schedule", json={"at": empty})
        assert (refused.status_code, error(refused)["field"]) == (422, "at")
    assert api.get(path).json["status"] == "draft"


def test_each_door_has_its_scope(client: FlaskClient, services: Services) -> None:
    """A key that may only read cannot write, schedule or tick; without a key nothing."""
    with services.database.begin() as session:
        made = access.add_key(session, "reader", ["campaigns:read"], now=utcnow())
    headers = {"Authorization": f"Bearer {made}"}
    assert client.get("/api/v1/campaigns", headers=headers).status_code == 200
    steps = ("schedule", "cancel", "costs", "copy", "restore", "send_again", "send_late", "skip_late")
    for path in ("/api/v1/campaigns", *(f"/api/v1/campaigns/1/{step}" for step in steps), "/api/v1/tick"):
        assert client.post(path, headers=headers, json={}).status_code == 403
        assert client.post(path, json={}).status_code == 401
    assert client.delete("/api/v1/campaigns/1", headers=headers).status_code == 403


def test_the_description_of_the_api_holds_campaigns(api: FlaskClient) -> None:
    """Every address is in the OpenAPI document with its scope."""
    paths = api.get("/api/v1/openapi.json").json["paths"]
    assert paths["/api/v1/campaigns/{campaign_id}/pause"]["post"]["security"] == [{"key": ["campaigns:write"]}]
    assert paths["/api/v1/campaigns/{campaign_id}/report"]["get"]["security"] == [{"key": ["campaigns:read"]}]
    assert paths["/api/v1/tick"]["post"]["security"] == [{"key": ["tick:run"]}]


def test_many_campaigns_cost_no_more_statements(api: FlaskClient, services: Services) -> None:
    """Three or thirty on a page: contents and progress come from one statement each, and each its own."""
    counts: list[int] = []
    statements: list[str] = []
    event.listen(services.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    with services.database.begin() as session:
        shop.crowd(session, 30, utcnow())
    api.get("/api/v1/campaigns")  # the key's first use is noted
    for numbers in (range(1, 4), range(4, 31)):
        with services.database.begin() as session:
            for number in numbers:
                made = shop.campaign(session, utcnow(), subject=f"Number {number}")
                shop.fire(session, made, range(1, number + 1), utcnow())
        statements.clear()
        shown = api.get("/api/v1/campaigns").json["campaigns"]
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert [one["id"] for one in shown] == list(range(30, 0, -1))
    for one in shown:
        assert (one["subject"], one["progress"]) == (f"Number {one['id']}", {"queued": one["id"]})
