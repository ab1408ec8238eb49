"""Estimates with their 95 % intervals on one scale, drawn here as SVG: text stays text, colours come from the theme.

Places are shares of the width, so that letters keep their size on every screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from flask_babel import gettext
from markupsafe import Markup

from campaigns.experiment import Interval

ROW: Final = 46
FOOT: Final = 24
EDGE: Final = 3.0  # per cent left free on both sides

Words = Callable[[float], str]


@dataclass(frozen=True)
class Mark:
    """One estimate; without an error it is a point."""

    name: str
    interval: Interval
    kind: str  # the class it is drawn with


def plot(marks: Sequence[Mark], words: Words) -> Markup:
    """Rows of points and whiskers over a common axis with zero on it."""
    ends = [0.0, *(end for mark in marks for end in (mark.interval.low, mark.interval.high))]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def x(value: float) -> str:
        return f"{EDGE + (value - low) / span * (100 - 2 * EDGE):.2f}%"

    height = ROW * len(marks) + FOOT
    ticks = [tick for tick in sorted({low, 0.0, high}) if tick == 0 or abs(tick) > span / 6]  # none upon zero's
    drawn = [_axis(x, ticks, height, words)]
    drawn += [_row(mark, x, ROW * number) for number, mark in enumerate(marks)]
    return Markup('<svg class="plot" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        height, sentence(marks, words), Markup("").join(drawn)
    )


def sentence(marks: Sequence[Mark], words: Words) -> str:
    """The same in words."""
    return "; ".join(
        gettext("%(name)s %(value)s, between %(low)s and %(high)s", name=mark.name, value=words(mark.interval.value),
                low=words(mark.interval.low), high=words(mark.interval.high))
        if mark.interval.error else f"{mark.name} {words(mark.interval.value)}"
        for mark in marks
    )  # fmt: skip


def _axis(x: Callable[[float], str], ticks: Sequence[float], height: int, words: Words) -> Markup:
    """Zero as a line, the ends as numbers."""
    anchors = dict.fromkeys(ticks, "middle") | {ticks[-1]: "end", ticks[0]: "start"}
    labels = Markup("").join(
        Markup('<text class="plot-tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
            x(tick), height - 6, anchors[tick], words(tick)
        )
        for tick in ticks
    )
    zero = Markup('<line class="plot-zero" x1="{0}" x2="{0}" y1="2" y2="{1}"/>').format(x(0), height - FOOT + 2)
    return zero + labels


def _row(mark: Mark, x: Callable[[float], str], top: int) -> Markup:
    """The name, and below it the point on its whisker."""
    value, y = mark.interval, top + 30
    whisker = Markup("")
    if value.error:
        whisker = Markup(
            '<line class="plot-line" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
            '<line class="plot-line" x1="{0}" x2="{0}" y1="{3}" y2="{4}"/>'
            '<line class="plot-line" x1="{1}" x2="{1}" y1="{3}" y2="{4}"/>'
        ).format(x(value.low), x(value.high), y, y - 6, y + 6)
    return Markup(
        '<g class="plot-{}"><text class="plot-name" x="{}%" y="{}">{}</text>{}<circle cx="{}" cy="{}" r="6"/></g>'
    ).format(mark.kind, EDGE, top + 14, mark.name, whisker, x(value.value), y)
