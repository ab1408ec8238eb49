"""Tables of the campaign manager. The send ledger and its states: docs/why.md, "The send ledger"."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime


class Campaign(Base):
    """A plan to speak. status: draft -> scheduled -> sending <-> paused -> finished | cancelled; `late` waits for
    a decision because its time passed while nothing ran.
    """

    __tablename__ = "campaigns"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    channel: Mapped[str] = mapped_column(String(8), default="email")
    status: Mapped[str] = mapped_column(String(16), default="draft", index=True)
    list_id: Mapped[int | None] = mapped_column(ForeignKey("lists.id"))
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    holdout: Mapped[float] = mapped_column(Float, default=0.1)  # share in [0, 0.5]
    split_a: Mapped[int]  # position of a contact = (split_a * bucket + split_s) mod (2^31 - 1)
    split_s: Mapped[int]
    window_days: Mapped[int] = mapped_column(default=14)  # orders so long after the send count
    fixed_cost: Mapped[int] = mapped_column(BigInteger, default=0)  # ten-thousandths of `currency`
    message_cost: Mapped[int] = mapped_column(BigInteger, default=0)  # per accepted message
    currency: Mapped[str] = mapped_column(String(3))
    paused_reason: Mapped[str | None] = mapped_column(String(255))  # why the sender paused it: log-in, policy
    version: Mapped[int] = mapped_column(default=1)  # counts edits; a writer with an old one gets a Conflict
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Variant(Base):
    """One version of a campaign's content. E-mail: subject, preheader and blocks; SMS: text. All are Liquid."""

    __tablename__ = "variants"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64), default="A")
    subject: Mapped[str] = mapped_column(String(500), default="")
    preheader: Mapped[str] = mapped_column(String(500), default="")
    blocks: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    text: Mapped[str] = mapped_column(Text, default="")


class Firing(Base):
    """One occurrence of a campaign; whoever inserts the row fires it."""

    __tablename__ = "firings"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    fired_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    __table_args__ = (UniqueConstraint("campaign_id", "due_at", name="uq_firings_campaign_due"),)


# A send's life: queued -> leased -> sending -> accepted | failed | unknown; the rest never leaves the house.
LIVE = ("queued", "leased", "sending")
SENT = ("accepted", "unknown")
FINAL = ("accepted", "failed", "unknown", "held", "suppressed", "expired", "cancelled")


class Send(Base):
    """Ledger row: one contact in one firing. Every change of `state` is one UPDATE guarded by the expected state."""

    __tablename__ = "sends"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    firing_id: Mapped[int] = mapped_column(ForeignKey("firings.id"))
    # The firing's campaign and its content: no foreign keys, which PostgreSQL looks up again for each of a million
    # rows (a third of the time of writing an audience).
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    variant_id: Mapped[int | None] = mapped_column(BigInteger)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
    step: Mapped[int] = mapped_column(default=1)
    channel: Mapped[str] = mapped_column(String(8))
    address: Mapped[str | None] = mapped_column(String(254))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(255))  # why suppressed, held, failed, expired, unknown
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # not before; None: was never to be sent; always set
    owner: Mapped[str | None] = mapped_column(String(36))  # leased, sending, unknown: one claim of one process
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # unknown: since; by the database's clock
    provider_id: Mapped[str | None] = mapped_column(String(128))
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # What came back later, from events only; `outcome` rises by rank and never falls.
    outcome: Mapped[str | None] = mapped_column(String(16))  # delivered, bounced, complained, unsubscribed
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    clicked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(BigInteger, index=True)
    __table_args__ = (
        UniqueConstraint("firing_id", "step", "contact_id", "channel", name="uq_sends_firing_contact"),
        Index("ix_sends_campaign_id_state", "campaign_id", "state"),
        Index(
            "ix_sends_queued",
            "campaign_id",
            "next_at",
            "id",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_sends_owned",
            "lease_until",
            sqlite_where=text("state IN ('leased', 'sending', 'unknown')"),
            postgresql_where=text("state IN ('leased', 'sending', 'unknown')"),
        ),
    )


class Link(Base):
    """A click-tracked destination, fixed when the campaign was scheduled; the public link names only its number."""

    __tablename__ = "links"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(32))
    __table_args__ = (UniqueConstraint("campaign_id", "digest", name="uq_links_campaign_digest"),)


class Conversion(Base):
    """An order credited to a send; credit in [0, 1]."""

    __tablename__ = "conversions"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    # Its own index: an erased person's sends take their credits along, and the primary key begins with the order.
    send_id: Mapped[int] = mapped_column(ForeignKey("sends.id", ondelete="CASCADE"), primary_key=True, index=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    credit: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Confirmation(Base):
    """A double opt-in: what somebody asked for in a form, and that its message has to go out until `next_at` is None.
    What it promises comes true when the link in the message is followed and its button pressed.
    """

    __tablename__ = "confirmations"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)
    form_id: Mapped[int] = mapped_column(ForeignKey("forms.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str] = mapped_column(String(8))
    address: Mapped[str] = mapped_column(String(254), index=True)
    wording: Mapped[str | None] = mapped_column(Text)  # of the consent; None: facts alone wait
    facts: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # columns of contacts to change
    visitor: Mapped[str | None] = mapped_column(String(64))  # the browser that asked, joined when confirmed
    answer: Mapped[str | None] = mapped_column(String(128))  # key of an event that is nobody's before that
    language: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)  # not before; None: no message to send
    reason: Mapped[str | None] = mapped_column(String(255))  # why the last attempt failed, or why there is none
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Offered(Base):
    """What stood in the product blocks of a send: item ids, in their order; and the id of the recommendation where a
    comparison was running, by which the send counts for its variant.
    """

    __tablename__ = "offered"
    send_id: Mapped[int] = mapped_column(ForeignKey("sends.id", ondelete="CASCADE"), primary_key=True)
    items: Mapped[list[int]] = mapped_column(Json)
    recommendation_id: Mapped[str | None] = mapped_column(String(64))


class Secret(Base):
    """What all processes share and nobody else may know, by its name: `links` is the key that signs public links."""

    __tablename__ = "secrets"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(64))  # 256 bits in hexadecimal


class OutboxMessage(Base):
    """A message kept by the built-in outbox transport instead of leaving the machine."""

    __tablename__ = "outbox_messages"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    message_id: Mapped[str] = mapped_column(String(255), unique=True)
    send_id: Mapped[int | None] = mapped_column(ForeignKey("sends.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str] = mapped_column(String(8))
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(998), default="")
    headers: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    html: Mapped[str | None] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
