"""The pages of a saved list beside its criteria: people, profile, overlap, growth, where it is used, versions."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext, lazy_gettext, ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from engine import contacts, lists
from engine.catalogue import open_catalogue
from engine.errors import Invalid
from engine.lists.picking import WORDS
from engine.lists.profiles import LEAST, Part, Trait
from engine.models import Contact, ContactList, ListPick, ListVersion
from engine.money import UNIT
from web import picking
from web.charts import Chart, Series
from web.format import day as day_words
from web.format import money, number
from web.pages.lists.rows import PAGE, author, base, blueprint, reader, rows
from web.services import services, utcnow
from web.shell import toast

PASTED: Final = 5_000_000  # characters of pasted numbers and addresses
FOUND: Final = 10  # contacts that a search on the page offers
TABS: Final = {
    "criteria": lazy_gettext("Criteria"),
    "people": lazy_gettext("People"),
    "profile": lazy_gettext("Profile"),
    "overlap": lazy_gettext("Overlap"),
    "growth": lazy_gettext("Growth"),
    "used": lazy_gettext("Used by"),
    "versions": lazy_gettext("Versions"),
}
LATER: Final = ("profile",)  # reckoned beside the page


def shown_tab(found: ContactList) -> str:
    """The tab an address names; a frozen list begins with its people."""
    first = "people" if found.frozen_at else "criteria"
    wanted = request.args.get("tab", first)
    return wanted if wanted in TABS and (wanted != "criteria" or not found.frozen_at) else first


def tabs(found: ContactList) -> list[tuple[str, str, str]]:
    """Key, words and address of each."""
    first = "people" if found.frozen_at else "criteria"
    return [
        (key, str(words), url_for("lists.show", list_id=found.id, tab=None if key == first else key))
        for key, words in TABS.items()
        if key != "criteria" or not found.frozen_at
    ]


def show(list_id: int, tab: str) -> ResponseReturnValue:
    """One tab of a list."""
    with services().database.read() as session:
        found = lists.get(session, list_id)
        is_whole = tab not in LATER or "part" in request.args
        more = SHOWS[tab](session, found) if is_whole else {}
        return render_template(
            f"lists/{tab}_part.html" if "part" in request.args and tab in LATER else f"lists/{tab}.html",
            row=rows(session, [found])[0],
            base=base(),
            tab=tab,
            tabs=tabs(found),
            **more,
        )


def _people(session: Session, found: ContactList) -> dict[str, Any]:
    """Members page by page, picks, and people to pick by what is typed."""
    after, words = max(request.args.get("after", 0, type=int), 0), request.args.get("q", "").strip()[:200]
    fault, people, last = "", list[Contact](), None
    try:
        people, last = lists.page(session, services().warehouse, found.id, utcnow(), after=after, limit=PAGE)
    except Invalid as error:
        fault = error.message
    offered = contacts.search(session, words, limit=FOUND, warehouse=services().warehouse) if words else []
    return {
        "people": people,
        "fault": fault,
        "words": words,
        "offered": offered,
        "picked": _picked(session, found.id, [one.id for one in [*people, *offered]]),
        "picks": lists.picks(session, found.id, limit=PAGE),
        "next": url_for("lists.show", list_id=found.id, tab="people", after=last) if last else None,
        "first": url_for("lists.show", list_id=found.id, tab="people") if after else None,
    }


def _picked(session: Session, list_id: int, contact_ids: Sequence[int]) -> dict[int, bool]:
    """Who of them is picked by hand: put on the list, or taken off."""
    theirs = select(ListPick).where(ListPick.list_id == list_id, ListPick.contact_id.in_(contact_ids))
    return {pick.contact_id: pick.added for pick in session.scalars(theirs)}


@dataclass(frozen=True)
class Band:
    """A part of a trait in words."""

    words: str
    part: Part


def _profile(session: Session, found: ContactList) -> dict[str, Any]:
    """Bars, largest differences first; what the list's own criteria ask for, which says little new, last."""
    profile = lists.profile(session, services().warehouse, found.id, utcnow())
    traits = [(trait, [Band(_words(trait, part), part) for part in trait.parts]) for trait in profile.traits]
    own = _asked(found.criteria)
    traits.sort(key=lambda row: row[0].key in own)
    return {"profile": profile, "traits": traits, "own": own, "least": LEAST, "language": str(get_locale())}


def _asked(data: Any) -> set[str]:
    """The fields of contacts that criteria name."""
    if isinstance(data, list):
        return set().union(*map(_asked, data))
    if not isinstance(data, dict):
        return set()
    return {data["field"]} if "field" in data else _asked([one for key, one in data.items() if key != "where"])


def _words(trait: Trait, part: Part) -> str:
    """A part as people say it: "25 to below 45", "not known"."""
    if part.kind in ("unknown", "others"):
        return str(gettext("not known") if part.kind == "unknown" else gettext("%(n)s other values", n=part.value))
    if part.kind == "value":
        words = {True: gettext("yes"), False: gettext("no")}
        return str(words[part.value] if trait.type == "yes_no" else part.value)
    low, high = _bound(trait.type, part.value), _bound(trait.type, part.high)
    if part.value is None:
        return str(gettext("below %(high)s", high=high))
    if part.high is None:
        return str(gettext("%(low)s and more", low=low))
    return str(gettext("%(low)s to below %(high)s", low=low, high=high))


def _bound(kind: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return day_words(value)
    return money(round(value * UNIT), whole=True) if kind == "money" else number(value, 2)


def _overlap(session: Session, found: ContactList) -> dict[str, Any]:
    return {"overlaps": lists.overlaps(session, services().warehouse, found.id, utcnow())}


def _growth(session: Session, found: ContactList) -> dict[str, Any]:
    """The size as a line, who came and went as bars."""
    days = lists.growth(session, found.id)
    names = [day_words(one.day) for one in days]
    size = Chart(gettext("People on the list"), gettext("Day"), names,
                 [Series(gettext("People"), [one.size for one in days])])  # fmt: skip
    moved = Chart(
        gettext("Joined and left"),
        gettext("Day"),
        names,
        [
            Series(gettext("Joined"), [one.joined for one in days]),
            Series(gettext("Left"), [-one.left for one in days]),
        ],
        kind="bar",
        stacked=True,
    )
    versions = lists.versions(session, found.id, limit=PAGE)
    edits = [new for new, old in pairwise(versions) if new.criteria != old.criteria]
    return {"days": days, "size": size, "moved": moved, "edits": edits}


def _used(session: Session, found: ContactList) -> dict[str, Any]:
    """Campaigns that go to it, lists that name it, and those it names itself."""
    theirs = select(Campaign).where(Campaign.list_id == found.id, Campaign.deleted_at.is_(None))
    return {
        "campaigns": session.scalars(theirs.order_by(Campaign.id.desc()).limit(PAGE)).all(),
        "users": lists.users_of(session, found.id),
        "uses": [one for one in lists.behind(session, found.id) if one.id != found.id],
    }


@dataclass(frozen=True)
class Saved:
    """A version, the one before it, and what changed between them."""

    one: ListVersion
    read: lists.Reading
    before: lists.Reading | None
    changes: list[Any]
    renamed_from: str | None


def _versions(session: Session, found: ContactList) -> dict[str, Any]:
    before = request.args.get("before", type=int)
    kept = lists.versions(session, found.id, before=before, limit=PAGE + 1)
    catalogue, language = reader(session), str(get_locale())
    readings = [lists.reading(one.criteria, catalogue, found.id, language) for one in kept]
    saved = []
    for place, one in enumerate(kept[:PAGE]):
        older = readings[place + 1] if place + 1 < len(kept) else None
        changes = lists.difference(older, readings[place]) if older else []
        name = kept[place + 1].name if older else one.name
        saved.append(Saved(one, readings[place], older, changes, name if name != one.name else None))
    last = kept[PAGE - 1].version if len(kept) > PAGE else None
    return {
        "versions": saved,
        "newest": not before,
        "next": url_for("lists.show", list_id=found.id, tab="versions", before=last) if last else None,
        "first": url_for("lists.show", list_id=found.id, tab="versions") if before else None,
    }


Show = Callable[[Session, ContactList], dict[str, Any]]
SHOWS: Final[dict[str, Show]] = {
    "people": _people,
    "profile": _profile,
    "overlap": _overlap,
    "growth": _growth,
    "used": _used,
    "versions": _versions,
}


@blueprint.post("/<int:list_id>/picks")
def pick(list_id: int) -> ResponseReturnValue:
    """Put people on the list by hand, take them off, or leave them to the criteria again."""
    verdict = request.form.get("pick", "")
    if verdict not in picking.PICKS:
        raise Invalid(gettext("There is no such button."), field="pick")
    ids = [int(one) for one in request.form.getlist("contact") if re.fullmatch("[0-9]{1,18}", one)]
    words = _pasted(f"{request.form.get('words', '')}\n{_file()}")
    found = picking.pick(services(), list_id, verdict, ids=ids, words=words, now=utcnow(), author=author())
    toast(_told(verdict, found), undo=_undo(list_id, verdict, ids, found.changed))
    if "back" in request.form and ids:
        return redirect(url_for("contacts.show", contact_id=ids[0]), 303)
    if unknown := found.unknown:
        with services().database.read() as session:
            one = lists.get(session, list_id)
            frame = {"row": rows(session, [one])[0], "base": base(), "tab": "people", "tabs": tabs(one)}
            return render_template("lists/unknown.html", unknown=unknown[:1000], count=len(unknown), **frame)
    return redirect(url_for("lists.show", list_id=list_id, tab="people"), 303)


@blueprint.post("/picks")
def pick_for() -> ResponseReturnValue:
    """Put somebody on a list that is chosen on their page."""
    list_id, contact_id = (request.form.get(name, 0, type=int) for name in ("list", "contact"))
    found = picking.pick(services(), list_id, "add", ids=[contact_id], now=utcnow(), author=author())
    toast(_told("add", found), undo=_undo(list_id, "add", [contact_id], found.changed))
    return redirect(url_for("contacts.show", contact_id=contact_id), 303)


def _pasted(text: str) -> list[str]:
    """Customer numbers and addresses: one a line, or parted by commas and semicolons."""
    if len(text) > PASTED:
        raise Invalid(gettext("That is too much to paste; import it as a file into the list."), field="words")
    words = [word for word in re.split(r"[\r\n,;\t]+", text) if word.strip()]
    if len(words) > WORDS:
        most = number(WORDS)
        raise Invalid(
            gettext("At most %(most)s at once; import more as a file into the list.", most=most), field="words"
        )
    return words


def _file() -> str:
    """The first column of a small file, as text; a whole customer file belongs into an import. Raises Invalid."""
    given = request.files.get("file")
    if given is None or not given.filename:
        return ""
    try:
        text = given.stream.read(PASTED + 1).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(gettext("The file is no text in UTF-8."), field="file") from None
    try:
        return "\n".join(row[0] for row in csv.reader(text.splitlines()) if row)
    except csv.Error:  # nothing else stops it than a cell beyond its limit
        most = number(csv.field_size_limit())
        raise Invalid(
            gettext(
                "A cell of the file has more than %(most)s characters; give one number or address a line.", most=most
            ),
            field="file",
        ) from None


def _told(verdict: str, found: picking.Picked) -> str:
    """What a pick did: who came or went, and for whom nothing changed."""
    moved, already, left_out = found.moved, found.already or 0, found.left_out or 0
    parts = [] if not moved and already + left_out else [_moved(verdict, found.changed if moved is None else moved)]
    if already:
        parts.append({
            "add": ngettext("%(num)s was already on the list", "%(num)s were already on the list", already),
            "remove": ngettext("%(num)s was not on the list", "%(num)s were not on the list", already),
            "undo": ngettext("%(num)s stays where they were", "%(num)s stay where they were", already),
        }[verdict])  # fmt: skip
    if left_out:
        parts.append(
            ngettext(
                "%(num)s stays off it: its criteria exclude them",
                "%(num)s stay off it: its criteria exclude them",
                left_out,
            )
        )
    parts += [gettext("%(n)s not known", n=number(len(found.unknown)))] if found.unknown else []
    return "; ".join(parts)


def _moved(verdict: str, count: int) -> str:
    words: str = {
        "add": ngettext("%(num)s person put on the list", "%(num)s people put on the list", count),
        "remove": ngettext("%(num)s person taken off the list", "%(num)s people taken off the list", count),
        "undo": ngettext("%(num)s left to the criteria again", "%(num)s left to the criteria again", count),
    }[verdict]
    return words


def _undo(list_id: int, verdict: str, ids: Sequence[int], changed: int) -> str | None:
    """The address that takes back what one button did to one person."""
    if verdict == "undo" or changed != 1 or len(ids) != 1:
        return None
    return url_for("lists.unpick", list_id=list_id, contact_id=ids[0])


@blueprint.post("/<int:list_id>/picks/<int:contact_id>/undo")
def unpick(list_id: int, contact_id: int) -> ResponseReturnValue:
    """Take a pick back."""
    picking.pick(services(), list_id, "undo", ids=[contact_id], now=utcnow(), author=author())
    return redirect(url_for("lists.show", list_id=list_id, tab="people"), 303)


@blueprint.post("/<int:list_id>/versions/<int:version>/restore")
def revert(list_id: int, version: int) -> ResponseReturnValue:
    """Save an old version as the newest, which can be undone in the same way."""
    services().warehouse.refresh()
    with services().database.begin() as session:
        lists.revert(
            session,
            list_id,
            version,
            version=seen_version(),
            now=utcnow(),
            catalogue=open_catalogue(session, services().warehouse),
            author=author(),
        )
    lists.recount(services().database, services().warehouse, [list_id], utcnow())
    toast(gettext("Restored"))
    return redirect(url_for("lists.show", list_id=list_id, tab="versions"), 303)


def seen_version() -> int:
    """The version of the list that the page showed; raises Invalid where a request names none."""
    version: int | None = request.form.get("version", type=int)
    if version is None:
        raise Invalid(gettext("The request does not say which version of the list it saw; load the page again."),
                      field="version")  # fmt: skip
    return version


def lists_of(session: Session, contact: Contact) -> list[tuple[ContactList, Any, str]]:
    """The lists somebody is on: each with the moment that was seen, and how it holds them: kept, found, picked."""
    theirs = session.execute(select(ListPick.list_id, ListPick.added).where(ListPick.contact_id == contact.id))
    picked = {row.list_id: row.added for row in theirs}
    dynamic = [
        (one, at, "picked" if picked.get(one.id) else "found") for one, at in lists.joined_by(session, contact.id)
    ]
    frozen = [
        (one, one.frozen_at, "picked" if picked.get(one.id) else "kept") for one in lists.kept_on(session, contact.id)
    ]
    return [*dynamic, *frozen]
