"""People, lists and campaigns for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from campaigns import audience, planning
from campaigns.models import Campaign, Firing, Send, Variant
from engine.config import Config
from engine.database import next_revision
from engine.models import Contact, ContactList, Item, Order


def bucket(number: int) -> int:
    """A contact's bucket, by Park and Miller's generator: evenly spaced ones would stay in step."""
    return pow(48_271, number, 2**31 - 1)


def contact(session: Session, number: int, now: datetime, **given: Any) -> Contact:
    """Somebody who may be written to on both channels, unless `given` says otherwise."""
    found = Contact(
        **{
            "id": number,
            "key": f"c{number}",
            "email": f"c{number}@x.example",
            "phone": f"+4479460{number:05d}",
            "first_name": f"Ann{number}",
            "email_consent": True,
            "sms_consent": True,
            "bucket": bucket(number),
            "created_at": now,
            "updated_at": now,
            **given,
        }
    )
    session.add(found)
    session.flush()
    return found


def crowd(session: Session, number: int, now: datetime, *, first: int = 1) -> range:
    """Many such people at once; their ids."""
    revision = next_revision(session)
    rows = [
        {
            "id": i,
            "key": f"c{i}",
            "email": f"c{i}@x.example",
            "phone": f"+4479{i:08d}",
            "first_name": "Ann",
            "email_consent": True,
            "sms_consent": True,
            "attributes": {},
            "bucket": bucket(i),
            "created_at": now,
            "updated_at": now,
            "revision": revision,
        }
        for i in range(first, first + number)
    ]
    session.execute(insert(Contact.__table__), rows)
    return range(first, first + number)


def campaign(session: Session, now: datetime, **given: Any) -> Campaign:
    """A draft with a subject, one paragraph and a link."""
    content = {
        name: given.pop(name, default)
        for name, default in {
            "subject": "Hello {{ contact.first_name }}",
            "preheader": "",
            "blocks": [{"type": "text", "text": "See [the sale](https://shop.example/sale?a=1&b=2)."}],
            "text": "Sale: https://shop.example/sale",
        }.items()
    }
    found = Campaign(
        **{
            "name": "Spring",
            "channel": "email",
            "holdout": 0.0,
            "split_a": 1,
            "split_s": 0,
            "currency": "GBP",
            "created_at": now,
            "updated_at": now,
            **given,
        }
    )
    session.add(found)
    session.flush()
    session.add(Variant(campaign_id=found.id, **content))
    session.flush()
    return found


def schedule(
    session: Session, campaign_id: int, now: datetime, config: Config, *, at: datetime | None = None
) -> Campaign:
    """The campaign as it is, checked and scheduled; its content tried on somebody made up."""
    return planning.schedule(
        session, planning.check(session, None, campaign_id, now=now, config=config), at=at, now=now
    )


def fire(session: Session, found: Campaign, contact_ids: Iterable[int], now: datetime) -> Firing:
    """A firing of the campaign with its ledger; the campaign is sending."""
    firing = Firing(campaign_id=found.id, due_at=now, fired_at=now)
    found.status = "sending"
    session.add(firing)
    session.flush()
    audience.build(session, firing, contact_ids, now=now)
    return firing


def accept(session: Session, firing: Firing, at: datetime) -> None:
    """All queued sends of a firing leave the house."""
    for send in session.query(Send).filter_by(firing_id=firing.id, state="queued"):
        send.state, send.accepted_at = "accepted", at
    session.flush()


def order(session: Session, key: str, contact_id: int, at: datetime, total: int, **given: Any) -> Order:
    """An order of `total` whole units of currency with 40 % margin."""
    found = purchase(key, contact_id, at, **{"total": total * 10_000, "margin": total * 4_000, **given})
    session.add(found)
    session.flush()
    return found


def purchase(key: str, contact_id: int, at: datetime, **given: Any) -> Order:
    """An order, not stored yet."""
    return Order(
        **{
            "key": key,
            "contact_id": contact_id,
            "ordered_at": at,
            "currency": "GBP",
            "units": 1,
            "digest": key,
            **given,
        }
    )


def contact_list(session: Session, now: datetime, **given: Any) -> ContactList:
    """A list; dynamic unless `frozen_at` is given."""
    found = ContactList(**{"name": "All", "criteria": {"all": []}, "created_at": now, "updated_at": now, **given})
    session.add(found)
    session.flush()
    return found


def item(session: Session, number: int, now: datetime, **given: Any) -> Item:
    """An item with a page and a picture."""
    found = Item(
        **{
            "id": number,
            "key": f"i{number}",
            "title": f"Item <{number}>",
            "price": number * 10_000,
            "currency": "GBP",
            "url": f"https://shop.example/items/{number}?from=mail&n={number}",
            "image_url": f"https://shop.example/items/{number}.png",
            "created_at": now,
            "updated_at": now,
            **given,
        }
    )
    session.add(found)
    session.flush()
    return found


DAY = timedelta(days=1)
