"""Pictures: of every item of the demo, always the same, and safe whatever an item is called."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from engine.config import Config
from tests.web.demo.conftest import NOW
from tests.web.demo.storefront.conftest import Browser
from web.demo.items import generate_items
from web.demo.storefront.motifs import MOTIFS
from web.demo.storefront.pictures import KINDS, NOUNS, draw, motif

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def config(sqlite_config: Config) -> Config:
    """Pictures never see Rapport's database."""
    return sqlite_config


def test_every_item_of_the_demo_is_drawn() -> None:
    """As something of its kind: no category is left to the gift that stands for the unknown, no motif is unused."""
    items = generate_items(np.random.default_rng(1), NOW).items
    drawn = set()
    for title, category in zip(items["title"], items["category"], strict=True):
        drawing = draw(title, category)
        assert drawing == draw(title, category)
        ElementTree.fromstring(drawing)
        assert "{" not in drawing
        assert len(drawing) < 4_000
        drawn.add(motif(title, category))
    assert set(items["category"].str.rpartition(" > ")[2]) == set(KINDS)
    assert {*KINDS.values(), *NOUNS.values()} == set(MOTIFS)
    assert len(drawn) > 45
    assert len({draw(title, items["category"][0]) for title in items["title"]}) == len(items)


@pytest.mark.parametrize("title", ["", "</title><script>alert(1)</script>", "&amp; \"'", "茶壶", "x" * 200])
def test_a_title_is_only_words(title: str) -> None:
    """It is the picture's title, and nothing else."""
    drawing = ElementTree.fromstring(draw(title, "Nowhere > Known"))
    assert drawing.findtext(f"{SVG}title") == title
    assert not drawing.findall(f".//{SVG}script")


def test_the_route(browser: Browser) -> None:
    """A picture for a day, for pages and mails of other origins too, and not again when it is known."""
    first = browser.get("/pictures/honey.svg")
    assert (first.status_code, first.mimetype) == (200, "image/svg+xml")
    assert first.headers["Cache-Control"] == "public, max-age=86400"
    assert first.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Set-Cookie" not in first.headers
    again = browser.get("/pictures/HONEY.svg", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
