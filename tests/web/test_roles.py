"""What a marketer may not do."""

from __future__ import annotations

import re

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select

from engine.models import Contact
from tests.campaigns import shop
from web.models import ApiKey
from web.roles import ADMIN, ROLES, may
from web.services import Services, utcnow

# Pages of settings that change nothing but one's own account.
OWN = {"settings.index", "settings.save_profile", "settings.save_password", "settings.end_sessions"}


def test_each_page_of_settings_is_decided_on(app: APIFlask) -> None:
    """The table names views that exist, and all of settings but one's own account."""
    assert set(app.view_functions) >= ADMIN
    settings = {endpoint for endpoint in app.view_functions if endpoint.startswith("settings.")}
    assert settings == {endpoint for endpoint in ADMIN if endpoint.startswith("settings.")} | OWN


@pytest.mark.parametrize("endpoint", sorted(ADMIN))
def test_only_administrators(endpoint: str, app: APIFlask, marketer: FlaskClient, admin: FlaskClient) -> None:
    """A marketer is refused with the way out and an administrator is not."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint]
    for rule in rules:
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            address = re.sub(r"<[^>]+>", "1", rule.rule)
            answer = marketer.open(address, method=method)
            assert answer.status_code == 403
            assert "Only an administrator" in answer.text
            assert admin.open(address, method=method).status_code != 403


def test_refused_is_refused(services: Services, marketer: FlaskClient) -> None:
    """Nothing is made or erased before the refusal."""
    with services.database.begin() as session:
        shop.contact(session, 1, utcnow())
        found = session.scalars(select(Contact)).one()
        number, key = found.id, found.key
    marketer.post("/settings/keys", data={"name": "Mine", "scopes": "contacts:write"})
    marketer.post(f"/contacts/{number}/erase", data={"key": key})
    with services.database.read() as session:
        assert session.scalars(select(ApiKey)).all() == []
        assert session.get(Contact, number) is not None


def test_pages_show_what_one_may_do(services: Services, marketer: FlaskClient, admin: FlaskClient) -> None:
    """No button and no tab that would only be refused."""
    with services.database.begin() as session:
        shop.contact(session, 1, utcnow())
        number = session.scalars(select(Contact.id)).one()
    for page, shown in ((f"/contacts/{number}", "/erase"), ("/settings", "/settings/keys"), ("/", "/settings/keys")):
        assert shown in admin.get(page).text
        assert shown not in marketer.get(page).text


def test_an_import_and_its_undo_are_of_one_role(app: APIFlask) -> None:
    """Whoever may bring a file in may take it back, and nobody else."""
    doors = {endpoint for endpoint in app.view_functions if endpoint.partition(".")[0] in ("imports", "undo")}
    assert {"imports.run", "undo.ask", "undo.start"} <= doors
    for role in ROLES:
        assert len({may(role, endpoint) for endpoint in doors}) == 1
