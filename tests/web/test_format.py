"""Numbers, money and moments as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from web import format as formats
from web.app import create_app
from web.format import MINUS
from web.services import Services
from web.shell import LANGUAGES


@pytest.fixture(params=["en"])
def language(request: pytest.FixtureRequest) -> str:
    """The page's language."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _page(services: Services, language: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("web.shell.translated", lambda: LANGUAGES)
    locale = replace(services.config.locale, language=language, timezone="Europe/London")  # type: ignore[arg-type]
    app = create_app(replace(services, config=replace(services.config, locale=locale)))
    with app.test_request_context():
        yield


def test_numbers() -> None:
    """Grouped; a dash for nothing."""
    assert formats.number(1234567) == "1,234,567"
    assert formats.number(2.345, 1) == "2.3"
    assert formats.number(None) == "–"
    assert formats.compact(12408) == "12.4K"


def test_money_is_exact() -> None:
    """Ten-thousandths become units and pennies of their own currency."""
    assert formats.money(12_045_000) == "£1,204.50"
    assert formats.money(12_045_000, whole=True) == "£1,204"
    assert formats.money(10_000, "JPY") == "JP¥1"
    assert formats.money(-5_000) == f"{MINUS}£0.50"
    assert formats.money(-5_000, whole=True) == formats.money(0) == formats.money(0, whole=True) == "£0"
    assert formats.money(None) == "–"
    assert formats.money_compact(12_345_678_0000) == "£12.3M"
    assert formats.money_compact(56_180_0000) == "£56,180"
    assert formats.money_compact(-12_345_678_0000) == f"{MINUS}£12.3M"


def test_a_minus_is_one_and_stays_with_its_amount() -> None:
    """A line may end after a hyphen, and between a minus and a pound sign."""
    assert (formats.number(-1234.5), formats.number(-0.2)) == (f"{MINUS}1,234", "0")
    assert formats.compact(-12408) == f"{MINUS}12.4K"
    assert formats.share(-5.15, 0) == f"{MINUS}515%"
    assert formats.share(50.7, 0) == "5,070%"
    assert formats.sentence("between −£5 and £1") == f"between {MINUS}£5 and £1"


def test_shares() -> None:
    """Of a whole, and as a change."""
    assert formats.share(0.1234) == "12.3%"
    assert formats.share(0.5, 0) == "50%"
    assert (formats.share(1 / 20_000), formats.share(0.004, 0), formats.share(0)) == ("<0.1%", "<1%", "0%")
    assert (formats.share(0.0005), formats.share(0.0006)) == ("<0.1%", "0.1%")
    assert formats.change(20_001, 20_000) == "+0%"
    assert (formats.change(150, 100), formats.change(50, 100), formats.change(5, 0)) == ("+50%", f"{MINUS}50%", "–")


def test_moments_name_their_zone() -> None:
    """Shown in the shop's zone with its name; hovering shows UTC."""
    winter, summer = datetime(2026, 3, 2, 9, 5, tzinfo=UTC), datetime(2026, 7, 2, 9, 5, tzinfo=UTC)
    assert "2 Mar 2026, 09:05 GMT" in formats.moment(winter)
    assert "2 Jul 2026, 10:05 BST" in formats.moment(summer)
    assert 'title="2026-07-02 09:05 UTC"' in formats.moment(summer)
    assert formats.day(date(2026, 3, 2)) == "2 Mar 2026"
    assert formats.day_month(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)) == "2 Jul"
    assert formats.moment(None) == formats.day(None) == "–"


@pytest.mark.parametrize("language", ["zh_Hans_CN"], indirect=True)
def test_chinese() -> None:
    """The same in the other language."""
    assert formats.money(12_045_000, "CNY") == "¥1,204.50"
    assert formats.day(date(2026, 3, 2)) == "2026年3月2日"


def test_browsers_have_names() -> None:
    """What people call them."""
    edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0"
    assert formats.browser_name(edge) == "Edge on Windows"
    assert formats.browser_name("curl/8.0") is None
