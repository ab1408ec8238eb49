"""Pictures of numbers: small ones drawn here as SVG, large ones described here and drawn by the charts island.

A `Chart` is the one source of the drawing, of its sentence for screen readers and of the table below it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from apiflask import APIFlask
from flask_babel import gettext
from markupsafe import Markup

from engine.money import UNIT
from web.format import money, number, share

_WIDTH, _HEIGHT = 84, 32


@dataclass(frozen=True)
class Series:
    """One row of numbers, as many as the chart has categories; None is a gap."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """What to draw. Values of unit "money" are currency units, of "share" fractions in [0, 1]."""

    title: str
    axis: str  # what the categories are: "Week"
    categories: Sequence[str]
    series: Sequence[Series]
    kind: Literal["line", "bar"] = "line"
    unit: Literal["number", "money", "share"] = "number"
    currency: str | None = None
    stacked: bool = False
    horizontal: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return not any(value for one in self.series for value in one.values)

    @property
    def json(self) -> str:
        """For the island."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """The same numbers in words, for the table."""
        columns = [one.values for one in self.series]
        return [(name, [self._words(values[at]) for values in columns]) for at, name in enumerate(self.categories)]

    @property
    def sentence(self) -> str:
        """What a screen reader says: title, span and last values."""
        last = ", ".join(f"{one.name} {self._words(one.values[-1])}" for one in self.series)
        return str(
            gettext(
                "%(title)s: %(first)s to %(last)s; at the end %(values)s",
                title=self.title,
                first=self.categories[0],
                last=self.categories[-1],
                values=last,
            )
        )

    def _words(self, value: float | None) -> str:
        if value is None:
            return "–"
        if self.unit == "money":
            return money(round(value * UNIT), self.currency)
        return share(value) if self.unit == "share" else number(value, 2)


@dataclass(frozen=True)
class Point:
    """One of a scatter; band: which of its shades; href: where it leads."""

    name: str
    x: float
    y: float
    band: int
    href: str


@dataclass(frozen=True)
class Scatter:
    """Points over two axes, x logarithmic for counts and y a share, in shades of one colour: bands, weakest first."""

    title: str
    axis: str  # what a point is: "Rule"
    x: str
    y: str
    shade: str  # what the bands are of: "Lift"
    bands: Sequence[str]
    points: Sequence[Point]

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return not self.points

    @property
    def json(self) -> str:
        """For the island."""
        return json.dumps(asdict(self) | {"kind": "scatter"}, ensure_ascii=False, allow_nan=False)

    @property
    def series(self) -> list[Series]:
        """The columns of the table."""
        return [Series(name, ()) for name in (self.x, self.y, self.shade)]

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """The same numbers in words, for the table."""
        return [(one.name, [number(one.x), share(one.y), self.bands[one.band]]) for one in self.points]

    @property
    def sentence(self) -> str:
        """What a screen reader says."""
        return str(gettext("%(title)s: %(n)s points", title=self.title, n=number(len(self.points))))


def register(app: APIFlask) -> None:
    """Give templates the small pictures."""
    app.jinja_env.globals.update(sparkline=sparkline, hbar=hbar)


def sparkline(values: Sequence[float]) -> Markup:
    """A line without axes, lowest value at the foot; for a shape at a glance, never the only place of a number."""
    if len(values) < 2:
        return Markup()
    low, high = min(values), max(values)
    span = (high - low) or 1
    step = _WIDTH / (len(values) - 1)
    points = " ".join(
        f"{at * step:.1f},{_HEIGHT - 2 - (value - low) / span * (_HEIGHT - 4):.1f}" for at, value in enumerate(values)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" preserveAspectRatio="none" aria-hidden="true">'
        '<polygon class="spark-area" points="0,{h} {p} {w},{h}"/><polyline class="spark-line" points="{p}"/></svg>'
    ).format(w=_WIDTH, h=_HEIGHT, p=points)


def hbar(part: float) -> Markup:
    """A share in [0, 1] as a bar, beside its number."""
    return Markup(
        '<svg class="hbar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="hbar-ground" width="100" height="8" rx="2"/>'
        '<rect class="hbar-fill" width="{:.1f}" height="8" rx="2"/></svg>'
    ).format(min(max(part, 0), 1) * 100)
