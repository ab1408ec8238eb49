"""A list that is changed while a campaign waits for its time."""

from __future__ import annotations

from flask.testing import FlaskClient

from engine import lists
from engine.models import ContactList
from web.services import Services, utcnow

HTMX = {"HX-Request": "true"}  # without it the progress alone leads to its page


def test_a_list_changed_since_is_shown(marketer: FlaskClient, services: Services, draft: int, people: int) -> None:
    """On the page of what is scheduled, on Today, and before it happens in the list's editor."""
    places = (f"/campaigns/{draft}", f"/campaigns/{draft}/progress", "/")
    assert "It decides who gets" not in marketer.get(f"/lists/{people}").text
    assert marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1}).status_code == 303
    editor = marketer.get(f"/lists/{people}").text
    assert f'It decides who gets <a href="/campaigns/{draft}">Spring &lt;sale&gt;</a>' in editor
    assert not any("after you scheduled it" in marketer.get(place, headers=HTMX).text for place in places)
    with services.database.begin() as session:
        lists.save(session, people, "Some", {"field": "key", "operator": "is", "value": "c7"}, now=utcnow())
    for place in places:
        assert "after you scheduled it. 1 person is on it now." in marketer.get(place, headers=HTMX).text
    with services.database.begin() as session:
        one = session.get_one(ContactList, people)
        one.criteria, one.version = {"field": "gone", "operator": "known"}, one.version + 1
    for place in places:
        assert "it will not go out" in marketer.get(place, headers=HTMX).text
