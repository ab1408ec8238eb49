"""Which header of a file is which of our columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from engine.errors import Invalid, nearest
from engine.intake import values
from engine.intake.kinds import OPEN_LIMIT, Kind, fold


class UnknownColumn(Invalid):
    """The file has a column that nobody knows."""


def match(
    kind: Kind, header: Sequence[str], mapping: Mapping[str, str], *, ignore_unknown: bool = False
) -> dict[int, str]:
    """Position in the file -> name of our column.

    `mapping` {header: our column, or "" to leave it out} goes first, then names and aliases. Raises
    UnknownColumn, and Invalid for double and missing columns. Unnamed columns (a spreadsheet's index) are left out.
    """
    chosen = _chosen(header, mapping)
    found: dict[int, str] = {}
    unknown: list[str] = []
    for position, title in enumerate(header):
        name = chosen.get(position)
        column = kind.find(title) if name is None else kind.column(name) if name else None
        if column is not None:
            found[position] = column.name
        elif name:
            raise kind.unknown(name)
        elif name is None and title.strip():
            unknown.append(title)
    if unknown and not ignore_unknown:
        raise _unknown(kind, unknown)
    _check(kind, header, found)
    return found


def _chosen(header: Sequence[str], mapping: Mapping[str, str]) -> dict[int, str]:
    """The caller's mapping by position."""
    exact: dict[str, int] = {}
    folded: dict[str, int] = {}
    for position, title in enumerate(header):
        exact.setdefault(title.strip(), position)
        folded.setdefault(fold(title), position)
    chosen = {}
    for title, name in mapping.items():
        position = exact.get(title.strip(), folded.get(fold(title), -1))
        if position < 0:
            known = list(exact)[:1000]
            raise Invalid(f"The file has no column {values.show(title)}.{nearest(title, known)}", field=title[:80])
        chosen[position] = name.strip()
    return chosen


def _unknown(kind: Kind, unknown: Sequence[str]) -> UnknownColumn:
    error = kind.unknown(unknown[0])
    more = f" {len(unknown) - 1} more columns are unknown too." if len(unknown) > 1 else ""
    words = f"{error.message}{more} Map it to a column, or leave unknown columns out."
    return UnknownColumn(words, field=error.field)


def _check(kind: Kind, header: Sequence[str], found: Mapping[int, str]) -> None:
    name, count = (Counter(found.values()).most_common(1) or [("", 0)])[0]
    if count > 1:
        titles = [values.show(header[position]) for position, target in found.items() if target == name][:5]
        raise Invalid(f"{', '.join(titles)} all mean '{name}'; keep one and map the others to nothing.", field=name)
    missing = [name for name in kind.required if name not in found.values()]
    if missing:
        present = ", ".join(values.show(title) for title in header[:20])
        raise Invalid(
            f"The column {missing[0]} is missing: {kind.name} need {', '.join(kind.required)};"
            f" the file has {present or 'no columns'}.",
            field=missing[0],
        )
    if kind.one_of and not set(kind.one_of) & set(found.values()):
        raise Invalid(f"The file needs one of the columns {', '.join(kind.one_of)}.", field=kind.one_of[0])
    own = sum("." in name for name in found.values())
    if own > OPEN_LIMIT:
        raise Invalid(f"The file has {own} {kind.open}; at most {OPEN_LIMIT} can be kept. Leave some out.")
