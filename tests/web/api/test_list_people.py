"""What there is to know of a list, over the REST API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine import lists
from engine.models import Contact
from tests.engine.copies import add
from web.services import Services

UK = {"all": [{"field": "country", "operator": "is", "value": "UK"}]}
ADULT = {"field": "age", "operator": "at_least", "value": 18}


@pytest.fixture
def shop(services: Services, now: datetime) -> Iterator[Services]:
    """Eighty contacts: the first forty in the United Kingdom and of age."""
    with services.database.begin() as session:
        for number in range(80):
            country, age = ("UK", 30) if number < 40 else ("FR", 10)
            add(session, Contact, now, key=f"c{number}", email=f"c{number}@mail.example", country=country, age=age,
                phone=f"+44770090{number:04}", bucket=number)  # fmt: skip
    services.warehouse.refresh()
    return services


def made(api: FlaskClient, criteria: Any = UK, name: str = "British") -> int:
    """Save a list."""
    answer = api.post("/api/v1/lists", json={"name": name, "criteria": criteria})
    assert answer.status_code == 201, answer.json
    return int(answer.json["id"])


def pages(api: FlaskClient, address: str, key: str, limit: int = 7) -> list[dict[str, Any]]:
    """All of a noun, page by page."""
    found, cursor = [], 0
    while cursor is not None:
        joint = "&" if "?" in address else "?"
        answer = api.get(f"{address}{joint}cursor={cursor}&limit={limit}")
        assert answer.status_code == 200, answer.json
        found += answer.json[key]
        cursor = answer.json["next"]
    return found


def test_versions_are_kept_compared_and_brought_back(shop: Services, api: FlaskClient) -> None:
    """Each change of name or criteria with who made it; going back is a new version, so that it can be undone."""
    list_id = made(api)
    address = f"/api/v1/lists/{list_id}"
    both = {"all": [*UK["all"], ADULT]}
    for version, (name, criteria) in enumerate([("Adults", both), ("Adults", both), ("Grown up", both)], 1):
        body = {"name": name, "criteria": criteria, "version": version}
        assert api.put(address, json=body).status_code == 200
    found = pages(api, f"{address}/versions", "versions", limit=2)
    assert [(one["version"], one["name"]) for one in found] == [(4, "Grown up"), (2, "Adults"), (1, "British")]
    assert {one["author"] for one in found} == {"API: test"}
    assert found[1]["sentence"] == "People in UK and aged at least 18"
    diff = api.get(f"{address}/versions/1/diff").json
    assert (diff["older"]["version"], diff["newer"]["version"]) == (1, 4)
    assert [(one["sign"], one["depth"], one["text"]) for one in diff["changes"]] == [
        ("", 0, "all of these:"),
        ("", 1, "in UK"),
        ("+", 1, "aged at least 18"),
    ]
    assert api.post(f"{address}/versions/1/restore", json={"version": 3}).status_code == 409
    back = api.post(f"{address}/versions/1/restore", json={"version": 4})
    assert (back.json["criteria"], back.json["name"], back.json["version"]) == (UK, "British", 5)
    again = api.post(f"{address}/versions/4/restore", json={"version": 5})
    assert again.json["criteria"] == both
    assert api.get(f"{address}/versions/3/diff").status_code == 404
    assert api.post(f"{address}/versions/9/restore", json={"version": 6}).status_code == 404


def test_a_version_that_names_what_is_gone(shop: Services, api: FlaskClient, now: datetime) -> None:
    """It is told with its fault and in JSON; bringing it back is refused with the path."""
    list_id = made(api)
    with shop.database.begin() as session:
        lists.save(session, list_id, "Odd", {"all": [{"field": "attributes.gone", "operator": "known"}]}, now=now)
        lists.save(session, list_id, "British", UK, now=now)
    address = f"/api/v1/lists/{list_id}"
    odd = pages(api, f"{address}/versions", "versions")[1]
    assert (odd["sentence"], "attributes.gone" in odd["fault"]) == (None, True)
    assert any("attributes.gone" in one["text"] for one in api.get(f"{address}/versions/2/diff").json["changes"])
    refused = api.post(f"{address}/versions/2/restore", json={"version": 3})
    assert (refused.status_code, refused.json["error"]["field"]) == (422, "all[0].field")


def test_people_are_picked_by_number_address_and_telephone(shop: Services, api: FlaskClient) -> None:
    """Put on, taken off, and left to the criteria again; words that mean nobody come back."""
    list_id = made(api)
    address = f"/api/v1/lists/{list_id}/picks"
    words = ["c50", " C51@Mail.Example ", "07700 900052", "nobody@mail.example", "c50"]
    added = api.post(address, json={"pick": "add", "words": words, "ids": [61]})
    told = {"changed": 4, "moved": 4, "already": 0, "left_out": 0, "unknown": ["nobody@mail.example"], "size": 44}
    assert added.json == told
    taken = api.post(address, json={"pick": "remove", "words": ["c0", "c50"]})
    assert (taken.json["changed"], taken.json["size"]) == (2, 42)
    kept = pages(api, address, "picks", limit=2)
    assert [(one["contact"]["key"], one["added"]) for one in kept] == [
        ("c0", False), ("c50", False), ("c51", True), ("c52", True), ("c60", True)]  # fmt: skip
    assert {one["author"] for one in kept} == {"API: test"}
    keys = [one["key"] for one in pages(api, f"/api/v1/lists/{list_id}/members", "members")]
    assert keys == [*(f"c{n}" for n in range(1, 40)), "c51", "c52", "c60"]
    assert api.post(address, json={"pick": "undo", "words": ["c0", "c51"]}).json["size"] == 42
    assert api.post(address, json={"pick": "undo", "words": ["c0"]}).json["changed"] == 0


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pick_without_effect_says_so(shop: Services, api: FlaskClient, *, frozen: bool) -> None:
    """Who was on the list is not told as put on it, nor who was off it as taken off; whoever is excluded stays out."""
    list_id = made(api, {"include": {"all": []}, "exclude": {"field": "country", "operator": "is", "value": "FR"}})
    if frozen:
        assert api.post(f"/api/v1/lists/{list_id}/freeze").status_code == 200

    def pick(verdict: str, *keys: str) -> tuple[int, ...]:
        told = api.post(f"/api/v1/lists/{list_id}/picks", json={"pick": verdict, "words": keys, "ids": [99_999]}).json
        return told["changed"], told["moved"], told["already"], told["left_out"]

    assert pick("add", "c0", "c50") == ((2, 1, 1, 0) if frozen else (2, 0, 1, 1))
    assert pick("add", "c0") == (0, 0, 1, 0)
    assert pick("remove", "c0", "c60") == (2, 1, 1, 0)
    assert pick("undo", "c0", "c60", "c70") == (2, 1, 2, 0)


def test_a_pick_for_a_list_that_cannot_be_used(shop: Services, api: FlaskClient) -> None:
    """It is written down, and nobody is told where people stand."""
    inner = made(api)
    list_id = made(api, {"all": [{"list": inner}]}, "Through another")
    with shop.database.begin() as session:
        lists.get(session, inner).criteria = {"all": [{"field": "gone", "operator": "known"}]}
    told = api.post(f"/api/v1/lists/{list_id}/picks", json={"pick": "add", "words": ["c0"]}).json
    assert (told["changed"], told["moved"], told["already"], told["left_out"]) == (1, None, None, None)


@pytest.mark.parametrize("frozen", [False, True])
def test_criteria_that_name_the_list_heed_picks(shop: Services, api: FlaskClient, *, frozen: bool) -> None:
    """Who was taken off is not among them, who was put on is; under a not the other way round."""
    list_id = made(api)
    if frozen:
        api.post(f"/api/v1/lists/{list_id}/freeze")
    address = f"/api/v1/lists/{list_id}"
    assert api.post(f"{address}/picks", json={"pick": "add", "words": ["c50"]}).json["size"] == 41
    assert api.post(f"{address}/picks", json={"pick": "remove", "words": ["c0", "c1"]}).json["size"] == 39
    on = made(api, {"all": [{"list": list_id}]}, "On it")
    off = made(api, {"all": [{"not": {"list": list_id}}]}, "Off it")
    twice = made(api, {"all": [{"list": on}]}, "Through another")
    keys = {name: {one["key"] for one in pages(api, f"/api/v1/lists/{one}/members", "members", 50)}
            for name, one in {"here": list_id, "on": on, "off": off, "twice": twice}.items()}  # fmt: skip
    expected = {f"c{n}" for n in range(2, 40)} | {"c50"}
    assert keys["here"] == keys["on"] == keys["twice"] == expected
    assert keys["off"] == {f"c{n}" for n in range(80)} - expected
    preview = api.post("/api/v1/lists/preview", json={"criteria": {"all": [{"list": list_id}]}})
    assert preview.json["count"] == 39
    csv = api.get(f"{address}/export.csv").text
    assert len(csv.splitlines()) == 40


def test_a_list_that_is_frozen_keeps_its_picks(shop: Services, api: FlaskClient) -> None:
    """They are among the people it is frozen with."""
    list_id = made(api)
    api.post(f"/api/v1/lists/{list_id}/picks", json={"pick": "add", "words": ["c50"]})
    assert api.post(f"/api/v1/lists/{list_id}/freeze").json == {"count": 41}
    assert api.get(f"/api/v1/lists/{list_id}/picks").json["picks"] == []


def test_members_with_chosen_fields(shop: Services, api: FlaskClient) -> None:
    """Only those; an unknown one is named with its nearest."""
    address = f"/api/v1/lists/{made(api)}/members"
    answer = api.get(f"{address}?fields=id,key&limit=2")
    assert answer.json == {"members": [{"id": 1, "key": "c0"}, {"id": 2, "key": "c1"}], "next": 2}
    wrong = api.get(f"{address}?fields=id,emial")
    assert (wrong.status_code, wrong.json["error"]["field"]) == (422, "fields")
    assert "email" in wrong.json["error"]["message"]


def test_profile_overlap_and_growth(shop: Services, api: FlaskClient, now: datetime) -> None:
    """What the pages show, for programs."""
    list_id, other = made(api), made(api, {"all": [ADULT]}, "Adults")
    profile = api.get(f"/api/v1/lists/{list_id}/profile?language=zh_Hans_CN").json
    assert (profile["size"], profile["base"]) == (40, 80)
    country = next(trait for trait in profile["traits"] if trait["key"] == "country")
    assert (country["label"], country["strength"] > 0.9) == ("国家", True)
    assert country["parts"][0] == {"kind": "value", "value": "UK", "high": None, "members": 40, "base": 40,
                                   "member_share": 1.0, "base_share": 0.5, "index": 2.0}  # fmt: skip
    unseen = api.get(f"/api/v1/lists/{list_id}/overlap").json
    assert unseen == {"size": 40, "others": [], "together": [{"lists": [], "count": 40}],
                      "unseen": [{"id": other, "name": "Adults"}]}  # fmt: skip
    lists.follow(shop.database, shop.warehouse, now)
    seen = api.get(f"/api/v1/lists/{list_id}/overlap").json
    named = {"id": other, "name": "Adults"}
    assert seen["others"] == [{"list": named, "size": 40, "both": 40, "jaccard": 1.0}]
    assert seen["together"] == [{"lists": [named], "count": 40}]
    with shop.database.begin() as session:
        add(session, Contact, now, key="new", country="UK")
    assert api.get(f"/api/v1/lists/{list_id}/profile").json["size"] == 41
    lists.follow(shop.database, shop.warehouse, now + timedelta(days=1))
    first, second = now.date().isoformat(), (now + timedelta(days=1)).date().isoformat()
    growth = api.get(f"/api/v1/lists/{list_id}/growth").json["days"]
    assert growth == [{"day": first, "size": 40, "joined": 0, "left": 0},
                      {"day": second, "size": 41, "joined": 1, "left": 0}]  # fmt: skip
    assert api.get(f"/api/v1/lists/{list_id}/growth?since={second}").json["days"] == growth[1:]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "versions", None, 404),
        ("get", "profile", None, 404),
        ("get", "overlap", None, 404),
        ("get", "growth", None, 404),
        ("get", "picks", None, 404),
        ("post", "picks", {"pick": "add"}, 404),
        ("post", "picks", {"pick": "put"}, 422),
        ("post", "picks", {"pick": "add", "ids": [0]}, 422),
        ("post", "picks", {"pick": "add", "words": [7]}, 422),
    ],
)
def test_what_cannot_be_is_refused(api: FlaskClient, method: str, path: str, body: Any, status: int) -> None:
    """A list that is not there, a verb that is none, a number that is none."""
    assert getattr(api, method)(f"/api/v1/lists/77/{path}", json=body).status_code == status


def test_an_export_has_the_attributes_of_the_members(shop: Services, api: FlaskClient, now: datetime) -> None:
    """Not those that only others have; cells that would be run are made harmless."""
    with shop.database.begin() as session:
        add(session, Contact, now, key="=cmd()", country="UK", attributes={"size": "-1+2", "été": "x"})
        add(session, Contact, now, key="z", country="FR", attributes={"secret": 1})
    text = api.get(f"/api/v1/lists/{made(api)}/export.csv").text
    header = text.lstrip("\ufeff").splitlines()[0].split(",")
    assert [name for name in header if name.startswith("attributes.")] == ["attributes.size", "attributes.été"]
    assert "'=cmd()" in text
