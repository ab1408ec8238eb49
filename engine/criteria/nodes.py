"""Checked criteria: a tree whose leaves hold their field, operator and values, nothing left to look up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from engine.criteria.duration import LAST, Duration
from engine.criteria.operators import OPERATORS, Operator
from engine.criteria.scored import Scored
from engine.fields import Behaviour, Field, Measure
from engine.values import TYPES, Clock


@dataclass(frozen=True)
class Question:
    """An operator with its values, as asked of a value of `type`."""

    operator: Operator
    type: str
    values: tuple[Any, ...]

    def truth(self, column: Any, clock: Clock) -> Any:
        """Ibis boolean, never NULL: unknown is false before it is negated."""
        known = self.operator.test(column, self.values, clock).fill_null(False)
        return ~known if self.operator.negated else known

    def to_json(self) -> dict[str, Any]:
        """The keys operator and value."""
        written = [TYPES[self.operator.takes or self.type].json(value) for value in self.values]
        if self.operator.values == 0:
            return {"operator": self.operator.key}
        return {"operator": self.operator.key, "value": written[0] if self.operator.values == 1 else written}

    def opposite(self) -> Question:
        """The same, negated."""
        return Question(OPERATORS[self.operator.opposite], self.type, self.values)


@dataclass(frozen=True)
class Leaf:
    """A field compared with values."""

    field: Field
    question: Question

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        return {"field": self.field.key, **self.question.to_json()}


@dataclass(frozen=True)
class Window:
    """A stretch of time [start, end): the `last` before `end` (or before now), or from `start`; None is unbounded."""

    last: Duration | None = None
    start: date | datetime | None = None
    end: date | datetime | None = None

    def bounds(self, clock: Clock) -> tuple[datetime | None, datetime | None]:
        """First instant, and first instant after."""
        end = clock.start(self.end) if self.end else None
        if self.last is None:
            return (clock.start(self.start) if self.start else None), end
        end = end or clock.now
        return self.last.back(end, clock), end

    def previous(self, clock: Clock) -> tuple[datetime, datetime]:
        """The bounds of the equally long stretch just before, as long by the shop's calendar and clock unless hours or
        minutes are meant; of a window with both ends.
        """
        start, end = (bound.astimezone(clock.zone) for bound in self.bounds(clock) if bound)
        if self.last and not self.last.on_calendar:
            return self.last.back(start.astimezone(UTC), clock), start.astimezone(UTC)
        length = end.replace(tzinfo=None) - start.replace(tzinfo=None)
        return (start - length).astimezone(UTC), start.astimezone(UTC)

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        end = "before" if self.last else "to"
        given = {"from": _written(self.start), end: _written(self.end)}
        last: dict[str, Any] = self.last.to_json(LAST) if self.last else {}
        return last | {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True)
class Happening:
    """The rows of one event for which all conditions hold."""

    behaviour: Behaviour
    where: tuple[Leaf, ...]

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        where = {"where": [leaf.to_json() for leaf in self.where]} if self.where else {}
        return {"event": self.behaviour.key, **where}


@dataclass(frozen=True)
class Since:
    """A window that begins after the last of another event of the same contact, and is so long, a day 24 hours."""

    happening: Happening
    within: Duration | None

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        return {"since": self.happening.to_json(), **(self.within.to_json() if self.within else {})}


@dataclass(frozen=True)
class Deed:
    """What people did: the rows of one event, measured, in a window, under conditions that must all hold. `reading`:
    the type a property is read as that is not measured but told. `compared`: by how many percent the measure is
    another than in the equally long stretch before.
    """

    behaviour: Behaviour
    measure: Measure
    property: Field | None
    window: Window | Since | None
    where: tuple[Leaf, ...]
    reading: str = "number"
    compared: bool = False

    def happening(self) -> Happening:
        """The rows, before they are measured."""
        return Happening(self.behaviour, self.where)

    def empty(self) -> int | None:
        """The value of contacts without a row; None: unknown."""
        return None if self.compared else self.measure.empty


@dataclass(frozen=True)
class EventLeaf:
    """A measured deed compared with values."""

    deed: Deed
    question: Question

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        deed = self.deed
        optional = {
            "property": deed.property.key if deed.property else None,
            "within": deed.window.to_json() if deed.window else None,
            "compared_to": PREVIOUS if deed.compared else None,
        }
        return {
            **deed.happening().to_json(),
            "measure": deed.measure.key,
            **{key: value for key, value in optional.items() if value is not None},
            **self.question.to_json(),
        }


@dataclass(frozen=True)
class Step:
    """What happened next, so soon (a day has 24 hours); or did not (`absent`)."""

    happening: Happening
    within: Duration | None = None
    absent: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        within = self.within.to_json() if self.within else {}
        return {**self.happening.to_json(), **within, **({"not": True} if self.absent else {})}


@dataclass(frozen=True)
class Sequence:
    """One thing after another, each later than the one before; `window`: of the first. It compares no value."""

    steps: tuple[Step, ...]
    window: Window | None
    question: None = None

    def truth(self, value: Any, _clock: Clock) -> Any:
        """Ibis boolean, never NULL."""
        return value.fill_null(False)

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        within = {"within": self.window.to_json()} if self.window else {}
        return {"sequence": [step.to_json() for step in self.steps], **within}


@dataclass(frozen=True)
class Membership:
    """Being on a list: the people of a frozen one (pyarrow array of contact ids), the criteria of a dynamic one.
    `part`: not the whole list but those "added" or "removed" by hand.
    """

    list_id: int
    name: str = field(compare=False)
    members: Any = field(compare=False, repr=False)
    criteria: Node | None = field(compare=False)
    part: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        return {"list": self.list_id}


@dataclass(frozen=True)
class Group:
    """Nodes under all, any, none, not (one node), at_least (`least` of them) or include: who is meant and, if there is
    a second one, who is left out whatever the first says.
    """

    kind: str
    nodes: tuple[Node, ...]
    least: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        written = [node.to_json() for node in self.nodes]
        if self.kind == "not":
            return {"not": written[0]}
        if self.kind == "include":
            return dict(zip(BOXES, written, strict=False))
        return {"at_least": self.least, "of": written} if self.kind == "at_least" else {self.kind: written}


BOXES: Final = ("include", "exclude")
PREVIOUS: Final = "previous"  # what a number can be compared to

Node: TypeAlias = Leaf | EventLeaf | Sequence | Membership | Scored | Group


@dataclass(frozen=True)
class Criteria:
    """The whole tree, with the shop's zone and currency, which its days and amounts are in."""

    root: Node
    zone: ZoneInfo
    currency: str
    unit: str | None = None  # as it was written


def picked(root: Node, list_id: int, added: Any, removed: Any) -> Node:
    """The criteria of a list, those put on it by hand and without those taken off (tables as of Membership). Who is
    excluded stays out, also when put on it by hand.
    """
    if isinstance(root, Group) and root.kind == "include":
        return Group("include", (picked(root.nodes[0], list_id, added, removed), *root.nodes[1:]))
    if removed.num_rows:
        root = Group("all", (root, Group("not", (Membership(list_id, "", removed, None, "removed"),))))
    return Group("any", (root, Membership(list_id, "", added, None, "added"))) if added.num_rows else root


def children(node: Node, path: str = "") -> list[tuple[str, Node]]:
    """The nodes right below, each with its JSON path ("all[2]")."""
    if not isinstance(node, Group):
        return []
    if node.kind == "include":
        return list(zip(BOXES, node.nodes, strict=False))  # only ever at the top
    key = {"at_least": "of"}.get(node.kind, node.kind)
    prefix = f"{path}.{key}" if path else key
    return [(prefix if key == "not" else f"{prefix}[{index}]", child) for index, child in enumerate(node.nodes)]


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node with its JSON path, parents first; "" is the root."""
    yield path, node
    for place, child in children(node, path):
        yield from walk(child, place)


def _written(value: date | datetime | None) -> str | None:
    return value.isoformat() if value else None
