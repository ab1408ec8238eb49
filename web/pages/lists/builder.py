"""The page where criteria are written: what was asked of it, what it found, what it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from flask import url_for
from flask_babel import get_locale, gettext
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import Catalogue, open_catalogue
from engine.criteria import EVERYONE, Criteria
from engine.errors import Invalid
from engine.lists import Preview
from engine.models import ContactList
from engine.warehouse import Warehouse
from engine.warehouse.tables import digest
from web.pages.lists.draft import Draft, Finished, Kept, children, finished, read, rooted
from web.pages.lists.edits import edit
from web.pages.lists.form import Form, posted
from web.pages.lists.views import Shower, Shown, settled
from web.pages.lists.words import TYPED, Grouped, Vocabulary

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

    @property
    def list_id(self) -> int | None:
        """None before the list is saved."""
        return self.saved.id if self.saved else None

    @property
    def is_changed(self) -> bool:
        """Is there something to save?"""
        if self.saved is None:
            return bool(children(self.draft) or self.name)
        return (self.name, self.criteria) != (self.saved.name, rooted(self.saved.criteria))

    @property
    def criteria(self) -> Draft:
        """As they are saved: nothing at all means everyone."""
        return self.draft if children(self.draft) else dict(EVERYONE)

    @property
    def json(self) -> str:
        """For the address and for undo."""
        return json.dumps(self.draft, ensure_ascii=False, separators=(",", ":"))

    @property
    def address(self) -> str | None:
        """Where this state can be found again; None when it is too long for an address."""
        if self.saved is not None and not self.is_changed:
            return url_for("lists.show", list_id=self.list_id)
        endpoint = "lists.show" if self.saved else "lists.new"
        more: dict[str, Any] = {"list_id": self.list_id, "version": self.version} if self.saved else {}
        address = url_for(endpoint, q=self.json, name=self.name or None, **more)
        return address if len(address) <= ADDRESS else None


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
    state = State(saved, form.get("name", "").strip()[:200], version, settled(draft, words), focus)
    return replace(state, focus=state.focus or _changed_subject(form))


def _changed_subject(form: Form) -> str:
    """The condition whose subject was just chosen: its value is what comes next."""
    for place in (key.removesuffix(".was") for key in form if key.endswith(".was")):
        what = form.get(f"{place}.what", "")
        if not what.endswith(f":{form[f'{place}.was']}") or (what in TYPED and f"{place}.named" not in form):
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
        if self.preview is None or self.found.kept is None:
            return {}
        places = {path: kept.place for path, kept in self.found.kept.walk()}
        return {places[clause.path]: clause for clause in self.preview.clauses}


def look(session: Session, warehouse: Warehouse, state: State, *, now: datetime, strict: bool = False) -> Looked:
    """Check and count what is finished of a draft. `strict`: what is not finished is a fault."""
    looked = Looked(finished(state.draft))
    catalogue, kept = open_catalogue(session, warehouse), looked.found.kept
    asked_for = kept.node if kept else dict(EVERYONE)
    try:
        looked.checked = criteria.parse(asked_for, catalogue, list_id=state.list_id)
        looked.sentence = criteria.sentence(looked.checked, str(get_locale()))
        looked.preview = lists.preview(warehouse, looked.checked, now=now, language=str(get_locale()))
    except Invalid as error:
        looked.faults = dict(_faults(kept, error, catalogue, state.list_id)) if kept else {"": error.message}
    if strict:
        message = gettext("Finish this or take it out.")
        looked.faults |= {f"{place}.value": message for place in looked.found.unfinished}
    return looked


def _faults(kept: Kept, error: Invalid, catalogue: Catalogue, list_id: int | None) -> Iterator[tuple[str, str]]:
    """Every condition that is wrong by itself; else what is wrong with the whole, at the group it is wrong in."""
    located = dict(kept.walk())
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
        path = max((path for path in located if (error.field or "").startswith(path)), key=len)
        yield _control(located[path], (error.field or "").removeprefix(path).removeprefix(".")), error.message


def _control(kept: Kept, path: str) -> str:
    """The name of the control at a JSON path below a node."""
    names = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    if names[0] == "where" and len(names) > 1:
        names[1] = str(kept.where[int(names[1])])
    names[-1] = CONTROLS.get(names[-1], names[-1])
    return ".".join([kept.place, *names])


@dataclass(frozen=True)
class Page:
    """What the templates show: the tree, the suggestions it needs (id: event, field) and the choices (by id), which are
    sent once and again when they are others.
    """

    tree: Shown
    suggestions: Mapping[str, tuple[str, str]]
    choices: Mapping[str, Grouped]

    @property
    def version(self) -> str:
        """Of the choices."""
        return digest(json.dumps(self.choices))


def shown(state: State, looked: Looked, words: Vocabulary) -> Page:
    """The state with what it found."""
    shower = Shower(words, looked.clauses, looked.faults)
    return Page(shower.node(state.draft), shower.suggestions, shower.choices)


def copied(state: State) -> State:
    """The same under another name."""
    same = state.saved is not None and state.name == state.saved.name
    return replace(state, name=gettext("%(name)s, copy", name=state.name)) if same else state
