"""Pages about people: found, shown with their history, erased on purpose only."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from engine import consent, intake
from engine.models import Consent, Contact
from web.services import Services

RECORDS = {
    "contacts": [
        {"key": "C1", "email": "ann@shop.example", "first_name": "Ann", "last_name": "<b>Lee</b>", "age": 41},
        {"key": "C2", "email": "bo@shop.example", "first_name": "Bo", "last_name": "Chen", "email_consent": True},
    ],
    "orders": [{"order": "O1", "at": "2026-02-01T10:00:00Z", "contact": "C1",
                "lines": [{"item": "I1", "quantity": 2, "unit_price": "12.50"}]}],
    "events": [{"type": "search", "at": "2026-02-02T10:00:00Z", "contact": "C1", "properties": {"query": "red <tea>"}}],
}  # fmt: skip

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ann(services: Services, now: datetime) -> int:
    """Two people; Ann has ordered and searched."""
    with services.database.begin() as session:
        for kind, records in RECORDS.items():
            intake.accept(session, kind, records, now=now, config=services.config)
        return session.scalars(select(Contact.id).where(Contact.key == "C1")).one()


def test_the_total_is_shown(marketer: FlaskClient, services: Services, ann: int) -> None:
    """Of everybody, whatever is searched for, from the warehouse."""
    assert "Everybody you know" in marketer.get("/contacts").text
    services.warehouse.refresh()
    for path in ("/contacts", "/contacts?q=ann"):
        assert "<p>2 contacts</p>" in marketer.get(path).text
    assert ann


def test_search_finds_by_every_word(marketer: FlaskClient, ann: int) -> None:
    """All words must be met, in any of the fields; names are shown as text, never as HTML."""
    everybody = marketer.get("/contacts").text
    assert "Bo Chen" in everybody
    assert "&lt;b&gt;Lee&lt;/b&gt;" in everybody
    found = marketer.get("/contacts?q=ann+shop").text
    assert "ann@shop.example" in found
    assert "Bo Chen" not in found
    assert "Nobody found" in marketer.get("/contacts?q=nobody").text


def test_a_contact_shows_what_happened(services: Services, marketer: FlaskClient, ann: int) -> None:
    """Orders and events stand in one history, and the traits come from the warehouse."""
    services.warehouse.refresh()
    page = marketer.get(f"/contacts/{ann}").text
    assert "Order O1" in page
    assert "£25.00" in page
    assert "Searched" in page
    assert "red &lt;tea&gt;" in page
    assert marketer.get("/contacts/999999").status_code == 404


def test_consent_by_telephone_is_written_down(services: Services, marketer: FlaskClient, ann: int) -> None:
    """The word goes to the ledger with its evidence, and to the contact."""
    marketer.post(f"/contacts/{ann}/consent", data={"channel": "sms", "granted": "yes", "evidence": "called"})
    with services.database.read() as session:
        word = session.scalars(select(Consent).where(Consent.contact_id == ann)).one()
        assert (word.channel, word.granted, word.evidence) == ("sms", True, "called")
        assert session.get_one(Contact, ann).sms_consent is True


def test_a_yes_lifts_an_unsubscribe_with_evidence_only(
    services: Services, marketer: FlaskClient, ann: int, now: datetime
) -> None:
    """Who took back a no is written to again; who complained never is, whatever is written down."""
    address = "ann@shop.example"
    with services.database.begin() as session:
        consent.suppress(session, "email", address, "unsubscribe", now)
    yes = {"channel": "email", "granted": "yes"}
    assert marketer.post(f"/contacts/{ann}/consent", data=yes).status_code == 422
    assert marketer.post(f"/contacts/{ann}/consent", data=yes | {"evidence": "letter of 2 March"}).status_code == 303
    with services.database.begin() as session:
        assert not consent.is_suppressed(session, "email", address)
        consent.suppress(session, "email", address, "complaint", now)
    assert marketer.post(f"/contacts/{ann}/consent", data=yes | {"evidence": "letter"}).status_code == 409
    with services.database.read() as session:
        assert consent.suppression(session, "email", address) == "complaint"


def test_erasing_needs_the_number_typed(services: Services, admin: FlaskClient, ann: int) -> None:
    """A wrong number erases nobody; the right one erases and keeps the address silent."""
    assert admin.post(f"/contacts/{ann}/erase", data={"key": "C2"}).status_code == 422
    assert admin.post(f"/contacts/{ann}/erase", data={"key": "C1"}).status_code == 303
    with services.database.read() as session:
        assert session.get(Contact, ann) is None
        assert consent.is_suppressed(session, "email", "ann@shop.example")


def test_history_refuses_a_wrong_cursor(marketer: FlaskClient, ann: int) -> None:
    """A cursor that is none is a 422, not a traceback."""
    for wrong in ("yesterday", "1@2026-03-01T00:00:00", "x@2026-03-01T00:00:00Z", "-1@2026-03-01T00:00:00Z"):
        answer = marketer.get(f"/contacts/{ann}/history", query_string={"cursor": wrong}, headers=HTMX)
        assert answer.status_code == 422
    asked = {"cursor": "0@2026-03-01T00:00:00+00:00"}
    page = marketer.get(f"/contacts/{ann}/history", query_string=asked, headers=HTMX).text
    assert "Order O1" in page
