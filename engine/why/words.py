"""What made a verdict what it is and what time will do to it, said in both languages."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from engine.values import TYPES, Style, Words
from engine.why.tree import Finding, Why

CAUSE: Final = {
    True: Words("{0}{1} on {2}{3}: that made it true", "{2}{0}{1}{3}，使其成立"),
    False: Words("{0}{1} on {2}{3}: that made it untrue", "{2}{0}{1}{3}，使其不再成立"),
}
NTH: Final = Words(", the {0} time", "（第{0}次）")
ABOUT: Final = Words(" (“{0}”)", "“{0}”")
SINCE: Final = {
    True: Words("true since {0}, by time alone", "自{0}起成立，仅因时间推移"),
    False: Words("untrue since {0}, by time alone", "自{0}起不成立，仅因时间推移"),
}
LEAVES: Final = {
    True: Words("Leaves on {0} if nothing happens.", "若无新的行为，将于{0}离开。"),
    False: Words("Comes in on {0} if nothing happens.", "若无新的行为，将于{0}进入。"),
}
STAYS: Final = {
    True: Words("Will not leave by time alone before {0}.", "在{0}之前不会仅因时间推移而离开。"),
    False: Words("Will not come in by time alone before {0}.", "在{0}之前不会仅因时间推移而进入。"),
}
TURNS: Final = {True: Words("No longer true then:", "届时不再成立："), False: Words("True then:", "届时成立：")}
MEETS: Final = {
    True: (Words("Meets the criteria since {0}.", "自{0}起符合条件。"),
           Words("Meets the criteria, as far back as is known.", "符合条件，起始时间早于已知记录。")),
    False: (Words("Does not meet the criteria since {0}.", "自{0}起不符合条件。"),
            Words("Does not meet the criteria, as far back as is known.", "不符合条件，起始时间早于已知记录。")),
}  # fmt: skip
NOW_ONLY: Final = Words(
    "What is marked “as of now” compares with everybody or hangs on too many rows; it is taken to stay as it is.",
    "标有“仅限当前”的条件需与所有人比较或涉及的记录过多，此处假定其保持不变。",
)


def cause(finding: Finding, style: Style) -> str:
    """The row that made the verdict, or the day from which time did; empty where neither is known."""
    event = finding.event
    if event is None:
        when = finding.since if not finding.nodes else None
        return SINCE[finding.met](style.language).format(_moment(when, style)) if when else ""
    nth = NTH(style.language).format(_nth(event.number, style)) if event.number and event.number > 1 else ""
    about = ABOUT(style.language).format(event.told) if event.told else ""
    verb = event.verb(style.language)
    return CAUSE[event.made](style.language).format(verb, about, _moment(event.at, style), nth)


def standing(why: Why, style: Style) -> str:
    """Since when they are among those meant, or not."""
    dated, always = MEETS[why.met]
    since = why.root.since
    return dated(style.language).format(_moment(since, style)) if since else always(style.language)


def outlook(why: Why, style: Style) -> str:
    """When they leave, or come in, by time alone, and the condition that does it."""
    until = why.root.until
    if until is None:
        return STAYS[why.met](style.language).format(TYPES["date"].words(why.looked.astimezone(style.zone), style))
    said = LEAVES[why.met](style.language).format(_moment(until, style))
    if why.clause is None or why.clause is why.root:
        return said
    turns = TURNS[why.clause.met](style.language)
    between = "" if style.locale.startswith("zh") else " "
    return f"{said}{between}{turns}{between}{why.clause.phrase(style.language)}"


def _moment(moment: datetime, style: Style) -> str:
    return TYPES["moment"].words(moment.replace(second=0, microsecond=0), style)


def _nth(number: int, style: Style) -> str:
    if style.locale.startswith("zh"):
        return str(number)
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
