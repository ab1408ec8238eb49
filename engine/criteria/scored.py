"""Leaves that packages further up make of what they know: who is likely to buy, who lacks what a rule says.

A kind is a table row: its inputs give the JSON keys, what is checked, the documentation and the controls of a builder.
What it makes of them is a `Score`: one value for each contact it says something of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.values import TYPES, Clock, Words

if TYPE_CHECKING:
    from engine.catalogue import Catalogue
    from engine.criteria.nodes import Question

NOTHING: Final = Words("", "")


@dataclass(frozen=True)
class Input:
    """One thing to fill in: a JSON key beside that of the kind ("top"), or in its object ("likely.item")."""

    key: str
    type: str  # of engine.values
    label: Words
    default: Any = None  # when it is left out
    least: float | None = None  # of a number
    most: float | None = None
    whole: bool = False  # a number without a fraction
    suggest: str = ""  # field of an item whose values it is chosen from: item, category


@dataclass(frozen=True)
class Score:
    """What a kind made of its inputs. `rows`: (warehouse, clock, currency) -> Ibis table of contact_id and value, at
    most one row for a contact. `words` say who is meant ("among the 500 ..."), or what is compared ("share of ...").
    `reasons`: (tables, what runs an expression over them, clock, contact ids) -> why those of them have their value.
    """

    rows: Callable[[Any, Clock, str], Any]
    words: Words
    contrary: Words = NOTHING  # who is meant by the negation; not needed where a value is compared
    empty: Any = None  # the value of contacts without a row
    reasons: Callable[[Any, Callable[[Any], Any], Clock, Sequence[int]], Mapping[int, Words]] | None = None
    of_unit: bool = False  # of a household it is asked of who stands for it alone, not of each member
    stamp: str = ""  # differs when something outside the warehouse made it differ: another training


@dataclass(frozen=True)
class Kind:
    """A kind of leaf. `make`: (inputs by key, catalogue) -> score; it raises Invalid whose `field` is an input's key.
    Without a warehouse in the catalogue nothing is looked up, for the criteria are saved and not asked.
    """

    key: str
    label: Words  # in a menu of conditions
    doc: str
    example: Mapping[str, Any]
    inputs: tuple[Input, ...]
    make: Callable[[Mapping[str, Any], Catalogue], Score]
    type: str | None = None  # of the value that operators compare; None: to have a value is enough
    begins: Mapping[str, Any] = field(default_factory=dict)  # operator and value of a new one in a form; {}: as any
    weight: int = 20  # the work of counting one, where a field of contacts is 1 (docs/criteria.md)

    @property
    def keys(self) -> tuple[str, ...]:
        """All JSON keys beside and including the kind's own."""
        beside = tuple(one.key for one in self.inputs if "." not in one.key)
        return (self.key, *beside, *(("operator", "value") if self.type else ()))

    @property
    def inner(self) -> tuple[str, ...]:
        """Keys of the kind's own object."""
        return tuple(one.key.partition(".")[2] for one in self.inputs if "." in one.key)


KINDS: Final[dict[str, Kind]] = {}


def register_kind(kind: Kind) -> None:
    """Let criteria have leaves of this kind."""
    KINDS[kind.key] = kind


@dataclass(frozen=True)
class Scored:
    """A leaf of a registered kind: the inputs that were given, and the score made of them."""

    kind: str
    given: tuple[tuple[str, Any], ...]  # (key of the input, checked value)
    question: Question | None
    stamp: str  # of the score
    score: Score = field(compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """As it was written."""
        types = {one.key: TYPES[one.type] for one in KINDS[self.kind].inputs}
        written: dict[str, Any] = {self.kind: {}}
        for key, value in self.given:
            head, _, inner = key.partition(".")
            target = written[self.kind] if inner else written
            target[inner or head] = types[key].json(value)
        return written | (self.question.to_json() if self.question else {})

    def truth(self, value: Any, clock: Clock) -> Any:
        """Ibis boolean, never NULL."""
        return self.question.truth(value, clock) if self.question else value.notnull()
