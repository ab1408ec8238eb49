"""A real shop's order lines, checked against pandas."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import func, select

from engine import intake
from engine.config import Config
from engine.database import Database
from engine.models import Contact, Item, Order, OrderLine

LINES = Path(__file__).parents[4] / "shared/data/online_retail_ii/lines_as_published.csv.gz"
MAPPING = {"country": "", "sheet": ""}  # the other headers are known by name or alias

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not LINES.exists(), reason="../shared/data/online_retail_ii is absent"),
]


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    """The first 20,000 lines, also as a file."""
    frame = pd.read_csv(LINES, nrows=20_000, dtype=str, keep_default_na=False)
    frame.to_csv(tmp_path / "lines.csv", index=False)
    return frame


def test_orders_of_a_real_shop(
    database: Database, config: Config, tmp_path: Path, now: datetime, frame: pd.DataFrame
) -> None:
    """Every order's total, units and time are those that pandas and Decimal find; a second import changes nothing."""
    path = tmp_path / "lines.csv"
    run = intake.import_file(database, config, "orders", path, now=now, mapping=MAPPING)
    invoices = frame["invoice"].nunique()
    assert (run.rows, run.created, run.rejected) == (20_000, invoices, 0)
    again = intake.import_file(database, config, "orders", path, now=now, mapping=MAPPING)
    assert (again.created, again.updated, again.unchanged) == (0, 0, invoices)

    frame["amount"] = frame["quantity"].map(int) * frame["unit_price"].map(Decimal) * 10_000
    expected = {
        invoice: (int(lines["amount"].sum()), lines["quantity"].map(int).sum(), lines["invoice_ts"].iloc[0])
        for invoice, lines in frame.groupby("invoice")
    }
    with database.read() as session:
        orders = session.execute(select(Order.key, Order.total, Order.units, Order.ordered_at))
        assert {row.key: (row.total, row.units, f"{row.ordered_at:%F %T}") for row in orders} == expected
        assert session.scalar(select(func.count()).select_from(OrderLine)) == 20_000
        items = set(session.scalars(select(Item.key)))
        assert items == set(frame["stock_code"].str.strip())
        assert set(session.scalars(select(Contact.key))) == set(frame["customer_id"]) - {""}
        known = (frame["customer_id"] != "").groupby(frame["invoice"]).first()
        assert session.scalar(select(func.count(Order.contact_id))) == known.sum()


def test_titles_of_a_real_shop(
    database: Database, config: Config, tmp_path: Path, now: datetime, frame: pd.DataFrame
) -> None:
    """An item is named by a line that names it, if there is one."""
    intake.import_file(database, config, "orders", tmp_path / "lines.csv", now=now, mapping=MAPPING)
    named = set(frame.loc[frame["description"].str.strip() != "", "stock_code"].str.strip())
    with database.read() as session:
        assert set(session.scalars(select(Item.key).where(Item.title.is_not(None)))) == named
