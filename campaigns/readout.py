"""What the variants of a placement earned: people, clicks, orders and margin of each arm, and the differences.

The unit is the person: a contact, or a visitor nobody knows. Somebody counts from the first impression that was told of
the comparison (for mails from the message on), in the arm that was shown first, with all orders after it, whichever
offer they came from (intention to treat). Being asked for is no exposure: whether anybody saw the answer only an
impression tells, and to note each question would cost the storefront a write. The comparison of arms is that of
campaigns (campaigns.experiment).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from campaigns import experiment
from campaigns.experiment import Arm, Interval
from campaigns.exposed import CREDIT_DAYS, METRICS, Figures, figures, strays
from campaigns.roi import Verdict, money_words
from engine.warehouse import Warehouse
from recommender import comparisons
from recommender.models import Comparison

MANY_STRAYS: Final = 0.05  # merged contacts and browsers that became known make a few
MAIN: Final = "margin"  # what decides


@dataclass(frozen=True)
class Difference:
    """One arm less another, per person, with its 95 % interval; None: too few people did it to tell."""

    metric: str
    arm: str
    against: str
    interval: Interval | None


@dataclass(frozen=True)
class Readout:
    """All figures of a comparison as of a moment; None where there is no honest figure."""

    comparison_id: int
    currency: str
    as_of: datetime
    start: datetime
    until: datetime  # what happened later does not count
    planned_end: datetime
    interim: bool
    arms: Mapping[str, Figures]
    differences: Sequence[Difference]
    mismatch: float | None  # chance of a split as uneven as this
    detectable: float | None  # smallest true difference in margin a person that shows in 4 of 5 such comparisons
    verdict: Verdict
    warnings: Sequence[str]

    @property
    def people(self) -> int:
        """Of all arms."""
        return sum(arm.people for arm in self.arms.values())

    def difference(self, metric: str, arm: str, against: str) -> Interval | None:
        """One of the differences."""
        asked = (metric, arm, against)
        return next((one.interval for one in self.differences if (one.metric, one.arm, one.against) == asked), None)

    @property
    def definition(self) -> str:
        """How the figures are counted, in words."""
        return (
            "A person is a contact, or a visitor nobody knows. They count from the first impression that your site or a"
            " mail told, in the variant they were shown first, with all their orders from then on in"
            f" {self.currency}, also of what was never offered; returns take away from them. Credited: items bought by"
            f" the same contact within {CREDIT_DAYS} days of a click on their offer. Orders of people nobody knows"
            " cannot be told and count for no arm."
        )


def readout(session: Session, warehouse: Warehouse, row: Comparison, *, currency: str, now: datetime) -> Readout:
    """The readout as of `now`, over what the warehouse holds."""
    until = comparisons.counts_until(row, now)
    arms = figures(session, warehouse, row, until, currency)
    end = comparisons.planned_end(row)
    interim = row.ended_at is None and now < end
    chance = _mismatch(row, arms)
    differences = () if chance is not None and chance < experiment.MISMATCH else compared(arms)
    stray = strays(session, warehouse, row, until)
    case = _Case(row, arms, chance, stray, differences, currency, interim=interim, early=until < end)
    return Readout(
        comparison_id=row.id,
        currency=currency,
        as_of=now,
        start=row.started_at,
        until=until,
        planned_end=end,
        interim=interim,
        arms=arms,
        differences=differences,
        mismatch=chance,
        detectable=_detectable(case),
        verdict=_verdict(case, end),
        warnings=[words for applies, words in _warnings(case) if applies],
    )


def compared(arms: Mapping[str, Figures]) -> list[Difference]:
    """Every pair of arms by every metric: b less a, then either less who is held out."""
    pairs = [("b", "a"), *(((one, "holdout") for one in ("a", "b")) if "holdout" in arms else ())]
    return [
        Difference(metric, arm, against, _difference(arms[arm].outcomes[metric], arms[against].outcomes[metric]))
        for metric in METRICS
        for arm, against in pairs
    ]


def _difference(one: Arm, other: Arm) -> Interval | None:
    """By the method that the arm with fewer buyers allows."""
    few, many = sorted((one, other), key=lambda arm: arm.buyers)
    how = experiment.method(many, few)
    return experiment.difference(one, other, how) if how else None


def _mismatch(row: Comparison, arms: Mapping[str, Figures]) -> float | None:
    """The least chance of the splits: b among both variants, and those held out among all; None before anybody came."""
    a, b, held = (arms[arm].people if arm in arms else 0 for arm in ("a", "b", "holdout"))
    if not a + b + held:
        return None
    splits = [experiment.mismatch(a, b, row.share_b)] if a + b else []
    splits += [experiment.mismatch(a + b, held, row.holdout)] if row.holdout else []
    return min(1.0, min(splits) * len(splits))


@dataclass(frozen=True)
class _Case:
    """What the verdict is about."""

    row: Comparison
    arms: Mapping[str, Figures]
    mismatch: float | None
    stray: float
    differences: Sequence[Difference]
    currency: str
    interim: bool
    early: bool

    @property
    def main(self) -> Interval | None:
        """What decides: b less a, in margin a person."""
        wanted = (MAIN, "b", "a")
        return next((one.interval for one in self.differences if (one.metric, one.arm, one.against) == wanted), None)

    @property
    def people(self) -> int:
        """Of all arms."""
        return sum(arm.people for arm in self.arms.values())

    @property
    def sure(self) -> int:
        """1: b earns more for sure, -1: a does, 0: cannot tell."""
        return 0 if self.main is None else 1 if self.main.low > 0 else -1 if self.main.high < 0 else 0

    def words(self) -> dict[str, Any]:
        """What the sentences name; of the variant that is better."""
        main = self.main or Interval(0, 0)
        better = main if main.value >= 0 else main.scaled(-1)
        low, high = sorted((better.low, better.high))
        shown = {"value": better.value, "low": low, "high": high}
        names = {"a": self.row.variant_a["label"], "b": self.row.variant_b["label"]}
        best, other = ("b", "a") if main.value >= 0 else ("a", "b")
        counts = ", ".join(f"{one.people:,} in {name}" for name, one in self.arms.items())
        return {name: money_words(amount, self.currency, whole=False) for name, amount in shown.items()} | {
            "best": f"{best.upper()} ({names[best]})",
            "other": f"{other.upper()} ({names[other]})",
            "counts": counts,
            "buyers": min(self.arms[arm].outcomes[MAIN].buyers for arm in ("a", "b")),
            "least": experiment.FEW_BUYERS,
        }


# The first line that fits is the verdict.
VERDICTS: Final[tuple[tuple[str, Callable[[_Case], bool], str], ...]] = (
    (
        "waiting",
        lambda c: not c.people,
        "No impression has come in yet. People count once your site tells that they saw an offer: send events of type"
        " impression with the recommendation id.",
    ),
    (
        "broken",
        lambda c: c.mismatch is not None and c.mismatch < experiment.MISMATCH,
        "The split is broken: {counts}, further off than chance goes once in a thousand comparisons. One variant may"
        " find nothing to show, or impressions of one are lost. Find out why before believing any figure.",
    ),
    (
        "few buyers",
        lambda c: c.main is None,
        "Too few buyers to tell: {buyers} in the smaller variant, {least} are needed.",
    ),
    ("b", lambda c: c.sure > 0, "{best} earns {value} more a person than {other} (95% interval: {low} to {high})."),
    ("a", lambda c: c.sure < 0, "{best} earns {value} more a person than {other} (95% interval: {low} to {high})."),
    (
        "unclear",
        lambda _: True,
        "Cannot tell the variants apart: {best} may earn anything between {low} and {high} more a person than {other}"
        " (95% interval).",
    ),
)

# As campaigns.roi.PEEKING: 14 looks at equal halves, 19 to 22 % on spend outside 95 % at one of them.
PEEKING: Final = (
    "The 95% hold for one look, on the planned day: who looks every day and stops at the first clear figure finds a"
    " winner in about one of five comparisons of variants that are equal."
)


def _verdict(case: _Case, end: datetime) -> Verdict:
    code, _fits, sentence = next(verdict for verdict in VERDICTS if verdict[1](case))
    words = sentence.format_map(case.words())
    if not case.interim:
        return Verdict(code, words, interim=False)
    until = f"It runs until {end.day} {end:%b %Y}"
    so_far = f"So far: {words[0].lower()}{words[1:]}" if code in {"few buyers", "unclear"} else words
    return Verdict(code, f"{so_far} {until}{': decide after that day.' if case.main else '.'}", interim=True)


def _detectable(case: _Case) -> float | None:
    """Of the two variants, by the margin of a."""
    if case.main is None:
        return None
    n = case.arms["a"].people + case.arms["b"].people
    return experiment.detectable(n, case.row.share_b, case.arms["a"].outcomes[MAIN].variance ** 0.5)


def _warnings(case: _Case) -> tuple[tuple[bool, str], ...]:
    """What to keep in mind when reading the figures."""
    crossed = sum(arm.crossed for arm in case.arms.values())
    unknown = sum(arm.unknown_cost for arm in case.arms.values())
    some = case.people > 0
    return (
        (case.interim and some, "It is still running: every figure may change."),
        (case.main is not None and (case.interim or case.early), PEEKING),
        (
            not case.interim and case.early and some,
            f"It was stopped before its {case.row.days} days were over.",
        ),
        (
            crossed > 0,
            f"People who saw more than one variant: {crossed:,}. They became known meanwhile, or use several devices,"
            " and count for the first: the differences are rather larger than shown.",
        ),
        (
            case.stray > MANY_STRAYS,
            f"{case.stray:.0%} of the newest impressions show a variant that is not the person's: does a cache hand"
            " answers on to others, or is a visitor called one thing in questions and another in events? Whoever is"
            " shown both blurs the difference.",
        ),
        (
            some and not case.row.holdout,
            "Nobody is held out: it tells which variant is better, not what recommendations earn beyond best-sellers.",
        ),
        (unknown > 0, f"Orders and returns without a known cost: {unknown:,}. All of it counts as margin."),
    )
