"""Users and API keys."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import select

from engine.config import Config
from web import auth
from web.api import access
from web.models import ApiKey, User
from web.roles import ROLES
from web.services import opened_database, utcnow


@click.group()
def user() -> None:
    """People who may log in."""


@user.command("add")
@click.argument("email")
@click.option("--name", default="", help="How they are greeted.")
@click.option("--role", type=click.Choice(ROLES), help="Default: marketer, the first user admin.")
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def add(config: Config, email: str, name: str, role: str | None, password_file: Path | None) -> None:
    """Add a user."""
    password = _password(password_file)
    with opened_database(config) as database, database.begin() as session:
        added = auth.add_user(session, email, name, password, role=role, now=utcnow())
        click.echo(f"{email} can log in ({added.role}).")


@user.command("password")
@click.argument("email")
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def password(config: Config, email: str, password_file: Path | None) -> None:
    """Set a user's password and end their sessions."""
    new = _password(password_file)
    with opened_database(config) as database, database.begin() as session:
        auth.change_password(session, auth.find_user(session, email), new)
    click.echo(f"The password of {email} is changed.")


@user.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES))
@click.pass_obj
def change_role(config: Config, email: str, role: str) -> None:
    """Make a user an administrator or a marketer; counts at their next click."""
    with opened_database(config) as database, database.begin() as session:
        auth.find_user(session, email).role = role
    click.echo(f"{email} is {role}.")


@user.command("list")
@click.pass_obj
def list_users(config: Config) -> None:
    """Show all users."""
    with opened_database(config) as database, database.read() as session:
        for found in session.scalars(select(User).order_by(User.email)):
            click.echo(f"{found.email}  {found.role}{'  disabled' if found.disabled_at else ''}")


@user.command("disable")
@click.argument("email")
@click.pass_obj
def disable(config: Config, email: str) -> None:
    """Keep a user out; open sessions end at once."""
    with opened_database(config) as database, database.begin() as session:
        auth.find_user(session, email).disabled_at = utcnow()
    click.echo(f"{email} cannot log in any more.")


@click.group()
def key() -> None:
    """Keys of the API."""


@key.command("add")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="May be given several times; 'all' for all.")
@click.option("--origin", "origins", multiple=True, help="For web pages of https://shop.example; a public key.")
@click.pass_obj
def add_key(config: Config, name: str, scopes: tuple[str, ...], origins: tuple[str, ...]) -> None:
    """Make a key and show it, once; or a public one, which web pages of its origins show to everybody."""
    if bool(scopes) == bool(origins):
        raise click.UsageError("Give --scope for a secret key of a program, or --origin for a public key of web pages.")
    with opened_database(config) as database, database.begin() as session:
        if origins:
            made = access.add_browser_key(session, name, origins, now=utcnow())
        else:
            made = access.add_key(session, name, list(access.SCOPES) if "all" in scopes else scopes, now=utcnow())
    click.echo(made)


@key.command("list")
@click.pass_obj
def list_keys(config: Config) -> None:
    """Show all keys in use."""
    with opened_database(config) as database, database.read() as session:
        for found in session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)):
            click.echo(f"{found.prefix}  {found.name}  {' '.join(found.origins or found.scopes)}")


@key.command("revoke")
@click.argument("prefix")
@click.pass_obj
def revoke(config: Config, prefix: str) -> None:
    """End a key."""
    with opened_database(config) as database, database.begin() as session:
        access.revoke_key(session, prefix, now=utcnow())
    click.echo(f"The key {prefix} is no longer valid.")


def _password(file: Path | None) -> str:
    if file:
        return file.read_text(encoding="utf-8").strip()
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer
