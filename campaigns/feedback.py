"""What people do with a message: open, click, opt out, reply. What carriers tell of it: campaigns.notices.

Each becomes an engine event and a mark on the send. Both happen at most once however often the same thing is told:
the event by its key, the mark by an UPDATE that only goes forward. Anything heard of a message whose fate was unknown
proves that it arrived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.content.products import PLACEMENT
from campaigns.models import Link, Send
from campaigns.notices import ORIGIN, arrived, mark, raise_outcome
from engine import consent, identity
from engine.database import insert_new, next_revision
from engine.errors import NotFound
from engine.models import OWN_KEYS, Contact, Event, Item

# Programs that fetch every picture and link on their own; judged by what they call themselves.
MACHINES: Final = re.compile(
    r"bot|crawl|spider|preview|scan|proxy|fetch|monitor|curl|wget|python|java/|go-http|okhttp|headless|barracuda"
    r"|mimecast|proofpoint|symantec|messagelabs|googleimageproxy|yahoomailproxy|safelinks|facebookexternalhit",
    re.IGNORECASE,
)
SOONER_THAN_A_PERSON: Final = timedelta(seconds=2)  # after our handing it over
STOP_WORDS: Final = frozenset(
    {"STOP", "STOPALL", "QUIT", "END", "CANCEL", "UNSUBSCRIBE", "REVOKE", "OPT OUT", "OPTOUT", "T", "TD", "退订"}
)


def is_machine(user_agent: str | None, sent_at: datetime | None, now: datetime) -> bool:
    """Whether a fetch was hardly a person's: by name, or because it came at once."""
    if not user_agent or MACHINES.search(user_agent):
        return True
    return sent_at is not None and now - sent_at < SOONER_THAN_A_PERSON


def open(  # noqa: A001
    session: Session, send_id: int, *, recommendation_id: str | None = None, user_agent: str | None, now: datetime
) -> bool:
    """The mail was opened, as far as its picture tells; False when that was known. A first open shows the
    recommendations in it: one impression.
    """
    send = _send(session, send_id)
    machine = is_machine(user_agent, send.accepted_at, now)
    new = _event(session, send, "open", f"open:{send_id}:{_who(machine)}", now, machine=machine)
    if new and not machine:
        mark(session, [send_id], Send.opened_at.is_(None), opened_at=now)
        if recommendation_id:
            shown = {"recommendation_id": recommendation_id, "placement": PLACEMENT}
            _event(session, send, "impression", f"impression:{send_id}:{recommendation_id}", now, **shown)
    return new


def click(session: Session, send_id: int, link_id: int, *, user_agent: str | None, now: datetime) -> bool:
    """A link was followed; False when that was known. A click is an open too."""
    send = _send(session, send_id)
    url = session.scalar(select(Link.url).where(Link.id == link_id))
    return _click(session, send, "click", f"click:{send_id}:{link_id}", user_agent=user_agent, now=now, link=url)


def click_item(
    session: Session,
    send_id: int,
    item_id: int,
    *,
    recommendation_id: str,
    source: str,
    user_agent: str | None,
    now: datetime,
) -> bool:
    """A recommended item was followed; False when that was known."""
    send = _send(session, send_id)
    known = session.scalar(select(Item.id).where(Item.id == item_id))
    shown = {"recommendation_id": recommendation_id, "placement": PLACEMENT, "source": source}
    key = f"{send_id}:{recommendation_id}:{item_id}"
    new = _click(session, send, "click", f"click:{key}", user_agent=user_agent, now=now, item_id=known, **shown)
    if new and not is_machine(user_agent, send.accepted_at, now):
        _event(session, send, "recommendation_click", f"recommendation_click:{key}", now, item_id=known, **shown)
    return new


def destination(session: Session, send_id: int, link_id: int) -> str:
    """Where a link of a send's campaign leads, fixed when it was scheduled. Raises NotFound."""
    url = session.scalar(
        select(Link.url).join(Send, Send.campaign_id == Link.campaign_id).where(Link.id == link_id, Send.id == send_id)
    )
    return _found(url)


def item_page(session: Session, item_id: int) -> str:
    """An item's page. Raises NotFound."""
    return _found(session.scalar(select(Item.url).where(Item.id == item_id)))


def unsubscribe(session: Session, send_id: int, *, how: str, now: datetime) -> bool:
    """Who got this send wants no more on this channel: from now on nothing goes out to that address. False when it
    was so already. `how` is kept as evidence.
    """
    send = _send(session, send_id)
    new = bool(send.address) and consent.suppress(session, send.channel, send.address or "", "unsubscribe", now)
    consent.record(session, send.contact_id, send.channel, False, origin=ORIGIN, evidence=how, now=now)
    raise_outcome(session, [send_id], "unsubscribed")
    return _event(session, send, "unsubscribe", f"unsubscribe:{send_id}", now, how=how) or new


@dataclass(frozen=True)
class Reply:
    """What an incoming text was taken for."""

    stopped: bool
    contact_ids: tuple[int, ...]


def reply(session: Session, phone: str, text: str, *, key: str, now: datetime) -> Reply:
    """A text message came in from `phone` (E.164): a word of refusal stops SMS to that number at once, anything else
    is kept as an event of whoever has the number. `key` tells one incoming message from another.
    """
    stopped = is_refusal(text)
    theirs = Contact.phone == phone, Contact.merged_into.is_(None)
    ids = tuple(session.scalars(select(Contact.id).where(*theirs).order_by(Contact.id)))
    if stopped:
        consent.suppress(session, "sms", phone, "unsubscribe", now)
    for contact_id in ids:
        if stopped:
            consent.record(session, contact_id, "sms", False, origin=ORIGIN, evidence=text[:100], now=now)
        _insert(
            session,
            key=f"sms:{key}:{contact_id}",
            type="unsubscribe" if stopped else "sms_reply",
            contact_id=contact_id,
            occurred_at=now,
            properties={"channel": "sms", "text": text[:1600]},
        )
    return Reply(stopped, ids)


def is_refusal(text: str) -> bool:
    """STOP and its kin (FCC 24-24: any reasonable wording of these), however written, as the whole message."""
    return " ".join(re.sub(r"[^\w\s]", " ", text).upper().split()) in STOP_WORDS


def _click(
    session: Session, send: Send, kind: str, key: str, *, user_agent: str | None, now: datetime, **properties: Any
) -> bool:
    machine = is_machine(user_agent, send.accepted_at, now)
    new = _event(session, send, kind, f"{key}:{_who(machine)}", now, machine=machine, **properties)
    if new and not machine:
        mark(session, [send.id], Send.opened_at.is_(None), opened_at=now)
        mark(session, [send.id], Send.clicked_at.is_(None), clicked_at=now)
    return new


def _who(machine: bool) -> str:
    return "machine" if machine else "person"


def _send(session: Session, send_id: int) -> Send:
    send = session.get(Send, send_id)
    if send is None:
        raise NotFound("This message is no longer known.")
    return send


def _found(url: str | None) -> str:
    if not url:
        raise NotFound("This link leads nowhere any more.")
    return url


def _event(session: Session, send: Send, kind: str, key: str, now: datetime, **properties: Any) -> bool:
    item_id = properties.pop("item_id", None)
    known = {name: value for name, value in properties.items() if value is not None}
    told = {"send_id": send.id, "campaign_id": send.campaign_id, "channel": send.channel, **known}
    arrived(session, [send.id], now)
    return _insert(
        session, key=key, type=kind, contact_id=send.contact_id, occurred_at=now, item_id=item_id, properties=told
    )


def _insert(session: Session, **event: Any) -> bool:
    row = {"item_id": None, "origin": ORIGIN, "revision": next_revision(session), **event}
    new = insert_new(session, Event.__table__, [row | {"key": OWN_KEYS + row["key"]}], ["key"]) == 1  # type: ignore[arg-type]
    identity.rehome(session, identity.kept(session, [row["contact_id"]]))
    return new
