"""What the buttons of the criteria builder do to a draft. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Final

from web.pages.lists.draft import BLANK, ROOT, SEVERAL, Draft, children, group, kind_of

Edited = tuple[Draft, str]  # and the place to go on at


def edit(draft: Draft, verb: str, place: str) -> Edited:
    """Carry out what a button says, and name the place to go on at. A place that is gone changes nothing."""
    steps = [int(step) for step in re.findall(r"\.(\d{1,9})", place)]
    if verb not in EDITS or not _exists(draft, steps[:-1] if verb == "unwhere" else steps):
        return draft, ""
    return EDITS[verb](draft, steps)


def place_of(steps: list[int]) -> str:
    """The name of a place."""
    return ".".join([ROOT, *map(str, steps)])


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


def _add_where(draft: Draft, steps: list[int]) -> Edited:
    if kind_of(_at(draft, steps)) != "event":
        return draft, ""
    size = len(_at(draft, steps).get("where", []))
    made = _change(draft, steps, lambda one: [{**one, "where": [*one.get("where", []), deepcopy(BLANK)]}])
    return made, f"{place_of(steps)}.where.{size}"


def _remove_where(draft: Draft, steps: list[int]) -> Edited:
    """The last step is the number of the condition."""
    if not steps:
        return draft, ""
    *steps, index = steps

    def without(one: Draft) -> list[Draft]:
        if "where" not in one:
            return [one]
        where = [leaf for at, leaf in enumerate(one["where"]) if at != index]
        rest = {key: value for key, value in one.items() if key != "where"}
        return [{**rest, "where": where} if where else rest]

    return _change(draft, steps, without), place_of(steps)


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


EDITS: Final[dict[str, Callable[[Draft, list[int]], Edited]]] = {
    "add": lambda draft, steps: _add(draft, steps, deepcopy(BLANK)),
    "group": _add_group,
    "where": _add_where,
    "unwhere": _remove_where,
    "copy": lambda draft, steps: _copy(draft, steps) if steps else (draft, ROOT),
    "remove": _remove,
    "up": lambda draft, steps: _move(draft, steps, -1) if steps else (draft, ROOT),
    "down": lambda draft, steps: _move(draft, steps, 1) if steps else (draft, ROOT),
}
