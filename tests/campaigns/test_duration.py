"""How many days a comparison takes: counted like its readout, and reckoned with the figures of campaigns."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from math import exp, isclose, sqrt

import numpy as np
import pytest

from campaigns import experiment
from campaigns.duration import LONGEST, LOOKED_BACK, Lately, Split, lately
from campaigns.experiment import Arm
from campaigns.exposed import METRICS, NOBODY, Figures
from engine.config import Config
from engine.database import Database
from engine.warehouse import Warehouse
from tests.campaigns.test_readout import DAY, World, mail, people

HALF = Split(0.5, 0.0)


def figures(n: int, clickers: int) -> Figures:
    """Of n people; who clicks also orders."""
    arm = Arm(n, clickers, clickers, clickers)
    return Figures(n, n, clickers, clickers, 0, 0.0, 0, 0, dict.fromkeys(METRICS, arm))


STEADY = Lately({7.0: figures(7_000, 350), 14.0: figures(14_000, 700)})  # 1,000 people a day, 5 % click


def test_people_come_at_their_pace_and_go_on_so() -> None:
    """A comparison of d days has 1,000 d people: what shows is what that many show, held out or not."""
    deviation = sqrt(0.05 * 0.95) / 0.05
    for days in (1, 7, 10, 14, 40):
        for split in (HALF, Split(0.5, 0.2), Split(0.1, 0.0)):
            wanted = experiment.detectable(round(1_000 * days * (1 - split.holdout)), split.share_b, deviation)
            found = STEADY.least("clickers", days, split)
            if 1_000 * days * (1 - split.holdout) * min(split.share_b, 1 - split.share_b) * 0.05 < 30:
                assert found is None
            else:
                assert wanted is not None
                assert found == pytest.approx(wanted, rel=1e-3)


def test_the_day_is_the_first_that_shows_it() -> None:
    """A smaller difference, a holdout and an uneven split take longer; too small a one never shows."""
    day = STEADY.needed("clickers", 0.1, HALF)
    assert day is not None
    before, then = (STEADY.least("clickers", one, HALF) for one in (day - 1, day))
    assert before is not None
    assert then is not None
    assert then <= 0.1 < before
    others = [STEADY.needed("clickers", 0.1, split) for split in (Split(0.5, 0.3), Split(0.3, 0.0))]
    assert all(other is not None and other > day for other in others)
    assert (STEADY.needed("clickers", 0.2, HALF) or LONGEST) < day
    assert STEADY.needed("clickers", 0.01, HALF) is None


def test_so_many_people_find_it_in_four_of_five() -> None:
    """Drawn 2,000 times: a difference of 20 % is told as often as promised."""
    days = STEADY.needed("clickers", 0.2, HALF)
    assert days is not None
    rng, n = np.random.default_rng(1), 500 * days
    a, b = rng.binomial(n, 0.05, 2_000) / n, rng.binomial(n, 0.06, 2_000) / n
    found = (b - a) / np.sqrt((a * (1 - a) + b * (1 - b)) / n) > experiment.Z
    assert 0.75 < found.mean() < 0.88


def ordering(days: float, pace: float, rate: float) -> Figures:
    """Of people who come evenly over these days, `pace` a day, and from then on order `rate` times a day (Poisson): a
    person's orders and their variance grow with time.
    """
    n, most = round(pace * days), rate * days
    mean, buying = most / 2, 1 - (1 - exp(-most)) / most
    squares = mean + most**2 / 3
    return replace(NOBODY, people=n, outcomes=dict.fromkeys(METRICS, Arm(n, n * mean, n * squares, round(n * buying))))


@pytest.mark.parametrize(
    ("pace", "rate", "difference", "wanted"),
    [(5_000, 0.02, 0.2, 4), (5_000, 0.02, 0.5, 2), (50_000, 0.01, 0.1, 4), (2_000, 0.02, 0.2, 7), (500, 0.02, 0.2, 13)],
)
def test_a_figure_that_grows_with_time(pace: float, rate: float, difference: float, wanted: int) -> None:
    """The first days are judged by what people do in their first days, not by their first week."""
    seen = Lately({float(days): ordering(days, pace, rate) for days in LOOKED_BACK})
    true = {days: Lately({float(days): ordering(days, pace, rate)}) for days in range(1, 29)}
    least = {days: one.least("orders", days, HALF) for days, one in true.items()}
    assert next(days for days, one in least.items() if one is not None and one <= difference) == wanted
    assert seen.needed("orders", difference, HALF) == wanted
    for days, one in least.items():
        assert seen.least("orders", days, HALF) == (one and pytest.approx(one, rel=0.02))


def test_half_a_day_sets_no_pace() -> None:
    """Nobody came in the twelve hours of a night: those who come next come at the pace of the days."""
    slept = Lately({1.0: figures(1_000, 50), 1.5: figures(1_000, 50)})
    assert slept.least("clickers", 15, HALF) == pytest.approx(experiment.detectable(10_000, 0.5, sqrt(19)), rel=1e-3)


def test_nobody_tells_nothing() -> None:
    """Nor do people of whom nobody did it."""
    assert Lately({}).needed("margin", 0.5, HALF) is None
    assert (Lately({}).people, Lately({}).mean("margin")) == (0, 0)
    idle = Lately({7.0: figures(0, 0), 20.0: figures(50_000, 0)})
    assert idle.needed("margin", 0.5, HALF) is None


def test_who_saw_it_lately(database: Database, config: Config, now: datetime) -> None:
    """People from their first impression at the placement on, clicks and orders after it; not those of other
    placements, nor from before; a visitor nobody knows is one of them.
    """
    world, ids = World(database, config, now - 60 * DAY), people(database, 40, now - 60 * DAY)
    for place, who in enumerate(ids[:30]):
        at = now - timedelta(days=20) + place * timedelta(hours=12)
        world.tell("impression", who, at)
        world.tell("impression", who, at + timedelta(minutes=1))
        if place % 3 == 0:
            world.tell("recommendation_click", who, at + timedelta(minutes=2))
        if place % 2 == 0:
            world.buy(who, at + timedelta(minutes=3), 10, 4)
        world.buy(who, at - timedelta(minutes=3), 99, 99)
    world.tell("impression", "somebody", now - DAY)
    world.tell("impression", ids[30], now - DAY, properties={"recommendation_id": "1.x", "placement": "cart"})
    world.tell("impression", ids[31], now - 57 * DAY)
    world.read(now)
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    try:
        warehouse.refresh()
        with database.read() as session:
            found = lately(session, warehouse, "home", currency="GBP", now=now)
            nobody = lately(session, warehouse, "cart", currency="GBP", now=now - DAY)
            fresh = lately(session, warehouse, "cart", currency="GBP", now=now - timedelta(hours=12))
    finally:
        warehouse.close()
    assert [round(days, 6) for days in found.figures] == [1, 3, 7, 14, 20]
    assert [one.people for one in found.figures.values()] == [1, 1, 5, 19, 31]
    assert isclose(found.mean("clickers"), 10 / 31)
    assert isclose(found.mean("margin"), 15 * 4 / 31)
    assert nobody == fresh == Lately({})


def test_mails_count_without_a_comparison(database: Database, config: Config, now: datetime) -> None:
    """Each from its leaving on, opened or not, whether or not a comparison ran; one from before not by its opening."""
    world, ids = World(database, config, now - 60 * DAY, placement="email"), people(database, 60, now - 60 * DAY)
    plain = mail(database, dict.fromkeys(ids[:40]), now - 10 * DAY)
    mail(database, {who: f"1.{who}.{world.row.id}a" for who in ids[40:50]}, now - 2 * DAY)
    mail(database, {who: f"1.{who}.{world.row.id}a" for who in ids[:5]}, now - 9 * DAY, failed=ids[:5])
    for send, who in zip(plain[:8], ids[:8], strict=True):
        for kind in ("impression", "recommendation_click"):
            told = {"recommendation_id": f"1.{who}", "placement": "email", "send_id": send}
            world.tell(kind, who, now - timedelta(hours=12), properties=told)
    told = {"recommendation_id": "1.own", "placement": "email"}  # in a mail that another program sent
    world.tell("impression", ids[50], now - timedelta(hours=12), properties=told)
    for who in ids[:20]:
        world.buy(who, now - 5 * DAY, 10, 4)
    world.read(now)
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    try:
        warehouse.refresh()
        with database.read() as session:
            found = lately(session, warehouse, "email", currency="GBP", now=now)
    finally:
        warehouse.close()
    assert {round(days, 6): one.people for days, one in found.figures.items()} == {1: 1, 3: 11, 7: 11, 10: 51}
    assert isclose(found.mean("clickers"), 8 / 51)
    assert isclose(found.mean("orders"), 20 / 51)
