"""Criteria in words, English and Simplified Chinese.

Negations are pushed down to the leaves (de Morgan holds, because no leaf is ever NULL), so that brackets are
needed only where "and" meets "or".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from engine.criteria.duration import Duration
from engine.criteria.nodes import (
    Criteria,
    Deed,
    EventLeaf,
    Group,
    Leaf,
    Membership,
    Node,
    Question,
    Sequence,
    Since,
    Step,
    Window,
)
from engine.criteria.operators import MANY, OPERATORS
from engine.criteria.scored import Scored
from engine.criteria.units import CONTACT
from engine.database import EPOCH
from engine.fields import Field
from engine.values import TYPES, Clock, Style, Words

SHOWN: Final = 10  # values of a long list that are spelled out

AND, OR = Words(" and ", "，且"), Words(" or ", "或")
EVERY_ONE: Final = {False: OR, True: Words(" and ", "和")}  # of several values
EVERYONE: Final = {
    "contact": Words("All contacts", "所有联系人"),
    "household": Words("All households", "所有家庭"),
    "account": Words("All accounts", "所有客户单位"),
}
PEOPLE: Final = {
    "contact": Words("People {0}", "{0}的联系人"),
    "household": Words("Households with people {0}", "成员{0}的家庭"),
    "account": Words("Accounts with people {0}", "成员{0}的客户单位"),
}
JUST: Final = Words("{0}", "{0}")
EXCEPT: Final = {  # of contacts; of others
    True: Words("{0}, except people {1}", "{0}，但{1}的联系人除外"),
    False: Words("{0}, except those with people {1}", "{0}，但成员{1}的除外"),
}
AND_NOT: Final = (JUST, Words("{0}, except people {1}", "{0}，但{1}的除外"))
LIST: Final = {
    False: Words("on the list “{0}”", "在名单“{0}”中"),
    True: Words("not on the list “{0}”", "不在名单“{0}”中"),
}
AT_LEAST: Final = {
    False: Words("who meet at least {0} of these ({1})", "至少满足以下{0}项（{1}）"),
    True: Words("who meet fewer than {0} of these ({1})", "满足以下不足{0}项（{1}）"),
}
WHOSE: Final = Words("whose {0} {1}", "{0}{1}")
NUMBER_OF: Final = Words("number of {1}", "{1}次数")
SINCE: Final = Words(" since they last {0}{1}", "自上次{0}{1}以来")
AFTER: Final = Words(" in the {2} after they last {0}{1}", "在上次{0}{1}之后{2}内")
THEN: Final = Words(", then ", "，随后")
FOLLOWED: Final = {
    False: Words("who {0}", "先后{0}"),
    True: Words("who are not among those who {0}", "不属于先后{0}"),
}
CHANGE_OF: Final = Words("whose change of {0} against {1}, in percent, {2}", "{0}与{1}相比的变化百分比{2}")
CHANGED: Final = {  # by whether it is denied
    "fell": {
        False: Words("whose {0} fell by {1}% against {2}", "{0}与{2}相比下降{1}%"),
        True: Words("whose {0} did not fall by {1}% against {2}", "{0}与{2}相比并未下降{1}%"),
    },
    "rose": {
        False: Words("whose {0} rose by {1}% against {2}", "{0}与{2}相比上升{1}%"),
        True: Words("whose {0} did not rise by {1}% against {2}", "{0}与{2}相比并未上升{1}%"),
    },
    "changed": {
        False: Words("whose {0} changed by {1}% against {2}", "{0}与{2}相比变化{1}%"),
        True: Words("whose {0} did not change by {1}% against {2}", "{0}与{2}相比并未变化{1}%"),
    },
}
DOWN: Final = {"at_most": "at_least", "less_than": "more_than", "is": "is", "between": "between"}  # said of a fall
UP: Final = {"at_least", "more_than", "is", "between"}


def sentence(criteria: Criteria, language: str = "en") -> str:
    """The criteria as one sentence, e.g. "People in United Kingdom who ordered at least 3 times in the last 90 days".
    Plain text: whoever puts it on a page escapes it.
    """
    return _Writer(Style(language, criteria.zone, criteria.currency)).whole(criteria.root, criteria.unit or CONTACT)


def phrase(criteria: Criteria, node: Node, language: str = "en") -> str:
    """One clause: "whose income is at least £30,000"."""
    return _Writer(Style(language, criteria.zone, criteria.currency)).node(node, negated=False)


@dataclass(frozen=True)
class _Writer:
    style: Style

    def say(self, words: Words, *parts: str) -> str:
        """Words with parts put in."""
        return words(self.style.language).format(*parts)

    def whole(self, root: Node, unit: str) -> str:
        """Who is meant, and who is left out."""
        if isinstance(root, Group) and root.kind == "include":
            meant, *left_out = root.nodes
            parts = [self.node(node, negated=False) for node in left_out]
            return self.say(EXCEPT[unit == CONTACT] if parts else JUST, self.whole(meant, unit), *parts)
        if root == Group("all", ()):
            return self.say(EVERYONE[unit])
        return self.say(PEOPLE[unit], self.node(root, negated=False))

    def node(self, node: Node, *, negated: bool) -> str:
        """Any node, or its negation."""
        if isinstance(node, Leaf):
            return self.leaf(node.field, node.question.opposite() if negated else node.question)
        if isinstance(node, EventLeaf):
            return self.event(node.deed, node.question.opposite() if negated else node.question)
        if isinstance(node, Sequence | Membership | Scored):
            return self.whole_leaf(node, negated=negated)
        if node.kind == "include":
            boxes = [self.node(child, negated=False) for child in node.nodes]
            return self.say(AND_NOT[len(boxes) - 1], *boxes)
        if node.kind == "at_least":
            separator = "；" if self.is_chinese else "; "
            parts = separator.join(self.node(child, negated=False) for child in node.nodes)
            return self.say(AT_LEAST[negated], str(node.least), parts)
        return self.group(node, negated=negated)

    def whole_leaf(self, node: Sequence | Membership | Scored, *, negated: bool) -> str:
        """One thing after another, being on a list, or a leaf of a registered kind."""
        if isinstance(node, Sequence):
            return self.sequence(node, negated=negated)
        if isinstance(node, Membership):
            return self.say(LIST[negated], node.name)
        words, question = node.score.words(self.style.language), node.question
        if question is None:
            return node.score.contrary(self.style.language) if negated else words
        question = question.opposite() if negated else question
        question = question if node.score.empty is None else _plain(question)
        return self.say(WHOSE, words, self.say(question.operator.words, *self.values(question)))

    @property
    def is_chinese(self) -> bool:
        """Which grammar."""
        return self.style.locale.startswith("zh")

    def group(self, node: Group, *, negated: bool) -> str:
        """all, any, none, not."""
        if node == Group("all", ()):
            return self.say(
                Words("who are none of our contacts", "不属于任何联系人")
                if negated
                else Words("who are our contacts", "全部")
            )
        within = negated ^ (node.kind in {"none", "not"})
        if len(node.nodes) == 1:
            return self.node(node.nodes[0], negated=within)
        is_any = (node.kind in {"any", "none", "not"}) ^ within
        parts = [self.part(child, is_any=is_any, negated=within) for child in node.nodes]
        if is_any or self.is_chinese:
            return self.join(parts, OR if is_any else AND)
        return self.people(parts)

    def part(self, child: Node, *, is_any: bool, negated: bool) -> str:
        """A child, in brackets when it joins several by the other word."""
        text = self.node(child, negated=negated)
        joined = _joins_any(child, negated=negated)
        if joined is None or joined == is_any:
            return text
        return f"（{text}）" if self.is_chinese else f"({text})"

    def people(self, parts: list[str]) -> str:
        """English "and": first what describes ("in United Kingdom and aged 30"), then " who ...", " and (who"."""
        clauses = [part for part in parts if part.lstrip("(").startswith(("who ", "whose "))]
        others = [part for part in parts if part not in clauses]
        link = AND(self.style.language) if clauses and clauses[0].startswith("(") else " "
        return link.join(self.join(group, AND) for group in (others, clauses) if group)

    def join(self, parts: list[str], word: Words) -> str:
        """A, B and C."""
        text = word(self.style.language)
        if len(parts) < 3 or self.is_chinese:
            return text.join(parts)
        return f"{', '.join(parts[:-1])},{text}{parts[-1]}"

    def leaf(self, field: Field, question: Question) -> str:
        """A field of contacts."""
        question = question if field.empty is None else _plain(question)
        values = self.values(question, field)
        if field.states and question.operator.key in {"is", "is_not"}:
            return self.say(field.states[question.values[0] ^ question.operator.negated])
        if field.placed and question.operator.key in {"is", "in"}:
            return self.say(field.placed, *values)
        if field.placed and question.operator.key in {"is_not", "not_in"} and not self.is_chinese:
            return "not " + self.say(field.placed, *values)
        if field.said and question.operator.amount:
            return self.say(field.said, self.say(question.operator.amount, *values))
        return self.say(WHOSE, self.say(field.label), self.say(question.operator.words, *values))

    def event(self, deed: Deed, question: Question) -> str:
        """What people did: "who ordered at least 3 times in the last 90 days"."""
        question = question if deed.empty() is None else _plain(question)
        where, window = self.where(deed.where), self.window(deed.window)
        if deed.compared:
            return self.change(self.measured(deed, window, where), deed, question)
        counted = self.counted(deed, question) if deed.measure.key == "count" else None
        if counted and self.is_chinese:
            return f"{window}{counted}{where}"
        if counted:
            return f"who {counted}{window}{where}"
        told = deed.property if deed.measure.result == "own" else None
        values = self.values(question, told)
        return self.say(WHOSE, self.measured(deed, window, where), self.say(question.operator.words, *values))

    def measured(self, deed: Deed, window: str, where: str) -> str:
        """ "number of orders in the last 90 days"."""
        noun = self.say(deed.behaviour.noun)
        of = self.say(deed.property.label) if deed.property else ""
        what = self.say(NUMBER_OF if deed.measure.key == "count" else deed.measure.words, of, noun)
        return f"{window}{what}{where}" if self.is_chinese else f"{what}{window}{where}"

    def change(self, what: str, deed: Deed, question: Question) -> str:
        """ "whose number of orders in the last 90 days fell by at least 30% against the 90 days before"."""
        against = self.against(deed.window)
        positive = question.opposite() if question.operator.negated else question
        way, positive = _way(positive)
        if positive.operator.amount is None:
            asked = self.say(question.operator.words, *self.values(question))
            return self.say(CHANGE_OF, what, against, asked)
        amount = self.say(positive.operator.amount, *self.values(positive))
        return self.say(CHANGED[way][question.operator.negated], what, amount, against)

    def against(self, window: Window | Since | None) -> str:
        """What is compared to: the equally long stretch before."""
        if isinstance(window, Window) and window.last:
            return self.say(Words("the {0} before", "此前{0}"), self.lasting(window.last))
        return self.say(Words("the equally long time before", "此前同样长的时间"))

    def sequence(self, node: Sequence, *, negated: bool) -> str:
        """ "who viewed an item, then did not order within 7 days"."""
        parts = [self.step(step, place, node) for place, step in enumerate(node.steps)]
        return self.say(FOLLOWED[negated], self.say(THEN).join(parts))

    def step(self, step: Step, place: int, node: Sequence) -> str:
        """ "did not order within 7 days"."""
        behaviour, where = step.happening.behaviour, self.where(step.happening.where)
        verb = self.say(behaviour.contrary if step.absent else behaviour.verb)
        when = self.window(node.window) if place == 0 else self.within(step.within)
        return f"{when}{verb}{where}" if self.is_chinese else f"{verb}{where}{when}"

    def within(self, duration: Duration | None) -> str:
        """ "within 7 days"."""
        return self.say(Words(" within {0}", "{0}内"), self.lasting(duration)) if duration else ""

    def lasting(self, duration: Duration | None) -> str:
        """ "7 days"."""
        return duration.words(self.style.language) if duration else ""

    def counted(self, deed: Deed, question: Question) -> str | None:
        """ "ordered", "did not order", "ordered at least 3 times"; None when there is no such way to say it."""
        positive = question.opposite() if question.operator.negated else question
        verb = deed.behaviour.contrary if question.operator.negated else deed.behaviour.verb
        once = (positive.operator.key, *positive.values)
        if once in {("at_least", 1), ("more_than", 0)}:
            return self.say(verb)
        if once in {("is", 0), ("at_most", 0), ("less_than", 1)}:
            return self.say(deed.behaviour.verb if question.operator.negated else deed.behaviour.contrary)
        if positive.operator.amount is None:
            return None
        amount = self.say(positive.operator.amount, *self.values(positive))
        times = "次" if self.is_chinese else (" time" if positive.values[-1] == 1 else " times")
        return f"{self.say(verb)}{'' if self.is_chinese else ' '}{amount}{times}"

    def where(self, leaves: Iterable[Leaf]) -> str:
        """Conditions on the rows of an event."""
        if not leaves:
            return ""
        parts = [
            self.say(Words("the {0} {1}", "{0}{1}"), self.say(leaf.field.label), self.say(
                leaf.question.operator.words, *self.values(leaf.question, leaf.field)))
            for leaf in leaves
        ]  # fmt: skip
        return f"（{self.join(parts, AND)}）" if self.is_chinese else f" where {self.join(parts, AND)}"

    def values(self, question: Question, field: Field | None = None) -> list[str]:
        """The values in words, references by name; many become one text."""
        kind, named = TYPES[question.operator.takes or question.type], field.named if field else {}
        shown = question.values[:SHOWN]
        words = [f"“{named[value]}”" if value in named else kind.words(value, self.style) for value in shown]
        if question.operator.values != MANY:
            return words
        more = len(question.values) - len(words)
        if more:
            words.append(self.say(Words("{0} more", "其他{0}个值"), str(more)))
        between = "、" if self.is_chinese else ", "
        last = self.say(EVERY_ONE[question.operator.every])
        return [last.join([between.join(words[:-1]), words[-1]] if words[1:] else words)]

    def window(self, window: Window | Since | None) -> str:
        """A stretch of time; whole days are named by their first and last, which both belong to it."""
        if window is None:
            return ""
        if isinstance(window, Since):
            told = self.say(window.happening.behaviour.verb), self.where(window.happening.where)
            return self.say(AFTER if window.within else SINCE, *told, self.lasting(window.within))
        if window.last and not window.end:
            return self.say(Words(" in the last {0}", "在最近{0}内"), self.lasting(window.last).removeprefix("1 "))
        return self.say(*self.fixed(window))

    def fixed(self, window: Window) -> tuple[Words, *tuple[str, ...]]:
        """Words and parts of a window whose ends do not move with the clock."""
        start, end = (self.day(bound) for bound in window.bounds(Clock(EPOCH, self.style.zone)))
        if start is None:
            return Words(" before {0}", "在{0}之前"), self.moment(end)
        if end is None:
            return Words(" since {0}", "自{0}以来"), self.moment(start)
        if isinstance(start, datetime) or isinstance(end, datetime):
            return Words(" from {0} until {1}", "自{0}起至{1}之前"), self.moment(start), self.moment(end)
        last = end - timedelta(days=1)
        if start == last:
            return Words(" on {0}", "在{0}当天"), self.moment(start)
        return Words(" between {0} and {1}", "在{0}至{1}期间"), self.moment(start), self.moment(last)

    def day(self, instant: datetime | None) -> date | None:
        """The day that begins at this instant in the shop's zone; else the instant itself (a datetime is a date)."""
        if instant is None:
            return None
        clock = Clock(instant, self.style.zone)
        return clock.today if clock.start(clock.today) == instant else instant

    def moment(self, value: date | None) -> str:
        """A day or time in words."""
        return TYPES["moment"].words(value, self.style)


def _way(question: Question) -> tuple[str, Question]:
    """Is a change in percent asked for as a fall, a rise, or either? "At most -30" is a fall by at least 30."""
    key = question.operator.key
    if key in DOWN and all(value < 0 for value in question.values):
        values = tuple(-value for value in reversed(question.values))
        return "fell", Question(OPERATORS[DOWN[key]], question.type, values)
    return ("rose" if key in UP and all(value > 0 for value in question.values) else "changed"), question


def _plain(question: Question) -> Question:
    """ "Less than 3" for "not at least 3": the same where the value is never unknown, as a count."""
    key = {"not_at_least": "less_than", "not_at_most": "more_than", "not_more_than": "at_most",
           "not_less_than": "at_least"}.get(question.operator.key)  # fmt: skip
    return Question(OPERATORS[key], question.type, question.values) if key else question


def _joins_any(node: Node, *, negated: bool) -> bool | None:
    """Does the node join several parts by "or" (True) or "and" (False)? None when it is one part."""
    if not isinstance(node, Group) or node.kind == "at_least":
        return None
    within = negated ^ (node.kind in {"none", "not"})
    if len(node.nodes) == 1:
        return _joins_any(node.nodes[0], negated=within)
    return (node.kind in {"any", "none", "not"}) ^ within
