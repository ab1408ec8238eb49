"""What the palette finds."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient

from engine.models import Contact
from web.services import Services


@pytest.mark.parametrize("words", ["", "ada", "' OR 1=1 --", "%", "x" * 5000])
def test_any_words_are_answered(marketer: FlaskClient, services: Services, now: datetime, words: str) -> None:
    """Whatever is typed."""
    with services.database.begin() as session:
        session.add(Contact(key="1", first_name="Ada", created_at=now, updated_at=now))
    assert marketer.get("/search", query_string={"q": words}, headers={"HX-Request": "true"}).status_code == 200
