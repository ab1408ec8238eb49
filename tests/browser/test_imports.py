"""A file comes in, as a marketer does it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from engine.models import Contact
from tests.browser.conftest import Site, check_accessible, check_fits

pytestmark = pytest.mark.browser

PEOPLE = """customer_id,Where to write,given name,shoe size,email_consent
C1,ann@shop.example,Ann,38,true
C2,bo@shop.example,Bo,44,true
C3,not-an-address,Cy,41,true
C4,dora@shop.example,Dora,39,perhaps
"""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A file with two bad rows and two headers that nobody knows."""
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def test_a_file_comes_in(desk: Page, site: Site, people: Path, tmp_path: Path) -> None:
    """Two bad rows: told in the sample, counted by the check, downloaded; the good ones can be found at once."""
    desk.goto("/imports")
    expect(desk.get_by_role("heading", name="Nothing imported yet")).to_be_visible()
    desk.get_by_role("main").get_by_role("link", name="Import a file").first.click()
    desk.get_by_label("File", exact=True).set_input_files(people)
    desk.get_by_role("button", name="Upload and look").click()

    means = desk.get_by_label("“Where to write” means")
    expect(means).to_have_value("")
    expect(desk.get_by_text("2 columns are left out")).to_be_visible()
    means.focus()
    means.select_option("email")
    expect(desk.get_by_text("1 of the first 4 cannot be read: 'not-an-address'")).to_be_visible()
    expect(means).to_be_focused()
    desk.get_by_label("“shoe size” means").select_option("attributes.shoe_size")
    expect(desk.get_by_text("5 of 5 used")).to_be_visible()
    desk.reload()
    expect(means).to_have_value("email")
    desk.get_by_role("button", name="Check the whole file").click()

    expect(desk.get_by_role("heading", name="2 records refused")).to_be_visible()
    expect(desk.get_by_role("row", name="'perhaps' is neither true nor false")).to_be_visible()
    with site.services.database.read() as session:
        assert session.scalars(select(Contact)).all() == []
    expect(desk.get_by_label("Keep good rows")).to_be_checked()
    desk.get_by_role("button", name="Import", exact=True).click()

    expect(desk.get_by_role("heading", name="Import of people.csv")).to_be_visible()
    with desk.expect_download() as download:
        desk.get_by_role("link", name="Download refused records").click()
    saved = tmp_path / "saved.csv"
    download.value.save_as(saved)
    lines = saved.read_text(encoding="utf-8-sig").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["line", "4", "5"]
    desk.get_by_role("link", name="See the contacts").click()
    expect(desk.get_by_text("ann@shop.example")).to_be_visible()
    expect(desk.get_by_text("dora@shop.example")).to_be_hidden()


def test_a_good_file_and_the_next_one(desk: Page, tmp_path: Path) -> None:
    """Found by Ctrl-K, read with decimal commas, its repeats told, its columns chosen once, nothing narrow."""
    path = tmp_path / "orders.csv"
    line = "O1;31.01.2026 10:00;A1;2;1.234,50\n"
    path.write_text("Nr;at;item;quantity;Preis\n" + line * 2, encoding="utf-8")
    desk.goto("/")
    desk.keyboard.press("Control+k")
    desk.keyboard.type("import a file")
    desk.keyboard.press("Enter")
    for chosen in (False, True):
        expect(desk.get_by_role("heading", name="What is in the file?")).to_be_visible()
        desk.get_by_role("radio", name="Orders").check()
        desk.get_by_label("File", exact=True).set_input_files(path)
        desk.get_by_role("button", name="Upload and look").click()
        if chosen:
            expect(desk.get_by_text("as you chose them for the last file")).to_be_visible()
        else:
            desk.get_by_label("“Nr” means").select_option("order")
            expect(desk.get_by_text("The column unit_price is missing")).to_be_visible()
            desk.get_by_label("“Preis” means").select_option("unit_price")
            expect(desk.get_by_label("Numbers are written like")).to_have_value("comma")
        expect(desk.get_by_text("Everything needed is there.")).to_be_visible()
        check_accessible(desk)
        desk.get_by_role("button", name="Check the whole file").click()
        expect(desk.get_by_text("1 line repeats another line of its order")).to_be_visible()
        button = desk.get_by_role("button", name="Import", exact=True)
        assert desk.get_by_text("All 2 records are good.").bounding_box()["width"] > 200  # type: ignore[index]
        check_fits(desk)
        button.click()
        expect(desk.get_by_text("Everything is in.")).to_be_visible()
        desk.get_by_role("link", name="Import another file").first.click()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_accessible(desk: Page, people: Path, colours: str) -> None:
    """axe finds nothing at any step in either theme, and nothing sticks out at 390 px."""
    desk.emulate_media(color_scheme=colours)  # type: ignore[arg-type]

    def look() -> None:
        desk.set_viewport_size({"width": 1280, "height": 800})
        check_accessible(desk)
        check_fits(desk)
        check_accessible(desk)

    desk.goto("/imports")
    look()
    desk.goto("/imports/new")
    look()
    desk.get_by_label("File", exact=True).set_input_files(people)
    desk.get_by_role("button", name="Upload and look").click()
    desk.get_by_label("“Where to write” means").select_option("email")
    expect(desk.get_by_text("cannot be read").first).to_be_visible()
    look()
    desk.get_by_role("button", name="Check the whole file").click()
    expect(desk.get_by_role("heading", name="2 records refused")).to_be_visible()
    look()
    desk.get_by_role("button", name="Import", exact=True).click()
    expect(desk.get_by_role("heading", name="Import of people.csv")).to_be_visible()
    look()
    desk.goto("/imports")
    look()


def test_a_wrong_file_is_told_in_words(desk: Page, tmp_path: Path) -> None:
    """An Excel workbook is refused with the way out, and the form is there again."""
    path = tmp_path / "people.xlsx"
    path.write_bytes(b"PK\x03\x04 and so on")
    desk.goto("/imports/new?kind=orders")
    desk.get_by_label("File", exact=True).set_input_files(path)
    desk.get_by_role("button", name="Upload and look").click()
    expect(desk.get_by_text("people.xlsx is a ZIP archive or an Excel workbook; save it as CSV.")).to_be_visible()
    expect(desk.get_by_role("radio", name="Orders")).to_be_checked()
    check_accessible(desk)
