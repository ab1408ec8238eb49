"""What a builder is told of campaigns, and of the kinds that other packages add."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask.testing import FlaskClient

from engine.models import Item
from tests.campaigns import shop
from tests.engine.copies import add
from web.services import Services


def test_campaigns_are_offered_by_name(services: Services, api: FlaskClient, now: datetime) -> None:
    """For the rows of an event; of contacts there is no such field."""
    with services.database.begin() as session:
        shop.contact(session, 1, now)
        found = shop.campaign(session, now, name="Spring")
        shop.accept(session, shop.fire(session, found, [1], now), now - timedelta(days=1))
    services.warehouse.refresh()
    values = api.get("/api/v1/fields/campaign/values?event=sent").json["values"]
    assert values == [{"value": 1, "count": 1, "name": "Spring"}]
    assert api.get("/api/v1/fields/channel/values?event=sent").json["values"] == [{"value": "email", "count": 1}]
    wrong = api.get("/api/v1/fields/campaign/values?event=snet")
    assert (wrong.status_code, "Did you mean 'sent'?" in wrong.json["error"]["message"]) == (422, True)
    assert api.get("/api/v1/fields/campaign/values").status_code == 422


def test_kinds_say_what_their_controls_need(services: Services, api: FlaskClient, now: datetime) -> None:
    """Inputs with words and bounds; what a control suggests is there to be asked for."""
    with services.database.begin() as session:
        add(session, Item, now, key="i1", category="Food", currency="GBP")
    services.warehouse.refresh()
    found = api.get("/api/v1/fields").json
    kinds = {kind["key"]: kind for kind in found["kinds"]}
    assert kinds.keys() == {"sample", "likely", "rule", "affinity", "due"}
    inputs = {one["key"]: one for one in kinds["likely"]["inputs"]}
    assert inputs["top"] == {
        "key": "top", "type": "number", "label": {"en": "how many people", "zh_Hans_CN": "人数"},
        "default": 500, "least": 1, "most": 1_000_000, "whole": True, "suggest": "",
    }  # fmt: skip
    assert inputs["likely.category"]["suggest"] == "category"
    assert "at_least" in kinds["affinity"]["operators"]
    assert kinds["likely"]["operators"] == []
    assert {"messages", "contact"} <= found["groups"].keys()
    assert api.get("/api/v1/fields/category/values?event=order").json["values"] == [{"value": "Food", "count": 1}]


def test_a_preview_without_a_training_says_the_remedy(services: Services, api: FlaskClient, now: datetime) -> None:
    """With the path to the fault."""
    with services.database.begin() as session:
        add(session, Item, now, key="i1", category="Food", currency="GBP")
    services.warehouse.refresh()
    answer = api.post("/api/v1/lists/preview", json={"criteria": {"all": [{"likely": {"item": "i1"}, "top": 5}]}})
    assert answer.status_code == 422
    assert "rapport train" in answer.json["error"]["message"]
    assert answer.json["error"]["field"].endswith("all[0].likely")
