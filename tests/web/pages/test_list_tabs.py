"""The pages of a saved list beside its criteria, drafts that come back, and the notice when somebody was faster."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from markupsafe import escape
from sqlalchemy import select

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.models import Contact
from tests.conftest import HeaderClient
from tests.engine.copies import add
from web.models import ListDraft, User
from web.pages.lists import tabs
from web.pages.lists.draft import BLANK
from web.pages.lists.starts import CATEGORIES, STARTS
from web.services import Services

UK = {"all": [{"field": "country", "operator": "is", "value": "UK"}]}
FR = {"all": [{"field": "country", "operator": "is", "value": "FR"}]}


@pytest.fixture
def shop(services: Services, now: datetime) -> Iterator[Services]:
    """Eighty contacts, half of them in the United Kingdom."""
    with services.database.begin() as session:
        for number in range(80):
            add(session, Contact, now, key=f"c{number}", email=f"c{number}@mail.example", first_name=f"Ann{number}",
                country="UK" if number < 40 else "FR", age=30 if number < 40 else 60, bucket=number)  # fmt: skip
    services.warehouse.refresh()
    return services


def saved(shop: Services, now: datetime, data: Any = UK, name: str = "British", author: str = "Mei") -> int:
    """A list."""
    with shop.database.begin() as session:
        return lists.save(session, None, name, data, now=now, author=author).id


def text(answer: Any) -> str:
    """The words of a page."""
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))


def opened(page: Any) -> str:
    """The work of a page that was opened."""
    found = re.search(r'name="work" value="([^"]*)"', page.text)
    assert found
    return found[1]


def form(data: Any, version: int = 1, name: str = "British", **more: str) -> dict[str, str]:
    """What the builder sends."""
    return {"q": json.dumps(data), "version": str(version), "name": name, **more}


def test_every_tab_has_its_address(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """And says what there is; an unknown one is the first."""
    list_id, other = saved(shop, now), saved(shop, now, {"all": [{"list": 1}]}, "Named")
    lists.follow(shop.database, shop.warehouse, now)
    address = f"/lists/{list_id}"
    assert "Ann0" in text(marketer.get(f"{address}?tab=people"))
    assert "country" in text(marketer.get(f"{address}?tab=profile&part=1"))
    assert "Named" in text(marketer.get(f"{address}?tab=overlap"))
    assert "make none" in text(marketer.get(f"{address}?tab=growth"))
    assert f"/lists/{other}" in marketer.get(f"{address}?tab=used").text
    assert "People in UK" in text(marketer.get(f"{address}?tab=versions"))
    assert 'id="criteria"' in marketer.get(f"{address}?tab=nonsense").text
    for tab in ("people", "profile", "overlap", "growth", "used", "versions"):
        assert (
            f'aria-current="page">{tab.capitalize() if tab != "used" else "Used by"}'
            in marketer.get(f"{address}?tab={tab}").text
        )
    assert marketer.get("/lists/77?tab=profile").status_code == 404


def test_a_frozen_list_begins_with_its_people(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """It has no criteria to change and does not grow."""
    list_id = saved(shop, now)
    with shop.database.begin() as session:
        lists.freeze(session, shop.warehouse, list_id, now)
    page = marketer.get(f"/lists/{list_id}").text
    assert ("Ann0" in page, "?tab=people" in page, 'id="criteria"' in page) == (True, False, False)
    assert "does not grow" in text(marketer.get(f"/lists/{list_id}?tab=growth"))


def test_a_list_that_cannot_be_used_says_so(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """On every tab."""
    list_id = saved(shop, now, {"all": [{"field": "attributes.gone", "operator": "known"}]})
    assert "attributes.gone" in text(marketer.get(f"/lists/{list_id}?tab=people"))
    assert marketer.get(f"/lists/{list_id}?tab=profile&part=1").status_code == 422
    assert "attributes.gone" in text(marketer.get(f"/lists/{list_id}?tab=versions"))


def test_people_are_picked_on_the_page(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """Found by search, taken off by a button, pasted; each can be undone, and who is unknown is told."""
    list_id = saved(shop, now)
    address = f"/lists/{list_id}/picks"
    assert "Ann55" in text(marketer.get(f"/lists/{list_id}?tab=people&q=Ann55"))
    assert marketer.post(address, data={"pick": "add", "contact": "56"}).status_code == 303
    answer = marketer.post(address, data={"pick": "add", "contact": "2"})
    value = re.findall(r'toast="?([\w=-]+)', "".join(answer.headers.getlist("Set-Cookie")))[0]
    told = json.loads(base64.urlsafe_b64decode(value + "=="))
    assert told["message"] == "1 was already on the list"
    marketer.post(f"{address}/2/undo")
    marketer.post(address, data={"pick": "remove", "contact": "1"})
    page = text(marketer.get(f"/lists/{list_id}?tab=people"))
    assert ("Added by hand" in page, "Taken off by hand" in page, "40 people" in page) == (True, True, True)
    marketer.post(f"{address}/1/undo")
    pasted = marketer.post(address, data={"pick": "add", "words": "c60, c61@mail.example;\nwho@mail.example\n"})
    assert "who@mail.example" in text(pasted)
    with shop.database.read() as session:
        keys = [one.key for _, one in lists.picks(session, list_id)]
        assert (keys, lists.get(session, list_id).size) == (["c55", "c60", "c61"], 43)
    assert marketer.post(address, data={"pick": "put"}).status_code == 422
    assert "not in the counts below" in marketer.get(f"/lists/{list_id}").text


def test_a_file_with_a_huge_cell_is_refused(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """In words, with what to do."""
    data = {"pick": "add", "file": (io.BytesIO(b"x" * 131_073), "people.csv")}
    answer = marketer.post(f"/lists/{saved(shop, now)}/picks", data=data)
    assert (answer.status_code, "one number or address a line" in answer.text) == (422, True)


def test_a_contact_says_which_lists_they_are_on(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """Dynamic ones as of the last look; added and taken off there, too."""
    list_id, kept = saved(shop, now), saved(shop, now, FR, "Kept")
    with shop.database.begin() as session:
        lists.freeze(session, shop.warehouse, kept, now)
    assert "On no list" in marketer.get("/contacts/1").text
    lists.follow(shop.database, shop.warehouse, now)
    assert f'href="/lists/{list_id}"' in marketer.get("/contacts/1").text
    assert f'href="/lists/{kept}"' in marketer.get("/contacts/60").text
    marketer.post("/lists/picks", data={"list": str(list_id), "contact": "60"})
    assert "added by hand" in marketer.get("/contacts/60").text
    answer = marketer.post(f"/lists/{kept}/picks", data={"pick": "remove", "contact": "60", "back": "1"})
    assert answer.headers["Location"].endswith("/contacts/60")
    assert f'href="/lists/{kept}"' not in marketer.get("/contacts/60").text


def test_a_version_is_restored_and_that_undone(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """Each is a new version, with who did it."""
    list_id = saved(shop, now, author="Ben")
    assert marketer.post(f"/lists/{list_id}", data=form(FR, do="save")).status_code in {200, 302, 303}
    page = text(marketer.get(f"/lists/{list_id}?tab=versions"))
    assert ("Ben" in page, "Mei" in page, "People in FR" in page) == (True, True, True)
    answer = marketer.post(f"/lists/{list_id}/versions/1/restore", data={"version": "2"})
    assert answer.status_code == 303
    assert marketer.post(f"/lists/{list_id}/versions/2/restore", data={"version": "2"}).status_code == 409
    for unread in ({}, {"version": "two"}):
        assert marketer.post(f"/lists/{list_id}/versions/2/restore", data=unread).status_code == 422
    with shop.database.read() as session:
        assert [one.criteria for one in lists.versions(session, list_id)] == [UK, FR, UK]
        assert lists.get(session, list_id).size == 40


def test_what_was_not_saved_comes_back(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """Kept at every count, offered at the next visit, gone when it is saved or discarded; each has their own."""
    list_id = saved(shop, now)
    work = opened(marketer.get(f"/lists/{list_id}"))
    marketer.post(f"/lists/{list_id}", data=form(FR, name="French", work=work))
    page = marketer.get(f"/lists/{list_id}").text
    assert ("You have unsaved changes" in page, f"draft={work}" in page) == (True, True)
    again = marketer.get(f"/lists/{list_id}?draft={work}").text
    assert ('value="French"' in again, "You have unsaved changes" in again) == (True, False)
    assert "You have unsaved changes" not in marketer.get(f"/lists/{list_id}?q={quote(json.dumps(FR))}").text
    marketer.post(f"/lists/{list_id}/discard", data={"draft": work})
    assert "You have unsaved changes" not in marketer.get(f"/lists/{list_id}").text
    marketer.post(f"/lists/{list_id}", data=form(FR, work=work))
    marketer.post(f"/lists/{list_id}", data=form(UK, work=work))  # as it is saved: nothing to keep
    assert "You have unsaved changes" not in marketer.get(f"/lists/{list_id}").text
    marketer.post(f"/lists/{list_id}", data=form(FR, work=work))
    marketer.post(f"/lists/{list_id}", data=form(FR, do="save", work=work))
    with shop.database.read() as session:
        assert session.query(ListDraft).count() == 0


def test_posts_of_one_page_may_overlap(shop: Services, marketer: HeaderClient) -> None:
    """The later one waits for the earlier one, and writes over it."""
    data = form(UK, version=0, name="Second", work=opened(marketer.get("/lists/new")))
    first = {
        "version": 0,
        "name": "First",
        "criteria": "{}",
        "at": datetime.now(UTC),
        "work": data["work"],
        "list_id": 0,
    }
    with ThreadPoolExecutor(1) as pool, shop.database.begin() as session:
        user_id = session.scalars(select(User.id).where(User.email == "marketer@shop.example")).one()
        session.add(ListDraft(user_id=user_id, **first))
        session.flush()
        later = pool.submit(marketer.post, "/lists/new", data=data)
        wait([later], 0.5)
        session.commit()
        assert later.result().status_code == 200
    with shop.database.read() as session:
        assert [one.name for one in session.scalars(select(ListDraft))] == ["Second"]


def test_a_new_list_is_not_lost_either(shop: Services, marketer: HeaderClient, admin: HeaderClient) -> None:
    """Unfinished conditions and all; nobody else is offered it."""
    half = {"all": [UK["all"][0], {"field": "age", "operator": "at_least", "value": ""}]}
    work = opened(marketer.get("/lists/new"))
    marketer.post("/lists/new", data=form(half, version=0, name="Half", work=work))
    assert "You have unsaved changes" in marketer.get("/lists/new").text
    assert 'value="Half"' in marketer.get(f"/lists/new?draft={work}").text
    assert "You have unsaved changes" not in admin.get("/lists/new").text
    marketer.post("/lists/new/discard", data={"draft": work})
    assert "You have unsaved changes" not in marketer.get("/lists/new").text


def test_what_is_left_can_be_told_apart(shop: Services, marketer: HeaderClient) -> None:
    """One line for all; each has its sentence. A condition that was never chosen is nothing to offer."""
    blank = {"all": [BLANK, {"any": [BLANK]}]}
    for data in (blank, UK, FR):
        marketer.post("/lists/new", data=form(data, version=0, name="", work=opened(marketer.get("/lists/new"))))
    page = marketer.get("/lists/new").text
    assert ("You have 2 drafts" in page, page.count("?draft=")) == (True, 2)
    with shop.database.read() as session:
        asked = [criteria.parse(data, open_catalogue(session, shop.warehouse)) for data in (UK, FR)]
    assert all(escape(criteria.sentence(one, "en")) in page for one in asked)
    marketer.post("/lists/new/discard", data={"draft": re.findall(r'name="draft" value="(\w+)"', page)})
    with shop.database.read() as session:
        assert session.query(ListDraft).count() == 0


def test_a_condition_to_be_chosen_is_no_change(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """Of a saved list, whose other conditions are."""
    list_id = saved(shop, now)
    work = opened(marketer.get(f"/lists/{list_id}"))
    for node, kept in ((BLANK, 0), (FR["all"][0], 1)):
        marketer.post(f"/lists/{list_id}", data=form({"all": [*UK["all"], node]}, work=work))
        with shop.database.read() as session:
            assert session.query(ListDraft).count() == kept


def test_no_work_is_written_over_by_another(shop: Services, marketer: HeaderClient) -> None:
    """An offered draft stays while something else is written, emptied or saved; going on with it replaces it alone."""

    def write(page: Any, data: Any, **more: str) -> Any:
        return marketer.post("/lists/new", data=form(data, version=0, work=opened(page), **more))

    def kept() -> list[str]:
        with shop.database.read() as session:
            return sorted("".join(re.findall(r'"value":"(\d+)"', one.criteria)) for one in session.query(ListDraft))

    def aged(years: str) -> Any:
        return {"include": {"all": [{"field": "country", "operator": "is", "value": years}]}}

    write(marketer.get("/lists/new"), aged("77"), name="")
    first = re.search(r"draft=([0-9a-f]{16})", marketer.get("/lists/new").text)
    assert first
    second, third = marketer.get("/lists/new"), marketer.get("/lists/new")
    assert opened(second) != opened(third)
    write(second, aged("18"), name="")
    write(third, aged("19"), name="")
    assert kept() == ["18", "19", "77"]
    write(second, {"all": []}, name="")  # nothing to save any more
    assert kept() == ["19", "77"]
    write(third, aged("19"), name="Third", do="save")
    assert kept() == ["77"]
    address = f"/lists/new?draft={first[1]}"
    going, too = marketer.get(address), marketer.get(address)
    assert '"77"' in going.text.replace("&#34;", '"')
    write(going, aged("78"), name="")
    write(going, aged("79"), name="")
    assert kept() == ["79"]
    write(too, aged("76"), name="")
    assert kept() == ["76", "79"]


def test_an_address_goes_on_with_its_work(shop: Services, marketer: HeaderClient) -> None:
    """A page that is loaded again is the same work, not a second one; an old address writes over nothing newer."""
    work = opened(marketer.get("/lists/new"))
    address = marketer.post("/lists/new", data=form(UK, version=0, work=work), headers={"HX-Request": "true"}).headers[
        "HX-Replace-Url"
    ]
    assert f"draft={work}" in address
    marketer.post("/lists/new", data=form(FR, version=0, work=opened(marketer.get(address))))
    with shop.database.read() as session:
        assert [json.loads(one.criteria) for one in session.query(ListDraft)] == [json.loads(json.dumps(FR))]
    marketer.post("/lists/new", data=form(UK, version=0, work=opened(marketer.get(address))))
    with shop.database.read() as session:
        assert session.query(ListDraft).count() == 2


def test_who_was_faster_is_named_with_what_they_changed(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """As soon as one goes on writing, not only at the save; the save is refused, and nothing is lost."""
    list_id = saved(shop, now)
    with shop.database.begin() as session:
        lists.save(session, list_id, "Theirs", FR, now=now + timedelta(minutes=1), author="Ben")
    mine = {"all": [*UK["all"], {"field": "age", "operator": "at_least", "value": 18}]}
    work = "0123456789abcdef"
    early = marketer.post(f"/lists/{list_id}", data=form(mine, work=work))
    assert ("Somebody else saved" in text(early), "Ben saved it" in text(early)) == (True, True)
    assert ("diff-out" in early.text, "diff-in" in early.text, "Theirs" in early.text) == (True, True, True)
    refused = marketer.post(f"/lists/{list_id}", data=form(mine, do="save", work=work))
    assert (refused.status_code, "Ben saved it" in refused.text) == (409, True)
    with shop.database.read() as session:
        assert lists.get(session, list_id).criteria == FR
        kept = session.query(ListDraft).one()
        assert (json.loads(kept.criteria), kept.version) == (mine, 1)
    marketer.post(f"/lists/{list_id}", data=form(mine, do="overwrite", work=work))
    with shop.database.read() as session:
        assert [one.criteria for one in lists.versions(session, list_id)] == [mine, FR, UK]


def test_templates_are_by_what_they_are_for(shop: Services, marketer: HeaderClient) -> None:
    """Each with its own count, which comes by a request of its own."""
    page = marketer.get("/lists/templates").text
    for start in STARTS:
        assert str(start.title) in page
    assert marketer.get("/lists/templates/new").text.strip().endswith("</span>")
    assert marketer.get("/lists/templates/none").status_code == 404
    assert {start.category for start in STARTS} == set(CATEGORIES)
    assert len({start.key for start in STARTS}) == len(STARTS) >= 12


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.key)
def test_every_template_parses_and_reads(services: Services, now: datetime, start: Any) -> None:
    """As a sentence in both languages, and it can be counted in an empty shop."""
    services.warehouse.refresh()
    with services.database.read() as session:
        asked = criteria.parse(start.criteria, open_catalogue(session, services.warehouse))
    assert criteria.sentence(asked, "en").startswith("People ")
    assert criteria.sentence(asked, "zh_Hans_CN").endswith("联系人")
    people = criteria.select(asked, services.warehouse, now)
    assert services.warehouse.execute(people.count())[0][0].as_py() == 0


def test_a_profile_leads_with_what_is_not_asked(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """What the list's own criteria say comes last and is marked; conditions of events name other fields."""
    page = marketer.get(f"/lists/{saved(shop, now)}?tab=profile&part=1").text
    assert re.findall(r'class="card trait" aria-label="([^"]+)"', page)[-1] == "country"
    assert page.partition('aria-label="country"')[2].count("own criteria ask for this") == 1
    assert tabs._asked({"all": [{"event": "order", "where": [{"field": "brand"}]}, *UK["all"]]}) == {"country"}


def test_a_list_without_a_name_leads_to_it(shop: Services, marketer: HeaderClient) -> None:
    """The refusal names the control, which is marked where the page has no script."""
    data = form(UK, version=0, name="", do="save")
    answer = marketer.post("/lists/new", data=data, headers={"HX-Request": "true"})
    assert (answer.status_code, 'data-focus="name"' in answer.text) == (422, True)
    page = marketer.post("/lists/new", data=data).text
    assert 'aria-invalid="true" aria-describedby="refused"' in page
    assert 'id="refused"' in page


def test_growth_tells_edits_of_the_criteria(shop: Services, marketer: HeaderClient, now: datetime) -> None:
    """A jump by an edit is told from people who came; another name is no edit."""
    list_id = saved(shop, now)
    lists.follow(shop.database, shop.warehouse, now)
    page = f"/lists/{list_id}?tab=growth"
    for name, data, told in (("Renamed", UK, 0), ("Renamed", FR, 1)):
        with shop.database.begin() as session:
            lists.save(session, list_id, name, data, now=now)
        assert marketer.get(page).text.count('tab=versions">version') == told
