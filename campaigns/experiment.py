"""Did it cause anything? Randomised arms compared from their sufficient statistics, and how many people that takes.

Every contact assigned to an arm counts (intention to treat), whether or not a message reached them. Intervals are
95 %. Method by the number of buyers in the smaller arm, because the textbook interval is too optimistic while buyers
are few (resampling Hillstrom at 9,000 to 1,000, Welch covers .906 where the two-part variance covers .980):
below 30 no verdict, up to 200 the two-part variance, above that Welch's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Z: Final = 1.959963984540054  # 95 %, two-sided
POWER: Final = 0.8416212335729143  # 80 %
FEW_BUYERS: Final = 30
MANY_BUYERS: Final = 200
MISMATCH: Final = 0.001  # chance below which a split is taken to be broken

Method = Literal["welch", "two-part"]


@dataclass(frozen=True)
class Arm:
    """Sufficient statistics of one outcome over the contacts of one arm: `n` contacts, of whom `buyers` ordered,
    the sum and the sum of squares of the outcome of all of them.
    """

    n: int
    total: float
    squares: float
    buyers: int

    @property
    def mean(self) -> float:
        """Outcome per assigned contact."""
        return self.total / self.n if self.n else 0.0

    @property
    def worth(self) -> float:
        """Outcome per buyer."""
        return self.total / self.buyers if self.buyers else 0.0

    @property
    def spread(self) -> float:
        """Sum of squared deviations of the buyers from their mean."""
        return max(0.0, self.squares - self.total * self.worth)

    @property
    def variance(self) -> float:
        """Sample variance."""
        return max(0.0, (self.squares - self.total**2 / self.n) / (self.n - 1)) if self.n > 1 else 0.0

    def scaled(self, factor: float) -> Arm:
        """The arm of `factor` times the outcome, for instance the margin as a share of spend."""
        return Arm(self.n, self.total * factor, self.squares * factor**2, self.buyers)


@dataclass(frozen=True)
class Interval:
    """An estimate with its standard error and 95 % interval."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + Z * self.error

    def scaled(self, factor: float, shift: float = 0.0) -> Interval:
        """The interval of `factor * x + shift`."""
        return Interval(self.value * factor + shift, self.error * abs(factor))


def method(treated: Arm, control: Arm) -> Method | None:
    """Which variance to trust; None: too few control buyers for any."""
    if control.buyers < FEW_BUYERS:
        return None
    return "two-part" if min(treated.buyers, control.buyers) <= MANY_BUYERS else "welch"


def difference(treated: Arm, control: Arm, how: Method = "welch") -> Interval:
    """Treated less control, per contact. The standard error is sqrt(v_t/n_t + v_c/n_c)."""
    variances = _two_part(treated, control) if how == "two-part" else (treated.variance, control.variance)
    error = math.sqrt(variances[0] / treated.n + variances[1] / control.n)
    return Interval(treated.mean - control.mean, error)


def _two_part(treated: Arm, control: Arm) -> tuple[float, float]:
    """Variance p * s2 + p * (1 - p) * mu^2 of each arm: p = (k + 2) / (n + 4) is the share of buyers (Agresti and Coull
    1998), mu their mean. s2, the variance among them, is the arm's own or the one pooled within both arms, whichever
    is larger. A few buyers may look too much alike; but a discount makes those of one arm truly cheaper and more alike,
    so that the other arm must not be measured by them (a single pool for both arms covered .76 then).
    """
    pooled = (treated.spread + control.spread) / max(1, treated.buyers + control.buyers - 2)

    def variance(arm: Arm) -> float:
        p = (arm.buyers + 2) / (arm.n + 4)
        return p * max(arm.spread / max(1, arm.buyers - 1), pooled) + p * (1 - p) * arm.worth**2

    return variance(treated), variance(control)


def mismatch(treated: int, control: int, holdout: float) -> float:
    """Sample-ratio check: chance (chi-square) of a split as uneven as this when `holdout` of all are held out."""
    n = treated + control
    expected = (n * (1 - holdout), n * holdout)
    if min(expected) <= 0:
        return 1.0 if control == n * holdout else 0.0
    away = sum((found - due) ** 2 / due for found, due in zip((treated, control), expected, strict=True))
    return math.erfc(math.sqrt(away / 2))  # of one degree of freedom


def detectable(n: int, holdout: float, deviation: float) -> float | None:
    """Smallest true difference per contact that such a holdout shows with 80 % power; None without two arms.

    `deviation` is the standard deviation of the outcome: sqrt(p * (1 - p)) for a share p.
    """
    control = n * holdout
    if control < 1 or n - control < 1:
        return None
    return (Z + POWER) * deviation * math.sqrt(1 / control + 1 / (n - control))
