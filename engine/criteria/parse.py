"""JSON -> checked criteria. Nothing is ever dropped: a key or word that is not understood is an error with its path,
because a condition left out widens a mailing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from engine.catalogue import Catalogue
from engine.criteria import nodes, scored
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
    Question,
    Sequence,
    Since,
    Step,
    Window,
)
from engine.criteria.operators import MANY, OPERATORS, Operator, fitting
from engine.criteria.units import CONTACT, UNITS
from engine.database import EPOCH
from engine.errors import Invalid, nearest
from engine.fields import MEASURES, Behaviour, Field, Measure
from engine.values import TYPES, Clock

DEPTH_LIMIT: Final = 32
NODE_LIMIT: Final = 1_000
STEP_LIMIT: Final = 10  # of a sequence
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


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Faults inside are at `path`, unless they know better."""
    try:
        yield
    except Invalid as error:
        if error.field is None:
            error.field = path
        raise


@dataclass
class _Size:
    nodes: int = 0


@dataclass(frozen=True)
class _Parser:
    catalogue: Catalogue
    lists: tuple[int, ...]  # those we are inside of
    size: _Size = field(default_factory=_Size)

    def root(self, data: Any, depth: int) -> Node:
        """The whole: a node, or who is meant and who is left out."""
        if not isinstance(data, Mapping) or not {*BOXES} & data.keys():
            return self.box(data, "", depth)
        _only(data, (*BOXES, "unit"), "")
        if "include" not in data:
            raise Invalid('Who is meant is missing; everyone is {"all": []}.', field="include")
        if "unit" in data:
            with _at("unit"):
                _find(dict.fromkeys(UNITS), data["unit"], "unit")
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
        known = (*KINDS, *scored.KINDS)
        kinds = [key for key in known if key in data]
        if len(kinds) != 1:
            message = f"A condition has exactly one of {', '.join(known)}"
            wrong = "".join(nearest(str(key), known) for key in list(data)[:1]) if not kinds else ""
            wrong = ' "include" and "exclude" stand at the top only.' if {*BOXES} & data.keys() else wrong
            raise Invalid(f"{message}; this one has {' and '.join(kinds) or 'none'}.{wrong}", field=path)
        if kinds[0] in scored.KINDS:
            return self.registered(scored.KINDS[kinds[0]], data, path)
        keys, read = KINDS[kinds[0]]
        _only(data, keys, path)
        return read(self, data, path, depth)

    def count(self, number: int, path: str) -> None:
        """So many conditions more."""
        self.size.nodes += number
        if self.size.nodes > NODE_LIMIT:
            message = f"The criteria have more than {NODE_LIMIT:,} conditions, those of the lists they name included."
            raise Invalid(message, field=path)

    def several(self, data: Mapping[str, Any], path: str, depth: int) -> Group:
        """all, any, none."""
        kind = next(key for key in ("all", "any", "none") if key in data)
        return Group(kind, self.children(data, kind, path, depth))

    def negation(self, data: Mapping[str, Any], path: str, depth: int) -> Group:
        """not."""
        return Group("not", (self.node(data["not"], _join(path, "not"), depth + 1),))

    def at_least(self, data: Mapping[str, Any], path: str, depth: int) -> Group:
        """at_least k of."""
        nodes = self.children(data, "of", path, depth)
        least = data["at_least"]
        if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= len(nodes):
            raise Invalid(f"This must be a whole number from 1 to {len(nodes)}.", field=_join(path, "at_least"))
        return Group("at_least", nodes, least)

    def children(self, data: Mapping[str, Any], key: str, path: str, depth: int) -> tuple[Node, ...]:
        """The nodes under a key."""
        here = _join(path, key)
        given = data.get(key)
        if not isinstance(given, list) or not given:
            raise Invalid("This must be a list with at least one condition.", field=here)
        return tuple(self.node(child, f"{here}[{index}]", depth + 1) for index, child in enumerate(given))

    def leaf(self, data: Mapping[str, Any], path: str, _depth: int) -> Leaf:
        """A field of contacts."""
        with _at(_join(path, "field")):
            found = self.catalogue.field(_word(data["field"]))
        return Leaf(found, self.asked(data, path, found))

    def event(self, data: Mapping[str, Any], path: str, depth: int) -> EventLeaf:
        """What people did."""
        with _at(_join(path, "event")):
            behaviour = self.catalogue.behaviour(_word(data["event"]))
        measure, measured = self.measure(data, path, behaviour)
        window = self.span(data["within"], _join(path, "within"), depth) if "within" in data else None
        where = self.where(data, path, behaviour, depth) if "where" in data else ()
        compared = self.compared(data, path, measure, window) if "compared_to" in data else False
        if measure.result == "own":
            assert measured is not None
            question = self.asked(data, path, measured)
        else:
            question = self.question(data, path, ("number",) if compared else measure.kinds(measured))
        reading = question.type if measure.result == "own" else "number"
        return EventLeaf(Deed(behaviour, measure, measured, window, where, reading, compared), question)

    def compared(self, data: Mapping[str, Any], path: str, measure: Measure, window: Window | Since | None) -> bool:
        """A number against that of the stretch before."""
        with _at(_join(path, "compared_to")):
            _find({nodes.PREVIOUS: True}, data["compared_to"], "comparison")
            if measure.result not in {"amount", "number"} or measure.key == "days_since":
                raise Invalid(f"'{measure.key}' cannot be compared to an earlier stretch; count or sum instead.")
            if not isinstance(window, Window) or not (window.last_days or (window.start and window.end)):
                raise Invalid('This needs a window with both ends: "within": {"last_days": 90}, or "from" and "to".')
        return True

    def sequence(self, data: Mapping[str, Any], path: str, depth: int) -> Sequence:
        """One thing after another."""
        given, here = data["sequence"], _join(path, "sequence")
        if not isinstance(given, list) or not 2 <= len(given) <= STEP_LIMIT:
            raise Invalid(f"This must be a list of 2 to {STEP_LIMIT} steps.", field=here)
        window = self.window(data["within"], _join(path, "within")) if "within" in data else None
        steps = [self.step(step, f"{here}[{place}]", depth, place) for place, step in enumerate(given)]
        for place, step in enumerate(steps[:-1]):
            if step.absent:
                raise Invalid("Only the last step can be one that did not happen.", field=f"{here}[{place}].not")
        return Sequence(tuple(steps), window)

    def step(self, data: Any, path: str, depth: int, place: int) -> Step:
        """One step; all but the first may have to come within some days, or not come."""
        happening = self.happening(data, path, depth, ("days", "not") if place else ())
        if "not" in data and data["not"] is not True:
            raise Invalid("This must be true; leave it out for a step that happened.", field=_join(path, "not"))
        days = self.value("days", data["days"], _join(path, "days")) if "days" in data else None
        if "not" in data and days is None:
            raise Invalid("What did not happen needs the days to wait for it.", field=_join(path, "days"))
        return Step(happening, days, "not" in data)

    def happening(self, data: Any, path: str, depth: int, more: tuple[str, ...] = ()) -> Happening:
        """The rows of an event."""
        if not isinstance(data, Mapping) or "event" not in data:
            raise Invalid('This must be an object with an event, such as {"event": "order"}.', field=path)
        _only(data, ("event", "where", *more), path)
        self.count(1, path)
        with _at(_join(path, "event")):
            behaviour = self.catalogue.behaviour(_word(data["event"]))
        return Happening(behaviour, self.where(data, path, behaviour, depth) if "where" in data else ())

    def measure(self, data: Mapping[str, Any], path: str, behaviour: Behaviour) -> tuple[Measure, Field | None]:
        """The measure and the property it is taken of."""
        with _at(_join(path, "measure")):
            measure = _find(MEASURES, data.get("measure"), "measure")
        here = _join(path, "property")
        if not measure.types:
            if "property" in data:
                raise Invalid(f"The measure '{measure.key}' takes no property.", field=here)
            return measure, None
        with _at(here):
            found = self.catalogue.row_field(behaviour, _word(data.get("property")))
            if not set(found.types) & set(measure.types):
                raise Invalid(f"'{found.key}' is {found.type}; '{measure.key}' needs {' or '.join(measure.types)}.")
        return measure, found

    def where(self, data: Mapping[str, Any], path: str, behaviour: Behaviour, _depth: int) -> tuple[Leaf, ...]:
        """Conditions on the rows of a behaviour; all must hold."""
        given, here = data["where"], _join(path, "where")
        if not isinstance(given, list) or not given:
            raise Invalid("This must be a list with at least one condition.", field=here)
        self.count(len(given), here)
        leaves = []
        for index, condition in enumerate(given):
            place = f"{here}[{index}]"
            if not isinstance(condition, Mapping) or "field" not in condition:
                raise Invalid("A condition on an event must be an object with a field.", field=place)
            _only(condition, KINDS["field"][0], place)
            with _at(_join(place, "field")):
                found = self.catalogue.row_field(behaviour, _word(condition["field"]))
            leaves.append(Leaf(found, self.asked(condition, place, found)))
            operator = leaves[-1].question.operator
            if operator.compares:
                message = f"'{operator.key}' compares people; ask it of the event's measure instead."
                raise Invalid(message, field=_join(place, "operator"))
        return tuple(leaves)

    def span(self, data: Any, path: str, depth: int) -> Window | Since:
        """A stretch of time, fixed or after another event."""
        if not isinstance(data, Mapping) or "since" not in data:
            return self.window(data, path)
        _only(data, ("since", "days"), path)
        days = self.value("days", data["days"], _join(path, "days")) if "days" in data else None
        return Since(self.happening(data["since"], _join(path, "since"), depth), days)

    def window(self, data: Any, path: str) -> Window:
        """A stretch of time: last_days (with before), or from and to."""
        if not isinstance(data, Mapping) or not data:
            raise Invalid(
                'This must be {"last_days": 90}, with "before" or not, or {"from": ..., "to": ...}.', field=path
            )
        _only(data, ("last_days", "before") if "last_days" in data or "before" in data else ("from", "to"), path)
        if "before" in data and "last_days" not in data:
            raise Invalid('"before" goes with "last_days"; a window without a start is {"to": ...}.', field=path)
        read = {key: self.value("days" if key == "last_days" else "moment", given, _join(path, key))
                for key, given in data.items()}  # fmt: skip
        window = Window(read.get("last_days"), read.get("from"), read.get("to", read.get("before")))
        if window.start and window.end and self.order(window.start) >= self.order(window.end):
            raise Invalid("The window is empty: 'to' must be later than 'from'.", field=_join(path, "to"))
        return window

    def membership(self, data: Mapping[str, Any], path: str, depth: int) -> Membership:
        """Being on a list."""
        with _at(_join(path, "list")):
            list_id = data["list"]
            if isinstance(list_id, bool) or not isinstance(list_id, int) or not 0 < list_id < 2**63:
                raise Invalid("This must be the number of a list.")
            if list_id in self.lists:
                raise Invalid(f"List {list_id} refers to itself; take this condition out.")
            found = self.catalogue.contact_list(list_id)
            if found.frozen_at is not None:
                return Membership(list_id, found.name, self.catalogue.members(list_id), None)
            if (unit_of(found.criteria) or CONTACT) != CONTACT:
                raise Invalid(
                    f"The list “{found.name}” is one of {unit_of(found.criteria)}s; freeze it to use it here."
                )
            inner = replace(self, lists=(*self.lists, list_id))
            try:
                root = inner.root(found.criteria, depth + 1)
            except Invalid as error:
                raise Invalid(f"The list “{found.name}” cannot be used: {error.message} ({error.field})") from None
        return Membership(list_id, found.name, None, nodes.picked(root, list_id, *self.catalogue.picks(list_id)))

    def registered(self, kind: scored.Kind, data: Mapping[str, Any], path: str) -> scored.Scored:
        """A leaf of a registered kind."""
        given = dict(self.inputs(kind, data, path))
        question = self.question(data, path, (kind.type,)) if kind.type else None
        defaults = {one.key: one.default for one in kind.inputs}
        try:
            made = kind.make(defaults | given, self.catalogue)
        except Invalid as error:
            error.field = _join(path, error.field or kind.key)
            raise
        return scored.Scored(kind.key, tuple(given.items()), question, made.stamp, made)

    def inputs(self, kind: scored.Kind, data: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        """The inputs that were given, checked."""
        _only(data, kind.keys, path)
        inner, here = data[kind.key], _join(path, kind.key)
        if not isinstance(inner, Mapping):
            raise Invalid(f"This must be an object, such as {kind.example[kind.key]}.", field=here)
        _only(inner, kind.inner, here)
        for one in kind.inputs:
            holder, key = (inner, one.key.partition(".")[2]) if "." in one.key else (data, one.key)
            if key in holder:
                yield one.key, self.input(one, holder[key], _join(path, one.key))

    def input(self, one: scored.Input, given: Any, path: str) -> Any:
        """One checked input."""
        value = self.value(one.type, given, path)
        if one.whole and not isinstance(value, int):
            raise Invalid("This must be a whole number.", field=path)
        if (one.least is not None and value < one.least) or (one.most is not None and value > one.most):
            raise Invalid(f"This must be a number from {one.least:,} to {one.most:,}.", field=path)
        return value

    def asked(self, data: Mapping[str, Any], path: str, found: Field) -> Question:
        """The question to a field; a reference must lead somewhere."""
        question = self.question(data, path, found.types)
        if found.type == "reference" and (gone := [one for one in question.values if one not in found.named]):
            message = f"There is no {found.label.en} {gone[0]}; choose one that is listed, or take this condition out."
            raise Invalid(message, field=_join(path, "value"))
        return question

    def question(self, data: Mapping[str, Any], path: str, types: tuple[str, ...]) -> Question:
        """Operator and value, read as the first of `types` that fits both."""
        with _at(_join(path, "operator")):
            operator = _find(OPERATORS, data.get("operator"), "operator")
            kinds = [kind for kind in types if kind in operator.types]
            if not kinds:
                known = {key for kind in types for key in fitting(kind)}
                raise Invalid(f"'{operator.key}' cannot be asked of {types[0]}.{nearest(operator.key, known)}")
        fault: Invalid | None = None
        for kind in kinds:
            try:
                return Question(operator, kind, self.values(operator, kind, data, path))
            except Invalid as error:
                fault = fault or error
        assert fault is not None
        raise fault

    def values(self, operator: Operator, kind: str, data: Mapping[str, Any], path: str) -> tuple[Any, ...]:
        """The checked values, as many as the operator takes."""
        here = _join(path, "value")
        if operator.values == 0:
            if "value" in data:
                raise Invalid(f"'{operator.key}' takes no value.", field=here)
            return ()
        if "value" not in data:
            raise Invalid(f"'{operator.key}' needs a value.", field=here)
        kind = operator.takes or kind
        if operator.values == 1:
            return (self.value(kind, data["value"], here),)
        given = data["value"]
        if not isinstance(given, list) or not given or len(given) > operator.most:
            raise Invalid(f"'{operator.key}' needs a list of 1 to {operator.most:,} values.", field=here)
        if operator.values != MANY and len(given) != operator.values:
            raise Invalid(f"'{operator.key}' needs {operator.values} values, not {len(given)}.", field=here)
        values = tuple(self.value(kind, value, f"{here}[{index}]") for index, value in enumerate(given))
        if operator.values == 2 and self.order(values[0]) > self.order(values[1]):
            raise Invalid("The first value must not be greater than the second.", field=here)
        return values

    def value(self, kind: str, given: Any, path: str) -> Any:
        """One checked value."""
        with _at(path):
            return TYPES[kind].parse(given, self.catalogue.zone)

    def order(self, value: Any) -> Any:
        """What to compare values by: a day begins in the shop's zone."""
        return Clock(EPOCH, self.catalogue.zone).start(value) if isinstance(value, date) else value


Read = Callable[[_Parser, Mapping[str, Any], str, int], Node]

KINDS: Final[Mapping[str, tuple[tuple[str, ...], Read]]] = {
    "all": (("all",), _Parser.several),
    "any": (("any",), _Parser.several),
    "none": (("none",), _Parser.several),
    "not": (("not",), _Parser.negation),
    "at_least": (("at_least", "of"), _Parser.at_least),
    "field": (("field", "operator", "value"), _Parser.leaf),
    "event": (
        ("event", "measure", "property", "within", "where", "compared_to", "operator", "value"),
        _Parser.event,
    ),
    "sequence": (("sequence", "within"), _Parser.sequence),
    "list": (("list",), _Parser.membership),
}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _only(data: Mapping[str, Any], known: Iterable[str], path: str) -> None:
    for key in data:
        if key not in known:
            text = str(key)[:80]
            raise Invalid(f"Unknown key '{text}'.{nearest(text, known)}", field=_join(path, text))


def _word(given: Any) -> str:
    if not isinstance(given, str):
        raise Invalid("This must be a name.")
    return given


def _find(table: Mapping[str, Any], given: Any, what: str) -> Any:
    if not isinstance(given, str):
        raise Invalid(f"The {what} is missing.{nearest('', table)}")
    if given not in table:
        raise Invalid(f"Unknown {what} '{given[:80]}'.{nearest(given[:80], table)}")
    return table[given]
