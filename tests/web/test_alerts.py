"""What needs attention."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from apiflask import APIFlask

from campaigns.models import Campaign, Firing, Send
from engine.database import Database
from engine.models import Contact, Import
from recommender.models import Published, Training
from web.alerts import Alert, alerts


def _campaign(now: datetime, name: str, status: str) -> Campaign:
    return Campaign(
        name=name, status=status, split_a=1, split_s=0, currency="GBP", created_at=now, updated_at=now, due_at=now
    )


def _alerts(app: APIFlask, database: Database, now: datetime) -> list[Alert]:
    with app.test_request_context(), database.read() as session:
        return alerts(session, now)


def test_all_quiet(app: APIFlask, database: Database, now: datetime) -> None:
    """Nothing to say, nothing said."""
    assert _alerts(app, database, now) == []


def test_late_campaigns_failed_imports_and_trainings(app: APIFlask, database: Database, now: datetime) -> None:
    """Each leads to its page; what is only stale comes last."""
    with database.begin() as session:
        late = _campaign(now, "Tea", "late")
        old = Training(status="ready", folder="1", started_at=now - timedelta(days=30))
        session.add_all([late, old, _campaign(now, "Fine", "scheduled")])
        session.add(Import(kind="orders", file_name="orders.csv", started_at=now, error="broken"))
        session.flush()
        session.add(Published(id=1, training_id=old.id, at=now - timedelta(days=20)))
    found = _alerts(app, database, now)
    assert [alert.kind for alert in found] == ["bad", "bad", "warn"]
    assert found[0].number == {"campaign_id": late.id}
    assert "orders.csv" in found[1].text
    assert "20 days" in found[2].text


@pytest.mark.parametrize(("bounced", "warned"), [(2, False), (3, True)])
def test_bounces(app: APIFlask, database: Database, now: datetime, bounced: int, warned: bool) -> None:
    """More than two in a hundred of a campaign of this week."""
    with database.begin() as session:
        campaign = _campaign(now, "Tea", "finished")
        session.add(campaign)
        session.add_all(Contact(id=n, key=str(n), created_at=now, updated_at=now) for n in range(1, 101))
        session.flush()
        firing = Firing(campaign_id=campaign.id, due_at=now, fired_at=now - timedelta(days=1))
        session.add(firing)
        session.flush()
        session.add_all(
            Send(
                firing_id=firing.id,
                campaign_id=campaign.id,
                contact_id=n,
                channel="email",
                state="accepted",
                outcome="bounced" if n <= bounced else "delivered",
                created_at=now,
            )
            for n in range(1, 101)
        )
    assert [alert.text.startswith("3% of “Tea” bounced") for alert in _alerts(app, database, now)] == [True] * warned
