"""Tables of the doors: who may come in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime


class User(Base):
    """Somebody who works with Rapport."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    password: Mapped[str] = mapped_column(String(256))  # argon2id
    role: Mapped[str] = mapped_column(String(16), default="marketer")  # marketer, admin
    language: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebSession(Base):
    """A logged-in browser. Only the SHA-256 of its token is kept."""

    __tablename__ = "web_sessions"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_agent: Mapped[str] = mapped_column(String(255), default="")


class LoginFailure(Base):
    """An attempt to log in that has not succeeded, to slow guessing down."""

    __tablename__ = "login_failures"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    address: Mapped[str] = mapped_column(String(64))  # an IPv6 network of 64 bits counts as one
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    __table_args__ = (
        Index("ix_login_failures_address_at", "address", "at"),
        Index("ix_login_failures_email_at", "email", "at"),
    )


class ApiKey(Base):
    """`prefix.secret`, shown once; only the SHA-256 of the secret is kept. A key of browsers is its prefix alone."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(128))
    scopes: Mapped[list[str]] = mapped_column(Json)
    origins: Mapped[list[str] | None] = mapped_column(Json)  # of a key of browsers: where it works; NULL: a secret key
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ListDraft(Base):
    """What somebody has written of a list and not saved yet, so that no closed page loses it."""

    __tablename__ = "list_drafts"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    list_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # 0: of a new list
    work: Mapped[str] = mapped_column(String(16), primary_key=True)  # one opened page: two never write over each other
    version: Mapped[int]  # of the list, when they began
    name: Mapped[str] = mapped_column(String(200))
    criteria: Mapped[str] = mapped_column(Text)  # JSON, perhaps unfinished
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Knock(Base):
    """Somebody at a public door that writes (web.knocks), to slow floods down."""

    __tablename__ = "knocks"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    door: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))  # an IPv6 network of 64 bits counts as one
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    __table_args__ = (Index("ix_knocks_door_address_at", "door", "address", "at"),)


class RefusedEvent(Base):
    """What a shop's page sent to /collect and we did not take, for the person who sets the snippet up; the last few."""

    __tablename__ = "refused_events"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    type: Mapped[str] = mapped_column(String(64))
    visitor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(500))
    body: Mapped[str] = mapped_column(String(500))
