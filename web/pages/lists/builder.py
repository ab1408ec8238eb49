"""The page where criteria are written: what was asked of it, what it found, what it shows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from flask import url_for
from flask_babel import get_locale, gettext
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import Catalogue, open_catalogue
from engine.criteria import EVERYONE, Criteria
from engine.criteria.scored import KINDS
from engine.criteria.units import UNITS
from engine.errors import Invalid
from engine.lists import Preview
from engine.models import ContactList
from engine.warehouse import Warehouse
from engine.warehouse.tables import digest
from web.pages.lists.draft import (
    MOST,
    ROOT,
    ROOTS,
    Draft,
    Finished,
    Kept,
    begun,
    children,
    finished,
    kind_of,
    plain,
    read,
    rooted,
)
from web.pages.lists.edits import edit
from web.pages.lists.form import Form, posted
from web.pages.lists.shown import Shown
from web.pages.lists.views import Shower, parted, settled
from web.pages.lists.words import TYPED, UNIT_WORDS, Grouped, Options, Vocabulary, named
from web.pages.lists.work import Work

ADDRESS: Final = 6_000  # characters; proxies allow 8,000 for the whole request line
CONTROLS: Final = {"field": "what", "event": "what", "": "value"}  # JSON key -> control


@dataclass(frozen=True)
class State:
    """All that the page holds: of which list, and what was typed. `saved` is the list as it was last stored."""

    saved: ContactList | None
    name: str
    version: int
    draft: Draft
    focus: str = ""
    typing: str = ""  # the control somebody is writing in
    pasted: str = ""  # criteria that could not be read
    fault: str = ""  # and why not
    work: Work = field(default_factory=Work)

    @property
    def list_id(self) -> int | None:
        """None before the list is saved."""
        return self.saved.id if self.saved else None

    @property
    def is_changed(self) -> bool:
        """Is there something to save? A condition that is still to be chosen is nothing."""
        if self.saved is None:
            return bool(self.name or any(begun(self.draft[key]) for key in ROOTS.values()))
        return (self.name, _begun(self.draft)) != (self.saved.name, _begun(rooted(self.saved.criteria)))

    @property
    def criteria(self) -> Draft:
        """As they are saved: nothing at all means everyone."""
        return plain(self.draft if children(self.draft["include"]) else self.draft | {"include": dict(EVERYONE)})

    @property
    def json(self) -> str:
        """For the address and for undo."""
        return json.dumps(plain(self.draft), ensure_ascii=False, separators=(",", ":"))

    @property
    def pretty(self) -> str:
        """To be read, and pasted elsewhere."""
        return json.dumps(self.criteria, ensure_ascii=False, indent=2)

    def curl(self, address: str) -> str:
        """The command that asks the API for the count."""
        body = json.dumps({"criteria": self.criteria}, ensure_ascii=False)
        headers = ("Authorization: Bearer YOUR_KEY", "Content-Type: application/json")
        return " ".join(["curl", address, *(f"-H {shlex.quote(one)}" for one in headers), "-d", shlex.quote(body)])

    @property
    def address(self) -> str | None:
        """Where this state can be found again; None when it is too long for an address."""
        if self.saved is not None and not self.is_changed:
            return url_for("lists.show", list_id=self.list_id)
        endpoint = "lists.show" if self.saved else "lists.new"
        more: dict[str, Any] = {"list_id": self.list_id, "version": self.version} if self.saved else {}
        address = url_for(endpoint, q=self.json, name=self.name or None, **more, draft=self.work.id)
        return address if len(address) <= ADDRESS else None


def _begun(draft: Draft) -> Draft:
    return {**draft, **{key: begun(draft[key]) for key in ROOTS.values()}}


def asked(saved: ContactList | None, query: Mapping[str, str]) -> State:
    """The state an address names. Raises Invalid when its criteria cannot be read."""
    draft = read(query["q"]) if query.get("q") else rooted(saved.criteria if saved else dict(EVERYONE))
    version = query.get("version", "")
    return State(
        saved,
        query.get("name", saved.name if saved else "")[:200],
        int(version) if version.isascii() and version.isdigit() and len(version) < 9 else saved.version if saved else 0,
        draft,
    )


def received(saved: ContactList | None, form: Form, words: Vocabulary) -> State:
    """The state a form holds, after the edit that its button asks for."""
    draft = read(form["q"]) if form.get("q") else posted(form)
    verb, _, place = form.get("do", "").partition(":")
    draft, focus = edit(draft, verb, place)
    version = form.get("version", type=int) or 0
    name = form.get("name", "").strip()[:200]
    work = Work.read(form.get("work", ""))
    state = State(saved, name, version, settled(draft, words), focus, form.get("typing", ""), work=work)
    state = _pasted(state, form.get("pasted", "")) if verb == "paste" else state
    return replace(state, focus=state.focus or _changed_subject(form))


def _pasted(state: State, text: str) -> State:
    """With the criteria that were pasted; those that are no JSON stay where they are."""
    try:
        return replace(state, draft=read(text), focus=ROOT)
    except Invalid as error:
        return replace(state, pasted=text[:MOST], fault=error.message)


def _changed_subject(form: Form) -> str:
    """The condition whose subject was just chosen: its value is what comes next."""
    for place in (key.removesuffix(".was") for key in form if key.endswith(".was")):
        what = form.get(f"{place}.what", "")
        if what != form[f"{place}.was"] or (what in TYPED and f"{place}.named" not in form):
            return place
    return ""


@dataclass
class Looked:
    """What criteria find. `preview` is None while something is wrong; `faults` by control, "" for the whole."""

    found: Finished
    checked: Criteria | None = None
    preview: Preview | None = None
    sentence: str = ""
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def clauses(self) -> dict[str, Any]:
        """Counts by place."""
        if self.preview is None:
            return {}
        places = {path: kept.place for path, kept in self.found.walk()}
        return {places[clause.path]: clause for clause in self.preview.clauses if clause.path in places}

    @property
    def left_out(self) -> int:
        """How many of those who are meant are left out."""
        if self.preview is None:
            return 0
        meant = self.clauses.get(ROOT)
        return (meant.count if meant else self.preview.base) - self.preview.count


def look(session: Session, warehouse: Warehouse, state: State, *, now: datetime, strict: bool = False) -> Looked:
    """Check and count what is finished of a draft. `strict`: what is not finished is a fault. What somebody is still
    writing, or has not begun to, is not finished instead of wrong.
    """
    catalogue = open_catalogue(session, warehouse)
    looked = _look(catalogue, warehouse, state, (), now=now)
    if waiting := {place for place in map(_place_of, looked.faults) if _is_begun(looked, state, place)}:
        looked = _look(catalogue, warehouse, state, waiting, now=now)
    if strict:
        message = gettext("Finish this or take it out.")
        looked.faults |= {f"{place}.value": message for place in looked.found.unfinished}
    return looked


def _look(
    catalogue: Catalogue, warehouse: Warehouse, state: State, waiting: Collection[str], *, now: datetime
) -> Looked:
    looked = Looked(finished(state.draft, waiting))
    try:
        looked.checked = criteria.parse(looked.found.criteria, catalogue, list_id=state.list_id)
        looked.sentence = criteria.sentence(looked.checked, str(get_locale()))
        looked.preview = lists.preview(warehouse, looked.checked, now=now, language=str(get_locale()))
    except Invalid as error:
        looked.faults = dict(_faults(looked.found, error, catalogue, state.list_id))
    return looked


def _place_of(control: str) -> str:
    """The condition, or condition on an event, that a control belongs to."""
    return re.sub(r"\.(sequence\.\d+|within\.since)$", "", parted(control)[0])


def _is_begun(looked: Looked, state: State, place: str) -> bool:
    """Is a faulty condition one that is being written, or of a kind that nothing was given to yet?"""
    kept = next((one for _, one in looked.found.walk() if one.place == place), None)
    empty = kept is not None and kind_of(kept.node) in KINDS and not kept.node[kind_of(kept.node)]
    typing = re.sub(r"\.named$", ".what", state.typing)
    is_typed = any(typing.startswith(control) for control in looked.faults if typing and _place_of(control) == place)
    return bool(place) and (is_typed or empty)


def _faults(found: Finished, error: Invalid, catalogue: Catalogue, list_id: int | None) -> Iterator[tuple[str, str]]:
    """Every condition that is wrong by itself; else what is wrong with the whole, at the group it is wrong in."""
    located = dict(found.walk())
    faulty = False
    for one in located.values():
        if one.nodes:
            continue
        try:
            criteria.parse(one.node, catalogue, list_id=list_id)
        except Invalid as fault:
            faulty = True
            yield _control(one, fault.field or ""), fault.message
    if not faulty:
        path = max((path for path in located if (error.field or "").startswith(path)), key=len, default=None)
        rest = (error.field or "").removeprefix(path or "").removeprefix(".")
        yield ("" if path is None else _control(located[path], rest)), error.message


def _control(kept: Kept, path: str) -> str:
    """The name of the control at a JSON path below a node."""
    below = re.sub(r"\[(\d+)\]", r".\1", f".{path}")
    for tail, places in kept.where.items():
        if found := re.match(rf"{re.escape(tail)}\.where\.(\d+)", below):
            below = f"{tail}.where.{places[int(found[1])]}{below[found.end() :]}"
    above, _, last = below.rpartition(".")
    return f"{kept.place}{above}.{CONTROLS.get(last, last)}"


@dataclass(frozen=True)
class Page:
    """What the templates show: both boxes, the suggestions they need (id: event, field), those that are here already
    (by id), and the choices (by id), which are sent once and again when they are others.
    """

    tree: Shown
    left_out: Shown
    units: Options
    suggestions: Mapping[str, tuple[str, str]]
    options: Mapping[str, Options]
    choices: Mapping[str, Grouped]

    @property
    def version(self) -> str:
        """Of the choices."""
        return digest(json.dumps(self.choices))


def shown(state: State, looked: Looked, words: Vocabulary) -> Page:
    """The state with what it found."""
    shower = Shower(words, looked.clauses, looked.faults, looked.found.unfinished)
    tree, left_out = (shower.node(state.draft[key], place) for place, key in ROOTS.items())
    units = named(((key, str(UNIT_WORDS.get(key, key))) for key in UNITS), state.draft["unit"])
    return Page(tree, left_out, units, shower.suggestions, shower.options, shower.choices)


def copied(state: State) -> State:
    """The same under another name."""
    same = state.saved is not None and state.name == state.saved.name
    return replace(state, name=gettext("%(name)s, copy", name=state.name)) if same else state
