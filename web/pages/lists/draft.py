"""Drafts: criteria JSON that may be unfinished, as a form shows it. Pure functions.

A draft is always {"include": group, "exclude": group, "unit": ...}; `plain` writes it as short as it can be said. A
value that is still empty ("") or half typed ("25x") stays as the text it is. Every node has a place: "n" is the group
of who is meant, "x" of who is left out, "n.0.2" the third child of the first of "n". The names of its controls begin
with it ("n.0.2.operator"). What a form cannot show is kept as it is (`other`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from engine.criteria import scored
from engine.criteria.duration import LAST, SCALES
from engine.criteria.nodes import PREVIOUS
from engine.criteria.parse import DEPTH_LIMIT, EVERYONE
from engine.criteria.units import UNITS
from engine.errors import Invalid

Draft = Any  # criteria JSON, perhaps unfinished

ROOT: Final = "n"
ROOTS: Final = {ROOT: "include", "x": "exclude"}  # place of a box: its key
UNIT: Final = UNITS[0]
MOST: Final = 60_000  # characters of criteria in an address; 1,000 conditions are rarely as long
BLANK: Final[Draft] = {"field": "", "operator": "", "value": ""}
SEVERAL: Final = ("all", "any", "none")
GROUPS: Final = (*SEVERAL, "at_least", "not")
MODES: Final = {
    "last": (),
    "before": ("before",),
    "between": ("from", "to"),
    "since": ("since",),
}  # keys of a window beside how long it is

NAMELESS: Final = ("attributes.", "properties.")  # an own field whose name is still to be typed

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LEAF: Final = {"field", "operator", "value"}
_EVENT: Final = {"event", "measure", "property", "operator", "value", "within", "where", "compared_to"}


def read(text: str) -> Draft:
    """A draft from JSON in an address. Raises Invalid when it is too long or no JSON, never for what it says."""
    if len(text) > MOST:
        raise Invalid(f"These criteria have {len(text):,} characters; an address may carry {MOST:,}.", field="q")
    try:
        draft = json.loads(text)
        json.dumps(draft, ensure_ascii=False).encode()  # half a character, as "\\ud800", cannot be shown
    except (ValueError, RecursionError):
        raise Invalid("These criteria are not complete JSON; perhaps they were cut when they were copied.") from None
    return rooted(draft)


def rooted(draft: Draft) -> Draft:
    """The same with a group in each box that conditions can be added to."""
    if _depth(draft) > 4 * DEPTH_LIMIT:
        raise Invalid(f"The criteria are nested deeper than {DEPTH_LIMIT} levels.", field="q")
    if _SURROGATE.search(json.dumps(draft, ensure_ascii=False)):
        raise Invalid("The criteria hold half a surrogate pair, which is no character.", field="q")
    given = draft if _is_document(draft) else {"include": draft}
    return {
        "include": _grouped(given.get("include", EVERYONE), "all"),
        "exclude": _grouped(given.get("exclude", {"any": []}), "any"),
        "unit": given.get("unit", UNIT),
    }


def plain(draft: Draft) -> Draft:
    """As short as it can be said."""
    told = {"include": draft["include"]}
    if children(draft["exclude"]):
        told["exclude"] = draft["exclude"]
    if draft["unit"] != UNIT:
        told["unit"] = draft["unit"]
    return told if len(told) > 1 else draft["include"]


def _is_document(draft: Draft) -> bool:
    if not isinstance(draft, dict) or not {*ROOTS.values()} & draft.keys():
        return False
    unit = draft.get("unit", UNIT)
    return set(draft) <= {*ROOTS.values(), "unit"} and isinstance(unit, str) and _scalar(unit)


def _grouped(node: Draft, kind: str) -> Draft:
    if node == EVERYONE and kind != "all":
        return {kind: []}
    return node if kind_of(node) in {*SEVERAL, "at_least"} else {kind: [node]}


def kind_of(node: Draft) -> str:
    """all, any, none, not, at_least, field, event, list, a registered kind, or other: nothing the form can show."""
    if not isinstance(node, dict):
        return "other"
    found = next((kind for kind, fits in _SHAPES.items() if fits(node)), "")
    return found or next((key for key, kind in scored.KINDS.items() if key in node and _scored(node, kind)), "other")


def children(node: Draft) -> list[Draft]:
    """The nodes of a group, [] for all else."""
    kind = kind_of(node)
    if kind == "not":
        return [node["not"]]
    return list(node.get("of" if kind == "at_least" else kind, ())) if kind in {*SEVERAL, "at_least"} else []


def group(kind: str, nodes: list[Draft], least: Any = 1) -> Draft:
    """A group of this kind; None for a `not` of nothing."""
    if kind == "not":
        return {"not": nodes[0] if len(nodes) == 1 else {"all": nodes}} if nodes else None
    return {"at_least": least, "of": nodes} if kind == "at_least" else {kind: nodes}


def begun(node: Draft) -> Draft:
    """A node without the conditions that nobody chose a subject for; None when nothing is left of it."""
    if kind_of(node) not in GROUPS:
        return None if kind_of(node) == "field" and not node["field"] else node
    nodes = [one for one in map(begun, children(node)) if one is not None]
    return group(kind_of(node), nodes, node.get("at_least")) if nodes else None


def deeds(node: Draft) -> Iterator[tuple[str, Draft]]:
    """What people did, of a condition: each event with its conditions, and where it is below the place."""
    kind = kind_of(node)
    if kind == "event":
        yield "", node
        if "since" in node.get("within", {}):
            yield ".within.since", node["within"]["since"]
    if kind == "sequence":
        yield from ((f".sequence.{index}", step) for index, step in enumerate(node["sequence"]))


def inputs(node: Draft, kind: scored.Kind) -> dict[str, Any]:
    """What is given to a registered kind, by the key of the input."""
    inner = {f"{kind.key}.{key}": value for key, value in node[kind.key].items()}
    return {one.key: (inner | node)[one.key] for one in kind.inputs if one.key in inner | node}


def mode_of(within: Draft) -> str:
    """Which kind of window: last, before, between, since; "" for any time."""
    if not within or "since" in within:
        return "since" if within else ""
    return ("before" if "before" in within else "last") if scale_of(within, LAST) else "between"


def scale_of(node: Draft, prefix: str = "") -> str:
    """In days, hours or minutes: how long something is; "" when it is not told."""
    return next((key for key in SCALES if prefix + key in node), "")


def texts(node: Draft) -> list[str]:
    """The values of a condition as its controls show them."""
    value = node.get("value", [])
    return [text_of(one) for one in (value if isinstance(value, list) else [value])]


def text_of(value: Any) -> str:
    """One value as typed."""
    if isinstance(value, bool):
        return str(value).lower()
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def _scalar(value: Any) -> bool:
    """Can a control hold it and give it back?"""
    if isinstance(value, str):
        return not re.search(r"[\r\n\0]", value)
    return isinstance(value, (bool, int, float)) and abs(value) < 10**16


def _values(node: Draft) -> bool:
    value = node.get("value", "")
    return all(map(_scalar, value)) if isinstance(value, list) else _scalar(value)


def _leaf(node: Draft) -> bool:
    if not isinstance(node, dict) or not set(node) <= _LEAF or not isinstance(node.get("field"), str):
        return False
    return isinstance(node.get("operator", ""), str) and _values(node)


def _named(node: Draft, *keys: str) -> bool:
    return all(isinstance(node.get(key, ""), str) for key in keys)


def _where(node: Draft) -> bool:
    where = node.get("where", [])
    return isinstance(where, list) and all(map(_leaf, where))


def _happening(node: Draft, *more: str) -> bool:
    if not isinstance(node, dict) or not set(node) <= {"event", "where", *more}:
        return False
    is_said = _lasting(node) and node.get("not", True) is True
    return "event" in node and _named(node, "event") and _where(node) and is_said


def _lasting(node: Draft, prefix: str = "") -> bool:
    """Is it told at most once how long something is?"""
    given = [node[prefix + key] for key in SCALES if prefix + key in node]
    return not given[1:] and all(map(_scalar, given))


def _sequence(node: Draft) -> bool:
    steps = node.get("sequence")
    if not set(node) <= {"sequence", "within"} or not isinstance(steps, list) or not steps:
        return False
    within = node.get("within", {})
    later = all(_happening(step, *SCALES, "not") for step in steps[1:])
    return later and _happening(steps[0]) and _within(within) and "since" not in within


def _within(within: Draft) -> bool:
    if not isinstance(within, dict):
        return False
    if "since" in within:
        return set(within) <= {"since", *SCALES} and _happening(within["since"]) and _lasting(within)
    rest = set(within) - {LAST + key for key in SCALES}
    fits = rest <= {*MODES["before" if rest != set(within) else "between"]}
    return fits and _lasting(within, LAST) and all(map(_scalar, within.values()))


def _event(node: Draft) -> bool:
    return (
        set(node) <= _EVENT
        and _named(node, "event", "measure", "property", "operator")
        and node.get("compared_to", PREVIOUS) == PREVIOUS
        and _within(node.get("within", {}))
        and _where(node)
        and _values(node)
    )


def _scored(node: Draft, kind: scored.Kind) -> bool:
    inner = node[kind.key]
    if not set(node) <= set(kind.keys) or not isinstance(inner, dict) or not set(inner) <= set(kind.inner):
        return False
    return _named(node, "operator") and all(map(_scalar, inputs(node, kind).values())) and _values(node)


_SHAPES: Final[dict[str, Callable[[Draft], bool]]] = {
    **{
        kind: lambda node, kind=kind: set(node) == {kind} and isinstance(node[kind], list)  # type: ignore[misc]
        for kind in SEVERAL
    },
    "not": lambda node: set(node) == {"not"},
    "at_least": lambda node: (
        set(node) == {"at_least", "of"} and isinstance(node["of"], list) and _scalar(node["at_least"])
    ),
    "field": _leaf,
    "event": lambda node: "event" in node and _event(node),
    "sequence": lambda node: "sequence" in node and _sequence(node),
    "list": lambda node: set(node) == {"list"} and _scalar(node["list"]),
}


def _depth(draft: Draft) -> int:
    """How deeply objects and lists are nested, without recursion."""
    deepest, level = 0, [draft]
    while level:
        deepest += 1
        level = [inner for one in level if isinstance(one, (dict, list))
                 for inner in (one.values() if isinstance(one, dict) else one)]  # fmt: skip
    return deepest


@dataclass(frozen=True)
class Kept:
    """A node whose every condition is finished, without those that are not; `where`: of each deed, the places of the
    conditions kept.
    """

    place: str
    node: Draft
    nodes: tuple[Kept, ...] = ()
    where: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def walk(self, path: str = "") -> Iterator[tuple[str, Kept]]:
        """Every node with its JSON path, as engine.criteria.walk."""
        yield path, self
        kind = kind_of(self.node)
        key = "of" if kind == "at_least" else kind
        prefix = f"{path}.{key}" if path else key
        for index, one in enumerate(self.nodes):
            yield from one.walk(prefix if kind == "not" else f"{prefix}[{index}]")


@dataclass
class Finished:
    """What of a draft can be counted, by the place of its box, and the places of what cannot yet."""

    unit: str
    boxes: dict[str, Kept] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    @property
    def criteria(self) -> Draft:
        """As JSON."""
        nodes = {key: self.boxes[place].node for place, key in ROOTS.items() if place in self.boxes}
        return plain({"include": dict(EVERYONE), "exclude": {"any": []}, "unit": self.unit} | nodes)

    def walk(self) -> Iterator[tuple[str, Kept]]:
        """Every node with its JSON path."""
        is_document = _is_document(self.criteria)
        for place, kept in self.boxes.items():
            yield from kept.walk(ROOTS[place] if is_document else "")


def finished(draft: Draft, waiting: Collection[str] = ()) -> Finished:
    """Take out what nobody has filled in yet. An `at_least` waits for all of its conditions, for it counts them.
    `waiting`: places of conditions that are still being written.
    """
    found = Finished(draft["unit"])
    for place, key in ROOTS.items():
        kept = _Keeper(waiting, found.unfinished).node(draft[key], place)
        if kept is not None:
            found.boxes[place] = kept
    return found


@dataclass(frozen=True)
class _Keeper:
    waiting: Collection[str]
    unfinished: list[str]

    def node(self, node: Draft, place: str) -> Kept | None:
        if kind_of(node) in GROUPS:
            return self.group(node, place)
        if place in self.waiting or is_open(node):
            self.unfinished.append(place)
            return None
        if kind_of(node) == "other":
            return Kept(place, node)
        return self.deeds(node, place)

    def group(self, node: Draft, place: str) -> Kept | None:
        kind, before = kind_of(node), len(self.unfinished)
        nodes = [self.node(child, f"{place}.{index}") for index, child in enumerate(children(node))]
        whole = tuple(one for one in nodes if one is not None)
        if not whole or (kind == "at_least" and len(self.unfinished) > before):
            self.unfinished.extend([place] if not nodes and place not in ROOTS else [])
            return None
        return Kept(place, group(kind, [one.node for one in whole], node.get("at_least")), whole)

    def deeds(self, node: Draft, place: str) -> Kept:
        """Without the conditions on events that are still open."""
        node, kept = json.loads(json.dumps(node)), {}
        for tail, deed in deeds(node):
            kept[tail] = tuple(self._finished(deed.get("where", []), f"{place}{tail}.where"))
            where = [deed["where"][index] for index in kept[tail]]
            deed.pop("where", None)
            deed.update({"where": where} if where else {})
        return Kept(place, node, (), kept)

    def _finished(self, where: list[Draft], place: str) -> Iterator[int]:
        """The places of conditions that are not open."""
        for index, leaf in enumerate(where):
            at = f"{place}.{index}"
            if at in self.waiting or is_open(leaf):
                self.unfinished.append(at)
            else:
                yield index


def is_open(node: Draft) -> bool:
    """Is something of a condition still empty?"""
    kind = kind_of(node)
    if kind == "other":
        return False
    if node.get("field") in NAMELESS:
        return True
    said = [node[key] for key in ("field", "list", "property") if key in node]
    said += [deed[key] for _, deed in deeds(node) for key in ("event", *SCALES) if key in deed]
    said += node.get("within", {}).values()
    values = node.get("value", "?")
    said += values or [""] if isinstance(values, list) else [values]
    return any(isinstance(one, str) and not one.strip() for one in said)
