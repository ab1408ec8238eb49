"""Who is who, as a marketer sees and changes it."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import contacts, identity, intake
from engine.models import Contact, Event, Identity, Merge
from web.api import access
from web.services import Services, utcnow


@pytest.fixture
def people(services: Services, now: datetime) -> dict[str, int]:
    """A web customer, the same one as a store's, and a stranger known by a card."""
    records = (
        (
            "contacts",
            {"key": "C-1", "first_name": "Ann", "last_name": "Lee", "city": "Dover", "phone": "+442071838750"},
        ),
        (
            "contacts",
            {"key": "S-1", "first_name": "Anne", "last_name": "Lee", "region": "Kent", "phone": "+442071838750"},
        ),
        ("orders", _order("w1", now, contact="C-1", channel="web")),
        ("orders", _order("s1", now, contact="S-1", channel="store")),
        ("orders", _order("s2", now, card="4711", channel="store")),
        ("events", {"key": "1", "type": "search", "at": now.isoformat(), "visitor": "v-0123456789abcdef"}),
    )
    with services.database.begin() as session:
        for kind, record in records:
            assert not intake.accept(session, kind, [record], now=now, config=services.config).rejected
        found = {one.key: one.id for one in session.scalars(select(Contact))}
        identity.identify(session, "v-0123456789abcdef", found["C-1"], now)
    services.warehouse.refresh()
    return found


def _order(key: str, now: datetime, **who: str) -> dict[str, object]:
    lines = [{"item": "tea", "quantity": 1, "unit_price": "5"}]
    return {"order": key, "at": now.isoformat(), "lines": lines, **who}


def test_report_duplicates_and_merges(marketer: FlaskClient, services: Services, people: dict[str, int]) -> None:
    """One on the web, two in the store; likely the same; merged, they are both."""
    page = marketer.get("/identity").text
    assert "the same telephone" in page
    answer = marketer.get(f"/identity/compare/{people['C-1']}?other=S-1")
    assert "<strong>Dover</strong>" in answer.text
    assert "<strong>Kent</strong>" in answer.text
    with services.database.read() as session:
        assert session.scalars(select(Merge)).all() == []  # looking changes nothing
    answer = marketer.post(
        f"/identity/merge/{people['C-1']}", data={"other": people["S-1"], "evidence": "on the telephone"}
    )
    assert answer.headers["Location"] == f"/contacts/{people['C-1']}"
    page = marketer.get("/identity").text
    assert all(word in page for word in ("on the telephone", "marketer@shop.example"))
    assert "the same telephone" not in page
    old = marketer.get(f"/contacts/{people['S-1']}")
    assert old.headers["Location"] == f"/contacts/{people['C-1']}"
    assert "S-1" in marketer.get(f"/contacts/{people['C-1']}").text
    with services.database.read() as session:
        merge_id = session.scalars(select(Merge.id)).one()
        assert [one.key for one in contacts.search(session, "lee")] == ["C-1"]
    answer = marketer.post(f"/identity/undo/{merge_id}", data={})
    assert answer.headers["Location"] == f"/contacts/{people['S-1']}"
    assert "Undone by marketer@shop.example" in marketer.get("/identity").text
    assert marketer.get(f"/contacts/{people['S-1']}").status_code == 200


def test_what_cannot_be_merged_says_why(marketer: FlaskClient, services: Services, people: dict[str, int]) -> None:
    """Oneself, nobody, somebody merged meanwhile, a merge undone twice."""
    ann = people["C-1"]
    assert marketer.post(f"/identity/merge/{ann}", data={"other": ann}).status_code == 422
    assert marketer.post(f"/identity/merge/{ann}", data={}).status_code == 422
    assert marketer.post(f"/identity/merge/{ann}", data={"other": 10**9}).status_code == 404
    assert marketer.post("/identity/undo/99", data={}).status_code == 404
    assert "No other contact" in marketer.get(f"/identity/compare/{ann}?other=nobody at all").text
    assert "Anne" in marketer.get(f"/identity/compare/{ann}?other=lee").text


def test_a_browser_that_is_not_theirs(marketer: FlaskClient, services: Services, people: dict[str, int]) -> None:
    """What it did is anonymous again."""
    assert "v-0123456789" in marketer.get(f"/contacts/{people['C-1']}").text
    stranger = marketer.post(f"/identity/visitor/{people['S-1']}", data={"visitor": "v-0123456789abcdef"})
    assert stranger.status_code == 404  # it is not S-1's to give away
    marketer.post(f"/identity/visitor/{people['C-1']}", data={"visitor": "v-0123456789abcdef"})
    with services.database.read() as session:
        assert session.scalar(select(Event.contact_id)) is None
        assert not session.scalars(select(Identity).where(Identity.kind == "visitor")).all()
    assert (
        marketer.post(f"/identity/visitor/{people['C-1']}", data={"visitor": "v-0123456789abcdef"}).status_code == 404
    )


def test_the_website_page(marketer: FlaskClient, services: Services, people: dict[str, int]) -> None:
    """The snippet, what is missing for it to work, and a part that asks again."""
    page = marketer.get("/sources/website").text
    assert all(word in page for word in ("/t.js", "tracking.site", "shop.origins"))
    assert "Nothing was refused" in marketer.get("/sources/website/live", headers={"HX-Request": "true"}).text
    with services.database.begin() as session:
        key = access.add_browser_key(session, "Shop", ["https://shop.example"], now=utcnow())
    page = marketer.get("/sources/website").text
    assert (f'data-key="{key}"' in page, "The door is closed" in page) == (True, False)
    assert "https://shop.example" in page
