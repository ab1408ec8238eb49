"""JSON -> checked criteria. Nothing is ever dropped: a key or word that is not understood is an error with its path,
because a condition left out widens a mailing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from engine.catalogue import Catalogue
from engine.criteria import nodes, scored
from engine.criteria.duration import SCALES
from engine.criteria.nodes import (
    BOXES,
    Criteria,
    Deed,
    EventLeaf,
    Group,
    Happening,
    Leaf,
    Membership,
    Node,
    Sequence,
    Since,
    Step,
    Window,
)
from engine.criteria.reading import Reader, at, find, join, only, word
from engine.criteria.units import CONTACT, UNITS
from engine.errors import Invalid, meant
from engine.fields import MEASURES, Behaviour, Field, Measure

DEPTH_LIMIT: Final = 32
NODE_LIMIT: Final = 1_000
STEP_LIMIT: Final = 10  # of a sequence
EVENT_WEIGHT: Final = 4  # of the rows of an event, where a field of contacts weighs 1
STEP_WEIGHT: Final = 8  # of a step of a sequence: 62 sequences of two are counted in 5.6 s on 6,000 contacts
PART: Final = re.compile(r"(?:(?:include|exclude)\.?)?[^.\[]*(?:\[\d+\])?")  # of a path: the condition at the top
NAME_SHOWN: Final = 40  # letters of a list's name in a fault
CHAIN_SHOWN: Final = 5  # lists in a fault
BESIDE_INCLUDE: Final = (
    '"unit" stands beside "include", which holds the conditions: {"include": {"all": [...]}, "unit": "household"}.'
)
EVERYONE: Final[Mapping[str, Any]] = {"all": []}  # the empty criteria of a new list: no condition, all contacts


def parse(data: Any, catalogue: Catalogue, *, list_id: int | None = None) -> Criteria:
    """Check criteria. Raises Invalid whose `field` is the JSON path of the fault and whose message names the
    nearest valid word. `list_id`: the list they belong to, which they must not refer to.
    """
    parser = _Parser(catalogue, lists=() if list_id is None else (list_id,))
    return Criteria(parser.root(data, 1), catalogue.zone, catalogue.currency, unit_of(data))


def unit_of(data: Any) -> str | None:
    """The unit that criteria name; None when they name none."""
    return data.get("unit") if isinstance(data, Mapping) else None


class _Circle(Invalid):
    """Lists that name each other."""


class _Unusable(Invalid):
    """A list whose criteria have a fault: of `names`, each of which names the next, the last has it."""

    def __init__(self, names: tuple[str, ...], fault: str, place: str | None) -> None:
        quoted = [f"“{_short(name)}”" for name in names]
        where = "" if place is None else f" ({place}{f' of {quoted[-1]}' if quoted[1:] else ''})"
        through = f", for its list {_chain(quoted[1:])}" if quoted[1:] else ""
        super().__init__(f"The list {quoted[0]} cannot be used{through}: {fault}{where}")
        self.names, self.fault, self.place = names, fault, place

    @classmethod
    def of(cls, error: Invalid, name: str) -> _Unusable:
        """A fault, seen from the list whose criteria it is in or that names the one it is in."""
        if isinstance(error, _Unusable):
            return cls((name, *error.names), error.fault, error.place)
        return cls((name,), error.message, error.field)


class _TooHeavy(Invalid):
    """Criteria that would take too long to count; `field` is the part that weighs most, as far as was read."""

    def __init__(self, most: int, part: str, weight: int) -> None:
        super().__init__(
            f"These criteria are too costly to count: they weigh more than {most:,} (warehouse.criteria_weight)."
            f" The costliest part, {part or 'the whole'}, weighs {weight:,}: save it as a list of its own, freeze that"
            " and name it here, or take conditions out.",
            field=part,
        )


@dataclass
class _Size:
    nodes: int = 0
    parts: dict[str, int] = field(default_factory=dict)  # weight by path of the parts at the top


@dataclass(frozen=True)
class _Parser(Reader):
    lists: tuple[int, ...]  # those we are inside of
    place: str | None = None  # where the outermost of them is named
    size: _Size = field(default_factory=_Size)

    def root(self, data: Any, depth: int) -> Node:
        """The whole: a node, or who is meant and who is left out."""
        if not isinstance(data, Mapping) or not {*BOXES} & data.keys():
            if isinstance(data, Mapping) and "unit" in data:
                raise Invalid(BESIDE_INCLUDE, field="unit")
            return self.box(data, "", depth)
        only(data, (*BOXES, "unit"), "")
        if "include" not in data:
            raise Invalid('Who is meant is missing; everyone is {"all": []}.', field="include")
        if "unit" in data:
            with at("unit"):
                find(dict.fromkeys(UNITS), data["unit"], "unit")
        boxes = [self.box(data["include"], "include", depth)]
        if "exclude" in data:
            boxes.append(self.node(data["exclude"], "exclude", depth))
        return Group("include", tuple(boxes))

    def box(self, data: Any, path: str, depth: int) -> Node:
        """Who is meant: a node, or everyone."""
        return Group("all", ()) if data == EVERYONE else self.node(data, path, depth)

    def node(self, data: Any, path: str, depth: int) -> Node:
        """Any node."""
        if depth > DEPTH_LIMIT:
            raise Invalid(f"The criteria are nested deeper than {DEPTH_LIMIT} levels.", field=path)
        self.count(1, path)
        if not isinstance(data, Mapping):
            raise Invalid('A condition must be an object, such as {"field": ...}.', field=path)
        if "unit" in data:
            raise Invalid('"unit" stands at the top only, beside "include".', field=join(path, "unit"))
        known = (*KINDS, *scored.KINDS)
        kinds = [key for key in known if key in data]
        if len(kinds) != 1:
            message = f"A condition has exactly one of {', '.join(known)}"
            wrong = "".join(meant(str(key), known) for key in list(data)[:1]) if not kinds else ""
            wrong = ' "include" and "exclude" stand at the top only.' if {*BOXES} & data.keys() else wrong
            raise Invalid(f"{message}; this one has {' and '.join(kinds) or 'none'}.{wrong}", field=path)
        if kinds[0] in scored.KINDS:
            self.weigh(scored.KINDS[kinds[0]].weight, path)
            return self.registered(scored.KINDS[kinds[0]], data, path)
        keys, weight, read = KINDS[kinds[0]]
        only(data, keys, path)
        self.weigh(weight, path)
        return read(self, data, path, depth)

    def count(self, number: int, path: str) -> None:
        """So many conditions more."""
        self.size.nodes += number
        if self.size.nodes > NODE_LIMIT:
            message = f"The criteria have more than {NODE_LIMIT:,} conditions, those of the lists they name included."
            raise Invalid(message, field=path)

    def weigh(self, weight: int, path: str) -> None:
        """So much work more. Criteria that are saved and not asked may weigh what they like."""
        if self.catalogue.warehouse is None:
            return
        most, parts = self.catalogue.warehouse.config.warehouse.criteria_weight, self.size.parts
        part = PART.match(path if self.place is None else self.place)
        assert part
        parts[part[0]] = parts.get(part[0], 0) + weight
        if sum(parts.values()) > most:
            raise _TooHeavy(most, *max(parts.items(), key=lambda one: one[1]))

    def several(self, data: Mapping[str, Any], path: str, depth: int) -> Group:
        """all, any, none."""
        kind = next(key for key in ("all", "any", "none") if key in data)
        return Group(kind, self.children(data, kind, path, depth))

    def negation(self, data: Mapping[str, Any], path: str, depth: int) -> Group:
        """not."""
        return Group("not", (self.node(data["not"], join(path, "not"), depth + 1),))

    def at_least(self, data: Mapping[str, Any], path: str, depth: int) -> Group:
        """at_least k of."""
        nodes = self.children(data, "of", path, depth)
        least = data["at_least"]
        if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= len(nodes):
            raise Invalid(f"This must be a whole number from 1 to {len(nodes)}.", field=join(path, "at_least"))
        return Group("at_least", nodes, least)

    def children(self, data: Mapping[str, Any], key: str, path: str, depth: int) -> tuple[Node, ...]:
        """The nodes under a key."""
        here = join(path, key)
        given = data.get(key)
        if not isinstance(given, list) or not given:
            raise Invalid("This must be a list with at least one condition.", field=here)
        return tuple(self.node(child, f"{here}[{index}]", depth + 1) for index, child in enumerate(given))

    def leaf(self, data: Mapping[str, Any], path: str, _depth: int) -> Leaf:
        """A field of contacts."""
        with at(join(path, "field")):
            found = self.catalogue.field(word(data["field"]))
        return Leaf(found, self.asked(data, path, found))

    def event(self, data: Mapping[str, Any], path: str, depth: int) -> EventLeaf:
        """What people did."""
        with at(join(path, "event")):
            behaviour = self.catalogue.behaviour(word(data["event"]))
        measure, measured = self.measure(data, path, behaviour)
        window = self.span(data["within"], join(path, "within"), depth) if "within" in data else None
        where = self.where(data, path, behaviour, depth) if "where" in data else ()
        compared = self.compared(data, path, measure, window) if "compared_to" in data else False
        if measure.result == "own":
            assert measured is not None
            question = self.asked(data, path, measured)
            measured = self.told(measured, question)
        else:
            question = self.question(data, path, ("number",) if compared else measure.kinds(measured))
        reading = question.type if measure.result == "own" else "number"
        return EventLeaf(Deed(behaviour, measure, measured, window, where, reading, compared), question)

    def compared(self, data: Mapping[str, Any], path: str, measure: Measure, window: Window | Since | None) -> bool:
        """A number against that of the stretch before."""
        with at(join(path, "compared_to")):
            find({nodes.PREVIOUS: True}, data["compared_to"], "comparison")
            if measure.result not in {"amount", "number"} or measure.key == "days_since":
                raise Invalid(f"'{measure.key}' cannot be compared to an earlier stretch; count or sum instead.")
            if not isinstance(window, Window) or not (window.last or (window.start and window.end)):
                raise Invalid('This needs a window with both ends: "within": {"last_days": 90}, or "from" and "to".')
        self.weigh(EVENT_WEIGHT, path)
        return True

    def sequence(self, data: Mapping[str, Any], path: str, depth: int) -> Sequence:
        """One thing after another."""
        given, here = data["sequence"], join(path, "sequence")
        if not isinstance(given, list) or not 2 <= len(given) <= STEP_LIMIT:
            raise Invalid(f"This must be a list of 2 to {STEP_LIMIT} steps.", field=here)
        window = self.window(data["within"], join(path, "within")) if "within" in data else None
        self.weigh(STEP_WEIGHT * len(given), path)
        steps = [self.step(step, f"{here}[{place}]", depth, place) for place, step in enumerate(given)]
        for place, step in enumerate(steps[:-1]):
            if step.absent:
                raise Invalid("Only the last step can be one that did not happen.", field=f"{here}[{place}].not")
        return Sequence(tuple(steps), window)

    def step(self, data: Any, path: str, depth: int, place: int) -> Step:
        """One step; all but the first may have to come so soon, or not come."""
        happening = self.happening(data, path, depth, (*SCALES, "not") if place else ())
        if "not" in data and data["not"] is not True:
            raise Invalid("This must be true; leave it out for a step that happened.", field=join(path, "not"))
        within = self.duration(data, path)
        if "not" in data and within is None:
            message = f"What did not happen needs the time to wait for it: {' or '.join(SCALES)}."
            raise Invalid(message, field=join(path, "days"))
        return Step(happening, within, "not" in data)

    def happening(self, data: Any, path: str, depth: int, more: tuple[str, ...] = ()) -> Happening:
        """The rows of an event."""
        if not isinstance(data, Mapping) or "event" not in data:
            raise Invalid('This must be an object with an event, such as {"event": "order"}.', field=path)
        only(data, ("event", "where", *more), path)
        self.count(1, path)
        with at(join(path, "event")):
            behaviour = self.catalogue.behaviour(word(data["event"]))
        return Happening(behaviour, self.where(data, path, behaviour, depth) if "where" in data else ())

    def measure(self, data: Mapping[str, Any], path: str, behaviour: Behaviour) -> tuple[Measure, Field | None]:
        """The measure and the property it is taken of."""
        with at(join(path, "measure")):
            measure = find(MEASURES, data.get("measure"), "measure")
        here = join(path, "property")
        if not measure.types:
            if "property" in data:
                raise Invalid(f"The measure '{measure.key}' takes no property.", field=here)
            return measure, None
        with at(here):
            found = self.catalogue.row_field(behaviour, word(data.get("property")))
            if not set(found.types) & set(measure.types):
                raise Invalid(f"'{found.key}' is {found.type}; '{measure.key}' needs {' or '.join(measure.types)}.")
        return measure, found

    def where(self, data: Mapping[str, Any], path: str, behaviour: Behaviour, _depth: int) -> tuple[Leaf, ...]:
        """Conditions on the rows of a behaviour; all must hold."""
        given, here = data["where"], join(path, "where")
        if not isinstance(given, list) or not given:
            raise Invalid("This must be a list with at least one condition.", field=here)
        self.count(len(given), here)
        leaves = []
        for index, condition in enumerate(given):
            place = f"{here}[{index}]"
            if not isinstance(condition, Mapping) or "field" not in condition:
                raise Invalid("A condition on an event must be an object with a field.", field=place)
            only(condition, KINDS["field"][0], place)
            with at(join(place, "field")):
                found = self.catalogue.row_field(behaviour, word(condition["field"]))
            question = self.asked(condition, place, found)
            leaves.append(Leaf(self.told(found, question), question))
            operator = question.operator
            if operator.compares:
                message = f"'{operator.key}' compares people; ask it of the event's measure instead."
                raise Invalid(message, field=join(place, "operator"))
        return tuple(leaves)

    def span(self, data: Any, path: str, depth: int) -> Window | Since:
        """A stretch of time, fixed or after another event."""
        if not isinstance(data, Mapping) or "since" not in data:
            return self.window(data, path)
        only(data, ("since", *SCALES), path)
        self.weigh(EVENT_WEIGHT, path)
        return Since(self.happening(data["since"], join(path, "since"), depth), self.duration(data, path))

    def membership(self, data: Mapping[str, Any], path: str, depth: int) -> Membership:
        """Being on a list."""
        with at(join(path, "list")):
            list_id = data["list"]
            if isinstance(list_id, bool) or not isinstance(list_id, int) or not 0 < list_id < 2**63:
                raise Invalid("This must be the number of a list.")
            if list_id in self.lists:
                raise _Circle(self.circle(list_id))
            found = self.catalogue.contact_list(list_id)
            if found.frozen_at is not None:
                return Membership(list_id, found.name, self.catalogue.members(list_id), None)
            if (unit_of(found.criteria) or CONTACT) != CONTACT:
                raise Invalid(
                    f"The list “{found.name}” is one of {unit_of(found.criteria)}s; freeze it to use it here."
                )
            inner = replace(self, lists=(*self.lists, list_id), place=path if self.place is None else self.place)
            try:
                root = inner.root(found.criteria, depth + 1)
            except _Circle as error:
                raise _Circle(error.message) from None
            except _TooHeavy:
                raise
            except Invalid as error:
                raise _Unusable.of(error, found.name) from None
        return Membership(list_id, found.name, None, nodes.picked(root, list_id, *self.catalogue.picks(list_id)))

    def circle(self, list_id: int) -> str:
        """That a list leads back to itself, and through which."""
        round_trip = (*self.lists[self.lists.index(list_id) :], list_id)
        names = [f"“{_short(self.catalogue.contact_list(one).name)}”" for one in round_trip]
        if len(names) == 2:
            return f"The list {names[0]} refers to itself; take this condition out."
        return f"These lists refer to each other: {_chain(names)}. Take one of these conditions out."

    def registered(self, kind: scored.Kind, data: Mapping[str, Any], path: str) -> scored.Scored:
        """A leaf of a registered kind."""
        given = dict(self.inputs(kind, data, path))
        question = self.question(data, path, (kind.type,)) if kind.type else None
        defaults = {one.key: one.default for one in kind.inputs}
        try:
            made = kind.make(defaults | given, self.catalogue)
        except Invalid as error:
            error.field = join(path, error.field or kind.key)
            raise
        return scored.Scored(kind.key, tuple(given.items()), question, made.stamp, made)


Read = Callable[[_Parser, Mapping[str, Any], str, int], Node]

KINDS: Final[Mapping[str, tuple[tuple[str, ...], int, Read]]] = {  # keys, weight
    "all": (("all",), 0, _Parser.several),
    "any": (("any",), 0, _Parser.several),
    "none": (("none",), 0, _Parser.several),
    "not": (("not",), 0, _Parser.negation),
    "at_least": (("at_least", "of"), 0, _Parser.at_least),
    "field": (("field", "operator", "value"), 1, _Parser.leaf),
    "event": (
        ("event", "measure", "property", "within", "where", "compared_to", "operator", "value"),
        EVENT_WEIGHT,
        _Parser.event,
    ),
    "sequence": (("sequence", "within"), 0, _Parser.sequence),
    "list": (("list",), 1, _Parser.membership),
}


def _short(name: str) -> str:
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 1]}…"


def _chain(names: list[str]) -> str:
    """Names that lead to each other; of many the first and the last."""
    return " → ".join(names if len(names) <= CHAIN_SHOWN else [*names[:2], "…", *names[-2:]])
