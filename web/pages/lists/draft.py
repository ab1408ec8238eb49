"""Drafts: criteria JSON that may be unfinished, as a form shows it. Pure functions.

A value that is still empty ("") or half typed ("25x") stays as the text it is. Every node has a place, "n" for the
root and "n.0.2" for the third child of its first; the names of its controls begin with it ("n.0.2.operator"). What a
form cannot show is kept as it is (`other`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from engine.criteria.parse import DEPTH_LIMIT
from engine.errors import Invalid

Draft = Any  # criteria JSON, perhaps unfinished

ROOT: Final = "n"
MOST: Final = 60_000  # characters of criteria in an address; 1,000 conditions are rarely as long
BLANK: Final[Draft] = {"field": "", "operator": "", "value": ""}
SEVERAL: Final = ("all", "any", "none")
GROUPS: Final = (*SEVERAL, "at_least", "not")
MODES: Final = {"last": ("last_days",), "before": ("last_days", "before"), "between": ("from", "to")}

NAMELESS: Final = ("attributes.", "properties.")  # an own field whose name is still to be typed

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LEAF: Final = {"field", "operator", "value"}
_EVENT: Final = {"event", "measure", "property", "operator", "value", "within", "where"}


def read(text: str) -> Draft:
    """A draft from JSON in an address. Raises Invalid when it is too long or no JSON, never for what it says."""
    if len(text) > MOST:
        raise Invalid(f"These criteria have {len(text):,} characters; an address may carry {MOST:,}.", field="q")
    try:
        draft = json.loads(text)
        json.dumps(draft, ensure_ascii=False).encode()  # half a character, as "\\ud800", cannot be shown
    except (ValueError, RecursionError):
        raise Invalid("The criteria in this address are not complete; perhaps it was cut when it was copied.") from None
    return rooted(draft)


def rooted(draft: Draft) -> Draft:
    """The same with a group at the root that conditions can be added to."""
    if _depth(draft) > 4 * DEPTH_LIMIT:
        raise Invalid(f"The criteria are nested deeper than {DEPTH_LIMIT} levels.", field="q")
    if _SURROGATE.search(json.dumps(draft, ensure_ascii=False)):
        raise Invalid("The criteria hold half a surrogate pair, which is no character.", field="q")
    return draft if kind_of(draft) in {*SEVERAL, "at_least"} else {"all": [draft]}


def kind_of(node: Draft) -> str:
    """all, any, none, not, at_least, field, event, list, or other: nothing the form can show."""
    if not isinstance(node, dict):
        return "other"
    return next((kind for kind, fits in _SHAPES.items() if fits(node)), "other")


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


def mode_of(within: Draft) -> str:
    """Which kind of window: last, before, between; "" for any time."""
    if not within:
        return ""
    return ("before" if "before" in within else "last") if "last_days" in within else "between"


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


def _event(node: Draft) -> bool:
    if not set(node) <= _EVENT or not all(
        isinstance(node.get(key, ""), str) for key in ("event", "measure", "property", "operator")
    ):
        return False
    within, where = node.get("within", {}), node.get("where", [])
    shown = isinstance(within, dict) and any(set(within) <= set(keys) for keys in MODES.values())
    return (
        shown
        and all(map(_scalar, within.values()))
        and isinstance(where, list)
        and all(map(_leaf, where))
        and _values(node)
    )


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
    """A node whose every condition is finished, without those that are not; `where`: places of the conditions kept."""

    place: str
    node: Draft
    nodes: tuple[Kept, ...] = ()
    where: tuple[int, ...] = ()

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
    """What of a draft can be counted, and the places of what cannot yet."""

    kept: Kept | None
    unfinished: list[str] = field(default_factory=list)


def finished(draft: Draft) -> Finished:
    """Take out what nobody has filled in yet. An `at_least` waits for all of its conditions, for it counts them."""
    found = Finished(None)
    found.kept = _kept(draft, ROOT, found.unfinished)
    return found


def _kept(node: Draft, place: str, unfinished: list[str]) -> Kept | None:
    kind = kind_of(node)
    if kind in {*SEVERAL, "not", "at_least"}:
        before = len(unfinished)
        nodes = [_kept(child, f"{place}.{index}", unfinished) for index, child in enumerate(children(node))]
        whole = tuple(one for one in nodes if one is not None)
        if not whole or (kind == "at_least" and len(unfinished) > before):
            unfinished += [place] if not nodes and place != ROOT else []
            return None
        return Kept(place, group(kind, [one.node for one in whole], node.get("at_least")), whole)
    if _is_open(node):
        unfinished.append(place)
        return None
    if kind == "event" and "where" in node:
        where = [index for index, leaf in enumerate(node["where"]) if not _is_open(leaf)]
        unfinished += [f"{place}.where.{index}" for index in range(len(node["where"])) if index not in where]
        rest = {key: value for key, value in node.items() if key != "where"}
        return Kept(place, {**rest, "where": [node["where"][i] for i in where]} if where else rest, (), tuple(where))
    return Kept(place, node)


def _is_open(node: Draft) -> bool:
    """Is something of a condition still empty?"""
    kind = kind_of(node)
    if kind == "other":
        return False
    if node.get("field") in NAMELESS:
        return True
    within = node.get("within", {}).values()
    said = [node[key] for key in ("field", "event", "list", "property") if key in node] + list(within)
    values = node.get("value", "?")
    said += values or [""] if isinstance(values, list) else [values]
    return any(isinstance(one, str) and not one.strip() for one in said)
