"""/api/v1/imports: what came in by file, and taking it back."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from engine.intake import import_file, undo
from engine.models import Contact, Import
from web.api import access
from web.services import Services, utcnow


@pytest.fixture
def run(services: Services, tmp_path: Path) -> Import:
    """Two contacts that came in by a file."""
    path = tmp_path / "people.csv"
    path.write_text("key,first_name\nC1,Ann\nC2,Bob\n")
    return import_file(services.database, services.config, "contacts", path, now=utcnow())


def wait(services: Services, run: Import) -> None:
    """Until the undo and the refresh after it are done."""
    for thread in threading.enumerate():
        if thread.name == "undo":
            thread.join(30)
    with services.database.read() as session:
        assert not undo.is_held(session, run.id)


def test_an_import_is_undone(api: FlaskClient, services: Services, run: Import) -> None:
    """Seen before, begun with 202, asked for until it is done; a second time is a conflict."""
    assert [one["id"] for one in api.get("/api/v1/imports").json["imports"]] == [run.id]
    would = api.get(f"/api/v1/imports/{run.id}/undo").json["would"]
    assert would == [{"table": "contacts", "what": "removed", "reason": "", "count": 2}]
    assert api.post(f"/api/v1/imports/{run.id}/undo").status_code == 202
    wait(services, run)
    assert api.get(f"/api/v1/imports/{run.id}").json["undone"] == would
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 0
    assert api.post(f"/api/v1/imports/{run.id}/undo").status_code == 409
    assert api.get("/api/v1/imports/77/undo").status_code == 404


def test_the_page_shows_it_before_and_afterwards(marketer: FlaskClient, services: Services, run: Import) -> None:
    """What would go, then what went."""
    shown = marketer.get(f"/imports/{run.id}").text
    assert f"/imports/{run.id}/undo" in shown
    asked = marketer.get(f"/imports/{run.id}/undo").text
    assert "2 would go" in asked
    assert marketer.post(f"/imports/{run.id}/undo").status_code == 303
    wait(services, run)
    shown = marketer.get(f"/imports/{run.id}").text
    assert "was undone on" in shown
    assert "2 are gone" in shown
    assert marketer.get(f"/imports/{run.id}/undo").status_code == 303


def test_reading_needs_no_leave_to_undo(client: FlaskClient, services: Services, run: Import) -> None:
    """And who may undo need not read."""
    may = {}
    for scope in ("imports:read", "imports:undo"):
        with services.database.begin() as session:
            key = access.add_key(session, scope, [scope], now=utcnow())
        headers = {"Authorization": f"Bearer {key}"}
        paths = ("/api/v1/imports", f"/api/v1/imports/{run.id}", f"/api/v1/imports/{run.id}/undo")
        reads = [client.get(path, headers=headers).status_code for path in paths]
        may[scope] = (reads, client.post(paths[2], headers=headers).status_code)
    wait(services, run)
    assert may == {"imports:read": ([200] * 3, 403), "imports:undo": ([403] * 3, 202)}


def test_a_killed_import_shows_how_far_it_came(marketer: FlaskClient, services: Services, run: Import) -> None:
    """Nobody was left to count and to end it; the journal knows, and it can be undone."""
    with services.database.begin() as session:
        killed = session.get_one(Import, run.id)
        killed.created, killed.rows, killed.finished_at = 0, 0, None
    shown = marketer.get(f"/imports/{run.id}").text
    assert re.search(r"New.{0,80}?\b2\b", re.sub(r"<[^>]+>|\s+", " ", shown))
    assert f"/imports/{run.id}/undo" in shown


def test_a_killed_undo_goes_on_after_a_minute(marketer: FlaskClient, services: Services, run: Import) -> None:
    """Until then somebody may be at work on it; nothing but the database says so."""
    for age, words, status in ((0, "It is being undone", 409), (61, "broken off", 303)):
        with services.database.begin() as session:
            session.get_one(Import, run.id).undo_started_at = utcnow() - timedelta(seconds=age)
        assert words in marketer.get(f"/imports/{run.id}").text
        assert marketer.post(f"/imports/{run.id}/undo").status_code == status
    wait(services, run)
    assert "was undone on" in marketer.get(f"/imports/{run.id}").text
    assert not list(services.config.folder.rglob("undo-*"))
