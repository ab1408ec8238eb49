"""The storefront is opened once; when its address changes, what points there follows."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from apiflask import APIFlask
from sqlalchemy import select

from engine.config import Config
from engine.database import Database
from engine.models import Item
from tests.web.demo.storefront.conftest import URL
from web.demo import opening
from web.demo.storefront import settings, store
from web.demo.workspace import Marker
from web.models import ApiKey
from web.security import foreign
from web.services import Services, utcnow

MOVED = "http://127.0.0.1:9001"


def test_opened_twice(furnished: settings.Settings, services: Services) -> None:
    """The keys are for what the storefront does and no more; the second time nothing is made or written."""
    config = services.config
    with services.database.read() as session:
        keys = session.scalars(select(ApiKey).order_by(ApiKey.id)).all()
        assert [sorted(key.scopes) for key in keys if key.origins is None] == [sorted(opening.SCOPES)]
        assert [key.origins for key in keys if key.origins] == [[URL]]
        before = session.execute(select(Item.key, Item.url, Item.image_url, Item.revision).order_by(Item.key)).all()
    assert before[2][:3] == ("HONEY", f"{URL}/items/honey", f"{URL}/pictures/honey.svg")
    assert stat.S_IMODE(opening.settings_file(config).stat().st_mode) == 0o600
    marker = marker_of(furnished)
    assert opening.furnish(services.database, config, marker, URL, utcnow()) == marker
    with services.database.read() as session:
        after = session.execute(select(Item.key, Item.url, Item.image_url, Item.revision).order_by(Item.key)).all()
        assert (after, len(session.scalars(select(ApiKey.id)).all())) == (before, 2)


def test_another_port(furnished: settings.Settings, services: Services) -> None:
    """Items point to the new address, the old page's key ends, the shop's own database stays."""
    with opened(furnished) as own, own.begin() as session:
        session.execute(store.ITEMS.update().values(stock=7))
    marker = opening.furnish(services.database, services.config, marker_of(furnished), MOVED, utcnow())
    with services.database.read() as session:
        living = session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None), ApiKey.origins.is_not(None))).all()
        pages = [key for key in living if key.origins]
        assert [(key.prefix, key.origins) for key in pages] == [(marker.browser_key, [MOVED])]
        assert {url.startswith(MOVED) for url in session.scalars(select(Item.url))} == {True}
    with opened(furnished) as own, own.read() as session:
        assert set(session.scalars(select(store.ITEMS.c.stock))) == {7}
    assert settings.read(opening.settings_file(services.config)).url == MOVED


def test_only_a_demo_has_a_storefront(config: Config) -> None:
    """Today links to what stands in its workspace, and to nothing elsewhere."""
    assert settings.address(config.folder) is None
    made = settings.Settings(str(config.folder), URL, "http://127.0.0.1:8000", "Little", "GBP", *["word"] * 5)
    made.write(config.folder / settings.FILE)
    assert settings.address(config.folder) == URL


def test_mails_show_its_pictures(app: APIFlask) -> None:
    """A message in the outbox may load pictures of the shop's own pages, which have no https on one's own machine."""
    with app.test_request_context():
        policy = foreign("<p>Hello</p>").headers["Content-Security-Policy"]
    assert f"img-src 'self' data: https: {URL};" in policy
    assert "script-src" not in policy


def marker_of(furnished: settings.Settings) -> Marker:
    """What the demo would have kept."""
    return replace(
        Marker(),
        shop_key=furnished.key,
        browser_key=furnished.browser_key,
        browser_origin=furnished.url,
        signing=furnished.secret,
        cookie_key=furnished.cookie_key,
    )


@contextmanager
def opened(furnished: settings.Settings) -> Iterator[Database]:
    """The shop's own database for a moment."""
    database = Database(furnished.store)
    yield database
    database.close()
