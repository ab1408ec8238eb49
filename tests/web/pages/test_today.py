"""The first page."""

from __future__ import annotations

from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import event, update

from campaigns.models import Campaign, Firing, Send
from engine.models import Contact, Order
from tests.campaigns.shop import DAY
from web.services import Services, utcnow


def test_first_run(marketer: FlaskClient) -> None:
    """An empty shop sees what to do first and no empty figures."""
    text = marketer.get("/").text
    assert "First steps" in text
    assert "Revenue" not in text


def test_figures(marketer: FlaskClient, services: Services) -> None:
    """What was sold in the last thirty days, whom a mail reaches, what is on its way."""
    now = utcnow()
    with services.database.begin() as session:
        session.add_all(
            Contact(id=n, key=str(n), email=f"{n}@mail.example", email_consent=n < 4, created_at=now, updated_at=now)
            for n in range(1, 6)
        )
        session.flush()
        for number, days in enumerate((1, 2, 40)):
            at = now - timedelta(days=days)
            session.add(
                Order(key=str(number), contact_id=1, ordered_at=at, currency="GBP", total=500_000, units=1, digest="")
            )
        campaign = Campaign(
            name="Tea <time>",
            status="sending",
            split_a=1,
            split_s=0,
            currency="GBP",
            due_at=now,
            created_at=now,
            updated_at=now,
        )
        session.add(campaign)
        session.flush()
        firing = Firing(campaign_id=campaign.id, due_at=now, fired_at=now)
        session.add(firing)
        session.flush()
        for contact, state in ((1, "accepted"), (2, "held"), (3, "queued"), (4, "suppressed"), (5, "failed")):
            session.add(
                Send(
                    firing_id=firing.id,
                    campaign_id=campaign.id,
                    contact_id=contact,
                    channel="email",
                    state=state,
                    next_at=None if state in ("held", "suppressed") else now,
                    created_at=now,
                )
            )
    text = marketer.get("/").text
    for said in ("£100", "+100%", "60%", "Tea &lt;time&gt;", "1 / 3", "1 campaign is under way"):
        assert said in text, said
    with services.database.begin() as session:
        coming = Campaign(name="Later", status="scheduled", split_a=1, split_s=0, currency="GBP", due_at=now + DAY)
        session.add(coming)
        coming.created_at = coming.updated_at = now
    assert "1 campaign is under way, 1 campaign is coming" in marketer.get("/").text
    with services.database.begin() as session:
        session.execute(update(Campaign).where(Campaign.status == "sending").values(status="finished"))
    assert "<p>1 campaign is coming</p>" in marketer.get("/").text


def test_statements_do_not_grow_with_campaigns(marketer: FlaskClient, services: Services) -> None:
    """Ten campaigns cost as many statements as five."""
    now = utcnow()
    statements: list[str] = []
    counts = []

    def count(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(services.database.engine, "before_cursor_execute", count)
    with services.database.begin() as session:
        session.add(Contact(key="1", created_at=now, updated_at=now))
    for _ in range(2):
        with services.database.begin() as session:
            session.add_all(
                Campaign(
                    name=str(n),
                    status="scheduled",
                    split_a=1,
                    split_s=0,
                    currency="GBP",
                    due_at=now,
                    created_at=now,
                    updated_at=now,
                )
                for n in range(5)
            )
        marketer.get("/")  # the warehouse catches up
        statements.clear()
        marketer.get("/")
        counts.append(len(statements))
    assert counts[0] == counts[1]
