"""Passwords, sessions and the brakes on guessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import func, select, update

from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, Invalid, NotAuthenticated, NotFound, RapportError, TooMany
from web import auth
from web.models import LoginFailure, User, WebSession

EMAIL, PASSWORD = "mei@shop.example", "correct horse battery"


@pytest.fixture
def user(database: Database, now: datetime) -> User:
    """Somebody."""
    with database.begin() as session:
        return auth.add_user(session, "Mei@Shop.example ", "Mei", PASSWORD, now=now)


def _log_in(database: Database, config: Config, now: datetime, password: str = PASSWORD, **more: str) -> str:
    return auth.log_in(
        database,
        config.security,
        more.get("email", EMAIL),
        password,
        address=more.get("address", "192.0.2.1"),
        browser="Firefox",
        now=now,
    )


def _fail(database: Database, config: Config, now: datetime, times: int, **more: str) -> type[RapportError]:
    """The kind of the last error of so many wrong attempts."""
    for attempt in range(times):
        with pytest.raises((NotAuthenticated, TooMany)) as caught:
            _log_in(database, config, now + timedelta(seconds=attempt), "wrong wrong wrong", **more)
    return caught.type


def test_only_digests_are_kept(database: Database, config: Config, now: datetime, user: User) -> None:
    """Neither the password nor the session's token stands in the database."""
    token = _log_in(database, config, now)
    with database.read() as session:
        stored = session.scalars(select(WebSession)).one()
        password = session.scalars(select(User.password)).one()
    assert password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert token not in (stored.id, stored.csrf)
    assert stored.id == auth.digest(token)


def test_each_log_in_is_a_new_session(database: Database, config: Config, now: datetime, user: User) -> None:
    """A token that somebody planted or read is not taken over."""
    assert _log_in(database, config, now) != _log_in(database, config, now)


@pytest.mark.parametrize("minutes", [29, 31])
def test_idle_sessions_end(database: Database, config: Config, now: datetime, user: User, minutes: int) -> None:
    """Half an hour without a click ends a session; a click prolongs it."""
    token = _log_in(database, config, now)
    later = now + timedelta(minutes=minutes)
    assert bool(auth.recognise(database, config.security, token, later)) == (minutes < 30)
    again = later + timedelta(minutes=29)
    assert bool(auth.recognise(database, config.security, token, again)) == (minutes < 30)


def test_sessions_end_after_twelve_hours(database: Database, config: Config, now: datetime, user: User) -> None:
    """However busy somebody is."""
    token = _log_in(database, config, now)
    clicks = [now + timedelta(minutes=25 * click) for click in range(30)]
    alive = [bool(auth.recognise(database, config.security, token, click)) for click in clicks]
    assert alive == [click < now + timedelta(hours=12) for click in clicks]


def test_disabled_user_is_out_at_once(database: Database, config: Config, now: datetime, user: User) -> None:
    """Open sessions included, and the password opens no new one."""
    token = _log_in(database, config, now)
    with database.begin() as session:
        auth.find_user(session, EMAIL).disabled_at = now
    assert auth.recognise(database, config.security, token, now) is None
    with pytest.raises(NotAuthenticated):
        _log_in(database, config, now)


def test_new_password_ends_other_sessions(database: Database, config: Config, now: datetime, user: User) -> None:
    """Whoever knew the old one is out; the browser that changed it stays."""
    mine, other = _log_in(database, config, now), _log_in(database, config, now)
    with database.begin() as session:
        auth.change_password(session, auth.find_user(session, EMAIL), "another good password", keep=auth.digest(mine))
    assert auth.recognise(database, config.security, mine, now)
    assert auth.recognise(database, config.security, other, now) is None
    assert _log_in(database, config, now, "another good password")


def test_guessing_is_slowed_down(database: Database, config: Config, now: datetime, user: User) -> None:
    """After five wrong passwords even the right one waits a quarter of an hour; other addresses do not."""
    assert _fail(database, config, now, 5) is NotAuthenticated
    with pytest.raises(TooMany, match="Wait 15 minutes"):
        _log_in(database, config, now + timedelta(minutes=1))
    assert _log_in(database, config, now + timedelta(minutes=1), address="192.0.2.2")
    assert _log_in(database, config, now + timedelta(minutes=16))


def test_unknown_users_are_treated_alike(database: Database, config: Config, now: datetime, user: User) -> None:
    """The same words and the same brake, so that nobody learns who has an account."""
    answers = []
    for email in (EMAIL, "nobody@shop.example"):
        with pytest.raises(NotAuthenticated) as caught:
            _log_in(database, config, now, "wrong wrong wrong", email=email)
        answers.append(caught.value.message)
        assert _fail(database, config, now, 5, email=email) is TooMany
    assert answers[0] == answers[1]


def _failures(database: Database, now: datetime, email: str, places: Iterable[str]) -> None:
    with database.begin() as session:
        session.add_all(LoginFailure(email=email, address=place, at=now) for place in places)


def test_many_addresses_help_little(database: Database, config: Config, now: datetime, user: User) -> None:
    """After fifty failures from everywhere an address has two attempts at the account instead of five: it is slowed
    down, and its owner still gets in.
    """
    _failures(database, now, EMAIL, (f"198.51.100.{n}" for n in range(50)))
    assert _fail(database, config, now, 2, address="203.0.113.9") is NotAuthenticated
    with pytest.raises(TooMany):
        _log_in(database, config, now, address="203.0.113.9")
    assert _log_in(database, config, now, address="203.0.113.10")


def test_an_office_is_not_locked_out_by_one(database: Database, config: Config, now: datetime, user: User) -> None:
    """Somebody who fails at many accounts from one address leaves the others there their attempts, within reason."""
    _failures(database, now, "other@shop.example", ["192.0.2.1"] * 199)
    assert _log_in(database, config, now)
    _failures(database, now, "other@shop.example", ["192.0.2.1"])
    with pytest.raises(TooMany):
        _log_in(database, config, now)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix:", "unix:", True),
    ],
)
def test_what_counts_as_one_address(
    database: Database, config: Config, now: datetime, user: User, one: str, other: str, same: bool
) -> None:
    """Who has an IPv6 network has all of its 64 bits, so they are one."""
    _fail(database, config, now, 5, address=one)
    assert (_fail(database, config, now, 1, address=other) is TooMany) == same


def test_parallel_guesses_are_counted(database: Database, config: Config, now: datetime, user: User) -> None:
    """Twenty at once are five guesses."""
    barrier = Barrier(20)
    seen: list[type[Exception]] = []

    def guess() -> None:
        barrier.wait()
        with pytest.raises((NotAuthenticated, TooMany)) as caught:
            _log_in(database, config, now, "wrong wrong wrong")
        seen.append(caught.type)

    threads = [Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(seen) == {NotAuthenticated: 5, TooMany: 15}


def test_old_failures_are_forgotten(database: Database, config: Config, now: datetime, user: User) -> None:
    """After a day, also where nobody ever succeeds: strangers' addresses are not kept."""
    _failures(database, now - timedelta(days=2), "stranger@x.example", ["198.51.100.1"] * 3)
    _fail(database, config, now, 1)
    with database.read() as session:
        assert session.scalars(select(LoginFailure.email)).all() == [EMAIL]


def test_right_password_forgives(database: Database, config: Config, now: datetime, user: User) -> None:
    """Failures before a success are forgotten."""
    _fail(database, config, now, 4)
    _log_in(database, config, now)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginFailure)) == 0


def test_old_hash_is_renewed(database: Database, config: Config, now: datetime, user: User) -> None:
    """A hash with other costs is replaced when its owner logs in."""
    weak = auth.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with database.begin() as session:
        session.execute(update(User).values(password=weak))
    _log_in(database, config, now)
    with database.read() as session:
        assert "m=19456" in session.scalars(select(User.password)).one()


@pytest.mark.parametrize("password", ["short", "x" * 129, "aaaaaaaaaaaaaa", "my name is mei!!"])
def test_weak_passwords_are_refused(password: str) -> None:
    """Too short, too long, of one letter, with the name in it."""
    with pytest.raises(Invalid) as caught:
        auth.hashed(password, EMAIL)
    assert caught.value.field == "password"


def test_short_names_stand_in_any_sentence() -> None:
    """jo@ and a@ can have passwords, too."""
    for email in ("jo@shop.example", "a@shop.example"):
        assert auth.hashed("enjoy a correct horse", email)


def test_an_address_is_one_user(database: Database, now: datetime, user: User) -> None:
    """Whatever case it is written in; unknown ones and nonsense are named."""
    assert user.email == EMAIL
    with pytest.raises(Conflict), database.begin() as session:
        auth.add_user(session, EMAIL.upper(), "", PASSWORD, now=now)
    with pytest.raises(NotFound), database.read() as session:
        auth.find_user(session, "nobody@shop.example")
    with pytest.raises(Invalid), database.begin() as session:
        auth.add_user(session, "no address", "", PASSWORD, now=now)
