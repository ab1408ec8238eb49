"""Placements through the API: what names nobody knows, and how one goes."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.recommender.shop import add_items
from web.services import Services

TILL = "/api/v1/placements/till"
MADE = {"name": "Till", "sources": ["newest"]}
B = {"sources": ["popular"]}


def ask(api: FlaskClient, placement: str) -> int:
    """The status of a question."""
    return api.post("/api/v1/recommendations", json={"placement": placement}).status_code


@pytest.fixture
def shop(services: Services) -> None:
    """Items A0 to A3."""
    with services.database.begin() as session:
        add_items(session, 4)


@pytest.mark.usefixtures("shop")
def test_what_nobody_knows_is_told(api: FlaskClient) -> None:
    """Items of rules and of those shown nowhere are kept, for they may come, and named."""
    rules = {"suppressed": ["A1", "gone"], "pins": [{"item": "A0", "position": 1}], "buries": [{"item": "lost"}]}
    made = api.put(TILL, json={**MADE, "rules": rules}).get_json()
    assert made["missing_ids"] == ["gone", "lost"]
    listed = {one["key"]: one for one in api.get("/api/v1/placements").get_json()["placements"]}
    assert listed["till"] == made
    assert listed["home"]["missing_ids"] == []
    for answer in (
        api.put("/api/v1/suppressed-items", json={"items": ["A3", "moon"]}),
        api.get("/api/v1/suppressed-items"),
    ):
        assert answer.get_json() == {"items": ["A3", "moon"], "missing_ids": ["moon"]}


@pytest.mark.usefixtures("shop")
def test_one_of_the_shops_own_is_deleted(api: FlaskClient) -> None:
    """Nobody can ask for it then, and its key is free; there was no other."""
    assert api.delete(TILL).status_code == 404
    assert api.put(TILL, json=MADE).status_code == 200
    assert ask(api, "till") == 200
    assert (api.delete(TILL).status_code, api.delete(TILL).status_code) == (204, 404)
    assert ask(api, "till") == 422
    assert "till" not in {one["key"] for one in api.get("/api/v1/placements").get_json()["placements"]}
    assert api.put(TILL, json=MADE).status_code == 200


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("written", [False, True])
def test_what_every_shop_has_stays(api: FlaskClient, written: bool) -> None:
    """Whether it was edited or not: mails are filled by one of them."""
    if written:
        assert api.put("/api/v1/placements/email", json=MADE).status_code == 200
    answer = api.delete("/api/v1/placements/email")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "conflict")
    assert ask(api, "email") == 200


@pytest.mark.usefixtures("shop")
def test_not_while_variants_of_it_are_compared(api: FlaskClient) -> None:
    """First the comparison ends. Its figures stay when the placement went, but nothing of it can be adopted."""
    api.put(TILL, json=MADE)
    assert api.post(f"{TILL}/comparison", json={"b": B}).status_code == 201
    assert api.delete(TILL).status_code == 409
    assert api.post(f"{TILL}/comparison/stop").status_code == 200
    assert api.delete(TILL).status_code == 204
    assert api.get(f"{TILL}/comparison").get_json()["status"] == "stopped"
    assert api.post(f"{TILL}/comparison/adopt", json={"variant": "b"}).status_code == 404
    assert api.post(f"{TILL}/comparison/undo").status_code == 409
    assert api.post(f"{TILL}/comparison", json={"b": B}).status_code == 404
