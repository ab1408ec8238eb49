"""What the templates show of a draft: nodes, questions and controls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.criteria.duration import LAST
from engine.fields import MEASURES
from engine.preview import Clause
from web.pages.lists.draft import Draft, scale_of, text_of
from web.pages.lists.words import Options


@dataclass(frozen=True)
class Choice:
    """What is chosen of a list of choices, which stands once in the page."""

    choices: str
    value: str
    words: str


@dataclass(frozen=True)
class Box:
    """The control of one value, of a type of engine.values. `options`: all there are; `suggestions`: id of some."""

    name: str
    id: str
    label: str
    type: str
    value: str = ""
    options: Options | None = None
    suggestions: str = ""
    hint: str = ""
    fault: str = ""  # id of what says what is wrong with it
    optional: bool = False

    @property
    def input(self) -> str:
        """The type as a browser's control can hold the value."""
        return "text" if self.type in {"date", "moment"} and len(self.value) not in {0, 10} else self.type


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A node. `faults`: by control ("value", "within.from"), relative to the place; "" is the node as a whole."""

    place: str
    kind: str
    faults: Mapping[str, str]
    clause: Clause | None
    node: Draft = field(repr=False)
    is_open: bool = False

    @property
    def message(self) -> str:
        """What is wrong, in one line."""
        return " ".join(dict.fromkeys(self.faults.values()))

    def wrong(self, *controls: str) -> bool:
        """Is one of these controls at fault?"""
        return any(control in self.faults for control in controls)


@dataclass(frozen=True, kw_only=True)
class ShownGroup(Shown):
    """all, any, none, not, at_least."""

    nodes: list[Shown]

    @property
    def least(self) -> str:
        """k of "at least k of"."""
        return text_of(self.node.get("at_least", ""))


@dataclass(frozen=True)
class Subject:
    """What a condition is about. `typed`: the name in the box beside it, `names` those that fit what is typed. None:
    there is no box.
    """

    chosen: Choice
    typed: str | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Question:
    """An operator and its values. `control`: none, one, range, several or lines."""

    type: str
    operator: Choice
    control: str
    boxes: list[Box]


@dataclass(frozen=True, kw_only=True)
class ShownLeaf(Shown):
    """A field compared, of contacts or of an event's rows; a list; or something of a registered kind."""

    subject: Subject
    question: Question | None = None
    boxes: list[Box] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Deed(Shown):
    """An event with conditions."""

    subject: Subject
    where: list[ShownLeaf]
    lasting: Sequence[Box] = ()  # how long after the step before: a number and its scale

    @property
    def is_absent(self) -> bool:
        """A step that did not happen."""
        return "not" in self.node


@dataclass(frozen=True, kw_only=True)
class Timed(Shown):
    """What has a window; `within`: the controls of all kinds of windows."""

    window: str
    within: Mapping[str, Box]
    lasting: Sequence[Box]  # how long the window is: a number and its scale
    since: Deed | None = None


@dataclass(frozen=True, kw_only=True)
class ShownEvent(Timed):
    """What people did."""

    deed: Deed
    question: Question
    measure: Choice
    measured_property: Choice | None

    @property
    def compared(self) -> str:
        """What it is compared to, "" when it is not."""
        return str(self.node.get("compared_to", ""))

    @property
    def can_compare(self) -> bool:
        """Is it a number in a window with both ends?"""
        measure, within = MEASURES.get(self.node.get("measure", "")), self.node.get("within", {})
        has_ends = bool(scale_of(within, LAST)) or {"from", "to"} <= within.keys()
        return bool(measure and measure.empty == 0) and has_ends

    @property
    def measured(self) -> str:
        """What the question was asked of."""
        return f"{self.node.get('measure', '')} {self.node.get('property', '')}"


@dataclass(frozen=True, kw_only=True)
class ShownSequence(Timed):
    """One thing after another."""

    subject: Subject
    steps: list[Deed]


@dataclass(frozen=True, kw_only=True)
class ShownOther(Shown):
    """Something the form has no controls for."""

    @property
    def json(self) -> str:
        """As it is."""
        return json.dumps(self.node, ensure_ascii=False)
