"""The demo's workspace: made once, kept afterwards, made anew when the making was interrupted."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import attribution, planning
from engine import schema
from engine.config import PREFIX, Config, Server
from engine.database import Database
from engine.errors import Conflict
from engine.models import ContactList
from recommender import training
from web import auth
from web.api import access
from web.demo import following, offers, opening, sources
from web.demo.load import load
from web.demo.rows import CURRENCY
from web.demo.shop import generate
from web.demo.stories import ADDRESS, AHEAD, SHOP, blocks
from web.services import Services, open_services

VERSION: Final = 4  # of the shop's making; raise it when an old workspace would lack something
MARKER: Final = "demo.json"
NEW: Final = f"{MARKER}.new"  # being written
STORE: Final = "rapport.db"
EMAIL: Final = "marketer@demo.example"

# A workspace and a sender of its own, whatever config.toml says.
OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "workspace": {"path": "var/demo"},
    "database": {"url": ""},
    "locale": {"currency": CURRENCY, "country": "GB"},
    "shop": {"origins": ""},  # the storefront's, which follows the port
    "tracking": {"site": "fennel-and-oak", "secret": ""},  # the secret stands in the marker
    "mail": {
        "transport": "outbox",
        "from_address": "hello@fennelandoak.example",
        "from_name": SHOP,
        "postal_address": ADDRESS,
    },
    "sms": {"transport": "outbox", "from_number": "+447700900000"},
}
# What the environment does not change either: nothing leaves the machine, and the prices are in this currency.
FIXED: Final = {"database.url", "locale.currency", "locale.country", "mail.transport", "sms.transport"}

Progress = Callable[[str, int, int], None]  # what is done now, done, in all


@dataclass(frozen=True)
class Marker:
    """What stands in the workspace's demo.json, readable by its owner only. `finished`: everything is there."""

    version: int = VERSION
    seed: int = 1
    contacts: int = 20_000
    password: str = ""
    key: str = ""
    shop_key: str = ""  # the storefront's: of its server, of its pages, what it signs people and cookies with
    browser_key: str = ""
    browser_origin: str = ""
    signing: str = ""
    cookie_key: str = ""
    finished: bool = False

    def write(self, folder: Path) -> None:
        """Keep it, in one move."""
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / NEW
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(folder / MARKER)


def storefront(config: Config, port: int | None = None) -> str:
    """The storefront's address: this machine's, the next port unless one is given."""
    beside = config.server.port + (1 if config.server.port < 65_535 else -1)
    return f"http://127.0.0.1:{port or beside}"


def settings(config: Config, environ: Mapping[str, str] = os.environ, *, shop_port: int | None = None) -> Config:
    """The given settings with the demo's own in their place, but for those that the environment names and may change;
    its address follows host and port unless one is set.
    """
    server = config.server
    if server.public_url == Server().public_url:
        host = server.host if server.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104  # all addresses
        server = replace(server, public_url=f"http://{f'[{host}]' if ':' in host else host}:{server.port}")
    given = {name.removesuffix("_FILE") for name in environ}
    sections = {}
    for section, own in {**OWN, "shop": {"origins": storefront(config, shop_port)}}.items():
        kept = {key for key in own if f"{section}.{key}" not in FIXED and _variable(section, key) in given}
        sections[section] = replace(
            getattr(config, section), **{key: value for key, value in own.items() if key not in kept}
        )
    return replace(config, server=server, **sections)


def signed(config: Config, marker: Marker) -> Config:
    """The settings with the secret that signs who somebody is, unless the environment gave one."""
    tracking = config.tracking
    return replace(config, tracking=replace(tracking, secret=tracking.secret or marker.signing))


def environment(config: Config) -> dict[str, str]:
    """The demo's own settings for the processes that it starts."""
    own = {_variable(section, key): getattr(getattr(config, section), key) for section in OWN for key in OWN[section]}
    return {**own, _variable("server", "public_url"): config.server.public_url}


def _variable(section: str, key: str) -> str:
    return f"{PREFIX}{section}__{key}".upper()


def read(folder: Path) -> Marker | None:
    """The marker of a finished workspace, None where one must be made. Raises Conflict for a folder that is no demo."""
    try:
        marker = Marker(**json.loads((folder / MARKER).read_text(encoding="utf-8")))
    except FileNotFoundError:
        if folder.exists() and any(path.name != NEW for path in folder.iterdir()):
            raise Conflict(
                f"{folder} holds something that is no demo shop; move it away first, or set"
                f" {_variable('workspace', 'path')} to another folder."
            ) from None
        return None
    except (ValueError, TypeError):
        raise Conflict(f"{folder / MARKER} cannot be read; delete {folder} to make the demo shop anew.") from None
    return marker if marker.finished and (folder / STORE).exists() else None


def make(config: Config, marker: Marker, *, now: datetime, progress: Progress, shop_port: int | None = None) -> Marker:
    """Make the shop in the workspace of `config` from nothing; what an interrupted making left is removed."""
    folder, url = config.folder, storefront(config, shop_port)
    marker.write(folder)  # first: from here on it is known to be ours and half-made, whenever we are stopped
    _clear(folder)
    progress("shop made up", 0, 1)
    shop = generate(marker.seed, now, marker.contacts)
    rows = sum(len(frame) for _name, frame in shop.tables())
    progress("shop made up", rows, rows)
    database = Database(config.database_url)
    schema.upgrade(database)
    load(database, shop, progress)
    database.close()
    services = open_services(config)
    try:
        finished = _finish(services, marker, now, progress, url)
    finally:
        services.close()
    finished.write(folder)
    return finished


def _clear(folder: Path) -> None:
    """Remove everything but the marker."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()


def plan_ahead(session: Session, config: Config, now: datetime, url: str) -> None:
    """The campaigns that are still to come: drafts, and one that is scheduled."""
    for name, list_name, days, subject, preheader, body in AHEAD:
        plan = {
            "name": name,
            "list_id": session.scalar(select(ContactList.id).where(ContactList.name == list_name)),
            "subject": subject,
            "preheader": preheader,
            "blocks": blocks(body, heading=name, site=url),
            "fixed_cost": "150",
            "message_cost": "0.004",
        }
        campaign = planning.create(session, plan, now=now, config=config)
        if days:
            at = (now + timedelta(days=days)).replace(hour=9, minute=0, second=0, microsecond=0)
            ready = planning.check(session, None, campaign.id, now=now, config=config)  # the warehouse comes later
            planning.schedule(session, ready, at=at, now=now)


def _finish(services: Services, marker: Marker, now: datetime, progress: Progress, url: str) -> Marker:
    """Everything that is computed from what was loaded, and the way in."""
    password = secrets.token_urlsafe(12)
    with services.database.begin() as session:
        following.remember(session)
        plan_ahead(session, services.config, now, url)
        sources.make(session, now)
        offers.make(session, now, services.config.locale.currency)
        auth.add_user(session, EMAIL, "Robin Marsh", password, role="admin", now=now)
        key = access.add_key(session, "Demo storefront", list(access.SCOPES), now=now)
    progress("storefront stocked", 0, 1)
    marker = opening.furnish(services.database, services.config, marker, url, now)
    progress("storefront stocked", 1, 1)
    progress("orders credited to messages", 0, 1)
    with services.database.begin() as session:
        credited = attribution.attribute(session, now=now)
    progress("orders credited to messages", credited, credited)
    services.warehouse.rebuild(lambda table, done, rows: progress(f"warehouse: {table}", done, rows))
    following.follow(services, now, lambda done, looks: progress("lists followed", done, looks))
    services.warehouse.refresh()
    training.train(
        services.database,
        services.warehouse,
        services.config,
        now=now,
        progress=lambda _step, done, steps: progress("recommendations", done, steps),
    )
    progress("recommendations", training.STEPS, training.STEPS)
    return replace(marker, password=password, key=key, finished=True)
