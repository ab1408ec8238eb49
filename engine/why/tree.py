"""The criteria's tree for each of a few contacts: values, verdicts, what made them so, and what time will change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa
from ibis.expr.operations import UnboundTable

from engine import criteria
from engine.criteria import Criteria, Node
from engine.criteria.expression import AnyLeaf, listed
from engine.criteria.nodes import EventLeaf, Group, Happening, Leaf, Membership, children
from engine.criteria.nodes import Sequence as Steps
from engine.criteria.scored import Scored
from engine.criteria.units import CONTACT
from engine.errors import Invalid
from engine.fields import ROW_FIELDS, Behaviour, Field
from engine.leaves import Tables
from engine.values import NUMBER_LIMIT, TYPES, Clock, Style, Words
from engine.warehouse.reader import written
from engine.why import facts
from engine.why.courses import INSTANT, Course, Nights, course, steady, together
from engine.why.facts import MOVING, Asked, Row, happenings
from engine.why.person import Person, number

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from engine.warehouse import Pin, Warehouse

MOST: Final = 20  # people asked about at once
Names = Callable[[Field], Mapping[int, str]]
UNKNOWN: Final = Words("unknown", "未知")

COMBINE: Final[Mapping[str, Callable[[list[bool], int], bool]]] = {
    "all": lambda flags, _least: all(flags),
    "any": lambda flags, _least: any(flags),
    "none": lambda flags, _least: not any(flags),
    "not": lambda flags, _least: not any(flags),
    "at_least": lambda flags, least: sum(flags) >= least,
    "include": lambda flags, _least: flags[0] and not any(flags[1:]),
}


@dataclass(frozen=True)
class Event:
    """What made a verdict what it is: the `number`-th such row; `told`: what it was about, such as an item."""

    at: datetime
    verb: Words
    told: str
    number: int | None
    made: bool


@dataclass(frozen=True)
class Finding:
    """One node. `value`: what it compares, in words; None when it compares nothing. `since` when the verdict has been
    this one (None: as far as the rows tell) and `until` when, if nothing happens (None: two years and longer). A node
    that is not `followed` is told as of now only, and taken to stay so.
    """

    path: str
    phrase: Words
    met: bool
    value: Words | None
    is_unknown: bool
    event: Event | None
    since: datetime | None
    until: datetime | None
    followed: bool
    kind: str = ""  # of a group
    least: int | None = None
    nodes: tuple[Finding, ...] = ()

    def walk(self) -> Iterator[Finding]:
        """This one and all below it."""
        yield self
        for node in self.nodes:
            yield from node.walk()


@dataclass(frozen=True)
class Why:
    """One contact. `met`: the whole; `until`: when they leave by ageing, or come in; `clause`: path of the node that
    does it. `looked`: nothing is known of later moments.
    """

    contact_id: int
    moment: datetime
    root: Finding
    clause: Finding | None
    looked: datetime

    @property
    def met(self) -> bool:
        """Are they among those whom the criteria find?"""
        return self.root.met

    @property
    def followed(self) -> bool:
        """Is every node followed through time?"""
        return all(node.followed for node in self.root.walk())


def why(
    session: Session, warehouse: Warehouse, asked: Criteria, contact_ids: Sequence[int], now: datetime
) -> list[Why]:
    """Of up to MOST contacts, those that the warehouse knows, in the order given. Raises Invalid for more."""

    def look(pin: Pin) -> list[Why]:
        about = Asked(asked, Tables(), partial(_run, pin), tuple(contact_ids), now)
        return explain(about, lambda row: row.names(session) if row.names else {})

    return warehouse.pinned(look)


def _run(pin: Pin, expression: Any) -> pa.Table:
    """An expression over the tables as they stand in `pin`."""
    read = {table.name for table in expression.op().find(UnboundTable)}
    sql, rows = written(expression)
    return pin.query(pin.bound(sql, sorted(read)), rows).cast(expression.schema().to_pyarrow())


def explain(asked: Asked, names: Names = lambda _row: {}) -> list[Why]:
    """The same over any tables; `names`: what the numbers of a reference stand for. Of households and accounts the tree
    is that of the whole unit.
    """
    if len(asked.ids) > MOST:
        raise Invalid(f"Ask about at most {MOST} people at once.")
    if not asked.ids:
        return []
    owners = facts.standing(asked)
    trees = _Trees.of(replace(asked, ids=tuple(sorted(set(owners.values())))), names)
    return [trees.why(one, owners[one]) for one in dict.fromkeys(asked.ids) if one in owners]


@dataclass
class _Trees:
    """What was read for all contacts together."""

    asked: Asked
    told: facts.Told
    stored: Mapping[Leaf, Mapping[int, Any]]
    answered: dict[tuple[AnyLeaf, int], tuple[bool, Any]]
    nights: Nights
    names: Names
    reasons: Mapping[AnyLeaf, Mapping[int, Words]]
    courses: dict[tuple[int, Node], Course] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Asked, names: Names) -> _Trees:
        """Read it."""
        leaves = list(dict.fromkeys(_leaves(asked.criteria.root, asked.criteria.unit)))
        plain = [leaf for leaf in leaves if _is_plain(asked, leaf)]
        told = facts.told(asked, plain)
        stored = facts.stored(asked, [leaf for leaf in plain if isinstance(leaf, Leaf)])
        rest = [leaf for leaf in leaves if leaf not in plain and not _is_frozen(asked, leaf)]
        rest += [leaf for leaf in plain if any(_is_cut(told, leaf, one) for one in asked.ids)]
        answered, reasons = facts.answered(asked, rest), facts.reasons(asked, rest)
        return cls(asked, told, stored, answered, Nights(asked.clock), names, reasons)

    def why(self, contact_id: int, owner: int) -> Why:
        """One contact, by the one that stands for their unit."""
        person = Person(self.asked, self.told, self.stored, owner)
        root = self._finding(person, self.asked.criteria.root, "")
        found = self._course(person, self.asked.criteria.root)
        until = found.until(self.asked.now)
        path = self._turning(person, self.asked.criteria.root, until) if until else None
        clause = next((node for node in root.walk() if node.path == path), None)
        return Why(contact_id, self.asked.now, root, clause, found.end)

    def _course(self, person: Person, node: Node) -> Course:
        key = person.contact_id, node
        if key not in self.courses:
            self.courses[key] = self._make(person, node)
        return self.courses[key]

    def _make(self, person: Person, node: Node) -> Course:
        if isinstance(node, Group):
            parts = [self._course(person, child) for child in node.nodes]
            return together(parts, lambda flags: COMBINE[node.kind](flags, node.least or 0), self.asked.now)
        if (instead := listed(node, self.asked.criteria.unit)) is not None:
            return self._course(person, instead)
        if _is_frozen(self.asked, node):
            members = cast(Membership, node).members["contact_id"].to_numpy()
            return steady(bool((members == person.contact_id).any()), self.asked.now)
        if (verdict := self.answered.get((node, person.contact_id))) is not None:
            return steady(verdict[0], self.asked.now)
        return course(person, node, self.nights)

    def _finding(self, person: Person, node: Node, path: str) -> Finding:
        found, now = self._course(person, node), self.asked.now
        value, is_unknown = self._value(person, node)
        return Finding(
            path,
            Words(*(criteria.phrase(self.asked.criteria, node, language) for language in ("en", "zh_Hans_CN"))),
            found.at(now),
            value,
            is_unknown,
            self._event(person, node, found),
            found.since(now),
            found.until(now),
            self._is_followed(person, node),
            *((node.kind, node.least) if isinstance(node, Group) else ("", None)),
            tuple(self._finding(person, child, place) for place, child in children(node, path)),
        )

    def _is_followed(self, person: Person, node: Node) -> bool:
        if isinstance(node, Group):
            return True
        if (instead := listed(node, self.asked.criteria.unit)) is not None:
            return all(self._is_followed(person, leaf) for leaf in _leaves(instead, self.asked.criteria.unit))
        return (node, person.contact_id) not in self.answered

    def _value(self, person: Person, node: Node) -> tuple[Words | None, bool]:
        """In words, and whether it is unknown."""
        is_shared = (self.asked.criteria.unit or CONTACT) != CONTACT and not isinstance(node, EventLeaf)
        if isinstance(node, Scored) and node in self.reasons and self.answered[node, person.contact_id][0]:
            return self.reasons[node].get(person.contact_id), False
        if is_shared or isinstance(node, Group | Membership | Steps) or node.question is None:
            return None, False
        answer = self.answered.get((node, person.contact_id))
        value = answer[1] if answer else person.value(node, self.asked.now)
        if value is None:
            return UNKNOWN, True
        styles = (Style(one, self.asked.criteria.zone, self.asked.criteria.currency) for one in ("en", "zh_Hans_CN"))
        return Words(*(_words(node, value, style) for style in styles)), False

    def _event(self, person: Person, node: Node, found: Course) -> Event | None:
        """The row that made the verdict of now; None when time did, or when it always was so."""
        turned = found.since(self.asked.now)
        if turned is None or not isinstance(node, EventLeaf | Steps):
            return None
        for happening, property_, _ in happenings(node):
            rows = [row for row in person.rows(happening, property_).rows if turned - INSTANT <= row["at"] <= turned]
            if rows:
                place = _number(person, node, happening, turned) if isinstance(node, EventLeaf) else None
                about = self._about(happening.behaviour, rows[0])
                return Event(rows[0]["at"], happening.behaviour.verb, about, place, found.at(turned))
        return None

    def _about(self, behaviour: Behaviour, row: Row) -> str:
        """The item, or the campaign, of a row."""
        if title := row.get("shown_title"):
            return str(title)
        campaign, known = row.get("shown_campaign"), ROW_FIELDS[behaviour.rows].get("campaign")
        return self.names(known).get(campaign, str(campaign)) if campaign is not None and known else ""

    def _turning(self, person: Person, node: Node, moment: datetime) -> str:
        """The path of the leaf through which the whole becomes another at a moment."""
        path = ""
        while isinstance(node, Group):
            turned = [(place, child) for place, child in children(node, path)
                      if self._turns(person, child, moment)]  # fmt: skip
            path, node = turned[0]
        return path

    def _turns(self, person: Person, node: Node, moment: datetime) -> bool:
        found = self._course(person, node)
        return found.at(moment) is not found.at(moment - INSTANT)


def _leaves(node: Node, unit: str | None) -> Iterator[AnyLeaf]:
    """Those that decide, of the lists it names too."""
    if isinstance(node, Group):
        for child in node.nodes:
            yield from _leaves(child, unit)
    elif (instead := listed(node, unit)) is not None:
        yield from _leaves(instead, unit)
    else:
        yield node


def _is_plain(asked: Asked, leaf: AnyLeaf) -> bool:
    """Can it be followed through time from the rows of one contact?"""
    if (asked.criteria.unit or CONTACT) != CONTACT or isinstance(leaf, Membership | Scored):
        return False
    if leaf.question and leaf.question.operator.compares:
        return False
    return not isinstance(leaf, Leaf) or leaf.field.key in MOVING or not facts.moves(asked, leaf)


def _is_frozen(asked: Asked, leaf: Node) -> bool:
    return isinstance(leaf, Membership) and (asked.criteria.unit or CONTACT) == CONTACT


def _is_cut(told: facts.Told, leaf: AnyLeaf, contact_id: int) -> bool:
    return any(told.is_cut(facts.source(one, of), contact_id) for one, of, _ in happenings(leaf))


def _number(person: Person, leaf: EventLeaf, happening: Happening, moment: datetime) -> int | None:
    """How many rows counted then, the one of that instant included; None when it is of another event."""
    if happening != leaf.deed.happening():
        return None
    after = Clock(moment + INSTANT, person.asked.criteria.zone)
    return number(person.windowed(leaf.deed, after).between(None, moment + INSTANT).rows)


def _words(leaf: Leaf | EventLeaf | Scored, value: Any, style: Style) -> str:
    assert leaf.question
    kind, row = leaf.question.type, _named(leaf)
    if row and value in row:
        return f"“{row[value]}”"
    if isinstance(value, list):
        between = "、" if style.locale.startswith("zh") else ", "
        return between.join(str(one) for one in value if one is not None)
    if kind == "number" and abs(value) > NUMBER_LIMIT:
        return f"{value:g}"  # what a text was read as may be anything
    return TYPES[kind].words(round(value) if kind == "money" else value, style)


def _named(leaf: Leaf | EventLeaf | Scored) -> Mapping[Any, str]:
    """What numbers stand for, of a reference."""
    if isinstance(leaf, EventLeaf):
        is_told = leaf.deed.property and leaf.deed.measure.result == "own"
        return leaf.deed.property.named if is_told and leaf.deed.property else {}
    return leaf.field.named if isinstance(leaf, Leaf) else {}
