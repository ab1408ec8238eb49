"""What stands in mails, so that one that is made anew shows the same, and a placement may leave it out of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from campaigns.channels.base import Exclusion, Message
from campaigns.models import Offered, Send
from engine.database import insert_new

_LAST: Final = (
    select(
        Send.id,
        Send.contact_id,
        func.row_number()
        .over(partition_by=Send.contact_id, order_by=(Send.accepted_at.desc(), Send.id.desc()))
        .label("place"),
    )
    .where(Send.contact_id.in_(bindparam("contacts", expanding=True)))
    .where(Send.channel == "email", Send.accepted_at.is_not(None))
    .subquery()
)
_OFFERED: Final = (
    select(_LAST.c.contact_id, Offered.items)
    .join(Offered, Offered.send_id == _LAST.c.id)
    .where(_LAST.c.place <= bindparam("mails"))
)


class Kept(NamedTuple):
    """Item ids of a mail, in their order, and the id of the recommendation where a comparison was running."""

    items: tuple[int, ...]
    recommendation_id: str | None


def note(messages: Mapping[int, Message | Exclusion], session: Session) -> None:
    """Write down what stands in messages that are about to leave; somebody may have been erased meanwhile."""
    made = {one.send_id: one for one in messages.values() if isinstance(one, Message) and one.items}
    there = session.scalars(select(Send.id).where(Send.id.in_(made)).with_for_update(read=True, key_share=True))
    rows = [
        {"send_id": send_id, "items": list(made[send_id].items), "recommendation_id": made[send_id].recommendation_id}
        for send_id in there
    ]
    insert_new(session, Offered.__table__, rows, ["send_id"])  # type: ignore[arg-type]


def kept(session: Session, send_ids: Sequence[int]) -> dict[int, Kept]:
    """What was noted of sends."""
    query = select(Offered.send_id, Offered.items, Offered.recommendation_id).where(Offered.send_id.in_(send_ids))
    return {send_id: Kept(tuple(items), number) for send_id, items, number in session.execute(query)}


def last(session: Session, contact_ids: Sequence[int], mails: int) -> dict[int, list[int]]:
    """Item ids that stood in each contact's last mails."""
    found: dict[int, list[int]] = {}
    for contact_id, items in session.execute(_OFFERED, {"contacts": list(contact_ids), "mails": mails}):
        found.setdefault(contact_id, []).extend(items)
    return found
