"""Who is there: passwords (argon2id), logged-in browsers, and brakes on guessing.

A session is a row; the browser holds a random 256-bit token, the row only its SHA-256. It ends after
`security.session_idle_minutes` without a click, after `security.session_hours` in any case, and with the
user's password. Limits follow OWASP ASVS 5.0 chapters 6 and 7.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, case, delete, func, select, update
from sqlalchemy.orm import Session

from engine.config import Security
from engine.database import Database
from engine.errors import Conflict, Invalid, NotAuthenticated, NotFound, TooMany
from web.models import LoginFailure, User, WebSession

# OWASP's smallest recommended argon2id; 28 ms here, against 92 ms of the library's default.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_SHORTEST, _LONGEST = 12, 128
_SPREAD = (
    10  # times the attempts: so many failures from everywhere leave each address half of its attempts at an account
)
_CROWD = 40  # times the attempts: so often may one address fail in all, because a whole office can stand behind it
_QUEUE = int.from_bytes(b"log-in")  # PostgreSQL's name for: one attempt is counted at a time
_TOUCH = timedelta(minutes=1)  # `seen_at` is written no more often than this

WRONG = "The e-mail address or the password is not right."


def add_user(session: Session, email: str, name: str, password: str, *, role: str | None = None, now: datetime) -> User:
    """A new user, by default a marketer, but the first one an administrator: somebody must be able to make keys.
    Raises Invalid for a weak password and Conflict when the address is taken.
    """
    email = _normal(email)
    if "@" not in email:
        raise Invalid(f"'{email}' is not an e-mail address.", field="email")
    if session.scalar(select(User.id).where(User.email == email)):
        raise Conflict(f"There is a user {email} already.", field="email")
    role = role or ("marketer" if session.scalar(select(User.id).limit(1)) else "admin")
    user = User(email=email, name=name or email, password=hashed(password, email), role=role, created_at=now)
    session.add(user)
    session.flush()
    return user


def find_user(session: Session, email: str) -> User:
    """The user of this address, or NotFound."""
    user = session.scalar(select(User).where(User.email == _normal(email)))
    if user is None:
        raise NotFound(f"There is no user {email}; `rapport user list` shows all.")
    return user


def hashed(password: str, email: str) -> str:
    """The argon2id text of a password that is good enough; long is what counts, so no rules of composition."""
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise Invalid(f"A password has {_SHORTEST} to {_LONGEST} characters.", field="password")
    name = email.partition("@")[0].lower()
    if len(set(password)) < 5 or (len(name) > 2 and name in password.lower()):  # "jo" stands in any sentence
        raise Invalid("This password is easy to guess; take a few words that do not belong together.", field="password")
    return _HASHER.hash(password)


def change_password(session: Session, user: User, password: str, *, keep: str | None = None) -> None:
    """Set a password and end the user's sessions, except the one with the id `keep`."""
    user.password = hashed(password, user.email)
    session.execute(delete(WebSession).where(WebSession.user_id == user.id, WebSession.id != (keep or "")))


def is_password(user: User | None, password: str) -> bool:
    """Compare; costs the same for an unknown user."""
    try:
        return _HASHER.verify(user.password if user else _nobody(), password[:_LONGEST]) and user is not None
    except (VerificationError, InvalidHashError):
        return False


def log_in(
    database: Database,
    security: Security,
    email: str,
    password: str,
    *,
    address: str,
    browser: str,
    now: datetime,
    former: str = "",
) -> str:
    """Open a session and return its token; the browser's `former` one ends. Raises NotAuthenticated, or TooMany after
    too many failures.
    """
    user = verify(database, security, email, password, address=address, now=now)
    with database.begin() as session:
        session.execute(delete(WebSession).where(WebSession.created_at < now - timedelta(hours=security.session_hours)))
        if _HASHER.check_needs_rehash(user.password):
            session.execute(update(User).where(User.id == user.id).values(password=_HASHER.hash(password)))
        log_out(session, digest(former))
        return open_session(session, user, browser=browser, now=now)


def verify(database: Database, security: Security, email: str, password: str, *, address: str, now: datetime) -> User:
    """The user whose password this is. Raises NotAuthenticated, or TooMany after too many failures.

    The attempt is counted before the password is looked at, and one at a time, so that parallel guesses count as well.
    """
    email, place = _normal(email), network(address)
    with database.begin() as session:
        if not database.is_sqlite:  # where BEGIN IMMEDIATE queues writers anyway
            session.execute(select(func.pg_advisory_xact_lock(_QUEUE)))
        session.execute(delete(LoginFailure).where(LoginFailure.at < now - timedelta(days=1)))
        _brake(session, security, email, place, now)
        session.add(LoginFailure(email=email, address=place, at=now))
        user = session.scalar(select(User).where(User.email == email, User.disabled_at.is_(None)))
    if not is_password(user, password) or user is None:
        raise NotAuthenticated(WRONG)
    with database.begin() as session:
        session.execute(delete(LoginFailure).where(LoginFailure.email == email, LoginFailure.address == place))
    return user


def open_session(session: Session, user: User, *, browser: str, now: datetime) -> str:
    """A new session for `user`; its token, of which only the digest is kept."""
    token = secrets.token_urlsafe(32)
    session.add(
        WebSession(
            id=digest(token),
            user_id=user.id,
            csrf=secrets.token_urlsafe(32),
            created_at=now,
            seen_at=now,
            user_agent=browser[:255],
        )
    )
    return token


def recognise(
    database: Database, security: Security, token: str, now: datetime, *, active: bool = True
) -> tuple[User, WebSession] | None:
    """Whose browser this is, or None when the session has ended; `active`: a person acted, which prolongs it."""
    with database.read() as session:
        found = session.execute(
            select(User, WebSession)
            .join(User, User.id == WebSession.user_id)
            .where(
                WebSession.id == digest(token),
                *_alive(security, now),
                User.disabled_at.is_(None),
            )
        ).one_or_none()
    if found is None:
        return None
    user, browser = found
    if active and now - browser.seen_at > _TOUCH:
        with database.begin() as session:
            session.execute(update(WebSession).where(WebSession.id == browser.id).values(seen_at=now))
    return user, browser


def open_sessions(session: Session, user: User, security: Security, *, now: datetime) -> list[WebSession]:
    """Where `user` is logged in, the latest used first."""
    statement = select(WebSession).where(WebSession.user_id == user.id, *_alive(security, now))
    return list(session.scalars(statement.order_by(WebSession.seen_at.desc())))


def log_out(session: Session, session_id: str) -> None:
    """End a session."""
    session.execute(delete(WebSession).where(WebSession.id == session_id))


def digest(token: str) -> str:
    """SHA-256 of a random token; 256 bits of chance need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _alive(security: Security, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        WebSession.seen_at > now - timedelta(minutes=security.session_idle_minutes),
        WebSession.created_at > now - timedelta(hours=security.session_hours),
    )


def _normal(email: str) -> str:
    return email.strip().lower()[:254]


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe(16))


def network(address: str) -> str:
    """What counts as one address: a network of 64 bits with IPv6, of which anybody has all the addresses."""
    try:
        known = ip_address(address)
    except ValueError:  # whatever a proxy says
        return address[:64]
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or ip_network((int(known), 64), strict=False))
    return str(known)


def _brake(session: Session, security: Security, email: str, place: str, now: datetime) -> None:
    """Refuse when this account from this address, or this address, has failed too often of late. Failures of the
    account elsewhere leave fewer attempts here and never none: nobody can lock somebody else out from afar.
    """
    of_email, of_place = LoginFailure.email == email, LoginFailure.address == place
    both, account, whole = session.execute(
        select(
            func.coalesce(func.sum(case((of_email & of_place, 1), else_=0)), 0),
            func.coalesce(func.sum(case((of_email, 1), else_=0)), 0),
            func.coalesce(func.sum(case((of_place, 1), else_=0)), 0),
        ).where(of_email | of_place, LoginFailure.at > now - timedelta(minutes=security.login_window_minutes))
    ).one()
    most = security.login_attempts
    here = most if account < most * _SPREAD else max(1, most // 2)
    if both >= here or whole >= most * _CROWD:
        minutes = security.login_window_minutes
        raise TooMany(f"Too many attempts. Wait {minutes} minutes and try again.", seconds=60 * minutes)
