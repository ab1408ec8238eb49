"""What a list was: every saved change of its name and criteria, how two differ, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import criteria
from engine.catalogue import Catalogue
from engine.criteria import Criteria, Node
from engine.criteria.nodes import Group, children
from engine.errors import Invalid, NotFound
from engine.lists.saved import get, save
from engine.models import ContactList, ListVersion
from engine.values import Words

LINES: Final = 2_000  # of JSON that cannot be read as criteria any more
JOINS: Final[Mapping[str, Words]] = {
    "all": Words("all of these:", "以下全部："),
    "any": Words("any of these:", "以下任一："),
    "none": Words("none of these:", "以下皆非："),
    "not": Words("not this:", "非以下："),
    "at_least": Words("at least {0} of these:", "以下至少{0}项："),
}


def versions(session: Session, list_id: int, *, before: int | None = None, limit: int = 50) -> list[ListVersion]:
    """What was saved of a list, newest first; `before`: the last version of the page before."""
    query = select(ListVersion).where(ListVersion.list_id == get(session, list_id).id)
    query = query.where(ListVersion.version < before) if before else query
    return list(session.scalars(query.order_by(ListVersion.version.desc()).limit(limit)))


def version_of(session: Session, list_id: int, number: int) -> ListVersion:
    """One version; raises NotFound."""
    found = session.get(ListVersion, (get(session, list_id).id, number))
    if found is None:
        raise NotFound(f"List {list_id} has no version {number}.")
    return found


def revert(
    session: Session,
    list_id: int,
    number: int,
    *,
    version: int | None = None,
    now: datetime,
    catalogue: Catalogue | None = None,
    author: str = "",
) -> ContactList:
    """Save what a version held as a new one, so that this can be undone, too. Raises what `save` raises."""
    old = version_of(session, list_id, number)
    return save(session, list_id, old.name, old.criteria, version=version, now=now, catalogue=catalogue, author=author)


@dataclass(frozen=True)
class Line:
    """One line of criteria as an outline: how deep it stands, and what it says."""

    depth: int
    text: str


@dataclass(frozen=True)
class Change:
    """A line of two outlines: in both (""), only in the older ("-") or only in the newer ("+")."""

    sign: str
    line: Line


@dataclass(frozen=True)
class Reading:
    """Criteria in words, as far as they can be read today: `fault` says why they cannot, then the lines are JSON."""

    sentence: str
    fault: str | None
    lines: tuple[Line, ...]


def reading(data: Any, catalogue: Catalogue, list_id: int, language: str) -> Reading:
    """Criteria as a sentence and clause by clause."""
    try:
        asked = criteria.parse(data, catalogue, list_id=list_id)
    except Invalid as error:
        return Reading("", error.message, tuple(_json_lines(data)))
    return Reading(criteria.sentence(asked, language), None, tuple(_outline(asked, asked.root, language, 0)))


def difference(older: Reading, newer: Reading) -> list[Change]:
    """What was taken out and what was put in, among what stayed, line by line."""
    found: list[Change] = []
    matched = SequenceMatcher(None, older.lines, newer.lines, autojunk=False)
    for kind, start, end, begin, stop in matched.get_opcodes():
        if kind == "equal":
            found += [Change("", line) for line in older.lines[start:end]]
        else:
            found += [Change("-", line) for line in older.lines[start:end]]
            found += [Change("+", line) for line in newer.lines[begin:stop]]
    return found


def _outline(asked: Criteria, node: Node, language: str, depth: int) -> Iterator[Line]:
    nodes = [child for _path, child in children(node)]
    if not nodes:
        yield Line(
            depth, criteria.phrase(asked, node, language) if not isinstance(node, Group) else _everyone(language)
        )
        return
    yield Line(depth, _heading(node, language))
    for child in nodes:
        yield from _outline(asked, child, language, depth + 1)


def _heading(node: Node, language: str) -> str:
    kind, least = getattr(node, "kind", ""), getattr(node, "least", None)
    return JOINS[kind](language).format(least) if kind in JOINS else kind


def _everyone(language: str) -> str:
    return Words("everybody", "所有联系人")(language)


def _json_lines(data: Any) -> Iterator[Line]:
    for text in json.dumps(data, indent=1, ensure_ascii=False).splitlines()[:LINES]:
        bare = text.lstrip(" ")
        yield Line(len(text) - len(bare), bare)
