"""Bundles as a marketer works with them, on a desk and on a telephone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from recommender import bundles, training
from tests.browser.conftest import Site, check_accessible, check_fits
from tests.recommender.shop import add_contacts, add_items, add_order
from web.services import utcnow

LIST = "/recommendations/bundles"
TITLES = ("Stoneware teapot with infuser, 1.2 l", "Breakfast tea, loose, 250 g", "Honey from Yorkshire heather, 340 g",
          "Linen tea towel, sage", "Biscuit tin")  # fmt: skip


@pytest.fixture
def shop(site: Site) -> Site:
    """Teapots bought with tea and honey; one bundle that runs, one that is off and not on sale yet."""
    now = utcnow()
    with site.services.database.begin() as session:
        items = add_items(session, len(TITLES), cost=50_000)
        for item, title in zip(items, TITLES, strict=True):
            item.title = title
        for number, who in enumerate(add_contacts(session, 60)):
            basket = items[:3] if number < 20 else items[:1] if number < 30 else items[3:]
            add_order(session, who, basket, now - timedelta(days=1 + number % 20))
        made = now - timedelta(days=10)
        tea = {"name": "Tea for two", "items": ["A0", "A1"], "discount": 0.1}
        bundles.edit(session, "tea-for-two", tea, made, "GBP")
        late = {
            "name": "A long afternoon with towels",
            "items": ["A3", "A4", "A2"],
            "price": "25",
            "from": "2099-01-01",
        }
        bundles.edit(session, "late", late, made, "GBP")
    config = site.services.config
    training.train(site.services.database, site.services.warehouse, config, now=now)
    return site


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}], ids=["desk", "phone"])
def test_from_a_suggestion_to_a_bundle(desk: Page, shop: Site, size: dict[str, int]) -> None:
    """What suggests itself is put into the form, shows what it saves while one types, and is saved."""
    desk.set_viewport_size(size)  # type: ignore[arg-type]
    desk.goto(shop.url + LIST)
    check_accessible(desk)
    check_fits(desk)
    desk.set_viewport_size(size)  # type: ignore[arg-type]
    desk.get_by_role("link", name="Make a bundle of").nth(0).click()
    expect(desk.locator("#set [role=status]")).to_contain_text("saves")
    check_accessible(desk)
    desk.get_by_label("Discount").fill("20")
    desk.get_by_label("Name", exact=True).fill("")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("Give the bundle a name of up to 128 letters.").nth(0)).to_be_visible()
    check_fits(desk)
    desk.get_by_label("Name", exact=True).fill("Sweet tea")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_role("link", name="Sweet tea")).to_be_visible()
