"""API keys."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select

from engine.database import Database
from engine.errors import Invalid, NotFound
from web.api import access
from web.models import ApiKey
from web.services import Services, utcnow


@pytest.fixture
def made(database: Database, now: datetime) -> str:
    """A key that may send events."""
    with database.begin() as session:
        return access.add_key(session, "Shop", ["events:write", "events:write"], now=now)


def test_only_a_digest_is_kept(database: Database, made: str) -> None:
    """The secret is shown once and stands nowhere."""
    prefix, _, secret = made.partition(".")
    with database.read() as session:
        key = session.scalars(select(ApiKey)).one()
    assert (key.prefix, key.scopes) == (prefix, ["events:write"])
    assert secret not in key.digest
    assert len(secret) >= 43  # 256 bits


def test_the_whole_key_opens(database: Database, made: str, now: datetime) -> None:
    """Not its prefix alone, not another secret, not nothing."""
    prefix = made.partition(".")[0]
    assert access.find_key(database, made, now)
    for wrong in ("", prefix, f"{prefix}.", f"{made}x", made.replace(".", ""), "x" * 5000):
        assert access.find_key(database, wrong, now) is None


def test_a_key_is_a_bearers_and_opens_its_scopes_only(client: FlaskClient, services: Services) -> None:
    """No other scheme carries it, in whatever case the word is written; another scope's door stays shut."""
    with services.database.begin() as session:
        made = access.add_key(session, "Shop", ["lists:read"], now=utcnow())
    for scheme, path, status in (
        ("Bearer", "lists", 200),
        ("bearer", "lists", 200),
        ("Basic", "lists", 401),
        ("", "lists", 401),
        ("Bearer", "campaigns", 403),
    ):
        answer = client.get(f"/api/v1/{path}", headers={"Authorization": f"{scheme} {made}"})
        assert answer.status_code == status, (scheme, path)


def test_revoked_key_is_dead(database: Database, made: str, now: datetime) -> None:
    """At once; revoking it again finds nothing."""
    prefix = made.partition(".")[0]
    with database.begin() as session:
        access.revoke_key(session, prefix, now=now)
    assert access.find_key(database, made, now) is None
    with pytest.raises(NotFound), database.begin() as session:
        access.revoke_key(session, prefix, now=now)


def test_last_use_is_noted(database: Database, made: str, now: datetime) -> None:
    """To the minute, so that a busy key does not write at every call."""
    for seconds in (0, 30, 90):
        access.find_key(database, made, now + timedelta(seconds=seconds))
    with database.read() as session:
        assert session.scalars(select(ApiKey.last_used_at)).one() == now + timedelta(seconds=90)


def test_unknown_scope_names_the_nearest(database: Database, now: datetime) -> None:
    """A typing error makes no key that later fails."""
    with pytest.raises(Invalid, match="'events:write'"), database.begin() as session:
        access.add_key(session, "Shop", ["event:write"], now=now)
    with pytest.raises(Invalid, match="name"), database.begin() as session:
        access.add_key(session, " ", ["events:write"], now=now)
    with pytest.raises(Invalid, match="at least one"), database.begin() as session:
        access.add_key(session, "Shop", [], now=now)


def test_every_scope_opens_something(app: APIFlask) -> None:
    """What a key is offered exists."""
    used = {getattr(view, "scope", None) for view in app.view_functions.values()}
    assert set(access.SCOPES) - used == {"metrics:read"}, "asked for by /metrics itself"


def test_every_scope_is_explained() -> None:
    """The table of docs/access.md names all of them, and no other."""
    text = (Path(__file__).parents[3] / "docs/access.md").read_text(encoding="utf-8")
    table = text.partition("| scope |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+:\w+)`", table)) == set(access.SCOPES)


def test_description_of_the_api(client: FlaskClient, api: FlaskClient, marketer: FlaskClient) -> None:
    """For a key or a logged-in user; every operation says which scope it needs."""
    assert client.get("/api/v1/openapi.json").status_code == 401
    assert marketer.get("/api/v1/openapi.json").status_code == 200
    spec = api.get("/api/v1/openapi.json").get_json()
    assert spec["info"]["title"] == "Rapport"
    operations = [operation for path in spec["paths"].values() for operation in path.values()]
    assert all(operation["security"][0]["key"] for operation in operations)


def test_errors_have_one_shape(api: FlaskClient, client: FlaskClient) -> None:
    """{"error": {"code", "message", "field"}}, for a missing key and for a wrong address alike."""
    for answer, status, code in (
        (client.get("/api/v1/lists"), 401, "not_authenticated"),
        (api.get("/api/v1/nowhere"), 404, "not_found"),
        (api.delete("/api/v1/openapi.json"), 405, "method_not_allowed"),
    ):
        if answer.status_code == 404 and status == 401:
            continue
        assert answer.status_code == status
        assert answer.get_json()["error"].keys() == {"code", "message", "field"}
        assert answer.get_json()["error"]["code"] == code
