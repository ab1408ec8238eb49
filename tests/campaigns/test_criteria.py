"""What criteria ask of messages, against plain counting in SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaigns import criteria as messages
from campaigns.models import Campaign, Link, Send
from engine import contacts, criteria
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.database import Database, next_revision
from engine.errors import Invalid
from engine.models import Event
from engine.warehouse import Warehouse
from tests.campaigns import shop

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PEOPLE = 60
Row = dict[str, Any]


@pytest.fixture
def warehouse(database: Database, config: Config) -> Warehouse:
    """The columnar copy."""
    return Warehouse(database, config.folder / "warehouse", config)


@pytest.fixture
def sent(database: Database, warehouse: Warehouse) -> Warehouse:
    """Three campaigns to 60 people with everything that can come back of them, some of it invented by others."""
    with database.begin() as session:
        people = shop.crowd(session, PEOPLE, NOW - timedelta(days=400))
        shop.item(session, 5, NOW)
        for number, (channel, days) in enumerate((("email", 40), ("email", 20), ("sms", 3)), 1):
            found = shop.campaign(session, NOW, name=f"C{number}", channel=channel, holdout=0.3)
            for which in range(2):
                session.add(Link(campaign_id=found.id, url=f"https://x.example/{which}", digest=f"{number}{which}"))
            shop.fire(session, found, people, NOW - timedelta(days=days))
        session.flush()
        _come_back(session)
    warehouse.refresh()
    return warehouse


def _come_back(session: Session) -> None:
    """Marks and events, drawn at random; of an event also ones that nobody should count."""
    rng = np.random.default_rng(5)
    revision = next_revision(session)
    for send in session.scalars(select(Send).where(Send.state == "queued")).all():
        at = NOW - timedelta(days=float(rng.uniform(0, 45)))
        state = rng.choice(["accepted", "failed", "unknown"], p=[0.8, 0.1, 0.1])
        opened, clicked = (state == "accepted" and rng.random() < share for share in (0.5, 0.3))
        outcome = (None, None, "delivered", "bounced", "unsubscribed", "complained")[send.id % 6]
        marks = {"opened_at": at if opened else None, "clicked_at": at if clicked else None,
                 "outcome": outcome if state == "accepted" else None}  # fmt: skip
        session.execute(
            update(Send).where(Send.id == send.id).values(
                state=state, accepted_at=at if state == "accepted" else None, revision=revision, **marks)
        )  # fmt: skip
        told = {"send_id": send.id, "campaign_id": send.campaign_id, "channel": send.channel}
        for kind, happened in (("open", opened), ("click", clicked)):
            link = {"link": f"https://x.example/{rng.integers(2)}"} if kind == "click" else {}
            for key, given, is_there in (
                (f"rapport:{kind}:{send.id}:person", {"machine": False}, happened),
                (f"rapport:{kind}:{send.id}:machine", {"machine": True}, rng.random() < 0.3),
                (f"theirs:{kind}:{send.id}", {}, rng.random() < 0.3),
            ):
                if is_there:
                    session.add(Event(key=key, type=kind, contact_id=send.contact_id, occurred_at=at,
                                      properties={**told, **link, **given}))  # fmt: skip


def chosen(session: Session, warehouse: Warehouse, asked: dict[str, Any]) -> set[int]:
    """Who the criteria are true of."""
    checked = criteria.parse(asked, open_catalogue(session, warehouse))
    assert criteria.to_json(checked) == asked
    return set(warehouse.execute(criteria.select(checked, warehouse, NOW))["contact_id"].to_pylist())


def ledger(session: Session) -> list[Send]:
    """All sends."""
    return list(session.scalars(select(Send)))


def real(session: Session, kind: str) -> list[Event]:
    """Events of a kind that Rapport made of what a person did."""
    events = session.scalars(select(Event).where(Event.type == kind, Event.key.startswith("rapport:")))
    return [event for event in events if event.properties.get("machine") is not True]


def at_least(event: str, *where: Row, count: int = 1, **more: Any) -> Row:
    """Did it so often."""
    asked: Row = {"event": event, "measure": "count", **more}
    asked |= {"where": list(where)} if where else {}
    return asked | {"operator": "at_least", "value": count}


def cond(field: str, value: Any, operator: str = "is") -> Row:
    """A condition of `where`."""
    return {"field": field, "operator": operator, "value": value}


def has_arrived(send: Send) -> bool:
    """As far as is known: the carrier said so, or somebody opened it or answered it."""
    is_told = send.outcome is not None and send.outcome != "bounced"
    return send.state == "accepted" and (is_told or send.opened_at is not None)


CASES: dict[str, tuple[Row, Callable[[Session], set[int]]]] = {
    "sent": (at_least("sent"), lambda s: {x.contact_id for x in ledger(s) if x.state == "accepted"}),
    "sent twice by e-mail": (
        at_least("sent", cond("channel", "email"), count=2),
        lambda s: often([x.contact_id for x in ledger(s) if x.state == "accepted" and x.channel == "email"], 2),
    ),
    "delivered": (
        at_least("delivered", cond("campaign", [1, 2], "in")),
        lambda s: {x.contact_id for x in ledger(s) if x.campaign_id in {1, 2} and has_arrived(x)},
    ),
    "nothing delivered in the last 21 days": (
        {"event": "delivered", "measure": "count", "within": {"last_days": 21}, "operator": "is", "value": 0},
        lambda s: set(range(1, PEOPLE + 1)) - {x.contact_id for x in ledger(s) if has_arrived(x) and lately(x, 21)},
    ),
    "pressure": (
        at_least("sent", count=2, within={"last_days": 21}),
        lambda s: often([x.contact_id for x in ledger(s) if lately(x, 21)], 2),
    ),
    "held out of a campaign": (
        at_least("held_out", cond("campaign", 2)),
        lambda s: {x.contact_id for x in ledger(s) if x.state == "held" and x.campaign_id == 2},
    ),
    "got campaign 1 and did not open it": (
        at_least("sent", cond("campaign", 1), cond("opened", False)),
        lambda s: {x.contact_id for x in ledger(s) if x.state == "accepted" and x.campaign_id == 1 and not x.opened_at},
    ),
    "of a variant": (
        at_least("sent", cond("variant", [2, 3], "in")),
        lambda s: {x.contact_id for x in ledger(s) if x.state == "accepted" and x.variant_id in {2, 3}},
    ),
    "opened": (at_least("open"), lambda s: {x.contact_id or 0 for x in real(s, "open")}),
    "clicked in campaign 1 or 2": (
        at_least("click", cond("campaign", [1, 2], "in")),
        lambda s: {x.contact_id or 0 for x in real(s, "click") if x.properties["campaign_id"] in {1, 2}},
    ),
    "clicked a link in a text": (
        at_least("click", cond("link", "https://x.example/1"), cond("channel", "sms")),
        lambda s: {x.contact_id or 0 for x in real(s, "click")
                   if x.properties["link"].endswith("1") and x.properties["channel"] == "sms"},
    ),
    "by a property, as lists had it before": (
        at_least("click", cond("properties.campaign_id", 1)),
        lambda s: {x.contact_id or 0 for x in real(s, "click") if x.properties["campaign_id"] == 1},
    ),
    "messages in the last 30 days": (
        {"field": "messages_last_30_days", "operator": "at_most", "value": 1},
        lambda s: set(range(1, PEOPLE + 1)) - often([x.contact_id for x in ledger(s) if lately(x, 30)], 2),
    ),
    "messages in the last 7 days": (
        {"field": "messages_last_7_days", "operator": "at_least", "value": 1},
        lambda s: {x.contact_id for x in ledger(s) if lately(x, 7)},
    ),
    "left two in a row without a click": (
        {"field": "messages_unclicked", "operator": "at_least", "value": 2}, lambda s: silent(s, "clicked_at", 2),
    ),
    "left two in a row unopened": (
        {"field": "messages_unopened", "operator": "at_least", "value": 2}, lambda s: silent(s, "opened_at", 2),
    ),
}  # fmt: skip


def lately(send: Send, days: int) -> bool:
    """Accepted in the last days."""
    return (
        send.accepted_at is not None
        and send.state == "accepted"
        and NOW - timedelta(days=days) <= send.accepted_at < NOW
    )


def often(ids: list[int], times: int) -> set[int]:
    """Those who occur so often."""
    return {one for one in ids if ids.count(one) >= times}


def silent(session: Session, mark: str, times: int) -> set[int]:
    """Whose last messages, so many, have no mark."""
    found = set()
    for contact_id in range(1, PEOPLE + 1):
        mine = [x for x in ledger(session) if x.contact_id == contact_id and x.state == "accepted" and x.accepted_at]
        mine.sort(key=lambda x: x.accepted_at or NOW, reverse=True)
        if len(mine) >= times and not any(getattr(x, mark) for x in mine[:times]):
            found.add(contact_id)
    return found


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_counting_finds(database: Database, sent: Warehouse, name: str) -> None:
    """Events that others invented, or that a program made, are nobody's."""
    asked, count = CASES[name]
    with database.read() as session:
        found = chosen(session, sent, asked)
        assert found == count(session)
        assert 0 < len(found) < PEOPLE


def test_campaigns_are_chosen_by_number_and_shown_by_name(database: Database, sent: Warehouse) -> None:
    """Also one that was deleted; one that never was is an error."""
    with database.begin() as session:
        session.get_one(Campaign, 2).deleted_at = NOW
        session.get_one(Campaign, 1).name = "Spring “sale”"
    with database.read() as session:
        catalogue = open_catalogue(session, sent)
        checked = criteria.parse(at_least("sent", cond("campaign", [1, 2], "in")), catalogue)
        assert criteria.sentence(checked) == "People who got a message where the campaign is “Spring “sale”” or “C2”"
        assert criteria.sentence(checked, "zh") == "收到消息（营销活动为“Spring “sale””或“C2”）的联系人"
        missed = criteria.parse(at_least("sent", cond("campaign", 1), cond("opened", False)), catalogue)
        said = "People who got a message where the campaign is “Spring “sale”” and the mark “opened” is no"
        assert criteria.sentence(missed) == said
        offered = catalogue.options(catalogue.row_field(catalogue.behaviour("click"), "campaign"))
        assert {value for value, _ in offered} == {1, 2, 3}
        for wrong, words in (
            (9, "There is no campaign 9"),
            ("C1", "must be a number"),
            (1.5, "number that it is listed"),
        ):
            with pytest.raises(Invalid, match=words) as fault:
                criteria.parse({"any": [at_least("sent", cond("campaign", wrong))]}, catalogue)
            assert fault.value.field == "any[0].where[0].value"


def test_an_erased_person_is_gone_from_it(database: Database, sent: Warehouse) -> None:
    """From the counts of messages, too."""
    with database.read() as session:
        before = chosen(session, sent, at_least("sent"))
    gone = min(before)
    with database.begin() as session:
        contacts.erase(session, gone, NOW)
    sent.refresh()
    with database.read() as session:
        assert chosen(session, sent, at_least("sent")) == before - {gone}
        assert gone not in sent.execute(sent.table("sends"))["contact_id"].to_pylist()


def test_names_are_looked_up_for_all_at_once(database: Database, sent: Warehouse) -> None:
    """Variants say whose they are."""
    with database.read() as session:
        assert messages.campaign_names(session) == {1: "C1", 2: "C2", 3: "C3"}
        assert messages.variant_names(session)[3] == "C3: A"
