"""The waterfall before sending says what the ledger says after."""

from __future__ import annotations

from datetime import datetime

import pytest

from campaigns import audience, estimates
from campaigns.estimates import estimate
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.warehouse import Warehouse
from tests.campaigns import shop
from tests.campaigns.shop import DAY


def test_the_waterfall_is_what_will_be_written(database: Database, config: Config, now: datetime) -> None:
    """Every person of the list is accounted for, as the ledger does it; cost is fixed plus one for each message."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        ids = [*shop.crowd(session, 300, now)]
        shop.contact(session, 400, now, email=None)
        shop.contact(session, 401, now, email_consent=None)
        shop.contact_list(session, now, criteria={"field": "key", "operator": "known"})
        given = {"holdout": 0.2, "split_a": 1_234_577, "fixed_cost": 50_0000, "message_cost": 20, "list_id": 1}
        found = shop.campaign(session, now, **given)
    warehouse.refresh()
    with database.begin() as session:
        expected = estimate(session, warehouse, found.id, now=now)
        firing = shop.fire(session, found, [*ids, 400, 401], now)
        counts = audience.build(session, firing, [], now=now)
    assert expected.matched == 302
    assert expected.excluded == {"no address": 1, "no consent": 1}
    assert (expected.held, expected.sent) == (counts["holdout"], counts["queued"])
    assert expected.matched == sum(expected.excluded.values()) + expected.held + expected.sent
    assert expected.cost == 50_0000 + expected.sent * 20
    assert expected.detectable is None  # nobody has bought anything yet
    assert expected.as_of is not None


def test_what_the_holdout_could_show(database: Database, config: Config, now: datetime) -> None:
    """From the spending of the same people in the window before today, not from older or later orders."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        shop.crowd(session, 200, now)
        shop.contact_list(session, now, criteria={"field": "key", "operator": "known"})
        found = shop.campaign(session, now, holdout=0.5, list_id=1)
        for i in range(1, 101):
            shop.order(session, f"o{i}", i, now - DAY, 10)
        shop.order(session, "old", 150, now - 15 * DAY, 9_999)
    warehouse.refresh()
    with database.begin() as session:
        expected = estimate(session, warehouse, found.id, now=now)
    deviation = (25 * 200 / 199) ** 0.5  # half spent 10, half nothing
    assert expected.buyers == 100
    assert expected.detectable == pytest.approx(2.8016 * deviation * (2 / 100) ** 0.5, rel=1e-4)
    assert expected.detectable_share == pytest.approx(expected.detectable / 5)


@pytest.mark.parametrize(
    ("holdout", "needed"),
    [(0.29, 60), (0.3, None), (0.0, None)],  # 29 buyers, 30, nobody to judge by
)
def test_nothing_is_promised_that_the_report_refuses(
    database: Database, config: Config, now: datetime, holdout: float, needed: int | None
) -> None:
    """Below 30 buyers among those held out there is no verdict: then the size of a holdout that has as many."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        shop.crowd(session, 200, now)
        shop.contact_list(session, now, criteria={"field": "key", "operator": "known"})
        found = shop.campaign(session, now, holdout=holdout, list_id=1)
        for i in range(1, 101):
            shop.order(session, f"o{i}", i, now - DAY, 10)
    warehouse.refresh()
    with database.begin() as session:
        expected = estimate(session, warehouse, found.id, now=now)
    assert expected.needed == needed
    assert (expected.detectable is not None) is (holdout == 0.3)
    assert (expected.detectable_share is not None) is (holdout == 0.3)


def test_without_a_list_there_is_no_estimate(database: Database, config: Config, now: datetime) -> None:
    """The remedy is named."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        found = shop.campaign(session, now)
        with pytest.raises(Invalid, match="Choose whom"):
            estimates.estimate(session, warehouse, found.id, now=now)
