"""Forms and flyers for programs."""

from __future__ import annotations

from datetime import timedelta

from flask.testing import FlaskClient

from engine.sources import forms
from engine.sources.forms import Answer
from tests.web.test_public_forms import DEFINITION
from web.services import Services, utcnow


def test_forms_and_their_answers(api: FlaskClient, services: Services) -> None:
    """The definition, and every answer once, page by page."""
    with services.database.begin() as session:
        form = forms.save(session, None, "News", "survey", DEFINITION, now=utcnow())
        for number in range(5):
            given = Answer({"email": f"a{number}@shop.example"}, (), None, f"n{number}")
            at = utcnow() - timedelta(minutes=number)
            forms.answer(session, form, given, now=at, config=services.config)
        key = form.key
    services.warehouse.refresh()
    (one,) = api.get("/api/v1/forms").json["forms"]
    assert (one["key"], one["active"], one["told"]["events"]) == (key, True, 5)
    assert one["definition"]["questions"][0]["label"] == "E-mail"
    found, cursor = [], None
    while True:
        page = api.get(
            f"/api/v1/forms/{key}/answers", query_string={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json
        found += [row["answers"]["email"] for row in page["answers"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == [f"a{number}@shop.example" for number in (4, 3, 2, 1, 0)]
    assert page["answers"][0]["contact"].startswith("form:")  # nobody confirmed the address
    assert api.get("/api/v1/forms/nothing/answers").status_code == 404


def test_flyers(api: FlaskClient) -> None:
    """Made, changed and closed by their code."""
    body = {"name": "Market", "target": "https://shop.example"}
    made = api.put("/api/v1/flyers/york-26", json=body).json
    assert (made["code"], made["active"], made["address"]) == ("YORK-26", True, "http://127.0.0.1:8000/q/YORK-26")
    assert api.put("/api/v1/flyers/york-26", json=body | {"name": "Harbour"}).json["name"] == "Harbour"
    assert len(api.get("/api/v1/flyers").json["flyers"]) == 1
    wrong = api.put("/api/v1/flyers/york-26", json=body | {"target": "http://x"})
    assert (wrong.status_code, wrong.json["error"]["field"]) == (422, "target")
    assert api.put("/api/v1/flyers/x", json=body).json["error"]["field"] == "code"
    assert api.delete("/api/v1/flyers/york-26").status_code == 204
    assert api.get("/api/v1/flyers").json["flyers"][0]["active"] is False
    assert api.delete("/api/v1/flyers/none").status_code == 404
    assert api.put("/api/v1/flyers/york-26", json=body).json["active"] is True
