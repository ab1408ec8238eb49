"""Parts of pages, opened by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from tests.conftest import HeaderClient
from web.pages import PARTS

OPEN = ("/api/", "/static/", "/t.js", "/health", "/ready", "/metrics")
VALUES = {"campaign_id": "1", "contact_id": "1", "list_id": "1", "import_id": "1", "message_id": "1", "token": "t",
          "name": "contacts", "key": "newsletter",
          "flyer_id": "1", "form_id": "1", "merge_id": "1", "training_id": "1", "version": "1", "code": "TEA",
          "prefix": "p", "time": "1", "number": "1"}  # fmt: skip


def _addresses(app: APIFlask) -> Iterator[tuple[str, Rule]]:
    """Everything a browser may open."""
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.rule.startswith(OPEN):
            yield re.sub(r"<(?:\w+:)?(\w+)>", lambda found: VALUES[found[1]], rule.rule), rule


@pytest.mark.usefixtures("draft")
def test_every_address_opens_a_whole_page(app: APIFlask, admin: FlaskClient) -> None:
    """A page, a way to one, a file or data for a program; never a part of a page without its frame."""
    for path, rule in _addresses(app):
        answer = admin.get(path)
        text = answer.text.lstrip().lower() if answer.mimetype == "text/html" and answer.status_code != 302 else ""
        assert answer.status_code < 500, path
        assert not text or text.startswith("<!doctype html"), f"{path} ({rule.endpoint}) shows a part of a page"


def test_a_part_leads_to_its_page(marketer: HeaderClient, draft: int) -> None:
    """With the number of the campaign, and only when it was opened by itself."""
    path = f"/campaigns/{draft}/progress"
    assert marketer.get(path).headers["Location"] == f"/campaigns/{draft}"
    assert marketer.get("/campaigns/results?ids=1").headers["Location"] == "/campaigns"
    assert marketer.get(path, headers={"HX-Request": "true"}).status_code == 200


def test_parts_are_endpoints(app: APIFlask) -> None:
    """Each, and the page it belongs to."""
    assert {*PARTS, *PARTS.values()} <= app.view_functions.keys()
