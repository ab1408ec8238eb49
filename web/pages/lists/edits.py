"""What the buttons of the criteria builder do to a draft. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Final

from engine.criteria.duration import SCALES
from web.pages.lists.draft import BLANK, GROUPS, ROOTS, SEVERAL, Draft, children, deeds, group, kind_of

Edited = tuple[Draft, str]  # and the place to go on at, below that of the box
Edit = Callable[[Draft, list[int], str], Edited]  # (box, steps to the node, what of the node)

_PLACE: Final = re.compile(r"([a-z])((?:\.\d{1,9})*)(.*)")
HERE: Final = "."  # the box itself
_ASIDE: Final = {"n": "x", "x": "n"}


def edit(draft: Draft, verb: str, place: str) -> Edited:
    """Carry out what a button says, and name the place to go on at. A place that is gone changes nothing."""
    if verb == "drop":
        return _drop(draft, *place.partition(">")[::2])
    root, steps, tail = _parsed(place)
    if root not in ROOTS or not _exists(draft[ROOTS[root]], steps):
        return draft, ""
    if verb == "aside" and steps:
        return _aside(draft, root, steps)
    if verb not in EDITS:
        return draft, ""
    made, go_on = EDITS[verb](draft[ROOTS[root]], steps, tail)
    return {**draft, ROOTS[root]: made}, go_on and _in(root, go_on)


def _parsed(place: str) -> tuple[str, list[int], str]:
    """Box, steps to the node, and what of the node: "n", [0, 2], ".where.1"."""
    found = _PLACE.fullmatch(place)
    return (found[1], [int(step) for step in found[2].split(".")[1:]], found[3]) if found else ("", [], "")


def _in(root: str, place: str) -> str:
    return root if place == HERE else f"{root}{place}"


def place_of(steps: list[int]) -> str:
    """The name of a place below its box."""
    return "".join(f".{step}" for step in steps) or HERE


def _exists(draft: Draft, steps: list[int]) -> bool:
    for step in steps:
        if step >= len(children(draft)):
            return False
        draft = children(draft)[step]
    return True


def _at(draft: Draft, steps: list[int]) -> Draft:
    for step in steps:
        draft = children(draft)[step]
    return draft


def _change(draft: Draft, steps: list[int], how: Callable[[Draft], list[Draft]]) -> Draft:
    """Put what `how` makes of a node in its place; a group of nothing goes with it if it is a `not`."""
    if not steps:
        return next(iter(how(draft)), {"all": []})
    nodes = children(draft)
    if len(steps) == 1:
        nodes[steps[0] : steps[0] + 1] = how(nodes[steps[0]])
    else:
        inner = _change(nodes[steps[0]], steps[1:], how)
        nodes[steps[0] : steps[0] + 1] = [] if inner is None else [inner]
    return group(kind_of(draft), nodes, draft.get("at_least"))


def _add(draft: Draft, steps: list[int], node: Draft) -> Edited:
    if kind_of(_at(draft, steps)) not in {*SEVERAL, "at_least"}:
        return draft, ""
    size = len(children(_at(draft, steps)))
    made = _change(draft, steps, lambda one: [group(kind_of(one), [*children(one), node], one.get("at_least"))])
    return made, place_of([*steps, size])


def _add_group(draft: Draft, steps: list[int]) -> Edited:
    kind = "all" if kind_of(_at(draft, steps)) == "any" else "any"
    made, place = _add(draft, steps, {kind: [deepcopy(BLANK)]})
    return made, place and f"{place}.0"


def _deed(node: Draft, tail: str) -> Draft | None:
    """What is done at a place inside of a condition."""
    return dict(deeds(node)).get(tail)


def _add_where(draft: Draft, steps: list[int], tail: str) -> Edited:
    made = deepcopy(draft)
    deed = _deed(_at(made, steps), tail)
    if deed is None:
        return draft, ""
    deed.setdefault("where", []).append(deepcopy(BLANK))
    return made, f"{place_of(steps)}{tail}.where.{len(deed['where']) - 1}"


def _remove_where(draft: Draft, steps: list[int], tail: str) -> Edited:
    """`tail` ends in the number of the condition."""
    made = deepcopy(draft)
    above, _, index = tail.rpartition(".where.")
    deed = _deed(_at(made, steps), above)
    if deed is None or not index.isdigit() or int(index) >= len(deed.get("where", [])):
        return draft, ""
    del deed["where"][int(index)]
    if not deed["where"]:
        del deed["where"]
    return made, place_of(steps)


def _sequence(draft: Draft, steps: list[int], how: Callable[[list[Draft]], int]) -> Edited:
    """Change the steps of a sequence in place; `how` tells which one to go on at. The first waits for nothing."""
    made = deepcopy(draft)
    node = _at(made, steps)
    if kind_of(node) != "sequence":
        return draft, ""
    at = how(node["sequence"])
    for key in (*SCALES, "not"):
        node["sequence"][0].pop(key, None)
    return made, f"{place_of(steps)}.sequence.{at}"


def _add_step(draft: Draft, steps: list[int], _tail: str) -> Edited:
    def add(nodes: list[Draft]) -> int:
        nodes.append({"event": "", "days": 7})
        return len(nodes) - 1

    return _sequence(draft, steps, add)


def _of_step(how: Callable[[list[Draft], int], int]) -> Edit:
    """An edit of the step whose number `tail` ends in."""

    def changed(draft: Draft, steps: list[int], tail: str) -> Edited:
        index = int(tail.removeprefix(".sequence.")) if re.fullmatch(r"\.sequence\.\d{1,9}", tail) else None
        if index is None or kind_of(_at(draft, steps)) != "sequence" or index >= len(_at(draft, steps)["sequence"]):
            return draft, ""
        return _sequence(draft, steps, lambda nodes: how(nodes, index))

    return changed


def _remove_step(nodes: list[Draft], index: int) -> int:
    if len(nodes) > 1:
        del nodes[index]
    return max(index - 1, 0)


def _move_step(nodes: list[Draft], index: int) -> int:
    """One earlier."""
    if index:
        nodes[index - 1], nodes[index] = nodes[index], nodes[index - 1]
    return max(index - 1, 0)


def _remove(draft: Draft, steps: list[int]) -> Edited:
    made = _change(draft, steps, lambda _one: [])
    return made, place_of(steps[:-1])


def _copy(draft: Draft, steps: list[int]) -> Edited:
    made = _change(draft, steps, lambda one: [one, deepcopy(one)])
    return made, place_of([*steps[:-1], steps[-1] + 1])


def _move(draft: Draft, steps: list[int], by: int) -> Edited:
    """One up or down: past its neighbour, into it when it is a group, out of its own group at the end."""
    *above, index = steps
    node, nodes = _at(draft, steps), children(_at(draft, above))
    beside = index + by
    if not 0 <= beside < len(nodes):
        return _move_out(draft, steps, by)
    if kind_of(nodes[beside]) in {*SEVERAL, "at_least"}:
        inner = children(nodes[beside])
        at = len(inner) if by < 0 else 0
        inner.insert(at, node)
        nodes[beside] = group(kind_of(nodes[beside]), inner, nodes[beside].get("at_least"))
        del nodes[index]
        place = [*above, beside if by < 0 else index, at]
    else:
        nodes[index], nodes[beside] = nodes[beside], node
        place = [*above, beside]
    return _change(draft, above, lambda one: [group(kind_of(one), nodes, one.get("at_least"))]), place_of(place)


def _move_out(draft: Draft, steps: list[int], by: int) -> Edited:
    *above, index = steps
    if not above:
        return draft, place_of(steps)
    node = _at(draft, steps)
    outer = _at(draft, above)
    rest = group(kind_of(outer), [one for at, one in enumerate(children(outer)) if at != index], outer.get("at_least"))
    left = [] if rest is None else [rest]
    made = _change(draft, above, lambda _one: [node, *left] if by < 0 else [*left, node])
    return made, place_of([*above[:-1], above[-1] + (len(left) if by > 0 else 0)])


def _wrap(draft: Draft, steps: list[int]) -> Edited:
    """A condition becomes a group of one, joined otherwise than the group it is in."""
    kind = "all" if kind_of(_at(draft, steps[:-1])) == "any" else "any"
    return _change(draft, steps, lambda one: [{kind: [one]}]), place_of(steps)


def _unwrap(draft: Draft, steps: list[int]) -> Edited:
    """The conditions of a group stand in its place."""
    nodes = children(_at(draft, steps))
    return (_change(draft, steps, lambda _one: nodes), place_of(steps)) if nodes else (draft, "")


def _aside(draft: Draft, root: str, steps: list[int]) -> Edited:
    """Into the other box, at the end."""
    there = draft[ROOTS[_ASIDE[root]]]
    made, place = _add(there, [], _at(draft[ROOTS[root]], steps))
    rest, _ = _remove(draft[ROOTS[root]], steps)
    return {**draft, ROOTS[root]: rest, ROOTS[_ASIDE[root]]: made}, _in(_ASIDE[root], place)


def _drop(draft: Draft, source: str, target: str) -> Edited:
    """Put the node at `source` to `target`, whose last step counts the others of its group only."""
    (root, steps, _), (to, at, _) = _parsed(source), _parsed(target)
    if root not in ROOTS or to not in ROOTS or not steps or not at or not _exists(draft[ROOTS[root]], steps):
        return draft, ""
    node, gone = _at(draft[ROOTS[root]], steps), {"gone": True}
    marked = {**draft, ROOTS[root]: _change(draft[ROOTS[root]], steps, lambda _one: [gone])}
    box = marked[ROOTS[to]]
    if not _exists(box, at[:-1]) or kind_of(_at(box, at[:-1])) not in {*SEVERAL, "at_least"}:
        return draft, ""

    def with_node(one: Draft) -> list[Draft]:
        nodes = [each for each in children(one) if each is not gone]
        nodes.insert(at[-1], node)
        return [group(kind_of(one), nodes, one.get("at_least"))]

    made = {**marked, ROOTS[to]: _change(box, at[:-1], with_node)}
    made = {**made, **{key: _without(made[key], gone) or {"all": []} for key in ROOTS.values()}}
    found = next((_in(box, at) for box, key in ROOTS.items() for at in _find(made[key], node, [])), "")
    return made, found


def _without(draft: Draft, gone: Draft) -> Draft | None:
    """All but one node; None when a `not` was of nothing else."""
    if kind_of(draft) not in GROUPS:
        return None if draft is gone else draft
    nodes = [one for one in (_without(child, gone) for child in children(draft)) if one is not None]
    return group(kind_of(draft), nodes, draft.get("at_least"))


def _find(draft: Draft, node: Draft, steps: list[int]) -> Iterator[str]:
    if draft is node:
        yield place_of(steps)
    for index, child in enumerate(children(draft)):
        yield from _find(child, node, [*steps, index])


def _of_node(how: Callable[[Draft, list[int]], Edited], *, below: bool = False) -> Edit:
    """An edit of a whole node; `below`: never of the box itself."""
    return lambda draft, steps, _tail: how(draft, steps) if steps or not below else (draft, HERE)


EDITS: Final[dict[str, Edit]] = {
    "add": _of_node(lambda draft, steps: _add(draft, steps, deepcopy(BLANK))),
    "group": _of_node(_add_group),
    "where": _add_where,
    "unwhere": _remove_where,
    "step": _add_step,
    "unstep": _of_step(_remove_step),
    "earlier": _of_step(_move_step),
    "copy": _of_node(_copy, below=True),
    "wrap": _of_node(_wrap, below=True),
    "unwrap": _of_node(_unwrap, below=True),
    "remove": _of_node(_remove),
    "up": _of_node(lambda draft, steps: _move(draft, steps, -1), below=True),
    "down": _of_node(lambda draft, steps: _move(draft, steps, 1), below=True),
}
